"""Similarity at a higher resolution: whether two pictures are the same, or of the same scene.

Two frames of a burst, a stereo pair or two products of one catalogue agree at 32 × 32; what moved
or differs shows in the detail. The pictures are aligned from coarse to fine and then compared as
thumbnails are.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled_rounded, is_kept
from dedup.decoding.orientation import turned_each
from dedup.hashers.close_views import CLOSE_SIDE
from dedup.search.crew import Crew
from dedup.verify.agreement import (
    agreement,
    agreement_softened,
    fourth_roots,
    grey_laid_over,
    overlay,
)
from dedup.verify.alignment import best_start, correlation, prepared, refined, unmoved
from dedup.verify.alignment import room as room_to_align
from dedup.verify.contradiction import RIM, contradiction
from dedup.verify.features import NOISE, blurred, gradients, halved, oriented, put
from dedup.verify.similarity import INVERSES, STARTS, comes_after

_NOISE: Final = 16.0  # grey levels: shorter gradients are noise and count less
# tried for each of the two: one may be a halftone or a smaller picture
_SOFTER: Final = np.array([0.08, 0.16])
_BLOCKS: Final = 16  # on a side, in which contradictions are looked for
# what a share of structure in which pictures contradict each other costs
_CONTRADICTED: Final = 4.0
# a lower similarity makes that the first picture is laid over the second one, too
_DOUBTFUL: Final = 0.95
_HOPELESS: Final = 0.5
"""Agreement at 64 pixels, less what is contradicted, below which 128 pixels are not compared.

Of 1,346 edited photos, 436 copies of drawings, 1,873 pairs of diagrams and 1,527 of stars none that
reaches 0.87 at the end has less than 0.62 here, the better way round.
"""

_LOST: Final = 0.6
"""A similarity one way round below which the other way round is not compared, unless it began
better by `_BETTER`.

Of the same pairs those that the other way round brought to 0.87 had at least 0.73, or began better
by 0.38.
"""

_BETTER: Final = 0.1
_STEPS: Final = 5  # at each size
_GAIN: Final = 0.0005  # a step that gains less is the last of its size
_PAIRS_PER_TASK: Final = 16  # what Ctrl-C waits for: some hundredths of a second
_DECIMALS: Final = 4
_MIN_CHROMA: Final = 10.0  # levels of 256; JPEG and crops stay below 4


class _Level:
    """One of the sizes at which two pictures are aligned, of n × n pixels; gradients are a pixel
    smaller.
    """

    def __init__(self, n: int) -> None:
        self.one, self.two, self.work, self.smooth = np.empty((4, n, n), np.float32)
        # gradients of the first and of the second
        self.left, self.right = np.empty((2, 2, n - 1, n - 1), np.float32)
        self.slopes = np.empty((2, 2, n - 1, n - 1), np.float32)
        self.everywhere = np.ones((n - 1, n - 1), np.float32)
        self.room = room_to_align(n - 1)


class _Comparison:
    """Two pictures at 128 pixels and what comparing them needs, made by NumPy and used for one pair
    after the other.

    The steps are kernels of their own, called from here: one kernel of all of them would be
    compiled three times as long, and a call costs some microseconds of a pair's milliseconds.
    """

    def __init__(self) -> None:
        n, half = CLOSE_SIDE, CLOSE_SIDE // 2
        self.pictures = np.empty((2, n, n), np.uint8)
        self.levels = [_Level(n >> k) for k in range(4)]
        self.inverse = np.empty((6, 6))
        self.by, self.trial = np.empty(6), np.empty(6)  # maps
        # the second picture at the places of the first
        self.laid, self.inside = np.empty((2, n, n), np.float32)
        self.overlay = overlay(n)
        self.blurs = np.empty((2, n, n), np.float32)
        self.halves = np.empty((2, half, half), np.float32)
        self.within, self.work, self.softer = np.empty((3, half, half), np.float32)
        self.sharp = np.empty((2, 2, half - 1, half - 1), np.float32)
        self.out = np.empty((2, half - 1, half - 1), np.float32)
        self.small_laid, self.small_inside = np.empty((2, half, half), np.float32)
        self.small_overlay = overlay(half)
        self.small_blurs = np.empty((2, half, half), np.float32)

    def similarity(self, one: Any, two: Any, turn: int, *, has_rim: bool) -> float:
        """Of two pictures, uint8, (128, 128), whichever is named first; below 0 where they
        contradict each other.
        """
        if comes_after(one, two):
            one, two, turn = two, one, INVERSES[turn]

        self.pictures[0] = one
        oriented(two, turn, self.pictures[1])
        rim = 1.0 / RIM if has_rim else 0.0

        return self._either_way(self.pictures[0], self.pictures[1], rim)

    def _either_way(self, one: Any, two: Any, rim: float) -> float:
        """Each laid over the other, as a crop that is enlarged fixes more of the map than one that
        is shrunk.

        What does not agree at 64 pixels, either way, is left at what it has there.
        """
        begun = self._begun(one, two, rim)
        found = self._ended(rim) if begun >= _HOPELESS else None
        if found is not None and found >= _DOUBTFUL:
            return found

        begun_back = self._begun(two, one, rim)
        if found is None:
            return self._ended(rim) if begun_back >= _HOPELESS else max(begun, begun_back)
        if begun_back < _HOPELESS or (found < _LOST and begun_back < begun + _BETTER):
            return found

        return max(found, self._ended(rim))

    def overlaid(self, one: Any, two: Any) -> float:
        """How well the second picture, laid over the first by `by`, agrees with it."""
        begun = self._begun(one, two, 1.0 / RIM)
        return self._ended(1.0 / RIM) if begun >= _HOPELESS else begun

    def _begun(self, one: Any, two: Any, rim: float) -> float:
        """Align the second picture to the first from 16 to 64 pixels; agreement without what is
        contradicted there.
        """
        whole, half, quarter, last = self.levels
        _pyramid(one, whole.one, half.one, quarter.one, last.one)
        _pyramid(two, whole.two, half.two, quarter.two, last.two)
        self.by[:] = 1, 0, 0, 1, 0, 0
        for level in (last, quarter, half):
            starts = STARTS if level is last else STARTS[:0]
            self._align(level, starts)

        grey_laid_over(half.two, self.by, self.small_laid, self.small_inside, self.small_overlay)
        self.halves[1], self.within[:] = self.small_laid, self.small_inside
        agrees = self._agreement_at_64(half.one, rim)
        if agrees < _HOPELESS:
            return agrees

        contradicted = _contradiction(
            half.one,
            self.small_laid,
            self.small_inside,
            int(_BLOCKS * rim),
            half.work,
            self.small_blurs,
        )

        return agrees - _CONTRADICTED * float(contradicted)

    def _ended(self, rim: float) -> float:
        """Align the two that were begun last at 128 pixels; agreement without what is
        contradicted.
        """
        whole, half = self.levels[0], self.levels[1]
        self._align(whole, STARTS[:0])
        grey_laid_over(whole.two, self.by, self.laid, self.inside, self.overlay)
        _halved(self.laid, self.inside, self.halves[1], self.within)
        agrees = self._agreement_at_64(half.one, rim)
        contradicted = _contradiction(
            whole.one, self.laid, self.inside, int(_BLOCKS * rim), whole.work, self.blurs
        )

        return agrees - _CONTRADICTED * float(contradicted)

    def _align(self, level: _Level, starts: NDArray[np.float64]) -> None:
        _aligned(
            level.one,
            level.two,
            starts,
            level.work,
            level.smooth,
            level.left,
            level.right,
            level.slopes,
            level.everywhere,
            level.room,
            self.inverse,
            self.by,
            self.trial,
        )

    def _agreement_at_64(self, half: NDArray[np.float32], rim: float) -> float:
        """Of the first picture with the second of `halves`, where that is `within`."""
        self.halves[0] = half
        agreed = _agreement_at_64(
            rim, _SOFTER, self.halves, self.within, self.sharp, self.work, self.softer, self.out
        )

        return float(agreed)


@compiled_rounded
def _pyramid(grey: Any, whole: Any, half: Any, quarter: Any, last: Any) -> None:
    """The picture at 128, 64, 32 and 16 pixels."""
    put(grey.reshape(-1), whole.reshape(-1))
    halved(whole, half)
    halved(half, quarter)
    halved(quarter, last)


@compiled_rounded
def _aligned(
    one: Any,
    two: Any,
    starts: Any,
    work: Any,
    smooth: Any,
    left: Any,
    right: Any,
    slopes: Any,
    everywhere: Any,
    room: Any,
    inverse: Any,
    by: Any,
    trial: Any,
) -> None:
    """Improve the map `by` at one of the sizes, from where it is, and from the best of `starts`, if
    there are any.
    """
    blurred(one, work, smooth)
    gradients(smooth, NOISE, left)
    blurred(two, work, smooth)
    gradients(smooth, NOISE, right)
    prepared(left, slopes, inverse, room)
    best = -1.0

    for attempt in range(2):
        put(by, trial)
        if attempt == 1 and len(starts) > 0:
            best_start(left, right, starts, -1.0, trial, room)
        elif attempt == 1:
            # A stamp can pull the small pictures astray, so it is asked again whether they agree as
            # they lie.
            if correlation(left, right, everywhere, room.sums) <= best:
                break
            unmoved(trial)
        found = refined(left, slopes, inverse, right, trial, np.int64(_STEPS), _GAIN, room)
        if found > best:
            best = found
            put(trial, by)


@compiled_rounded
def _halved(laid: Any, inside: Any, half: Any, within: Any) -> None:
    """A picture that was laid over at 128 pixels, and where it is, at 64."""
    halved(laid, half)
    halved(inside, within)


@compiled_rounded
def _agreement_at_64(
    rim: Any, amounts: Any, pictures: Any, within: Any, sharp: Any, work: Any, softer: Any, out: Any
) -> Any:
    """Agreement of two pictures at 64 pixels, the sharper one softened as far as the other one is.

    At 128, dither and the noise of a JPEG are as strong as the detail of a picture.
    """
    n = within.shape[0]
    for y in range(n):
        for x in range(n):
            at_rim = min(y, x, n - 1 - y, n - 1 - x) < n * rim
            within[y, x] = (
                np.float32(1.0)
                if within[y, x] > np.float32(0.99) and not at_rim
                else np.float32(0.0)
            )

    for k in range(2):
        fourth_roots(pictures[k], _NOISE, sharp[k])

    best = agreement(sharp[0], sharp[1], within)

    return max(
        best, agreement_softened(pictures, sharp, amounts, _NOISE, within, work, softer, out)
    )


@compiled_rounded
def _contradiction(one: Any, laid: Any, inside: Any, rim: Any, work: Any, blurs: Any) -> Any:
    blurred(one, work, blurs[0])
    blurred(laid, work, blurs[1])
    return contradiction(blurs[0], blurs[1], inside, np.int64(_BLOCKS), rim)


def _compare(greys: Any, a: Any, b: Any, turns: Any, rims: Any, out: Any) -> None:
    comparison = _Comparison()
    for k in range(len(a)):
        out[k] = comparison.similarity(greys[a[k]], greys[b[k]], turns[k], has_rim=bool(rims[k]))


def is_compiled() -> bool:
    """Whether a process here finds the kernels compiled."""
    return is_kept(_agreement_at_64) and is_kept(_aligned) and is_kept(_contradiction)


def close_similarities(
    greys: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8],
    *,
    rims: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Similarity of greys a[k] and b[k], in [0, 1], symmetric, rounded to four decimals; some
    milliseconds a pair.

    `greys`: uint8, shape (n, 128, 128). `rims`: whether a thin line along the sides of a pair does
    not count, as where one of them was cut; None: of all.
    """
    out = np.zeros(len(a), np.float64)
    left_out = np.ones(len(a), bool) if rims is None else rims
    parts = [slice(start, start + _PAIRS_PER_TASK) for start in range(0, len(a), _PAIRS_PER_TASK)]
    with Crew(threads) as crew:
        crew.run(_compare, [(greys, a[p], b[p], transforms[p], left_out[p], out[p]) for p in parts])

    return np.round(np.clip(out, 0.0, 1.0), _DECIMALS).astype(np.float32)


def best_map(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The map by which two pictures, (128, 128), the second turned already, agree best.

    Six numbers as of `alignment`: from places of the first to places of the second, in half-widths.
    Each is laid over the other, as in `close_similarities`.
    """
    comparison = _Comparison()
    ways = []
    for first, second in ((one, two), (two, one)):
        agreed = comparison.overlaid(first, second)
        ways.append((agreed, comparison.by.copy()))

    (forward, by), (backward, back) = ways

    return by if forward >= backward else _undone(back)


def _undone(by: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map that takes everything back."""
    back = np.linalg.inv(by[:4].reshape(2, 2))
    return np.concatenate([back.reshape(-1), -back @ by[4:]])


def colours_differ(
    chroma: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    """Whether the mean distance of the chroma of pictures a[k] and b[k], the second turned first,
    is more than an edit leaves.

    `chroma`: uint8, shape (n, 16, 16, 2).
    """
    by_channel = chroma.transpose(0, 3, 1, 2)
    away = by_channel[a].astype(np.float64) - turned_each(by_channel[b], transforms)

    return np.asarray(np.sqrt((away**2).sum(axis=1)).mean(axis=(1, 2)) > _MIN_CHROMA)
