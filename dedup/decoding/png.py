"""Small PNGs without the overhead of a general decoder: at 32 px opening a file costs Pillow more
than decoding it.

Only the plain kind is read here: 8 bits, grey or RGB, not interlaced, no transparency, every
checksum right. For anything else the result is None, and Pillow decides what the file is. The
pixels are Pillow's, bit for bit.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3}  # by colour type
_HARMLESS: Final = {b"sRGB": 1, b"gAMA": 4, b"pHYs": 9, b"cHRM": 32, b"tIME": 7}
"""Chunks that say nothing of the pixels as they are used here, and their lengths. Text may hold an
EXIF orientation.
"""

_MOST_PIXELS: Final = 1 << 16
"""Above, the overhead counts for little."""

_HEADER: Final = struct.Struct(">IIBBBBB")
_CHUNK: Final = struct.Struct(">I4s")


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded picture."""

    values: NDArray[np.uint8]  # (height, width), or (height, width, 3) where it has colours
    luma: NDArray[np.uint8]  # (height, width), as Pillow converts RGB


def pixels(data: bytes, max_pixels: int) -> Pixels | None:
    """The pixels of a small plain PNG, or None."""
    if data[:8] != _SIGNATURE:
        return None
    try:
        found = _chunks(data, min(max_pixels, _MOST_PIXELS))
        return None if found is None else _decoded(*found)
    except (struct.error, zlib.error):
        return None


def _chunks(data: bytes, max_pixels: int) -> tuple[int, int, int, bytes] | None:
    """Width, height, channels and the compressed rows."""
    at, size, parts = 8, None, []
    while True:
        length, name = _CHUNK.unpack_from(data, at)
        stop = at + 8 + length
        (stated,) = struct.unpack_from(">I", data, stop)
        if stated != zlib.crc32(data[at + 4 : stop]):
            return None
        if name == b"IHDR" and size is None and length == _HEADER.size and at == 8:
            width, height, depth, colour, *rest = _HEADER.unpack_from(data, at + 8)
            if (
                depth != 8
                or colour not in _CHANNELS
                or any(rest)
                or not 0 < width * height <= max_pixels
            ):
                return None
            size = width, height, _CHANNELS[colour]
        elif name == b"IDAT" and size is not None:
            parts.append(data[at + 8 : stop])
        elif name == b"IEND" and length == 0 and parts and size is not None:
            return *size, parts[0] if len(parts) == 1 else b"".join(parts)
        elif parts or _HARMLESS.get(name) != length:
            return None
        at = stop + 4


def _decoded(width: int, height: int, channels: int, compressed: bytes) -> Pixels | None:
    stride = 1 + width * channels
    inflate = zlib.decompressobj()
    rows = inflate.decompress(compressed, height * stride + 1)
    if len(rows) != height * stride or not inflate.eof or inflate.unused_data:
        return None

    filtered = np.frombuffer(rows, np.uint8).reshape(height, stride)
    plain = np.empty((height, stride - 1), np.uint8)
    luma = np.empty((height, width), np.uint8)
    colours = _unfilter(filtered, plain, luma)
    if colours < 0:
        return None

    return Pixels(plain.reshape(height, width, channels) if colours else luma, luma)


@inner
def _paeth(left: Any, up: Any, corner: Any) -> Any:
    """Without branches: which of the three it is cannot be foreseen."""
    to_left, to_up = abs(up - corner), abs(left - corner)
    nearer = left if to_left <= to_up else up
    return nearer if min(to_left, to_up) <= abs(left + up - corner - corner) else corner


@inner
def _grey_row(kind: Any, row: Any, above: Any, out: Any) -> None:
    """A row of one channel by the filters that look to the left: sub, average and Paeth."""
    left = corner = np.int32(0)
    for x in range(np.uint64(len(out))):
        up = np.int32(above[x])
        guess = _paeth(left, up, corner) if kind == 4 else left if kind == 1 else (left + up) >> 1
        left, corner = (np.int32(row[x]) + guess) & np.int32(255), up
        out[x] = left


@inner
def _colour_row(kind: Any, row: Any, above: Any, out: Any) -> None:
    """The same for three channels, side by side: each waits for the pixel before."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    left_r = left_g = left_b = corner_r = corner_g = corner_b = np.int32(0)

    for x in range(np.uint64(len(out)) // three):
        at = three * x
        up_r = np.int32(above[at])
        up_g = np.int32(above[at + one])
        up_b = np.int32(above[at + two])
        if kind == 4:
            r = _paeth(left_r, up_r, corner_r)
            g = _paeth(left_g, up_g, corner_g)
            b = _paeth(left_b, up_b, corner_b)
        elif kind == 1:
            r, g, b = left_r, left_g, left_b
        else:
            r, g, b = (left_r + up_r) >> 1, (left_g + up_g) >> 1, (left_b + up_b) >> 1
        left_r = (np.int32(row[at]) + r) & np.int32(255)
        left_g = (np.int32(row[at + one]) + g) & np.int32(255)
        left_b = (np.int32(row[at + two]) + b) & np.int32(255)
        out[at], out[at + one], out[at + two] = left_r, left_g, left_b
        corner_r, corner_g, corner_b = up_r, up_g, up_b


@inner
def _luma_of(plain: Any, luma: Any) -> Any:
    """Write the luma of rows of three channels; whether any pixel has a colour."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    colours = False

    for y in range(np.uint64(luma.shape[0])):
        for x in range(np.uint64(luma.shape[1])):
            at = three * x
            r = np.uint32(plain[y, at])
            g = np.uint32(plain[y, at + one])
            b = np.uint32(plain[y, at + two])
            # ITU-R 601-2 in 16 bits, as in Pillow.
            total = r * np.uint32(19595) + g * np.uint32(38470) + b * np.uint32(7471)
            luma[y, x] = (total + np.uint32(0x8000)) >> np.uint32(16)
            colours |= (r != g) | (g != b)

    return colours


@inner
def _copied(plain: Any, luma: Any) -> None:
    for y in range(np.uint64(luma.shape[0])):
        for x in range(np.uint64(luma.shape[1])):
            luma[y, x] = plain[y, x]


@compiled
def _unfilter(filtered: Any, plain: Any, luma: Any) -> Any:
    """Whether there are colours, 0 or 1, or -1 where a row has an unknown filter (PNG
    specification, section 9).
    """
    height, stride = np.uint64(luma.shape[0]), np.uint64(plain.shape[1])
    is_grey = luma.shape[1] == plain.shape[1]
    above = np.zeros(stride, np.uint8)

    for y in range(height):
        kind, row, out = filtered[y, 0], filtered[y, 1:], plain[y]
        if kind > 4:
            return -1
        if kind == 0:
            for x in range(stride):
                out[x] = row[x]
        elif kind == 2:
            for x in range(stride):
                out[x] = row[x] + above[x]
        elif is_grey:
            _grey_row(kind, row, above, out)
        else:
            _colour_row(kind, row, above, out)
        above = out

    if not is_grey:
        return 1 if _luma_of(plain, luma) else 0

    _copied(plain, luma)

    return 0
