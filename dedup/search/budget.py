"""How far one may search: the largest distance whose pairs are not too many."""

import threading
from collections.abc import Sequence
from operator import index
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.search.codes import check, check_limit
from dedup.search.crew import Crew, Progress
from dedup.search.scan import Keys
from dedup.search.searching import Sides, collapsed, search

# for a sample: a fifth of a second on one core, and good enough among 10**7 codes
_COMPARISONS: Final = 1 << 32


def largest_distance_within(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    budget: int,
    cap: int,
    also: Sequence[NDArray[np.uint64]] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> int | None:
    """The largest distance up to `cap` that has at most `budget` pairs; None: not even 0 has so
    few.

    `also`: further codes that `codes` is joined with; their pairs count too, as the join finds
    them. The pairs are counted, not estimated: the answer depends on the codes alone, not on the
    machine or the number of threads. A sample says where to begin, and may say that a distance has
    too many where that is certain but for a chance of one in 10**15. Nothing is kept of the pairs.
    Costs about one search at the answer, at the most two.
    """
    check_limit(budget)
    with Crew(threads, progress) as crew:
        joins = []
        for one in (other, *also):
            check(codes, one, cap)
            joins.append(collapsed(codes, one, crew))

    budget, cap = index(budget), index(cap)
    equal = sum(sides.known_equal_pairs for sides in joins)
    if equal > budget:
        return None

    fits: int | None = None
    exceeds = cap + 1
    distance = _likely(joins, budget, cap, equal)

    while True:
        if _fits(joins, distance, budget, threads):
            fits = distance
            distance += 1
            if distance == exceeds:
                break
        else:
            exceeds = distance
            distance -= 1
            if distance < 0 or fits == distance:
                break

    if progress is not None:
        progress(1.0)

    return fits


def _likely(joins: Sequence[Sides], budget: int, cap: int, equal: int) -> int:
    """The distance at which to begin to count."""
    expected = np.full(cap + 1, float(equal))
    for sides in joins:
        if not sides.is_empty:
            sample, factor = sides.sample(cap, _COMPARISONS)
            expected += np.cumsum(sample.by_distance) * sample.scale * factor

    return max(0, int(np.searchsorted(expected, budget, "right")) - 1)


def _fits(joins: Sequence[Sides], distance: int, budget: int, threads: int | None) -> bool:
    if _surely_more(joins, distance, budget):
        return False

    counter = _Counter(budget)
    for sides in joins:
        with Crew(threads) as crew:
            search(sides, distance, crew, counter, None)
        if counter.found > budget:
            return False

    return True


def _surely_more(joins: Sequence[Sides], distance: int, budget: int) -> bool:
    """Whether a sample settles it; costs a fraction of a count."""
    least = 0.0
    for sides in joins:
        if not sides.is_empty:
            # of some rows only, where it is done in tiles: a bound for all
            least += sides.known_equal_pairs + sides.sample(distance, _COMPARISONS)[0].at_least()

    return least > budget


class _Counter:
    """Counts pairs until there are more than `budget`."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.found = 0
        self._lock = threading.Lock()

    def accept(self, keys: Keys) -> bool:
        """Keeps nothing but their number."""
        with self._lock:
            self.found += len(keys)
            return self.found <= self.budget
