"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dedup import graph
from dedup.config import Resolved
from dedup.formats import Source, read_bytes
from dedup.images import Unreadable, file_digest
from dedup.stages import hashes as measuring
from dedup.stages.candidates import candidates
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs

LISTED: Final = 20  # pairs named in the certificate; all of them are in the tables of an audit of the output


def certificate(
    written: Source, known: pa.Table, setup: measuring.Setup, resolved: Resolved, *, limit: int, threads: int
) -> dict[str, Any]:
    """Search the written samples again and say what is left between train and the held-out splits.

    Every stored byte is read again. Files that are, byte for byte, files of the input have the input's codes (`known`);
    any other file would be hashed anew.
    """
    table, row_of_sample = manifest(written.rows, written.name)
    measured = measuring.hashes(_measured(written, known, setup), row_of_sample, setup)
    found = pairs(candidates(measured, resolved, limit=limit, threads=threads), measured, table, resolved)
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


def _measured(written: Source, known: pa.Table, setup: measuring.Setup) -> list[pa.RecordBatch]:
    row_of_digest: dict[bytes, int] = {}
    for row, digest in enumerate(known["file_digest"].to_pylist()):
        if digest is not None:
            row_of_digest.setdefault(digest, row)
    measure = measuring.start(asdict(setup))
    parts = []
    for batch in written.payloads(measuring.BATCH_ROWS):
        contents = [read_bytes(p, d) for p, d in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)]
        rows = [None if isinstance(c, Unreadable) else row_of_digest.get(file_digest(c)) for c in contents]
        if None in rows:
            parts.append(measure(batch))
        else:
            table = known.take(pa.array(rows, pa.int64()))
            table = table.set_column(0, setup.schema().field(0), batch["row"])
            parts += table.cast(setup.schema()).combine_chunks().to_batches()
    return parts


def _between_held_out(found: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    a, b = found["split_a"].to_pylist(), found["split_b"].to_pylist()
    return found.filter(
        pa.array([x != y and x in held_out and y in held_out for x, y in zip(a, b, strict=True)], pa.bool_())
    )


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
