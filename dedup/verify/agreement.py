"""Kernels: how well two aligned thumbnails agree, from whole to part.

What is compared are gradients of the thumbnails themselves, one of them laid over the other: a map
through gradients would blur them. Lengths count with their fourth root, so that faint structure has
a say beside strong contours.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled_rounded, inner, inner_rounded
from dedup.verify.features import total

_BLOCKS: Final = 8  # on a side
_LEFT_OUT: Final = 8  # of 64 blocks: a stamp or a caption is no other picture
_LOWER: Final = 0.3  # of the structure
_NOTHING: Final = 1e-9


@inner_rounded
def fourth_roots(grey: Any, noise: Any, out: Any) -> None:
    """Gradients between the pixels, lengths replaced by their fourth roots; `out`, (2, n, n), is
    one shorter.

    `noise`: grey levels; shorter gradients count less.
    """
    n = out.shape[1]
    for y in range(n):
        for x in range(n):
            falling = np.float32(grey[y + 1, x + 1]) - np.float32(grey[y, x])
            rising = np.float32(grey[y, x + 1]) - np.float32(grey[y + 1, x])
            right = np.float32(0.5) * (falling + rising)
            below = np.float32(0.5) * (falling - rising)
            length = np.sqrt(right * right + below * below)
            factor = np.sqrt(np.sqrt(length)) / (length + np.float32(noise))
            out[0, y, x] = right * factor
            out[1, y, x] = below * factor


@inner_rounded
def softened(grey: Any, share: float, work: Any, out: Any) -> None:
    """A little blur: each pixel gives `share` to each neighbour, along rows and then along
    columns.
    """
    n = grey.shape[0]
    part, rest = np.float32(share), np.float32(1.0 - 2.0 * share)
    for y in range(n):
        for x in range(n):
            beside = np.float32(grey[y, max(x - 1, 0)]) + np.float32(grey[y, min(x + 1, n - 1)])
            work[y, x] = rest * np.float32(grey[y, x]) + part * beside

    for y in range(n):
        for x in range(n):
            out[y, x] = rest * work[y, x] + part * (
                work[max(y - 1, 0), x] + work[min(y + 1, n - 1), x]
            )


@inner_rounded
def without_rim(inside: Any) -> None:
    """The two outermost pixels are out: there, what is inside a frame is mixed with the frame."""
    n = inside.shape[0]
    for x in range(n):
        for k in range(2):
            inside[k, x] = inside[x, k] = np.float32(0.0)
            inside[n - 1 - k, x] = inside[x, n - 1 - k] = np.float32(0.0)


class Overlay(NamedTuple):
    """What laying a picture of n × n over another one works in, made by NumPy."""

    wider: NDArray[np.float32]  # (2 · (n + 3)²,): each pixel and the next one
    twos: NDArray[np.float64]  # ((n + 3)²,): the same memory, to move both at once
    places: NDArray[np.int32]  # (n,): of a line, the first pixel of the sixteen around each
    weights: NDArray[np.float32]  # (8, n): of the four columns and of the four rows
    pixels: NDArray[np.float32]  # (8, 2 · n): the sixteen
    moved: NDArray[np.float64]  # (8, n): the same memory


def overlay(n: int) -> Overlay:
    """For pictures of n × n."""
    twos, moved = np.empty((n + 3) ** 2), np.empty((8, n))
    wider, pixels = twos.view(np.float32), moved.view(np.float32)
    places, weights = np.empty(n, np.int32), np.empty((8, n), np.float32)

    return Overlay(wider, twos, places, weights, pixels, moved)


@inner_rounded
def _put_twos(grey: Any, wider: Any) -> None:
    """A picture with its edges repeated, once before and twice behind; each pixel and the next
    one.
    """
    n = grey.shape[0]
    side = n + 3
    for y in range(side):
        line = grey[min(max(y - 1, 0), n - 1)]
        out = wider[2 * y * side : 2 * (y + 1) * side]
        first, last = np.float32(line[0]), np.float32(line[n - 1])
        out[0] = out[1] = first
        for x in range(n - 1):
            out[2 * x + 2] = np.float32(line[x])
            out[2 * x + 3] = np.float32(line[x + 1])
        for k in range(2 * n, 2 * side):
            out[k] = last


@inner_rounded
def _put_weights(t: Any, weights: Any, first: int, k: int) -> None:
    """Of four neighbours for a place t after the second: Catmull-Rom (Keys 1981)."""
    half = np.float32(0.5)
    weights[first, k] = half * ((np.float32(2.0) - t) * t - np.float32(1.0)) * t
    weights[first + 1, k] = half * (
        (np.float32(3.0) * t - np.float32(5.0)) * t * t + np.float32(2.0)
    )
    weights[first + 2, k] = (
        half * ((np.float32(4.0) - np.float32(3.0) * t) * t + np.float32(1.0)) * t
    )
    weights[first + 3, k] = half * (t - np.float32(1.0)) * t * t


@inner_rounded
def _put_pixels(places: Any, size: int, side: int, twos: Any, moved: Any) -> None:
    """The sixteen pixels around each place, two at a time."""
    for k in range(size):
        place = np.uint64(places[k])
        for row in range(4):
            at = place + np.uint64(row * side)
            moved[2 * row, k] = twos[at]
            moved[2 * row + 1, k] = twos[at + np.uint64(2)]


@compiled_rounded
def grey_laid_over(grey: Any, by: Any, out: Any, inside: Any, room: Any) -> None:
    """The second picture's grey levels at the places of the first; `inside`, 0.0 or 1.0, says where
    it has any.

    The map is one of gradients between the pixels, whose grid is a pixel smaller and has the same
    centre. A line is done in three loops, as a processor does the first and the last of
    them for many places at a time.
    """
    n = grey.shape[0]
    side = n + 3
    _put_twos(grey, room.wider)
    places, weights, pixels = room.places, room.weights, room.pixels
    half, unit = np.float32((n - 1) / 2), np.float32((n - 2) / 2)
    right, down = np.float32(by[4]) * unit + half, np.float32(by[5]) * unit + half
    xx, xy, yx, yy = np.float32(by[0]), np.float32(by[1]), np.float32(by[2]), np.float32(by[3])
    last, beyond, nothing = np.float32(n - 1), np.float32(0.5), np.float32(0.0)

    for y in range(n):
        v = np.float32(y) - half
        within, line = inside[y], out[y]
        for x in range(n):
            u = np.float32(x) - half
            column, row = xx * u + xy * v + right, yx * u + yy * v + down
            is_there = (
                (column >= -beyond)
                & (row >= -beyond)
                & (column <= last + beyond)
                & (row <= last + beyond)
            )
            within[x] = np.float32(1.0) if is_there else nothing
            column, row = min(max(column, nothing), last), min(max(row, nothing), last)
            i, j = np.int32(column), np.int32(row)
            places[x] = j * np.int32(side) + i
            _put_weights(column - np.float32(i), weights, 0, x)
            _put_weights(row - np.float32(j), weights, 4, x)

        _put_pixels(places, n, side, room.twos, room.moved)
        for x in range(n):
            p, q = 2 * x, 2 * x + 1
            total = nothing
            for k in range(4):
                total += weights[4 + k, x] * (
                    weights[0, x] * pixels[2 * k, p]
                    + weights[1, x] * pixels[2 * k, q]
                    + weights[2, x] * pixels[2 * k + 1, p]
                    + weights[3, x] * pixels[2 * k + 1, q]
                )
            line[x] = total


@inner_rounded
def _sums_of_columns(one: Any, two: Any, inside: Any, top: Any, bottom: Any, columns: Any) -> None:
    """For each column the product, the energy of the first picture and of the second one, over rows
    from `top` to before `bottom`: all columns at once, as a processor adds several at a time.
    """
    n = one.shape[1]
    products, energies, others = columns[0], columns[1], columns[2]
    for x in range(n):
        products[x] = energies[x] = others[x] = np.float32(0.0)

    for y in range(top, bottom):
        above, below = inside[y], inside[y + 1]
        right, down = one[0, y], one[1, y]
        other_right, other_down = two[0, y], two[1, y]
        for x in range(n):
            there = above[x] * below[x] * above[x + 1] * below[x + 1]
            products[x] += there * (right[x] * other_right[x] + down[x] * other_down[x])
            energies[x] += there * (right[x] * right[x] + down[x] * down[x])
            others[x] += there * (other_right[x] * other_right[x] + other_down[x] * other_down[x])


@inner_rounded
def agreement(one: Any, two: Any, inside: Any) -> Any:
    """Mean of three correlations: of all, of all but the worst eighth of the blocks, of the block
    below which 30 % lie.

    `inside` is that of the pixels: a gradient counts where all four of its pixels are inside.
    """
    n = one.shape[1]
    sums, columns = np.zeros((3, _BLOCKS**2)), np.empty((3, n), np.float32)
    product, energy, other = sums[0], sums[1], sums[2]

    for row in range(_BLOCKS):
        top, bottom = (row * n + _BLOCKS - 1) // _BLOCKS, ((row + 1) * n + _BLOCKS - 1) // _BLOCKS
        _sums_of_columns(one, two, inside, top, bottom, columns)
        for column in range(_BLOCKS):
            left = (column * n + _BLOCKS - 1) // _BLOCKS
            right = ((column + 1) * n + _BLOCKS - 1) // _BLOCKS
            p = e = o = np.float32(0.0)
            for x in range(left, right):
                p += columns[0, x]
                e += columns[1, x]
                o += columns[2, x]
            k = row * _BLOCKS + column
            product[k], energy[k], other[k] = p, e, o

    whole = total(product) / np.sqrt(total(energy) * total(other) + _NOTHING)
    if whole <= 0.0:
        return 0.0

    lower = _lower_block(product, energy, other)
    most = _without_worst(product, energy, other)

    return (whole + most + max(lower, 0.0)) / 3


@inner_rounded
def agreement_softened(
    pictures: Any,
    sharp: Any,
    amounts: Any,
    noise: Any,
    inside: Any,
    work: Any,
    softer: Any,
    out: Any,
) -> Any:
    """The best agreement where one of two `pictures` is softened by one of the `amounts`; `sharp`:
    as they are.

    Filters, crops and halftones leave pictures sharper or softer than they were. `work` and
    `softer` are as large as a picture, `out` as its fourth roots.
    """
    best = 0.0
    for trial in range(len(amounts)):
        for k in range(2):
            softened(pictures[k], amounts[trial], work, softer)
            fourth_roots(softer, noise, out)
            best = max(best, agreement(out, sharp[1 - k], inside))

    return best


@inner
def _lower_block(product: Any, energy: Any, other: Any) -> Any:
    """Correlation of the block below which `_LOWER` of the structure lies."""
    gain = (total(energy) + _NOTHING) / (total(other) + _NOTHING)
    # Blocks with next to no structure in one of the two agree in nothing.
    least = 0.01 * total(energy) / _BLOCKS**2 + _NOTHING
    found = np.empty((2, _BLOCKS**2))
    weight, agree = found[0], found[1]

    for k in range(_BLOCKS**2):
        adjusted = other[k] * gain
        weight[k] = np.sqrt(max(energy[k], adjusted))
        agree[k] = (
            product[k] / np.sqrt(energy[k] * other[k] + _NOTHING**2)
            if min(energy[k], adjusted) > least
            else 0.0
        )

    missing, lowest = _LOWER * total(weight), 0.0
    while missing > 0.0:
        worst = 0
        for k in range(1, _BLOCKS**2):
            if agree[k] < agree[worst]:
                worst = k
        lowest, agree[worst] = agree[worst], np.inf
        missing -= weight[worst]

    return lowest


@inner
def _without_worst(product: Any, energy: Any, other: Any) -> Any:
    """Correlation without the blocks that differ most, one after the other; the arrays are used
    up.
    """
    for _ in range(_LEFT_OUT):
        gain = np.sqrt((total(energy) + _NOTHING) / (total(other) + _NOTHING))
        worst, most = 0, -np.inf
        for k in range(_BLOCKS**2):
            away = energy[k] + gain * gain * other[k] - 2 * gain * product[k]
            if away > most:
                worst, most = k, away
        product[worst] = energy[worst] = other[worst] = 0.0
    return total(product) / np.sqrt((total(energy) + _NOTHING) * (total(other) + _NOTHING))
