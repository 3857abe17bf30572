"""An algorithm: which cells of a small picture are brighter than the median of all of them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dedup.decoding.orientation import turned
from dedup.hashers.families import Algorithm, register
from dedup.hashers.resampling import Target


def needs(bits: int) -> Target:
    """One cell for each bit."""
    side = math.isqrt(bits)
    return Target(side, side, "bilinear")


def codes(small: NDArray[np.float64], bits: int, turns: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Packed codes of shape (n, bits // 8), one array for each orientation."""
    brighter = small > np.median(small, axis=(1, 2), keepdims=True)
    return [np.packbits(turned(brighter, turn).reshape(len(small), bits), axis=1) for turn in turns]


register(Algorithm("median", widths=(64, 256), needs=needs, codes=codes, module=__name__))
