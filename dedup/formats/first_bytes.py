"""What the first bytes of a file tell: the file suffix of the image that it is, if it is one."""

import os
import re
import stat
from typing import Final

N_BYTES: Final = 32
"""How much of a file is needed to recognise it. The brand of an ISO file (AVIF, HEIF) stands last,
in bytes 8 to 12.
"""

_PATTERNS: Final = tuple(
    (re.compile(pattern, re.DOTALL), suffix)
    for pattern, suffix in (
        (rb"\xff\xd8\xff", ".jpg"),
        (rb"\x89PNG\r\n\x1a\n", ".png"),
        (rb"RIFF....WEBP", ".webp"),
        (rb"GIF8[79]a", ".gif"),
        # The header of a bitmap has its own length: two letters alone would take texts for bitmaps.
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", ".bmp"),
        (rb"II\*\0|MM\0\*|II\+\0\x08\0|MM\0\+\0\x08", ".tiff"),
        (rb"....ftypavi[fs]", ".avif"),
        (rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", ".heic"),
        (rb"\0\0\0\x0cjP  \r\n", ".jp2"),
        (rb"\xff\x4f\xff\x51", ".j2k"),
        (rb"\0\0\0\x0cJXL \r\n|\xff\x0a", ".jxl"),
        (rb"8BPS\0[\1\2]", ".psd"),
        (rb"qoif", ".qoi"),
        (rb"DDS ", ".dds"),
        (rb"P[1-6]\s+(?:#|\d+\s+\d+)", ".ppm"),
    )
)


def image_suffix(head: bytes) -> str | None:
    """The suffix that fits the first bytes of an image; None where they are not known to be those
    of one.

    >>> image_suffix(bytes.fromhex("ffd8ffe000104a464946")), image_suffix(b"id,label")
    ('.jpg', None)
    """
    return next((suffix for pattern, suffix in _PATTERNS if pattern.match(head)), None)


def head_of(path: str | bytes, n_bytes: int = N_BYTES) -> bytes:
    """The first bytes of a regular file; nothing of what cannot be read. A named pipe is never
    waited for.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # names may be bytes
            return b""
        with open(path, "rb") as file:
            return file.read(n_bytes)
    except (OSError, ValueError):
        return b""
