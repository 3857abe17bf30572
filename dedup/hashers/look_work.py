"""What a second look sees of pictures, decoded at their full size.

Work for an engine: this module is named to it, and `start` and `lost` are what it calls.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.decoding.contents import read_bytes
from dedup.decoding.pictures import Unreadable, open_picture
from dedup.hashers.close_views import close_view
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
    """A function from PAYLOAD batches to what is seen of their pictures."""
    return lambda batch: _seen(batch, setup)


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """Nothing is seen of a batch whose worker died on it."""
    n = batch.num_rows
    return pa.record_batch(
        [batch["row"], *(pa.nulls(n, field.type) for field in list(SEEN)[1:])], schema=SEEN
    )


def _seen(batch: pa.RecordBatch, setup: Mapping[str, Any]) -> pa.RecordBatch:
    rows: list[tuple[Any, ...]] = []
    for row, path, stored in zip(
        *(batch[c].to_pylist() for c in ("row", "path", "data")), strict=True
    ):
        data = read_bytes(path, stored)
        picture = data if isinstance(data, Unreadable) else open_picture(data, **setup)
        if isinstance(picture, Unreadable):
            rows.append((row, None, None, None, None))
            continue
        view = close_view(picture.image)
        grey = view.grey.tobytes() if view.side >= MIN_SIDE else None
        rows.append(
            (row, view.side, grey, view.chroma.tobytes(), quality(picture.image).to_bytes())
        )
    return seen_batch(rows)


def seen_batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of `SEEN` as a batch."""
    columns = list(zip(*rows, strict=True)) or [()] * len(SEEN)
    return pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, SEEN, strict=True)], schema=SEEN
    )
