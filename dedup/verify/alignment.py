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


class Room(NamedTuple):
    """What an alignment of gradients of n × n works in, made by NumPy."""

    laid: NDArray[np.float32]  # (2, n, n): the second picture at the places of the first
    inside: NDArray[np.float32]  # (n, n)
    sums: NDArray[np.float64]  # (3,)
    step: NDArray[np.float64]  # (6,)
    trial: NDArray[np.float64]  # (6,)


def room(n: int) -> Room:
    """For gradients of n × n."""
    laid, inside = np.empty((2, n, n), np.float32), np.empty((n, n), np.float32)
    return Room(laid, inside, np.zeros(3), np.zeros(6), np.zeros(6))


@inner_rounded
def unmoved(by: Any) -> None:
    """The map that leaves everything in its place."""
    for k in range(6):
        by[k] = 1.0 if k == 0 or k == 3 else 0.0


@inner_rounded
def prepared(one: Any, descent: Any, inverse: Any) -> None:
    """What a step needs of the first picture.

    `descent`, (6, 2, n, n): how its gradients change with each of the six numbers. `inverse`, (6,
    6): that of the damped Hessian; shears are rare and damped most.
    """
    n = one.shape[1]
    half = np.float32((n - 1) / 2)
    for c in range(2):
        for y in range(n):
            up, down = max(y - 1, 0), min(y + 1, n - 1)
            v = (np.float32(y) - half) / half
            for x in range(n):
                left, right = max(x - 1, 0), min(x + 1, n - 1)
                u = (np.float32(x) - half) / half
                across = half * (one[c, y, right] - one[c, y, left]) / np.float32(right - left)
                along = half * (one[c, down, x] - one[c, up, x]) / np.float32(down - up)
                descent[0, c, y, x] = across * u
                descent[1, c, y, x] = across * v
                descent[2, c, y, x] = along * u
                descent[3, c, y, x] = along * v
                descent[4, c, y, x] = across
                descent[5, c, y, x] = along
    hessian = np.empty((6, 6))
    flat = descent.reshape(6, 2 * n * n)
    for i in range(6):
        for j in range(i, 6):
            total = np.float32(0.0)
            for k in range(flat.shape[1]):
                total += flat[i, k] * flat[j, k]
            hessian[i, j] = hessian[j, i] = total
    trace = 1e-6
    for i in range(6):
        trace += hessian[i, i]
    for i in range(6):
        hessian[i, i] = 1.02 * hessian[i, i] + 0.002 * trace

    hessian[1, 1] += 0.02 * trace
    hessian[2, 2] += 0.02 * trace
    inverted(hessian, inverse)


@inner_rounded
def laid_over(picture: Any, by: Any, out: Any, inside: Any) -> None:
    """The second picture's gradients at the places of the first; `inside`, 0.0 or 1.0, says where
    it has any.
    """
    n = picture.shape[1]
    half = np.float32((n - 1) / 2)
    xx, xy, yx, yy = np.float32(by[0]), np.float32(by[1]), np.float32(by[2]), np.float32(by[3])
    right, down = np.float32(by[4]) * half + half, np.float32(by[5]) * half + half
    edge = np.float32(n) - np.float32(0.99)
    least = np.float32(-0.01)

    for y in range(n):
        v = np.float32(y) - half
        for x in range(n):
            u = np.float32(x) - half
            column = xx * u + xy * v + right
            row = yx * u + yy * v + down
            within = (column >= least) & (row >= least) & (column <= edge) & (row <= edge)
            weight = np.float32(1.0) if within else np.float32(0.0)
            inside[y, x] = weight
            i, j = min(max(np.int32(column), 0), n - 2), min(max(np.int32(row), 0), n - 2)
            fx, fy = column - np.float32(i), row - np.float32(j)
            for c in range(2):
                above = picture[c, j, i] + fx * (picture[c, j, i + 1] - picture[c, j, i])
                below = picture[c, j + 1, i] + fx * (
                    picture[c, j + 1, i + 1] - picture[c, j + 1, i]
                )
                out[c, y, x] = weight * (above + fy * (below - above))


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
def _step(
    one: Any, laid: Any, inside: Any, gain: Any, descent: Any, inverse: Any, out: Any
) -> None:
    """The Gauss-Newton step on gain · laid - one, in the first picture's own places."""
    n = one.shape[1]
    ones, twos, within = one.reshape(2, n * n), laid.reshape(2, n * n), inside.reshape(n * n)
    flat = descent.reshape(6, 2, n * n)
    s0 = s1 = s2 = s3 = s4 = s5 = np.float32(0.0)

    for c in range(2):
        for k in range(n * n):
            away = gain * twos[c, k] - ones[c, k] * within[k]
            s0 += flat[0, c, k] * away
            s1 += flat[1, c, k] * away
            s2 += flat[2, c, k] * away
            s3 += flat[3, c, k] * away
            s4 += flat[4, c, k] * away
            s5 += flat[5, c, k] * away

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
    one: Any, descent: Any, inverse: Any, two: Any, by: Any, n_steps: int, enough: Any, work: Any
) -> Any:
    """Improves the map `by` in at most `n_steps` steps; returns the best correlation, which `by`
    then gives.

    Ends before where a step gains less than `enough`.
    """
    laid, inside, sums, step, trial = work.laid, work.inside, work.sums, work.step, work.trial
    put(by, trial)
    laid_over(two, trial, laid, inside)
    best = correlation(one, laid, inside, sums)

    for _ in range(n_steps):
        gain = np.float32(max(sums[0], 0.0) / (sums[2] + 1e-9))
        _step(one, laid, inside, gain, descent, inverse, step)
        _composed(trial, step)
        laid_over(two, trial, laid, inside)
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
    for k in range(len(starts)):
        laid_over(two, starts[k], laid, inside)
        found = correlation(one, laid, inside, sums)
        if found > best:
            best = found
            put(starts[k], by)

    return best
