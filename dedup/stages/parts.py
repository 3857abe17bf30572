"""parts: the key points of every picture, one row per sample.

What was found in a file before is taken from the cache, by the digest of the file.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.cache import Room
from dedup.cache.segments import matrix
from dedup.cache.stamps import STAMP_BYTES
from dedup.engines import Engine
from dedup.hashers.parts_work import WORK
from dedup.tables import DIGEST_BYTES, PARTS

logger = logging.getLogger(__name__)

Mask = NDArray[np.bool_]

KEPT: Final = pa.schema([*PARTS, pa.field("file_digest", pa.binary(DIGEST_BYTES))])
"""A row of `parts` with the digest of the file it was found in, as a room of the cache has it."""


def parts(
    tasks: Iterator[pa.RecordBatch],
    row_of_sample: NDArray[np.int64],
    digests: pa.ChunkedArray,
    setup: Mapping[str, Any],
    engine: Engine,
    advance: Callable[[float], None],
    room: Room | None = None,
) -> pa.Table:
    """The table, in sample order.

    `tasks`: where the bytes of each row of the source are. `digests`: of the file of each sample,
    null where it could not be read. `room`: where key points are kept; None: nowhere.
    """
    known, table = _kept(digests, room)
    sample_of_row = np.empty(len(row_of_sample), np.int64)
    sample_of_row[row_of_sample] = np.arange(len(row_of_sample))
    n_done = int(known.sum())
    found: list[pa.RecordBatch] = []

    for batch in engine.run(WORK, setup, _asked(tasks, ~known[sample_of_row])):
        samples = pa.array(sample_of_row[batch["sample"].to_numpy()])
        found.append(pa.record_batch([samples, *batch.columns[1:]], schema=PARTS))
        n_done += batch.num_rows
        advance(n_done / len(row_of_sample))

    new = pa.Table.from_batches(found, schema=PARTS)
    _keep(new, digests, room)
    whole = pa.concat_tables([table, new])

    return whole.take(pa.array(np.argsort(whole["sample"].to_numpy()))).combine_chunks()


def _asked(tasks: Iterator[pa.RecordBatch], is_asked: Mask) -> Iterator[pa.RecordBatch]:
    """The tasks without the rows that nobody must look at."""
    for batch in tasks:
        asked = is_asked[batch["row"].to_numpy()]
        if asked.all():
            yield batch
        elif asked.any():
            yield batch.filter(pa.array(asked))


def _kept(digests: pa.ChunkedArray, room: Room | None) -> tuple[Mask, pa.Table]:
    """Which samples have a file whose key points are kept, and their rows."""
    known = np.zeros(len(digests), bool)
    has_digest = np.flatnonzero(digests.is_valid().to_numpy())
    if room is None or len(has_digest) == 0:
        return known, PARTS.empty_table()

    at, rows = room.find(matrix(digests.take(pa.array(has_digest))))
    samples = has_digest[at]
    known[samples] = True
    columns = [pa.array(samples), *(rows[name] for name in PARTS.names[1:])]

    return known, pa.table(columns, schema=PARTS)


def _keep(new: pa.Table, digests: pa.ChunkedArray, room: Room | None) -> None:
    """Keep what was found, once for each file; nothing of pictures without key points.

    A picture whose worker died has none, and is looked at again by the next run.
    """
    if room is None:
        return

    of_file = digests.take(new["sample"])
    rows = new.append_column(KEPT.field("file_digest"), of_file)
    rows = rows.filter(pc.and_(pc.greater(rows["n_points"], 0), of_file.is_valid()))
    if len(rows) == 0:
        return

    _, first = np.unique(matrix(rows["file_digest"]), axis=0, return_index=True)
    none = np.empty((0, STAMP_BYTES), np.uint8)
    try:
        room.add(rows.take(pa.array(np.sort(first))), none, none)
        room.flush()
    except OSError as error:
        reason = error.strerror or error
        logger.warning("%s cannot be written (%s): key points are not kept.", room.folder, reason)
