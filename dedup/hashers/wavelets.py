"""ImageHash's wavelets on small pictures, in its own floating point.

ImageHash takes a picture apart into Haar wavelets, puts it together without its mean, and takes it
apart again. In icons and gradients many coefficients equal their median but for what that loses,
10⁻¹⁶, and there it decides the bits. So it is repeated step by step. Every step is a product or a
sum, rounded by itself, so any machine gives the same.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FACTOR: Final = 0.7071067811865476  # as PyWavelets has it

Floats = NDArray[np.float64]
"""Pictures, shape (n, rows, columns)."""


def coarsest(levels: NDArray[np.uint8], n: int) -> Floats:
    """What is in the order of the n × n coarsest coefficients of square pictures of n times a power
    of two.

    Where the two in the middle differ, as in photos, sums of grey levels are in that order.
    """
    step = levels.shape[1] // n
    sums: Floats = levels.reshape(len(levels), n, step, n, step).sum(axis=(2, 4)).astype(np.float64)
    middle = np.sort(sums.reshape(len(sums), n * n), axis=1)[:, n * n // 2 - 1 : n * n // 2 + 1]
    tied = middle[:, 0] == middle[:, 1]
    if tied.any():
        sums[tied] = coefficients(levels[tied], n)

    return sums


def coefficients(levels: NDArray[np.uint8], n: int) -> Floats:
    """The n × n coarsest coefficients, but for the mean, of square pictures whose side is n times a
    power of two.
    """
    rest = _without_mean(levels / 255.0)
    while rest.shape[1] > n:
        rest = _sums(_sums(rest, 1), 2)
    return rest


def _without_mean(pictures: Floats) -> Floats:
    details = []
    while pictures.shape[1] > 1:
        sums, differences = _sums(pictures, 1), _differences(pictures, 1)
        details.append((_differences(sums, 2), _sums(differences, 2), _differences(differences, 2)))
        pictures = _sums(sums, 2)

    whole = pictures * 0
    for across, down, both in reversed(details):
        whole = _together(_together(whole, across, 2), _together(down, both, 2), 1)

    return whole


def _every_other(pictures: Floats, axis: int) -> tuple[Any, Any]:
    return (
        (pictures[:, ::2], pictures[:, 1::2])
        if axis == 1
        else (pictures[:, :, ::2], pictures[:, :, 1::2])
    )


def _sums(pictures: Floats, axis: int) -> Floats:
    first, second = _every_other(pictures, axis)
    sums: Floats = first * _FACTOR + second * _FACTOR
    return sums


def _differences(pictures: Floats, axis: int) -> Floats:
    first, second = _every_other(pictures, axis)
    differences: Floats = first * _FACTOR - second * _FACTOR
    return differences


def _together(sums: Floats, differences: Floats, axis: int) -> Floats:
    whole = np.empty([2 * size if k == axis else size for k, size in enumerate(sums.shape)])
    first, second = _every_other(whole, axis)
    first[...] = sums * _FACTOR + differences * _FACTOR
    second[...] = sums * _FACTOR - differences * _FACTOR

    return whole
