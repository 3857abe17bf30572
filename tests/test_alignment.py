"""What the kernels of alignment take short ways to, against the same worked out place by place."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dedup.verify import agreement as agreements
from dedup.verify import alignment as alignments
from tests.kernels import callable_kernel

prepared = callable_kernel(alignments.prepared)
put_beside = callable_kernel(alignments._put_beside)
laid_over = callable_kernel(alignments._laid_over)
step = callable_kernel(alignments._step)
agreement = callable_kernel(agreements.agreement)

Map = tuple[float, float, float, float, float, float]

_SIDES = [15, 31, 63]  # those of a run, of which the last is more than one block of places
_SCALE = st.floats(0.78, 1.28)
_SHEAR = st.floats(-0.08, 0.08)
_SHIFT = st.floats(-0.25, 0.25)
MAPS = st.tuples(_SCALE, _SHEAR, _SHEAR, _SCALE, _SHIFT, _SHIFT)
UNMOVED = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def random(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def naive_laid_over(picture: NDArray[np.float32], by: Map) -> tuple[Any, Any]:
    """Bilinear, in double precision; the second: how far each place is inside, in pixels."""
    n = picture.shape[1]
    half = (n - 1) / 2
    out, depth = np.zeros(picture.shape), np.zeros((n, n))
    for y in range(n):
        for x in range(n):
            column = by[0] * (x - half) + by[1] * (y - half) + (by[4] + 1) * half
            row = by[2] * (x - half) + by[3] * (y - half) + (by[5] + 1) * half
            depth[y, x] = min(column, row, n - 1 - column, n - 1 - row)
            i, j = (int(min(max(at, 0), n - 2)) for at in (column, row))
            fx, fy = column - i, row - j
            for c in range(2):
                above = picture[c, j, i] * (1 - fx) + picture[c, j, i + 1] * fx
                below = picture[c, j + 1, i] * (1 - fx) + picture[c, j + 1, i + 1] * fx
                out[c, y, x] = above * (1 - fy) + below * fy
    return out, depth


@pytest.mark.parametrize("n", _SIDES)
@settings(max_examples=15, deadline=None)
@given(by=MAPS)
def test_gradients_are_laid_over_as_place_by_place(n: int, by: Map) -> None:
    """Blocks of places, and both gradients moved at once, give what each place alone gives."""
    picture, room = random(2, n, n), alignments.room(n)

    put_beside(picture, room.beside)
    laid_over(np.array(by), room)

    expected, depth = naive_laid_over(picture, by)
    clear = np.abs(depth + 0.005) > 0.006  # at the edge itself, rounding decides
    assert ((room.inside == 1) == (depth > 0))[clear].all()
    assert np.allclose(room.laid, expected * room.inside, atol=1e-3)


def descents_of(one: NDArray[np.float32]) -> NDArray[np.float64]:
    """(6, 2 · n · n): how gradients change with each of the six numbers."""
    n = one.shape[1]
    half = (n - 1) / 2
    along, across = np.gradient(one.astype(np.float64), half**-1, axis=(1, 2))
    v, u = (np.indices((n, n)) - half) / half
    six = (across * u, across * v, along * u, along * v, across, along)
    return np.array([each.reshape(-1) for each in six])


@pytest.mark.parametrize("n", _SIDES)
def test_a_step_is_that_of_six_descents(n: int) -> None:
    """The Hessian from moments of two slopes, and the step from them, are those of all products."""
    one, other = random(2, n, n), random(2, n, n)[:, ::-1]
    room, slopes, inverse = (
        alignments.room(n),
        np.empty((2, 2, n, n), np.float32),
        np.empty((6, 6)),
    )
    room.laid[:] = other
    room.inside[:] = np.arange(n) % 3 > 0

    prepared(one, slopes, inverse, room)
    step(one, np.float32(0.7), slopes, inverse, room)

    descents = descents_of(one)
    hessian = descents @ descents.T
    trace = np.trace(hessian) + 1e-6
    damped = hessian + np.diag(0.02 * np.diag(hessian) + 0.002 * trace)
    damped[[1, 2], [1, 2]] += 0.02 * trace
    away = (0.7 * other - one * room.inside).reshape(-1)
    assert np.allclose(inverse @ damped, np.eye(6), atol=1e-4)
    assert np.allclose(room.step, np.linalg.solve(damped, descents @ away), atol=1e-5)


def cubic(t: float) -> list[float]:
    """Catmull-Rom weights of the four neighbours of a place t after the second."""
    ways = [1 + t, t, 1 - t, 2 - t]
    near = [1.5 * d**3 - 2.5 * d**2 + 1 for d in ways]
    far = [-0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 for d in ways]
    return [far[0], near[1], near[2], far[3]]


@pytest.mark.parametrize("n", [32, 64])
@settings(max_examples=10, deadline=None)
@given(by=MAPS)
def test_greys_are_laid_over_as_place_by_place(n: int, by: Map) -> None:
    """Two pixels at a time, a line at a time, give what sixteen pixels of each place give."""
    grey = np.random.default_rng(5).integers(0, 256, (n, n)).astype(np.float32)
    out, inside = np.empty((n, n), np.float32), np.empty((n, n), np.float32)

    agreements.grey_laid_over(grey, np.array(by), out, inside, agreements.overlay(n))

    half, unit = (n - 1) / 2, (n - 2) / 2
    wider = np.pad(grey.astype(np.float64), ((1, 2), (1, 2)), mode="edge")
    for y, x in np.random.default_rng(3).integers(0, n, (60, 2)).tolist():
        column = by[0] * (x - half) + by[1] * (y - half) + by[4] * unit + half
        row = by[2] * (x - half) + by[3] * (y - half) + by[5] * unit + half
        depth = min(column, row, n - 1 - column, n - 1 - row) + 0.5
        if abs(depth) > 1e-3:
            assert inside[y, x] == (depth > 0)
        column, row = (min(max(at, 0), n - 1) for at in (column, row))
        i, j = int(column), int(row)
        across, along = cubic(column - i), cubic(row - j)
        expected = np.array(along) @ wider[j : j + 4, i : i + 4] @ np.array(across)
        assert out[y, x] == pytest.approx(expected, abs=0.1)


def test_what_is_unmoved_is_itself() -> None:
    """The identity leaves every grey level in its place, all of it inside."""
    grey = np.random.default_rng(5).integers(0, 256, (32, 32)).astype(np.float32)
    out, inside = np.empty((2, 32, 32), np.float32)

    agreements.grey_laid_over(grey, np.array(UNMOVED), out, inside, agreements.overlay(32))

    assert np.array_equal(out, grey)
    assert inside.all()


def test_the_sum_of_all_blocks_is_the_whole() -> None:
    """A picture agrees with itself fully, and with the part of it that is inside."""
    one = random(2, 63, 63)
    inside = np.ones((64, 64), np.float32)
    inside[:20] = 0
    outside = one.copy()
    outside[:, :19] = 5

    assert agreement(one, one, inside) == pytest.approx(1)
    assert agreement(one, outside, inside) == pytest.approx(1)
    assert agreement(one, -one, inside) == 0
