"""Where codes are dense: how many other rows each row has within a small distance in every hash."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.search.combined import Codes, joined
from dedup.search.crew import Crew
from dedup.search.scan import Keys

MAX_COUNTED = 50_000_000
"""Pairs of different codes that are counted one by one: about a second."""

UNKNOWN = -1
"""In place of the number of neighbours of a row that was not counted."""

_DRAWN = 512  # codes whose neighbours are counted where all would be too many


def neighbours_within(
    codes: Sequence[Codes],
    max_distance: Sequence[int],
    *,
    threads: int | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """For each row the number of other rows within the distance in every hash.

    Rows with equal codes are counted together, so that 10⁵ of them cost nothing. Where more than
    `MAX_COUNTED` pairs of different codes are that near, only rows drawn at random are counted, and
    the others are `UNKNOWN`: whoever takes the neighbours of those out and asks again gets to all.
    """
    n = len(codes[0])
    if n == 0:
        return np.zeros(0, np.int64)

    whole = np.concatenate(codes, axis=1)
    _, first, of_row, sizes = np.unique(
        whole, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    of_row = of_row.reshape(-1)
    distinct = [one[first] for one in codes]
    counter = _Counter(sizes, MAX_COUNTED)

    try:
        with Crew(threads) as crew:
            joined(
                distinct, None, max_distance, "all", MAX_COUNTED, crew, counter, "auto", early=None
            )
    except LimitError:
        return _of_drawn(distinct, sizes, max_distance, seed)[of_row]

    return (counter.near + sizes - 1)[of_row]


def rows_within(
    codes: Sequence[Codes], row: int, among: NDArray[np.int64], max_distance: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the rows `among` are within the distance of one row in every hash, and their summed
    distances.
    """
    near = np.ones(len(among), np.bool_)
    total = np.zeros(len(among), np.int64)
    for one, bits in zip(codes, max_distance, strict=True):
        distance = np.bitwise_count(one[among] ^ one[row]).sum(axis=1, dtype=np.int64)
        near &= distance <= bits
        total += distance

    return among[near], total[near]


def _of_drawn(
    distinct: Sequence[Codes], sizes: NDArray[np.int64], max_distance: Sequence[int], seed: int
) -> NDArray[np.int64]:
    n = len(sizes)
    found = np.full(n, UNKNOWN, np.int64)
    everything = np.arange(n, dtype=np.int64)
    for drawn in np.random.default_rng(seed).choice(n, min(n, _DRAWN), replace=False).tolist():
        near, _ = rows_within(distinct, drawn, everything, max_distance)
        found[drawn] = sizes[near].sum() - 1

    return found


class _Counter:
    """Counts for each code the rows of the codes that it is paired with."""

    def __init__(self, sizes: NDArray[np.int64], limit: int) -> None:
        self.near = np.zeros(len(sizes), np.int64)
        self._sizes, self._left = sizes, limit
        self._lock = threading.Lock()

    def accept(self, keys: Keys) -> bool:
        """Keeps nothing but the counts."""
        a, b = (
            (keys >> np.uint64(32)).astype(np.int64),
            (keys & np.uint64(0xFFFFFFFF)).astype(np.int64),
        )
        with self._lock:
            self._left -= len(keys)
            np.add.at(self.near, a, self._sizes[b])
            np.add.at(self.near, b, self._sizes[a])

        return self._left >= 0
