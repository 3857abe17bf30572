"""Files that decoders refuse because of what says nothing of the picture: read without it, as
browsers do.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import simplejpeg

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TURNS: Final = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
"""Keywords of text that may hold an orientation."""

_OF_PIXELS: Final = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})
"""Chunks that a decoder may ignore and that decide pixels all the same: transparency, and the
frames of an APNG.
"""

_EOI: Final = b"\xff\xd9"
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SOS: Final = 0xDA
# markers without a length: restarts, SOI, TEM
_STANDALONE: Final = frozenset({*range(0xD0, 0xD9), 0x01})


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file with the same picture."""

    data: bytes
    remark: str  # what was wrong


def repaired(data: bytes) -> Iterator[Repaired]:
    """The file with the least that has to be left out or added, then with more; none where its
    picture is at fault.
    """
    if data.startswith(_PNG):
        yield from _png(data)
    elif data.startswith(b"\xff\xd8"):
        ended = with_end(data)
        if ended is not None:
            yield Repaired(ended, "its end marker is missing")


def _png(data: bytes) -> Iterator[Repaired]:
    chunks = list(_chunks(data))
    is_metadata = [_is_metadata(name) for name, _, _ in chunks]
    may_turn = [name == b"eXIf" or content.startswith(_TURNS) for name, content, _ in chunks]

    for turns_too in (False, True):
        left_out = [
            metadata and (turns_too or not turns or not is_right)
            for (_, _, is_right), metadata, turns in zip(chunks, is_metadata, may_turn, strict=True)
        ]
        if any(left_out):
            names = sorted(
                {chunks[k][0].decode("latin-1") for k, out in enumerate(left_out) if out}
            )
            kept = (
                _chunk(*chunk[:2], chunk[2])
                for chunk, out in zip(chunks, left_out, strict=True)
                if not out
            )
            yield Repaired(_PNG + b"".join(kept), f"read without its metadata ({', '.join(names)})")


def _is_metadata(name: bytes) -> bool:
    """Whether a chunk says nothing of the pixels: ancillary ones begin with a small letter."""
    return bool(name[0] & 0x20) and name not in _OF_PIXELS


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Name, content and whether the checksum is right, up to where the file ends."""
    at = len(_PNG)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        (stated,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length].ljust(4, b"\0"))
        if len(content) < length:
            return
        yield name, content, stated == zlib.crc32(name + content)
        at += 12 + length


def _chunk(name: bytes, content: bytes, is_right: bool) -> bytes:  # noqa: FBT001
    """The chunk as it was: a wrong checksum of pixels stays wrong."""
    checksum = zlib.crc32(name + content) ^ (0 if is_right else 1)

    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def with_end(data: bytes) -> bytes | None:
    """A JPEG that lacks its end marker and nothing else, with it; None for any other.

    The decoder must find every pixel, which it says by having nothing to warn of, and every scan
    must be there.
    """
    if data.endswith(_EOI):
        return None

    ended = data + (_EOI[1:] if data.endswith(_EOI[:1]) else _EOI)
    if not _has_all_scans(ended):
        return None

    for space in ("GRAY", "CMYK"):
        try:
            simplejpeg.decode_jpeg(ended, space, min_height=1, min_width=1)
        except (ValueError, MemoryError):
            continue
        return ended

    return None


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component is there to its last bit (ITU-T T.81, section
    G.1.1.1).
    """
    left: dict[int, set[int]] = {}
    try:
        for marker, segment in _segments(data):
            if marker in _FRAMES:
                components = segment[6::3][: segment[5]]
                # others have all in one scan
                frequencies = range(64) if marker in {0xC2, 0xCA} else range(1)
                left = {component: {*frequencies} for component in components}
            elif marker == _SOS:
                n = segment[0]
                start, stop, bits = segment[1 + 2 * n : 4 + 2 * n]
                if bits & 0x0F == 0:  # the last bit of these coefficients
                    for component in segment[1 : 1 + 2 * n : 2]:
                        left[component] -= {*range(start, stop + 1)}
    except (IndexError, ValueError, KeyError, struct.error):
        return False

    return bool(left) and not any(left.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with their segments, in order; what is entropy-coded between them is skipped."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        marker = data[at + 1]
        if marker in {0x00, 0xFF} or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _EOI[1]:
            return
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
