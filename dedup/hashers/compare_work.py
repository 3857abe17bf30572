"""Two pictures as `compare` needs them: measured, and decoded in full.

Work for an engine: this module is named to it, and it calls `start`, `lost` and `canary_task`.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import pyarrow as pa

from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable, open_picture
from dedup.hashers.canary_pictures import canary_batch
from dedup.hashers.close_views import close_view
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.hashers.work import lost as not_measured

WORK: Final = "dedup.hashers.compare_work"

SEEN: Final = pa.schema(
    [
        ("full_digest", pa.binary()),  # of all pixels, whatever the mode; null: not decoded in full
        ("side", pa.int32()),
        ("grey", pa.binary()),
        ("chroma", pa.binary()),
    ]
)
"""What stands behind the columns of `hashes`: a close view of each picture."""


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from PAYLOAD to the columns of `hashes` without `sample`, and those of SEEN."""
    for module in setup["modules"]:  # algorithms from outside the package register themselves
        import_module(module)

    reader, of = Reader(), Setup.from_dict(setup["hash"])
    return lambda batch: _compared(list(reader.contents(batch)), of)


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """The rows of a batch whose worker died on it."""
    of = Setup.from_dict(setup["hash"])
    rows = not_measured(setup, batch, reason)
    names = [field.name for field in of.schema() if field.name != "sample"]
    nulls = [pa.nulls(batch.num_rows, field.type) for field in SEEN]

    return pa.record_batch([*(rows[name] for name in names), *nulls], names=[*names, *SEEN.names])


def _compared(contents: list[bytes | Unreadable], of: Setup) -> pa.RecordBatch:
    columns = measure(contents, of)
    seen = [_seen(content, of) for content in contents]
    views = pa.Table.from_pylist(seen, SEEN).combine_chunks()

    return pa.record_batch(columns | {name: views[name].combine_chunks() for name in SEEN.names})


def _seen(content: bytes | Unreadable, of: Setup) -> dict[str, Any]:
    if isinstance(content, Unreadable):
        return {}

    picture = open_picture(content, max_pixels=of.max_pixels, background=of.background)
    if isinstance(picture, Unreadable):
        return {}

    view = close_view(picture.image)

    return {
        "full_digest": picture.pixel_digest,
        "side": view.side,
        "grey": view.grey.tobytes(),
        "chroma": view.chroma.tobytes(),
    }
