"""Pictures of the page: decoded where the engine works, with its limits, and sent as JPEGs.

Work for an engine: this module is named to it, and `start` and `lost` are what it calls.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import numpy as np
import pyarrow as pa
from PIL import Image

from dedup.decoding.contents import read_bytes
from dedup.decoding.pictures import Unreadable, file_digest, open_picture
from dedup.hashers.close_views import shortened

WORK: Final = "dedup.review.work"

GREY_SIDE: Final = 128
"""Pixels of the square in which two pictures are laid over each other, as in the second look."""

SHOWN: Final = pa.schema(
    [
        ("row", pa.int64()),
        ("status", pa.string()),
        ("detail", pa.string()),
        ("jpeg", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("file_digest", pa.binary()),
        ("n_bytes", pa.int64()),
        ("grey", pa.binary()),
    ]
)


_Task = tuple[int, bytes | None, bytes | None]
"""Row, path and stored bytes."""


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from PAYLOAD batches to JPEGs whose longer side has `side` pixels at most."""
    return lambda batch: _batch([_shown(row, setup) for row in _rows(batch)])


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """Nothing is shown of a picture whose worker died on it."""
    rows = batch["row"].to_pylist()
    return _batch([(row, "undecodable", reason, *[None] * 6) for row in rows])


def jpeg(image: Image.Image, side: int, quality: int) -> bytes:
    """A picture as a JPEG, not enlarged."""
    small = image.copy()
    small.thumbnail((side, side))
    sink = BytesIO()
    small.save(sink, "JPEG", quality=quality)

    return sink.getvalue()


def _rows(batch: pa.RecordBatch) -> list[_Task]:
    columns = (batch[name].to_pylist() for name in ("row", "path", "data"))
    return list(zip(*columns, strict=True))


def _shown(task: _Task, setup: Mapping[str, Any]) -> tuple[Any, ...]:
    row, path, stored = task
    data = read_bytes(path, stored)
    if isinstance(data, Unreadable):
        return (row, data.status, data.detail, *[None] * 6)

    picture = open_picture(data, max_pixels=setup["max_pixels"], background=setup["background"])
    if isinstance(picture, Unreadable):
        return (row, picture.status, picture.detail, *[None] * 6)

    image = shortened(picture.image)
    square = image.convert("L").resize((GREY_SIDE,) * 2, Image.Resampling.BILINEAR)

    return (
        row,
        "ok",
        picture.remark,
        jpeg(image, setup["side"], setup["quality"]),
        picture.width,
        picture.height,
        file_digest(data),
        len(data),
        np.asarray(square).tobytes(),
    )


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(SHOWN)
    return pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, SHOWN, strict=True)], schema=SHOWN
    )
