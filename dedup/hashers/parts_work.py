"""parts: what a worker finds in a picture for the search of parts.

Work for an engine: it calls `start`, `lost` and `canary_task`. The pictures are decoded once more,
larger than hashes need them, so that codes do not change with `search.parts`.
"""

from base64 import b85decode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.decoding.contents import Reader
from dedup.decoding.orientation import turned
from dedup.decoding.pictures import Unreadable, file_digest
from dedup.hashers.canary_pictures import PICTURES, canary_batch
from dedup.hashers.keypoints import COUNT, NONE, SIDE, KeyPoints, key_points, opencv
from dedup.hashers.luma import open_luma
from dedup.hashers.setup import Setup
from dedup.tables import PARTS

WORK: Final = "dedup.hashers.parts_work"

_BITS: Final = 256
"""Width of the codes whose luma has a shorter side of 256 pixels or more, if the picture has it."""


def work(background: str, max_pixels: int, *, mirrored: bool = False) -> dict[str, Any]:
    """The setup of the work; `mirrored`: whether the mirrored pictures have key points, too."""
    return {"background": background, "max_pixels": max_pixels, "mirrored": mirrored}


def spec(setup: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the key points of a picture, but for its bytes and the decoders."""
    return {"parts": {**setup, "bits": _BITS, "side": SIDE, "count": COUNT}}


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from tasks to rows of `parts`, with the row of the source as `sample`."""
    of, reader = setup_of(setup), Reader()

    def rows(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [
            _key_points(content, of, mirrored=setup["mirrored"])
            for content in reader.contents(batch)
        ]
        return _batch(batch["row"], found)

    return rows


def setup_of(setup: Mapping[str, Any]) -> Setup:
    """How pictures are decoded for parts; raises `MissingExtraError` without OpenCV."""
    opencv()
    return Setup(("dhash",), _BITS, "fast", setup["background"], setup["max_pixels"])


def canary(setup: Mapping[str, Any]) -> str:
    """Digest, as hex digits, of the key points of the canary pictures with this setup.

    OpenCV is asked, as its key points move between its versions.
    """
    of = setup_of(setup)
    sink = sha256(opencv().__version__.encode())
    for text in PICTURES.values():
        for side in _key_points(b85decode(text), of, mirrored=setup["mirrored"]):
            sink.update(side.descriptors.tobytes() + side.places.tobytes())

    return sink.hexdigest()


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """No key points: nothing can be claimed of a picture whose worker died on it."""
    return _batch(batch["row"], [(NONE, NONE)] * batch.num_rows)


def canary_task() -> pa.RecordBatch:
    """The canary pictures, of which every worker must make the same."""
    return canary_batch()


def grey_of(content: bytes, setup: Setup, side: int) -> NDArray[np.uint8] | None:
    """The upright grey levels of a stored picture, its longer side at most `side`; None without
    one.
    """
    luma = open_luma(content, setup, file_digest(content))
    if isinstance(luma, Unreadable):
        return None

    plane = luma.plane
    levels = np.ascontiguousarray(turned(plane.levels, plane.turn))
    factor = min(1.0, side / max(luma.width, luma.height))
    width, height = max(1, round(luma.width * factor)), max(1, round(luma.height * factor))
    if (height, width) == levels.shape:
        return levels

    cv2 = opencv()
    shrunk: NDArray[np.uint8] = cv2.resize(levels, (width, height), interpolation=cv2.INTER_AREA)

    return shrunk


def _key_points(
    content: bytes | Unreadable, setup: Setup, *, mirrored: bool
) -> tuple[KeyPoints, KeyPoints]:
    """Those of the picture and of the mirrored one."""
    grey = None if isinstance(content, Unreadable) else grey_of(content, setup, SIDE)
    if grey is None:
        return NONE, NONE

    turned_over = np.ascontiguousarray(grey[:, ::-1])

    return key_points(grey), key_points(turned_over) if mirrored else NONE


def _batch(rows: pa.Array, found: list[tuple[KeyPoints, KeyPoints]]) -> pa.RecordBatch:
    columns = [rows]
    for side in zip(*found, strict=True):
        columns += [
            pa.array([len(points) for points in side], pa.int32()),
            pa.array([points.descriptors.tobytes() for points in side], pa.binary()),
            pa.array([points.places.tobytes() for points in side], pa.binary()),
        ]

    return pa.record_batch(columns, schema=PARTS)
