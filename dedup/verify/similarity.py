"""Similarity of two pictures from their thumbnails: agreement of gradients under the best
alignment.

Full alignment is dear and candidates are many, so it is a cascade: 16 × 16 as they lie, aligned in
a few steps, aligned from other scales; only what still agrees is aligned and compared at 32 × 32.
Everything else has the correlation at which it was left, which is far below what makes a pair.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, compiled_rounded, inner, inner_rounded, is_kept
from dedup.decoding.orientation import INVERSE
from dedup.search.crew import Crew
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify.agreement import (
    Overlay,
    agreement,
    fourth_roots,
    grey_laid_over,
    overlay,
    softened,
    without_rim,
)
from dedup.verify.alignment import Room, best_start, correlation, prepared, refined, unmoved
from dedup.verify.alignment import room as room_to_align
from dedup.verify.contradiction import RIM, contradiction
from dedup.verify.determinacy import determined, worth
from dedup.verify.features import NOISE, blurred, gradients, halved, oriented, put
from dedup.verify.rims import without_rims

_PAIRS_PER_TASK: Final = 512  # what Ctrl-C waits for: a tenth of a second where all are aligned
_DECIMALS: Final = 4  # more would only show the rounding of different processors

_MIN_LYING: Final = 0.1  # correlation at 16 × 16 as they lie, below which nothing is aligned
_MIN_BEGUN: Final = 0.2  # after two steps, below which no other scale is looked at
_MIN_STARTED: Final = 0.4  # there, or at another start, below which that start is not aligned
_MIN_MOVED: Final = 0.5  # moved, below which what did not agree after two steps is not aligned
_MIN_COARSE: Final = 0.65  # aligned at 16 × 16, below which 32 × 32 is not looked at
_ENOUGH: Final = 0.9  # after two steps, above which no other scale is tried
_COARSE_STEPS: Final = (2, 3)
_ALIGNED: Final = 0.85  # aligned at 16 × 16, above which
# a lower similarity makes that the first picture is laid over the second one, too
_DOUBTFUL: Final = 0.9
_FINE_STEPS: Final = 3
_COARSE_GAIN: Final = 0.005  # a step that gains less is the last
_FINE_GAIN: Final = 0.002

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
# Part of each neighbour: how much both pictures are softened before they are compared. The noise of
# a JPEG, filters and crops change the finest detail of a small picture; siblings (one outline that
# is filled in two ways) differ in more than that.
_SOFT: Final = 0.28
# and before contradictions are looked for: a shift by half a pixel softens as much
_LESS_SOFT: Final = 0.12
_WORTH_IT: Final = 0.7  # agreement from which it is asked what it is worth
_BLOCKS: Final = 8  # on a side, in which contradictions are looked for
# similarities between which thin rims are taken away, too
_WITH_RIM: Final = (
    np.float32(0.6),
    np.float32(0.97),
)
# what a share of structure in which pictures contradict each other costs
_CONTRADICTED: Final = 4.0

# In half-widths: a copy that was cut, or has a bar, along one side lies beside its original, and no
# step leads there from where they lie.
_SHIFTS: Final = ((0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.2))
_SCALES: Final = ((0.89, 0.89), (1.12, 1.12), (0.89, 1.0), (1.0, 0.89), (1.12, 1.0), (1.0, 1.12))
STARTS: Final = np.array(
    [
        *([1.0, 0.0, 0.0, 1.0, right, down] for right, down in _SHIFTS),
        *([x, 0.0, 0.0, y, 0.0, 0.0] for x, y in _SCALES),
    ]
)
"""Maps, the shifts first, from which an alignment is tried beside the one that moves nothing."""
INVERSES: Final = np.array(INVERSE, np.uint8)


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification of some pairs came to."""

    similarity: NDArray[np.float32]
    n_lying: int  # agreed as they lie, so that an alignment was tried
    n_started: int  # agreed after two steps, so that other scales were tried
    n_fine: int  # were aligned and compared at 32 × 32


@compiled
def comes_after(one: Any, two: Any) -> bool:
    """The order in which two thumbnails are compared, so that it does not depend on which is named
    first.
    """
    for y in range(one.shape[0]):
        for x in range(one.shape[1]):
            if one[y, x] != two[y, x]:
                return bool(one[y, x] > two[y, x])
    return False


@compiled
def _ordered(
    thumbnails: Any, others: Any, a: Any, b: Any, turns: Any, inverse: Any, out: Any, turned: Any
) -> None:
    """`out`, (2, n): each pair in its order; `turned`: how the second of it is turned."""
    n = len(thumbnails)
    for k in range(len(a)):
        one = thumbnails[a[k]] if a[k] < n else others[a[k] - n]
        two = thumbnails[b[k]] if b[k] < n else others[b[k] - n]
        if comes_after(one, two):
            out[0, k], out[1, k], turned[k] = b[k], a[k], inverse[turns[k]]
        else:
            out[0, k], out[1, k], turned[k] = a[k], b[k], turns[k]


class _Scale(NamedTuple):
    """One of the two sizes at which pictures are aligned: what is kept of them, both ways round."""

    gradients: NDArray[np.float32]  # (2, 2, n, n): of the first and of the second
    # (2, 2, 2, n, n): what `prepared` finds, of the first and of the second
    slopes: NDArray[np.float32]
    inverse: NDArray[np.float64]  # (2, 6, 6)
    everywhere: NDArray[np.float32]  # (n, n): ones
    room: Room

    @classmethod
    def of(cls, n: int) -> "_Scale":
        """For gradients of n × n."""
        pictures, slopes = (
            np.empty((2, 2, n, n), np.float32),
            np.empty((2, 2, 2, n, n), np.float32),
        )
        return cls(
            pictures, slopes, np.empty((2, 6, 6)), np.ones((n, n), np.float32), room_to_align(n)
        )


class _Comparison(NamedTuple):
    """What the comparison of two aligned pictures works in."""

    laid: NDArray[np.float32]  # (2, n, n): over each other
    soft: NDArray[np.float32]  # (2, n, n): softened
    roots: NDArray[np.float32]  # (2, 2, n - 1, n - 1): fourth roots of their gradients
    inside: NDArray[np.float32]  # (n, n)
    work: NDArray[np.float32]  # (n, n)
    overlay: Overlay

    @classmethod
    def of(cls, n: int) -> "_Comparison":
        """For pictures of n × n."""
        inside, work = (np.empty((n, n), np.float32) for _ in range(2))
        roots = np.empty((2, 2, n - 1, n - 1), np.float32)
        laid, soft = np.empty((2, n, n), np.float32), np.empty((2, n, n), np.float32)

        return cls(laid, soft, roots, inside, work, overlay(n))


class _Workspace(NamedTuple):
    """What `_compare` works in, made by NumPy: kernels that allocate take twice as long to
    compile.
    """

    pictures: NDArray[np.uint8]  # (2, n, n): the second turned
    upright: NDArray[np.uint8]  # (n, n): the second, not turned
    work: NDArray[np.float32]  # (n, n)
    smooth: NDArray[np.float32]  # (n, n)
    half: NDArray[np.float32]  # (n / 2, n / 2)
    coarse: _Scale
    fine: _Scale
    comparison: _Comparison
    by: NDArray[np.float64]  # (6,): a map
    trial: NDArray[np.float64]  # (6,)
    views: NDArray[np.bool_]  # (2,): which of them is the inside of a frame

    @classmethod
    def of(cls, n: int) -> "_Workspace":
        """For pictures of n × n."""
        pictures, upright = np.empty((2, n, n), np.uint8), np.empty((n, n), np.uint8)
        work, smooth, half = (np.empty((side, side), np.float32) for side in (n, n, n // 2))
        coarse, fine = _Scale.of(n // 2 - 1), _Scale.of(n - 1)
        by, trial, views = np.zeros(6), np.zeros(6), np.zeros(2, np.bool_)

        return cls(
            pictures, upright, work, smooth, half, coarse, fine, _Comparison.of(n), by, trial, views
        )


@inner_rounded
def _agreeing(one: Any, two: Any, by: Any, views: Any, most: Any, room: Any) -> Any:
    """How well two thumbnails agree under a map, less what they contradict each other in.

    `views`: which of them is the inside of a frame. `most`: what their agreement is worth.
    """
    laid, soft, roots, inside = room.laid, room.soft, room.roots, room.inside
    put(one.reshape(-1), laid[0].reshape(-1))
    grey_laid_over(two, by, laid[1], inside, room.overlay)
    if views[0] or views[1]:
        without_rim(inside)

    for k in range(2):
        softened(laid[k], _SOFT, room.work, soft[k])
        fourth_roots(soft[k], _NOISE, roots[k])

    found = agreement(roots[0], roots[1], inside)
    if found < _WORTH_IT:
        return found

    for k in range(2):
        softened(laid[k], _LESS_SOFT, room.work, soft[k])

    return found * most - _CONTRADICTED * contradiction(
        soft[0], soft[1], inside, np.int64(_BLOCKS), np.int64(_BLOCKS // RIM)
    )


@inner_rounded
def _refined(
    one: Any, two: Any, slopes: Any, inverse: Any, by: Any, trial: Any, over_all: Any, room: Any
) -> None:
    """Improve a map at 32 × 32, or find another one."""
    best = -1.0
    for attempt in range(2):
        put(by, trial)
        if attempt == 1:
            # A stamp can pull the small pictures astray, so it is asked again whether they agree as
            # they lie.
            if correlation(one, two, over_all, room.sums) <= best:
                return
            unmoved(trial)
        best = refined(one, slopes, inverse, two, trial, np.int64(_FINE_STEPS), _FINE_GAIN, room)
        put(trial, by)


@inner_rounded
def _begun(
    one: Any, two: Any, slopes: Any, inverse: Any, starts: Any, by: Any, trial: Any, room: Any
) -> Any:
    """The better of two maps at 16 × 16: from where the pictures lie, and from the best other
    start.

    Returns their correlation, and whether they agreed so far that both were tried, or one was
    enough.
    """
    best = -1.0
    unmoved(by)
    put(by, trial)

    for attempt in range(2):
        if attempt == 1:
            if best >= _ENOUGH:
                return best, True
            agrees = best >= _MIN_BEGUN
            tried = starts if agrees else starts[: len(_SHIFTS)]
            least = _MIN_STARTED if agrees else _MIN_MOVED
            if best_start(one, two, tried, -1.0, trial, room) < least and best < least:
                return best, False
        found = refined(
            one, slopes, inverse, two, trial, _COARSE_STEPS[attempt], _COARSE_GAIN, room
        )
        if found > best:
            best = found
            put(trial, by)

    return best, True


@inner
def _ask_worth(picture: Any, place: Any, worths: Any) -> None:
    """What an agreement of a picture is worth, worked out when it is first asked for."""
    if worths[place] < 0.0:
        worths[place] = worth(picture)


@inner
def _put_turned(picture: Any, turn: Any, upright: Any, turned: Any) -> None:
    """The picture as it is stored, and turned."""
    put(picture.reshape(-1), upright.reshape(-1))
    put(upright.reshape(-1), turned.reshape(-1))
    if turn != 0:
        oriented(upright, turn, turned)


@compiled_rounded
def _compare(
    thumbnails: Any,
    others: Any,
    one: Any,
    two: Any,
    turns: Any,
    starts: Any,
    worths: Any,
    space: Any,
    out: Any,
    counts: Any,
) -> None:
    """Similarities of pairs, fastest where those with the same first picture follow each other."""
    n_thumbnails = len(thumbnails)
    pictures, upright, work, smooth, half = (
        space.pictures,
        space.upright,
        space.work,
        space.smooth,
        space.half,
    )
    coarse, fine, by, trial, views = space.coarse, space.fine, space.by, space.trial, space.views
    before = coarse_of = fine_of = np.int64(-1)

    for k in range(len(one)):
        a, b = one[k], two[k]
        if a != before:
            first = thumbnails[a] if a < n_thumbnails else others[a - n_thumbnails]
            put(first.reshape(-1), pictures[0].reshape(-1))
            blurred(pictures[0], work, smooth)
            gradients(smooth, NOISE, fine.gradients[0])
            halved(smooth, half)
            gradients(half, NOISE, coarse.gradients[0])
            before = a
        second = thumbnails[b] if b < n_thumbnails else others[b - n_thumbnails]
        _put_turned(second, turns[k], upright, pictures[1])
        blurred(pictures[1], work, smooth)
        halved(smooth, half)
        gradients(half, NOISE, coarse.gradients[1])
        out[k] = correlation(
            coarse.gradients[0], coarse.gradients[1], coarse.everywhere, coarse.room.sums
        )
        if out[k] < _MIN_LYING:
            continue
        counts[0] += 1
        aligned, most = 0.0, 0.0
        for way in range(2):
            # One way round a crop is enlarged and fills the picture, the other way it is shrunk and
            # fixes less.
            if way == 1 and (aligned < _ALIGNED or out[k] >= _DOUBTFUL):
                break
            if way == 1 or coarse_of != a:
                prepared(
                    coarse.gradients[way], coarse.slopes[way], coarse.inverse[way], coarse.room
                )
                coarse_of = a
            found, started = _begun(
                coarse.gradients[way],
                coarse.gradients[1 - way],
                coarse.slopes[way],
                coarse.inverse[way],
                starts,
                by,
                trial,
                coarse.room,
            )
            if way == 0:
                out[k] = aligned = found
                counts[1] += started
                if not started or found < _MIN_COARSE:
                    break
                counts[2] += 1
                gradients(smooth, NOISE, fine.gradients[1])
                views[0], views[1] = a >= n_thumbnails, b >= n_thumbnails
                _ask_worth(pictures[0], a, worths)
                _ask_worth(upright, b, worths)
                most = determined(pictures[0], pictures[1], worths[a], worths[b])
            if way == 1 or fine_of != a:
                prepared(fine.gradients[way], fine.slopes[way], fine.inverse[way], fine.room)
                fine_of = a
            _refined(
                fine.gradients[way],
                fine.gradients[1 - way],
                fine.slopes[way],
                fine.inverse[way],
                by,
                trial,
                fine.everywhere,
                fine.room,
            )
            similarity = _agreeing(
                pictures[way], pictures[1 - way], by, views, most, space.comparison
            )
            out[k] = max(out[k], similarity) if way == 1 else similarity


def _compared(
    small: Any, more: Any, one: Any, two: Any, turns: Any, worths: Any, out: Any, counts: Any
) -> None:
    """`_compare` in a workspace of its own."""
    _compare(
        small, more, one, two, turns, STARTS, worths, _Workspace.of(THUMBNAIL_SIDE), out, counts
    )


def is_compiled() -> bool:
    """Whether a process here finds the kernels compiled."""
    return is_kept(_compare)


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

    `thumbnails`: uint8, shape (n, 32, 32); `others` are the ones from n on. `transforms`: how b[k]
    is turned first, as places in `tables.TRANSFORMS`; None: not at all. A pair depends on its own
    two thumbnails only.
    """
    small = np.ascontiguousarray(thumbnails).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    more = (
        np.empty((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        if others is None
        else np.ascontiguousarray(others)
    )
    asked = np.zeros(len(a), np.uint8) if transforms is None else transforms
    found = _verified(small, more, a, b, asked, threads)

    doubtful = np.flatnonzero(
        (found.similarity >= _WITH_RIM[0]) & (found.similarity < _WITH_RIM[1])
    )
    if len(doubtful):
        rows, again = _without_rims(small, more, a[doubtful], b[doubtful], asked[doubtful], threads)
        rows = doubtful[rows]
        found.similarity[rows] = np.maximum(found.similarity[rows], again)

    return found


def _without_rims(
    small: NDArray[np.uint8],
    more: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    turns: NDArray[np.uint8],
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which of these pairs have a thumbnail with a thin rim, and how similar they are without it:
    where it is overwritten, or where it is cut away, whichever is more.

    Only thumbnails of the pairs are copied; those behind `small` stay behind it, as they are
    compared differently.
    """
    used, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    n_standing = int(np.searchsorted(used, len(small)))
    *standing, of_standing = without_rims(small[used[:n_standing]])
    *inside, of_inside = without_rims(more[used[n_standing:] - len(small)])
    has_rim = np.concatenate([of_standing, of_inside])
    one, two = places[: len(a)], places[len(a) :]
    rows = np.flatnonzero(has_rim[one] | has_rim[two])

    found = [
        _verified(whole, views, one[rows], two[rows], turns[rows], threads).similarity
        for whole, views in zip(standing, inside, strict=True)
    ]

    return rows, np.maximum(*found)


def _verified(
    small: NDArray[np.uint8],
    more: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    asked: NDArray[np.uint8],
    threads: int,
) -> Verified:
    pairs, turns = np.empty((2, len(a)), np.int64), np.empty(len(a), np.uint8)
    _ordered(small, more, a, b, asked, INVERSES, pairs, turns)
    order = np.argsort(pairs[0], kind="stable")
    one, two, turns = pairs[0][order], pairs[1][order], turns[order]
    out = np.empty(len(a), np.float64)
    places = [slice(start, start + _PAIRS_PER_TASK) for start in range(0, len(a), _PAIRS_PER_TASK)]
    counts = np.zeros((max(len(places), 1), 3), np.int64)
    # of pictures that nobody asked for; all threads find the same
    worths = np.full(len(small) + len(more), -1.0)

    with Crew(threads) as crew:
        tasks = [
            (small, more, one[at], two[at], turns[at], worths, out[at], counts[k])
            for k, at in enumerate(places)
        ]
        crew.run(_compared, tasks)

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
