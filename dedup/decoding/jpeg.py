"""JPEG files without their metadata: what the header says, the luma at the scale that hashing
needs, and a digest.

Only the plain kind is read here, which is nearly all there is: baseline or progressive, 8 bits,
grey or YCbCr, decoded without a warning. For anything else the functions give None, and Pillow
decides what the file is.
"""

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import simplejpeg
from blake3 import blake3
from numpy.typing import NDArray

_SOI: Final = b"\xff\xd8"
_BARE: Final = _SOI + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
"""The first bytes of a JPEG without metadata, as libjpeg writes it: JFIF 1.01, square pixels."""
_SOS, _DQT, _DNL = 0xDA, 0xDB, 0xDC
_PLAIN_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_TABLES: Final = frozenset({_DQT, 0xC4, 0xDD})  # with DHT and DRI
_METADATA: Final = frozenset({*range(0xE0, 0xF0), 0xFE})  # APPn and COM
EIGHTH: Final = 8
"""The smallest scale at which libjpeg decodes: one pixel of a block of 8 × 8."""

_BASELINE, _PROGRESSIVE = 8, 2
"""How many times `hash.max_pixels` a JPEG may have: that bounds the time, as an eighth of each side
is in memory.
"""

_WHOLE_FROM: Final = (
    (0xE0, b"JFIF", 14),
    (0xEE, b"Adobe", 12),
    (0xE2, b"ICC_PROFILE\0", 14),
)
"""APP segments that mean something from a number of bytes on: libjpeg ignores a shorter JFIF or
Adobe segment, which changes the colours, and Pillow refuses the file."""
_RGB: Final = b"RGB"  # component names with which libjpeg takes the values for RGB
_ORIENTATION: Final = 0x0112

_ZIGZAG: Final = sorted(
    range(64), key=lambda at: (sum(divmod(at, 8)), divmod(at, 8)[sum(divmod(at, 8)) % 2 == 0])
)
_STORED_AT: Final = sorted(range(64), key=_ZIGZAG.__getitem__)
"""Where the value of each place in the block, row by row, is stored."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the segments before the first scan say."""

    width: int  # pixels, as stored
    height: int
    orientation: int | None  # EXIF's 1 to 8; None where Pillow must be asked
    luma_steps: tuple[int, ...] | None  # quantisation table 0, row by row
    # parts of the file that decide its pixels: half-open intervals of bytes
    pieces: tuple[tuple[int, int], ...]
    is_progressive: bool = False


def most_pixels(data: bytes, max_pixels: int) -> int:
    """The largest width × height that is decoded: of a JPEG more, as it is decoded at an eighth of
    its size.

    A progressive one is in memory whole, as coefficients, whatever the size of the picture; so may
    be what is not plain.
    """
    if data[:2] != _SOI:
        return max_pixels

    found = header(data)

    return max_pixels * (_PROGRESSIVE if found is None or found.is_progressive else _BASELINE)


def header(data: bytes) -> Header | None:
    """The header of a plain JPEG, or None."""
    if data[:2] != _SOI:
        return None
    try:
        return _segments(data)
    except (IndexError, struct.error):
        return None


def luma(data: bytes, min_side: int) -> NDArray[np.uint8] | None:
    """The luma, shape (height, width), at the smallest scale of n/8 that keeps both sides at
    `min_side` or more.

    None where the decoder has anything to complain about, be it the missing end of the picture.
    """
    try:
        decoded = simplejpeg.decode_jpeg(
            data, "GRAY", fastdct=False, min_height=min_side, min_width=min_side
        )
    except (ValueError, MemoryError):
        return None

    levels: NDArray[np.uint8] = decoded[..., 0]

    return levels


def stream_digest(data: bytes, found: Header, turn: str, own: bytes) -> bytes:
    """BLAKE3 of the turn and of the file without its metadata: equal where only they differ.

    `own` is the BLAKE3 of the file as it is. A file whose only metadata is the header that libjpeg
    writes is not read a second time: what the others are without theirs is defined to have that
    one.
    """
    start = len(_BARE)
    if found.pieces == ((start, len(data)),) and data[:start] == _BARE:
        bare = own
    else:
        digest, view = blake3(_BARE), memoryview(data)
        for start, stop in found.pieces:
            digest.update(view[start:stop])
        bare = digest.digest()

    return blake3(b"jpeg %s %s" % (turn.encode(), bare)).digest()


def _segments(data: bytes) -> Header | None:
    at, seen = 2, _Seen()
    pieces: list[tuple[int, int]] = []

    while data[at + 1] != _SOS or data[at] != 0xFF:
        if data[at] != 0xFF:
            return None
        marker, stop = data[at + 1], at + 2 + (data[at + 2] << 8) + data[at + 3]
        if not seen.take(marker, data, at, stop):
            return None
        if marker not in _METADATA:
            _append(pieces, at, stop)
        at = stop

    if seen.size is None or 0 in seen.size or not seen.is_ycbcr():
        return None

    _append(pieces, at, len(data))

    return Header(*seen.size, seen.orientation(), seen.steps, tuple(pieces), seen.is_progressive)


@dataclass(slots=True)
class _Seen:
    """What the segments said so far."""

    size: tuple[int, int] | None = None  # width, height
    names: bytes = b""  # of the components, a byte each
    steps: tuple[int, ...] | None = None
    is_progressive: bool = False
    has_jfif: bool = False
    adobe: int | None = None  # its byte on colours
    exif: list[bytes] = field(default_factory=list)
    has_xmp_orientation: bool = False

    def take(self, marker: int, data: bytes, at: int, stop: int) -> bool:
        """Note the segment between two places; False where only Pillow may judge the file."""
        if marker in _METADATA:
            return self._metadata(marker, data, at, stop)
        if marker in _PLAIN_FRAMES and self.size is None:
            return self._frame(marker, data, at)
        if marker == _DQT:
            self.steps = _steps(data[at + 4 : stop]) or self.steps

        return marker in _TABLES

    def _metadata(self, marker: int, data: bytes, at: int, stop: int) -> bool:
        start = data[at + 4 : at + 18]
        if _is_odd(marker, start, data[max(at + 4, stop - 6) : stop], stop - at - 4):
            return False

        if marker == 0xE0 and start.startswith(b"JFIF\0"):
            self.has_jfif = True
        elif marker == 0xEE and start.startswith(b"Adobe"):
            self.adobe = data[at + 15]
        elif marker == 0xE1 and start.startswith(b"Exif\0\0"):
            self.exif.append(data[at + 10 : stop])
        elif marker == 0xE1:
            self.has_xmp_orientation |= b"Orientation" in data[at:stop]

        return True

    def _frame(self, marker: int, data: bytes, at: int) -> bool:
        precision, height, width, n_components = struct.unpack_from(">BHHB", data, at + 4)
        if precision != 8 or n_components not in {1, 3}:
            return False

        self.size, self.names = (width, height), data[at + 10 : at + 10 + 3 * n_components : 3]
        self.is_progressive = marker == 0xC2

        return True

    def is_ycbcr(self) -> bool:
        """Whether libjpeg takes the values for grey levels or for YCbCr."""
        if len(self.names) == 1:
            return True
        if self.adobe is not None:
            return self.adobe == 1

        return self.has_jfif or self.names != _RGB

    def orientation(self) -> int | None:
        """EXIF's; None where it is silent and XMP may not be, as Pillow reads that then."""
        found = _orientation(self.exif)
        return None if found == 1 and self.has_xmp_orientation else found


def _is_odd(marker: int, start: bytes, end: bytes, n_bytes: int) -> bool:
    """Whether a segment of metadata, of `n_bytes` without marker and length, is one that only
    Pillow may judge.

    `start` holds the first bytes of the segment or, where it is shorter, bytes that follow it.
    """
    if (marker, start[:4]) == (0xE2, b"MPF\0"):
        return True  # several pictures in one file
    if (marker, start) == (0xED, b"Photoshop 3.0\0"):
        return end[:4] == b"8BIM"  # Pillow reads one byte more than there is

    return any(
        marker == kind and start.startswith(name) and n_bytes < least
        for kind, name, least in _WHOLE_FROM
    )


def _append(pieces: list[tuple[int, int]], start: int, stop: int) -> None:
    """One piece more, or the last one longer."""
    if pieces and pieces[-1][1] == start:
        start = pieces.pop()[0]
    pieces.append((start, stop))


@lru_cache(maxsize=1024)  # a dataset's files have few tables between them
def _steps(segment: bytes) -> tuple[int, ...] | None:
    at = 0
    while at < len(segment):
        precision, name = divmod(segment[at], 16)
        n_bytes = 128 if precision else 64
        if name == 0:
            stored = struct.unpack_from(">64H" if precision else "64B", segment, at + 1)
            return tuple(stored[place] for place in _STORED_AT)
        at += 1 + n_bytes

    return None


def _orientation(exif: list[bytes]) -> int | None:
    """Of the first directory of well-formed EXIF data; 1 where it is silent, None where the data
    are odd.
    """
    if not exif:
        return 1

    tiff = exif[0]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(exif) > 1:
        return None

    stated: list[int | None] = []
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (n_entries,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(n_entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                stated.append(value if kind == 3 and count == 1 else None)
    except struct.error:
        return None

    if len(stated) > 1:
        return None

    return stated[0] if stated else None if b"Orientation" in tiff else 1
