"""The matches as a graph, small however many pictures are identical.

Samples with the same decoded pixels form a class. Near pairs connect classes, through their
representatives: two samples match when they are of one class or of two connected ones. Everything
here is linear in samples and pairs, so 100,000 blank images cost no more than 100,000 different
ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables


def representatives(digests: pa.ChunkedArray) -> NDArray[np.int64]:
    """For each row the first row with the same digest; itself where the digest is null, which
    equals nothing.

    Few digests share their first 64 bits, so only those rows are compared whole: four times as
    fast.
    """
    first_of = np.arange(len(digests), dtype=np.int64)
    known = np.flatnonzero(digests.is_valid().to_numpy())
    words = np.ascontiguousarray(tables.fixed_width(digests)[:, :8]).view(np.uint64).ravel()[known]
    order = np.argsort(words)
    same = np.flatnonzero(words[order][1:] == words[order][:-1])
    rows = np.sort(known[order[np.union1d(same, same + 1)]])
    if len(rows) == 0:
        return first_of

    codes = pc.dictionary_encode(digests.take(pa.array(rows)).combine_chunks()).indices.to_numpy()
    lowest = np.full(int(codes.max()) + 1, len(first_of), dtype=np.int64)
    np.minimum.at(lowest, codes, rows)
    first_of[rows] = lowest[codes]

    return first_of


def numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Equal values as equal numbers from 0 on; -1 for nulls."""
    codes = pc.dictionary_encode(column.combine_chunks()).indices
    return np.asarray(codes.cast(pa.int64()).fill_null(-1).to_numpy())


def group_witnesses(group: NDArray[np.int64], candidates: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each sample the lowest of the candidates in its group, -1 where there is none; itself, if
    it is one.
    """
    n = len(group)
    # the last place is that of -1
    lowest = np.full(int(group.max(initial=-1)) + 2, n, dtype=np.int64)
    members = np.flatnonzero(candidates & (group >= 0))
    np.minimum.at(lowest, group[members], members)
    found = lowest[group]

    return np.where(found < n, found, -1)


@dataclass(frozen=True, slots=True)
class Graph:
    """Classes of identical pictures and the near pairs between them."""

    class_of: NDArray[np.int64]  # sample → lowest sample of its class
    # near pairs in both directions, sorted by (a, b): from representative
    near_a: NDArray[np.int64]
    near_b: NDArray[np.int64]  # to representative
    near_row: NDArray[np.int64]  # row of the pair in the table of pairs
    # where a sample's near pairs start in the three arrays; length n + 1
    near_start: NDArray[np.int64]
    # of each row of pairs: the smallest of the algorithms' distances, bits
    distance: NDArray[np.uint16]
    similarity: NDArray[np.float32]  # of each row of pairs; NaN where nothing was verified
    # sample, if it is a representative → near pairs in which the other picture is better
    n_better: NDArray[np.int64]

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.class_of)

    def near(self, representative: int) -> range:
        """Positions of a representative's near pairs in `near_a`, `near_b` and `near_row`."""
        return range(int(self.near_start[representative]), int(self.near_start[representative + 1]))

    def matched(self) -> NDArray[np.bool_]:
        """Whether each sample matches any other one."""
        shared = np.bincount(self.class_of, minlength=self.n_samples) > 1
        connected = np.diff(self.near_start) > 0
        return np.asarray((shared | connected)[self.class_of])


NEAR: Final = ("near", "listed")
"""Kinds of pairs whose pictures are the same picture."""


def from_pairs(pairs: pa.Table, n_samples: int, near_kinds: Sequence[str] = NEAR) -> Graph:
    """The graph of a table of pairs; those of other kinds than `near_kinds` and identical ones are
    left out.
    """
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    near = pc.is_in(pairs["kind"], pa.array(near_kinds)).to_numpy()
    identical = pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"])).to_numpy()
    class_of = np.arange(n_samples, dtype=np.int64)
    class_of[b[identical]] = a[identical]
    rows = np.flatnonzero(near)
    sources, targets = np.concatenate([a[rows], b[rows]]), np.concatenate([b[rows], a[rows]])
    order = np.lexsort((targets, sources))
    names = [tables.distance_column(name) for name in tables.algorithms_of(pairs)]
    distances = (
        np.stack([pairs[name].to_numpy() for name in names])
        if names
        else np.zeros((1, len(a)), np.uint16)
    )
    similarity = pairs["similarity"].to_numpy()

    return Graph(
        class_of=class_of,
        near_a=sources[order],
        near_b=targets[order],
        near_row=np.concatenate([rows, rows])[order],
        near_start=np.searchsorted(sources[order], np.arange(n_samples + 1)).astype(np.int64),
        distance=distances.min(axis=0).astype(np.uint16),
        similarity=similarity.astype(np.float32),
        n_better=_n_better(pairs, n_samples),
    )


def _n_better(pairs: pa.Table, n_samples: int) -> NDArray[np.int64]:
    """How often each sample is the worse picture of a pair."""
    worse = [
        pairs[side].filter(pc.equal(pairs["better"], other))
        for side, other in (("a", "b"), ("b", "a"))
    ]

    return np.bincount(np.concatenate([side.to_numpy() for side in worse]), minlength=n_samples)


def matches_one_of(graph: Graph, candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each sample matches a candidate other than itself: what `best_witnesses` finds,
    without finding it.
    """
    n = graph.n_samples
    members = np.bincount(graph.class_of[candidates], minlength=n)
    near = np.zeros(n, dtype=bool)
    near[graph.near_a[members[graph.near_b] > 0]] = True

    return np.asarray(near[graph.class_of] | (members[graph.class_of] - candidates > 0))


@dataclass(frozen=True, slots=True)
class Witnesses:
    """For each sample the one because of which something is done about it."""

    sample: NDArray[np.int64]  # -1: none
    distance: NDArray[np.uint16]  # bits; 0 for identical pictures
    similarity: NDArray[np.float32]  # 1 for identical pictures; NaN where nothing was verified
    # of the near pair; -1 for identical pictures and where there is no witness
    row: NDArray[np.int64]


def best_witnesses(graph: Graph, candidates: NDArray[np.bool_]) -> Witnesses:
    """For each sample its best match among `candidates` (but itself): identical, then most similar,
    nearest, lowest.
    """
    n = graph.n_samples
    lowest, second = _two_lowest(graph, candidates)
    # Every member of a class has the same near matches, so the best is found once per class.
    usable = np.flatnonzero(lowest[graph.near_b] < n)
    rows, source, target = (
        graph.near_row[usable],
        graph.near_a[usable],
        lowest[graph.near_b[usable]],
    )
    order = np.lexsort(
        (target, graph.distance[rows], -np.nan_to_num(graph.similarity[rows]), source)
    )
    classes, first = np.unique(source[order], return_index=True)
    best_row, best = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    best_row[classes], best[classes] = rows[order][first], target[order][first]

    sample, row = best[graph.class_of], best_row[graph.class_of]
    distance, similarity = np.zeros(n, np.uint16), np.ones(n, np.float32)
    near = row >= 0
    distance[near], similarity[near] = graph.distance[row[near]], graph.similarity[row[near]]
    same = lowest[graph.class_of]
    own = same == np.arange(n)
    same[own] = second[graph.class_of[own]]
    identical = same < n
    sample[identical], row[identical] = same[identical], -1
    distance[identical], similarity[identical] = 0, 1

    return Witnesses(sample, distance, similarity, row)


def _two_lowest(
    graph: Graph, candidates: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each class, at the place of its representative, its two lowest candidates; n where there
    are none.
    """
    n = graph.n_samples
    members = np.flatnonzero(candidates)
    members = members[np.argsort(graph.class_of[members], kind="stable")]
    classes, start, size = np.unique(graph.class_of[members], return_index=True, return_counts=True)
    lowest, second = np.full(n, n, dtype=np.int64), np.full(n, n, dtype=np.int64)
    lowest[classes] = members[start]
    several = size > 1
    second[classes[several]] = members[start[several] + 1]

    return lowest, second


def quality_order(
    hashes: pa.Table,
    class_of: NDArray[np.int64],
    among: NDArray[np.bool_] | None = None,
    n_better: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Samples from the best to the worst picture; all, or those `among`.

    First those of which fewer matches are better pictures (`n_better`, of representatives), then
    more pixels, less compression, lower sample.

    Identical pictures are equally compressed, whatever their files say: the highest known value of
    the class counts, so that a JPEG saved again as PNG gains nothing. Unknown compression ranks
    last.
    """
    samples = np.arange(len(class_of)) if among is None else np.flatnonzero(among)
    sizes = (
        hashes[side].fill_null(0).to_numpy()[samples].astype(np.int64)
        for side in ("width", "height")
    )
    own = hashes["compression"].fill_null(-1).to_numpy()
    worst = own.astype(np.float64)
    members = np.flatnonzero(class_of != np.arange(len(class_of)))
    np.maximum.at(worst, class_of[members], own[members])
    compression = worst[class_of[samples]]
    compression[compression < 0] = np.inf
    beaten = np.zeros(len(samples), np.int64) if n_better is None else n_better[class_of[samples]]

    return samples[np.lexsort((samples, compression, -math.prod(sizes), beaten))].astype(np.int64)


def components(n: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of n nodes the lowest one that it is connected to by the edges (a, b).

    Roots hook onto lower ones and paths are halved until nothing changes: every round at least
    halves the roots (Shiloach and Vishkin 1982, "An O(log n) parallel connectivity algorithm").

    >>> components(5, np.array([1, 3]), np.array([3, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    root = np.arange(n, dtype=np.int64)
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        apart = low != high
        if not apart.any():
            return root
        np.minimum.at(root, high[apart], low[apart])
        while not np.array_equal(above := root[root], root):
            root = above
