"""The thumbnail that verification compares, and how much structure there is in it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.compiled import compiled
from dedup.hashers.resampling import Target
from dedup.tables import THUMBNAIL_SIDE

TARGET: Final = Target(THUMBNAIL_SIDE, THUMBNAIL_SIDE, "bilinear")

_N: Final = THUMBNAIL_SIDE * THUMBNAIL_SIDE
_RAMP_SQUARED: Final = (
    sum((2 * x - (THUMBNAIL_SIDE - 1)) ** 2 for x in range(THUMBNAIL_SIDE)) * THUMBNAIL_SIDE
)


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels of the picture squeezed to 32 × 32, shape (32, 32); aspect is not kept, as in the
    hashes.
    """
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(image.convert("L").resize(side, Image.Resampling.BILINEAR), dtype=np.uint8)


def information(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Root mean square of what is left of each thumbnail (..., 32, 32) without its best-fitting
    plane, in grey levels.

    Zero for a blank picture and for a bare gradient, whose codes are decided by rounding. One white
    pixel on black gives 8, the faintest line drawing more than 1.
    """
    # whole numbers: a picture's value does not depend on its batch
    sums = np.empty((grey.size // _N, 4), np.int64)
    _sums(np.ascontiguousarray(grey).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE), sums)
    total, squares, across, down = sums.T
    rest = squares - total**2 / _N - (across**2 + down**2) / _RAMP_SQUARED
    root: NDArray[np.float64] = np.sqrt(np.maximum(rest, 0) / _N)

    return root.reshape(grey.shape[:-2])


@compiled
def _sums(grey: Any, sums: Any) -> None:
    """Of the values, their squares, and the values on a ramp across and down."""
    side = grey.shape[1]
    column = np.empty(side, np.int32)
    for picture in range(len(grey)):
        squares = down = np.int64(0)
        column[:] = 0
        for y in range(side):
            of_row = of_squares = np.int32(0)
            for x in range(side):
                value = np.int32(grey[picture, y, x])
                column[x] += value
                of_row += value
                of_squares += value * value
            squares += of_squares
            down += np.int64(2 * y - (side - 1)) * np.int64(of_row)
        total = across = np.int64(0)
        for x in range(side):
            total += np.int64(column[x])
            across += np.int64(2 * x - (side - 1)) * np.int64(column[x])
        sums[picture, 0], sums[picture, 1], sums[picture, 2], sums[picture, 3] = (
            total,
            squares,
            across,
            down,
        )
