"""The pictures of the report: decoded where the engine works, with its limits, and sent as small
JPEGs.

Work for an engine: this module is named to it, and it calls `start`, `lost` and `canary_task`.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
from PIL import Image

from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable, open_picture
from dedup.hashers.canary_pictures import canary_batch

WORK: Final = "dedup.reporting.pictures"

_SIDE: Final = 224  # pixels, of the longer side of what is shown

_SHOWN: Final = pa.schema([("row", pa.int64()), ("jpeg", pa.binary())])


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from tasks to small JPEGs, null where there is no picture."""
    reader = Reader()
    return lambda batch: _shown(batch, reader, setup)


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """Nothing is shown of a batch whose worker died on it."""
    return pa.record_batch([batch["row"], pa.nulls(batch.num_rows, pa.binary())], schema=_SHOWN)


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()


def jpeg(image: Image.Image, quality: int = 80) -> bytes:
    """A picture as a small JPEG."""
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    sink = BytesIO()
    small.save(sink, "JPEG", quality=quality)

    return sink.getvalue()


def _shown(batch: pa.RecordBatch, reader: Reader, setup: Mapping[str, Any]) -> pa.RecordBatch:
    pictures: list[bytes | None] = []
    for data in reader.contents(batch):
        picture = data if isinstance(data, Unreadable) else open_picture(data, **setup)
        pictures.append(None if isinstance(picture, Unreadable) else jpeg(picture.image))

    return pa.record_batch([batch["row"], pictures], schema=_SHOWN)
