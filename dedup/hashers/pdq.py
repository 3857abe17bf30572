"""PDQ: 256 bits from the low frequencies of a 64 × 64 picture, and a measure of how far they can be
trusted.

Meta, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019, section
"PDQ". The filter before the 64 × 64 picture is the paper's, but applied to any size in the same
proportion, so a resize does not move the code.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.hashers.fast import frequencies as low_frequencies
from dedup.hashers.fast import turned_frequencies
from dedup.hashers.luma import luma_of
from dedup.hashers.resampling import SCALE, Target, shrink

BITS: Final = 256
TARGET: Final = Target(64, 64, "tent")

_SIDE: Final = 16
# parts of a grey level: the paper has floats, and exact sums need whole numbers
_FINENESS: Final = 16
_QUALITY_DIVISOR: Final = 90  # the paper's, "heuristic scaling factor"


def oriented(small: NDArray[np.float64], transforms: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Packed codes, shape (n, 32), in each of the orientations; `small` is `TARGET` of each
    picture.
    """
    values = np.floor(small * (_FINENESS / SCALE) + 0.5)
    low = low_frequencies(values, _SIDE, first=1)
    return [_above_median(turned_frequencies(low, transform, first=1)) for transform in transforms]


def codes(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, 32)."""
    (small,) = shrink([luma_of(image, BITS) for image in images], [TARGET])
    return oriented(small, ("identity",))[0]


def quality(small: NDArray[np.float64]) -> NDArray[np.uint8]:
    """0 to 100 for each picture: the sum of its gradients, scaled. The paper advises against codes
    below 50.
    """
    values = small / SCALE
    down = np.trunc(np.diff(values, axis=1) * (100 / 255))
    across = np.trunc(np.diff(values, axis=2) * (100 / 255))
    total = np.abs(down).sum(axis=(1, 2)) + np.abs(across).sum(axis=(1, 2))
    capped: NDArray[np.uint8] = np.minimum(total // _QUALITY_DIVISOR, 100).astype(np.uint8)

    return capped


def _above_median(low: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Torben's median, which the paper uses, is the lower of the two middle values."""
    flat = low.reshape(len(low), _SIDE * _SIDE)
    median = np.sort(flat, axis=1)[:, flat.shape[1] // 2 - 1]
    return np.packbits(flat > median[:, None], axis=1)
