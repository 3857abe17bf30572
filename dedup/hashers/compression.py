"""How much a picture was compressed, for choosing the better of two copies."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.decoding.pictures import Picture

# of 8 × 8 pixels, evenly spread: enough for the estimate, and the same cost for any size
_BLOCKS: Final = 320
_LOWEST_AC: Final = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))
_LARGEST_STEP: Final = 64
_MIN_COEFFICIENTS: Final = 48
# noise of n ≥ 48 coefficients stays below 0.4; rounding of pixels leaves 0.73 at step 4
_MIN_PERIODICITY: Final = 0.65

_k = np.arange(8)
_DCT: Final = np.sqrt(2 / 8) * np.cos(np.pi * (2 * _k[None, :] + 1) * _k[:, None] / 16)
_DCT[0] /= np.sqrt(2)


def compression(picture: Picture) -> float | None:
    """Mean quantisation step of the nine lowest luma frequencies above zero; 1.0 means none was
    found.

    A JPEG says it in its header. In a lossless file it is estimated from the pixels, because a JPEG
    that was saved again as PNG is not the better copy: the steps leave their period in the
    histogram of the DCT coefficients (Fan and de Queiroz 2003, "Identification of bitmap
    compression history", section IV). None where it cannot be told: other lossy formats and
    palettes.
    """
    if picture.luma_steps is not None:
        return of_steps(picture.luma_steps)
    return of_levels(np.asarray(picture.image.convert("L"))) if picture.lossless else None


@lru_cache(maxsize=1024)
def of_steps(luma_steps: tuple[int, ...]) -> float:
    """The measure from a JPEG's own table of quantisation steps, row by row."""
    return sum(luma_steps[8 * y + x] for y, x in _LOWEST_AC) / len(_LOWEST_AC)


def of_levels(grey: NDArray[np.uint8]) -> float:
    """The measure as it is estimated from the grey levels of a lossless file."""
    rows, columns = grey.shape[0] // 8, grey.shape[1] // 8
    if rows * columns < _MIN_COEFFICIENTS:
        return 1.0

    chosen = np.unique(np.linspace(0, rows * columns - 1, _BLOCKS).astype(np.int64))
    blocks = (
        grey[: 8 * rows, : 8 * columns]
        .reshape(rows, 8, columns, 8)
        .swapaxes(1, 2)
        .reshape(-1, 8, 8)[chosen]
    )
    coefficients = _DCT @ (blocks - 128.0) @ _DCT.T

    return float(np.mean([_step(coefficients[:, y, x]) for y, x in _LOWEST_AC]))


def _step(coefficients: NDArray[np.float64]) -> float:
    """The largest step whose multiples the coefficients keep to, or 1.0."""
    size = np.abs(coefficients)
    for step in range(_LARGEST_STEP, 1, -1):
        beyond_zero = coefficients[size > 0.6 * step]
        if len(beyond_zero) < _MIN_COEFFICIENTS:
            continue
        if np.mean(np.cos(2 * np.pi * beyond_zero / step)) > _MIN_PERIODICITY:
            return float(step)

    return 1.0
