"""How far one may search: the largest distance whose pairs are not too many."""

import threading

import numpy as np
from numpy.typing import NDArray

from dedup.search.codes import check, check_limit
from dedup.search.crew import Crew, Progress
from dedup.search.sample import degrees
from dedup.search.scan import Keys
from dedup.search.searching import Sides, collapsed, search


def largest_distance_within(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    budget: int,
    cap: int,
    threads: int | None = None,
    progress: Progress | None = None,
) -> int | None:
    """The largest distance up to `cap` that has at most `budget` pairs; None: not even 0 has so few.

    The pairs are counted, not estimated: the answer depends on the codes alone, not on a sample, the machine
    or the number of threads. A sample only says where to begin. Nothing is kept of the pairs. Costs about as
    much as two or three searches at the answer.
    """
    check(codes, other, cap)
    check_limit(budget)
    with Crew(threads, progress) as crew:
        sides = collapsed(codes, other, crew)
    left, right = sides
    equal = left.equal_pairs if right is None else 0
    if equal > budget:
        return None
    fits: int | None = None
    exceeds = cap + 1
    distance = _likely(sides, budget, cap, equal)
    while True:
        if _fits(sides, distance, budget, threads):
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


def _likely(sides: Sides, budget: int, cap: int, equal: int) -> int:
    left, right = sides
    if len(left) == 0 or (right is not None and len(right) == 0):
        return cap
    sample = degrees(left, right, cap)
    expected = equal + np.cumsum(sample.by_distance) * sample.scale
    return max(0, int(np.searchsorted(expected, budget, "right")) - 1)


def _fits(sides: Sides, distance: int, budget: int, threads: int | None) -> bool:
    counter = _Counter(budget)
    with Crew(threads) as crew:
        search(sides, distance, crew, counter, None)
    return counter.found <= budget


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
