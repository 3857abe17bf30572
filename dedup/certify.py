"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
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
from dedup.stages import hashes as measuring
from dedup.stages.candidates import candidates
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs

_ROWS_AT_ONCE: Final = 256  # their bytes are in memory together

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
    scratch: Path | None = None,
) -> dict[str, Any]:
    """Search the written samples again and say what is left between train and the held-out splits.

    Every stored byte is read again. `expected` has, by split, the digests that the written rows must have, in their
    order (any, without `in_order`), None for samples without bytes; `known` the hashes of the input, among them those
    of every such digest; `scratch` a folder for what is too large for the memory.
    Raises `SourceError` when anything else was written than what was hashed: then the dataset has changed meanwhile.
    """
    table, row_of_sample = manifest(written.rows, written.name)
    measured, digests = _measured(written, row_of_sample, known, setup, scratch)
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


def _measured(
    written: Source, row_of_sample: NDArray[np.int64], known: pa.Table, setup: Setup, scratch: Path | None
) -> tuple[pa.Table, list[bytes | None]]:
    """The written samples' hashes, in their order, and the digests of their bytes, in the order of the source."""
    row_of_digest: dict[bytes, int] = {}
    for row, digest in enumerate(known["file_digest"].to_pylist()):
        if digest is not None:
            row_of_digest.setdefault(digest, row)
    measure, reader = measuring.start(measuring.work(setup)), Reader()
    digests: list[bytes | None] = []

    def parts() -> Iterator[pa.RecordBatch | pa.Table]:
        for batch in tasks(written, _ROWS_AT_ONCE):
            contents = reader.contents(batch)
            own = [None if isinstance(content, Unreadable) else file_digest(content) for content in contents]
            rows = [-1 if digest is None else row_of_digest.get(digest, -1) for digest in own]
            digests.extend(own)
            for k, known_row in enumerate(rows):
                if known_row < 0:  # no bytes
                    yield measure(batch.slice(k, 1))
            here = np.flatnonzero(np.array(rows) >= 0)
            found = known.take(pa.array([rows[k] for k in here.tolist()], pa.int64()))
            yield found.set_column(0, setup.schema().field(0), batch["row"].take(pa.array(here)))

    return measuring.hashes(parts(), row_of_sample, setup, scratch), digests


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
