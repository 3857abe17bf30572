"""A batch of stored bytes to the columns of `hashes`: all that is measured on a picture, or why
there is none.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.decoding.pictures import Unreadable, file_digest, open_picture, turned
from dedup.hashers import families, pdq, thumbnail
from dedup.hashers.compression import compression
from dedup.hashers.luma import Luma, luma_of, open_luma
from dedup.hashers.resampling import Plane
from dedup.hashers.setup import Setup
from dedup.tables import MIN_INFORMATION

Row = dict[str, Any]  # by column; what is not there is null

_SAID: Final = (
    "status", "detail", "width", "height", "format", "n_frames",
    "file_digest", "pixel_digest", "compression",
)  # fmt: skip
"""Columns that are known before the luma is measured."""

_LEVELS_AT_ONCE: Final = 1_400_000  # of lumas that are in memory together: some thirty photos


def measure(contents: Sequence[bytes | Unreadable], setup: Setup) -> dict[str, pa.Array]:
    """One column per field of the table but `sample`, in the order of the schema; one row per
    content, in their order.

    A row depends on its own bytes only, never on the others of the batch.
    """
    fields = [field for field in setup.schema() if field.name != "sample"]
    if setup.mode == "fast":
        return _Measured(contents, setup).columns(fields)

    rows = [_compat(content, setup) for content in contents]

    return {
        field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in fields
    }


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


class _Measured:
    """Contents in mode `fast`: what the files say as lists, what is measured on the lumas as
    arrays.

    There is no object for a row: at 32 px it would cost more than the hash.
    """

    def __init__(self, contents: Sequence[bytes | Unreadable], setup: Setup) -> None:
        self._setup = setup
        self._said: dict[str, list[Any]] = {name: [None] * len(contents) for name in _SAID}
        self._readable = np.zeros(len(contents), bool)
        self._arrays: dict[str, NDArray[Any]] = {}
        waiting: list[tuple[int, Luma]] = []
        n_levels = 0

        for at, content in enumerate(contents):
            luma = self._opened(at, content)
            if luma is None:
                continue
            waiting.append((at, luma))
            n_levels += luma.plane.levels.size
            if n_levels > _LEVELS_AT_ONCE:
                self._measure(contents, waiting)
                waiting, n_levels = [], 0

        if waiting:
            self._measure(contents, waiting)

    def columns(self, fields: Sequence[pa.Field]) -> dict[str, pa.Array]:
        """The columns of these fields."""
        return {field.name: self._column(field) for field in fields}

    def _opened(self, at: int, content: bytes | Unreadable) -> Luma | None:
        said = self._said
        found: Luma | Unreadable
        if isinstance(content, Unreadable):
            found = content
        else:
            own = said["file_digest"][at] = file_digest(content)
            found = open_luma(content, self._setup, own)

        said["width"][at], said["height"][at], said["format"][at] = (
            found.width,
            found.height,
            found.format,
        )
        if isinstance(found, Unreadable):
            said["status"][at], said["detail"][at] = found.status, found.detail
            return None

        said["status"][at], said["detail"][at], said["n_frames"][at] = (
            "ok",
            found.remark,
            found.n_frames,
        )
        said["pixel_digest"][at], said["compression"][at] = found.pixel_digest, found.compression

        return found

    def _measure(
        self, contents: Sequence[bytes | Unreadable], lumas: Sequence[tuple[int, Luma]]
    ) -> None:
        places = np.array([at for at, _ in lumas])
        self._readable[places] = True
        of = _of_lumas([luma.plane for _, luma in lumas], self._setup)

        for name, values in of.items():
            if name not in self._arrays:
                self._arrays[name] = np.zeros(
                    (len(self._readable), *values.shape[1:]), values.dtype
                )
            self._arrays[name][places] = values

        for k in np.flatnonzero(of["information"] < MIN_INFORMATION).tolist():
            at, luma = lumas[k]
            if luma.from_stream:
                self._said["pixel_digest"][at] = (
                    _decoded_digest(contents[at], self._setup) or luma.pixel_digest
                )

    def _column(self, field: pa.Field) -> pa.Array:
        if field.name in self._said:
            return pa.array(self._said[field.name], field.type)

        n_null = int(np.sum(~self._readable))
        if n_null == len(self._readable):
            return pa.nulls(n_null, field.type)

        valid = pa.py_buffer(np.packbits(self._readable, bitorder="little")) if n_null else None
        values = pa.py_buffer(self._arrays[field.name])

        return pa.Array.from_buffers(field.type, len(self._readable), [valid, values], n_null)


def _decoded_digest(content: bytes | Unreadable, setup: Setup) -> bytes | None:
    """The digest of all pixels: what matches pictures without information, whatever their
    format.
    """
    if isinstance(content, Unreadable):
        return None
    picture = open_picture(content, max_pixels=setup.max_pixels, background=setup.background)
    return None if isinstance(picture, Unreadable) else picture.pixel_digest


def _of_lumas(planes: Sequence[Plane], setup: Setup) -> Mapping[str, NDArray[Any]]:
    """Codes, the thumbnail and the information of a batch of lumas, as arrays of one row each."""
    turns = ("identity", *setup.transforms)
    thumbnails, found, small = families.measured(planes, setup.algorithms, setup.bits, turns)
    columns: dict[str, NDArray[Any]] = {
        "thumbnail": thumbnails.reshape(len(planes), -1),
        "information": thumbnail.information(thumbnails).astype(np.float32),
    }

    for name in setup.algorithms:
        columns |= {
            column: of for (column, *_), of in zip(setup.codes_of(name), found[name], strict=True)
        }

    if "pdq" in small:
        columns["pdq_quality"] = pdq.quality(small["pdq"])

    return columns


def _compat(content: bytes | Unreadable, setup: Setup) -> Row:
    # ImageHash, SciPy and PyWavelets, of which other modes have no use
    from dedup.hashers import (
        compat,
    )

    if isinstance(content, Unreadable):
        return unreadable_row(content)

    digest = file_digest(content)
    picture = open_picture(content, max_pixels=setup.max_pixels, background=setup.background)
    if isinstance(picture, Unreadable):
        return unreadable_row(picture, digest)

    small = thumbnail.thumbnail(picture.image)
    oriented = {
        transform: turned(picture.image, transform) for transform in ("identity", *setup.transforms)
    }
    row = {
        "status": "ok",
        "detail": picture.remark,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "n_frames": picture.n_frames,
        "file_digest": digest,
        "pixel_digest": picture.pixel_digest,
        "information": float(thumbnail.information(small)),
        "compression": compression(picture),
        "thumbnail": small.tobytes(),
    }
    for column, algorithm, transform in setup.codes():
        if algorithm not in families.OWN:
            row[column] = compat.codes([oriented[transform]], algorithm, setup.bits)[0].tobytes()

    for name in setup.algorithms:
        if name in families.OWN:
            row |= _own(name, luma_of(picture.image, setup.bits), setup)

    return row


def _own(name: str, plane: Plane, setup: Setup) -> Row:
    """An algorithm that is not of ImageHash: the same computation in both modes, here on the whole
    picture.
    """
    turns = ("identity", *setup.transforms)
    codes, small = families.own_codes(plane, name, setup.bits, turns)
    columns: Row = {
        column: of[0].tobytes()
        for (column, *_), of in zip(setup.codes_of(name), codes, strict=True)
    }
    if name == "pdq":
        columns["pdq_quality"] = int(pdq.quality(small)[0])

    return columns
