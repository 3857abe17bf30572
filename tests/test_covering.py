"""Covers and classes at sizes and in shapes that the random worlds of the other tests seldom
have.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from dedup import graph
from dedup.policy.covering import leader_cover

Edges = set[tuple[int, int]]


def matches(n: int, edges: Edges, class_of: Sequence[int]) -> graph.Graph:
    """The graph of near pairs between representatives; row k of pairs is the k-th edge in sorted
    order.
    """
    rows = sorted((min(one), max(one)) for one in edges)
    both = sorted(
        [(a, b, k) for k, (a, b) in enumerate(rows)] + [(b, a, k) for k, (a, b) in enumerate(rows)]
    )
    a, b, row = (np.array([one[side] for one in both], dtype=np.int64) for side in range(3))
    return graph.Graph(
        class_of=np.array(class_of, dtype=np.int64),
        near_a=a,
        near_b=b,
        near_row=row,
        near_start=np.searchsorted(a, np.arange(n + 1)).astype(np.int64),
        distance=np.arange(len(rows), dtype=np.uint16),
        similarity=np.linspace(0, 1, len(rows), dtype=np.float32),
        n_better=np.zeros(n, np.int64),
    )


def naive_cover(
    n: int, edges: Edges, class_of: Sequence[int], order: Sequence[int], eligible: set[int]
) -> list[int]:
    """Whoever comes first leads all that it matches and nobody leads yet; -1: led by nobody."""
    near = edges | {(b, a) for a, b in edges}
    leader = [-1] * n
    for one in order:
        if one not in eligible or leader[one] >= 0:
            continue
        leader[one] = one
        for other in eligible:
            same = class_of[other] == class_of[one]
            if leader[other] < 0 and (same or (class_of[one], class_of[other]) in near):
                leader[other] = one
    return leader


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, Edges, list[int]]:
    """Paths, stars and random pairs between classes, and which class each sample is of."""
    n = draw(st.integers(1, 60))
    class_of = list(range(n))
    for member in sorted(draw(st.sets(st.integers(0, n - 1), max_size=n // 3))):
        class_of[member] = class_of[draw(st.integers(0, member))]
    firsts = sorted(set(class_of))
    path = set(itertools.pairwise(firsts)) if draw(st.booleans()) else set()
    star = {(firsts[0], other) for other in firsts[1:]} if draw(st.booleans()) else set()
    some = st.lists(st.tuples(st.sampled_from(firsts), st.sampled_from(firsts)), max_size=30)
    more = {(min(a, b), max(a, b)) for a, b in draw(some) if a != b}
    return n, path | star | more, class_of


LONG = (60, {(k, k + 1) for k in range(59)}, list(range(60)))


@given(shapes(), st.randoms(use_true_random=False), st.booleans())
@example(LONG, None, True)
def test_leader_cover(
    shape: tuple[int, Edges, list[int]], random: object, everything: bool
) -> None:
    """The leaders are those of the plain loop, also along a row of neighbours, where each waits for
    the one before.
    """
    n, edges, class_of = shape
    order = list(range(n))
    if random is not None:
        random.shuffle(order)  # type: ignore[attr-defined]
    eligible = set(range(n)) if everything else {k for k in range(n) if k % 3}
    expected = naive_cover(n, edges, class_of, order, eligible)
    mask = np.array([k in eligible for k in range(n)])
    matched = matches(n, edges, class_of)
    got = leader_cover(matched, np.array(order), mask)

    assert expected == got.sample.tolist()
    for sample, leader in enumerate(expected):
        row = (
            -1
            if leader < 0 or class_of[sample] == class_of[leader]
            else sorted(edges).index(
                (min(class_of[sample], class_of[leader]), max(class_of[sample], class_of[leader]))
            )
        )
        assert row == got.row[sample]


@given(
    st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(0, 3))), max_size=30),
    st.integers(0, 5),
)
def test_representatives(values: list[tuple[int, int] | None], cut: int) -> None:
    """Rows with the same digest, also where only the bytes behind the first eight differ; nulls
    equal nothing.
    """
    digests = [None if one is None else bytes([one[0]] * 8 + [one[1]] * 24) for one in values]
    expected = [k if digest is None else digests.index(digest) for k, digest in enumerate(digests)]
    column = pa.chunked_array(
        [pa.array(part, pa.binary(32)) for part in (digests[:cut], digests[cut:])]
    )

    assert expected == graph.representatives(column).tolist()
