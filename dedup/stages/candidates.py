"""candidates: representatives of pictures whose codes lie within the searched distance, with their
similarity.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.errors import LimitError
from dedup.policy.acceptance import within
from dedup.search import Progress, join_orientations, plan
from dedup.search import distances as code_distances
from dedup.search.sparing import Spared, join_sparing_batches
from dedup.search.summed import with_total
from dedup.stages.radius import too_many
from dedup.stages.searched import Codes, codes_of, framed_views, searched, spared_of, turns
from dedup.verify import Verified, verified
from dedup.verify.determinacy import Structure
from dedup.verify.framed import framed_candidates, merged

_ROWS_AT_ONCE: Final = 65_536  # pairs compared between two reports of progress: a few seconds

Compared = Callable[[int, int], None]
"""Is called with the number of pairs whose thumbnails are compared, and of all."""


@dataclass(slots=True)
class Counts:
    """What verification had to do; filled as the candidates pass."""

    candidates: int = 0
    lying: int = 0  # agreed as they lie: aligned in a few steps
    started: int = 0  # agreed then, or from another scale: aligned in more
    fine: int = 0  # agreed then: aligned and compared at 32 × 32
    seconds: float = 0.0
    framed: int = 0  # pictures with a frame, that were searched without it as well

    def add(self, found: Verified, seconds: float) -> None:
        """Count what one part came to."""
        self.candidates += len(found.similarity)
        self.lying += found.n_lying
        self.started += found.n_started
        self.fine += found.n_fine
        self.seconds += seconds

    def to_dict(self) -> dict[str, Any]:
        """For `run.json`."""
        each = 1e6 * self.seconds / self.fine if self.fine else None
        return {
            **asdict(self),
            "seconds": round(self.seconds, 3),
            "microseconds_per_aligned_pair": each and round(each, 1),
        }


def candidates(
    hashes: pa.Table,
    resolved: Resolved,
    *,
    limit: int,
    threads: int,
    progress: Progress | None = None,
    explain: Callable[[str], None] | None = None,
    counts: Counts | None = None,
    spared: Spared | None = None,
    compared: Compared | None = None,
) -> Iterator[pa.Table]:
    """Every pair of representatives within the distance of any (or of all) of the algorithms, in
    parts, in order.

    There is at least one part. They are verified one after the other, so that a large result is
    written as it comes.

    Pictures with the same pixels are searched as one, by their lowest sample. Pictures without
    information are not searched: their codes are decided by noise. `explain` is told how each
    algorithm's codes will be searched. `spared`: of all samples, the pairs inside crowds that are
    left out. Raises `LimitError` for more than `limit` pairs.
    """
    samples = searched(hashes)
    left_out = spared_of(spared, samples)
    codes = codes_of(hashes, samples, resolved)

    if explain is not None:
        for name in resolved.hash.algorithms:
            chosen_plan = plan(
                codes[name], max_distance=resolved.search.max_distance[name], threads=threads
            )
            explain(f"{name}, {chosen_plan}")
        if turns(resolved):
            explain(f"The same again for {len(turns(resolved))} more orientations.")

    yield tables.candidates_schema(resolved.hash.algorithms).empty_table()
    # of all samples: those that are searched are not copied
    thumbnails = tables.fixed_width(hashes["thumbnail"])
    counts = Counts() if counts is None else counts

    try:
        if resolved.verify.method == "none":
            yield from _as_they_stand(
                codes, samples, None, resolved, limit, threads, progress, counts, left_out, compared
            )
            return
        views = framed_views(thumbnails, samples, resolved, left_out)
        inside = framed_candidates(
            codes, samples, thumbnails, views, resolved, limit=limit, threads=threads
        )
        counts.framed += len(views.of)
        standing = _as_they_stand(
            codes,
            samples,
            thumbnails,
            resolved,
            limit,
            threads,
            progress,
            counts,
            left_out,
            compared,
        )
        yield from merged(standing, inside)
    except LimitError as error:
        raise too_many(codes, resolved, limit, threads) from error


@dataclass(frozen=True, slots=True)
class _Found:
    """Positions of pairs among the searched samples, sorted by (a, b), each once."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    transform: NDArray[np.uint8]  # places in `tables.TRANSFORMS`
    distances: dict[str, NDArray[np.uint16]]  # by algorithm, under the transform
    total: int = 0  # pairs of all parts


def _joined(
    codes: Codes,
    resolved: Resolved,
    limit: int,
    threads: int,
    progress: Progress | None,
    spared: Spared,
) -> Iterator[_Found]:
    names = resolved.hash.algorithms
    upright, distance = with_total(
        [codes[name] for name in names], names, resolved.search.max_distance
    )
    if not turns(resolved):
        parts = join_sparing_batches(
            upright,
            spared,
            max_distance=distance,
            combine=resolved.search.combine,
            limit=limit,
            threads=threads,
            progress=progress,
        )
        for part in parts:
            # the total, if any, is the last
            distances = dict(zip(names, part.distances, strict=False))
            yield _Found(part.a, part.b, np.zeros(len(part), dtype=np.uint8), distances, part.total)
        return

    yield _joined_turned(codes, resolved, limit, threads, progress, spared)


def _joined_turned(
    codes: Codes,
    resolved: Resolved,
    limit: int,
    threads: int,
    progress: Progress | None,
    spared: Spared,
) -> _Found:
    """The pairs in every orientation that is searched, as one part."""
    names = resolved.hash.algorithms
    upright, distance = with_total(
        [codes[name] for name in names], names, resolved.search.max_distance
    )
    by_turn = {
        tables.TRANSFORMS.index(turn): with_total(
            [codes[tables.code_column(name, turn)] for name in names],
            names,
            resolved.search.max_distance,
        )[0]
        for turn in turns(resolved)
    }
    oriented = [
        {turn: of_turn[place] for turn, of_turn in by_turn.items()} for place in range(len(upright))
    ]
    found = join_orientations(
        upright,
        oriented,
        max_distance=distance,
        combine=resolved.search.combine,
        limit=limit,
        threads=threads,
        progress=progress,
    )
    wanted = ~spared.leaves_out(found.a, found.b)
    of_wanted = {name: of[wanted] for name, of in zip(names, found.distances, strict=False)}

    return _Found(
        found.a[wanted], found.b[wanted], found.transform[wanted], of_wanted, int(wanted.sum())
    )


def _as_they_stand(
    codes: Codes,
    samples: NDArray[np.int64],
    thumbnails: NDArray[np.uint8] | None,
    resolved: Resolved,
    limit: int,
    threads: int,
    progress: Progress | None,
    counts: Counts,
    spared: Spared,
    compared: Compared | None,
) -> Iterator[pa.Table]:
    """Candidates by the codes of `hashes`, in parts; without thumbnails nothing is verified."""
    structure = None if thumbnails is None else Structure(thumbnails, threads=threads)
    done = 0
    for part in _joined(codes, resolved, limit, threads, progress, spared):
        before = done
        done += len(part.a)

        def within_part(n: int, before: int = before, total: int = part.total) -> None:
            if compared is not None:
                compared(before + n, total)

        yield _rows(
            part, codes, samples, thumbnails, structure, resolved, threads, counts, within_part
        )
        within_part(len(part.a))


def _rows(
    part: "_Found",
    codes: Codes,
    samples: NDArray[np.int64],
    thumbnails: NDArray[np.uint8] | None,
    structure: Structure | None,
    resolved: Resolved,
    threads: int,
    counts: Counts,
    compared: Callable[[int], None] | None = None,
) -> pa.Table:
    found, similarity = part, pa.nulls(len(part.a), pa.float32())
    if thumbnails is not None:
        found, similarity = _verified(
            part, codes, thumbnails, samples, resolved, threads, counts, compared
        )

    arrays = [samples[found.a], samples[found.b], found.transform, *found.distances.values()]
    n = len(found.a)
    schema = tables.candidates_schema(resolved.hash.algorithms)
    table = pa.table(
        [*arrays, similarity, np.zeros(n, np.uint8), *tables.not_looked_at(n)], schema=schema
    )
    if structure is None:
        return table

    return tables.with_column(
        table, "structure", structure.of(samples[found.a], samples[found.b], similarity)
    )


def comparer(
    hashes: pa.Table, resolved: Resolved, *, threads: int, counts: Counts
) -> Callable[[NDArray[np.int64], NDArray[np.int64]], pa.Table]:
    """A function from pairs of searched samples, a < b, to rows of `candidates`, upright and
    without a second look.
    """
    samples = searched(hashes)
    codes = codes_of(hashes, samples, resolved)
    thumbnails = (
        None if resolved.verify.method == "none" else tables.fixed_width(hashes["thumbnail"])
    )
    structure = None if thumbnails is None else Structure(thumbnails, threads=threads)

    def compare(a: NDArray[np.int64], b: NDArray[np.int64]) -> pa.Table:
        one, two = np.searchsorted(samples, a), np.searchsorted(samples, b)
        distances = {
            name: code_distances(codes[name], codes[name], one, two)
            for name in resolved.hash.algorithms
        }
        pairs = _Found(one, two, np.zeros(len(one), np.uint8), distances)

        return _rows(pairs, codes, samples, thumbnails, structure, resolved, threads, counts)

    return compare


def _verified(
    found: _Found,
    codes: Codes,
    thumbnails: NDArray[np.uint8],
    samples: NDArray[np.int64],
    resolved: Resolved,
    threads: int,
    counts: Counts,
    compared: Callable[[int], None] | None,
) -> tuple[_Found, NDArray[np.float32]]:
    """Similarities, and the pairs with the transform under which they are most similar.

    What the join found turned may be more similar upright.
    """
    similarity = np.empty(len(found.a), np.float32)
    for begin in range(0, len(found.a), _ROWS_AT_ONCE):
        at = slice(begin, begin + _ROWS_AT_ONCE)
        began = perf_counter()
        seen = verified(
            thumbnails,
            samples[found.a[at]],
            samples[found.b[at]],
            found.transform[at],
            threads=threads,
        )
        counts.add(seen, perf_counter() - began)
        similarity[at] = seen.similarity
        if compared is not None:
            compared(begin + len(seen.similarity))

    found = _upright_where_better(found, similarity, codes, thumbnails, samples, resolved, threads)

    return found, similarity


def _upright_where_better(
    found: _Found,
    similarity: NDArray[np.float32],
    codes: Codes,
    thumbnails: NDArray[np.uint8],
    samples: NDArray[np.int64],
    resolved: Resolved,
    threads: int,
) -> _Found:
    """The pairs, not turned where they are more similar upright; `similarity` is changed with them.

    The join gives the transform of the smallest distance. In pictures that are nearly symmetrical
    it can be the wrong one, so what is within the distance upright is also compared upright.
    """
    again = np.flatnonzero(found.transform != 0)
    if len(again) == 0:
        return found

    a, b = found.a[again], found.b[again]
    upright = {
        name: code_distances(codes[name], codes[name], a, b) for name in resolved.hash.algorithms
    }
    both = within(upright, resolved.search.max_distance, resolved.search.combine)
    again, a, b = again[both], a[both], b[both]
    standing = verified(thumbnails, samples[a], samples[b], threads=threads).similarity
    better = standing >= similarity[again]
    rows = again[better]
    transform, distances = (
        found.transform.copy(),
        {name: d.copy() for name, d in found.distances.items()},
    )
    transform[rows], similarity[rows] = 0, standing[better]
    for name, distance in distances.items():
        distance[rows] = upright[name][both][better]

    return _Found(found.a, found.b, transform, distances)
