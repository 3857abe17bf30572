"""parts: the key points of every picture, one row per sample."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.engines import Engine
from dedup.hashers.parts_work import WORK
from dedup.tables import PARTS


def parts(
    tasks: Iterator[pa.RecordBatch],
    row_of_sample: NDArray[np.int64],
    setup: Mapping[str, Any],
    engine: Engine,
    advance: Callable[[float], None],
) -> pa.Table:
    """The table, in sample order. `tasks`: where the bytes of each row of the source are."""
    sample_of_row = np.empty(len(row_of_sample), np.int64)
    sample_of_row[row_of_sample] = np.arange(len(row_of_sample))
    found: list[pa.RecordBatch] = []
    n_done = 0

    for batch in engine.run(WORK, setup, tasks):
        samples = pa.array(sample_of_row[batch["sample"].to_numpy()])
        found.append(pa.record_batch([samples, *batch.columns[1:]], schema=PARTS))
        n_done += batch.num_rows
        advance(n_done / len(row_of_sample))

    table = pa.Table.from_batches(found, schema=PARTS)
    return table.take(pa.array(np.argsort(table["sample"].to_numpy()))).combine_chunks()
