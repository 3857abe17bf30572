"""Kernels: the detail of a picture: what half its size cannot hold, and its steps.

The half size and its way back are those of Pillow's resize, box and bilinear, to the last level: at
a factor of two its fixed-point weights are quarters and halves, so whole numbers give the same.
Pillow and NumPy make four passes over floats of it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled_exact
from dedup.hashers.resampling import read_only


@compiled_exact
def _halve(level: Any, half: Any) -> None:
    """Means of 2 × 2 pixels as Pillow rounds them: along the rows, then along the columns."""
    for y in range(half.shape[0]):
        for x in range(half.shape[1]):
            above = (np.int32(level[2 * y, 2 * x]) + np.int32(level[2 * y, 2 * x + 1]) + 1) >> 1
            below = (
                np.int32(level[2 * y + 1, 2 * x]) + np.int32(level[2 * y + 1, 2 * x + 1]) + 1
            ) >> 1
            half[y, x] = np.uint8((above + below + 1) >> 1)


@compiled_exact
def _widen(half: Any, wide: Any) -> None:
    """Twice as many columns, bilinear."""
    last = half.shape[1] - 1
    for y in range(half.shape[0]):
        for x in range(last + 1):
            before, after = half[y, max(x - 1, 0)], half[y, min(x + 1, last)]
            here = 3 * np.int32(half[y, x]) + 2
            wide[y, 2 * x] = np.uint8((here + np.int32(before)) >> 2)
            wide[y, 2 * x + 1] = np.uint8((here + np.int32(after)) >> 2)


@compiled_exact
def _squares(level: Any, wide: Any, sums: Any) -> None:
    """`sums`, int64, (rows, columns) of blocks: squares of what the picture has beyond `wide`,
    which has half its rows.
    """
    n_rows, n_columns = sums.shape
    high, across = 2 * wide.shape[0], wide.shape[1]
    last = wide.shape[0] - 1

    for y in range(high):
        here = y // 2
        beside = min(here + 1, last) if y % 2 else max(here - 1, 0)
        row = y * n_rows // high
        for column in range(n_columns):
            found = np.int32(0)
            for x in range(column * across // n_columns, (column + 1) * across // n_columns):
                smooth = (3 * np.int32(wide[here, x]) + np.int32(wide[beside, x]) + 2) >> 2
                away = np.int32(level[y, x]) - np.int32(smooth)
                found += np.int32(away * away)
            sums[row, column] += found


@compiled_exact
def _steps(level: Any, along_rows: Any, along_columns: Any) -> None:
    """Twice the sums of steps, int64, at each place along the rows, and along the columns."""
    height, width = level.shape
    line = np.zeros(width - 3, np.int32)
    for y in range(height):
        for x in range(width - 3):
            before = abs(np.int32(level[y, x + 1]) - np.int32(level[y, x]))
            here = abs(np.int32(level[y, x + 2]) - np.int32(level[y, x + 1]))
            after = abs(np.int32(level[y, x + 3]) - np.int32(level[y, x + 2]))
            line[x] += max(np.int32(2 * here - before - after), np.int32(0))

    for x in range(width - 3):
        along_rows[x] = line[x]

    for y in range(height - 3):
        total = np.int32(0)
        for x in range(width):
            before = abs(np.int32(level[y + 1, x]) - np.int32(level[y, x]))
            here = abs(np.int32(level[y + 2, x]) - np.int32(level[y + 1, x]))
            after = abs(np.int32(level[y + 3, x]) - np.int32(level[y + 2, x]))
            total += max(np.int32(2 * here - before - after), np.int32(0))
        along_columns[y] = total


def steps(level: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean step, in grey levels, at each place along the rows, and at each along the columns.

    A step is how far two neighbours are apart more than the mean of the two pairs beside them.
    `level`: uint8, (rows, columns), four to some thousands of each; there are three steps fewer.
    """
    rows, columns = level.shape
    along_rows, along_columns = np.empty(columns - 3, np.int64), np.empty(rows - 3, np.int64)
    _steps(read_only(np.ascontiguousarray(level)), along_rows, along_columns)

    return along_rows / (2 * rows), along_columns / (2 * columns)


def band(level: NDArray[np.uint8], n_blocks: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Mean squares, (n_blocks, n_blocks), of what half the size cannot hold, and the picture at
    that size.

    `level`: uint8, (rows, columns), two or more of each; of an odd number the last is left out.
    Blocks have one size only where they divide both sides.
    """
    rows, columns = (side // 2 for side in level.shape)
    half, wide = np.empty((rows, columns), np.uint8), np.empty((rows, 2 * columns), np.uint8)
    sums = np.zeros((n_blocks, n_blocks), np.int64)
    _halve(read_only(level), half)
    _widen(half, wide)
    _squares(read_only(level), wide, sums)

    return sums / (4 * rows * columns / n_blocks**2), half
