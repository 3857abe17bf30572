"""The join without the pairs inside crowds: k rows that are known to be alike cost k comparisons,
not k².

A crowd has a leader and members. Members are not paired with members, of their own crowd or of
another one; everything else is paired with everything. What was compared inside a crowd is known to
whoever made the crowd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.search.combined import (
    Codes,
    CombinedMatches,
    checked,
    distances_of,
    join_hashes_batches,
    joined,
)
from dedup.search.crew import Crew, Progress
from dedup.search.matches import BATCH_ROWS, MAX_PAIRS
from dedup.search.order import in_order
from dedup.search.scan import Keys, PairSink, Sink

NO_CROWD = -1
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Spared:
    """Which pairs of rows a search leaves out."""

    members: NDArray[np.bool_]  # rows that are not paired with each other
    # the crowd that each row is in, or beside; NO_CROWD: in none, or its leader
    crowd: NDArray[np.int64]
    known: Keys  # pairs that were compared already, the lower row first, sorted

    def any(self) -> bool:
        """Whether any pair is left out."""
        return bool(self.members.any()) or len(self.known) > 0

    def leaves_out(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each pair of rows, a < b, whether it is left out.

        Those are two members, a member and a row beside its crowd, and what was compared already.
        """
        one, two = self.members[a], self.members[b]
        same = (self.crowd[a] == self.crowd[b]) & (self.crowd[a] != NO_CROWD)
        return np.asarray((one & two) | ((one | two) & same) | is_among(self.known, keys_of(a, b)))

    def take(self, rows: NDArray[np.int64]) -> "Spared":
        """The same of some of the rows, ascending, which are numbered anew."""
        a, b = (self.known >> np.uint64(32)).astype(np.int64), (self.known & _LOW).astype(np.int64)
        place = np.full(len(self.members), -1, np.int64)
        place[rows] = np.arange(len(rows))
        there = (place[a] >= 0) & (place[b] >= 0)
        known = keys_of(place[a[there]], place[b[there]])

        return Spared(self.members[rows], self.crowd[rows], known)


def nobody_spared(n_rows: int) -> Spared:
    """Of rows that are all paired with each other."""
    nothing = np.empty(0, np.uint64)
    return Spared(np.zeros(n_rows, np.bool_), np.full(n_rows, NO_CROWD, np.int64), nothing)


def keys_of(a: NDArray[np.int64], b: NDArray[np.int64]) -> Keys:
    """Pairs of rows as one number each."""
    return np.asarray((a.astype(np.uint64) << np.uint64(32)) | b.astype(np.uint64))


def is_among(known: Keys, wanted: Keys) -> NDArray[np.bool_]:
    """Whether each of some keys is among sorted ones."""
    if len(known) == 0:
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.asarray(known[at] == wanted)


def join_sparing_batches(
    codes: Sequence[Codes],
    spared: Spared,
    *,
    max_distance: int | Sequence[int],
    combine: str = "any",
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[CombinedMatches]:
    """As `join_hashes_batches` of one side with itself, without the pairs that `spared` leaves out.

    Linear in the members: they are never joined with each other. Raises `LimitError` for more than
    `limit` pairs.
    """
    if not spared.any():
        yield from join_hashes_batches(
            codes,
            max_distance=max_distance,
            combine=combine,
            limit=limit,
            threads=threads,
            progress=progress,
        )
        return

    bounds = checked(codes, None, max_distance, combine)
    rest, members = np.flatnonzero(~spared.members), np.flatnonzero(spared.members)
    of_rest, of_members = ([one[rows] for one in codes] for rows in (rest, members))

    with Crew(threads, progress) as crew:
        sink = PairSink(limit)
        within = _Renamed(sink, rest, rest, spared)
        joined(of_rest, None, bounds, combine, limit, crew, within, "auto", early=limit)
        across = _Renamed(sink, rest, members, spared)
        if len(members) > 0:
            joined(of_rest, of_members, bounds, combine, limit, crew, across, "auto", early=None)
        keys = in_order(sink.parts, len(codes[0]), crew)
        crew.finish()

    for begin in range(0, len(keys), BATCH_ROWS):
        part = keys[begin : begin + BATCH_ROWS]
        a, b = (part >> np.uint64(32)).astype(np.int64), (part & _LOW).astype(np.int64)
        yield CombinedMatches(a, b, tuple(distances_of(one, one, part) for one in codes), len(keys))


class _Renamed:
    """Hands on pairs of chosen rows as pairs of all rows, the lower first, without those left
    out.
    """

    def __init__(
        self, sink: Sink, one: NDArray[np.int64], two: NDArray[np.int64], spared: Spared
    ) -> None:
        self._sink, self._one, self._two, self._spared = sink, one, two, spared

    def accept(self, keys: Keys) -> bool:
        """Renames and filters."""
        a = self._one[(keys >> np.uint64(32)).astype(np.int64)]
        b = self._two[(keys & _LOW).astype(np.int64)]
        low, high = np.minimum(a, b), np.maximum(a, b)
        wanted = ~self._spared.leaves_out(low, high)
        renamed = keys_of(low[wanted], high[wanted])

        return self._sink.accept(renamed) if len(renamed) else True
