"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from dedup import graph
from dedup.certificate.readback import (
    KnownBytes,
    Samples,
    by_split,
    measured_of,
    n_changed,
    numbers_of,
    read_back,
)
from dedup.certificate.search import Searched, SecondSearch
from dedup.config import LIMITS, TOTAL, Resolved
from dedup.errors import SourceError
from dedup.formats import Source
from dedup.hashers.setup import Setup
from dedup.memory import give_back
from dedup.policy.acceptance import Limits
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.stages.chains import chains
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs

_NOT_NEEDED: Final = {
    *("sample", "detail", "width", "height", "format", "compression", "thumbnail"),
    "file_digest",  # which sample of the run a row is says the same
}
"""Columns of `hashes`."""

_OF_CROPS: Final = ["id_a", "split_a", "id_b", "split_b", "similarity"]

LISTED: Final = 20
"""Pairs named in the certificate; all of them are in the tables of an audit of the output."""


def certificate(
    open_written: Callable[[], Source],
    known: Searched,
    expected: Mapping[str | None, Samples],
    setup: Setup,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
    *,
    n_groups: int = 0,
    crops: pa.Table | None = None,
    uncompared: pa.Table | None = None,
    limit: int,
    threads: int,
    in_order: bool = True,
) -> dict[str, Any]:
    """Search the written samples again and say what is left between train and the held-out splits.

    `open_written` opens them; they are let go of when they are read. Every byte is read again.
    `expected` has, by split, the samples of the run that the written rows must be, in their order
    (any, without `in_order`). `uncompared`: the table of that name. `crops`: rows of `pairs`
    between train and a held-out split that a second search of parts found. Pairs within train are
    searched only where something leaks, since only then can they lead to a held-out sample. Raises
    `SourceError` when anything else was written than what was hashed: then the dataset has changed
    meanwhile.
    """
    table, measured, of_run = _written(
        open_written, known, expected, setup, judged, in_order=in_order
    )
    give_back()

    inside_names = table["split"].unique().to_pylist()
    held_out = tuple(name for name in resolved.splits.held_out if name in inside_names)
    inside = pc.is_in(table["split"], pa.array(held_out, pa.string())).to_numpy()
    picture_of = graph.representatives(known.hashes["pixel_digest"])
    search = SecondSearch(measured, of_run, picture_of, known, resolved, limit, threads)
    near = list(search.with_held_out(inside))
    give_back()

    found = pairs(near, measured, table, resolved, judged)
    leaks = leakage(graph.from_pairs(found, len(table)), found, measured, table, held_out)
    n_chained = 0

    if len(leaks):
        every = [*near, *search.without_held_out(inside)]
        matches = graph.from_pairs(pairs(every, measured, table, resolved, judged), len(table))
        chained = chains(matches, table, held_out)["split"]
        n_chained = pc.sum(pc.invert(pc.is_in(chained, pa.array(held_out)))).as_py() or 0

    readable = pc.equal(measured["status"], "ok").to_numpy()
    left = _Left(leaks, crops, uncompared, n_groups)

    return {
        "clean": left.n_leaks + n_groups == 0,
        "statement": _statement(resolved, left),
        "samples": len(table),
        "readable": int(readable.sum()),
        "readable_in": {
            "train": int((readable & ~inside).sum()),
            "held_out": int((readable & inside).sum()),
        },
        **left.told(),
        "chained_train_images": n_chained,
        **_told_of_held_out(found, held_out),
        "settings": {
            key: resolved.settings()[key] for key in ("max_distance", "combine", "method", *LIMITS)
        },
    }


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left between train and the held-out splits."""

    leaks: pa.Table
    crops: pa.Table | None  # None where nobody searched parts
    uncompared: pa.Table | None
    n_groups: int

    @property
    def n_leaks(self) -> int:
        """Pairs of whole pictures and of parts."""
        return len(self.leaks) + (0 if self.crops is None else len(self.crops))

    @property
    def n_uncompared(self) -> int:
        """Train samples that were not compared with all candidates."""
        return 0 if self.uncompared is None else len(self.uncompared)

    def told(self) -> dict[str, Any]:
        """As the certificate has it: numbers, and the first of each kind by name."""
        of_leaks = ["id", "split", "witness_id", "witness_split", "similarity"]
        of_parts: dict[str, Any] = {}
        if self.crops is not None:
            of_parts["crops"] = len(self.crops)
            of_parts["crops_first"] = _first(self.crops.select(_OF_CROPS))

        return {
            "train_held_out_pairs": len(self.leaks),
            "train_held_out_first": _first(self.leaks.select(of_leaks)),
            "uncompared": self.n_uncompared,
            "uncompared_first": [] if self.uncompared is None else _first(self.uncompared),
            **of_parts,
            "groups_in_train_and_held_out": self.n_groups,
        }


def _written(
    open_written: Callable[[], Source],
    known: Searched,
    expected: Mapping[str | None, Samples],
    setup: Setup,
    judged: Judged,
    *,
    in_order: bool,
) -> tuple[pa.Table, pa.Table, Samples]:
    """The manifest of what was written, its rows of `hashes`, and which sample of the run each
    is.
    """
    written = open_written()
    table, row_of_sample = manifest(written.rows, written.name)
    digests = KnownBytes(known.file_digests())
    back = read_back(written, digests, setup)
    wanted = {split: digests.first_of(samples) for split, samples in expected.items()}
    of_splits = by_split(written.rows["split"], back.samples)

    if changed := n_changed(of_splits, wanted, in_order=in_order):
        message = (
            f"{changed:,} of {sum(map(len, wanted.values())):,} samples to be written are not what"
            " was hashed: the dataset has changed since. Run it again; if that says the same,"
            " files have other bytes but their old size and time: set cache.trust: content, which"
            " reads them all."
        )
        raise SourceError(message)

    # What it takes to search again comes on top of what is left.
    del written, digests, wanted, of_splits

    # Numbers do for digests, unless people have judged pictures by them: they take less room.
    judged_by_digest = bool(judged.allowed or judged.denied)
    left_out = _NOT_NEEDED if judged_by_digest else _NOT_NEEDED | {"pixel_digest"}
    columns = [name for name in known.hashes.column_names if name not in left_out]
    measured, of_run = measured_of(back, known.hashes, columns, row_of_sample)
    measured = measured.append_column("file_digest", pa.array(of_run))

    if not judged_by_digest:
        pixels = known.hashes["pixel_digest"]
        numbers = numbers_of(of_run, graph.representatives(pixels), pixels.is_valid().to_numpy())
        measured = measured.append_column("pixel_digest", numbers)

    return table, measured, of_run


def _told_of_held_out(found: pa.Table, held_out: tuple[str, ...]) -> dict[str, Any]:
    """Pairs between two held-out splits, which nothing takes away."""
    between = _between_held_out(found, held_out)
    named = between.select(["id_a", "split_a", "id_b", "split_b", "similarity"])

    return {"held_out_pairs": len(between), "held_out_first": _first(named)}


def groups_across(
    groups: pa.ChunkedArray, splits: pa.ChunkedArray, held_out: tuple[str, ...]
) -> int:
    """How many groups have samples in train and in a held-out split, whether anybody can read them
    or not.
    """
    outside = pc.is_in(splits, pa.array(held_out, pa.string()))
    sides = [pc.unique(groups.filter(side)).drop_null() for side in (outside, pc.invert(outside))]
    return pc.sum(pc.is_in(sides[0], sides[1])).as_py() or 0


def _between_held_out(found: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    names = pa.array(held_out, pa.string())
    both = pc.and_(pc.is_in(found["split_a"], names), pc.is_in(found["split_b"], names))
    return found.filter(pc.and_(both, pc.not_equal(found["split_a"], found["split_b"])))


def _first(table: pa.Table) -> list[Mapping[str, Any]]:
    return [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in table.slice(0, LISTED).to_pylist()
    ]


def _statement(resolved: Resolved, left: _Left) -> str:
    distances = ", ".join(
        f"{name} ≤ {bits} of"
        f" {resolved.hash.bits * (len(resolved.hash.algorithms) if name == TOTAL else 1)} bits"
        for name, bits in resolved.search.max_distance.items()
    )
    verified = _limits(resolved)
    settings = (
        f"{resolved.search.combine} of {distances}{verified}"
        if len(resolved.search.max_distance) > 1
        else f"{distances}{verified}"
    )
    if not resolved.splits.held_out:
        return f"There is no held-out split, so nothing can leak (searched with {settings})."

    n_leaks, n_groups, n_uncompared = left.n_leaks, left.n_groups, left.n_uncompared
    number = "No pair" if n_leaks == 0 else f"{n_leaks:,} pair{'s' if n_leaks > 1 else ''}"
    groups = f" {n_groups:,} groups are in train and in a held-out split." if n_groups else ""
    were = "s were" if n_uncompared > 1 else " was"
    uncompared = (
        f" {n_uncompared:,} train sample{were} not compared with all candidates."
        if n_uncompared
        else ""
    )
    lists = (
        " What a person has judged counts as judged." if {*resolved.lists} - {"prefer_list"} else ""
    )

    return (
        f"{number} between train and a held-out split is left in what was written (searched with"
        f" {settings}{_of_parts(resolved)}).{groups}{uncompared}{lists}"
    )


def _of_parts(resolved: Resolved) -> str:
    """What is claimed of crops."""
    if resolved.parts.parts == "off":
        return ""
    return ", and for parts" if resolved.parts.crops != "report" else ", parts are only reported"


def _limits(resolved: Resolved) -> str:
    limits = Limits.of(resolved.settings())
    if limits is None:
        return ""

    doubt = limits.max_false_probability
    together, alone = limits.min_similarity, limits.min_thumbnail_similarity
    if doubt < 1:
        plain = [f"similarity ≥ {together}"]
        plain += [f"≥ {alone} by thumbnails alone"] if alone > together else []
        plain += (
            [f"≥ {limits.min_close_similarity} seen closely"] if limits.min_close_similarity else []
        )
        return f", false probability ≤ {doubt} and {', '.join(plain)}"

    if not resolved.verify.second_look:
        return f" and similarity ≥ {max(together, alone)}"

    close = (
        f"≥ {resolved.acceptance.min_close_similarity} seen closely, ≥ {max(together, alone)}"
        " where not"
    )

    return f" and similarity ≥ {together} ({close})"
