"""Which sample stands for which: leaders and what they match directly, without chains."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.graph import Graph, Witnesses

Samples = NDArray[np.int64]

# share of the pairs that a round must settle: a long row of neighbours settles two at a time
_TOO_FEW: Final = 0.2


def leader_cover(graph: Graph, order: Samples, eligible: NDArray[np.bool_]) -> Witnesses:
    """Cover the eligible samples by leaders: whoever comes first in `order` leads all its matches
    not yet covered.

    A leader is its own witness. Every covered sample matches its leader directly, so there are no
    chains; what a leader covers is never a leader itself. Linear in samples and pairs.
    """
    n = graph.n_samples
    order = np.asarray(order, np.int64)
    order = order[eligible[order]]
    # of each class the first of its samples in the order, -1: none
    first = np.full(n, -1, dtype=np.int64)
    first[graph.class_of[order[::-1]]] = order[::-1]
    rank = np.full(n, len(order), dtype=np.int64)  # of each class
    rank[graph.class_of[order[::-1]]] = np.arange(len(order))[::-1]
    there = np.zeros(n, dtype=bool)
    there[graph.class_of[eligible]] = True
    among = np.flatnonzero(there[graph.near_a] & there[graph.near_b])
    a, b = graph.near_a[among], graph.near_b[among]
    leads = _leading(rank, first >= 0, a, b)

    led_by = np.where(leads, np.arange(n), -1)  # class → the class whose first sample leads it
    by_row = np.full(n, -1, dtype=np.int64)
    led = np.flatnonzero(leads[b] & ~leads[a])
    # of several leaders the last one assigned, the first in order
    led = led[np.argsort(rank[b[led]])[::-1]]
    led_by[a[led]], by_row[a[led]] = b[led], graph.near_row[among[led]]
    chosen = led_by[graph.class_of]
    leader = np.where(eligible & (chosen >= 0), first[chosen], -1)
    row = np.where(leader >= 0, by_row[graph.class_of], -1)
    distance, similarity = np.zeros(n, np.uint16), np.ones(n, np.float32)
    near = row >= 0
    distance[near], similarity[near] = graph.distance[row[near]], graph.similarity[row[near]]

    return Witnesses(leader, distance, similarity, row)


def _leading(rank: Samples, able: NDArray[np.bool_], a: Samples, b: Samples) -> NDArray[np.bool_]:
    """Which classes lead: in the order of `rank` each that is able and next to none that leads
    already.

    The lexicographically first maximal independent set. `a`, `b`: pairs in both directions, sorted
    by `a`. Many are settled at once: those that come before all their open neighbours lead,
    whatever happens elsewhere (Blelloch, Fineman and Shun 2012, "Greedy sequential maximal
    independent set and matching are parallel on average", section 3).
    """
    leads, open_ = np.zeros(len(rank), dtype=bool), able.copy()
    n_before = 2 * len(a)
    while 0 < len(a) < (1 - _TOO_FEW) * n_before:
        n_before = len(a)
        lowest = np.full(len(rank), len(rank), dtype=np.int64)
        starts = np.flatnonzero(np.diff(a, prepend=-1))
        lowest[a[starts]] = np.minimum.reduceat(rank[b], starts)
        new = open_ & (rank < lowest)
        leads |= new
        open_ &= ~new
        open_[a[new[b]]] = False
        left = open_[a] & open_[b]
        a, b = a[left], b[left]

    rest = np.unique(a)
    leads |= open_
    leads[rest] = False
    starts, stops = (np.searchsorted(a, rest, side).tolist() for side in ("left", "right"))
    names, neighbours, closed = rest.tolist(), b.tolist(), set[int]()

    for place in np.argsort(rank[rest]).tolist():
        if names[place] not in closed:
            leads[names[place]] = True
            closed.update(neighbours[starts[place] : stops[place]])

    return leads
