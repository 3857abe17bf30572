"""ImageHash's four hashes from one small luma picture, for a whole batch at once.

The definitions are ImageHash's. They start at a luma of a few hundred pixels instead of the whole picture, and every
value is a whole number, so a code is the same on any machine and in any batch.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.hashers.luma import luma_of
from dedup.hashers.resampling import Target, grey, shrink
from dedup.hashers.turns import TURNS, turned

FREQUENCIES: Final = 4  # ImageHash's highfreq_factor: phash looks at a picture of four times the code's side


def targets(algorithm: str, bits: int, *, swapped: bool) -> list[Target]:
    """The small pictures that an algorithm needs; `swapped` adds what turned codes need."""
    side = math.isqrt(bits)
    if algorithm == "phash":
        return [Target(FREQUENCIES * side, FREQUENCIES * side, "lanczos")]
    if algorithm == "ahash":
        return [Target(side, side, "lanczos")]
    if algorithm == "whash":
        return [Target(side, side, "haar")]
    return [Target(side, side + 1, "lanczos"), *([Target(side + 1, side, "lanczos")] if swapped else [])]


def oriented(
    algorithm: str, bits: int, small: Sequence[NDArray[np.float64]], transforms: Sequence[str]
) -> list[NDArray[np.uint8]]:
    """Packed codes, shape (n, bits // 8), in each of the orientations; `small` is what `targets` asked for.

    They equal the codes of the turned lumas, bit for bit.
    """
    if algorithm == "phash":
        low = frequencies(grey(small[0]), math.isqrt(bits))
        return [_pack(_above_median(turned_frequencies(low, transform))) for transform in transforms]
    if algorithm == "whash":
        return [_pack(_above_median(turned(small[0], transform))) for transform in transforms]
    levels = [grey(raw).astype(np.int64) for raw in small]
    if algorithm == "ahash":
        above = levels[0] * bits > levels[0].sum(axis=(1, 2), keepdims=True)
        return [_pack(turned(above, transform)) for transform in transforms]
    stood = [turned(levels[TURNS[transform][0]], transform) for transform in transforms]
    return [_pack(each[..., 1:] > each[..., :-1]) for each in stood]


def codes(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, bits // 8)."""
    small = shrink([luma_of(image, bits) for image in images], targets(algorithm, bits, swapped=False))
    return oriented(algorithm, bits, small, ("identity",))[0]


def frequencies(levels: NDArray[np.uint8] | NDArray[np.float64], n: int, first: int = 0) -> NDArray[np.float64]:
    """The n × n lowest DCT-II coefficients from frequency `first` on, up to one factor; exact whole numbers."""
    basis = _basis(levels.shape[-1], n, first, 8 if levels.dtype == np.uint8 else 12)
    return basis @ levels.astype(np.float64) @ basis.T


def turned_frequencies(low: NDArray[np.float64], transform: str, first: int = 0) -> NDArray[np.float64]:
    """The coefficients of the turned picture: odd frequencies change their sign where an axis is reversed."""
    swap, rows, columns = TURNS[transform]
    sign = np.where((np.arange(low.shape[-1]) + first) % 2, -1.0, 1.0)
    turned = low.swapaxes(-1, -2) if swap else low
    if rows:
        turned = turned * sign[:, None]
    return turned * sign if columns else turned


def _above_median(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    n, rows, columns = values.shape
    flat = np.sort(values.reshape(n, rows * columns), axis=1)
    middle = flat.shape[1] // 2
    return 2 * values > (flat[:, middle - 1] + flat[:, middle])[:, None, None]


def _pack(bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    n, rows, columns = bits.shape
    return np.packbits(bits.reshape(n, rows * columns), axis=1)


@lru_cache
def _basis(size: int, n: int, first: int, value_bits: int) -> NDArray[np.float64]:
    """Cosines as whole numbers, shape (n, size), so small that products summed over size² values stay below 2⁵³."""
    one = 1 << ((52 - value_bits - 2 * math.ceil(math.log2(size))) // 2)
    frequency = np.arange(first, first + n)[:, None]
    half = np.rint(one * np.cos(np.pi * frequency * (2 * np.arange(size // 2) + 1) / (2 * size)))
    return np.concatenate([half, np.where(frequency % 2, -1.0, 1.0) * half[:, ::-1]], axis=1)
