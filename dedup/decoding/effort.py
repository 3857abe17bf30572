"""What a file's header says of the work that decoding it takes."""

import struct
from typing import Final

from dedup.decoding import jpeg

MOST_PIXELS: Final = 1 << 24
"""Of one picture: at 4,096 × 4,096 decoding and measuring took two seconds and less than 500 MB,
for a PNG, a JPEG and a WebP alike."""

_MOST_SIDE: Final = (1 << 16) - 1
"""Pixels. Each row has a cost of its own: 90,000,000 rows of one pixel took half a minute and
4 GB."""

_MOST_COEFFICIENTS: Final = 1 << 28
"""Pixels times scans. Every scan of a JPEG passes over all of its coefficients, however short the
scan is. Files as they are usually written have ten scans at most."""

_PNG: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_ANIMATED: Final = 0x02  # flag of an extended WebP


def is_light(data: bytes) -> bool:
    """Whether the header shows that decoding takes seconds at most, and some hundred megabytes.

    That is so for JPEGs of the plain kind, for PNGs and for WebPs, with one frame of a moderate
    size. Of anything else the header does not bound the work.
    """
    size = _size(data)
    if size is None:
        return False

    width, height = size

    return width * height <= MOST_PIXELS and max(width, height) <= _MOST_SIDE


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture of one frame, if the file is of a kind of which they bound the
    work.
    """
    try:
        if data.startswith(b"\xff\xd8"):
            return _of_jpeg(data)
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, len(_PNG))
            return None if b"acTL" in data else (width, height)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _of_webp(data)
    except (IndexError, struct.error):  # the file ends within its header
        return None

    return None


def _of_jpeg(data: bytes) -> tuple[int, int] | None:
    found = jpeg.header(data)
    if found is None:
        return None

    n_scans = data.count(b"\xff\xda")
    if n_scans * found.width * found.height > _MOST_COEFFICIENTS:
        return None

    return found.width, found.height


def _of_webp(data: bytes) -> tuple[int, int] | None:
    """RFC 9649, sections 2.5 to 2.7: one frame, lossy or lossless; or a canvas without
    animation.
    """
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF

    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)

    if kind == b"VP8X" and not data[20] & _ANIMATED:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")

    return None
