"""Mode `fast`: close to ImageHash, the same statuses, and exact under turns and in any batch."""

from typing import Any

import numpy as np
import pytest
import pywt  # type: ignore[import-untyped]
from PIL import Image

from dedup.decoding.orientation import turned
from dedup.hashers import cells, fast, pdq, wavelets
from dedup.hashers.measure import measure
from dedup.hashers.resampling import SCALE, Plane, Target, shrink, whole
from dedup.hashers.setup import Setup
from dedup.tables import TRANSFORMS
from tests import pictures
from tests.test_orientations import PILLOW

ALGORITHMS = ("ahash", "phash", "dhash", "whash")
EXACT = ("ahash", "dhash", "whash")  # below 128 px


def setup(mode: str = "fast", bits: int = 64, **options: Any) -> Setup:
    return Setup(
        options.pop("algorithms", ALGORITHMS), bits, mode, "#ffffff", 10_000_000, **options
    )


def rows(contents: list[bytes], of: Setup) -> list[dict[str, Any]]:
    columns = measure(contents, of)
    return [
        {name: column[k].as_py() for name, column in columns.items()} for k in range(len(contents))
    ]


def apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def cases() -> dict[str, bytes]:
    """Files of every kind, good and bad."""
    image, exif = pictures.photo(3, (700, 501)), Image.Exif()
    jpeg = pictures.encoded(image, "JPEG", quality=90)
    exif[0x0112] = 6
    return {
        "jpeg": jpeg,
        "progressive": pictures.encoded(image, "JPEG", progressive=True),
        "grey": pictures.encoded(image.convert("L"), "JPEG"),
        "cmyk": pictures.encoded(image.convert("CMYK"), "JPEG"),
        "exif": pictures.encoded(image, "JPEG", exif=exif),
        "truncated": jpeg[: len(jpeg) // 2],
        "without its end": jpeg[:-2],
        "cut in its header": jpeg[:40],
        "flipped byte": jpeg[:3000] + bytes([jpeg[3000] ^ 0xFF]) + jpeg[3001:],
        "png": pictures.encoded(image),
        "palette": pictures.encoded(image.quantize(20), transparency=0),
        "16 bits": pictures.encoded(
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        ),
        "gif": pictures.encoded(
            image, "GIF", save_all=True, append_images=[pictures.photo(4, (700, 501))]
        ),
        "webp": pictures.encoded(
            image, "WEBP", save_all=True, append_images=[pictures.photo(4, (700, 501))]
        ),
        "tiff": pictures.encoded(
            image, "TIFF", save_all=True, append_images=[pictures.photo(4, (700, 501))]
        ),
        "1x1": pictures.encoded(pictures.photo(5, (1, 1))),
        "1x5000": pictures.encoded(pictures.photo(5, (1, 5000))),
        "1x5000 jpeg": pictures.encoded(pictures.photo(5, (1, 5000)), "JPEG"),
        "empty": b"",
        "text": b"no picture",
    }


def test_both_modes_tell_the_same() -> None:
    """Status, reason, size, format and compression do not depend on the mode."""
    contents = list(cases().values())
    same = ("status", "detail", "width", "height", "format", "file_digest")
    expected, got = (rows(contents, setup(mode)) for mode in ("compat", "fast"))

    assert [[row[name] for name in same] for row in expected] == [
        [row[name] for name in same] for row in got
    ]
    assert [row["compression"] for row in expected] == pytest.approx(
        [row["compression"] for row in got]
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_close_to_compat(form: str) -> None:
    """On photos the codes are those of ImageHash up to a bit on average."""
    contents = [
        pictures.encoded(pictures.photo(s, (400 + 13 * s, 301 + 7 * s)), form) for s in range(30)
    ]
    expected, got = (rows(contents, setup(mode)) for mode in ("compat", "fast"))
    for name in ALGORITHMS:
        distances = [apart(a[name], b[name]) for a, b in zip(expected, got, strict=True)]

        assert np.mean(distances) <= 1
        assert max(distances) <= 6


@pytest.mark.parametrize("bits", [64, 256])
def test_batches_do_not_matter(bits: int) -> None:
    """A row of a batch is that of the file alone, every column of it."""
    of = setup(
        bits=bits,
        transforms=TRANSFORMS[1:],
        algorithms=(*ALGORITHMS, "pdq") if bits == 256 else ALGORITHMS,
    )
    contents = list(cases().values())

    assert [rows([content], of)[0] for content in contents] == rows(contents, of)


@pytest.mark.parametrize("size", [(40, 30), (32, 32), (161, 128), (350, 201), (7, 3), (1, 40)])
@pytest.mark.parametrize("turn", PILLOW)
def test_codes_of_turned_pictures(turn: str, size: tuple[int, int]) -> None:
    """The code of an orientation equals, bit for bit, the code of the picture turned first."""
    image = pictures.photo(6, size).convert("L")
    levels, other = np.asarray(image), np.asarray(image.transpose(PILLOW[turn]))
    thumbnail, stood = fast.measured([whole(levels)], ALGORITHMS, 64, (turn,))
    thumbnail_of_turned, of_turned = fast.measured([whole(other)], ALGORITHMS, 64, ("identity",))
    assert np.abs(thumbnail_of_turned - turned(thumbnail, turn).astype(int)).max() <= 1
    for algorithm in ALGORITHMS:
        (expected,), (got,) = of_turned[algorithm], stood[algorithm]

        assert expected.tolist() == got.tolist(), algorithm
    (expected,) = pdq.oriented(shrink([whole(other)], [pdq.TARGET])[0], ("identity",))
    (got,) = pdq.oriented(shrink([whole(levels)], [pdq.TARGET])[0], (turn,))
    assert expected.tolist() == got.tolist()


@pytest.mark.parametrize("kernel", ["lanczos", "bilinear"])
@pytest.mark.parametrize("size", [(128, 192), (150, 149), (300, 40), (9, 8)])
def test_small_pictures_are_pillows(kernel: str, size: tuple[int, int]) -> None:
    """Each value is that of Pillow's resize, up to Pillow's rounding between the two axes."""
    image = pictures.photo(7, size).convert("L")
    method = Image.Resampling.LANCZOS if kernel == "lanczos" else Image.Resampling.BILINEAR
    expected = np.asarray(image.resize((9, 8), method), dtype=float)
    (raw,) = shrink([whole(np.asarray(image))], [Target(8, 9, kernel)])

    assert np.abs(expected - raw[0] / SCALE).max() < 1.2


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (64, 48), (5, 7), (127, 96), (1, 40)])
def test_small_pictures_have_imagehashs_codes(size: tuple[int, int]) -> None:
    """Below 128 px whatever Pillow and PyWavelets round is rounded here: three codes are
    ImageHash's, bit for bit.
    """
    gradient = Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC)
    icon = gradient.point([0] * 100 + [200] * 156)
    for image in (*(pictures.photo(seed, size) for seed in range(5)), gradient, icon):
        contents = [pictures.encoded(image)]
        (expected,), (got,) = (rows(contents, setup(mode)) for mode in ("compat", "fast"))

        levels = [np.frombuffer(row["thumbnail"], np.uint8).astype(int) for row in (expected, got)]
        assert np.abs(levels[0] - levels[1]).max() <= 1  # weights agree but for their last bit
        assert [expected[name] for name in EXACT] == [got[name] for name in EXACT]
        # its floating point decides where frequencies are equal
        assert apart(expected["phash"], got["phash"]) <= 2


@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize("side", [8, 16, 64, 256])
def test_wavelets_are_pywavelets(side: int, n: int) -> None:
    """ImageHash's coefficients with all that rounding takes, of noise, a gradient, an icon and a
    checkerboard.
    """
    if side < n:
        return
    level = int(np.log2(side))
    noise = np.random.default_rng(side).integers(0, 256, (side, side), dtype=np.uint8)
    gradient = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (side, side))
    levels = np.stack(
        [
            noise,
            gradient,
            (gradient > 99) * np.uint8(200),
            np.indices((side, side)).sum(0) % 2 * 255,
        ]
    )
    for picture, got in zip(levels, wavelets.coefficients(levels.astype(np.uint8), n), strict=True):
        parts = pywt.wavedec2(picture / 255.0, "haar", level=level)
        parts[0] *= 0
        expected = pywt.wavedec2(
            pywt.waverec2(parts, "haar"), "haar", level=level - int(np.log2(n))
        )[0]

        assert np.array_equal(expected, got)


def areas(length: int, extent: float, n: int) -> Any:
    """Which share of each of n equal parts of `extent` every one of `length` pixels is, shape (n,
    length).
    """
    edges, pixels = np.linspace(0, extent, n + 1), np.arange(length)
    low, high = np.maximum(pixels, edges[:-1, None]), np.minimum(pixels + 1, edges[1:, None])
    return np.maximum(high - low, 0) * (n / extent)


@pytest.mark.parametrize(
    "size", [(128, 128), (131, 250), (250.25, 187.5), (400, 96.5), (97, 1000.625), (1500, 300)]
)
def test_cells_are_means(size: tuple[float, float]) -> None:
    """Each cell is the mean of its part of the picture, whose last pixels may lie partly
    outside.
    """
    width, height = size
    levels = np.random.default_rng(12).integers(
        0, 256, (int(np.ceil(height)), int(np.ceil(width))), dtype=np.uint8
    )
    (got,) = cells.cells([Plane(levels, float(height), float(width))], 96)
    expected = areas(len(levels), height, 96) @ levels @ areas(levels.shape[1], width, 96).T

    assert np.abs(expected * cells.FINENESS - got).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("bits", [64, 256, 1024])
def test_thumbnails_of_cells(bits: int) -> None:
    """A value is the mean under a triangle as wide as two of its pixels, of what lies in the
    picture.
    """
    side = cells.side_of(bits)
    of = np.random.default_rng(13).integers(0, 255 * cells.FINENESS, (2, side, side)).astype(float)
    at = (np.arange(side) + 0.5) * 32 / side
    weights = np.maximum(1 - np.abs(at - (np.arange(32)[:, None] + 0.5)), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.floor(weights @ of @ weights.T / cells.FINENESS + 0.5)

    assert expected.tolist() == cells.thumbnails(of).tolist()


@pytest.mark.parametrize("order", ["lss", "sls", "ssl", "lsl", "slslls"])
def test_large_and_small_pictures_of_a_batch(order: str) -> None:
    """Pictures that are measured in other ways keep their places in the batch."""
    sizes = {"l": (300, 260), "s": (60, 50)}
    contents = [
        pictures.encoded(pictures.photo(seed, sizes[size]), "BMP")
        for seed, size in enumerate(order)
    ]
    alone = [rows([content], setup())[0] for content in contents]

    assert alone == rows(contents, setup())


def test_orientation_of_exif() -> None:
    """The nine forms of a JPEG that EXIF turns have the codes and the size of the upright one."""
    upright = pictures.photo(8, (320, 200))
    contents = [pictures.encoded(upright, "JPEG", quality=95)]
    for number, turn in enumerate(
        [None, "mirror", "rotate180", "flip", "transpose", "rotate90", "transverse", "rotate270"],
        start=1,
    ):
        exif = Image.Exif()
        exif[0x0112] = number
        stored = upright if turn is None else upright.transpose(PILLOW[turn])
        contents.append(pictures.encoded(stored, "JPEG", exif=exif, quality=95))
    first, *others = rows(contents, setup())
    for row in others:
        assert (320, 200) == (row["width"], row["height"])
        assert max(apart(first[name], row[name]) for name in ALGORITHMS) <= 3


class TestIdenticalPictures:
    def test_jpegs_with_other_metadata(self) -> None:
        """Comments and EXIF data change the file and not the picture."""
        image, exif = pictures.photo(9), Image.Exif()
        exif[0x010E] = "a description"
        plain = pictures.encoded(image, "JPEG")
        contents = [
            plain,
            pictures.encoded(image, "JPEG", comment=b"hello"),
            pictures.encoded(image, "JPEG", exif=exif),
            pictures.encoded(image, "JPEG", dpi=(300, 300)),
            plain[:2] + plain[20:],  # without the JFIF header
        ]
        found = rows(contents, setup())

        assert 1 == len({row["pixel_digest"] for row in found})
        assert 5 == len({row["file_digest"] for row in found})

    def test_turned_jpegs_differ(self) -> None:
        """The same stream under another EXIF orientation is another picture."""
        image, exif = pictures.photo(9), Image.Exif()
        exif[0x0112] = 3
        a, b = rows(
            [pictures.encoded(image, "JPEG"), pictures.encoded(image, "JPEG", exif=exif)], setup()
        )

        assert a["pixel_digest"] != b["pixel_digest"]

    def test_lossless_forms(self) -> None:
        """A PNG, one at another compression and a BMP are the same picture."""
        image = pictures.photo(9)
        contents = [
            pictures.encoded(image),
            pictures.encoded(image, compress_level=0),
            pictures.encoded(image, "BMP"),
        ]

        assert 1 == len({row["pixel_digest"] for row in rows(contents, setup())})

    def test_blank_pictures_of_any_form(self) -> None:
        """What carries no information is decoded in full: a blank JPEG is its PNG."""
        image = Image.new("RGB", (300, 200), (128, 128, 128))
        a, b = rows(
            [pictures.encoded(image, "JPEG", quality=100), pictures.encoded(image)], setup()
        )

        assert a["information"] == 0
        assert a["pixel_digest"] == b["pixel_digest"]


class TestPdq:
    @pytest.mark.parametrize("size", [(256, 200), (500, 333), (1000, 667)])
    def test_a_resize_does_not_move_it(self, size: tuple[int, int]) -> None:
        """The code of a resized photo is close to that of the photo; other photos are far."""
        image = pictures.photo(10, (800, 533))
        of = setup(bits=256, algorithms=("pdq",))
        contents = [
            pictures.encoded(each)
            for each in (image, image.resize(size), pictures.photo(11, (800, 533)))
        ]
        a, b, other = rows(contents, of)

        assert apart(a["pdq"], b["pdq"]) <= 16
        assert apart(a["pdq"], other["pdq"]) > 80

    def test_quality(self) -> None:
        """A blank picture has none, noise has all of it."""
        noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
        contents = [
            pictures.encoded(Image.new("L", (64, 64))),
            pictures.encoded(Image.fromarray(noise)),
        ]
        of = setup("compat", bits=256, algorithms=("pdq",))

        assert [0, 100] == [row["pdq_quality"] for row in rows(contents, of)]
