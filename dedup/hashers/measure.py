"""A batch of stored bytes to the columns of `hashes`: all that is measured on a picture, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.hashers import compat, fast, pdq, resampling, thumbnail
from dedup.hashers.compression import compression
from dedup.hashers.luma import Luma, luma_of, open_luma
from dedup.hashers.resampling import Plane, Target
from dedup.hashers.setup import Setup
from dedup.hashers.turns import TURNS
from dedup.images import Unreadable, file_digest, open_picture, turned
from dedup.tables import THUMBNAIL_SIDE

Row = dict[str, Any]  # by column; what is not there is null

_THUMBNAIL: Final = Target(THUMBNAIL_SIDE, THUMBNAIL_SIDE, "bilinear")


def measure(contents: Sequence[bytes | Unreadable], setup: Setup) -> dict[str, pa.Array]:
    """One column per field of the table but `sample`, in the order of the schema; one row per content, in their order.

    A row depends on its own bytes only, never on the others of the batch.
    """
    rows = _fast(contents, setup) if setup.mode == "fast" else [_compat(content, setup) for content in contents]
    fields = [field for field in setup.schema() if field.name != "sample"]
    return {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in fields}


def unreadable_row(found: Unreadable, digest: bytes | None = None) -> Row:
    """What stands in the table when there is no picture."""
    return {
        "status": found.status,
        "detail": found.detail,
        "format": found.format,
        "width": found.width,
        "height": found.height,
        "file_digest": digest,
    }


def _fast(contents: Sequence[bytes | Unreadable], setup: Setup) -> list[Row]:
    rows: list[Row] = []
    seen: list[tuple[int, bytes, Luma]] = []
    for content in contents:
        if isinstance(content, Unreadable):
            rows.append(unreadable_row(content))
            continue
        digest, luma = file_digest(content), open_luma(content, setup)
        if isinstance(luma, Unreadable):
            rows.append(unreadable_row(luma, digest))
            continue
        seen.append((len(rows), content, luma))
        rows.append({"status": "ok", "file_digest": digest, **_facts(luma)})
    measured = _measured([luma.plane for _, _, luma in seen], setup)
    for k, (at, content, luma) in enumerate(seen):
        rows[at] |= {name: column[k] for name, column in measured.items()}
        if luma.from_stream and rows[at]["information"] < thumbnail.MIN_INFORMATION:
            rows[at]["pixel_digest"] = _decoded_digest(content, setup) or luma.pixel_digest
    return rows


def _facts(luma: Luma) -> Row:
    return {
        "width": luma.width,
        "height": luma.height,
        "format": luma.format,
        "pixel_digest": luma.pixel_digest,
        "compression": luma.compression,
    }


def _decoded_digest(content: bytes, setup: Setup) -> bytes | None:
    """The digest of all pixels: what matches pictures without information, whatever their format."""
    picture = open_picture(content, max_pixels=setup.max_pixels, background=setup.background)
    return None if isinstance(picture, Unreadable) else picture.pixel_digest


def _measured(planes: Sequence[Plane], setup: Setup) -> Mapping[str, Sequence[Any]]:
    """Columns of codes, the thumbnail and the information, for a batch of lumas."""
    turns = ("identity", *setup.transforms)
    swapped = any(TURNS[turn][0] for turn in turns)
    wanted = {
        name: [pdq.TARGET] if name == "pdq" else fast.targets(name, setup.bits, swapped=swapped)
        for name in setup.algorithms
    }
    small = iter(resampling.shrink(planes, [_THUMBNAIL, *(one for of in wanted.values() for one in of)]))
    thumbnails = resampling.grey(next(small))
    columns: dict[str, Sequence[Any]] = {
        "thumbnail": _bytes(thumbnails),
        "information": thumbnail.information(thumbnails).astype(np.float32).tolist(),
    }
    for name, targets in wanted.items():
        own = [next(small) for _ in targets]
        codes = pdq.oriented(own[0], turns) if name == "pdq" else fast.oriented(name, setup.bits, own, turns)
        columns |= {column: _bytes(of) for (column, *_), of in zip(setup.codes_of(name), codes, strict=True)}
        if name == "pdq":
            columns["pdq_quality"] = pdq.quality(own[0]).tolist()
    return columns


def _bytes(values: NDArray[np.uint8]) -> list[bytes]:
    return [value.tobytes() for value in values]


def _compat(content: bytes | Unreadable, setup: Setup) -> Row:
    if isinstance(content, Unreadable):
        return unreadable_row(content)
    digest = file_digest(content)
    picture = open_picture(content, max_pixels=setup.max_pixels, background=setup.background)
    if isinstance(picture, Unreadable):
        return unreadable_row(picture, digest)
    small = thumbnail.thumbnail(picture.image)
    oriented = {transform: turned(picture.image, transform) for transform in ("identity", *setup.transforms)}
    row = {
        "status": "ok",
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "file_digest": digest,
        "pixel_digest": picture.pixel_digest,
        "information": float(thumbnail.information(small)),
        "compression": compression(picture),
        "thumbnail": small.tobytes(),
    }
    for column, algorithm, transform in setup.codes():
        if algorithm != "pdq":
            row[column] = compat.codes([oriented[transform]], algorithm, setup.bits)[0].tobytes()
    if "pdq" in setup.algorithms:
        row |= _pdq(luma_of(picture.image, setup.bits), setup)
    return row


def _pdq(plane: Plane, setup: Setup) -> Row:
    """PDQ is none of ImageHash's: the same computation in both modes, here on the whole picture."""
    (small,) = resampling.shrink([plane], [pdq.TARGET])
    codes = pdq.oriented(small, ("identity", *setup.transforms))
    columns = {column: of[0].tobytes() for (column, *_), of in zip(setup.codes_of("pdq"), codes, strict=True)}
    return {**columns, "pdq_quality": int(pdq.quality(small)[0])}
