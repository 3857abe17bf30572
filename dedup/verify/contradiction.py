"""Kernels: what two aligned pictures contradict each other in.

An edit takes something away (a blur, clipped lights) or adds something (a caption, a frame): one
side shows structure where the other shows less. Two pictures of one scene differ in both
directions: what moved is missing here and new there. So structure counts that each picture has
where the other does not have it, and of the two sides the smaller one.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import inner, inner_rounded
from dedup.verify.features import gradients, total

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
_AGREES: Final = 0.6  # correlation in a block from which it contradicts nothing,
_DIFFERS: Final = 0.2  # and below which all of it does
_PLACES, _MIDDLE = 9, 4  # a block may be a pixel off, in each direction; as it lies
# of the side, in which nothing counts: a thin line round a picture, or where one of them was cut
RIM: Final = 16
_STAMP: Final = (3, 6)  # sixteenths of the side: a stamp in a corner hides what was there,
_STRIP: Final = 2  # and so does a line of text along a side
_NOTHING: Final = 1e-6


@inner_rounded
def _counted(one: Any, inside: Any, there: Any) -> None:
    """Where gradients between the pixels count, 1.0 or 0.0; the first picture's are 0 where they do
    not.
    """
    n = one.shape[1]
    for y in range(n):
        for x in range(n):
            there[y, x] = inside[y, x] * inside[y + 1, x] * inside[y, x + 1] * inside[y + 1, x + 1]
            for c in range(2):
                one[c, y, x] *= there[y, x]


@inner_rounded
def _with_edges(picture: Any, out: Any) -> None:
    """The picture with its edges repeated, a pixel on each side."""
    n = picture.shape[1]
    for c in range(2):
        for y in range(n + 2):
            line = min(max(y - 1, 0), n - 1)
            out[c, y, 0] = picture[c, line, 0]
            out[c, y, n + 1] = picture[c, line, n - 1]
            for x in range(n):
                out[c, y, x + 1] = picture[c, line, x]


@inner_rounded
def _sums_of_row(
    one: Any, two: Any, there: Any, rows: Any, shift: Any, begin: Any, end: Any, columns: Any
) -> None:
    """For each column of a row of blocks the product, the energy of the first picture and of the
    second one.

    `two` has its edges repeated, a pixel on each side; it is read at one of the nine places, 4: as
    it lies. `rows`: the first, and that after the last. Columns from `begin` to before `end`, all
    at once, so that a processor adds several at a time. `columns`: (3, n).
    """
    down, right = shift // 3, shift % 3
    products, energies, others = columns[0, begin:end], columns[1, begin:end], columns[2, begin:end]
    for x in range(len(products)):
        products[x] = energies[x] = others[x] = np.float32(0.0)

    for y in range(rows[0], rows[1]):
        # Slices, so that the places of the loop begin at 0: else each could be one from behind.
        first, second, counts = one[0, y, begin:end], one[1, y, begin:end], there[y, begin:end]
        third = two[0, y + down, begin + right : end + right]
        fourth = two[1, y + down, begin + right : end + right]
        for x in range(len(products)):
            a, b, c, d = first[x], second[x], counts[x] * third[x], counts[x] * fourth[x]
            products[x] += a * c + b * d
            energies[x] += a * a + b * b
            others[x] += c * c + d * d


@inner_rounded
def _row_of_blocks(
    one: Any, two: Any, there: Any, row: Any, best: Any, energies: Any, columns: Any
) -> None:
    """The best correlation in each block of a row under a small shift, and the energies of both
    pictures there.

    No shift is tried where all blocks agree as they lie, and none counts in a block that does.
    """
    n, n_blocks = one.shape[1], best.shape[0]
    rows = (row * n // n_blocks, (row + 1) * n // n_blocks)
    begin, end = n, 0  # of the blocks that do not agree as they lie

    for attempt in range(_PLACES):
        if attempt == 1 and begin >= end:
            return
        # As it lies first, then the places around in their order.
        shift = _MIDDLE if attempt == 0 else (attempt - 1 if attempt <= _MIDDLE else attempt)
        if attempt == 0:
            _sums_of_row(one, two, there, rows, shift, 0, n, columns)
        else:
            _sums_of_row(one, two, there, rows, shift, begin, end, columns)
        for column in range(n_blocks):
            if attempt > 0 and energies[2, column] == 0.0:
                continue
            product = energy = other = np.float32(0.0)
            for x in range(column * n // n_blocks, (column + 1) * n // n_blocks):
                product += columns[0, x]
                energy += columns[1, x]
                other += columns[2, x]
            found = product / np.sqrt(energy * other + np.float32(_NOTHING))
            if attempt == 0:
                agrees = found >= _AGREES
                energies[2, column] = 0.0 if agrees else 1.0
                if not agrees:
                    begin = min(begin, column * n // n_blocks)
                    end = (column + 1) * n // n_blocks
            if attempt == 0 or found > best[column]:
                best[column] = found
                energies[0, column] = energy
                energies[1, column] = other


@inner
def _covered(alone: Any, top: Any, left: Any, high: Any, wide: Any) -> Any:
    """What a stamp over these blocks explains: what was there and what is there now, the smaller of
    the two.
    """
    first = second = 0.0
    for row in range(top, top + high):
        for column in range(left, left + wide):
            first += alone[0, row, column]
            second += alone[1, row, column]

    return min(first, second)


@inner_rounded
def _stamped(alone: Any) -> Any:
    """The most that one stamp explains: a box in a corner, or a line of text along a side."""
    n = alone.shape[1]
    short, long, strip = (
        (n * _STAMP[0] + 15) // 16,
        (n * _STAMP[1] + 15) // 16,
        (n * _STRIP + 15) // 16,
    )
    most = 0.0

    # Loops over numbers: numba writes a loop over a tuple out, once for each of its parts.
    for upright in range(2):
        high, wide = (long, short) if upright else (short, long)
        for corner in range(4):
            top, left = (corner // 2) * (n - high), (corner % 2) * (n - wide)
            most = max(most, _covered(alone, top, left, high, wide))

    for side in range(4):
        high, wide = (strip, n) if side < 2 else (n, strip)
        top, left = n - strip if side == 1 else 0, n - strip if side == 3 else 0
        most = max(most, _covered(alone, top, left, high, wide))

    return most


@inner_rounded
def contradiction(one: Any, two: Any, inside: Any, n_blocks: Any, rim: Any) -> Any:
    """Share of the structure in [0, 1] in which both pictures have what the other has not, but for
    one stamp.

    `one` and `two`: grey, (n, n), laid over each other and a little blurred; `inside`: where both
    are; `n_blocks`: on a side, in which they are compared; `rim`: how many of them along each side
    do not count.
    """
    n = one.shape[0] - 1
    left, right = np.empty((2, n, n), np.float32), np.empty((2, n, n), np.float32)
    gradients(one, _NOISE, left)
    gradients(two, _NOISE, right)
    there, columns = np.empty((n, n), np.float32), np.empty((3, n), np.float32)
    wider = np.empty((2, n + 2, n + 2), np.float32)
    _counted(left, inside, there)
    _with_edges(right, wider)
    alone, energies = np.zeros((2, n_blocks, n_blocks)), np.zeros((4, n_blocks))
    best, totals = energies[3], np.zeros(2)
    totals[0] = totals[1] = _NOTHING

    for row in range(n_blocks):
        _row_of_blocks(left, wider, there, row, best, energies, columns)
        for column in range(n_blocks):
            differs = min(max((_AGREES - best[column]) / (_AGREES - _DIFFERS), 0.0), 1.0)
            at_rim = min(row, column, n_blocks - 1 - row, n_blocks - 1 - column) < rim
            for k in range(2):
                totals[k] += energies[k, column]
                alone[k, row, column] = 0.0 if at_rim else differs * energies[k, column]

    for k in range(2):
        for row in range(n_blocks):
            for column in range(n_blocks):
                alone[k, row, column] /= totals[k]

    return max(min(total(alone[0].reshape(-1)), total(alone[1].reshape(-1))) - _stamped(alone), 0.0)
