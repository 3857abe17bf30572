"""candidates: representatives of pictures whose codes lie within the searched distance, with their similarity."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved
from dedup.errors import LimitError
from dedup.search import Progress, join_hashes_batches, join_orientations, largest_distance_within, pack, plan
from dedup.search import distances as code_distances
from dedup.tables import MIN_INFORMATION
from dedup.verify import Verified, verified
from dedup.verify.framed import framed_candidates, merged
from dedup.verify.kept_signs import KeptSigns
from dedup.verify.views import Views, within_frames

Codes = Mapping[str, NDArray[np.uint64]]  # by column of `hashes`: the codes of the samples that are searched


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
) -> Iterator[pa.Table]:
    """Every pair of representatives within the distance of any (or of all) of the algorithms, in parts, in order.

    There is at least one part. They are verified one after the other, so that a large result is written as it comes.

    Pictures with the same pixels are searched as one, by their lowest sample. Pictures without information are not
    searched: their codes are decided by noise. `explain` is told how each algorithm's codes will be searched. Raises
    `LimitError` for more than `limit` pairs.
    """
    parts = _found(hashes, resolved, limit, threads, progress, explain, Counts() if counts is None else counts)
    kept = KeptSigns.of(hashes)
    if kept is None or resolved.acceptance.min_similarity is None:
        yield from parts
        return
    thumbnails = tables.fixed_width(hashes["thumbnail"])
    for part in parts:
        yield kept.compared(part, thumbnails)


def _found(
    hashes: pa.Table,
    resolved: Resolved,
    limit: int,
    threads: int,
    progress: Progress | None,
    explain: Callable[[str], None] | None,
    counts: Counts,
) -> Iterator[pa.Table]:
    """The candidates as thumbnails verify them."""
    samples = searched(hashes)
    codes = _codes(hashes, samples, resolved)
    if explain is not None:
        for name in resolved.hash.algorithms:
            chosen_plan = plan(codes[name], max_distance=resolved.search.max_distance[name], threads=threads)
            explain(f"{name}, {chosen_plan}")
        if turns(resolved):
            explain(f"The same again for {len(turns(resolved))} more orientations.")
    yield tables.candidates_schema(resolved.hash.algorithms).empty_table()
    thumbnails = tables.fixed_width(hashes["thumbnail"])  # of all samples: those that are searched are not copied
    try:
        if resolved.verify.method == "none":
            yield from _as_they_stand(codes, samples, None, resolved, limit, threads, progress, counts)
            return
        views = _views(thumbnails, samples, resolved)
        inside = framed_candidates(codes, samples, thumbnails, views, resolved, limit=limit, threads=threads)
        counts.framed += len(views.of)
        standing = _as_they_stand(codes, samples, thumbnails, resolved, limit, threads, progress, counts)
        yield from merged(standing, inside)
    except LimitError as error:
        raise _too_many(codes, resolved, limit, threads) from error


def radius(hashes: pa.Table, resolved: Resolved, *, threads: int, progress: Progress | None = None) -> dict[str, int]:
    """How far `auto` goes: for each algorithm the largest distance whose candidates fit the budget.

    It is at most the one in `resolved`. Candidates are counted in every orientation searched. With `combine: any` each
    algorithm has an equal part of `max_candidates`, with `all`, where a candidate is one of each, the whole of it.
    Raises `LimitError` where not even equal codes fit.
    """
    samples = searched(hashes)
    codes = _codes(hashes, samples, resolved)
    if resolved.verify.method != "none":
        views = _views(tables.fixed_width(hashes["thumbnail"]), samples, resolved)
        codes = {name: np.concatenate([of, views.codes[name]]) if len(views.of) else of for name, of in codes.items()}
    fitting = _fitting(codes, resolved, resolved.max_candidates, threads, progress)
    found = {name: bits for name, bits in fitting.items() if bits is not None}
    if len(found) < len(fitting):
        none = ", ".join(name for name in fitting if name not in found)
        message = (
            f"search.max_distance: auto found no distance that fits: {none} has more equal codes of different pictures "
            f"than search.max_candidates = {resolved.max_candidates:,} allows. Raise it, or name a hash with more bits."
        )
        raise LimitError(message)
    return found


def searched(hashes: pa.Table) -> NDArray[np.int64]:
    """Samples that enter the join: the lowest of each class of identical pictures, if it carries information."""
    informed = pc.greater_equal(hashes["information"], MIN_INFORMATION).fill_null(False).to_numpy()  # noqa: FBT003
    first = graph.representatives(hashes["pixel_digest"]) == np.arange(len(hashes))
    return np.flatnonzero(informed & first).astype(np.int64)


def turns(resolved: Resolved) -> tuple[str, ...]:
    """The transforms that are searched besides the identity."""
    return tables.ORIENTATIONS[resolved.search.orientations]


@dataclass(frozen=True, slots=True)
class _Found:
    """Positions of pairs among the searched samples, sorted by (a, b), each once."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    transform: NDArray[np.uint8]  # places in `tables.TRANSFORMS`
    distances: dict[str, NDArray[np.uint16]]  # by algorithm, under the transform


def _joined(codes: Codes, resolved: Resolved, limit: int, threads: int, progress: Progress | None) -> Iterator[_Found]:
    upright = [codes[name] for name in resolved.hash.algorithms]
    distance = [resolved.search.max_distance[name] for name in resolved.hash.algorithms]
    if not turns(resolved):
        parts = join_hashes_batches(
            upright,
            max_distance=distance,
            combine=resolved.search.combine,
            limit=limit,
            threads=threads,
            progress=progress,
        )
        for part in parts:
            distances = dict(zip(resolved.hash.algorithms, part.distances, strict=True))
            yield _Found(part.a, part.b, np.zeros(len(part), dtype=np.uint8), distances)
        return
    oriented = [
        {tables.TRANSFORMS.index(turn): codes[tables.code_column(name, turn)] for turn in turns(resolved)}
        for name in resolved.hash.algorithms
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
    yield _Found(found.a, found.b, found.transform, dict(zip(resolved.hash.algorithms, found.distances, strict=True)))


def _codes(hashes: pa.Table, samples: NDArray[np.int64], resolved: Resolved) -> Codes:
    columns = [tables.code_column(n, t) for n in resolved.hash.algorithms for t in ("identity", *turns(resolved))]
    return {column: pack(tables.fixed_width(hashes[column])[samples]) for column in columns}


def _fitting(
    codes: Codes, resolved: Resolved, budget: int, threads: int, progress: Progress | None = None
) -> dict[str, int | None]:
    """For each algorithm the largest distance, up to that in `resolved`, that fits its part of the budget."""
    names = resolved.hash.algorithms
    share = budget // len(names) if resolved.search.combine == "any" else budget
    found: dict[str, int | None] = {}
    for done, name in enumerate(names):
        found[name] = largest_distance_within(
            codes[name],
            budget=share,
            cap=resolved.search.max_distance[name],
            also=[codes[tables.code_column(name, turn)] for turn in turns(resolved)],
            threads=threads,
        )
        if progress is not None:
            progress((done + 1) / len(names))
    return found


def _too_many(codes: Codes, resolved: Resolved, limit: int, threads: int) -> LimitError:
    """What would fit: for each algorithm the largest distance whose pairs fit its part of the limit, counted."""
    asked = ", ".join(f"{name} {bits}" for name, bits in resolved.search.max_distance.items())
    fitting = _fitting(codes, resolved, limit, threads)
    if None in fitting.values():
        advice = "Not even equal codes fit. Raise search.max_candidates."
    else:
        fits = ", ".join(f"{name} {bits}" for name, bits in fitting.items())
        advice = f"Within {fits} it is not: lower search.max_distance, or raise search.max_candidates."
    return LimitError(
        f"search.max_candidates = {limit:,} is passed within {asked} of {resolved.hash.bits} bits. {advice}"
    )


def _views(thumbnails: NDArray[np.uint8], samples: NDArray[np.int64], resolved: Resolved) -> Views:
    return within_frames(
        thumbnails, samples, resolved.hash.algorithms, resolved.hash.bits, ("identity", *turns(resolved))
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
) -> Iterator[pa.Table]:
    """Candidates by the codes of `hashes`, in parts; without thumbnails nothing is verified."""
    schema = tables.candidates_schema(resolved.hash.algorithms)
    for part in _joined(codes, resolved, limit, threads, progress):
        found, similarity = part, pa.nulls(len(part.a), pa.float32())
        if thumbnails is not None:
            found, similarity = _verified(part, codes, thumbnails, samples, resolved, threads, counts)
        arrays = [samples[found.a], samples[found.b], found.transform, *found.distances.values()]
        n = len(found.a)
        yield pa.table([*arrays, similarity, np.zeros(n, np.uint8), *tables.not_looked_at(n)], schema=schema)


def _verified(
    found: _Found,
    codes: Codes,
    thumbnails: NDArray[np.uint8],
    samples: NDArray[np.int64],
    resolved: Resolved,
    threads: int,
    counts: Counts,
) -> tuple[_Found, NDArray[np.float32]]:
    """Similarities, and the pairs with the transform under which they are most similar.

    The join gives the transform of the smallest distance. In pictures that are nearly symmetrical it can be the wrong
    one, so what is within the distance as it stands is also compared as it stands.
    """
    began = perf_counter()
    seen = verified(thumbnails, samples[found.a], samples[found.b], found.transform, threads=threads)
    counts.add(seen, perf_counter() - began)
    similarity = seen.similarity
    again = np.flatnonzero(found.transform != 0)
    if len(again) == 0:
        return found, similarity
    a, b = found.a[again], found.b[again]
    upright = {name: code_distances(codes[name], codes[name], a, b) for name in resolved.hash.algorithms}
    within = np.array([upright[name] <= resolved.search.max_distance[name] for name in resolved.hash.algorithms])
    both = within.any(axis=0) if resolved.search.combine == "any" else within.all(axis=0)
    again, a, b = again[both], a[both], b[both]
    standing = verified(thumbnails, samples[a], samples[b], threads=threads).similarity
    better = standing >= similarity[again]
    rows = again[better]
    transform, distances = found.transform.copy(), {name: d.copy() for name, d in found.distances.items()}
    transform[rows], similarity[rows] = 0, standing[better]
    for name, distance in distances.items():
        distance[rows] = upright[name][both][better]
    return _Found(found.a, found.b, transform, distances), similarity
