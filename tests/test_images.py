"""Bytes to a normalised picture, or why not."""

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import dedup
from dedup.decoding.pictures import (
    FILE_SUFFIXES,
    Picture,
    Unreadable,
    file_digest,
    normalise,
    open_picture,
)
from tests import pictures

MAX_PIXELS = 100_000_000

# What a camera stores for each EXIF orientation so that the viewer sees `upright`; written from the
# EXIF standard.
STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def opened(data: bytes, *, background: str = "#ffffff", max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture; fails when there is none."""
    picture = open_picture(data, max_pixels=max_pixels, background=background)
    assert isinstance(picture, Picture), picture
    return picture


def refused(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Unreadable:
    """Why there is no picture; fails when there is one."""
    reason = open_picture(data, max_pixels=max_pixels)
    assert isinstance(reason, Unreadable), reason
    assert reason.detail
    return reason


def digest(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """Digest of the pixels of the picture saved in a format."""
    return opened(pictures.encoded(image, form, **options)).pixel_digest


def pixels(data: bytes, *, background: str = "#ffffff") -> NDArray[np.uint8]:
    """Values of the normalised picture."""
    return np.asarray(opened(data, background=background).image)


def with_orientation(orientation: int) -> Image.Exif:
    """EXIF data with nothing but an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header is valid and names a size, and whose pixels are missing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 64)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def icon(colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """A filled rectangle of one colour on full transparency of the same colour."""
    alpha = Image.new("L", (32, 24), 0)
    alpha.paste(255, box)
    image = Image.new("RGB", (32, 24), colour)
    image.putalpha(alpha)
    return image


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_the_same_picture(orientation: int, form: str) -> None:
    """The eight ways a camera can store one picture give the same size, pixels and digest."""
    upright = np.asarray(pictures.photo(1, (31, 20)))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    got = opened(pictures.encoded(stored, form, exif=with_orientation(orientation), **options))

    assert (got.width, got.height) == (31, 20)
    assert np.array_equal(upright, np.asarray(got.image))
    assert digest(Image.fromarray(upright)) == got.pixel_digest


def test_mirrored_pictures_differ() -> None:
    """Without an orientation in the file, a mirrored picture is another picture."""
    image = pictures.photo(1)

    assert digest(image) != digest(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_ignored(orientation: int) -> None:
    """An orientation that EXIF does not define leaves the picture as it is stored."""
    image = pictures.photo(1)

    assert digest(image) == digest(image, exif=with_orientation(orientation))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x05\0\0\0\x01\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",
    ],
    ids=[
        "empty",
        "no TIFF",
        "offset beyond the end",
        "entries beyond the end",
        "orientation is a text",
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_broken_exif_does_not_matter(exif: bytes, form: str) -> None:
    """Metadata that cannot be read says nothing about the pixels: they are read as if it were not
    there.
    """
    image = pictures.photo(1)

    assert digest(image, form) == digest(image, form, exif=exif)


# --- transparency ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("background", "colour"), [("#ffffff", (255, 255, 255)), ("#204060", (0x20, 0x40, 0x60))]
)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_composited_on_the_background(
    form: str, background: str, colour: tuple[int, int, int]
) -> None:
    """Every pixel is the mean of picture and background, weighted with alpha; 1 grey level of
    rounding is allowed.
    """
    random = np.random.default_rng(5)
    rgba = random.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    got = pixels(pictures.encoded(Image.fromarray(rgba), form, **options), background=background)

    alpha = rgba[..., 3:] / 255.0
    expected = rgba[..., :3] * alpha + np.array(colour) * (1 - alpha)
    assert got.shape == (20, 30, 3)
    assert np.abs(expected - got).max() <= 1


def test_black_shapes_on_transparency_differ() -> None:
    """Two black shapes on transparent black are two pictures, not two black rectangles."""
    first, second = icon((0, 0, 0), (2, 2, 10, 20)), icon((0, 0, 0), (12, 4, 30, 9))

    assert digest(first) != digest(second)
    assert not np.array_equal(pixels(pictures.encoded(first)), pixels(pictures.encoded(second)))
    assert pixels(pictures.encoded(first)).max() == 255


def test_white_icons_on_transparency_are_not_equal() -> None:
    """Two white icons look the same on white, but their digests keep the transparency."""
    first, second = icon((255, 255, 255), (2, 2, 10, 20)), icon((255, 255, 255), (12, 4, 30, 9))

    assert np.array_equal(pixels(pictures.encoded(first)), pixels(pictures.encoded(second)))
    assert digest(first) != digest(second)


def test_colour_of_invisible_pixels_does_not_count() -> None:
    """What lies under full transparency cannot be seen, so pictures that differ only there are the
    same.
    """
    rgba = np.array(icon((200, 10, 10), (5, 5, 20, 20)))
    other = rgba.copy()
    other[rgba[..., 3] == 0, :3] = (1, 2, 3)

    assert digest(Image.fromarray(rgba)) == digest(Image.fromarray(other))


def test_opaque_alpha_is_no_alpha() -> None:
    """A picture with an alpha channel that hides nothing is the picture without it; one that hides
    a pixel is not.
    """
    image = pictures.photo(2)
    opaque = image.copy()
    opaque.putalpha(255)
    alpha = Image.new("L", image.size, 255)
    alpha.putpixel((0, 0), 254)
    transparent = image.copy()
    transparent.putalpha(alpha)

    assert digest(image) == digest(opaque)
    assert digest(image) != digest(transparent)


# --- the digest -----------------------------------------------------------------------------------


def test_shape_counts() -> None:
    """10 × 20 and 20 × 10 pixels of the same values in the same order are two pictures."""
    values = np.random.default_rng(6).integers(0, 256, 200, dtype=np.uint8)

    assert digest(Image.fromarray(values.reshape(10, 20))) != digest(
        Image.fromarray(values.reshape(20, 10))
    )
    assert digest(Image.new("L", (10, 20), 7)) != digest(Image.new("L", (20, 10), 7))


def test_grey_in_any_mode_is_the_same_picture() -> None:
    """Grey stored as L, RGB, RGBA, LA and as a palette is one picture; a tint of one level is
    another.
    """
    grey = pictures.photo(3).convert("L")
    colour = grey.convert("RGB")
    tinted = colour.copy()
    tinted.putpixel((4, 4), (10, 10, 11))
    palette = grey.copy()
    palette.putpalette([level for level in range(256) for _ in range(3)])

    for same in (colour, grey.convert("RGBA"), grey.convert("LA"), palette):
        assert digest(grey) == digest(same), same.mode
    assert digest(grey) != digest(tinted)


def test_a_grey_picture_is_not_one_channel_of_another() -> None:
    """L of width 3 w is not RGB of width w with the same bytes."""
    values = np.random.default_rng(7).integers(0, 256, (10, 12), dtype=np.uint8)

    assert digest(Image.fromarray(values)) != digest(Image.fromarray(values.reshape(10, 4, 3)))


def test_png_of_a_jpeg_is_that_jpeg() -> None:
    """A JPEG and what is decoded from it, saved losslessly in several formats, have the same
    pixels.
    """
    jpeg = pictures.encoded(pictures.photo(4), "JPEG", quality=80)
    decoded = Image.open(BytesIO(jpeg)).convert("RGB")

    for form in ("PNG", "BMP", "TIFF", "PPM"):
        assert opened(jpeg).pixel_digest == digest(decoded, form), form
    assert opened(jpeg).pixel_digest != digest(decoded, "JPEG", quality=40)


def test_palette_is_looked_up() -> None:
    """A palette picture equals the RGB picture with the colours of its palette, not its indices."""
    palette = pictures.photo(5).quantize(64)
    colours = np.asarray(palette.getpalette(), dtype=np.uint8).reshape(-1, 3)
    expected = colours[np.asarray(palette)]

    assert np.array_equal(expected, pixels(pictures.encoded(palette)))
    assert digest(Image.fromarray(expected)) == digest(palette)


def test_a_shuffled_picture_is_another_one() -> None:
    """The same pixels in another order have the same sum and histogram but another digest."""
    values = np.asarray(pictures.photo(6)).reshape(-1, 3)
    shuffled = np.random.default_rng(8).permutation(values)
    assert values.sum() == shuffled.sum()

    assert digest(Image.fromarray(values.reshape(120, 160, 3))) != digest(
        Image.fromarray(shuffled.reshape(120, 160, 3))
    )


def test_file_digest_is_blake3() -> None:
    """The digest of a file is its BLAKE3, as any other tool computes it: the published value for no
    bytes.
    """
    expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

    assert expected == file_digest(b"").hex()


# --- depth ----------------------------------------------------------------------------------------


def sixteen(values: NDArray[np.uint16]) -> Image.Image:
    """A grey picture of 16 bits."""
    return Image.fromarray(values.astype(np.uint16))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_saturated(form: str) -> None:
    """A ramp over all 65,536 values becomes a ramp over all 256, each value v/257 rounded."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = pixels(pictures.encoded(sixteen(ramp), form))

    assert np.array_equal(np.floor(ramp / 257 + 0.5).astype(np.uint8), got)
    assert np.count_nonzero(got == 255) < 300


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_that_hold_eight_are_the_same_picture(form: str) -> None:
    """v · 257 in 16 bits is v in 8; one that lies between two of these is another picture."""
    eight = np.asarray(pictures.photo(7).convert("L"))
    stretched = eight.astype(np.uint16) * 257
    between = stretched.copy()
    between[3, 3] += 1 if between[3, 3] < 65535 else -1

    assert digest(Image.fromarray(eight)) == digest(sixteen(stretched), form)
    assert digest(Image.fromarray(eight)) != digest(sixteen(between), form)
    assert digest(sixteen(stretched), form) != digest(sixteen(between), form)


def test_sixteen_bits_in_the_other_byte_order() -> None:
    """The byte order of a TIFF is no property of its pixels."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)[:, ::3]

    little = digest(Image.frombytes("I;16", (86, 256), ramp.astype("<u2").tobytes()), "TIFF")
    big = digest(Image.frombytes("I;16B", (86, 256), ramp.astype(">u2").tobytes()), "TIFF")
    assert little == big


def test_floating_point_and_32_bits() -> None:
    """0..1 and 0..255 in floating point and 0..65535 in 32 bits are the whole range from black to
    white.
    """
    expected = np.arange(256, dtype=np.uint8).reshape(16, 16)
    unit = Image.fromarray((expected / 255.0).astype(np.float32))
    levels = Image.fromarray(expected.astype(np.float32))
    wide = Image.fromarray(expected.astype(np.int32) * 257)

    for image in (unit, levels, wide):
        assert np.array_equal(expected, pixels(pictures.encoded(image, "TIFF"))), image.mode


def test_floating_point_beyond_any_range_is_stretched() -> None:
    """Values below zero or above the range are stretched from the lowest to the highest."""
    values = np.linspace(-1000, 3000, 256, dtype=np.float32).reshape(16, 16)
    got = pixels(pictures.encoded(Image.fromarray(values), "TIFF"))

    assert (0, 255) == (got.min(), got.max())
    assert np.abs(np.arange(256).reshape(16, 16) - got.astype(int)).max() <= 1


@pytest.mark.parametrize("hostile", [np.nan, np.inf, -np.inf])
def test_floating_point_that_is_no_number(hostile: float) -> None:
    """A picture with NaN or infinity, or of nothing else, is decoded without an error or a
    warning.
    """
    some = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    some[2, 2] = hostile
    every = np.full((8, 8), hostile, dtype=np.float32)

    for values in (some, every):
        assert pixels(pictures.encoded(Image.fromarray(values), "TIFF")).shape == (8, 8)


# --- modes, sizes, frames -------------------------------------------------------------------------


def transparent_palette() -> bytes:
    """A PNG with a palette of which one colour is transparent."""
    return pictures.encoded(pictures.photo(8).quantize(16), "PNG", transparency=3)


MODES: dict[str, Callable[[], bytes]] = {
    "1": lambda: pictures.encoded(pictures.photo(8).convert("1")),
    "L": lambda: pictures.encoded(pictures.photo(8).convert("L")),
    "LA": lambda: pictures.encoded(pictures.photo(8).convert("LA")),
    "P": lambda: pictures.encoded(pictures.photo(8).quantize(16)),
    "P with transparency": transparent_palette,
    "RGB with a transparent colour": lambda: pictures.encoded(
        pictures.photo(8), transparency=(1, 2, 3)
    ),
    "RGBA": lambda: pictures.encoded(pictures.photo(8).convert("RGBA")),
    "CMYK": lambda: pictures.encoded(pictures.photo(8).convert("CMYK"), "JPEG"),
    "CMYK TIFF": lambda: pictures.encoded(pictures.photo(8).convert("CMYK"), "TIFF"),
    "YCbCr": lambda: pictures.encoded(pictures.photo(8).convert("YCbCr"), "TIFF"),
    "LAB": lambda: pictures.encoded(Image.new("LAB", (160, 120), (9, 9, 9)), "TIFF"),
    "I;16": lambda: pictures.encoded(Image.new("I;16", (160, 120), 999)),
    "I": lambda: pictures.encoded(Image.new("I", (160, 120), 999), "TIFF"),
    "F": lambda: pictures.encoded(Image.new("F", (160, 120), 0.5), "TIFF"),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_eight_bits(mode: str) -> None:
    """Whatever mode a file has, the picture is L or RGB and has the size of the file."""
    got = opened(MODES[mode]())

    assert got.image.mode in {"L", "RGB"}
    assert (got.width, got.height) == (160, 120)
    assert len(got.pixel_digest) == 32


def test_colours_of_other_models() -> None:
    """CMYK is black where K is full and white where no ink is, and YCbCr is the colour it was made
    from.
    """
    paper, black = (
        Image.new("CMYK", (8, 8), (0, 0, 0, 0)),
        Image.new("CMYK", (8, 8), (0, 0, 0, 255)),
    )
    red = Image.new("YCbCr", (8, 8), (76, 85, 255))

    assert (pixels(pictures.encoded(paper, "TIFF")) == 255).all()
    assert (pixels(pictures.encoded(black, "TIFF")) == 0).all()
    assert np.abs(pixels(pictures.encoded(red, "TIFF")).astype(int) - (254, 0, 0)).max() <= 2


def test_transparent_palette_colour_shows_the_background() -> None:
    """A palette colour that is declared transparent is composited, and no other is."""
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 1)
    got = pixels(pictures.encoded(image, "PNG", transparency=1), background="#ff0080")

    assert (255, 0, 128) == tuple(got[0, 0])
    assert (got.reshape(-1, 3)[1:] == (10, 20, 30)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    """A single pixel and a line of 5000 are pictures like any other."""
    got = opened(pictures.encoded(pictures.photo(9, size)))

    assert (size, size) == ((got.width, got.height), got.image.size)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_only_the_first_frame_counts(form: str) -> None:
    """What is measured of an animation or a file of several pages is its first frame."""
    first = pictures.photo(10, (40, 30))
    options = {"lossless": True} if form == "WEBP" else {}
    films = [
        pictures.encoded(
            first, form, save_all=True, append_images=[pictures.photo(seed, (40, 30))], **options
        )
        for seed in (11, 12)
    ]

    assert films[0] != films[1]
    assert opened(films[0]).image.tobytes() == opened(films[1]).image.tobytes()
    if form != "GIF":  # which has to reduce the colours
        assert first.tobytes() == opened(films[0]).image.tobytes()


def test_formats_and_names() -> None:
    """What Pillow can save under a usual name is read again, and its name is one that an image
    folder accepts.
    """
    for suffix, form in Image.registered_extensions().items():
        usual = form in {
            "JPEG",
            "PNG",
            "WEBP",
            "GIF",
            "BMP",
            "TIFF",
            "JPEG2000",
            "PPM",
            "TGA",
            "ICO",
            "AVIF",
            "QOI",
        }
        if usual and suffix in FILE_SUFFIXES and form in Image.SAVE:
            assert opened(pictures.encoded(pictures.photo(13, (32, 32)), form)).format == form


def test_normalise_equals_the_file() -> None:
    """A PIL image given from memory is normalised as the file it was read from."""
    upright = np.asarray(pictures.photo(1, (31, 20)))
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](upright)))
    data = pictures.encoded(stored, "PNG", exif=with_orientation(6))

    assert np.array_equal(upright, np.asarray(normalise(Image.open(BytesIO(data)))))


# --- what cannot be read --------------------------------------------------------------------------


def test_empty_file_is_truncated() -> None:
    """A file of no bytes is one whose content was lost."""
    assert refused(b"").status == "truncated"


@pytest.mark.parametrize("data", [b"this is a text, not a picture\n" * 9, b"\0" * 500, b"x"])
def test_what_does_not_begin_as_an_image(data: bytes) -> None:
    """Text, zeros and a single byte do not begin as any image does."""
    assert refused(data).status == "not_image"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_files_are_truncated(form: str, share: float) -> None:
    """A file that ends early is truncated, not decoded to its upper half; the header's size and
    format are kept.
    """
    data = pictures.encoded(pictures.photo(14), form)
    got = refused(data[: int(len(data) * share)])

    assert got.status == "truncated"
    assert got.format == form
    assert (160, 120) == (got.width, got.height)


def test_cut_webp_is_refused() -> None:
    """A WebP that ends early has a status too; its decoder does not tell a cut file from a damaged
    one.
    """
    data = pictures.encoded(pictures.photo(14), "WEBP")

    for end in (len(data) // 10, len(data) // 2, len(data) - 1):
        assert refused(data[:end]).status in {"truncated", "undecodable"}


def test_cut_at_every_place() -> None:
    """Wherever a small JPEG or PNG is cut, the answer is a picture or a status, never an exception
    or a warning.
    """
    for form in ("JPEG", "PNG"):
        data = pictures.encoded(pictures.photo(15, (16, 16)), form)
        for end in range(len(data)):
            got = open_picture(data[:end], max_pixels=MAX_PIXELS)
            assert isinstance(got, Picture) or got.status in {"truncated", "undecodable"}, (
                form,
                end,
            )


def test_damaged_at_every_place() -> None:
    """Whichever byte of a small file is damaged, the answer is a picture or a status of the known
    ones.
    """
    known = {"missing", "undecodable", "truncated", "too_large", "unsupported", "not_image"}
    for form in ("JPEG", "PNG", "GIF", "TIFF", "BMP"):
        data = pictures.encoded(pictures.photo(16, (9, 7)), form)
        for place in range(0, min(len(data), 900), 3):
            broken = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
            got = open_picture(broken, max_pixels=1_000_000)
            assert isinstance(got, Picture) or got.status in known, (form, place)


def test_broken_header_is_undecodable() -> None:
    """A file that starts like a PNG but whose header is damaged says so."""
    data = bytearray(pictures.encoded(pictures.photo(14)))
    data[8:16] = b"\xff" * 8
    got = refused(bytes(data))

    assert got.status == "undecodable"
    assert "PNG" in got.detail


@pytest.mark.parametrize("size", [(20_000, 20_000), (1, 2_000_000_000), (10_001, 10_000)])
def test_header_that_claims_too_much(size: tuple[int, int]) -> None:
    """A tiny file that claims more pixels than the limit is refused before it is decoded, and the
    limit is named.
    """
    got = refused(png_claiming(*size))

    assert got.status == "too_large"
    assert "hash.max_pixels" in got.detail
    assert "100,000,000" in got.detail


def test_real_bomb() -> None:
    """A file of some kilobytes that would decode to more than the limit is refused; its size is
    kept.
    """
    data = pictures.encoded(Image.new("1", (12_000, 12_000)))
    assert len(data) < 100_000
    got = refused(data)

    assert got.status == "too_large"
    assert (12_000, 12_000) == (got.width, got.height)


def test_pixel_limit_is_inclusive() -> None:
    """A picture of exactly the limit is decoded, one pixel less is too large, at once and at twice
    the limit too.
    """
    data = pictures.encoded(pictures.photo(1, (40, 30)))

    assert opened(data, max_pixels=1200).width == 40
    for limit in (1199, 600, 599, 1):
        got = refused(data, max_pixels=limit)
        assert got.status == "too_large"
        assert f"hash.max_pixels = {limit:,}" in got.detail


UNSUPPORTED = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200,
    "HEIF": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 200,
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>',
    "SVG with a prologue": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg"></svg>'
    ),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "JPEG XL": b"\xff\x0a" + b"\x10" * 100,
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_formats_that_are_not_decoded_are_named(name: str) -> None:
    """A format that is known but not decoded is unsupported, not broken, and the detail says which
    it is.
    """
    got = refused(UNSUPPORTED[name])

    assert got.status == "unsupported"
    assert name.partition(" with")[0] in got.detail


# --- side effects ---------------------------------------------------------------------------------


def test_pillows_limit_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's global limit is what it was before, whether the file was read, refused or broken."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123_456)
    for data in (pictures.encoded(pictures.photo(1)), png_claiming(99_999, 99_999), b"", b"text"):
        open_picture(data, max_pixels=5000)

        assert Image.MAX_IMAGE_PIXELS == 123_456


def test_callers_limit_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller set for Pillow neither refuses a picture within our limit nor admits one
    beyond.
    """
    data = pictures.encoded(pictures.photo(1))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert opened(data).width == 160

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert refused(data, max_pixels=100).status == "too_large"


def test_warnings_stay_inside() -> None:
    """Files about which Pillow warns give no warning, and the caller's filters are left alone."""
    data = pictures.encoded(pictures.photo(1))
    palette = pictures.encoded(pictures.photo(8).quantize(16), "PNG", transparency=bytes(range(16)))
    broken_exif = pictures.encoded(
        pictures.photo(1), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        for file, limit in ((data, 10_000), (palette, 99_999), (broken_exif, 99_999)):
            open_picture(file, max_pixels=limit)

        assert [] == caught
        assert filters == list(warnings.filters)


@pytest.mark.parametrize("mode", ["fast", "compat"])
def test_heic(tmp_path: Path, mode: str) -> None:
    """With the extra `heif` a HEIC file is a picture like any other: hashed, and paired with its
    JPEG.
    """
    heif = pytest.importorskip("pillow_heif")
    for number in range(2):
        image = pictures.photo(number)
        stored = BytesIO()
        heif.from_pillow(image).save(stored, quality=90)
        (tmp_path / f"{number}.heic").write_bytes(stored.getvalue())
        pictures.save(image, tmp_path / f"{number}.jpg", quality=90)
    (tmp_path / "2.heic").write_bytes(stored.getvalue()[:-900])
    run = dedup.run(
        {"dataset": {"path": str(tmp_path)}, "hash": {"mode": mode}, "cache": {"folder": None}}
    )

    assert ["HEIF", "JPEG", "HEIF", "JPEG"] == run.hashes["format"].to_pylist()[:4]
    assert ["ok"] * 4 == run.hashes["status"].to_pylist()[:4]
    assert run.hashes["status"][4].as_py() != "ok"
    pairs = set(zip(run.pairs["id_a"].to_pylist(), run.pairs["id_b"].to_pylist(), strict=True))
    assert pairs == {("0.heic", "0.jpg"), ("1.heic", "1.jpg")}
