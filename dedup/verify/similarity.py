"""Similarity of two pictures from their thumbnails: agreement of gradients under the best alignment.

Full alignment is dear and candidates are many, so it is a cascade: gradients of 16 × 16 as they lie, aligned in a few
steps, aligned from other scales, and only what still agrees is aligned and compared at 32 × 32.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import compiled_rounded
from dedup.verify.alignment import best_start, correlation, laid_over, prepared, refined
from dedup.verify.features import blurred, gradients, halved, oriented

MIN_LYING: Final = 0.1
MIN_STARTED: Final = 0.45
MIN_COARSE: Final = 0.7
ENOUGH: Final = 0.9

STARTS: Final = np.array(
    [[x, 0.0, 0.0, y, 0.0, 0.0] for x, y in ((0.89, 0.89), (1.12, 1.12), (0.89, 1.0), (1.0, 0.89), (1.12, 1.0), (1.0, 1.12))]
)
INVERSE: Final = np.array([0, 1, 2, 3, 4, 7, 6, 5], np.uint8)  # INVERSE[t] undoes the transform t


@compiled_rounded
def _room(n: int) -> Any:
    return (
        np.empty((2, n, n), np.float32),
        np.empty((n, n), np.float32),
        np.zeros(3),
        np.zeros(6),
        np.zeros(6),
    )


@compiled_rounded
def aligned(thumbnails: Any, others: Any, one: Any, two: Any, turns: Any, starts: Any, out: Any, maps: Any, counts: Any) -> None:
    """Correlations at 16 and 32, sorted by one."""
    n = thumbnails.shape[1]
    h = n // 2
    turned = np.empty((n, n), np.uint8)
    work, smooth, half = np.empty((n, n), np.float32), np.empty((n, n), np.float32), np.empty((h, h), np.float32)
    coarse_a, coarse_b = np.empty((2, h - 1, h - 1), np.float32), np.empty((2, h - 1, h - 1), np.float32)
    fine_a, fine_b = np.empty((2, n - 1, n - 1), np.float32), np.empty((2, n - 1, n - 1), np.float32)
    descent_c, descent_f = np.empty((6, 2, h - 1, h - 1), np.float32), np.empty((6, 2, n - 1, n - 1), np.float32)
    inverse_c, inverse_f = np.empty((6, 6)), np.empty((6, 6))
    room_c, room_f = _room(h - 1), _room(n - 1)
    everywhere = np.ones((h - 1, h - 1), np.float32)
    by, trial = np.zeros(6), np.zeros(6)
    before, prepared_c, prepared_f = np.int64(-1), np.int64(-1), np.int64(-1)
    n_thumbnails = len(thumbnails)
    for k in range(len(one)):
        a, b = one[k], two[k]
        if a != before:
            grey = thumbnails[a] if a < n_thumbnails else others[a - n_thumbnails]
            blurred(grey, work, smooth)
            gradients(smooth, fine_a)
            halved(smooth, half)
            gradients(half, coarse_a)
            before = a
        grey = thumbnails[b] if b < n_thumbnails else others[b - n_thumbnails]
        if turns[k] != 0:
            oriented(grey, turns[k], turned)
            blurred(turned, work, smooth)
        else:
            blurred(grey, work, smooth)
        halved(smooth, half)
        gradients(half, coarse_b)
        by[:] = 0.0
        by[0] = by[3] = 1.0
        found = correlation(coarse_a, coarse_b, everywhere, room_c[2])
        out[k, 0] = found
        maps[k] = by
        if found < MIN_LYING:
            continue
        counts[0] += 1
        if prepared_c != a:
            prepared(coarse_a, descent_c, inverse_c)
            prepared_c = a
        found = refined(coarse_a, descent_c, inverse_c, coarse_b, by, 2, 0.005, room_c)
        if found < ENOUGH:
            trial[:] = by
            start = best_start(coarse_a, coarse_b, starts, -1.0, trial, room_c)
            if max(start, found) < MIN_STARTED:
                out[k, 1] = found
                maps[k] = by
                continue
            counts[1] += 1
            again = refined(coarse_a, descent_c, inverse_c, coarse_b, trial, 3, 0.005, room_c)
            if again > found:
                found = again
                by[:] = trial
        out[k, 1] = found
        maps[k] = by
        if found < MIN_COARSE:
            continue
        counts[2] += 1
        if prepared_f != a:
            prepared(fine_a, descent_f, inverse_f)
            prepared_f = a
        gradients(smooth, fine_b)
        out[k, 2] = refined(fine_a, descent_f, inverse_f, fine_b, by, 3, 0.002, room_f)
        maps[k] = by
