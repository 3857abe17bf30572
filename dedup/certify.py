"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import zip_longest
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph
from dedup.config import Resolved
from dedup.errors import SourceError
from dedup.formats import Source
from dedup.formats.references import Reader, tasks
from dedup.hashers.setup import Setup
from dedup.images import Unreadable, file_digest
from dedup.lists import NOT_JUDGED, Judged
from dedup.stages import hashes as measuring
from dedup.stages.candidates import candidates
from dedup.stages.chains import chains
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs
from dedup.tables import DIGEST_BYTES

_ROWS_AT_ONCE: Final = 256  # their bytes are in memory together

LISTED: Final = 20  # pairs named in the certificate; all of them are in the tables of an audit of the output


def certificate(
    written: Source,
    known: pa.Table,
    expected: Mapping[str | None, pa.ChunkedArray],
    setup: Setup,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
    *,
    n_groups: int = 0,
    limit: int,
    threads: int,
    in_order: bool = True,
) -> dict[str, Any]:
    """Search the written samples again and say what is left between train and the held-out splits.

    Every stored byte is read again. `expected` has, by split, the digests that the written rows must have, in their
    order (any, without `in_order`), None for samples without bytes; `known` the hashes of the input, among them those
    of every such digest.
    Raises `SourceError` when anything else was written than what was hashed: then the dataset has changed meanwhile.
    """
    table, row_of_sample = manifest(written.rows, written.name)
    digests, unreadable = _read(written, setup)
    if changed := _n_changed(by_split(written.rows["split"], digests), expected, in_order=in_order):
        message = (
            f"{changed:,} of {sum(map(len, expected.values())):,} samples to be written are not what was hashed: "
            f"the dataset has changed since. Run it again."
        )
        raise SourceError(message)
    measured = _measured(digests, known, unreadable, row_of_sample)
    found = pairs(
        pa.concat_tables(candidates(measured, resolved, limit=limit, threads=threads)),
        measured,
        table,
        resolved,
        judged,
    )
    matches = graph.from_pairs(found, len(table))
    present = set(table["split"].to_pylist())
    held_out = tuple(name for name in resolved.held_out if name in present)
    leaks = leakage(matches, found, measured, table, held_out)
    between = _between_held_out(found, held_out)
    return {
        "clean": len(leaks) == 0 and n_groups == 0,
        "statement": _statement(resolved, len(leaks), n_groups),
        "samples": len(table),
        "readable": int(np.sum(measured["status"].to_numpy() == "ok")),
        "train_held_out_pairs": len(leaks),
        "train_held_out_first": _first(leaks.select(["id", "split", "witness_id", "witness_split", "similarity"])),
        "chained_train_images": len(chains(matches, table, held_out)),
        "groups_in_train_and_held_out": n_groups,
        "held_out_pairs": len(between),
        "held_out_first": _first(between.select(["id_a", "split_a", "id_b", "split_b", "similarity"])),
        "settings": {key: asdict(resolved)[key] for key in ("max_distance", "combine", "method", "min_similarity")},
    }


def by_split(splits: pa.ChunkedArray, digests: pa.ChunkedArray) -> dict[str | None, pa.ChunkedArray]:
    """Digests by split, in their order."""
    names = pc.unique(splits).to_pylist()
    return {name: digests.filter(pc.is_null(splits) if name is None else pc.equal(splits, name)) for name in names}


def _n_changed(
    there: Mapping[str | None, pa.ChunkedArray], expected: Mapping[str | None, pa.ChunkedArray], *, in_order: bool
) -> int:
    """How many digests are not those expected. A million of them should not become Python objects when none is."""
    if not in_order:
        there, expected = _in_any_order(there), _in_any_order(expected)
    if there.keys() == expected.keys() and all(there[split].equals(expected[split]) for split in there):
        return 0
    return sum(
        one != other
        for split in {*there, *expected}
        for one, other in zip_longest(there.get(split, ()), expected.get(split, ()))
    )


def _in_any_order(digests: Mapping[str | None, pa.ChunkedArray]) -> dict[str | None, pa.ChunkedArray]:
    return {split: of.take(pc.sort_indices(of)) for split, of in digests.items()}


def _read(written: Source, setup: Setup) -> tuple[pa.ChunkedArray, pa.Table]:
    """The digests of the written bytes, in the order of the source, and what is measured where there are none."""
    measure, reader = measuring.start(measuring.work(setup)), Reader()
    digests: list[pa.Array] = []
    without: list[pa.RecordBatch] = []
    for batch in tasks(written, _ROWS_AT_ONCE):
        own = [None if isinstance(of, Unreadable) else file_digest(of) for of in reader.contents(batch)]
        digests.append(pa.array(own, pa.binary(DIGEST_BYTES)))
        without += [measure(batch.slice(k, 1)) for k, digest in enumerate(own) if digest is None]
    unreadable = pa.Table.from_batches(without, measuring.result_schema(setup))
    return pa.chunked_array(digests, pa.binary(DIGEST_BYTES)), unreadable.drop_columns(measuring.FRESH)


def groups_across(
    groups: pa.ChunkedArray, splits: pa.ChunkedArray, readable: pa.ChunkedArray, held_out: tuple[str, ...]
) -> int:
    """How many groups have readable samples in train and in a held-out split."""
    outside = pc.is_in(splits, pa.array(held_out, pa.string()))
    sides = [pc.unique(groups.filter(pc.and_(readable, side))).drop_null() for side in (outside, pc.invert(outside))]
    return pc.sum(pc.is_in(sides[0], sides[1])).as_py() or 0


def _measured(
    digests: pa.ChunkedArray, known: pa.Table, unreadable: pa.Table, row_of_sample: NDArray[np.int64]
) -> pa.Table:
    """The hashes of the written rows, in sample order: the rows of `known` with their digests, copied once."""
    rows = pc.index_in(digests, value_set=known["file_digest"].combine_chunks(), skip_nulls=True)
    without = pc.is_null(digests)
    others = pc.add(pc.subtract(pc.cumulative_sum(without.cast(pa.int64())), 1), len(known))
    rows = pc.if_else(without, others, rows.cast(pa.int64()))
    table = pa.concat_tables([known.cast(unreadable.schema), unreadable]).take(rows.take(pa.array(row_of_sample)))
    return table.set_column(0, unreadable.schema.field(0), pa.array(np.arange(len(table)), pa.int64()))


def _between_held_out(found: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    names = pa.array(held_out, pa.string())
    both = pc.and_(pc.is_in(found["split_a"], names), pc.is_in(found["split_b"], names))
    return found.filter(pc.and_(both, pc.not_equal(found["split_a"], found["split_b"])))


def _first(table: pa.Table) -> list[Mapping[str, Any]]:
    return [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in table.slice(0, LISTED).to_pylist()
    ]


def _statement(resolved: Resolved, n_leaks: int, n_groups: int) -> str:
    distances = ", ".join(f"{name} ≤ {bits} of {resolved.bits} bits" for name, bits in resolved.max_distance.items())
    verified = f" and similarity ≥ {resolved.min_similarity}" if resolved.min_similarity is not None else ""
    settings = (
        f"{resolved.combine} of {distances}{verified}" if len(resolved.max_distance) > 1 else f"{distances}{verified}"
    )
    if not resolved.held_out:
        return f"There is no held-out split, so nothing can leak (searched with {settings})."
    number = "No pair" if n_leaks == 0 else f"{n_leaks:,} pair{'s' if n_leaks > 1 else ''}"
    groups = f" {n_groups:,} groups are in train and in a held-out split." if n_groups else ""
    lists = " What a person has judged counts as judged." if {*resolved.lists} - {"prefer_list"} else ""
    return (
        f"{number} between train and a held-out split is left in what was written (searched with {settings})."
        f"{groups}{lists}"
    )
