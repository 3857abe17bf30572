"""Small PNGs read without Pillow: its pixels exactly, or none."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dedup.decoding import png
from dedup.decoding.pictures import Picture, open_picture
from dedup.hashers.luma import open_luma
from dedup.hashers.setup import Setup
from tests import pictures

MOST = 1 << 20


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def file(
    width: int,
    height: int,
    colour: int,
    rows: bytes,
    *extra: bytes,
    depth: int = 8,
    interlace: int = 0,
) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def differences(data: bytes) -> list[str]:
    """In what the pixels, where there are some, differ from those of the general way: they, the
    luma and the digest.
    """
    got = png.pixels(data, MOST)
    if got is None:
        return []
    picture = open_picture(data, max_pixels=MOST)
    if not isinstance(picture, Picture):
        return ["readable"]
    expected = np.asarray(picture.image)
    pixels = got.values if got.values.ndim == expected.ndim else got.values[..., None].repeat(3, 2)
    luma = open_luma(data, Setup(("dhash",), 64, "fast", "#ffffff", MOST), bytes(32))
    same = {
        "pixels": np.array_equal(expected, pixels),
        "luma": np.array_equal(np.asarray(picture.image.convert("L")), got.luma),
        "digest": picture.pixel_digest == luma.pixel_digest,  # type: ignore[union-attr]
    }
    return [what for what, is_same in same.items() if not is_same]


@given(st.data(), st.integers(1, 9), st.integers(1, 9), st.sampled_from([(0, 1), (2, 3)]))
def test_every_filter(data: st.DataObject, width: int, height: int, kind: tuple[int, int]) -> None:
    """Any rows with any mix of the five filters are decoded as Pillow does."""
    colour, channels = kind
    n = width * channels
    rows = b"".join(
        bytes([data.draw(st.integers(0, 4))]) + data.draw(st.binary(min_size=n, max_size=n))
        for _ in range(height)
    )
    stored = file(width, height, colour, rows)

    assert png.pixels(stored, MOST) is not None
    assert [] == differences(stored)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_photos_and_grey_as_colour(mode: str) -> None:
    """Files as Pillow writes them, with and without colours."""
    for seed in range(5):
        image = pictures.photo(seed, (33, 31))
        for each in (image.convert(mode), image.convert("L").convert(mode)):
            stored = pictures.encoded(each)
            assert png.pixels(stored, MOST) is not None
            assert [] == differences(stored)


def test_anything_else_is_for_pillow() -> None:
    """Other kinds, wrong checksums, missing and surplus data give None, and raise nothing."""
    image, exif = pictures.photo(6, (32, 32)), Image.Exif()
    exif[0x0112] = 6
    good, rows = pictures.encoded(image), bytes(32 * 33)
    others = [
        pictures.encoded(image.quantize(9)),
        pictures.encoded(image.convert("RGBA")),
        pictures.encoded(image, exif=exif),
        pictures.encoded(image, transparency=(1, 2, 3)),
        file(32, 32, 0, rows[:-1]),
        file(32, 32, 0, rows + b"\0"),
        file(32, 32, 0, b"\5" + rows[1:]),
        file(32, 32, 0, rows, depth=4),
        file(32, 32, 0, rows, interlace=1),
        file(0, 32, 0, rows),
        file(2**31, 2**31, 0, rows),
        file(32, 32, 0, rows, chunk(b"eXIf", b"II*\0")),
        file(32, 32, 0, rows, chunk(b"gAMA", b"\0")),
        good.replace(b"IEND", b"IENd"),
    ]
    others += [good[:cut] for cut in range(0, len(good), 13)]

    assert [None] * len(others) == [png.pixels(data, MOST) for data in others]
    assert png.pixels(good, 32 * 32) is not None
    assert png.pixels(good, 32 * 32 - 1) is None


def test_a_flipped_bit_is_noticed() -> None:
    """Whatever bit of a file is flipped, the result is none, or what Pillow reads."""
    good = pictures.encoded(pictures.photo(7, (16, 16)))
    flipped = [
        good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :] for at in range(len(good))
    ]

    assert {} == {at: found for at, data in enumerate(flipped) if (found := differences(data))}


@pytest.mark.shared_data
def test_real_files(request: pytest.FixtureRequest) -> None:
    """The PNG suite and the hostile files, where they are."""
    folder = Path(request.config.getoption("--shared-data")) / "photos"
    if not folder.is_dir():
        pytest.skip(f"the real photos are not in {folder}: name their folder with --shared-data")
    stored = [path.read_bytes() for path in sorted(folder.rglob("*.png"))]

    assert [] == [found for data in stored for found in differences(data)]
    assert sum(png.pixels(data, MOST) is not None for data in stored) > 20
