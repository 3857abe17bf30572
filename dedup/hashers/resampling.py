"""Pictures made small, exactly: the same values on any machine, in any batch and in any of the
eight orientations.

Each axis has its own weights, as in Pillow's resize. They are whole numbers, so every sum is exact
in floating point and its order does not matter. That is why turning the small picture is the same
as making the turned picture small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, compiled_exact, inner, inner_exact
from dedup.decoding.orientation import TURNS, turned
from dedup.hashers.filters import WEIGHTS, WEIGHTS_SUM, as_whole_numbers

_PILLOW_BITS: Final = 22  # PRECISION_BITS of Pillow's Resample.c
_HALF: Final = 1 << (_PILLOW_BITS - 1)

SCALE: Final = WEIGHTS_SUM * WEIGHTS_SUM
"""What one grey level comes to in the raw output."""


@dataclass(frozen=True, slots=True)
class Target:
    """A small picture that is asked for."""

    rows: int
    columns: int
    kernel: str  # lanczos, bilinear or tent; of cells also haar
    rows_first: bool = False  # for `resized`: as Pillow would do it with the transposed picture


@dataclass(frozen=True, slots=True)
class Plane:
    """Grey levels, and how much of them is the picture."""

    levels: NDArray[np.uint8]  # (rows, columns), at least 1 × 1
    height: float  # of the picture, in rows: the last one may lie partly outside
    width: float  # in columns
    turn: str = "identity"  # the orientation in which the levels show the picture


def whole(levels: NDArray[np.uint8]) -> Plane:
    """A plane that is the picture from edge to edge."""
    return Plane(levels, float(levels.shape[0]), float(levels.shape[1]))


def shrink(planes: Sequence[Plane], targets: Sequence[Target]) -> list[NDArray[np.float64]]:
    """Each picture at each target's size: one array per target, shape (n, rows, columns), whole
    numbers × `SCALE`.
    """
    small = [np.empty((len(planes), target.rows, target.columns)) for target in targets]
    for plane, places, stack in _alike(planes):
        asked = [_as_stored(target, plane) for target in targets]
        rows, columns = _axes(plane.levels.shape, plane.height, plane.width, tuple(asked))
        ends = columns.ends
        raw = np.empty((len(places), ends[-1]))
        _shrink(stack, *rows.arrays, *columns.arrays, raw)
        for into, target, stop in zip(small, asked, ends, strict=True):
            start = stop - target.rows * target.columns
            into[places] = turned(
                raw[:, start:stop].reshape(-1, target.rows, target.columns), plane.turn
            )

    return small


def resized(planes: Sequence[Plane], targets: Sequence[Target]) -> list[NDArray[np.uint8]]:
    """The same as grey levels, with Pillow's own arithmetic: whole levels between the axes, columns
    first.

    In tiny and synthetic pictures neighbours are so close that this rounding decides on a tenth of
    the bits.
    """
    small = [np.empty((len(planes), target.rows, target.columns), np.uint8) for target in targets]
    for plane, places, stack in _alike(planes):
        height, width = plane.levels.shape
        for into, target in zip(
            small, (_as_stored(target, plane) for target in targets), strict=True
        ):
            levels = np.empty((len(places), target.rows, target.columns), np.uint8)
            rows = _fixed_point(height, plane.height, target.rows, target.kernel)
            columns = _fixed_point(width, plane.width, target.columns, target.kernel)
            _resize(stack, target.rows_first, *rows, *columns, levels)
            into[places] = turned(levels, plane.turn)

    return small


def read_only(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same levels as a kernel may not write to them: numba compiles each kernel once for either
    sort of array.

    Decoders return both sorts.
    """
    view = levels.view()
    view.flags.writeable = False
    return view


def _alike(planes: Sequence[Plane]) -> Iterator[tuple[Plane, list[int], NDArray[np.uint8]]]:
    """For each kind of plane one of them, the places of all, and their levels as one array."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for place, plane in enumerate(planes):
        alike.setdefault((plane.levels.shape, plane.height, plane.width, plane.turn), []).append(
            place
        )

    for places in alike.values():
        first = planes[places[0]]
        stack = (
            first.levels[None]
            if len(places) == 1
            else np.stack([planes[place].levels for place in places])
        )
        yield first, places, read_only(np.ascontiguousarray(stack))


def _as_stored(target: Target, plane: Plane) -> Target:
    """What to make of the levels as they are stored, to be turned afterwards."""
    if not TURNS[plane.turn][0]:
        return target
    return Target(target.columns, target.rows, target.kernel, rows_first=not target.rows_first)


def grey(raw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Raw values as grey levels, rounded to the nearest."""
    levels = np.empty(raw.shape, np.uint8)
    _rounded(np.ascontiguousarray(raw).reshape(-1), levels.reshape(-1))
    return levels


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis of all targets is made, one after the other."""

    # outputs per target; first input, last + 1 and first weight per output; weights
    arrays: tuple[NDArray[Any], ...]
    ends: tuple[int, ...]  # where each target's values end among those of one picture


@lru_cache(maxsize=4096)
def _axes(
    shape: tuple[int, int], height: float, width: float, targets: tuple[Target, ...]
) -> tuple[_Axis, _Axis]:
    ends = tuple(np.cumsum([target.rows * target.columns for target in targets]).tolist())
    rows = tuple((target.rows, target.kernel) for target in targets)
    columns = tuple((target.columns, target.kernel) for target in targets)
    return _Axis(_axis(shape[0], height, rows), ends), _Axis(_axis(shape[1], width, columns), ends)


def _axis(
    length: int, extent: float, outputs: Sequence[tuple[int, str]]
) -> tuple[NDArray[Any], ...]:
    parts = [_weights(length, extent, n, kernel) for n, kernel in outputs]
    counts = np.array([n for n, _ in outputs])
    starts, stops, weights = (np.concatenate([part[k] for part in parts]) for k in range(3))
    at = np.concatenate([[0], np.cumsum(stops - starts)[:-1]])

    return counts, starts, stops, at, weights


@lru_cache(maxsize=8192)
def _weights(length: int, extent: float, n: int, kernel: str) -> tuple[NDArray[Any], ...]:
    """First input, last + 1, and the weights between them, of each of n outputs, for levels of some
    length.
    """
    matrix = WEIGHTS[kernel](length, extent, n, 0)
    numbers = as_whole_numbers(matrix, symmetrical=extent == length)
    there = numbers != 0
    starts, stops = there.argmax(axis=1), length - there[:, ::-1].argmax(axis=1)
    inputs = np.arange(length)
    between = (inputs >= starts[:, None]) & (inputs < stops[:, None])

    return starts, stops, numbers[between].astype(np.float32)


@lru_cache(maxsize=8192)
def _fixed_point(length: int, extent: float, n: int, kernel: str) -> tuple[NDArray[Any], ...]:
    """First input, last + 1, first weight, and the weights, as Pillow has them: parts of 2²²."""
    weights = WEIGHTS[kernel](length, extent, n, 0)
    if (
        extent == length
    ):  # the same from either end, so that turning a picture turns what is made of it
        weights[n - n // 2 :] = weights[: n // 2][::-1, ::-1]
        if n % 2:
            weights[n // 2, length - length // 2 :] = weights[n // 2, : length // 2][::-1]

    there = weights != 0
    starts, stops = there.argmax(axis=1), length - there[:, ::-1].argmax(axis=1)
    at = np.concatenate([[0], np.cumsum(stops - starts)[:-1]])
    inputs = np.arange(length)
    between = (inputs >= starts[:, None]) & (inputs < stops[:, None])
    parts = np.trunc(weights[between] * (1 << _PILLOW_BITS) + np.copysign(0.5, weights[between]))

    return starts, stops, at, parts.astype(np.int32)


@inner_exact
def _weighted_rows(levels: Any, weights: Any, at: Any, start: Any, stop: Any, line: Any) -> None:
    """`line`: the sum of the rows from `start` to `stop`, whose first weight is at `at`."""
    width = levels.shape[1]
    line[:] = 0
    at -= start
    y = start
    while y + 4 <= stop:  # four at a time: the line is read and written less often
        w0, w1 = weights[at + y], weights[at + y + 1]
        w2, w3 = weights[at + y + 2], weights[at + y + 3]
        # By index: a slice for each row costs a tenth of the loop.
        for x in range(width):
            line[x] += (
                w0 * np.float32(levels[y, x])
                + w1 * np.float32(levels[y + 1, x])
                + w2 * np.float32(levels[y + 2, x])
                + w3 * np.float32(levels[y + 3, x])
            )
        y += 4

    while y < stop:
        w0 = weights[at + y]
        for x in range(width):
            line[x] += w0 * np.float32(levels[y, x])
        y += 1


@inner_exact
def _weighted_columns(
    narrow: Any, weights: Any, at: Any, start: Any, stop: Any, rows: Any, sums: Any
) -> None:
    """`sums`: for each row the sum of its columns from `start` to `stop`."""
    sums[:] = 0
    at -= start
    for x in range(start, stop):
        wide = np.float64(weights[at + x])
        for k in range(rows):
            sums[k] += wide * np.float64(narrow[x, k])


@compiled_exact
def _shrink(
    stack: Any,
    n_rows: Any,
    row_start: Any,
    row_stop: Any,
    row_at: Any,
    row_weights: Any,
    n_columns: Any,
    column_start: Any,
    column_stop: Any,
    column_at: Any,
    column_weights: Any,
    raw: Any,
) -> None:
    n, _, width = stack.shape
    line = np.empty(width, dtype=np.float32)
    narrow = np.empty((width, n_rows.max()), dtype=np.float32)
    sums = np.empty(n_rows.max())

    for picture in range(n):
        out, row, column = 0, 0, 0
        for target in range(len(n_rows)):
            rows, columns = n_rows[target], n_columns[target]
            for k in range(rows):
                start, stop = row_start[row + k], row_stop[row + k]
                _weighted_rows(stack[picture], row_weights, row_at[row + k], start, stop, line)
                for x in range(width):
                    narrow[x, k] = line[x]
            for m in range(columns):
                start, stop = column_start[column + m], column_stop[column + m]
                at = column_at[column + m]
                _weighted_columns(narrow, column_weights, at, start, stop, rows, sums)
                for k in range(rows):
                    raw[picture, out + k * columns + m] = sums[k]
            out += rows * columns
            row += rows
            column += columns


@compiled
def _rounded(raw: Any, levels: Any) -> None:
    for at in range(len(raw)):
        levels[at] = np.uint8(min(max(np.floor(raw[at] / SCALE + 0.5), 0.0), 255.0))


@inner
def _level(total: Any) -> Any:
    return np.uint8(min(max(total >> np.int32(_PILLOW_BITS), np.int32(0)), np.int32(255)))


@inner
def _narrowed(levels: Any, start: Any, stop: Any, at: Any, weights: Any, out: Any) -> None:
    for y in range(levels.shape[0]):
        for m in range(out.shape[1]):
            total, first, taps = np.int32(_HALF), start[m], at[m] - start[m]
            for x in range(first, stop[m]):
                total += weights[taps + x] * np.int32(levels[y, x])
            out[y, m] = _level(total)


@inner
def _lowered(
    levels: Any, start: Any, stop: Any, at: Any, weights: Any, line: Any, out: Any
) -> None:
    width = levels.shape[1]
    for k in range(out.shape[0]):
        line[:width] = np.int32(_HALF)
        for y in range(start[k], stop[k]):
            w = weights[at[k] + y - start[k]]
            for x in range(width):
                line[x] += w * np.int32(levels[y, x])
        for x in range(width):
            out[k, x] = _level(line[x])


@compiled
def _resize(
    stack: Any,
    rows_first: Any,
    row_start: Any,
    row_stop: Any,
    row_at: Any,
    row_weights: Any,
    column_start: Any,
    column_stop: Any,
    column_at: Any,
    column_weights: Any,
    out: Any,
) -> None:
    n, height, width = stack.shape
    rows, columns = out.shape[1:]
    line = np.empty(max(width, columns), np.int32)
    between = np.empty((rows, width) if rows_first else (height, columns), np.uint8)

    for picture in range(n):
        if rows_first:
            _lowered(stack[picture], row_start, row_stop, row_at, row_weights, line, between)
            _narrowed(between, column_start, column_stop, column_at, column_weights, out[picture])
        else:
            _narrowed(stack[picture], column_start, column_stop, column_at, column_weights, between)
            _lowered(between, row_start, row_stop, row_at, row_weights, line, out[picture])
