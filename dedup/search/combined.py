"""Several hashes of the same rows joined at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError, LimitError
from dedup.search import kernels
from dedup.search.codes import check, check_limit
from dedup.search.crew import Crew, Progress
from dedup.search.matches import BATCH_ROWS, MAX_PAIRS
from dedup.search.order import in_order
from dedup.search.planner import check_finder
from dedup.search.scan import Keys, PairSink, Sink
from dedup.search.searching import Sides, collapsed, search

Codes = NDArray[np.uint64]

COMBINE = ("any", "all")
# to hand on a pair that another hash may reject: two touches of memory that is in no cache
_PAIR_SECONDS = 2e-8


@dataclass(frozen=True, slots=True)
class CombinedMatches:
    """Pairs of rows, sorted by (a, b), each once, with their distance in every hash."""

    a: NDArray[np.int64]  # row of the first side
    b: NDArray[np.int64]  # row of the second side; in a self-join a < b
    distances: tuple[NDArray[np.uint16], ...]  # bits that differ, for each hash in the order given
    total: int = 0  # pairs of all parts, where these are one of several

    def __len__(self) -> int:
        return len(self.a)


def join_hashes(
    codes: Sequence[Codes],
    others: Sequence[Codes] | None = None,
    *,
    max_distance: int | Sequence[int],
    combine: str = "any",
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
    finder: str = "auto",
) -> CombinedMatches:
    """Pairs within the distance of at least one hash (`any`) or of every one (`all`).

    `codes` has one array (n, words) for each hash, all of the same n rows; `others` the same for
    the second side of a cross-join. `max_distance` is one number for hashes of one width, or one
    for each hash. `any` costs one join for each hash, `all` the join of the most selective one.
    Raises `LimitError` for more than `limit` pairs.
    """
    with Crew(threads, progress) as crew:
        keys = _keys(codes, others, max_distance, combine, limit, crew, finder)
        matches = _matches(codes, codes if others is None else others, keys, crew)
        crew.finish()
    return matches


def join_hashes_batches(
    codes: Sequence[Codes],
    others: Sequence[Codes] | None = None,
    *,
    max_distance: int | Sequence[int],
    combine: str = "any",
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
    finder: str = "auto",
    batch_rows: int = BATCH_ROWS,
) -> Iterator[CombinedMatches]:
    """The same pairs in the same order, in parts of `batch_rows`, for writing a large result."""
    with Crew(threads, progress) as crew:
        keys = _keys(codes, others, max_distance, combine, limit, crew, finder)
        crew.finish()
        for begin in range(0, len(keys), batch_rows):
            part = keys[begin : begin + batch_rows]
            yield replace(
                _matches(codes, codes if others is None else others, part, crew), total=len(keys)
            )


def _keys(
    codes: Sequence[Codes],
    others: Sequence[Codes] | None,
    max_distance: int | Sequence[int],
    combine: str,
    limit: int,
    crew: Crew,
    finder: str,
) -> Keys:
    bounds = checked(codes, others, max_distance, combine)
    check_limit(limit)
    limit = index(limit)
    check_finder(finder)
    sink = PairSink(limit)
    joined(codes, others, bounds, combine, limit, crew, sink, finder, early=limit)

    return in_order(sink.parts, len(codes[0]), crew)


def _matches(
    codes: Sequence[Codes], others: Sequence[Codes], keys: Keys, crew: Crew
) -> CombinedMatches:
    a, b = (keys >> np.uint64(32)).astype(np.int64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    found = crew.run(
        distances_of, [(one, two, keys) for one, two in zip(codes, others, strict=True)]
    )

    return CombinedMatches(a, b, tuple(found))


def checked(
    codes: Sequence[Codes],
    others: Sequence[Codes] | None,
    max_distance: int | Sequence[int],
    combine: str,
) -> list[int]:
    """The distance of every hash. Raises `ConfigError` for anything that cannot be joined."""
    if combine not in COMBINE:
        message = f"combine must be one of {', '.join(map(repr, COMBINE))}, not {combine!r}."
        raise ConfigError(message)
    if not codes or (others is not None and len(others) != len(codes)):
        message = (
            f"Every hash needs codes on both sides; there are {len(codes)} and"
            f" {len(others or codes)} arrays."
        )
        raise ConfigError(message)
    if isinstance(max_distance, Sequence):
        bounds = list(max_distance)
    else:
        bounds = [max_distance] * len(codes)
        widths = sorted(
            {64 * one.shape[1] for one in codes if isinstance(one, np.ndarray) and one.ndim == 2}
        )
        if len(widths) > 1:
            message = (
                f"Hashes of {widths} bits need one max_distance each; one number, {max_distance}, "
                "is another share of each."
            )
            raise ConfigError(message)
    if len(bounds) != len(codes):
        message = f"There are {len(codes)} hashes and {len(bounds)} distances: {bounds}."
        raise ConfigError(message)
    for number, (one, bound) in enumerate(zip(codes, bounds, strict=True)):
        check(one, None if others is None else others[number], bound)
    for side in (codes, others or []):
        rows = sorted({len(one) for one in side})
        if len(rows) > 1:
            message = f"All hashes must be of the same rows; their codes have {rows} rows."
            raise ConfigError(message)
    return list(map(index, bounds))


def joined(
    codes: Sequence[Codes],
    others: Sequence[Codes] | None,
    bounds: Sequence[int],
    combine: str,
    limit: int,
    crew: Crew,
    sink: Sink,
    finder: str,
    early: int | None,
) -> None:
    """Gives every pair of rows to the sink once.

    `early`: the number of pairs above which an estimate may end the search; None: only the sink
    may.
    """
    two = codes if others is None else others
    if combine == "all":
        number, sides = most_selective(codes, others, bounds, crew)
        rest = [(codes[k], two[k], bounds[k]) for k in range(len(codes)) if k != number]
        search(sides, bounds[number], crew, Filtered(sink, rest, near=True), None, finder)
        if crew.stopped:
            raise too_many(bounds, limit)
        return

    for number in range(len(codes)):
        crew.begin(number, len(codes))
        # What an earlier hash has found is not found again: no set of pairs is needed to keep them
        # apart.
        earlier = [(codes[k], two[k], bounds[k]) for k in range(number)]
        sides = collapsed(codes[number], None if others is None else others[number], crew)
        sides.expected_pairs(bounds[number], early)
        search(sides, bounds[number], crew, Filtered(sink, earlier, near=False), None, finder)
        if crew.stopped:
            raise too_many(bounds, limit)


def most_selective(
    codes: Sequence[Codes], others: Sequence[Codes] | None, bounds: Sequence[int], crew: Crew
) -> tuple[int, Sides]:
    """The hash whose join costs least, the pairs that it hands on included."""
    best: tuple[float, int, Sides] | None = None
    for number, (one, bound) in enumerate(zip(codes, bounds, strict=True)):
        sides = collapsed(one, None if others is None else others[number], crew)
        if len(codes) == 1:
            return number, sides
        seconds = sides.plan(bound, "auto").seconds
        seconds += sides.expected_pairs(bound, None) * _PAIR_SECONDS
        if best is None or seconds < best[0]:
            best = (seconds, number, sides)

    if best is None:
        message = "There are no hashes to join."
        raise ConfigError(message)

    return best[1], best[2]


def distances_of(one: Codes, two: Codes, keys: Keys) -> NDArray[np.uint16]:
    """Distance of every pair of rows."""
    out = np.empty(len(keys), np.uint16)
    kernels.distances(np.ascontiguousarray(one), np.ascontiguousarray(two), keys, out)
    return out


def too_many(bounds: Sequence[int], limit: int) -> LimitError:
    """The error for several hashes that find too much together."""
    return LimitError(
        f"There are more than {limit:,} pairs within the distances {list(bounds)}. Lower them or"
        " raise the limit."
    )


class Filtered:
    """Hands on the pairs that are near (or, `near` False, not near) by all of some other hashes."""

    def __init__(self, sink: Sink, hashes: list[tuple[Codes, Codes, int]], *, near: bool) -> None:
        self._sink = sink
        self._hashes = hashes
        self._near = near

    def accept(self, keys: Keys) -> bool:
        """Looks at one hash after the other."""
        for one, two, bound in self._hashes:
            keys = keys[(distances_of(one, two, keys) <= bound) == self._near]
        return self._sink.accept(keys) if len(keys) else True
