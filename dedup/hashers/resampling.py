"""Pictures made small, exactly: the same values on any machine, in any batch and in any of the eight orientations.

Each axis has its own weights, as in Pillow's resize. They are whole numbers, so every sum is exact in floating point and
its order does not matter. That is why turning the small picture is the same as making the turned picture small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled

_ONE: Final = 1 << 14
"""Weights of one output sum to this. 255 × 1.5 × 2¹⁴ < 2²⁴, so 32-bit floats hold the first axis exactly: lanczos weights
have absolute values that sum to at most 1.4."""

SCALE: Final = _ONE * _ONE
"""What one grey level comes to in the raw output."""


@dataclass(frozen=True, slots=True)
class Target:
    """A small picture that is asked for."""

    rows: int
    columns: int
    kernel: str  # lanczos, bilinear, box, haar or tent


def shrink(pictures: Sequence[NDArray[np.uint8]], targets: Sequence[Target]) -> list[NDArray[np.float64]]:
    """Each picture at each target's size: one array per target, shape (n, rows, columns), whole numbers × `SCALE`.

    Pictures are grey levels of any shape (height, width), at least 1 × 1.
    """
    sizes = [target.rows * target.columns for target in targets]
    raw = np.empty((len(pictures), sum(sizes)))
    n_rows = np.array([target.rows for target in targets])
    n_columns = np.array([target.columns for target in targets])
    rows = tuple((target.rows, target.kernel) for target in targets)
    columns = tuple((target.columns, target.kernel) for target in targets)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, picture in enumerate(pictures):
        by_shape.setdefault(picture.shape, []).append(place)
    for (height, width), places in by_shape.items():
        short = min(height, width)
        down, across = _axis(height, rows, short), _axis(width, columns, short)
        stack = pictures[places[0]][None] if len(places) == 1 else np.stack([pictures[k] for k in places])
        _shrink(stack, n_rows, *down, n_columns, *across, np.array(places), raw)
    ends = np.cumsum(sizes)
    return [
        raw[:, end - size : end].reshape(-1, target.rows, target.columns)
        for target, size, end in zip(targets, sizes, ends, strict=True)
    ]


def grey(raw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Raw values as grey levels, rounded to the nearest."""
    levels: NDArray[np.uint8] = np.clip(np.floor(raw / SCALE + 0.5), 0, 255).astype(np.uint8)
    return levels


@lru_cache(maxsize=4096)
def _axis(length: int, outputs: tuple[tuple[int, str], ...], short: int) -> tuple[NDArray[Any], ...]:
    """First input, one past the last, place of the first weight, and the weights, of all outputs one after the other."""
    starts, stops, weights = [], [], []
    for n, kernel in outputs:
        matrix = _whole(_KERNELS[kernel](length, n, short))
        for row in matrix:
            there = np.flatnonzero(row)
            starts.append(there[0])
            stops.append(there[-1] + 1)
            weights.append(row[there[0] : there[-1] + 1])
    at = np.concatenate([[0], np.cumsum([len(part) for part in weights])[:-1]])
    return np.array(starts), np.array(stops), at, np.concatenate(weights).astype(np.float32)


def _whole(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights as whole numbers that sum to `_ONE`, and the same from either end."""
    n, length = matrix.shape
    whole = np.rint(matrix * _ONE)
    half = (n + 1) // 2
    for row in range(half):
        if 2 * row + 1 == n:  # the middle output must be symmetrical in itself
            whole[row] = np.rint(matrix[row] * (_ONE // 2) + matrix[row][::-1] * (_ONE // 2))
            missing = _ONE - whole[row].sum()
            whole[row][length // 2] += missing - missing // 2
            whole[row][(length - 1) // 2] += missing // 2
        else:
            whole[row][np.argmax(whole[row])] += _ONE - whole[row].sum()
    whole[n - n // 2 :] = whole[: n // 2][::-1, ::-1]
    return whole


def _convolved(length: int, n: int, *, support: float, kernel: Any) -> NDArray[np.float64]:
    """Weights as Pillow's resize has them: the kernel is as wide as the reduction asks for."""
    step = length / n
    scale = max(step, 1.0)
    centres = (np.arange(n) + 0.5) * step
    offsets = (np.arange(length)[None, :] + 0.5 - centres[:, None]) / scale
    first = np.maximum(np.floor(centres - support * scale + 0.5), 0)
    last = np.minimum(np.floor(centres + support * scale + 0.5), length)
    inside = (np.arange(length) >= first[:, None]) & (np.arange(length) < last[:, None])
    values = np.where(inside, kernel(offsets), 0.0)
    return values / values.sum(axis=1, keepdims=True)


def _lanczos(length: int, n: int, _short: int) -> NDArray[np.float64]:
    if length == n:
        return np.eye(n)
    return _convolved(length, n, support=3.0, kernel=lambda x: np.sinc(x) * np.sinc(x / 3) * (np.abs(x) < 3))


def _bilinear(length: int, n: int, _short: int) -> NDArray[np.float64]:
    if length == n:
        return np.eye(n)
    return _convolved(length, n, support=1.0, kernel=lambda x: np.maximum(1 - np.abs(x), 0))


def _haar(length: int, n: int, short: int) -> NDArray[np.float64]:
    """Lanczos to the largest power of two that the shorter side holds, then the mean of each of n parts."""
    side = max(1 << (short.bit_length() - 1), n)
    return _lanczos(length, side, short).reshape(n, side // n, length).mean(axis=1)


def _tent(length: int, n: int, _short: int) -> NDArray[np.float64]:
    """A box as wide as half an output, twice: the filter of PDQ (section "Downsampling"), integrated over pixels."""
    fine = 1 + 16 * n // length * 2
    edges = np.arange(length * fine + 1) * (n / (length * fine)) - (np.arange(n)[:, None] + 0.5)
    inside = np.clip(edges, -0.5, 0.5)
    mass = 0.5 + np.where(inside < 0, 1, -1) * 0.0 + 2 * inside - 2 * inside * np.abs(inside)
    fine_weights = np.diff(mass, axis=1)
    return fine_weights.reshape(n, length, fine).sum(axis=2)


_KERNELS: Final = {"lanczos": _lanczos, "bilinear": _bilinear, "haar": _haar, "tent": _tent}


@compiled
def _shrink(
    stack: Any,
    n_rows: Any,
    row_start: Any,
    row_stop: Any,
    row_at: Any,
    row_weights: Any,
    n_columns: Any,
    column_start: Any,
    column_stop: Any,
    column_at: Any,
    column_weights: Any,
    places: Any,
    raw: Any,
) -> None:
    n, height, width = stack.shape
    plain = np.empty((height, width), dtype=np.float32)
    line = np.empty(width, dtype=np.float32)
    for picture in range(n):
        for y in range(height):
            for x in range(width):
                plain[y, x] = stack[picture, y, x]
        out, row, column = 0, 0, 0
        for target in range(len(n_rows)):
            rows, columns = n_rows[target], n_columns[target]
            narrow = np.empty((width, rows))
            for k in range(rows):
                line[:] = 0
                at = row_at[row + k] - row_start[row + k]
                y, stop = row_start[row + k], row_stop[row + k]
                while y + 4 <= stop:  # four at a time: the line is read and written less often
                    w0, w1 = row_weights[at + y], row_weights[at + y + 1]
                    w2, w3 = row_weights[at + y + 2], row_weights[at + y + 3]
                    r0, r1, r2, r3 = plain[y], plain[y + 1], plain[y + 2], plain[y + 3]
                    for x in range(width):
                        line[x] += (w0 * r0[x] + w1 * r1[x]) + (w2 * r2[x] + w3 * r3[x])
                    y += 4
                while y < stop:
                    w0, r0 = row_weights[at + y], plain[y]
                    for x in range(width):
                        line[x] += w0 * r0[x]
                    y += 1
                for x in range(width):
                    narrow[x, k] = line[x]
            sums = np.empty(rows)
            for m in range(columns):
                sums[:] = 0
                at = column_at[column + m] - column_start[column + m]
                for x in range(column_start[column + m], column_stop[column + m]):
                    wide = np.float64(column_weights[at + x])
                    for k in range(rows):
                        sums[k] += wide * narrow[x, k]
                for k in range(rows):
                    raw[places[picture], out + k * columns + m] = sums[k]
            out += rows * columns
            row += rows
            column += columns
