"""Carries a plan out in tasks of bounded work, band by band; each pair of rows goes to a sink
once.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dedup.search import kernels
from dedup.search.buckets import neighbour_masks, sort_into_buckets
from dedup.search.codes import Distinct
from dedup.search.costs import Costs, measured, misses
from dedup.search.crew import Crew, spans
from dedup.search.planner import band_costs
from dedup.search.plans import Band, Plan

Keys = NDArray[np.uint64]
"""Pairs of rows, one number each: row of the first side << 32 | row of the second."""

_TASK_SECONDS = 0.03  # what Ctrl-C waits for, a few times over where a plan errs
_OUT = 1 << 18  # pairs that a task holds before it hands them on: 2 MB
_GROUPS_A_TASK = 1 << 20


class Sink(Protocol):
    """Where found pairs go. Called from several threads."""

    def accept(self, keys: Keys) -> bool:
        """Takes pairs of rows (the array is reused afterwards); False: no more are wanted."""
        ...


@dataclass(frozen=True, slots=True)
class _Rows:
    """Turns pairs of codes into pairs of rows."""

    left: Distinct
    right: Distinct
    within: bool
    crew: Crew
    sink: Sink

    def deliver(self, keys: Keys) -> None:
        """Hands on every row of the first code with every row of the second."""
        if self.left.starts is None and self.right.starts is None:
            kernels.rename(keys, self.left.members, self.right.members, self.within)
            self._accept(keys)
            return

        one = self.left.spelled_out()
        two = one if self.within else self.right.spelled_out()
        self.drain(
            lambda state, out: kernels.expand(keys, one, two, self.within, state, out), len(keys)
        )

    def drain(
        self, kernel: Callable[[NDArray[np.int64], Keys], int], end: int, begin: int = 0
    ) -> None:
        """Calls a kernel that fills an output and remembers where it was, until it is at the
        end.
        """
        state = np.array([begin, 0, 0], np.int64)
        out = np.empty(_OUT, np.uint64)
        while state[0] < end and not self.crew.stopped:
            n = kernel(state, out)
            self._accept(out[:n])

    def _accept(self, keys: Keys) -> None:
        if len(keys) and not self.crew.stopped and not self.sink.accept(keys):
            self.crew.stop()


def execute(plan: Plan, left: Distinct, right: Distinct | None, crew: Crew, sink: Sink) -> None:
    """Finds all pairs and gives them to the sink; returns early if the sink wants no more."""
    other = left if right is None else right
    if len(left) == 0 or len(other) == 0:
        return

    rows = _Rows(left, other, right is None, crew, sink)
    if right is None:
        _emit_equal(left, crew, rows)

    costs = measured(left.words, plan.prefix_words)
    one = two = None
    for number, band in enumerate(plan.bands):
        if crew.stopped:
            return
        one = _bucketed(left, band, crew, one)
        two = one if right is None else _bucketed(right, band, crew, two)
        tasks, seconds = _tasks(one, two if right is not None else None, band, costs, crew)
        masks = neighbour_masks(band.width, band.radius)
        crew.run(_BandScan(plan, number, one, two, masks, rows).run, tasks, seconds)


@dataclass(frozen=True, slots=True)
class _BandScan:
    """The comparisons of one band."""

    plan: Plan
    band: int  # its place in the plan
    one: kernels.Side
    two: kernels.Side
    masks: NDArray[np.int64]  # differences between the numbers of neighbouring buckets
    rows: _Rows

    def run(self, first: int, last: int) -> None:
        """Compares the rows first .. last - 1, as they are sorted, with their neighbours."""
        plan = self.plan
        bands = plan.table()
        state = np.array([first, 0, 0, 0], np.int64)
        out = np.empty(_OUT, np.uint64)

        while state[0] < last and not self.rows.crew.stopped:
            n = kernels.scan(
                self.one,
                self.two,
                bands,
                self.band,
                self.masks,
                self.rows.within,
                plan.max_distance,
                plan.prefix_words,
                last,
                state,
                out,
            )
            self.rows.deliver(out[:n])


def _bucketed(side: Distinct, band: Band, crew: Crew, reuse: kernels.Side | None) -> kernels.Side:
    if band.width == 0:
        n = len(side)
        return kernels.Side(side.planes, np.arange(n, dtype=np.uint32), np.array([0, n], np.int64))
    return sort_into_buckets(side.planes, len(side), band.start, band.width, crew, reuse)


def _emit_equal(left: Distinct, crew: Crew, rows: _Rows) -> None:
    """Pairs of rows with one and the same code, which no search has to find."""
    starts = left.starts
    if starts is None:
        return

    def run(first: int, last: int) -> None:
        rows.drain(
            lambda state, out: kernels.expand_groups(left.members, starts, last, state, out),
            last,
            begin=first,
        )

    crew.run(run, spans(len(left), 1 + len(left) // _GROUPS_A_TASK * crew.threads))


def _tasks(
    one: kernels.Side, two: kernels.Side | None, band: Band, costs: Costs, crew: Crew
) -> tuple[list[tuple[int, int]], float]:
    """Ranges of rows of about equal cost, and the seconds for all of them; `two` is None in a
    self-join.
    """
    n = len(one.ids)
    sizes = np.diff(one.offsets)
    other_sizes = None if two is None else np.diff(two.offsets)
    far = misses(len((two or one).ids), len(one.planes))
    passed = np.cumsum(band_costs(sizes, other_sizes, band, costs, far))
    total = float(passed[-1])
    parts = int(min(n, max(1, total / _TASK_SECONDS)))
    marks = np.arange(1, parts) * (total / parts)
    bucket = np.searchsorted(passed, marks)
    before = np.where(bucket > 0, passed[bucket - 1], 0.0)
    share = (marks - before) / np.maximum(passed[bucket] - before, 1e-300)
    cuts = one.offsets[bucket] + (share * sizes[bucket]).astype(np.int64)
    edges = np.unique(np.concatenate(([0], np.minimum(cuts, n), [n])))

    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)), total / crew.threads


class PairSink:
    """Keeps pairs until there are more than `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.found = 0
        self.parts: list[Keys] = []
        self._lock = threading.Lock()

    def accept(self, keys: Keys) -> bool:
        """Keeps a copy."""
        with self._lock:
            self.found += len(keys)
            if self.found > self.limit:
                return False
            self.parts.append(keys.copy())
            return True
