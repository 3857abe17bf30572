"""What a second look sees of pictures, decoded at their full size.

Work for an engine: this module is named to it, and it calls `start`, `lost` and `canary_task`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable, open_picture
from dedup.hashers.canary_pictures import canary_batch
from dedup.hashers.close_views import close_view, shortened
from dedup.hashers.quality import quality

WORK: Final = "dedup.hashers.look_work"

# pixels: of smaller pictures the 64 that are compared would be interpolated ones
MIN_SIDE: Final = 96

SEEN: Final = pa.schema(
    [
        ("row", pa.int64()),
        ("side", pa.int32()),
        ("grey", pa.binary()),
        ("chroma", pa.binary()),
        ("quality", pa.binary()),
    ]
)


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from tasks (PAYLOAD or REFERENCES) to what is seen of their pictures."""
    reader = Reader()
    return lambda batch: _seen(batch, reader, setup)


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """Nothing is seen of a batch whose worker died on it."""
    n = batch.num_rows
    return pa.record_batch(
        [batch["row"], *(pa.nulls(n, field.type) for field in list(SEEN)[1:])], schema=SEEN
    )


def _seen(batch: pa.RecordBatch, reader: Reader, setup: Mapping[str, Any]) -> pa.RecordBatch:
    rows: list[tuple[Any, ...]] = []
    for row, data in zip(batch["row"].to_pylist(), reader.contents(batch), strict=True):
        picture = data if isinstance(data, Unreadable) else open_picture(data, **setup)
        if isinstance(picture, Unreadable):
            rows.append((row, None, None, None, None))
            continue
        view, seen = close_view(picture.image), quality(shortened(picture.image))
        grey = view.grey.tobytes() if view.side >= MIN_SIDE else None
        rows.append((row, view.side, grey, view.chroma.tobytes(), seen.to_bytes()))

    return seen_batch(rows)


def seen_batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of `SEEN` as a batch."""
    columns = list(zip(*rows, strict=True)) or [()] * len(SEEN)
    return pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, SEEN, strict=True)], schema=SEEN
    )
