"""Bytes to a normalised picture, or why not.

What is decided here, once, before anything is measured:

- the first frame of an animation or of a file with several pages;
- the EXIF orientation is applied;
- transparency is composited on a stated background (the digest of the pixels keeps the
  transparency);
- values of more than 8 bits are scaled to 8 (`depth`), palettes are looked up, CMYK and the like
  become RGB;
- colour profiles are not applied.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import import_module
from io import BytesIO
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dedup.decoding import jpeg
from dedup.decoding.depth import (
    eight_bit,
    joined,
    other_half,
    read_as,
    transparent,
    without_transparency,
)
from dedup.decoding.frames import digest_of_rest, n_frames
from dedup.decoding.losses import lossless
from dedup.decoding.orientation import PILLOW_NAMES, TURN_OF_EXIF
from dedup.decoding.refusals import NOT_IMAGE, form_of, rare, refusal, shows_image
from dedup.decoding.repairs import repaired
from dedup.tables import BROKEN

FORMATS: Final = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO", "JPEG2000", "PPM", "TGA", "ICO",
    "ICNS", "PSD", "QOI", "PCX", "SGI", "DDS", "DIB", "XBM", "XPM", "MSP", "SUN", "HEIF",
)  # fmt: skip
"""What is decoded: Pillow's raster formats. PostScript is left out because Pillow runs Ghostscript
on it.
"""

FILE_SUFFIXES: Final = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".avifs", ".mpo", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm",
    ".pfm", ".tga", ".ico", ".icns", ".psd", ".qoi", ".pcx", ".sgi", ".rgb", ".dds", ".xbm", ".xpm",
    ".msp", ".ras", ".heic", ".heif", ".jxl",
})  # fmt: skip
"""File names that an image folder takes for pictures, in lower case."""

_DECODER_ERRORS: Final = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, NameError, EOFError,
    ArithmeticError, NotImplementedError, RuntimeError, AssertionError, BufferError, struct.error,
    zlib.error,
)  # fmt: skip
"""What decoders were seen to raise on hostile files: each is a property of that file, so it becomes
its status.
"""

_ORIENTATION_TAG: Final = 0x0112


_NO_PIXELS: Final = "it has no pixels"


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, upright, 8 bits, mode L or RGB."""

    image: Image.Image
    format: str
    pixel_digest: bytes  # equal where size and every visible value agree, whatever the file format
    # a JPEG's quantisation steps, row by row; None for other formats
    luma_steps: tuple[int, ...] | None
    lossless: bool  # the file format keeps every value, whatever was done before
    width: int  # pixels, after the orientation is applied; of a large JPEG more than `image` has
    height: int
    n_frames: int = 1  # frames or pages; `image` is the first
    remark: str | None = None  # what was wrong with the file, beside its picture


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why there is no picture."""

    status: str  # one of tables.STATUSES but ok
    detail: str
    format: str | None = None
    width: int | None = None  # as the header says, where it was read
    height: int | None = None


def file_digest(data: bytes) -> bytes:
    """BLAKE3 of the stored bytes, 32 bytes."""
    return blake3(data).digest()


def open_picture(
    data: bytes, *, max_pixels: int, background: str = "#ffffff"
) -> Picture | Unreadable:
    """Decode and normalise; whatever is wrong with the file is returned, not raised.

    `max_pixels` is the largest width × height that is decoded; `background` (`#rrggbb`) shows
    through transparency.
    """
    if not data:
        return Unreadable("truncated", "the file is empty")

    found = _opened(data, max_pixels, background)
    if isinstance(found, Unreadable) and not shows_image(data):
        # Pillow takes what it finds plausible for TGA; only a picture that it decodes shows that it
        # is one.
        return Unreadable(NOT_IMAGE, refusal(data)[1])
    if isinstance(found, Picture) or found.status not in BROKEN:
        return found

    for repair in repaired(data):
        again = _opened(repair.data, max_pixels, background)
        if isinstance(again, Picture):
            return replace(again, remark=repair.remark)
        if again.status not in BROKEN:
            return again

    return found


def _opened(data: bytes, max_pixels: int, background: str) -> Picture | Unreadable:
    """What Pillow makes of a file as it is."""
    opened: Image.Image | None = None
    with warnings.catch_warnings(), _pixel_limit(jpeg.most_pixels(data, max_pixels)):
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=_known_formats()) as opened:
                size = opened.size
                if 0 in size:
                    return Unreadable("undecodable", _NO_PIXELS, opened.format, *size)
                is_large = size[0] * size[1] > max_pixels
                if is_large and not _scaled_down(opened, max_pixels):
                    return _too_large(*size, max_pixels, opened.format)
                half = other_half(opened)
                opened.load()
                picture = _normalise(opened, data, max_pixels, background, half)
                return _with_size(picture, size) if is_large else picture
        except UnidentifiedImageError:
            return Unreadable(*refusal(data))
        except Image.DecompressionBombError as error:
            stated = re.search(r"\((\d+) pixels\)", str(error))
            n_pixels = f"{int(stated[1]):,} pixels" if stated else str(error)
            return Unreadable(
                "too_large", f"{n_pixels}; the limit is hash.max_pixels = {max_pixels:,}"
            )
        except MemoryError:
            return Unreadable(
                "too_large",
                "not enough memory to decode it",
                None if opened is None else opened.format,
            )
        except _DECODER_ERRORS as error:
            return _undecodable(error, data, opened)


def _scaled_down(opened: Image.Image, max_pixels: int) -> bool:
    """Have a JPEG decoded at an eighth of its size, where that is small enough; False where it is
    not.
    """
    most = Image.MAX_IMAGE_PIXELS or max_pixels
    if opened.format not in {"JPEG", "MPO"} or opened.width * opened.height > most:
        return False

    opened.draft(None, (max(opened.width // jpeg.EIGHTH, 1), max(opened.height // jpeg.EIGHTH, 1)))

    return opened.width * opened.height <= max_pixels


def normalise(image: Image.Image, background: str = "#ffffff") -> Image.Image:
    """A decoded PIL image as a run would see it: upright, 8 bits, mode L or RGB."""
    return _eight_bit(_upright(image), background)[0]


def normalised(image: Image.Image, background: str = "#ffffff") -> Image.Image | Unreadable:
    """A PIL image as a run would see it, or why it cannot be: it may be opened and not decoded
    yet.
    """
    if 0 in image.size:
        return Unreadable("undecodable", _NO_PIXELS, image.format, *image.size)
    try:
        return normalise(image, background)
    except _DECODER_ERRORS as error:
        return _undecodable(error, b"", image)


def orientation_of(data: bytes) -> int | None:
    """The EXIF orientation as Pillow finds it, for metadata that need its patience: 1 where it
    finds none.

    None where Pillow refuses the file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=_known_formats()) as opened:
                return _orientation(opened) or 1
        except _DECODER_ERRORS:
            return None


def turned(image: Image.Image, transform: str) -> Image.Image:
    """The picture in one of the eight orientations of `tables.TRANSFORMS`."""
    if transform == "identity":
        return image

    return image.transpose(Image.Transpose[PILLOW_NAMES[transform]])


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    with suppress(ImportError):  # the extra `heif`
        import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _pixel_limit(max_pixels: int) -> Iterator[None]:
    """Pillow's own limit, set to ours meanwhile: it also guards pictures nested in containers."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _too_large(width: int, height: int, max_pixels: int, name: str | None) -> Unreadable:
    detail = f"{width} × {height} pixels; the limit is hash.max_pixels = {max_pixels:,}"
    return Unreadable("too_large", detail, name, width, height)


def _undecodable(error: Exception, data: bytes, opened: Image.Image | None) -> Unreadable:
    text = " ".join(str(error).split()) or type(error).__name__
    lower = text.lower()
    truncated = isinstance(error, EOFError) or "truncated" in lower or "unexpected end" in lower
    unsupported = (
        isinstance(error, NotImplementedError) or "unsupported" in lower or "not supported" in lower
    )
    status = "truncated" if truncated else "unsupported" if unsupported else "undecodable"

    if opened is None:
        form = form_of(data)
        name = None if form is None else form[0]
        return Unreadable(*(rare(data, name) or (status, text)), name)

    return Unreadable(status, text, opened.format, opened.width, opened.height)


def _normalise(
    opened: Image.Image, data: bytes, max_pixels: int, background: str, half: str | None = None
) -> Picture:
    """The loaded picture as runs see it. `half`: how the low bytes of its colours are read, where
    they have 16 bits.
    """
    tables = getattr(opened, "quantization", None)
    luma_steps = tuple(tables[0]) if isinstance(tables, dict) and tables.get(0) else None
    if half is None:
        image, digest = _eight_bit(_upright(opened), background)
    else:
        with Image.open(BytesIO(data), formats=[opened.format or ""]) as again:
            values = joined(_upright(opened), _upright(read_as(again, half)), half)
        image, digest = _of_wide_colours(values, background)

    name, is_lossless = opened.format or "unknown", lossless(opened, data)

    total = n_frames(opened, _DECODER_ERRORS)
    if total > 1:
        image = image.copy()  # others take the place of the first frame
        rest, total = digest_of_rest(opened, total, data, max_pixels, _DECODER_ERRORS)
        digest = blake3(digest + rest).digest() if rest else digest

    return Picture(image, name, digest, luma_steps, is_lossless, image.width, image.height, total)


def _with_size(scaled: Picture, size: tuple[int, int]) -> Picture:
    """A picture that was scaled down, with the size that its file states: identical only to others
    of that size.
    """
    is_wide = scaled.image.width >= scaled.image.height
    width, height = sorted(size, reverse=is_wide)
    digest = blake3(b"an eighth of %d x %d %s" % (width, height, scaled.pixel_digest)).digest()

    return replace(scaled, width=width, height=height, pixel_digest=digest)


def _upright(image: Image.Image) -> Image.Image:
    return turned(image, TURN_OF_EXIF.get(_orientation(image) or 1, "identity"))


def _orientation(image: Image.Image) -> int | None:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except _DECODER_ERRORS:  # broken metadata says nothing about the pixels
        return None
    return orientation if isinstance(orientation, int) else None


def _eight_bit(image: Image.Image, background: str) -> tuple[Image.Image, bytes]:
    """The normalised picture and the digest of its pixels."""
    if image.mode.startswith(("I", "F")):
        return _scaled(image)

    if _may_be_transparent(image):
        rgba = image.convert("RGBA")
        low, _ = rgba.getchannel("A").getextrema()
        if low == 255:
            image = rgba.convert("RGB")
        else:
            pixels = np.array(rgba)
            pixels[pixels[..., 3] == 0] = 0  # what cannot be seen does not count
            return _composited(rgba, background), pixel_digest(pixels)

    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")

    pixels = np.asarray(image)
    if pixels.ndim == 3 and (pixels[..., :1] == pixels[..., 1:]).all():
        pixels = pixels[..., 0]  # grey stored as colour is the same picture

    return image, pixel_digest(pixels)


def _may_be_transparent(image: Image.Image) -> bool:
    if (
        image.mode == "P" and image.palette is None
    ):  # Pillow reads such PNGs, and has no answer for them
        return "transparency" in image.info
    return image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or image.has_transparency_data


def _scaled(image: Image.Image) -> tuple[Image.Image, bytes]:
    """Pictures of 16 bits, 32 bits or floating point: stretched to be measured, digested as they
    are stored.
    """
    values = np.asarray(image)
    values = values.astype(values.dtype.newbyteorder("="))

    return _stretched(values, is_float=image.mode == "F")


def _of_wide_colours(values: NDArray[np.uint16], background: str) -> tuple[Image.Image, bytes]:
    """Colours of 16 bits, with or without transparency."""
    plain = without_transparency(values)
    if plain is not None:
        return _stretched(plain, is_float=False)

    eight, stored = transparent(values)

    return _composited(Image.fromarray(eight), background), pixel_digest(stored)


def _composited(rgba: Image.Image, background: str) -> Image.Image:
    below = Image.new("RGBA", rgba.size, background)
    return Image.alpha_composite(below, rgba).convert("RGB")


def _stretched(values: NDArray[Any], *, is_float: bool) -> tuple[Image.Image, bytes]:
    eight, is_exact = eight_bit(values, is_float=is_float)

    return Image.fromarray(eight), pixel_digest(eight if is_exact else values)


def pixel_digest(pixels: NDArray[np.generic]) -> bytes:
    """BLAKE3 of shape, type and values, so that 10 × 20 is not 20 × 10 and grey is not one channel
    of three.
    """
    return blake3(_kind(pixels.shape, pixels.dtype) + pixels.tobytes()).digest()


@lru_cache(maxsize=1024)
def _kind(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> bytes:
    return f"{shape} {dtype.str}".encode()
