"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup import graph
from dedup.config import Resolved
from dedup.errors import SourceError
from dedup.formats import Source, read_bytes
from dedup.hashers.setup import Setup
from dedup.images import Unreadable, file_digest
from dedup.stages import hashes as measuring
from dedup.stages.candidates import candidates
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs

LISTED: Final = 20  # pairs named in the certificate; all of them are in the tables of an audit of the output


def certificate(
    written: Source,
    known: pa.Table,
    expected: Mapping[str | None, Sequence[bytes | None]],
    setup: Setup,
    resolved: Resolved,
    *,
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
    parts, digests = _measured(written, known, setup)
    there = by_split(written.rows["split"].to_pylist(), digests)
    if not in_order:
        there, expected = _in_any_order(there), _in_any_order(expected)
    if there != expected:
        changed = sum(
            one != other
            for split in {*there, *expected}
            for one, other in zip_longest(there.get(split, ()), expected.get(split, ()))
        )
        message = (
            f"{changed:,} of {sum(map(len, expected.values())):,} samples to be written are not what was hashed: "
            f"the dataset has changed since. Run it again."
        )
        raise SourceError(message)
    measured = measuring.hashes(parts, row_of_sample, setup)
    found = pairs(
        pa.concat_tables(candidates(measured, resolved, limit=limit, threads=threads)), measured, table, resolved
    )
    matches = graph.from_pairs(found, len(table))
    present = set(table["split"].to_pylist())
    held_out = tuple(name for name in resolved.held_out if name in present)
    leaks = leakage(matches, found, measured, table, held_out)
    between = _between_held_out(found, held_out)
    return {
        "clean": len(leaks) == 0,
        "statement": _statement(resolved, len(leaks)),
        "samples": len(table),
        "readable": int(np.sum(measured["status"].to_numpy() == "ok")),
        "train_held_out_pairs": len(leaks),
        "train_held_out_first": _first(leaks.select(["id", "split", "witness_id", "witness_split", "similarity"])),
        "held_out_pairs": len(between),
        "held_out_first": _first(between.select(["id_a", "split_a", "id_b", "split_b", "similarity"])),
        "settings": {key: asdict(resolved)[key] for key in ("max_distance", "combine", "method", "min_similarity")},
    }


def by_split(splits: Sequence[str | None], digests: Sequence[bytes | None]) -> dict[str | None, list[bytes | None]]:
    """Digests by split, in their order."""
    grouped: dict[str | None, list[bytes | None]] = {}
    for split, digest in zip(splits, digests, strict=True):
        grouped.setdefault(split, []).append(digest)
    return grouped


def _in_any_order(digests: Mapping[str | None, Sequence[bytes | None]]) -> dict[str | None, list[bytes | None]]:
    return {split: sorted(of, key=lambda digest: digest or b"") for split, of in digests.items()}


def _measured(written: Source, known: pa.Table, setup: Setup) -> tuple[list[pa.RecordBatch], list[bytes | None]]:
    """The written samples' rows of `hashes`, in the order of the source, and the digests of their bytes."""
    row_of_digest: dict[bytes, int] = {}
    for row, digest in enumerate(known["file_digest"].to_pylist()):
        if digest is not None:
            row_of_digest.setdefault(digest, row)
    measure = measuring.start(asdict(setup))
    parts, digests = [], []
    for batch in written.payloads(measuring.BATCH_ROWS):
        contents = [read_bytes(p, d) for p, d in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)]
        own = [None if isinstance(content, Unreadable) else file_digest(content) for content in contents]
        rows = [None if digest is None else row_of_digest.get(digest) for digest in own]
        digests += own
        for k, known_row in enumerate(rows):
            if known_row is None:  # no bytes
                parts.append(measure(batch.slice(k, 1)))
        here = [k for k, row in enumerate(rows) if row is not None]
        table = known.take(pa.array([rows[k] for k in here], pa.int64()))
        table = table.set_column(0, setup.schema().field(0), batch["row"].take(pa.array(here, pa.int64())))
        parts += table.cast(setup.schema()).combine_chunks().to_batches()
    order = np.argsort(np.concatenate([part["sample"].to_numpy() for part in parts]), kind="stable")
    ordered = pa.Table.from_batches(parts, setup.schema()).take(pa.array(order))
    return ordered.combine_chunks().to_batches(), digests


def _between_held_out(found: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    names = pa.array(held_out, pa.string())
    both = pc.and_(pc.is_in(found["split_a"], names), pc.is_in(found["split_b"], names))
    return found.filter(pc.and_(both, pc.not_equal(found["split_a"], found["split_b"])))


def _first(table: pa.Table) -> list[Mapping[str, Any]]:
    return [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in table.slice(0, LISTED).to_pylist()
    ]


def _statement(resolved: Resolved, n_leaks: int) -> str:
    distances = ", ".join(f"{name} ≤ {bits} of {resolved.bits} bits" for name, bits in resolved.max_distance.items())
    verified = f" and similarity ≥ {resolved.min_similarity}" if resolved.min_similarity is not None else ""
    settings = (
        f"{resolved.combine} of {distances}{verified}" if len(resolved.max_distance) > 1 else f"{distances}{verified}"
    )
    if not resolved.held_out:
        return f"There is no held-out split, so nothing can leak (searched with {settings})."
    number = "No pair" if n_leaks == 0 else f"{n_leaks:,} pair{'s' if n_leaks > 1 else ''}"
    return f"{number} between train and a held-out split is left in what was written (searched with {settings})."
