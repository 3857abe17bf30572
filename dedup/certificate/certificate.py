"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Callable, Mapping
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

# of hashes
_NOT_NEEDED: Final = {
    *("sample", "detail", "width", "height", "format", "compression", "thumbnail"),
    "file_digest",  # which sample of the run a row is says the same
}

_OF_CROPS: Final = ["id_a", "split_a", "id_b", "split_b", "similarity"]

# pairs named in the certificate; all of them are in the tables of an audit of the output
LISTED: Final = 20


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
    written = open_written()
    table, row_of_sample = manifest(written.rows, written.name)
    digests = KnownBytes(known.file_digests())
    back = read_back(written, digests, setup)
    wanted = {split: digests.first_of(samples) for split, samples in expected.items()}
    if changed := n_changed(
        by_split(written.rows["split"], back.samples), wanted, in_order=in_order
    ):
        message = (
            f"{changed:,} of {sum(map(len, wanted.values())):,} samples to be written are not what"
            " was hashed: the dataset has changed since. Run it again; if that says the same,"
            " files have other bytes but their old size and time: set cache.trust: content, which"
            " reads them all."
        )
        raise SourceError(message)
    del written, digests, wanted  # what it takes to search again comes on top of what is left
    columns = [name for name in known.hashes.column_names if name not in _NOT_NEEDED]
    picture_of = graph.representatives(known.hashes["pixel_digest"])
    judged_by_digest = bool(judged.allowed or judged.denied)
    if not judged_by_digest:
        columns.remove("pixel_digest")
    measured, of_run = measured_of(back, known.hashes, columns, row_of_sample)
    measured = measured.append_column("file_digest", pa.array(of_run))
    if not judged_by_digest:
        numbers = numbers_of(of_run, picture_of, known.hashes["pixel_digest"].is_valid().to_numpy())
        measured = measured.append_column("pixel_digest", numbers)
    del back
    give_back()
    held_out = tuple(
        name for name in resolved.splits.held_out if name in table["split"].unique().to_pylist()
    )
    inside = pc.is_in(table["split"], pa.array(held_out, pa.string())).to_numpy()
    search = SecondSearch(measured, of_run, picture_of, known, resolved, limit, threads)
    near = list(search.with_held_out(inside))
    give_back()
    found = pairs(near, measured, table, resolved, judged)
    matches = graph.from_pairs(found, len(table))
    leaks = leakage(matches, found, measured, table, held_out)
    chained = 0
    if len(leaks):
        every = [*near, *search.without_held_out(inside)]
        matches = graph.from_pairs(pairs(every, measured, table, resolved, judged), len(table))
        chained = (
            pc.sum(
                pc.invert(pc.is_in(chains(matches, table, held_out)["split"], pa.array(held_out)))
            ).as_py()
            or 0
        )
    between = _between_held_out(found, held_out)
    readable = pc.equal(measured["status"], "ok").to_numpy()
    n_crops = 0 if crops is None else len(crops)
    of_parts = (
        {} if crops is None else {"crops": n_crops, "crops_first": _first(crops.select(_OF_CROPS))}
    )
    return {
        "clean": len(leaks) + n_crops + n_groups == 0,
        "statement": _statement(
            resolved, len(leaks) + n_crops, n_groups, 0 if uncompared is None else len(uncompared)
        ),
        "samples": len(table),
        "readable": int(readable.sum()),
        "readable_in": {
            "train": int((readable & ~inside).sum()),
            "held_out": int((readable & inside).sum()),
        },
        "train_held_out_pairs": len(leaks),
        "train_held_out_first": _first(
            leaks.select(["id", "split", "witness_id", "witness_split", "similarity"])
        ),
        "uncompared": 0 if uncompared is None else len(uncompared),
        "uncompared_first": [] if uncompared is None else _first(uncompared),
        "chained_train_images": chained,
        **of_parts,
        "groups_in_train_and_held_out": n_groups,
        "held_out_pairs": len(between),
        "held_out_first": _first(
            between.select(["id_a", "split_a", "id_b", "split_b", "similarity"])
        ),
        "settings": {
            key: resolved.settings()[key] for key in ("max_distance", "combine", "method", *LIMITS)
        },
    }


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


def _statement(resolved: Resolved, n_leaks: int, n_groups: int, n_uncompared: int) -> str:
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
    number = "No pair" if n_leaks == 0 else f"{n_leaks:,} pair{'s' if n_leaks > 1 else ''}"
    groups = f" {n_groups:,} groups are in train and in a held-out split." if n_groups else ""
    uncompared = (
        f" {n_uncompared:,} train sample{'s were' if n_uncompared > 1 else ' was'} not compared"
        " with all candidates."
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
