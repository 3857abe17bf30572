"""Kernels: what two aligned pictures contradict each other in.

An edit takes something away (a blur, clipped lights) or adds something (a caption, a frame): one side shows structure
where the other shows less. Two pictures of one scene differ in both directions: what moved is missing here and new
there. So structure counts that each picture has where the other does not have it, and of the two sides the smaller one.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import compiled_rounded
from dedup.verify.features import gradients

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
_AGREES: Final = 0.6  # correlation in a block from which it contradicts nothing,
_DIFFERS: Final = 0.2  # and below which all of it does
_SHIFTS: Final = np.array(
    [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))]
)
"""How a block may be off, in pixels: as it lies first."""

RIM: Final = 16  # of the side, in which nothing counts: a thin line round a picture, or where one of them was cut
_STAMP: Final = (3, 6)  # sixteenths of the side: a stamp in a corner hides what was there,
_STRIP: Final = 2  # and so does a line of text along a side
_NOTHING: Final = 1e-6


@compiled_rounded
def _counted(one: Any, inside: Any, there: Any) -> None:
    """Where gradients between the pixels count, 1.0 or 0.0; the first picture's are 0 where they do not."""
    n = one.shape[1]
    for y in range(n):
        for x in range(n):
            there[y, x] = inside[y, x] * inside[y + 1, x] * inside[y, x + 1] * inside[y + 1, x + 1]
            for c in range(2):
                one[c, y, x] *= there[y, x]


@compiled_rounded
def _with_edges(picture: Any, out: Any) -> None:
    """The picture with its edges repeated, a pixel on each side."""
    n = picture.shape[1]
    for c in range(2):
        for y in range(n + 2):
            line = min(max(y - 1, 0), n - 1)
            out[c, y, 0], out[c, y, n + 1] = picture[c, line, 0], picture[c, line, n - 1]
            for x in range(n):
                out[c, y, x + 1] = picture[c, line, x]


@compiled_rounded
def _sums_of_row(one: Any, two: Any, there: Any, rows: Any, down: Any, right: Any, columns: Any) -> None:
    """For each column of a row of blocks the product, the energy of the first picture and of the second one.

    `two` has its edges repeated, a pixel on each side; it is read so far away. `columns`: (3, n).
    """
    n = one.shape[1]
    columns[:] = 0.0
    for y in range(rows[0], rows[1]):
        for c in range(2):
            for x in range(n):
                first, second = one[c, y, x], there[y, x] * two[c, y + 1 + down, x + 1 + right]
                columns[0, x] += first * second
                columns[1, x] += first * first
                columns[2, x] += second * second


@compiled_rounded
def _row_of_blocks(one: Any, two: Any, there: Any, row: Any, best: Any, energies: Any, columns: Any) -> None:
    """The best correlation in each block of a row under a small shift, and the energies of both pictures there.

    No shift is tried where all blocks agree as they lie, and none counts in a block that does.
    """
    n, n_blocks = one.shape[1], best.shape[0]
    rows = (row * n // n_blocks, (row + 1) * n // n_blocks)
    best[:] = -2.0
    for k in range(_SHIFTS.shape[0]):
        if k == 1 and best.min() >= _AGREES:
            return
        _sums_of_row(one, two, there, rows, _SHIFTS[k, 0], _SHIFTS[k, 1], columns)
        for column in range(n_blocks):
            if k > 0 and best[column] >= _AGREES and energies[2, column] == 0.0:
                continue
            first, last = column * n // n_blocks, (column + 1) * n // n_blocks
            product = energy = other = np.float32(0.0)
            for x in range(first, last):
                product += columns[0, x]
                energy += columns[1, x]
                other += columns[2, x]
            found = product / np.sqrt(energy * other + np.float32(_NOTHING))
            if k == 0:
                energies[2, column] = 0.0 if found >= _AGREES else 1.0
            if found > best[column]:
                best[column], energies[0, column], energies[1, column] = found, energy, other


@compiled_rounded
def _covered(alone: Any, top: Any, left: Any, high: Any, wide: Any) -> Any:
    """What a stamp over these blocks explains: what was there and what is there now, the smaller of the two."""
    first = alone[0, top : top + high, left : left + wide].sum()
    second = alone[1, top : top + high, left : left + wide].sum()
    return min(first, second)


@compiled_rounded
def _stamped(alone: Any) -> Any:
    """The most that one stamp explains: a box in a corner, or a line of text along a side."""
    n = alone.shape[1]
    short, long, strip = (n * _STAMP[0] + 15) // 16, (n * _STAMP[1] + 15) // 16, (n * _STRIP + 15) // 16
    most = 0.0
    for high, wide in ((short, long), (long, short)):
        for top in (0, n - high):
            for left in (0, n - wide):
                most = max(most, _covered(alone, top, left, high, wide))
    for start in (0, n - strip):
        most = max(most, _covered(alone, start, 0, strip, n), _covered(alone, 0, start, n, strip))
    return most


@compiled_rounded
def contradiction(one: Any, two: Any, inside: Any, n_blocks: Any, rim: Any) -> Any:
    """Share of the structure in [0, 1] in which both pictures have what the other has not, but for one stamp.

    `one` and `two`: grey, (n, n), laid over each other and a little blurred; `inside`: where both are; `n_blocks`: on a
    side, in which they are compared; `rim`: how many of them along each side do not count.
    """
    n = one.shape[0] - 1
    left, right = np.empty((2, n, n), np.float32), np.empty((2, n, n), np.float32)
    gradients(one, _NOISE, left)
    gradients(two, _NOISE, right)
    there = np.empty((n, n), np.float32)
    _counted(left, inside, there)
    alone, totals = np.zeros((2, n_blocks, n_blocks)), np.full(2, _NOTHING)
    wider, columns = np.empty((2, n + 2, n + 2), np.float32), np.empty((3, n), np.float32)
    _with_edges(right, wider)
    best, energies = np.empty(n_blocks), np.empty((3, n_blocks))
    for row in range(n_blocks):
        _row_of_blocks(left, wider, there, row, best, energies, columns)
        for column in range(n_blocks):
            differs = min(max((_AGREES - best[column]) / (_AGREES - _DIFFERS), 0.0), 1.0)
            at_rim = min(row, column, n_blocks - 1 - row, n_blocks - 1 - column) < rim
            for k in range(2):
                totals[k] += energies[k, column]
                alone[k, row, column] = 0.0 if at_rim else differs * energies[k, column]
    for k in range(2):
        alone[k] /= totals[k]
    return max(min(alone[0].sum(), alone[1].sum()) - _stamped(alone), 0.0)
