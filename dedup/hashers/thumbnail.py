"""The thumbnail that verification compares, and how much structure there is in it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.tables import THUMBNAIL_SIDE

MIN_INFORMATION = 1.0
"""Grey levels. Below it a code is decided by noise, so the picture skips the near-duplicate join."""

MANY_WITHOUT_INFORMATION: Final = 0.05
"""Share of the readable samples above which a run warns that so many skip the join."""

_RAMP: Final = 2 * np.arange(THUMBNAIL_SIDE, dtype=np.int64) - (THUMBNAIL_SIDE - 1)
_RAMP_SQUARED: Final = int((_RAMP**2).sum()) * THUMBNAIL_SIDE


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels of the picture squeezed to 32 × 32, shape (32, 32); aspect is not kept, as in the hashes."""
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(image.convert("L").resize(side, Image.Resampling.BILINEAR), dtype=np.uint8)


def information(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Root mean square of what is left of each thumbnail (..., 32, 32) without its best-fitting plane, in grey levels.

    Zero for a blank picture and for a bare gradient, whose codes are decided by rounding. One white pixel on black
    gives 8, the faintest line drawing more than 1.
    """
    values = grey.astype(np.int64)  # whole numbers: a picture's value does not depend on its batch
    n = THUMBNAIL_SIDE * THUMBNAIL_SIDE
    total, squares = values.sum(axis=(-1, -2)), (values * values).sum(axis=(-1, -2))
    across, down = (values * _RAMP).sum(axis=(-1, -2)), (values * _RAMP[:, None]).sum(axis=(-1, -2))
    rest = squares - total**2 / n - (across**2 + down**2) / _RAMP_SQUARED
    root: NDArray[np.float64] = np.sqrt(np.maximum(rest, 0) / n)
    return root
