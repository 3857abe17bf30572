"""The join: codes in, every pair within a distance out, by whichever finder is named or is the
fastest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import index

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.search import kernels
from dedup.search.codes import check, check_limit, pack
from dedup.search.crew import Crew, Progress
from dedup.search.order import in_order
from dedup.search.planner import check_finder
from dedup.search.plans import Plan, check_exact
from dedup.search.scan import Keys, PairSink
from dedup.search.searching import collapsed, search

MAX_PAIRS = 100_000_000
"""What `find_pairs` returns at the most: 1.8 GB of columns."""

BATCH_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of rows within the distance, sorted by (a, b), each once."""

    a: NDArray[np.int64]  # row in the first codes
    b: NDArray[np.int64]  # row in the second codes; in a self-join a < b
    distance: NDArray[np.uint16]  # bits that differ

    def __len__(self) -> int:
        return len(self.a)


def plan(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    max_distance: int,
    threads: int | None = None,
    finder: str = "auto",
) -> Plan:
    """How `join` would search these codes, with the pairs to expect; `str()` of it is for
    people.
    """
    check(codes, other, max_distance)
    # NumPy's integers of 8 bits overflow in what is reckoned with it
    max_distance = index(max_distance)
    check_finder(finder)

    with Crew(threads) as crew:
        sides = collapsed(codes, other, crew)
        chosen = sides.plan(max_distance, finder)
        return replace(chosen, expected_pairs=sides.expected_pairs(max_distance, None))


def join(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    max_distance: int,
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
    finder: str = "auto",
    plan: Plan | None = None,
) -> Matches:
    """Every pair of rows whose codes differ in at most `max_distance` bits.

    `codes` has shape (n, words), `other` (m, words): with it rows of `codes` are paired with rows
    of `other`, without it rows of `codes` with each other, a < b. `finder` is a name of
    `dedup.search.FINDERS` or "auto", for the fastest; `plan` uses one that stands already. Neither
    of them nor the number of threads changes the result. Raises `LimitError` as soon as it is clear
    that there are more than `limit` pairs.
    """
    with Crew(threads, progress) as crew:
        keys = _found(codes, other, max_distance, limit, crew, finder, plan)
        matches = _matches(codes, codes if other is None else other, keys, crew)
        crew.finish()
    return matches


def join_batches(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    max_distance: int,
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
    finder: str = "auto",
    plan: Plan | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Matches]:
    """The same pairs in the same order, in parts of `batch_rows`, for writing a large result.

    Between the parts a pair takes 8 bytes instead of 18, and nothing else of the search is in
    memory any more.
    """
    with Crew(threads, progress) as crew:
        keys = _found(codes, other, max_distance, limit, crew, finder, plan)
        crew.finish()
        for begin in range(0, len(keys), batch_rows):
            yield _matches(
                codes, codes if other is None else other, keys[begin : begin + batch_rows], crew
            )


def distances(
    codes: NDArray[np.uint64], other: NDArray[np.uint64], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Bits in which row a[k] of `codes` and row b[k] of `other` differ, for every k."""
    keys = (a.astype(np.uint64) << np.uint64(32)) | b.astype(np.uint64)
    out = np.empty(len(keys), np.uint16)
    kernels.distances(np.ascontiguousarray(codes), np.ascontiguousarray(other), keys, out)
    return out


def find_pairs(
    codes: NDArray[np.uint8],
    other: NDArray[np.uint8] | None = None,
    *,
    max_distance: int,
    limit: int = MAX_PAIRS,
) -> pa.Table:
    """All pairs of codes within `max_distance` bits (inclusive), exactly.

    `codes`: uint8, shape (n, n_bytes), n_bytes a multiple of 8. Without `other` the codes are
    paired with each other (a < b); with it a is a row of `codes` and b a row of `other`. Returns a
    table with columns a, b (int64) and distance (uint16), sorted by (a, b). Raises `LimitError`
    when there are more than `limit` pairs.

    >>> codes = np.array([[0] * 8, [0] * 7 + [3], [255] * 8], dtype=np.uint8)
    >>> find_pairs(codes, max_distance=2).to_pylist()
    [{'a': 0, 'b': 1, 'distance': 2}]
    """
    found = join(
        pack(codes), None if other is None else pack(other), max_distance=max_distance, limit=limit
    )
    return pa.table({"a": found.a, "b": found.b, "distance": found.distance})


def _found(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None,
    max_distance: int,
    limit: int,
    crew: Crew,
    finder: str,
    plan: Plan | None,
) -> Keys:
    """All pairs of rows, in order."""
    check(codes, other, max_distance)
    check_limit(limit)
    max_distance, limit = index(max_distance), index(limit)
    check_finder(finder)
    if plan is not None:
        check_exact(plan, 64 * codes.shape[1], max_distance)

    sides = collapsed(codes, other, crew)
    sink = PairSink(limit)
    search(sides, max_distance, crew, sink, limit, finder, plan)
    del sides

    return in_order(sink.parts, len(codes), crew)


def _matches(one: NDArray[np.uint64], two: NDArray[np.uint64], keys: Keys, crew: Crew) -> Matches:
    one, two = np.ascontiguousarray(one), np.ascontiguousarray(two)
    a, b = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    distance = np.empty(len(keys), np.uint16)

    def fill(first: int, last: int) -> None:
        part = slice(first, last)
        kernels.split(keys[part], one, two, a[part], b[part], distance[part])

    crew.run(
        fill,
        [(first, min(first + BATCH_ROWS, len(keys))) for first in range(0, len(keys), BATCH_ROWS)],
    )

    return Matches(a, b, distance)
