"""Kernels: what two aligned pictures contradict each other in.

An edit takes something away (a blur, clipped lights) or adds something (a caption, a frame): one side shows structure
where the other shows less. Two pictures of one scene differ in both directions: what moved is missing here and new
there. So structure counts that each picture has where the other does not have it, and of the two sides the smaller one.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import inner, inner_rounded
from dedup.verify.features import gradients, put, total

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
_AGREES: Final = 0.6  # correlation in a block from which it contradicts nothing,
_DIFFERS: Final = 0.2  # and below which all of it does
_SHIFT: Final = 1  # pixels that a block may be off
RIM: Final = 16  # of the side, in which nothing counts: a thin line round a picture, or where one of them was cut
_STAMP: Final = (3, 6)  # sixteenths of the side: a stamp in a corner hides what was there,
_STRIP: Final = 2  # and so does a line of text along a side
_NOTHING: Final = 1e-6


@inner_rounded
def _block(one: Any, two: Any, inside: Any, box: Any, down: Any, right: Any, sums: Any) -> Any:
    """Correlation in a block, the second picture read so far away; `sums`: energy of the first, of the second."""
    n = one.shape[1]
    product = energy = other = np.float32(0.0)
    for y in range(box[0], box[1]):
        j = min(max(y + down, 0), n - 1)
        for x in range(box[2], box[3]):
            there = inside[y, x] * inside[y + 1, x] * inside[y, x + 1] * inside[y + 1, x + 1]
            i = min(max(x + right, 0), n - 1)
            for c in range(2):
                first, second = there * one[c, y, x], there * two[c, j, i]
                product += first * second
                energy += first * first
                other += second * second
    sums[0], sums[1] = energy, other
    return product / np.sqrt(energy * other + np.float32(_NOTHING))


@inner_rounded
def _best_of_block(one: Any, two: Any, inside: Any, box: Any, sums: Any, trial: Any) -> Any:
    """The best correlation within a block under a small shift; none is tried where it agrees as it lies."""
    best = _block(one, two, inside, box, np.int64(0), np.int64(0), sums)
    if best >= _AGREES:
        return best
    for down in range(-_SHIFT, _SHIFT + 1):
        for right in range(-_SHIFT, _SHIFT + 1):
            found = _block(one, two, inside, box, down, right, trial)
            if found > best:
                best = found
                put(trial, sums)
    return best


@inner
def _covered(alone: Any, top: Any, left: Any, high: Any, wide: Any) -> Any:
    """What a stamp over these blocks explains: what was there and what is there now, the smaller of the two."""
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
    short, long, strip = (n * _STAMP[0] + 15) // 16, (n * _STAMP[1] + 15) // 16, (n * _STRIP + 15) // 16
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
    """Share of the structure in [0, 1] in which both pictures have what the other has not, but for one stamp.

    `one` and `two`: grey, (n, n), laid over each other and a little blurred; `inside`: where both are; `n_blocks`: on a
    side, in which they are compared; `rim`: how many of them along each side do not count.
    """
    n = one.shape[0] - 1
    left, right = np.empty((2, n, n), np.float32), np.empty((2, n, n), np.float32)
    gradients(one, _NOISE, left)
    gradients(two, _NOISE, right)
    alone, box, numbers = np.zeros((2, n_blocks, n_blocks)), np.zeros(4, np.int64), np.zeros((3, 2))
    totals, sums, trial = numbers[0], numbers[1], numbers[2]
    totals[0] = totals[1] = _NOTHING
    for row in range(n_blocks):
        box[0], box[1] = row * n // n_blocks, (row + 1) * n // n_blocks
        for column in range(n_blocks):
            box[2], box[3] = column * n // n_blocks, (column + 1) * n // n_blocks
            agrees = _best_of_block(left, right, inside, box, sums, trial)
            differs = min(max((_AGREES - agrees) / (_AGREES - _DIFFERS), 0.0), 1.0)
            at_rim = min(row, column, n_blocks - 1 - row, n_blocks - 1 - column) < rim
            for k in range(2):
                totals[k] += sums[k]
                alone[k, row, column] = 0.0 if at_rim else differs * sums[k]
    for k in range(2):
        for row in range(n_blocks):
            for column in range(n_blocks):
                alone[k, row, column] /= totals[k]
    return max(min(total(alone[0].reshape(-1)), total(alone[1].reshape(-1))) - _stamped(alone), 0.0)
