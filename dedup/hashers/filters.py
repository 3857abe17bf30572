"""Weights of the filters that make pictures small: whole numbers, so that sums are exact."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WEIGHTS_SUM: Final = 1 << 14
"""Weights of one output sum to this. 255 × 1.5 × 2¹⁴ < 2²⁴, so 32-bit floats hold the first axis
exactly: the absolute values of lanczos weights sum to at most 1.4."""


def matrix(length: int, n: int, kernel: str, short: int = 0) -> NDArray[np.float64]:
    """The weights of n outputs for a whole side of so many levels, shape (n, length): whole numbers
    that sum to 2¹⁴.

    `short`: for haar, the shorter side of the picture.
    """
    return as_whole_numbers(WEIGHTS[kernel](length, length, n, short), symmetrical=True)


def as_whole_numbers(matrix: NDArray[np.float64], *, symmetrical: bool) -> NDArray[np.float64]:
    """The weights as whole numbers that sum to `WEIGHTS_SUM`, the same from either end where the
    picture is whole.
    """
    n, length = matrix.shape
    numbers: NDArray[np.float64] = np.rint(matrix * WEIGHTS_SUM)
    if symmetrical and n % 2:  # the middle output is symmetrical in itself
        middle = numbers[n // 2] = np.rint(
            (matrix[n // 2] + matrix[n // 2][::-1]) * (WEIGHTS_SUM // 2)
        )
        missing = WEIGHTS_SUM - middle.sum()
        middle[length // 2] += missing - missing // 2
        middle[(length - 1) // 2] += missing // 2

    numbers[np.arange(n), numbers.argmax(axis=1)] += WEIGHTS_SUM - numbers.sum(axis=1)
    if symmetrical:
        numbers[n - n // 2 :] = numbers[: n // 2][::-1, ::-1]

    return numbers


def _convolved(
    length: int, extent: float, n: int, *, support: float, kernel: Any
) -> NDArray[np.float64]:
    """Weights as Pillow's resize has them: the kernel is as wide as the reduction asks for."""
    if length == n == extent:
        return np.eye(n)

    step = extent / n
    scale = max(step, 1.0)
    centres = (np.arange(n) + 0.5) * step
    offsets = (np.arange(length) + 0.5 - centres[:, None]) / scale
    first = np.maximum(np.floor(centres - support * scale + 0.5), 0)
    last = np.minimum(np.floor(centres + support * scale + 0.5), length)
    inside = (np.arange(length) >= first[:, None]) & (np.arange(length) < last[:, None])
    values = np.zeros((n, length))
    values[inside] = kernel(offsets[inside])
    weights: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)

    return weights


def _lanczos(length: int, extent: float, n: int, _short: int) -> NDArray[np.float64]:
    def kernel(x: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.sinc(x) * np.sinc(x / 3) * (np.abs(x) < 3)
        return values

    return _convolved(length, extent, n, support=3.0, kernel=kernel)


def _bilinear(length: int, extent: float, n: int, _short: int) -> NDArray[np.float64]:
    return _convolved(length, extent, n, support=1.0, kernel=lambda x: np.maximum(1 - np.abs(x), 0))


def _haar(length: int, extent: float, n: int, short: int) -> NDArray[np.float64]:
    """Lanczos to the largest power of two that the shorter side holds, then the mean of each of n
    parts.
    """
    side = max(1 << (max(short, 1).bit_length() - 1), n)
    means: NDArray[np.float64] = (
        _lanczos(length, extent, side, short).reshape(n, side // n, length).mean(axis=1)
    )

    return means


def _tent(length: int, extent: float, n: int, _short: int) -> NDArray[np.float64]:
    """A box as wide as half an output, twice: the filter of PDQ, integrated over pixels."""
    fine = 1 + 32 * n // length
    edges = np.arange(length * fine + 1) * (n / (extent * fine)) - (np.arange(n)[:, None] + 0.5)
    inside = np.clip(edges, -0.5, 0.5)
    mass = 0.5 + 2 * inside - 2 * inside * np.abs(inside)  # of the tent, up to each edge
    weights: NDArray[np.float64] = np.diff(mass, axis=1).reshape(n, length, fine).sum(axis=2)
    weights /= weights.sum(axis=1, keepdims=True)

    return weights


WEIGHTS: Final = {"lanczos": _lanczos, "bilinear": _bilinear, "haar": _haar, "tent": _tent}
