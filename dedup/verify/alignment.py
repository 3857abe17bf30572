"""Kernels: two small pictures laid over each other as well as an affine map can.

The map is found by inverse compositional Gauss-Newton steps (Baker and Matthews 2004, "Lucas-Kanade
20 years on", section 3.2): what a step needs besides the difference belongs to the first picture
alone, and is worked out once for all that it is compared with. A map is six numbers: the matrix row
by row, then the shift, both in half-widths of the picture; it takes places of the first picture to
the second.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import inner_rounded
from dedup.verify.features import put
from dedup.verify.matrices import inverted

_MIN_SCALE: Final = 0.78
_MAX_SCALE: Final = 1.28
_MAX_SHEAR: Final = 0.08  # 4.6 degrees as a rotation
_MAX_SHIFT: Final = 0.25
_AT_ONCE: Final = 512  # places laid over: what is known of them fits in the fastest memory

# For each of the six numbers, whether it moves a place to the right (0) or down (1), and the power
# of x and of y by which it does.
_DOWN: Final = (0, 0, 1, 1, 0, 1)
_TIMES_X: Final = (1, 0, 1, 0, 0, 0)
_TIMES_Y: Final = (0, 1, 0, 1, 0, 0)


class Room(NamedTuple):
    """What an alignment of gradients of n × n works in, made by NumPy."""

    laid: NDArray[np.float32]  # (2, n, n): the second picture at the places of the first
    inside: NDArray[np.float32]  # (n, n)
    beside: NDArray[np.float32]  # (2 · n · n,): of the second picture, both gradients of each place
    pairs: NDArray[np.float64]  # (n · n,): the same memory, to move both at once
    middle: NDArray[np.float32]  # (2, n · n): how far right of, and below, the middle a place is
    places: NDArray[np.int32]  # (m,): of m places, where each is found
    parts: NDArray[np.float32]  # (2, m): of a pixel, how far to the right and below that
    corners: NDArray[np.float32]  # (4, 2 · m): the four pixels around each place
    moved: NDArray[np.float64]  # (4, m): the same memory
    sums: NDArray[np.float64]  # (3,)
    step: NDArray[np.float64]  # (6,)
    trial: NDArray[np.float64]  # (6,)


def room(n: int) -> Room:
    """For gradients of n × n."""
    laid, inside = np.empty((2, n, n), np.float32), np.empty((n, n), np.float32)
    pairs, moved = np.empty(n * n), np.empty((4, _AT_ONCE))
    beside, corners = pairs.view(np.float32), moved.view(np.float32)
    below, right = np.indices((n, n), np.float32).reshape(2, n * n) - np.float32((n - 1) / 2)
    places, parts = np.empty(_AT_ONCE, np.int32), np.empty((2, _AT_ONCE), np.float32)
    block = (np.stack([right, below]), places, parts, corners, moved)

    return Room(laid, inside, beside, pairs, *block, np.zeros(3), np.zeros(6), np.zeros(6))


@inner_rounded
def unmoved(by: Any) -> None:
    """The map that leaves everything in its place."""
    for k in range(6):
        by[k] = 1.0 if k == 0 or k == 3 else 0.0


@inner_rounded
def prepared(one: Any, slopes: Any, inverse: Any, work: Any) -> None:
    """What a step needs of the first picture.

    `slopes`, (2, 2, n, n): how its gradients change to the right, and downwards. How they change
    with each of the six numbers are products of these with the place, so that nothing else is kept.
    `inverse`, (6, 6): that of the damped Hessian; shears are rare and damped most.
    """
    n = one.shape[1]
    half = np.float32((n - 1) / 2)
    for c in range(2):
        for y in range(n):
            up, down = max(y - 1, 0), min(y + 1, n - 1)
            along = half / np.float32(down - up)
            slopes[0, c, y, 0] = half * (one[c, y, 1] - one[c, y, 0])
            slopes[0, c, y, n - 1] = half * (one[c, y, n - 1] - one[c, y, n - 2])
            for x in range(1, n - 1):
                slopes[0, c, y, x] = half * (one[c, y, x + 1] - one[c, y, x - 1]) * np.float32(0.5)
            for x in range(n):
                slopes[1, c, y, x] = along * (one[c, down, x] - one[c, up, x])

    hessian, moments = np.empty((6, 6)), np.empty((3, 3, 3))
    _find_moments(slopes, work.middle, moments)
    for i in range(6):
        # The first four numbers are those of the matrix: of places to the right, then below.
        for j in range(i, 6):
            kind = _DOWN[i] + _DOWN[j]
            value = moments[kind, _TIMES_X[i] + _TIMES_X[j], _TIMES_Y[i] + _TIMES_Y[j]]
            hessian[i, j] = hessian[j, i] = value
    trace = 1e-6
    for i in range(6):
        trace += hessian[i, i]
    for i in range(6):
        hessian[i, i] = 1.02 * hessian[i, i] + 0.002 * trace

    hessian[1, 1] += 0.02 * trace
    hessian[2, 2] += 0.02 * trace
    inverted(hessian, inverse)


@inner_rounded
def _find_moments(slopes: Any, middle: Any, moments: Any) -> None:
    """Sums over all places of products of two slopes, times powers of the place.

    `moments`, (3, 3, 3): of slopes to the right, of both, of slopes downwards; by the power of x;
    by the power of y. Those that no Hessian has are left as they are.
    """
    n = slopes.shape[2]
    flat = slopes.reshape(2, 2, n * n)
    unit = 2.0 / (n - 1)  # of a place that is counted from the middle

    for kind in range(3):
        i, j = kind // 2, (kind + 1) // 2
        m = mx = my = mxx = mxy = myy = np.float32(0.0)
        for k in range(n * n):
            u, v = middle[0, k], middle[1, k]
            value = flat[i, 0, k] * flat[j, 0, k] + flat[i, 1, k] * flat[j, 1, k]
            right, below = value * u, value * v
            m += value
            mx += right
            my += below
            mxx += right * u
            mxy += right * v
            myy += below * v
        moments[kind, 0, 0], moments[kind, 1, 0], moments[kind, 0, 1] = m, mx * unit, my * unit
        moments[kind, 2, 0], moments[kind, 0, 2] = mxx * unit * unit, myy * unit * unit
        moments[kind, 1, 1] = mxy * unit * unit


@inner_rounded
def _put_beside(picture: Any, beside: Any) -> None:
    """Both gradients of each place beside each other, as `laid_over` reads them."""
    n = picture.shape[1]
    flat = picture.reshape(2, n * n)
    for k in range(n * n):
        beside[2 * k] = flat[0, k]
        beside[2 * k + 1] = flat[1, k]


@inner_rounded
def _laid_over(by: Any, work: Any) -> None:
    """The second picture's gradients, those `beside` each other, at the places of the first.

    `inside`, 0.0 or 1.0, says where it has any. A block of places is done in three loops, as a
    processor does the first and the last of them for many places at a time.
    """
    n = work.laid.shape[1]
    out, inside, pairs = work.laid.reshape(2, n * n), work.inside.reshape(n * n), work.pairs
    middle, places, parts = work.middle, work.places, work.parts
    corners, moved = work.corners, work.moved
    half = np.float32((n - 1) / 2)
    xx, xy, yx, yy = np.float32(by[0]), np.float32(by[1]), np.float32(by[2]), np.float32(by[3])
    right, down = np.float32(by[4]) * half + half, np.float32(by[5]) * half + half
    edge = np.float32(n) - np.float32(0.99)
    least = np.float32(-0.01)
    first, last, side = np.int32(0), np.int32(n - 2), np.int32(n)

    for begin in range(0, n * n, _AT_ONCE):
        # Slices, so that the places of a loop begin at 0: else each could be one from behind.
        end = min(begin + _AT_ONCE, n * n)
        us, vs, here = middle[0, begin:end], middle[1, begin:end], inside[begin:end]
        out_right, out_below = out[0, begin:end], out[1, begin:end]
        for k in range(len(here)):
            u, v = us[k], vs[k]
            column = xx * u + xy * v + right
            row = yx * u + yy * v + down
            within = (column >= least) & (row >= least) & (column <= edge) & (row <= edge)
            here[k] = np.float32(1.0) if within else np.float32(0.0)
            i, j = min(max(np.int32(column), first), last), min(max(np.int32(row), first), last)
            places[k] = j * side + i
            parts[0, k] = column - np.float32(i)
            parts[1, k] = row - np.float32(j)

        for k in range(len(here)):
            place = np.uint64(places[k])
            moved[0, k] = pairs[place]
            moved[1, k] = pairs[place + np.uint64(1)]
            moved[2, k] = pairs[place + np.uint64(n)]
            moved[3, k] = pairs[place + np.uint64(n + 1)]

        for k in range(len(here)):
            weight, fx, fy = here[k], parts[0, k], parts[1, k]
            p, q = 2 * k, 2 * k + 1
            above = corners[0, p] + fx * (corners[1, p] - corners[0, p])
            below = corners[2, p] + fx * (corners[3, p] - corners[2, p])
            out_right[k] = weight * (above + fy * (below - above))
            above = corners[0, q] + fx * (corners[1, q] - corners[0, q])
            below = corners[2, q] + fx * (corners[3, q] - corners[2, q])
            out_below[k] = weight * (above + fy * (below - above))


@inner_rounded
def correlation(one: Any, two: Any, inside: Any, sums: Any) -> Any:
    """Correlation where both are; `sums`: product, energy of the first, energy of the second."""
    n = one.shape[1]
    ones, twos, within = one.reshape(2, n * n), two.reshape(2, n * n), inside.reshape(n * n)
    product = energy = other = np.float32(0.0)

    for c in range(2):
        for k in range(n * n):
            first = ones[c, k] * within[k]
            product += first * twos[c, k]
            energy += first * first
            other += twos[c, k] * twos[c, k]

    sums[0], sums[1], sums[2] = product, energy, other

    return product / np.sqrt(energy * other + np.float32(1e-9))


@inner_rounded
def _step(one: Any, gain: Any, slopes: Any, inverse: Any, work: Any) -> None:
    """The Gauss-Newton step on gain · laid - one, in the first picture's own places."""
    n = one.shape[1]
    ones, twos = one.reshape(2, n * n), work.laid.reshape(2, n * n)
    flat, middle, inside = slopes.reshape(2, 2, n * n), work.middle, work.inside.reshape(n * n)
    out = work.step
    s0 = s1 = s2 = s3 = s4 = s5 = np.float32(0.0)

    for k in range(n * n):
        first = gain * twos[0, k] - ones[0, k] * inside[k]
        second = gain * twos[1, k] - ones[1, k] * inside[k]
        across = flat[0, 0, k] * first + flat[0, 1, k] * second
        along = flat[1, 0, k] * first + flat[1, 1, k] * second
        s0 += across * middle[0, k]
        s1 += across * middle[1, k]
        s2 += along * middle[0, k]
        s3 += along * middle[1, k]
        s4 += across
        s5 += along

    unit = np.float32(2.0 / (n - 1))  # of a place that is counted from the middle
    s0, s1, s2, s3 = s0 * unit, s1 * unit, s2 * unit, s3 * unit
    for i in range(6):
        row = inverse[i]
        out[i] = row[0] * s0 + row[1] * s1 + row[2] * s2 + row[3] * s3 + row[4] * s4 + row[5] * s5


@inner_rounded
def _composed(by: Any, step: Any) -> None:
    """`by` after the inverse of the step, kept to what an edited copy may be."""
    a, b, c, d = 1.0 + step[0], step[1], step[2], 1.0 + step[3]
    scale = 1.0 / (a * d - b * c)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    right, down = -(a * step[4] + b * step[5]), -(c * step[4] + d * step[5])
    xx, xy, yx, yy = by[0], by[1], by[2], by[3]
    by[4] = min(max(xx * right + xy * down + by[4], -_MAX_SHIFT), _MAX_SHIFT)
    by[5] = min(max(yx * right + yy * down + by[5], -_MAX_SHIFT), _MAX_SHIFT)
    by[0] = min(max(xx * a + xy * c, _MIN_SCALE), _MAX_SCALE)
    by[1] = min(max(xx * b + xy * d, -_MAX_SHEAR), _MAX_SHEAR)
    by[2] = min(max(yx * a + yy * c, -_MAX_SHEAR), _MAX_SHEAR)
    by[3] = min(max(yx * b + yy * d, _MIN_SCALE), _MAX_SCALE)


@inner_rounded
def refined(
    one: Any, slopes: Any, inverse: Any, two: Any, by: Any, n_steps: int, enough: Any, work: Any
) -> Any:
    """Improves the map `by` in at most `n_steps` steps; returns the best correlation, which `by`
    then gives.

    Ends before where a step gains less than `enough`.
    """
    laid, inside, sums, step, trial = work.laid, work.inside, work.sums, work.step, work.trial
    put(by, trial)
    _put_beside(two, work.beside)
    _laid_over(trial, work)
    best = correlation(one, laid, inside, sums)

    for _ in range(n_steps):
        gain = np.float32(max(sums[0], 0.0) / (sums[2] + 1e-9))
        _step(one, gain, slopes, inverse, work)
        _composed(trial, step)
        _laid_over(trial, work)
        found = correlation(one, laid, inside, sums)
        if found <= best:
            break
        gained = found - best
        best = found
        put(trial, by)
        if gained < enough:
            break

    return best


@inner_rounded
def best_start(one: Any, two: Any, starts: Any, least: Any, by: Any, work: Any) -> Any:
    """The best correlation under one of the maps `starts`, which `by` then is, if it is more than
    `least`.
    """
    laid, inside, sums = work.laid, work.inside, work.sums
    best = least
    _put_beside(two, work.beside)
    for k in range(len(starts)):
        _laid_over(starts[k], work)
        found = correlation(one, laid, inside, sums)
        if found > best:
            best = found
            put(starts[k], by)

    return best
