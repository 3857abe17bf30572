"""The thumbnail that verification compares, and how much structure there is in it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.tables import THUMBNAIL_SIDE

MIN_INFORMATION = 1.0
"""Grey levels. Below it a code is decided by noise, so the picture skips the near-duplicate join."""

_ramp = np.linspace(-1.0, 1.0, THUMBNAIL_SIDE)
_PLANE = np.stack([np.ones((THUMBNAIL_SIDE, THUMBNAIL_SIDE)), *np.meshgrid(_ramp, _ramp)]).reshape(3, -1)
_PLANE /= np.linalg.norm(_PLANE, axis=1, keepdims=True)  # orthonormal: the ramps are centred


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels of the picture squeezed to 32 × 32, shape (32, 32); aspect is not kept, as in the hashes."""
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(image.convert("L").resize(side, Image.Resampling.BILINEAR), dtype=np.uint8)


def information(grey: NDArray[np.uint8]) -> float:
    """Root mean square of what is left of the thumbnail without its best-fitting plane, in grey levels.

    Zero for a blank picture and for a bare gradient, whose codes are decided by rounding. One white pixel on black
    gives 8, the faintest line drawing more than 1.
    """
    values = grey.astype(np.float64).reshape(-1)
    rest = values - (_PLANE @ values) @ _PLANE
    return float(np.sqrt(np.mean(rest * rest)))
