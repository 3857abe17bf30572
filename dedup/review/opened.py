"""A finished run, opened for looking: columns as they are asked for, read with Arrow.

Arrow and not DuckDB: it is what the tables are written with and a dependency anyway, a filter over
10⁵ pairs takes it some milliseconds, and the columns that are needed of 10⁶ samples are 100 MB.
Columns that a run of an older version does not have are null.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup import tables
from dedup.runs import folder
from dedup.tables import storage

Samples = NDArray[np.int64]
Codes = NDArray[np.int32]

_ROWS_AT_ONCE: Final = 16_384  # of a table of which some rows are picked


@dataclass(frozen=True, slots=True)
class Named:
    """A column of few values: the values, and of each row its place among them; -1: null."""

    names: tuple[str, ...]
    codes: Codes

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Named":
        """From a column of strings, or one that is encoded as a dictionary."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        encoded = encoded.unify_dictionaries()
        names = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
        codes = [chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks]
        joined = np.concatenate(codes) if codes else np.empty(0, np.int32)

        return cls(tuple(names), joined.astype(np.int32))

    def at(self, row: int) -> str | None:
        """The value of a row."""
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]

    def is_one(self, name: str | None) -> NDArray[np.bool_]:
        """Whether each row has this value; None: whether it is null."""
        code = -1 if name is None else self.names.index(name) if name in self.names else -2
        return np.asarray(self.codes == code)


class OpenedRun:
    """The tables of a finished run; nothing is read before it is asked for."""

    def __init__(self, run_folder: Path) -> None:
        with folder.reading(run_folder):
            self.info = folder.finished(run_folder)
            self.summary = folder.read_json(run_folder / folder.SUMMARY)

        self.folder = run_folder
        self.stamp = stamp_of(run_folder)

    @property
    def title(self) -> str:
        """What the dataset is called."""
        return str(self.info["source"]["name"])

    @property
    def resolved(self) -> dict[str, Any]:
        """The settings with the numbers that `auto` came to."""
        settings: dict[str, Any] = self.summary["resolved"]
        return settings

    def has(self, name: str) -> bool:
        """Whether the run has a table."""
        return (self.folder / f"{name}.parquet").exists()

    def read(
        self, name: str, columns: Sequence[str], named: Sequence[str] = (), where: Any = None
    ) -> pa.Table:
        """Some columns of a table, in one piece; null where an older run has them not.

        `named`: columns of few different values. `where`: a filter as Parquet's reader takes it.
        """
        path = self.folder / f"{name}.parquet"
        schema = _schema(path)
        there = [column for column in columns if column in schema.names]
        table = pq.read_table(
            path, columns=there, read_dictionary=list(named), filters=where, partitioning=None
        ).combine_chunks()
        for place, column in enumerate(columns):
            if column not in there:
                table = table.add_column(place, column, pa.nulls(len(table)))

        return table.select(list(columns))

    @cached_property
    def n_samples(self) -> int:
        """Samples of the dataset."""
        return int(self.summary["samples"]["total"])

    @cached_property
    def ids(self) -> pa.Array:
        """Of each sample."""
        return _in_one(self.read("manifest", ["id"])["id"])

    @cached_property
    def splits(self) -> Named:
        """Of each sample."""
        return Named.of(self.read("manifest", ["split"], ["split"])["split"])

    @cached_property
    def labels(self) -> Named:
        """Of each sample."""
        return Named.of(self.read("manifest", ["label"], ["label"])["label"])

    @cached_property
    def sides(self) -> Codes:
        """Pixels of the longer side of each picture; 0 where that is not known."""
        sizes = self.read("hashes", ["width", "height"])
        width, height = (sizes[name].fill_null(0).to_numpy() for name in ("width", "height"))
        return np.asarray(np.maximum(width, height), np.int32)

    @cached_property
    def pixels(self) -> pa.ChunkedArray:
        """The pixel digest of each sample; null where nothing was decoded."""
        return self.read("hashes", ["pixel_digest"])["pixel_digest"]

    @cached_property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Of each sample."""
        held_out = [
            place
            for place, name in enumerate(self.splits.names)
            if name in set(self.resolved["held_out"])
        ]
        return np.isin(self.splits.codes, held_out)

    def digest(self, sample: int) -> bytes | None:
        """The pixel digest of a sample."""
        value: bytes | None = self.pixels[sample].as_py()
        return value

    def sample_of(self, name: str) -> int | None:
        """The sample with an id."""
        found = tables.places(pa.chunked_array([self.ids]), pa.array([name], pa.string()))
        place: int | None = found[0].as_py()
        return place

    def rows(self, name: str, samples: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some columns of the rows of a few samples, in a table with one row per sample."""
        schema = _schema(self.folder / f"{name}.parquet")
        arrays = [
            storage.values(self.folder, name, column, samples)
            if column in schema.names
            else [None] * len(samples)
            for column in columns
        ]
        types = [
            schema.field(column).type if column in schema.names else pa.null() for column in columns
        ]

        return pa.table(
            [pa.array(values, kind) for values, kind in zip(arrays, types, strict=True)],
            names=list(columns),
        )


def stamp_of(run_folder: Path) -> tuple[int, int, int]:
    """What changes when a run takes the place of another one."""
    status = (run_folder / folder.RUN).stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _schema(path: Path) -> pa.Schema:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    return pq.read_schema(files[0])


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def pair_keys(a: Samples, b: Samples, n_samples: int) -> Samples:
    """One number for each pair, the lower sample first; -1 where one is not there."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.where(low < 0, -1, low * n_samples + high)


def strings(values: Sequence[str | None]) -> pa.Array:
    """A column of texts."""
    return pa.array(values, pa.string())


def first_words(pixels: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Of each digest eight bytes; 0 of null."""
    filled = pixels.cast(pa.binary(tables.DIGEST_BYTES))
    words = np.ascontiguousarray(tables.fixed_width(filled)[:, :8]).view("<u8").reshape(-1).copy()
    words[pc.is_null(filled).to_numpy()] = 0
    return words
