"""Small PNGs without the overhead of a general decoder: at 32 px opening a file costs Pillow more than decoding it.

Only the plain kind is read here: 8 bits, grey or RGB, not interlaced, no transparency, every checksum right. For
anything else the result is None, and Pillow decides what the file is. The pixels are Pillow's, bit for bit.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3}  # by colour type
_HARMLESS: Final = {b"sRGB": 1, b"gAMA": 4, b"pHYs": 9, b"cHRM": 32, b"tIME": 7}
"""Chunks that say nothing of the pixels as they are used here, and their lengths. Text may hold an EXIF orientation."""

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
            if depth != 8 or colour not in _CHANNELS or any(rest) or not 0 < width * height <= max_pixels:
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
    colours = _unfilter(filtered, channels, plain, luma)
    if colours < 0:
        return None
    return Pixels(plain.reshape(height, width, channels) if colours else luma, luma)


@compiled
def _unfilter(filtered: Any, channels: Any, plain: Any, luma: Any) -> Any:
    """Whether there are colours, 0 or 1, or -1 where a row has an unknown filter (PNG specification, section 9)."""
    height, stride = plain.shape
    for y in range(height):
        kind = filtered[y, 0]
        if kind > 4:
            return -1
        for x in range(stride):
            value = np.int32(filtered[y, x + 1])
            left = np.int32(plain[y, x - channels]) if x >= channels else np.int32(0)
            up = np.int32(plain[y - 1, x]) if y > 0 else np.int32(0)
            if kind == 1:
                value += left
            elif kind == 2:
                value += up
            elif kind == 3:
                value += (left + up) >> 1
            elif kind == 4:
                corner = np.int32(plain[y - 1, x - channels]) if x >= channels and y > 0 else np.int32(0)
                to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                if to_left <= to_up and to_left <= to_corner:
                    value += left
                elif to_up <= to_corner:
                    value += up
                else:
                    value += corner
            plain[y, x] = value & 255
    if channels == 1:
        luma[:] = plain
        return 0
    colours = False
    for y in range(height):
        for x in range(luma.shape[1]):
            r, g, b = np.uint32(plain[y, 3 * x]), np.uint32(plain[y, 3 * x + 1]), np.uint32(plain[y, 3 * x + 2])
            luma[y, x] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16  # ITU-R 601-2 in 16 bits, as in Pillow
            colours |= r != g or g != b
    return 1 if colours else 0
