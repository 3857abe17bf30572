"""Which sample stands for which: leaders and what they match directly, without chains."""

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled
from dedup.graph import Graph, Witnesses

Samples = NDArray[np.int64]


def leader_cover(graph: Graph, order: Samples, eligible: NDArray[np.bool_]) -> Witnesses:
    """Cover the eligible samples by leaders: whoever comes first in `order` leads all its matches not yet covered.

    A leader is its own witness. Every covered sample matches its leader directly, so there are no chains; what a leader
    covers is never a leader itself. Linear in samples and pairs.
    """
    n = graph.n_samples
    members = np.flatnonzero(eligible & graph.matched())
    members = members[np.argsort(graph.class_of[members], kind="stable")]
    start = np.concatenate([[0], np.cumsum(np.bincount(graph.class_of[members], minlength=n))]).astype(np.int64)
    leader, row = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    of_pairs = (graph.near_start, graph.near_b.astype(np.int64), graph.near_row.astype(np.int64))
    _lead(
        np.asarray(order, np.int64), eligible, graph.class_of, start, members, *of_pairs, np.ones(n, bool), leader, row
    )
    distance, similarity = np.zeros(n, np.uint16), np.ones(n, np.float32)
    near = row >= 0
    distance[near], similarity[near] = graph.distance[row[near]], graph.similarity[row[near]]
    return Witnesses(leader, distance, similarity, row)


@compiled
def _lead(
    order: Samples,
    eligible: NDArray[np.bool_],
    class_of: Samples,
    start: Samples,
    members: Samples,
    near_start: Samples,
    near_b: Samples,
    near_row: Samples,
    open_: NDArray[np.bool_],
    leader: Samples,
    row: Samples,
) -> None:
    """Fill `leader` and `row`; `members` of a class stand from `start` on, and are looked at while it is `open_`."""
    for sample in order:
        if leader[sample] >= 0 or not eligible[sample]:
            continue
        own = class_of[sample]
        leader[sample] = sample
        if open_[own]:
            open_[own] = False
            for k in range(start[own], start[own + 1]):
                if leader[members[k]] < 0:
                    leader[members[k]] = sample
        for edge in range(near_start[own], near_start[own + 1]):
            other = near_b[edge]
            if not open_[other]:
                continue
            open_[other] = False
            for k in range(start[other], start[other + 1]):
                if leader[members[k]] < 0:
                    leader[members[k]], row[members[k]] = sample, near_row[edge]
