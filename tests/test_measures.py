"""Thumbnail, information, compression and similarity of pictures."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from dedup.decoding.pictures import Picture, open_picture
from dedup.hashers.compression import compression
from dedup.hashers.thumbnail import information, thumbnail
from dedup.tables import MIN_INFORMATION
from dedup.verify import agreement as agreements
from dedup.verify import similarities
from tests import pictures
from tests.kernels import callable_kernel

agreement = callable_kernel(agreements.agreement)


def opened(data: bytes) -> Picture:
    """The picture; fails when there is none."""
    picture = open_picture(data, max_pixels=10_000_000)
    assert isinstance(picture, Picture), picture
    return picture


def small(image: Image.Image) -> NDArray[np.uint8]:
    """The thumbnail of a picture."""
    return thumbnail(image)


# --- thumbnail and information --------------------------------------------------------------------


@pytest.mark.parametrize("size", [(160, 120), (1, 1), (1, 5000), (32, 32), (700, 8)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_thumbnail_shape(size: tuple[int, int], mode: str) -> None:
    """Whatever the size and mode of a picture, its thumbnail is 32 × 32 grey levels of one byte."""
    got = small(pictures.photo(31, size).convert(mode))

    assert ((32, 32), "uint8") == (got.shape, got.dtype.name)


def test_thumbnail_is_the_picture_made_small() -> None:
    """Each value of the thumbnail is about the mean luma of its part of the picture."""
    image = pictures.photo(31, (320, 320))
    luma = np.asarray(image, np.float64) @ (0.299, 0.587, 0.114)
    expected = luma.reshape(32, 10, 32, 10).mean((1, 3))

    assert np.abs(expected - small(image)).max() < 6


def ramp(angle: float, size: int = 256) -> Image.Image:
    """A bare gradient from black to white in a direction."""
    y, x = np.mgrid[0:size, 0:size]
    values = np.cos(angle) * x + np.sin(angle) * y
    values = (values - values.min()) / (values.max() - values.min())
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_blank_has_no_information(level: int) -> None:
    """A picture of one colour has nothing that a code could describe."""
    assert information(small(Image.new("L", (64, 64), level))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, np.pi, np.pi / 4, 3 * np.pi / 4, 0.3])
def test_bare_gradient_has_no_information(angle: float) -> None:
    """A gradient in any direction has none but what the rounding to whole grey levels leaves."""
    assert information(small(ramp(angle))) < 0.5 < MIN_INFORMATION


def drawing(what: str) -> Image.Image:
    """Faint pictures that are pictures all the same."""
    image = Image.new("L", (256, 256), 255)
    draw = ImageDraw.Draw(image)
    if what == "line":
        draw.line((20, 128, 236, 128), fill=0)
    elif what == "text":
        for row in range(20, 240, 14):
            draw.text((12, row), f"line {row} of a page", fill=0)
    elif what == "circle":
        draw.ellipse((60, 60, 190, 190), outline=0)
    return image


@pytest.mark.parametrize("what", ["line", "text", "circle"])
def test_drawings_have_information(what: str) -> None:
    """One thin black line, a page of text and a thin circle on white are not blank."""
    assert information(small(drawing(what))) > MIN_INFORMATION


@pytest.mark.parametrize("seed", range(5))
def test_photos_have_information(seed: int) -> None:
    """Photos are far above the limit, and they stay above it with a tenth of the contrast."""
    image = pictures.photo(seed)

    assert information(small(image)) > 10 * MIN_INFORMATION
    assert information(small(image.point(lambda v: 120 + v // 10))) > MIN_INFORMATION


def test_information_is_what_a_plane_leaves() -> None:
    """It is the root mean square of the residuals of the least-squares plane."""
    grey = np.random.default_rng(32).integers(0, 256, (32, 32), dtype=np.uint8)
    y, x = np.mgrid[0:32, 0:32]
    design = np.stack([np.ones(1024), x.reshape(-1), y.reshape(-1)], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, grey.reshape(-1).astype(float), rcond=None)
    rest = grey.reshape(-1) - design @ coefficients

    assert np.sqrt((rest**2).mean()) == pytest.approx(information(grey))


# --- compression ----------------------------------------------------------------------------------


def textured(seed: int, size: int = 256) -> Image.Image:
    """A photo with the grain of a sensor: no compression ever touched it."""
    grain = np.random.default_rng(seed).normal(0, 12, (size, size, 1))
    values = np.asarray(pictures.photo(seed, (size, size)), np.float64) + grain
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def test_jpegs_are_ordered_by_quality() -> None:
    """A lower quality is a higher compression, and none of them counts as uncompressed but the
    highest.
    """
    values = [
        compression(opened(pictures.encoded(textured(33), "JPEG", quality=quality)))
        for quality in (100, 95, 85, 75, 50, 25, 10)
    ]

    assert values[0] == 1.0
    assert all(a is not None and b is not None and a < b for a, b in pairwise(values)), values


@pytest.mark.parametrize("seed", [33, 34, 35])
@pytest.mark.parametrize("quality", [50, 75, 85])
@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_a_jpeg_saved_again_is_no_better(form: str, quality: int, seed: int) -> None:
    """A lossless copy of a JPEG has about the compression of the JPEG, not that of an original."""
    jpeg = pictures.encoded(textured(seed), "JPEG", quality=quality)
    expected = compression(opened(jpeg))
    copied = compression(opened(pictures.encoded(Image.open(BytesIO(jpeg)), form)))

    assert expected is not None
    assert copied is not None
    assert copied == pytest.approx(expected, rel=0.3)
    assert copied > 1.0


@pytest.mark.parametrize("seed", [33, 34, 35])
@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_an_original_is_uncompressed(seed: int, form: str) -> None:
    """A picture that was never compressed has exactly 1, in colour and in grey."""
    image = textured(seed)

    assert compression(opened(pictures.encoded(image, form))) == 1.0
    assert compression(opened(pictures.encoded(image.convert("L"), form))) == 1.0


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (16, 16), (40, 8)])
def test_too_small_to_tell_counts_as_uncompressed(size: tuple[int, int]) -> None:
    """A lossless picture with too few blocks for the estimate has 1."""
    assert compression(opened(pictures.encoded(pictures.photo(36, size)))) == 1.0


@pytest.mark.parametrize("blank", [0, 128, 255])
def test_blank_counts_as_uncompressed(blank: int) -> None:
    """A blank picture keeps to every step, and so tells nothing."""
    assert compression(opened(pictures.encoded(Image.new("L", (200, 200), blank)))) == 1.0


def test_what_cannot_be_told_is_null() -> None:
    """Palettes and lossy formats other than JPEG do not say how much was lost; a lossless WebP
    does.
    """
    image = textured(37)

    assert compression(opened(pictures.encoded(image.quantize(64)))) is None
    assert compression(opened(pictures.encoded(image, "GIF"))) is None
    assert compression(opened(pictures.encoded(image, "WEBP", quality=80))) is None
    assert compression(opened(pictures.encoded(image, "TIFF", compression="jpeg"))) is None
    assert compression(opened(pictures.encoded(image, "WEBP", lossless=True))) == 1.0


def test_a_rotated_jpeg_has_the_compression_of_its_header() -> None:
    """What a JPEG says of itself does not depend on its EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = compression(opened(pictures.encoded(textured(38), "JPEG", quality=60)))

    assert plain == compression(
        opened(pictures.encoded(textured(38), "JPEG", quality=60, exif=exif))
    )


# --- similarity -----------------------------------------------------------------------------------


def oracle(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """How far two fields of gradients, shape (2, 31, 31), agree, in plain numpy."""
    block = np.arange(31) * 8 // 31
    of = (block[:, None] * 8 + block).ravel()

    def by_block(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.bincount(of, values.sum(axis=0).ravel(), 64).astype(
            np.float64
        )
        return sums

    product, energy, other = by_block(one * two), by_block(one * one), by_block(two * two)
    whole = product.sum() / np.sqrt(energy.sum() * other.sum())
    if whole <= 0:
        return 0.0
    gain = energy.sum() / other.sum()
    weight = np.sqrt(np.maximum(energy, gain * other))
    some = np.minimum(energy, gain * other) > 0.01 * energy.mean()
    agree = np.divide(product, np.sqrt(energy * other), out=np.zeros(64), where=some)
    order = np.argsort(agree, kind="stable")
    lower = agree[order][np.searchsorted(np.cumsum(weight[order]), 0.3 * weight.sum())]
    rest = list(range(64))
    for _ in range(8):
        gain = energy[rest].sum() / other[rest].sum()
        differ = energy + gain * other - 2 * np.sqrt(gain) * product
        rest.remove(max(rest, key=lambda k: differ[k]))
    most = product[rest].sum() / np.sqrt(energy[rest].sum() * other[rest].sum())
    spread = weight.sum() ** 2 / (weight**2).sum()
    return float((whole + most + max(lower, 0.0)) / 3 * min(1.0, spread / 6))


def one(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Similarity of one pair."""
    return float(similarities(np.stack([first, second]), np.array([0]), np.array([1]))[0])


@pytest.fixture(scope="module")
def thumbnails() -> NDArray[np.uint8]:
    """Forty thumbnails: photos, edited copies of them, noise, ramps and blanks."""
    random = np.random.default_rng(40)
    photos = [pictures.photo(seed) for seed in range(12)]
    copies = [image.resize((80, 60)).point(lambda v: v * 0.8 + 10) for image in photos]
    others = [small(ramp(angle)) for angle in (0, 1, 2, 3)] + [
        np.full((32, 32), v, np.uint8) for v in (0, 9, 255)
    ]
    noise = [random.integers(0, 256, (32, 32), dtype=np.uint8) for _ in range(9)]
    return np.stack([small(image) for image in photos + copies] + others + noise)


def all_pairs(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every ordered pair, an element with itself included."""
    a, b = np.divmod(np.arange(n * n, dtype=np.int64), n)
    return a, b


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0, 3.0])
def test_agreement_equals_the_oracle(noise: float) -> None:
    """From whole to part, as plain numpy has it, for fields that agree well and badly."""
    random = np.random.default_rng(44)
    for _ in range(20):
        one, other = (
            random.normal(size=(2, 31, 31)) * random.random((31, 31)) ** 3 for _ in range(2)
        )
        two = one + noise * other

        got = agreement(
            one.astype(np.float32), two.astype(np.float32), np.ones((32, 32), np.float32)
        )
        assert got == pytest.approx(oracle(one, two), abs=1e-5)


@pytest.mark.parametrize("left", [0.0, 0.04, 0.07])
@pytest.mark.parametrize("top", [0.0, 0.04, 0.07])
def test_a_crop_is_aligned(left: float, top: float) -> None:
    """A picture that lost a strip at some sides is the same picture still."""
    for seed in range(10):
        image = pictures.photo(seed)
        w, h = image.size
        cropped = image.crop((round(left * w), round(top * h), round(0.95 * w), round(0.95 * h)))

        assert one(small(image), small(cropped)) > 0.9


def test_either_picture_may_be_laid_over_the_other() -> None:
    """A crop of plain ground with a few strong lines fits when it is enlarged, and not when the
    whole is shrunk.
    """
    tile = Image.fromarray(skimage.data.camera()).crop((128, 256, 256, 512))
    crop = tile.crop((6, 13, 122, 243))

    assert one(small(tile), small(crop)) > 0.9
    assert one(small(crop), small(tile)) > 0.9


def test_a_softer_picture_is_the_same() -> None:
    """Of fine texture a blur by less than a pixel takes much: the sharper one is softened before
    they are compared.
    """
    sharp = small(Image.fromarray(skimage.data.gravel()))
    soft = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(0.7)))

    assert one(sharp, soft) > 0.95


def test_similarity_is_symmetric_and_bounded(thumbnails: NDArray[np.uint8]) -> None:
    """a with b is b with a, bit for bit, and every value lies in [0, 1]."""
    a, b = all_pairs(len(thumbnails))
    got = similarities(thumbnails, a, b)

    assert np.array_equal(got, similarities(thumbnails, b, a))
    assert 0.0 <= got.min() <= got.max() <= 1.0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_similarity_does_not_depend_on_threads_or_order(
    threads: int, thumbnails: NDArray[np.uint8]
) -> None:
    """The same values for any number of threads and any order of more pairs than one task takes."""
    a, b = (np.tile(side, 14) for side in all_pairs(len(thumbnails)))
    order = np.random.default_rng(41).permutation(len(a))
    assert len(a) > 16_384

    expected = similarities(thumbnails, a, b)
    got = similarities(thumbnails, a[order], b[order], threads=threads)
    assert np.array_equal(expected[order], got)


def test_the_same_picture_has_similarity_one() -> None:
    """A picture with itself has 1, and so has one that is only brighter."""
    grey = small(pictures.photo(42)) // 2 + 20

    assert one(grey, grey) == 1.0
    assert one(grey, grey + 60) == 1.0


@pytest.mark.parametrize("contrast", [0.5, 0.7, 0.9])
def test_contrast_hardly_counts(contrast: float) -> None:
    """A copy with less contrast stays far above what is accepted as the same picture."""
    for seed in range(5):
        image = pictures.photo(seed)
        assert one(small(image), small(image.point(lambda v: round(v * contrast) + 10))) > 0.97


def test_negative_is_not_similar() -> None:
    """A negative has all gradients reversed: 0, not 1."""
    grey = small(pictures.photo(42))

    assert one(grey, 255 - grey) == 0.0


def test_flat_pictures_are_similar_to_nothing() -> None:
    """Blank thumbnails have no gradients to agree in: 0 with each other, with themselves and with a
    photo.
    """
    flat, photo = np.full((32, 32), 128, np.uint8), small(pictures.photo(43))

    assert [0.0, 0.0, 0.0] == [one(flat, flat), one(flat, flat + 9), one(flat, photo)]


def test_different_photos_are_not_similar() -> None:
    """Photos of different things stay far below the accepted similarity, edited copies far
    above.
    """
    photos = np.stack([small(pictures.photo(seed)) for seed in range(40)])
    a, b = np.triu_indices(len(photos), 1)
    assert similarities(photos, a, b).max() < 0.6

    for seed in range(10):
        image = pictures.photo(seed)
        copy = Image.open(BytesIO(pictures.encoded(image.resize((90, 70)), "JPEG", quality=40)))
        assert one(small(image), small(copy)) > 0.95


def test_no_pairs() -> None:
    """No pairs are an empty result, not an error."""
    none = np.empty(0, np.int64)

    assert (0,) == similarities(np.zeros((1, 32, 32), np.uint8), none, none).shape
