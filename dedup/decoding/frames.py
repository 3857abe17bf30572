"""Files of several frames or pages: what is behind the first one, as a digest."""

from typing import Any, Final

import numpy as np
from blake3 import blake3
from PIL import Image

_OF_SEVERAL: Final = frozenset({"GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"})
"""Forms in which more pictures belong to the image: animations and documents. The others of an MPO
are previews.
"""

_SUBFILE, _REDUCED, _MASK = 254, 1, 4
"""TIFF's tag NewSubfileType, and its bits for what is only another view of a page."""

Errors = tuple[type[Exception], ...]


def n_frames(opened: Image.Image, errors: Errors) -> int:
    """How many frames or pages a file has; 1 for forms that have one only, and where it cannot be
    told.
    """
    if opened.format not in _OF_SEVERAL:
        return 1
    try:
        return int(getattr(opened, "n_frames", 1))
    except errors:
        return 1


def digest_of_rest(
    opened: Image.Image, total: int, data: bytes, max_pixels: int, errors: Errors
) -> tuple[bytes, int]:
    """BLAKE3 of the frames behind the first of `total`, and how many count; nothing and 1 where no
    other one does.

    Where they are more than `max_pixels` together, or one cannot be decoded, it is the digest of
    the file: then only a copy of the file is identical.
    """
    if total * opened.width * opened.height > max_pixels:
        return blake3(data).digest(), total

    digest, n_counted = blake3(), 1
    try:
        for number in range(1, total):
            opened.seek(number)
            if _is_view(opened):
                continue
            pixels = _pixels(opened)
            digest.update(f"{pixels.shape} {pixels.dtype.str}".encode() + pixels.tobytes())
            n_counted += 1
    except errors:
        return blake3(data).digest(), total

    return (digest.digest() if n_counted > 1 else b""), n_counted


def _is_view(page: Any) -> bool:
    """Whether a TIFF's page is a smaller version of another one, or its mask."""
    tags = getattr(page, "tag_v2", None)
    kind = 0 if tags is None else tags.get(_SUBFILE, 0)

    return isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))


def _pixels(frame: Image.Image) -> np.ndarray[Any, np.dtype[np.generic]]:
    """A frame's values: as they are stored where they have more than 8 bits, else in colour with
    transparency.
    """
    return np.asarray(frame if frame.mode.startswith(("I", "F")) else frame.convert("RGBA"))
