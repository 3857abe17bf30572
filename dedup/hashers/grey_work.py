"""The grey levels of whole pictures, for regions that are cut out of them.

Work for an engine: `start`, `lost` and `canary_task` are what it calls.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable
from dedup.hashers.canary_pictures import canary_batch
from dedup.hashers.parts_work import grey_of, setup_of

WORK: Final = "dedup.hashers.grey_work"

SIDE: Final = 384
"""Pixels of the longer side at most: half a picture is then still cut out at more than 128."""

GREYS: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("height", pa.int32()),  # null: there is no picture any more
        pa.field("width", pa.int32()),
        pa.field("levels", pa.large_binary()),  # uint8, row by row
    ]
)


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from tasks to grey levels, by the row of the source."""
    of, reader = setup_of(setup), Reader()

    def rows(batch: pa.RecordBatch) -> pa.RecordBatch:
        greys = [
            None if isinstance(content, Unreadable) else grey_of(content, of, SIDE)
            for content in reader.contents(batch)
        ]
        columns = [
            batch["row"],
            pa.array([None if grey is None else grey.shape[0] for grey in greys], pa.int32()),
            pa.array([None if grey is None else grey.shape[1] for grey in greys], pa.int32()),
            pa.array(
                [None if grey is None else grey.tobytes() for grey in greys], pa.large_binary()
            ),
        ]

        return pa.record_batch(columns, schema=GREYS)

    return rows


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """No levels of a batch whose worker died on it."""
    empty = [pa.nulls(batch.num_rows, field.type) for field in list(GREYS)[1:]]
    return pa.record_batch([batch["row"], *empty], schema=GREYS)


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()
