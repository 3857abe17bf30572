"""Chains: samples that match no held-out one, but a sample that does, or one that matches that, and
so on.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.graph import Graph

MAX_PATH: Final = 8
"""Samples of a path that are named before its end: paths of any length cost the same."""

Samples = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chains:
    """The shortest way from each class of identical pictures to one with a goal in it; all by
    representative.
    """

    # pairs on the way; 0 for classes with a goal, -1 where no way leads to one; for what matches
    # anything
    hops: Samples
    following: Samples  # the next class on the way
    end: Samples  # the lowest goal in the last class, -1 without a way
    similarity: NDArray[np.float32]  # the lowest on the way; NaN where nothing was verified


def chains_to(graph: Graph, goals: NDArray[np.bool_]) -> Chains:
    """Breadth-first from all goals at once; of several shortest ways the one by the best pair, then
    the lowest class.

    Linear in samples and pairs.
    """
    n = graph.n_samples
    hops, following = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    end, similarity = np.full(n, -1, np.int64), np.ones(n, np.float32)
    members = np.flatnonzero(goals & graph.matched())[::-1]  # all others are on no way
    end[graph.class_of[members]] = members  # of several the last one assigned: the lowest
    frontier = np.unique(graph.class_of[members])
    hops[frontier] = 0
    level = 0

    while len(frontier):
        level += 1
        counts = graph.near_start[frontier + 1] - graph.near_start[frontier]
        source = np.repeat(frontier, counts)
        within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = graph.near_start[source] + within
        at, source = at[hops[graph.near_b[at]] < 0], source[hops[graph.near_b[at]] < 0]
        target, row = graph.near_b[at], graph.near_row[at]
        order = np.lexsort(
            (source, graph.distance[row], -np.nan_to_num(graph.similarity[row]), target)
        )
        frontier, first = np.unique(target[order], return_index=True)
        before, by = source[order][first], row[order][first]
        hops[frontier], following[frontier], end[frontier] = level, before, end[before]
        similarity[frontier] = np.minimum(similarity[before], graph.similarity[by])  # NaN stays NaN

    return Chains(hops, following, end, similarity)


def paths(chains: Chains, graph: Graph, samples: Samples) -> tuple[Samples, Samples]:
    """The way of each sample: (where each one's path starts in the second, the samples on the
    paths).

    A path holds the sample, the lowest of each class that follows, and the goal; of one longer than
    `MAX_PATH` only the beginning and the goal.
    """
    at = graph.class_of[samples]
    hops = chains.hops[at]
    steps = np.full((len(samples), MAX_PATH + 1), -1, dtype=np.int64)
    steps[:, 0] = samples

    for step in range(1, MAX_PATH):
        on = hops > step
        at = np.where(on, chains.following[at], at)
        steps[on, step] = at[on]

    steps[:, MAX_PATH] = chains.end[graph.class_of[samples]]
    there = steps >= 0

    return np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64), steps[there]
