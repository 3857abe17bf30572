"""Similarity of a picture with one of which only the signs of gradients are kept: 68 bytes.

The kept side: grey levels of a 17 × 17 grid, whether each is brighter than its neighbour to the
right and below: 544 signs. The asked side is there in full, so it can be moved: it is seen in 29
views, and from the best one on in small steps. A view's differences are compared with the signs,
each by its own weight: long differences are sure of their sign, short ones are noise.

A pair depends on its own two pictures only.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.compiled import compiled, compiled_rounded
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify.features import put

inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(inline="always")
"""For what is called once for each difference."""

GRID: Final = 17
N_SIGNS: Final = 2 * GRID * (GRID - 1)
N_BYTES: Final = N_SIGNS // 8

_HALF: Final = N_SIGNS // 2
_SOFT: Final = 0.2
"""Part of each neighbour: with the interpolation that follows, about as soft as the mean of a
cell.
"""

_SURE: Final = 3.0
"""Grey levels: a shorter difference is in part noise, and its weight is cut in proportion."""

_SCALES: Final = (0.86, 0.9, 0.95, 1.0, 1.05, 1.1, 1.16)
_TURNS: Final = (0.0, -2.0, 2.0)  # degrees
_SHIFTS: Final = ((0.04, 0.0), (-0.04, 0.0), (0.0, 0.04), (0.0, -0.04))  # shares of the picture
_WORTH_STEPS: Final = 0.45
"""A lower score after the views has never been seen to rise to a match, and steps cost most."""

_MAX_STEPS: Final = 8
_STEPS: Final = (0.02, 0.02, 0.015, 0.015, 0.0175)
"""First step of the scale across, down, the shift across, down (shares), the turn (radians)."""

_DECIMALS: Final = 4  # more would only show the rounding of different processors


def _views() -> NDArray[np.float64]:
    """(29, 5): scale across, scale down, shift across, shift down, turn in radians."""
    views = [(s, s, 0.0, 0.0, np.deg2rad(turn)) for s in _SCALES for turn in _TURNS]
    views += [(s, s, x, y, 0.0) for s in (1.0, 0.95) for x, y in _SHIFTS]
    return np.array(views)


VIEWS: Final = _views()


def _cells() -> NDArray[np.int64]:
    """(17, 32): what each pixel adds to each cell of the grid, in 170ths: as `_softened` and
    `_seen` do it.

    A cell is interpolated between the two pixels beside its centre, in 34ths, after each pixel was
    softened by its neighbours, in fifths. Whole numbers: signs are the same on every machine.
    """
    n = THUMBNAIL_SIDE
    soft = np.zeros((n, n), np.int64)
    for pixel in range(n):
        for near, share in ((max(pixel - 1, 0), 1), (pixel, 3), (min(pixel + 1, n - 1), 1)):
            soft[pixel, near] += share

    between = np.zeros((GRID, n), np.int64)
    for cell in range(GRID):
        left, share = divmod((2 * cell + 1) * n - GRID, 2 * GRID)
        between[cell, left] += 2 * GRID - share
        between[cell, left + 1] += share

    return between @ soft


_CELLS: Final = _cells()


def signs_of(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The signs of thumbnails (n, 32, 32), packed: uint8, (n, 68).

    Computed in whole numbers, so that they are the same on every machine.
    """
    small = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE).astype(np.int64)
    grid = _CELLS @ small @ _CELLS.T
    across = grid[:, :, 1:] > grid[:, :, :-1]
    down = grid[:, 1:, :] > grid[:, :-1, :]
    both = np.concatenate(
        [across.reshape(len(grid), _HALF), down.reshape(len(grid), _HALF)], axis=1
    )

    return np.packbits(both, axis=1)


def agreement(thumbnail: NDArray[np.uint8], signs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How well each of the signs (n, 68) fits one thumbnail (32, 32): in [-1, 1], 1 is perfect."""
    grey = np.ascontiguousarray(thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = np.empty(len(signs), np.float32)
    _agreements(grey, np.ascontiguousarray(signs), VIEWS, out)
    rounded: NDArray[np.float32] = np.round(out, _DECIMALS)

    return rounded


def evidence(thumbnail: NDArray[np.uint8]) -> float:
    """How many of the 544 differences of a thumbnail (32, 32) count: of a drawing on white few, of
    a photo most.

    The effective number of equal weights: the square of their sum by the sum of their squares.
    """
    small = thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE).astype(np.int64)
    grid = (_CELLS @ small @ _CELLS.T) / float(_CELLS[0].sum()) ** 2
    lengths = np.abs(
        np.concatenate([np.diff(grid, axis=1).reshape(-1), np.diff(grid, axis=0).reshape(-1)])
    )
    weights = np.sqrt(lengths) * np.minimum(1.0, lengths / _SURE)
    squares = float((weights**2).sum())

    return round(float(weights.sum()) ** 2 / squares, 1) if squares else 0.0


def shared(one: NDArray[np.uint8], signs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same where the asked side has nothing but signs (68,): equal signs less different
    ones.
    """
    different = np.unpackbits(one[None, :] ^ signs, axis=1).sum(axis=1, dtype=np.int64)
    similarity: NDArray[np.float32] = np.round(1.0 - 2.0 * different / N_SIGNS, _DECIMALS).astype(
        np.float32
    )

    return similarity


@compiled_rounded
def _softened(grey: Any, work: Any, out: Any) -> None:
    """The picture as means over about the width of a cell, which is 32 / 17 pixels."""
    n = grey.shape[0]
    side, middle = np.float32(_SOFT), np.float32(1.0 - 2.0 * _SOFT)
    for y in range(n):
        for x in range(n):
            around = np.float32(grey[y, max(x - 1, 0)]) + np.float32(grey[y, min(x + 1, n - 1)])
            work[y, x] = middle * np.float32(grey[y, x]) + side * around

    for y in range(n):
        for x in range(n):
            around = work[max(y - 1, 0), x] + work[min(y + 1, n - 1), x]
            out[y, x] = middle * work[y, x] + side * around


@compiled_rounded
def _seen(soft: Any, view: Any, grid: Any, covered: Any) -> None:
    """The grid (17, 17) of a softened picture under a view, and which cells are inside: 1 or 0.

    A view with a scale below 1 sees a larger part of the plane: what is beyond the edge repeats it,
    and does not count.
    """
    n = soft.shape[0]
    half, most = np.float32(0.5 * n), np.float32(n - 1)
    step, edge = np.float32(n / GRID), np.float32(0.25)
    cosine, sine = np.cos(view[4]), np.sin(view[4])
    xx, xy = np.float32(cosine / view[0]), np.float32(-sine / view[0])
    yx, yy = np.float32(sine / view[1]), np.float32(cosine / view[1])
    to_x, to_y = half + np.float32(view[2] * n), half + np.float32(view[3] * n)

    for row in range(GRID):
        v = (np.float32(row) + np.float32(0.5)) * step - half
        for column in range(GRID):
            u = (np.float32(column) + np.float32(0.5)) * step - half
            x = xx * u + xy * v + to_x - np.float32(0.5)
            y = yx * u + yy * v + to_y - np.float32(0.5)
            there = x >= -edge and x <= most + edge and y >= -edge and y <= most + edge
            covered[row, column] = np.float32(1.0) if there else np.float32(0.0)
            x = min(max(x, np.float32(0.0)), most)
            y = min(max(y, np.float32(0.0)), most)
            left, top = min(np.int32(x), n - 2), min(np.int32(y), n - 2)
            across, down = x - np.float32(left), y - np.float32(top)
            above = soft[top, left] + across * (soft[top, left + 1] - soft[top, left])
            under = soft[top + 1, left] + across * (soft[top + 1, left + 1] - soft[top + 1, left])
            grid[row, column] = above + down * (under - above)


@inlined
def _weight(difference: Any, there: Any) -> Any:
    """Weight of a difference with its sign; none where it is not inside."""
    length = abs(difference)
    weight = there * np.sqrt(length) * min(np.float32(1.0), length * np.float32(1.0 / _SURE))
    return weight if difference > np.float32(0.0) else -weight


@compiled_rounded
def _weighted(grid: Any, covered: Any, out: Any) -> Any:
    """Signed weights of the 544 differences of a grid; returns the sum of their lengths."""
    for row in range(GRID):
        for column in range(GRID - 1):
            there = covered[row, column] * covered[row, column + 1]
            difference = grid[row, column + 1] - grid[row, column]
            out[row * (GRID - 1) + column] = _weight(difference, there)

    for row in range(GRID - 1):
        for column in range(GRID):
            there = covered[row, column] * covered[row + 1, column]
            difference = grid[row + 1, column] - grid[row, column]
            out[_HALF + row * GRID + column] = _weight(difference, there)

    total = np.float32(0.0)
    for k in range(N_SIGNS):
        total += abs(out[k])

    return total


@compiled
def _spread(packed: Any, out: Any) -> None:
    """Packed signs as ±1."""
    for k in range(N_SIGNS):
        bit = (packed[k >> 3] >> np.uint8(7 - (k & 7))) & np.uint8(1)
        out[k] = np.float32(2.0) * bit - np.float32(1.0)


@compiled_rounded
def _score(weights: Any, total: Any, signs: Any) -> Any:
    found = np.float32(0.0)
    for k in range(N_SIGNS):
        found += weights[k] * signs[k]
    return found / total if total > np.float32(0.0) else np.float32(0.0)


@compiled_rounded
def _stepped(soft: Any, signs: Any, view: Any, best: Any, room: Any) -> Any:
    """The best score that small steps from a view on lead to; `view` is changed."""
    grid, covered, weights, trial, steps = room
    for number in range(5):
        steps[number] = _STEPS[number]

    for _ in range(_MAX_STEPS):
        improved = False
        for number in range(5):
            for way in (-1.0, 1.0):
                put(view, trial)
                trial[number] += way * steps[number]
                _seen(soft, trial, grid, covered)
                found = _score(weights, _weighted(grid, covered, weights), signs)
                if found > best:
                    best = found
                    improved = True
                    put(trial, view)
        if not improved:
            if steps[0] < 0.006:
                break
            for number in range(5):
                steps[number] *= 0.5

    return best


@compiled_rounded
def _agreements(grey: Any, packed: Any, views: Any, out: Any) -> None:
    """Scores of one picture with the signs of others, the views of the picture made once."""
    n, n_views = grey.shape[0], len(views)
    soft, work = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    grid, covered = np.empty((GRID, GRID), np.float32), np.empty((GRID, GRID), np.float32)
    weights, totals = np.empty((n_views, N_SIGNS), np.float32), np.empty(n_views, np.float32)
    _softened(grey, work, soft)
    for v in range(n_views):
        _seen(soft, views[v], grid, covered)
        totals[v] = _weighted(grid, covered, weights[v])

    room = (grid, covered, np.empty(N_SIGNS, np.float32), np.empty(5), np.empty(5))
    signs, view = np.empty(N_SIGNS, np.float32), np.empty(5)
    for at in range(len(packed)):
        _spread(packed[at], signs)
        best, best_view = np.float32(-1.0), 0
        for v in range(n_views):
            found = _score(weights[v], totals[v], signs)
            if found > best:
                best, best_view = found, v
        if best >= np.float32(_WORTH_STEPS):
            for k in range(5):
                view[k] = views[best_view, k]
            best = _stepped(soft, signs, view, best, room)
        out[at] = best
