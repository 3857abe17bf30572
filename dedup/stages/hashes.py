"""hashes: exactly one row per sample, with what was measured on its picture or why there is none.

Work for an engine: this module is named to it, and `start` and `lost` are what it calls.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.errors import InternalError
from dedup.formats import read_bytes
from dedup.hashers.measure import measure, unreadable_row
from dedup.hashers.setup import Setup
from dedup.images import Unreadable, file_digest

WORK: Final = "dedup.stages.hashes"
BATCH_ROWS: Final = 32  # about a tenth of a second of work: progress moves, and a dead worker loses little


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from PAYLOAD batches to batches of the table, its `sample` being the row of the source."""
    of = Setup.from_dict(setup)
    return lambda batch: _measure(batch, of)


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """The rows of a batch whose worker died on it. Their bytes are digested, but not decoded again."""
    of, rows = Setup.from_dict(setup), []
    for row, path, stored in zip(*(batch[c].to_pylist() for c in ("row", "path", "data")), strict=True):
        data = read_bytes(path, stored)
        digest = None if isinstance(data, Unreadable) else file_digest(data)
        rows.append({"sample": row, **unreadable_row(Unreadable("undecodable", reason), digest)})
    return pa.RecordBatch.from_pylist(rows, schema=of.schema())


def hashes(parts: Sequence[pa.RecordBatch], row_of_sample: Any, setup: Setup) -> pa.Table:
    """The table in sample order from the parts that the engine gave, which are in source order."""
    table = pa.Table.from_batches(parts, setup.schema())
    if len(table) != len(row_of_sample):
        message = f"{len(row_of_sample)} samples went in and {len(table)} hashes came out."
        raise InternalError(message)
    ordered = table.take(pa.array(row_of_sample))
    samples = pa.array(range(len(ordered)), pa.int64())
    return ordered.set_column(0, ordered.schema.field(0), samples).combine_chunks()


def _measure(batch: pa.RecordBatch, setup: Setup) -> pa.RecordBatch:
    contents = [read_bytes(*one) for one in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)]
    columns = measure(contents, setup)
    return pa.record_batch([batch["row"], *columns.values()], schema=setup.schema())
