"""Large pictures as a fixed number of cells, each the mean of its part: what all that is measured
on them starts from.

Weights of a filter depend on the length of the side that they are for, and a dataset has hundreds
of lengths. Means of areas need none, and one pass over the picture; from there on every matrix is a
constant.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner
from dedup.decoding.orientation import turned
from dedup.hashers.filters import matrix
from dedup.hashers.resampling import Plane, Target, read_only
from dedup.tables import THUMBNAIL_SIDE

FINENESS: Final = 64
"""Parts of a grey level: a cell is a whole number of them, so that sums of cells are exact in any
order.
"""

# parts of a pixel in which an extent that is no whole number is counted; eighths are exact
_EXTENT: Final = 64

Cells = NDArray[np.float64]
"""Whole numbers, shape (n, side, side)."""


def side_of(bits: int) -> int:
    """Cells along each side for codes of so many bits: 96 for 64."""
    return 12 * math.isqrt(bits)


def cells(planes: Sequence[Plane], side: int) -> Cells:
    """Each picture as side × side cells, upright."""
    found = np.empty((len(planes), side, side))
    for cell, plane in zip(found, planes, strict=True):
        _means(read_only(plane.levels), *_parts(plane.height), *_parts(plane.width), cell)
        if plane.turn != "identity":
            cell[:] = turned(cell.copy(), plane.turn)

    return found


def shrunk(of: Cells, target: Target) -> NDArray[np.float64]:
    """Each picture at the target's size, shape (n, rows, columns), whole numbers ×
    `resampling.SCALE` / `FINENESS`.
    """
    side = of.shape[-1]
    left, right = (_constant(side, n, target.kernel) for n in (target.rows, target.columns))
    small: NDArray[np.float64] = (left @ of) @ right.T
    return small / FINENESS


def thumbnails(of: Cells) -> NDArray[np.uint8]:
    """Grey levels of the pictures at 32 × 32, filtered with a triangle as Pillow's bilinear is."""
    small = np.empty((len(of), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    step = of.shape[-1] // THUMBNAIL_SIDE
    taps = 2.0 * step - np.abs(np.arange(1 - 2 * step + step % 2, 2 * step, 2))
    _triangles(of, taps, small)

    return small


def _parts(extent: float) -> tuple[int, int]:
    return (int(extent), 1) if extent.is_integer() else (round(_EXTENT * extent), _EXTENT)


@lru_cache
def _constant(side: int, n: int, kernel: str) -> NDArray[np.float64]:
    # As far as cells can tell, ImageHash's whash starts at the power of two above them.
    return matrix(side, n, kernel, short=1 << side.bit_length())


@inner
def _summed_rows(levels: Any, start: Any, stop: Any, parts: Any, line: Any) -> None:
    """`line`: the sum of the rows between two heights, counted in parts of a row; the first and the
    last row count by their share.
    """
    width = np.uint64(levels.shape[1])
    first, last = start // parts, (stop - np.uint64(1)) // parts
    if first == last:
        w = np.int32(stop - start)
        for x in range(width):
            line[x] = w * np.int32(levels[first, x])
        return

    u = np.int32((first + np.uint64(1)) * parts - start)
    v = np.int32(parts)
    w = np.int32(stop - last * parts)
    if last - first == np.uint64(2):  # the commonest number of rows, in one pass
        between = first + np.uint64(1)
        for x in range(width):
            line[x] = (
                u * np.int32(levels[first, x])
                + v * np.int32(levels[between, x])
                + w * np.int32(levels[last, x])
            )
        return

    for x in range(width):
        line[x] = u * np.int32(levels[first, x]) + w * np.int32(levels[last, x])
    for y in range(first + np.uint64(1), last):
        for x in range(width):
            line[x] += v * np.int32(levels[y, x])


@compiled
def _means(
    levels: Any,
    row_parts: Any,
    parts_of_row: Any,
    column_parts: Any,
    parts_of_column: Any,
    cell: Any,
) -> None:
    """`row_parts / parts_of_row` is the picture's extent in rows; cells are counted in parts, so
    all is whole.
    """
    width, side = np.uint64(levels.shape[1]), np.uint64(cell.shape[0])
    p, q = np.uint64(row_parts), np.uint64(parts_of_row) * side
    across, unit = np.uint64(column_parts), np.uint64(parts_of_column) * side
    scale = np.float64(FINENESS) / (np.float64(row_parts) * np.float64(column_parts))
    # of each cell, and its part of it
    last_column, beyond = (
        np.empty(side, np.uint64),
        np.empty(side, np.uint64),
    )

    for m in range(side):
        stop = (m + np.uint64(1)) * across
        last_column[m] = (stop - np.uint64(1)) // unit
        beyond[m] = stop - last_column[m] * unit

    line, before = np.empty(width, np.int32), np.empty(width, np.uint64)
    edges = np.zeros(side + np.uint64(1))
    for k in range(side):
        _summed_rows(levels, k * p, (k + np.uint64(1)) * p, q, line)
        total = np.uint64(0)
        for x in range(width):
            before[x] = total
            total += np.uint64(line[x])
        for m in range(side):
            x = last_column[m]
            edges[m + np.uint64(1)] = np.float64(unit * before[x] + beyond[m] * np.uint64(line[x]))
        for m in range(side):
            cell[k, m] = np.floor((edges[m + np.uint64(1)] - edges[m]) * scale + 0.5)


@inner
def _weighted_rows(cells: Any, taps: Any, start: Any, beyond: Any, line: Any) -> None:
    """`line`: the sum of the rows under the taps, of which the first is `beyond` rows before
    `start`.
    """
    side = np.uint64(cells.shape[0])
    line[:] = 0.0
    for j in range(np.uint64(len(taps))):
        y = start + j - beyond  # before the first one it is huge
        if y < side:
            w = taps[j]
            for x in range(side):
                line[x + beyond] += w * cells[y, x]


@compiled
def _triangles(of: Any, taps: Any, small: Any) -> None:
    side, n = np.uint64(of.shape[1]), np.uint64(small.shape[1])
    # of the taps on either side
    step, beyond = (
        side // n,
        (np.uint64(len(taps)) - side // n) // np.uint64(2),
    )
    line = np.zeros(side + np.uint64(2) * beyond)
    total = np.zeros(n)  # of the taps that lie in the picture

    for k in range(n):
        for j in range(np.uint64(len(taps))):
            if beyond <= step * k + j < side + beyond:
                total[k] += taps[j]

    for picture in range(np.uint64(len(of))):
        for k in range(n):
            _weighted_rows(of[picture], taps, step * k, beyond, line)
            whole = np.float64(FINENESS) * total[k]
            for m in range(n):
                value = 0.0
                for j in range(np.uint64(len(taps))):
                    value += taps[j] * line[step * m + j]
                small[picture, k, m] = np.uint8(value / (whole * total[m]) + 0.5)
