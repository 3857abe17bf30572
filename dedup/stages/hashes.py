"""hashes: exactly one row per sample, with what was measured on its picture or why there is none.

Work for an engine: this module is named to it, and `start` and `lost` are what it calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from dedup import tables
from dedup.config import Config
from dedup.errors import InternalError
from dedup.formats import read_bytes
from dedup.hashers import MODES
from dedup.hashers.compression import compression
from dedup.hashers.thumbnail import information, thumbnail
from dedup.images import Picture, Unreadable, file_digest, open_picture, turned

WORK: Final = "dedup.stages.hashes"
BATCH_ROWS: Final = 32  # about a tenth of a second of work: progress moves, and a dead worker loses little


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker must know: the part of the config that decides the table."""

    algorithms: tuple[str, ...]
    bits: int
    mode: str
    background: str
    max_pixels: int
    transforms: tuple[str, ...] = ()  # orientations that are hashed besides the picture as it stands

    @classmethod
    def of(cls, config: Config) -> "Setup":
        """The part of the config that decides the table."""
        of = config.hash
        transforms = tables.ORIENTATIONS[config.search.orientations]
        return cls(of.algorithms, of.bits, of.mode, of.background, of.max_pixels, transforms)

    def spec(self) -> dict[str, Any]:
        """The spec that travels with the codes: the settings and the choices made before a hash is computed."""
        return {
            "algorithms": list(self.algorithms),
            "bits": self.bits,
            "mode": self.mode,
            "background": self.background,
            "max_pixels": self.max_pixels,
            "transforms": list(self.transforms),
            "frame": "first",
            "exif_orientation": "applied",
            "colour_profile": "ignored",
            "depth": "scaled to 8 bits",
            "thumbnail": f"{tables.THUMBNAIL_SIDE}x{tables.THUMBNAIL_SIDE} L, bilinear",
            "file_digest": "sha256",
        }

    def schema(self) -> pa.Schema:
        """Schema of the table."""
        return tables.hashes_schema({column: self.bits // 8 for column, _, _ in self.codes()})

    def codes(self) -> list[tuple[str, str, str]]:
        """(column, algorithm, transform) of every column of codes."""
        return [
            (tables.code_column(algorithm, transform), algorithm, transform)
            for algorithm in self.algorithms
            for transform in ("identity", *self.transforms)
        ]


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from PAYLOAD batches to batches of the table, its `sample` being the row of the source."""
    of = _setup(setup)
    return lambda batch: _measure(batch, of)


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """The rows of a batch whose worker died on it. Their bytes are digested, but not decoded again."""
    gone: list[tuple[int, bytes | None, Picture | Unreadable]] = []
    for row, path, stored in zip(*(batch[c].to_pylist() for c in ("row", "path", "data")), strict=True):
        data = read_bytes(path, stored)
        digest = None if isinstance(data, Unreadable) else file_digest(data)
        gone.append((row, digest, Unreadable("undecodable", reason)))
    return _batch(gone, _setup(setup))


def hashes(parts: Sequence[pa.RecordBatch], row_of_sample: Any, setup: Setup) -> pa.Table:
    """The table in sample order from the parts that the engine gave, which are in source order."""
    table = pa.Table.from_batches(parts, setup.schema())
    if len(table) != len(row_of_sample):
        message = f"{len(row_of_sample)} samples went in and {len(table)} hashes came out."
        raise InternalError(message)
    ordered = table.take(pa.array(row_of_sample))
    samples = pa.array(range(len(ordered)), pa.int64())
    return ordered.set_column(0, ordered.schema.field(0), samples).combine_chunks()


def _setup(setup: Mapping[str, Any]) -> Setup:
    return Setup(**{**setup, "algorithms": tuple(setup["algorithms"]), "transforms": tuple(setup["transforms"])})


def _measure(batch: pa.RecordBatch, setup: Setup) -> pa.RecordBatch:
    measured: list[tuple[int, bytes | None, Picture | Unreadable]] = []
    for row, path, stored in zip(*(batch[c].to_pylist() for c in ("row", "path", "data")), strict=True):
        data = read_bytes(path, stored)
        if isinstance(data, Unreadable):
            measured.append((row, None, data))
        else:
            picture = open_picture(data, max_pixels=setup.max_pixels, background=setup.background)
            measured.append((row, file_digest(data), picture))
    return _batch(measured, setup)


def _batch(measured: Sequence[tuple[int, bytes | None, Picture | Unreadable]], setup: Setup) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {name: [] for name in setup.schema().names}
    for row, digest, picture in measured:
        values: dict[str, Any] = {"sample": row, "file_digest": digest}
        if isinstance(picture, Unreadable):
            values |= {"status": picture.status, "detail": picture.detail, "format": picture.format}
            values |= {"width": picture.width, "height": picture.height}
        else:
            values |= _values(picture, setup)
        for name, column in columns.items():
            column.append(values.get(name))
    return pa.record_batch(list(columns.values()), schema=setup.schema())


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
