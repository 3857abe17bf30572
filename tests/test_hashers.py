"""Codes in mode `compat` are ImageHash's own, bit for bit."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from dedup.config import ALGORITHMS, BITS
from dedup.decoding.pictures import Picture, open_picture
from dedup.hashers.compat import FUNCTIONS
from dedup.hashers.families import MODES
from tests import pictures

SIDES = {64: 8, 256: 16, 1024: 32}
ORACLE = {
    "ahash": imagehash.average_hash,
    "phash": imagehash.phash,
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
}

every_code = pytest.mark.parametrize(("algorithm", "bits"), [(a, b) for a in ORACLE for b in SIDES])


def opened(data: bytes) -> Image.Image:
    """The picture as a run sees it."""
    picture = open_picture(data, max_pixels=10_000_000)
    assert isinstance(picture, Picture), picture
    return picture.image


def test_table_of_names() -> None:
    """Every algorithm and width that the config allows has an oracle here, and every algorithm its
    function.
    """
    assert {*ORACLE, "pdq"} == set(ALGORITHMS)
    assert set(ORACLE) == set(FUNCTIONS)
    assert set(SIDES) == set(BITS)


@every_code
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_raw_files_have_imagehashs_codes(
    tmp_path: Path, algorithm: str, bits: int, form: str, mode: str
) -> None:
    """For 8-bit RGB and L files a code is `imagehash.X(Image.open(file))`, and its hex digits are
    `str` of that.
    """
    path = pictures.save(pictures.photo(21).convert(mode), tmp_path / f"photo.{form.lower()}")
    with Image.open(path) as raw:
        expected = ORACLE[algorithm](raw, SIDES[bits])
    codes = MODES["compat"]([opened(path.read_bytes())], algorithm, bits)

    assert ("uint8", (1, bits // 8)) == (codes.dtype.name, codes.shape)
    assert np.array_equal(expected.hash.reshape(-1), np.unpackbits(codes[0]).astype(bool))
    assert str(expected) == codes[0].tobytes().hex()


def rotated() -> tuple[bytes, Image.Image]:
    """A photo that EXIF turns, and the upright one."""
    upright = pictures.photo(22)
    exif = Image.Exif()
    exif[0x0112] = 6
    return pictures.encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif), upright


def transparent() -> tuple[bytes, Image.Image]:
    """A photo under a ramp of alpha, and Pillow's own composition of it on white."""
    image = pictures.photo(23).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return pictures.encoded(image), Image.alpha_composite(
        Image.new("RGBA", image.size, "white"), image
    ).convert("RGB")


def sixteen() -> tuple[bytes, Image.Image]:
    """A grey picture of 16 bits, and its values divided by 257 and rounded."""
    values = np.random.default_rng(24).integers(0, 65536, (12, 16), dtype=np.uint16)
    values = np.kron(values, np.ones((8, 8), np.uint16))
    return pictures.encoded(Image.fromarray(values)), Image.fromarray(
        np.floor(values / 257 + 0.5).astype(np.uint8)
    )


def palette() -> tuple[bytes, Image.Image]:
    """A palette picture, and its colours looked up."""
    image = pictures.photo(25).quantize(40)
    colours = np.asarray(image.getpalette(), np.uint8).reshape(-1, 3)
    return pictures.encoded(image), Image.fromarray(colours[np.asarray(image)])


@every_code
@pytest.mark.parametrize(
    "case", [rotated, transparent, sixteen, palette], ids=lambda case: case.__name__
)
def test_other_files_have_the_codes_of_the_normalised_picture(
    case: Callable[[], tuple[bytes, Image.Image]], algorithm: str, bits: int
) -> None:
    """Where a file is turned, transparent, deep or a palette, the code is ImageHash's of the
    picture as it is seen.
    """
    data, seen = case()
    expected = ORACLE[algorithm](seen, SIDES[bits])

    assert str(expected) == MODES["compat"]([opened(data)], algorithm, bits)[0].tobytes().hex()


def test_rotated_copy_has_the_same_code() -> None:
    """A copy that EXIF turns upright is at distance 0; without the orientation ImageHash puts it
    far away.
    """
    data, upright = rotated()
    stored = Image.open(BytesIO(data))

    assert imagehash.dhash(stored) - imagehash.dhash(upright) > 12
    both = MODES["compat"]([opened(data), opened(pictures.encoded(upright))], "dhash", 64)
    assert np.array_equal(both[0], both[1])


@every_code
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5000), (3, 2)])
def test_tiny_pictures(algorithm: str, bits: int, size: tuple[int, int]) -> None:
    """A picture smaller than the code is hashed as ImageHash hashes it."""
    image = pictures.photo(26, size)
    expected = ORACLE[algorithm](image, SIDES[bits])

    assert (
        str(expected)
        == MODES["compat"]([opened(pictures.encoded(image))], algorithm, bits)[0].tobytes().hex()
    )


@every_code
def test_batches_are_rows(algorithm: str, bits: int) -> None:
    """The codes of many pictures are those of each alone, in their order; none are an empty
    array.
    """
    images = [pictures.photo(seed, (50 + seed, 40)) for seed in range(4)]
    together = MODES["compat"](images, algorithm, bits)
    alone = [MODES["compat"]([image], algorithm, bits)[0] for image in images]

    assert np.array_equal(alone, together)
    assert (0, bits // 8) == MODES["compat"]([], algorithm, bits).shape
