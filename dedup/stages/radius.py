"""How far `auto` searches: the largest distances whose candidates fit the budget."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.config import AUTO_CAP_PER_64_BITS, TOTAL, Resolved
from dedup.errors import LimitError
from dedup.search import Progress, largest_distance_within
from dedup.search.sparing import Spared
from dedup.search.summed import together
from dedup.stages.searched import Codes, codes_of, framed_views, searched, spared_of, turns

MAX_SUMMED = 200_000
"""Pictures among which `auto` searches by the total as well: so far away only brute force finds
pairs, in seconds.
"""


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
    left_out = spared_of(spared, samples)
    codes = codes_of(hashes, samples, resolved)
    members = {name: of[left_out.members] for name, of in codes.items()}
    codes = {name: of[~left_out.members] for name, of in codes.items()}

    if resolved.verify.method != "none":
        views = framed_views(tables.fixed_width(hashes["thumbnail"]), samples, resolved, left_out)
        codes = {
            name: np.concatenate([of, views.codes[name]]) if len(views.of) else of
            for name, of in codes.items()
        }

    return _fitting(codes, resolved, resolved.max_candidates, threads, progress, members)


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


def too_many(codes: Codes, resolved: Resolved, limit: int, threads: int) -> LimitError:
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
