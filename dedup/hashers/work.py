"""hashes: exactly one row per sample, with what was measured on its picture or why there is none.

Work for an engine: this module is named to it, and it calls `start`, `lost` and `canary_task`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dedup import tables
from dedup.cache import known_rows
from dedup.cache.segments import Rows
from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable, file_digest
from dedup.decoding.refusals import NOT_IMAGE, shows_image
from dedup.hashers.canary_pictures import canary_batch
from dedup.hashers.setup import Setup
from dedup.memory import NOT_ENOUGH

WORK: Final = "dedup.hashers.work"
FRESH: Final = "fresh"
"""Column of the work's results beside those of the table: the row was measured now and may be kept
for later.
"""


def work(setup: Setup, known: Path | None = None) -> dict[str, Any]:
    """The setup of the work; `known` is the room of the cache whose rows need not be measured
    again.
    """
    from dedup.hashers.families import modules  # numba, which a worker may not need

    return {
        "hash": asdict(setup),
        "known": None if known is None else str(known),
        "modules": modules(setup.algorithms),
    }


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from tasks (PAYLOAD or REFERENCES) to rows of the table, with the row of the
    source as `sample`.
    """
    for module in setup["modules"]:  # algorithms from outside the package register themselves
        import_module(module)

    of, reader = Setup.from_dict(setup["hash"]), Reader()
    known = None if setup["known"] is None else known_rows(Path(setup["known"]), of.schema())
    # With nothing to look up, the digest is taken only once, where the picture is measured.
    known = known if known is not None and len(known) else None

    return lambda batch: _rows(batch, reader, of, known)


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """The rows of a batch whose worker died on it. Their bytes are digested, but not decoded
    again.
    """
    of = Setup.from_dict(setup["hash"])
    rows = []
    for row, content in zip(batch["row"].to_pylist(), Reader().contents(batch), strict=True):
        if isinstance(content, Unreadable):
            found, digest = content, None
        else:
            status = status_of_lost(content, reason)
            found, digest = Unreadable(status, reason), file_digest(content)
        rows.append(
            {
                "sample": row,
                "status": found.status,
                "detail": found.detail,
                "file_digest": digest,
                FRESH: False,
            }
        )

    return pa.RecordBatch.from_pylist(rows, schema=result_schema(of))


def status_of_lost(content: bytes, reason: str) -> str:
    """The status of a file on which a worker died, or for which it had too little memory."""
    if not shows_image(content):
        return NOT_IMAGE

    return "too_large" if reason.startswith(NOT_ENOUGH) else "undecodable"


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()


def result_schema(setup: Setup) -> pa.Schema:
    """Schema of the work's results."""
    return setup.schema().append(pa.field(FRESH, pa.bool_(), nullable=False))


def _rows(
    batch: pa.RecordBatch, reader: Reader, setup: Setup, known: Rows | None
) -> pa.RecordBatch:
    """One row for each sample, in any order: what is known of files with its digest, or what is
    measured on it.
    """
    rows = batch["row"]
    if known is None:
        return _measured(rows, list(reader.contents(batch)), setup)

    width = tables.DIGEST_BYTES
    # Each file is digested where it was read and dropped, while the core still has it; what is new
    # is read once more.
    digests = b"".join(
        bytes(width) if isinstance(c, Unreadable) else file_digest(c)
        for c in reader.contents(batch)
    )
    at, found = known.find(np.frombuffer(digests, np.uint8).reshape(-1, width))
    named = {"sample": rows.take(pa.array(at)), FRESH: pa.repeat(False, len(at))}
    schema = result_schema(setup)
    batches = found.add_column(0, "sample", named["sample"]).append_column(FRESH, named[FRESH])
    table = pa.table([batches[name] for name in schema.names], schema=schema)
    rest = np.delete(np.arange(len(batch)), at)

    if len(rest):
        new = batch.take(pa.array(rest))
        measured = _measured(new["row"], list(reader.contents(new)), setup)
        table = pa.concat_tables([table, pa.Table.from_batches([measured])])

    return table.combine_chunks().to_batches()[0]


def _measured(rows: pa.Array, contents: list[bytes | Unreadable], setup: Setup) -> pa.RecordBatch:
    # it imports the decoders, which take a while and may not be needed
    from dedup.hashers.measure import (
        measure,
    )

    columns = measure(contents, setup)

    return pa.record_batch(
        [rows, *columns.values(), columns["file_digest"].is_valid()], schema=result_schema(setup)
    )
