"""Pictures as they are shown to a reviewer: never anything that a browser would run."""

import binascii
import zlib
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from struct import pack
from typing import Any, Final

from starlette.responses import Response

from dedup.tables import THUMBNAIL_SIDE

_TYPES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}


def response(data: bytes) -> Response:
    """A file as it was uploaded, under a type that its first bytes show."""
    return Response(data, media_type=_type_of(data), headers=_SAFE)


def thumbnail(measures: Mapping[str, Any]) -> bytes | None:
    """What a bank keeps of a pending picture, 32 × 32 grey levels, as PNG."""
    text = measures.get("thumbnail")
    return None if text is None else _png(b64decode(text))


def of_entry(folder: Path | None, uri: str | None) -> bytes | None:
    """The file of an entry, where the operator named a folder and it is inside; else None."""
    if folder is None or not uri:
        return None
    try:
        root = folder.resolve(strict=True)
        path = (root / uri.removeprefix("file://")).resolve(strict=True)
        return path.read_bytes() if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _type_of(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    found = (kind for start, kind in _TYPES if data.startswith(start))
    return next(found, "application/octet-stream")


def _png(levels: bytes) -> bytes:
    """Grey levels as a file; four chunks need no library."""
    side = THUMBNAIL_SIDE
    rows = b"".join(b"\0" + levels[k : k + side] for k in range(0, side * side, side))
    head = pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))

    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", binascii.crc32(kind + data))
        for kind, data in chunks
    )
