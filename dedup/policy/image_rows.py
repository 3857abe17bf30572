"""Rows of several images: a row stays or goes as a whole, as `policy.row` says."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.graph import Graph, Witnesses

ROW: Final = "another image of its row goes"
"""The reason of a sample that goes with its row, and matches nothing itself."""

ROW_STAYS: Final = "would go, its row stays"
"""The reason of a sample that is kept because another image of its row is (`policy.row: all`)."""

ANY: Final = "any"

Mask = NDArray[np.bool_]
Samples = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which samples are images of one row."""

    of_sample: Samples  # number of the row; -1: the sample is a row of its own
    rule: str  # any or all: how many of its images must go, so that a row goes

    @property
    def is_empty(self) -> bool:
        """Whether no row can have several images."""
        return not (self.of_sample >= 0).any()

    def first_of(self, samples: Mask) -> Samples:
        """For each sample the lowest of those samples in its row, -1 where there is none."""
        n = len(self.of_sample)
        lowest = np.full(int(self.of_sample.max(initial=-1)) + 2, n, dtype=np.int64)
        members = np.flatnonzero(samples & (self.of_sample >= 0))
        np.minimum.at(lowest, self.of_sample[members], members)
        found = lowest[self.of_sample]

        return np.where((found < n) & (self.of_sample >= 0), found, -1)

    def has(self, samples: Mask) -> Mask:
        """Whether the row of each sample has one of those samples."""
        return self.first_of(samples) >= 0


def with_rows(dropped: Mask, open_: Mask, rows: Rows) -> tuple[Mask, Mask]:
    """What goes besides because an image of its row does, and what stays after all because another
    one does.

    `open_`: samples that would be written, those dropped among them or not.
    """
    nothing = np.zeros(len(dropped), dtype=bool)
    of_row = rows.of_sample >= 0
    if rows.rule == ANY:
        return of_row & ~dropped & rows.has(dropped), nothing

    return nothing, of_row & dropped & rows.has(open_ & ~dropped)


def row_cover(graph: Graph, order: Samples, eligible: Mask, rows: Rows, keys: Samples) -> Witnesses:
    """Cover rows by rows: whoever comes first in `order` keeps its row, and later rows go that
    match a kept one, with any or with all of their images.

    A sample that goes with its row and matches nothing has no witness here; those of kept rows are
    their own. Samples with different `keys` do not match. Linear in samples and pairs.
    """
    n = graph.n_samples
    place = np.full(n, len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    row = np.where(rows.of_sample >= 0, rows.of_sample, n + np.arange(n))
    members: dict[int, list[int]] = {}
    for sample in sorted(np.flatnonzero(eligible).tolist(), key=lambda one: int(place[one])):
        members.setdefault(int(row[sample]), []).append(sample)

    kept = _Kept(graph, keys)
    found = np.where(eligible, np.arange(n), -1)
    at = np.full(n, -1, dtype=np.int64)

    for images in members.values():
        matches = [kept.match(sample) for sample in images]
        n_matched = sum(match is not None for match in matches)
        if n_matched == len(images) or (n_matched and rows.rule == ANY):
            for sample, match in zip(images, matches, strict=True):
                found[sample], at[sample] = match or (-1, -1)
        else:
            for sample in images:
                kept.add(sample)

    near = at >= 0
    distance, similarity = np.zeros(n, np.uint16), np.ones(n, np.float32)
    distance[near], similarity[near] = graph.distance[at[near]], graph.similarity[at[near]]

    return Witnesses(found, distance, similarity, at)


class _Kept:
    """The samples of kept rows, by class and key."""

    def __init__(self, graph: Graph, keys: Samples) -> None:
        self._graph, self._keys = graph, keys
        self._first: dict[tuple[int, int], int] = {}

    def add(self, sample: int) -> None:
        """A sample whose row is kept."""
        key = int(self._graph.class_of[sample]), int(self._keys[sample])
        self._first.setdefault(key, sample)

    def match(self, sample: int) -> tuple[int, int] | None:
        """A kept sample that matches, an identical one first, and the row of their pair."""
        graph, key = self._graph, int(self._keys[sample])
        own = int(graph.class_of[sample])
        if (found := self._first.get((own, key))) is not None:
            return found, -1

        for near in graph.near(own):
            other = int(graph.near_b[near])
            if (found := self._first.get((other, key))) is not None:
                return found, int(graph.near_row[near])

        return None
