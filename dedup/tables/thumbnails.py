"""Thumbnails of 32 × 32 grey levels in 512 bytes: four bits a pixel, rounded."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.tables.schemas import THUMBNAIL_SIDE

_STEP: Final = 17  # 0, 17, … 255: sixteen levels


def packed(thumbnail: bytes | NDArray[np.uint8]) -> bytes:
    """A thumbnail of 1,024 bytes in 512."""
    grey = (
        np.frombuffer(thumbnail, np.uint8)
        if isinstance(thumbnail, bytes)
        else thumbnail.reshape(-1)
    )
    levels = (grey.astype(np.uint16) + _STEP // 2) // _STEP

    return (levels[::2] << 4 | levels[1::2]).astype(np.uint8).tobytes()


def unpacked(stored: bytes) -> NDArray[np.uint8]:
    """The thumbnail again, (32, 32), each level at most 8 from what it was."""
    both = np.frombuffer(stored, np.uint8)
    levels = np.stack([both >> 4, both & 15], axis=1).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return (levels * np.uint8(_STEP)).astype(np.uint8)
