"""candidates: representatives of pictures whose codes lie within the searched distance, with their
similarity.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import AUTO_CAP_PER_64_BITS, TOTAL, Resolved
from dedup.errors import LimitError
from dedup.policy.acceptance import within
from dedup.search import Progress, join_orientations, largest_distance_within, pack, plan
from dedup.search import distances as code_distances
from dedup.search.sparing import Spared, join_sparing_batches, nobody_spared
from dedup.search.summed import together, with_total
from dedup.tables import MIN_INFORMATION
from dedup.verify import Verified, verified
from dedup.verify.determinacy import Structure
from dedup.verify.framed import framed_candidates, merged
from dedup.verify.views import Views, within_frames

_ROWS_AT_ONCE: Final = 65_536  # pairs compared between two reports of progress: a few seconds

Compared = Callable[[int, int], None]
"""Is called with the number of pairs whose thumbnails are compared, and of all."""

# by column of `hashes`: the codes of the samples that are searched
Codes = Mapping[str, NDArray[np.uint64]]


MAX_SUMMED = 200_000
"""Pictures among which `auto` searches by the total as well: so far away only brute force finds
pairs, in seconds.
"""


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
    left_out = _of_searched(spared, samples)
    codes = _codes(hashes, samples, resolved)

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
        views = _views(thumbnails, samples, resolved, left_out)
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
        raise _too_many(codes, resolved, limit, threads) from error


def radius(
    hashes: pa.Table,
    resolved: Resolved,
    *,
    threads: int,
    progress: Progress | None = None,
    spared: Spared | None = None,
) -> dict[str, int]:
    """How far `auto` goes: for each algorithm the largest distance whose candidates fit the budget.

    It is at most the one in `resolved`. Candidates are counted in every orientation searched. With
    `combine: any` each algorithm has an equal part of `max_candidates`, with `all`, where a
    candidate is one of each, the whole of it. Pairs that `spared` leaves out are not counted.
    Raises `LimitError` where not even equal codes fit.
    """
    fitting = fitting_radius(hashes, resolved, threads=threads, progress=progress, spared=spared)
    found = {name: bits for name, bits in fitting.items() if bits is not None}
    if len(found) < len(fitting):
        none = ", ".join(name for name in fitting if name not in found)
        message = (
            f"search.max_distance: auto found no distance that fits: {none} has more equal codes of"
            f" different pictures than search.max_candidates = {resolved.max_candidates:,} allows."
            " Raise it, or name a hash with more bits."
        )
        raise LimitError(message)

    return found


def fitting_radius(
    hashes: pa.Table,
    resolved: Resolved,
    *,
    threads: int,
    progress: Progress | None = None,
    spared: Spared | None = None,
) -> dict[str, int | None]:
    """As `radius`; None for an algorithm of which not even equal codes fit."""
    samples = searched(hashes)
    left_out = _of_searched(spared, samples)
    codes = _codes(hashes, samples, resolved)
    members = {name: of[left_out.members] for name, of in codes.items()}
    codes = {name: of[~left_out.members] for name, of in codes.items()}

    if resolved.verify.method != "none":
        views = _views(tables.fixed_width(hashes["thumbnail"]), samples, resolved, left_out)
        codes = {
            name: np.concatenate([of, views.codes[name]]) if len(views.of) else of
            for name, of in codes.items()
        }

    return _fitting(codes, resolved, resolved.max_candidates, threads, progress, members)


def equal_codes(
    hashes: pa.Table, name: str, spared: Spared, at_least: int
) -> list[NDArray[np.int64]]:
    """Searched samples with one code of an algorithm, where so many have it and no crowd has
    them.
    """
    samples = searched(hashes)
    samples = samples[~spared.members[samples]]
    codes = pack(tables.fixed_width(hashes[tables.code_column(name)])[samples])
    _, of_row, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    of_row = of_row.reshape(-1)

    return [samples[of_row == group] for group in np.flatnonzero(sizes >= at_least).tolist()]


def searched(hashes: pa.Table) -> NDArray[np.int64]:
    """Samples that enter the join: the lowest of each class of identical pictures, if it carries
    information.
    """
    informed = pc.greater_equal(hashes["information"], MIN_INFORMATION).fill_null(False).to_numpy()
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
    yield _Found(
        found.a[wanted], found.b[wanted], found.transform[wanted], of_wanted, int(wanted.sum())
    )


def _codes(hashes: pa.Table, samples: NDArray[np.int64], resolved: Resolved) -> Codes:
    columns = [
        tables.code_column(n, t)
        for n in resolved.hash.algorithms
        for t in ("identity", *turns(resolved))
    ]
    return {column: pack(tables.fixed_width(hashes[column])[samples]) for column in columns}


def _fitting(
    codes: Codes,
    resolved: Resolved,
    budget: int,
    threads: int,
    progress: Progress | None = None,
    members: Codes | None = None,
) -> dict[str, int | None]:
    """For each algorithm the largest distance, up to that in `resolved`, that fits its part of the
    budget.

    `members`: codes of pictures that are not searched among each other.
    """
    caps = _caps(resolved, len(next(iter(codes.values()))))
    if TOTAL in caps:
        codes = {**codes, **_together(codes, resolved)}
        members = None if members is None else {**members, **_together(members, resolved)}

    share = budget // len(caps) if resolved.search.combine == "any" else budget
    found: dict[str, int | None] = {}
    for done, (name, cap) in enumerate(caps.items()):
        found[name] = largest_distance_within(
            codes[name],
            budget=share,
            cap=cap,
            also=[
                *(codes[tables.code_column(name, turn)] for turn in turns(resolved)),
                *(_of_members(members, name, resolved) if members is not None else ()),
            ],
            threads=threads,
        )
        if progress is not None:
            progress((done + 1) / len(caps))

    if (
        found.get(TOTAL, 0) is None
    ):  # more equal codes than fit: then each algorithm has too many, too
        del found[TOTAL]

    return found


def _caps(resolved: Resolved, n_pictures: int) -> dict[str, int]:
    """How far `auto` may go, by algorithm; in total only among so many pictures."""
    names, widest = resolved.hash.algorithms, resolved.search.max_distance
    if TOTAL not in widest or len(names) == 1:
        return {name: widest[name] for name in names}
    if n_pictures <= MAX_SUMMED:
        return {name: widest[name] for name in (*names, TOTAL)}

    return dict.fromkeys(names, AUTO_CAP_PER_64_BITS * resolved.hash.bits // 64)


def _together(codes: Codes, resolved: Resolved) -> dict[str, NDArray[np.uint64]]:
    """The codes of all algorithms side by side, upright and turned, under the names that an
    algorithm would have.
    """
    names = resolved.hash.algorithms
    return {
        tables.code_column(TOTAL, turn): together(
            [codes[tables.code_column(name, turn)] for name in names]
        )
        for turn in ("identity", *turns(resolved))
    }


def _too_many(codes: Codes, resolved: Resolved, limit: int, threads: int) -> LimitError:
    """What would fit: for each algorithm the largest distance whose pairs fit its part of the
    limit, counted.
    """
    asked = ", ".join(f"{name} {bits}" for name, bits in resolved.search.max_distance.items())
    fitting = _fitting(codes, resolved, limit, threads)
    if None in fitting.values():
        advice = "Not even equal codes fit. Raise search.max_candidates."
    else:
        fits = ", ".join(f"{name} {bits}" for name, bits in fitting.items())
        advice = (
            f"Within {fits} it is not: lower search.max_distance, or raise search.max_candidates."
        )

    return LimitError(
        f"search.max_candidates = {limit:,} is passed within {asked} of {resolved.hash.bits} bits."
        f" {advice}"
    )


def _of_members(members: Codes, name: str, resolved: Resolved) -> list[NDArray[np.uint64]]:
    """Codes of members, upright and turned, that the others are joined with."""
    found = [members[tables.code_column(name, turn)] for turn in ("identity", *turns(resolved))]
    return [of for of in found if len(of)]


def _of_searched(spared: Spared | None, samples: NDArray[np.int64]) -> Spared:
    return nobody_spared(len(samples)) if spared is None else spared.take(samples)


def _views(
    thumbnails: NDArray[np.uint8], samples: NDArray[np.int64], resolved: Resolved, spared: Spared
) -> Views:
    """Of what is in a frame; members of crowds have none, as they are not compared with each
    other.
    """
    transforms = ("identity", *turns(resolved))
    rest = np.flatnonzero(~spared.members)
    found = within_frames(
        thumbnails, samples[rest], resolved.hash.algorithms, resolved.hash.bits, transforms
    )

    return Views(rest[found.of], found.thumbnails, found.codes)


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
    codes = _codes(hashes, samples, resolved)
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


def packed_codes(
    hashes: pa.Table, samples: NDArray[np.int64], resolved: Resolved
) -> list[NDArray[np.uint64]]:
    """The upright codes of samples, by algorithm."""
    return [
        pack(tables.fixed_width(hashes[tables.code_column(n)])[samples])
        for n in resolved.hash.algorithms
    ]


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

    The join gives the transform of the smallest distance. In pictures that are nearly symmetrical
    it can be the wrong one, so what is within the distance as it stands is also compared as it
    stands.
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

    again = np.flatnonzero(found.transform != 0)
    if len(again) == 0:
        return found, similarity

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

    return _Found(found.a, found.b, transform, distances), similarity
