"""A batch of stored bytes to the columns of `hashes`: all that is measured on a picture, or why there is none."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from dedup.hashers import MODES
from dedup.hashers.compression import compression
from dedup.hashers.setup import Setup
from dedup.hashers.thumbnail import information, thumbnail
from dedup.images import Picture, Unreadable, file_digest, open_picture, turned


def measure(contents: Sequence[bytes | Unreadable], setup: Setup) -> dict[str, pa.Array]:
    """One column per field of the table but `sample`, in the order of the schema; one row per content, in their order.

    A row depends on its own bytes only, never on the others of the batch.
    """
    fields = [field for field in setup.schema() if field.name != "sample"]
    rows = [_row(content, setup) for content in contents]
    return {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in fields}


def unreadable_row(found: Unreadable, digest: bytes | None = None) -> dict[str, Any]:
    """What stands in the table when there is no picture."""
    return {
        "status": found.status,
        "detail": found.detail,
        "format": found.format,
        "width": found.width,
        "height": found.height,
        "file_digest": digest,
    }


def _row(content: bytes | Unreadable, setup: Setup) -> dict[str, Any]:
    if isinstance(content, Unreadable):
        return unreadable_row(content)
    digest = file_digest(content)
    picture = open_picture(content, max_pixels=setup.max_pixels, background=setup.background)
    if isinstance(picture, Unreadable):
        return unreadable_row(picture, digest)
    return {"file_digest": digest, **_values(picture, setup)}


def _values(picture: Picture, setup: Setup) -> dict[str, Any]:
    small = thumbnail(picture.image)
    oriented = {transform: turned(picture.image, transform) for transform in ("identity", *setup.transforms)}
    codes = {
        column: MODES[setup.mode]([oriented[transform]], algorithm, setup.bits)[0].tobytes()
        for column, algorithm, transform in setup.codes()
    }
    return {
        "status": "ok",
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "pixel_digest": picture.pixel_digest,
        "information": information(small),
        "compression": compression(picture),
        "thumbnail": small.tobytes(),
        **codes,
    }
