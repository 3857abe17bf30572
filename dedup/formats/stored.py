"""One split of a Hugging Face dataset as Arrow tables, whatever it is stored in. Images stay the
structs they are.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetInfo, Features, IterableDataset
from datasets.table import table_cast
from numpy.typing import NDArray

from dedup.errors import SourceError
from dedup.formats.footers import PARQUET_ERRORS, broken, refuse_fatal
from dedup.formats.places import is_url, opened
from dedup.formats.references import of_mapped, of_parquet

_BYTES_AT_ONCE: Final = 64_000_000  # of one batch, decompressed: large photos make small batches


class Stored(Protocol):
    """Rows somewhere."""

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order, at most `size` in a table."""

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows; None where rows cannot be had out of order."""

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """All rows in order: REFERENCES to the places of the column's bytes, or the column where
        that cannot be said.

        Rows of references count from the first one that is stored here.
        """

    def select(self, start: int, stop: int) -> "Stored":
        """A range of the rows."""

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """The kept rows as a `datasets.Dataset`."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split."""

    raw_name: str  # as the dataset calls it
    features: Features
    n_rows: int
    stored: Stored


@dataclass(frozen=True, slots=True)
class InMemory:
    """A `datasets.Dataset`: in memory or, more often, mapped from Arrow files."""

    rows: Dataset

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order."""
        chosen = self.rows if columns is None else self.rows.select_columns(list(columns))
        return iter(chosen.with_format("arrow").iter(batch_size=size))

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows."""
        table = self.rows.select_columns([column]).with_format("arrow")[list(rows)]
        return list(table[column].to_pylist())

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """Places in the Arrow files that the rows are mapped from."""
        return _places_in_arrow(self.tables([column], size), column)

    def select(self, start: int, stop: int) -> "InMemory":
        """A range of the rows."""
        return InMemory(self.rows.select(range(start, stop)))

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """The kept rows."""
        return self.rows.select(kept)


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files, on this machine or at URLs, of which row groups are read as they are
    needed.
    """

    files: tuple[str, ...]
    start: int  # first row that counts
    stop: int  # first row that does not count any more
    features: Features

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order."""
        self._last_group.clear()
        for group, low, high, _ in self._chosen():
            yield from self._rows_of(group, low, high, columns, size)

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """Places in row groups that are small enough to be read whole by whoever gets the task."""
        refuse_fatal([file for file in self.files if not is_url(file)])
        for group, low, high, first in self._chosen():
            name, number = group
            n_bytes = (
                None
                if is_url(name)
                else self._read(name, lambda file, g=number: _bytes_of(file, g, column))
            )
            if n_bytes is None or n_bytes > _BYTES_AT_ONCE:
                yield from self._rows_of(group, low, high, [column], size)
                continue
            rows = np.arange(first + low - self.start, first + high - self.start)
            path, at = os.fsencode(os.path.abspath(name)), np.arange(low, high)
            yield of_parquet(rows, path, number, at, n_bytes // max(1, high), column)

    def _chosen(self) -> Iterator[tuple[tuple[str, int], int, int, int]]:
        """((file, row group), first row in it, row after the last in it, its first row among all)
        of what counts.
        """
        for group, first, stop in self._groups:
            low, high = max(self.start - first, 0), min(self.stop, stop) - first
            if low < high:
                yield group, low, high, first

    def _rows_of(
        self, group: tuple[str, int], low: int, high: int, columns: Sequence[str] | None, size: int
    ) -> Iterator[pa.Table]:
        row = 0
        for batch in self._batches(group, columns, size):
            part = batch.slice(
                max(low - row, 0), max(min(high, row + len(batch)) - max(low, row), 0)
            )
            row += len(batch)
            if len(part):
                yield self._fitted(pa.Table.from_batches([part]))

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows."""
        wanted = np.asarray(rows, dtype=np.int64) + self.start
        values: list[Any] = [None] * len(rows)
        for group, first, stop in self._groups:
            inside = np.flatnonzero((wanted >= first) & (wanted < stop))
            if len(inside):
                stored = self._of_group(group, column)
                for i in inside:
                    values[int(i)] = stored[int(wanted[i]) - first].as_py()

        return values

    def _fitted(self, table: pa.Table) -> pa.Table:
        """Columns of one file in the order and types of all."""
        schema = self.features.arrow_schema
        wanted = [field for field in schema if field.name in table.column_names]
        return fitted(table, pa.schema(wanted, schema.metadata))

    def _of_group(self, group: tuple[str, int], column: str) -> pa.ChunkedArray:
        """A column of a row group. The last one is kept: rows are taken a few at a time, a hundred
        of one group.
        """
        if (group, column) not in self._last_group:
            self._last_group.clear()
            read = self._read(
                group[0], lambda file: file.read_row_group(group[1], columns=[column])
            )
            self._last_group[group, column] = read[column]
        return self._last_group[group, column]

    def select(self, start: int, stop: int) -> "ParquetFiles":
        """A range of the rows."""
        return ParquetFiles(
            self.files, self.start + start, min(self.start + stop, self.stop), self.features
        )

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """The kept rows."""
        return Dataset.from_parquet(list(self.files), features=self.features).select(
            kept + self.start
        )

    @cached_property
    def _groups(self) -> list[tuple[tuple[str, int], int, int]]:
        """((file, row group), first row, row after the last) in order."""
        groups, sizes = [], [0]
        for file in self.files:
            metadata = parquet_file(file).metadata
            groups += [(file, group) for group in range(metadata.num_row_groups)]
            sizes += [
                metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)
            ]

        ends = pairwise(np.cumsum(sizes).tolist())

        return [(group, first, stop) for group, (first, stop) in zip(groups, ends, strict=True)]

    def _batches(
        self, group: tuple[str, int], columns: Sequence[str] | None, size: int
    ) -> Iterator[pa.RecordBatch]:
        def read(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
            of_group = file.metadata.row_group(group[1])
            n_bytes = max(1, of_group.total_byte_size // max(1, of_group.num_rows))
            rows = max(1, min(size, _BYTES_AT_ONCE // n_bytes))
            return iter(file.iter_batches(rows, row_groups=[group[1]], columns=columns))

        try:
            yield from self._read(group[0], read)
        except PARQUET_ERRORS as error:
            raise broken(group[0], error) from error

    @cached_property
    def _last_group(self) -> dict[tuple[tuple[str, int], str], pa.ChunkedArray]:
        """The row group that rows were taken of last."""
        return {}

    @cached_property
    def _last(self) -> dict[str, pq.ParquetFile]:
        """The file that was read last: opening one at a URL costs a request and its footer
        another.
        """
        return {}

    def _read(self, name: str, read: Any) -> Any:
        try:
            if name not in self._last:
                self._last.clear()
                self._last[name] = parquet_file(name)
            return read(self._last[name])
        except PARQUET_ERRORS as error:
            raise broken(name, error) from error


@dataclass(frozen=True)
class ArrowTable:
    """Rows of Arrow files, mapped and not read."""

    table: pa.Table
    features: Features

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order."""
        chosen = self.table if columns is None else self.table.select(list(columns))
        return (chosen.slice(start, size) for start in range(0, len(chosen), size))

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows."""
        values = self.table[column]
        return [values[row].as_py() for row in rows]

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """Places in the Arrow files."""
        return _places_in_arrow(self.tables([column], size), column)

    def select(self, start: int, stop: int) -> "ArrowTable":
        """A range of the rows."""
        return ArrowTable(self.table.slice(start, stop - start), self.features)

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """The kept rows."""
        table = table_cast(self.table, self.features.arrow_schema)
        return Dataset(table, info=DatasetInfo(features=self.features)).select(kept)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A `datasets.IterableDataset`: read from the first row to the last, as often as needed, and
    never stored.
    """

    rows: IterableDataset

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order. Columns are always named: some streams have them in another order in
        every row.
        """
        chosen = self.rows.select_columns(list(self.rows.features if columns is None else columns))
        return iter(chosen.with_format("arrow").iter(batch_size=size))

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Nothing: a stream has no order but its own, and reading it again for a few pictures takes
        too long.
        """
        return [None] * len(rows)

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """The rows themselves."""
        return self.tables([column], size)

    def select(self, start: int, stop: int) -> "Streamed":
        """A range of the rows."""
        return Streamed(self.rows.skip(start).take(stop - start))

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """Raises `SourceError`: what does not fit the disk does not fit a dataset in memory."""
        message = (
            f"A streamed dataset cannot be held in memory ({len(kept):,} rows). Set output.dir to"
            " write it."
        )
        raise SourceError(message)


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of the schema, in its order and types; as it is where it has them
    already.
    """
    if table.schema.names == schema.names and table.schema.types == schema.types:
        return table
    return table.select(schema.names).cast(schema)


def parquet_file(name: str) -> pq.ParquetFile:
    """The Parquet file at a path or URL."""
    return pq.ParquetFile(opened(name)) if is_url(name) else pq.ParquetFile(name)


def arrow_table(name: str) -> pa.Table:
    """The rows of an Arrow file, in the streaming or the file format, mapped into memory."""
    source = pa.memory_map(name)
    try:
        return pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_file(source).read_all()


def _places_in_arrow(parts: Iterator[pa.Table], column: str) -> Iterator[pa.RecordBatch | pa.Table]:
    row = 0
    for part in parts:
        at = 0
        for found in of_mapped(part[column], row):
            n = found if isinstance(found, int) else len(found)
            yield part.slice(at, n) if isinstance(found, int) else found
            at += n
        row += len(part)


def _bytes_of(file: pq.ParquetFile, group: int, column: str) -> int | None:
    """Bytes of a column of bytes or image structs in a row group, or None where some may be
    missing.
    """
    of_group = file.metadata.row_group(group)
    for number in range(of_group.num_columns):
        chunk = of_group.column(number)
        if chunk.path_in_schema in {column, f"{column}.bytes"}:
            statistics = chunk.statistics
            whole = (
                statistics is not None and statistics.has_null_count and statistics.null_count == 0
            )
            return int(chunk.total_uncompressed_size) if whole else None

    return None
