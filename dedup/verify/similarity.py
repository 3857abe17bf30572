"""Similarity of two pictures from their thumbnails: agreement of gradients under the best alignment.

Full alignment is dear and candidates are many, so it is a cascade: 16 × 16 as they lie, aligned in a few steps, aligned
from other scales; only what still agrees is aligned and compared at 32 × 32. Everything else has the correlation at
which it was left, which is far below what makes a pair.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, compiled_rounded
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify.agreement import agreement, fourth_roots, grey_laid_over, softened, without_rim
from dedup.verify.alignment import best_start, correlation, prepared, refined
from dedup.verify.contradiction import RIM, contradiction
from dedup.verify.determinacy import determined
from dedup.verify.features import blurred, gradients, halved, oriented

_PAIRS_PER_TASK: Final = 8_192
_DECIMALS: Final = 4  # more would only show the rounding of different processors

_MIN_LYING: Final = 0.1  # correlation at 16 × 16 as they lie, below which nothing is aligned
_MIN_BEGUN: Final = 0.2  # after two steps, below which no other scale is looked at
_MIN_STARTED: Final = 0.4  # there, or at another scale, below which that scale is not aligned
_MIN_COARSE: Final = 0.65  # aligned at 16 × 16, below which 32 × 32 is not looked at
_ENOUGH: Final = 0.9  # after two steps, above which no other scale is tried
_COARSE_STEPS: Final = (2, 3)
_ALIGNED: Final = 0.85  # aligned at 16 × 16, above which
_DOUBTFUL: Final = 0.9  # a lower similarity makes that the first picture is laid over the second one, too
_FINE_STEPS: Final = 3
_COARSE_GAIN: Final = 0.005  # a step that gains less is the last
_FINE_GAIN: Final = 0.002

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
_SOFT: Final = 0.12  # part of each neighbour: a shift by half a pixel softens as much
_OF_WHOLE: Final = 0.2  # how much a picture is softened to be as soft as the inside of a frame, which was enlarged,
_OF_VIEW: Final = 0.12  # and the inside itself
_SOFTER: Final = np.array([0.2, 0.28])  # tried for each of two whole pictures: filters and crops soften differently
_NEARLY: Final = (0.8, 0.97)  # agreements between which that is tried
_WORTH_IT: Final = 0.7  # agreement from which it is asked what it is worth
_BLOCKS: Final = 8  # on a side, in which contradictions are looked for
_CONTRADICTED: Final = 4.0  # what a share of structure in which pictures contradict each other costs

_SCALES: Final = ((0.89, 0.89), (1.12, 1.12), (0.89, 1.0), (1.0, 0.89), (1.12, 1.0), (1.0, 1.12))
STARTS: Final = np.array([[x, 0.0, 0.0, y, 0.0, 0.0] for x, y in _SCALES])
INVERSE: Final = np.array([0, 1, 2, 3, 4, 7, 6, 5], np.uint8)  # INVERSE[t] undoes the transform t


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification of some pairs came to."""

    similarity: NDArray[np.float32]
    n_lying: int  # agreed as they lie, so that an alignment was tried
    n_started: int  # agreed after two steps, so that other scales were tried
    n_fine: int  # were aligned and compared at 32 × 32


@compiled
def comes_after(one: Any, two: Any) -> bool:
    """The order in which two thumbnails are compared, so that it does not depend on which is named first."""
    for y in range(one.shape[0]):
        for x in range(one.shape[1]):
            if one[y, x] != two[y, x]:
                return bool(one[y, x] > two[y, x])
    return False


@compiled
def _ordered(thumbnails: Any, others: Any, a: Any, b: Any, turns: Any, inverse: Any, out: Any, turned: Any) -> None:
    """`out`, (2, n): each pair in its order; `turned`: how the second of it is turned."""
    n = len(thumbnails)
    for k in range(len(a)):
        one = thumbnails[a[k]] if a[k] < n else others[a[k] - n]
        two = thumbnails[b[k]] if b[k] < n else others[b[k] - n]
        if comes_after(one, two):
            out[0, k], out[1, k], turned[k] = b[k], a[k], inverse[turns[k]]
        else:
            out[0, k], out[1, k], turned[k] = a[k], b[k], turns[k]


@compiled_rounded
def _room(n: int) -> Any:
    """What an alignment needs: the picture laid over, where it is, sums, a step and a map."""
    return (np.empty((2, n, n), np.float32), np.empty((n, n), np.float32), np.zeros(3), np.zeros(6), np.zeros(6))


@compiled_rounded
def _room_of_two(n: int) -> Any:
    """What a comparison needs: six pictures, and the gradients of three."""
    first, second, laid = np.empty((n, n), np.float32), np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    work, inside, softer = np.empty((n, n), np.float32), np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    sharp, other = np.empty((2, n - 1, n - 1), np.float32), np.empty((2, n - 1, n - 1), np.float32)
    return work, first, second, laid, inside, sharp, other, softer, np.empty((2, n - 1, n - 1), np.float32)


@compiled_rounded
def _agreeing(one: Any, two: Any, by: Any, one_is_view: Any, two_is_view: Any, room: Any) -> Any:
    """How well two thumbnails agree under a map, less what they contradict each other in."""
    work, first, second, laid, inside, sharp, other, softer, of_softer = room
    grey_laid_over(two, by, laid, inside)
    of_whole = _SOFT
    if one_is_view or two_is_view:
        without_rim(inside)
        of_whole = _OF_WHOLE
    softened(one, _OF_VIEW if one_is_view else of_whole, work, first)
    softened(laid, _OF_VIEW if two_is_view else of_whole, work, second)
    fourth_roots(first, _NOISE, sharp)
    fourth_roots(second, _NOISE, other)
    found = agreement(sharp, other, inside)
    if found < _WORTH_IT:
        return found
    if _NEARLY[0] <= found < _NEARLY[1] and not one_is_view and not two_is_view:
        for amount in _SOFTER:
            softened(one, amount, work, softer)
            fourth_roots(softer, _NOISE, of_softer)
            found = max(found, agreement(of_softer, other, inside))
            softened(laid, amount, work, softer)
            fourth_roots(softer, _NOISE, of_softer)
            found = max(found, agreement(sharp, of_softer, inside))
    return found * determined(one, two) - _CONTRADICTED * contradiction(first, second, inside, _BLOCKS, _BLOCKS // RIM)


@compiled_rounded
def _laid_over(pictures: Any, gradients_of: Any, prepared_of: Any, by: Any, views: Any, rooms: Any) -> Any:
    """Similarity of two pictures, the second laid over the first by a map that is refined here, at 32 × 32."""
    one, two = pictures
    sharp, other = gradients_of
    descent, inverse = prepared_of
    fine_room, over_all, room = rooms
    found = refined(sharp, descent, inverse, other, by, _FINE_STEPS, _FINE_GAIN, fine_room)
    # A stamp can pull the small pictures astray, so it is asked again whether they agree as they lie.
    if correlation(sharp, other, over_all, fine_room[2]) > found:
        by[:] = 0.0
        by[0] = by[3] = 1.0
        refined(sharp, descent, inverse, other, by, _FINE_STEPS, _FINE_GAIN, fine_room)
    return _agreeing(one, two, by, views[0], views[1], room)


@compiled_rounded
def _begun(one: Any, two: Any, descent: Any, inverse: Any, starts: Any, by: Any, trial: Any, room: Any) -> Any:
    """The better of two maps at 16 × 16: from where the pictures lie, and from the best other scale."""
    by[:] = 0.0
    by[0] = by[3] = 1.0
    found = refined(one, descent, inverse, two, by, _COARSE_STEPS[0], _COARSE_GAIN, room)
    best_start(one, two, starts, -1.0, trial, room)
    again = refined(one, descent, inverse, two, trial, _COARSE_STEPS[1], _COARSE_GAIN, room)
    if again > found:
        found = again
        by[:] = trial
    return found


@compiled_rounded
def _compare(thumbnails: Any, others: Any, one: Any, two: Any, turns: Any, starts: Any, out: Any, counts: Any) -> None:
    """Similarities of pairs, fastest where those with the same first picture follow each other."""
    n_thumbnails, n = len(thumbnails), thumbnails.shape[1]
    h = n // 2
    turned, work, smooth = np.empty((n, n), np.uint8), np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    half = np.empty((h, h), np.float32)
    coarse = np.empty((2, 2, h - 1, h - 1), np.float32)
    fine = np.empty((2, 2, n - 1, n - 1), np.float32)
    coarse_descent, coarse_inverse = np.empty((6, 2, h - 1, h - 1), np.float32), np.empty((6, 6))
    fine_descent, fine_inverse = np.empty((6, 2, n - 1, n - 1), np.float32), np.empty((6, 6))
    other_coarse = (np.empty((6, 2, h - 1, h - 1), np.float32), np.empty((6, 6)))
    other_fine = (np.empty((6, 2, n - 1, n - 1), np.float32), np.empty((6, 6)))
    coarse_room, fine_room = _room(h - 1), _room(n - 1)
    room = _room_of_two(n)
    everywhere, over_all = np.ones((h - 1, h - 1), np.float32), np.ones((n - 1, n - 1), np.float32)
    by, trial = np.zeros(6), np.zeros(6)
    before = coarse_of = fine_of = np.int64(-1)
    for k in range(len(one)):
        a, b = one[k], two[k]
        if a != before:
            grey = thumbnails[a] if a < n_thumbnails else others[a - n_thumbnails]
            blurred(grey, work, smooth)
            gradients(smooth, fine[0])
            halved(smooth, half)
            gradients(half, coarse[0])
            before = a
        grey = thumbnails[b] if b < n_thumbnails else others[b - n_thumbnails]
        if turns[k] != 0:
            oriented(grey, turns[k], turned)
            grey = turned
        blurred(grey, work, smooth)
        halved(smooth, half)
        gradients(half, coarse[1])
        found = correlation(coarse[0], coarse[1], everywhere, coarse_room[2])
        out[k] = found
        if found < _MIN_LYING:
            continue
        counts[0] += 1
        if coarse_of != a:
            prepared(coarse[0], coarse_descent, coarse_inverse)
            coarse_of = a
        by[:] = 0.0
        by[0] = by[3] = 1.0
        found = refined(
            coarse[0], coarse_descent, coarse_inverse, coarse[1], by, _COARSE_STEPS[0], _COARSE_GAIN, coarse_room
        )
        if found < _ENOUGH:
            out[k] = found
            if found < _MIN_BEGUN:
                continue
            if (
                best_start(coarse[0], coarse[1], starts, -1.0, trial, coarse_room) < _MIN_STARTED
                and found < _MIN_STARTED
            ):
                continue
            counts[1] += 1
            again = refined(
                coarse[0], coarse_descent, coarse_inverse, coarse[1], trial, _COARSE_STEPS[1], _COARSE_GAIN, coarse_room
            )
            if again > found:
                found = again
                by[:] = trial
        else:
            counts[1] += 1
        out[k] = found
        if found < _MIN_COARSE:
            continue
        counts[2] += 1
        first = thumbnails[a] if a < n_thumbnails else others[a - n_thumbnails]
        if fine_of != a:
            prepared(fine[0], fine_descent, fine_inverse)
            fine_of = a
        gradients(smooth, fine[1])
        of_a, of_b = a >= n_thumbnails, b >= n_thumbnails
        rooms = (fine_room, over_all, room)
        out[k] = _laid_over((first, grey), (fine[0], fine[1]), (fine_descent, fine_inverse), by, (of_a, of_b), rooms)
        if found < _ALIGNED or out[k] >= _DOUBTFUL:
            continue
        # One way round a crop is enlarged and fills the picture, the other way it is shrunk and fixes less of the map.
        prepared(coarse[1], other_coarse[0], other_coarse[1])
        _begun(coarse[1], coarse[0], other_coarse[0], other_coarse[1], starts, by, trial, coarse_room)
        prepared(fine[1], other_fine[0], other_fine[1])
        out[k] = max(out[k], _laid_over((grey, first), (fine[1], fine[0]), other_fine, by, (of_b, of_a), rooms))


def verified(
    thumbnails: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8] | None = None,
    *,
    others: NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> Verified:
    """Similarity of thumbnails a[k] and b[k], in [0, 1], symmetric, rounded to four decimals.

    `thumbnails`: uint8, shape (n, 32, 32); `others` are the ones from n on. `transforms`: how b[k] is turned first, as
    places in `tables.TRANSFORMS`; None: not at all. A pair depends on its own two thumbnails only.
    """
    small = np.ascontiguousarray(thumbnails).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    more = np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8) if others is None else np.ascontiguousarray(others)
    pairs, turns = np.empty((2, len(a)), np.int64), np.empty(len(a), np.uint8)
    asked = np.zeros(len(a), np.uint8) if transforms is None else transforms
    _ordered(small, more, a, b, asked, INVERSE, pairs, turns)
    order = np.argsort(pairs[0], kind="stable")
    one, two, turns = pairs[0][order], pairs[1][order], turns[order]
    out = np.empty(len(a), np.float64)
    places = [slice(start, start + _PAIRS_PER_TASK) for start in range(0, len(a), _PAIRS_PER_TASK)]
    counts = np.zeros((max(len(places), 1), 3), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        tasks = [
            pool.submit(_compare, small, more, one[at], two[at], turns[at], STARTS, out[at], counts[k])
            for k, at in enumerate(places)
        ]
        for task in tasks:
            task.result()
    similarity = np.empty(len(a), np.float32)
    similarity[order] = np.round(np.clip(out, 0.0, 1.0), _DECIMALS)
    return Verified(similarity, *counts.sum(axis=0).tolist())


def similarities(
    thumbnails: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8] | None = None,
    *,
    threads: int = 1,
) -> NDArray[np.float32]:
    """The similarities alone; see `verified`."""
    return verified(thumbnails, a, b, transforms, threads=threads).similarity
