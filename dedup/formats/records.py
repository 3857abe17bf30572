"""Rows of text files and Parquet files, read and written without a change: what manifests and
metadata are made of.
"""

import csv
import io
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final, Protocol, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.errors import SourceError, because
from dedup.formats.footers import PARQUET_ERRORS, reading
from dedup.formats.further import Further, inferred, of_schema
from dedup.formats.nested import MAX_DEPTH, parsed
from dedup.formats.places import is_url, local, opened
from dedup.formats.placing import new_file, refuse_taken
from dedup.formats.source import as_text

logger = logging.getLogger(__name__)

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


_LONGEST_CELL: Final = 2**31 - 1
"""Characters. Python's own limit of 131,072 is shorter than some captions; this is the most that it
takes.
"""

_ROWS_AT_ONCE: Final = 1024

Record = dict[str, Any]
"""One row, by column."""

Values = Mapping[str, Mapping[int, str]]
"""New values: by column, by row."""

NO_VALUES: Final[Values] = MappingProxyType({})


class Records(Protocol):
    """The rows of a table of texts and numbers."""

    names: list[str]  # of the columns, in order
    n_rows: int

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""

    def is_binary(self, column: str) -> bool:
        """Whether a column can hold encoded images."""

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes in the named rows of a column."""

    def picked(self, rows: Sequence[int], values: Values = NO_VALUES) -> list[Record]:
        """The named rows as they are, with new values."""

    def further(self, columns: Sequence[str]) -> Further:
        """Some columns with their types, row by row."""

    def write(
        self,
        path: Path,
        keep: NDArray[np.bool_],
        changes: Mapping[str, Any],
        values: Values = NO_VALUES,
        more: Sequence[Record] = (),
    ) -> None:
        """Write the kept records, and behind them `more` of another file with the same columns.

        `changes` has a function from text to text for some columns.
        """


class _Texts(ABC):
    """Records of a CSV, TSV or JSONL file."""

    def __init__(self, names: list[str], values: list[dict[str, Any]]) -> None:
        self.names = names
        self._values = values
        self.n_rows = len(values)

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""
        return [as_text(record.get(column)) for record in self._values]

    def is_binary(self, column: str) -> bool:
        """Text files hold no bytes."""
        return False

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """Text files hold no bytes."""
        message = f"Column {column!r}: bytes need a Parquet manifest; text manifests name files."
        raise SourceError(message)

    def picked(self, rows: Sequence[int], values: Values = NO_VALUES) -> list[Record]:
        """The named rows as they are, with new values."""
        return [
            self._values[row] | {c: new[row] for c, new in values.items() if row in new}
            for row in rows
        ]

    def further(self, columns: Sequence[str]) -> Further:
        """All values are texts."""
        schema = pa.schema([(column, pa.string()) for column in columns])
        return Further(
            schema,
            lambda: ({c: as_text(record.get(c)) for c in columns} for record in self._values),
        )

    def write(
        self,
        path: Path,
        keep: NDArray[np.bool_],
        changes: Mapping[str, Any],
        values: Values = NO_VALUES,
        more: Sequence[Record] = (),
    ) -> None:
        """Write the kept records and more."""
        with new_file(path, encoding="utf-8", newline="") as file:
            self._put(chain(self._changed(keep, changes, values), more), file)

    @abstractmethod
    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        """Write whole records in the form of the file."""

    def _changed(
        self, keep: NDArray[np.bool_], changes: Mapping[str, Any], values: Values
    ) -> Iterator[Record]:
        for row, (kept, record) in enumerate(zip(keep, self._values, strict=True)):
            if kept:
                changed = {c: change(record[c]) for c, change in changes.items() if record.get(c)}
                yield record | changed | {c: new[row] for c, new in values.items() if row in new}


class _Delimited(_Texts):
    def __init__(self, path: str, delimiter: str) -> None:
        self._delimiter = delimiter
        with (
            _long_cells(),
            io.TextIOWrapper(opened(path), encoding="utf-8-sig", newline="") as file,
        ):
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(lines, [])
            if padded := [name for name in header if name != name.strip()]:
                message = (
                    f"{path}: blanks around the column name {padded[0]!r}. Take them out of the"
                    " header."
                )
                raise SourceError(message)
            if len(set(header)) < len(header):
                message = (
                    f"{path}: a column name occurs twice in the header:"
                    f" {', '.join(map(repr, header))}."
                )
                raise SourceError(message)
            values = []
            for row, line in enumerate((line for line in lines if line), start=1):
                if len(line) != len(header):
                    message = (
                        f"{path}, row {row}: {len(line)} fields, the header has {len(header)}."
                    )
                    raise SourceError(message)
                values.append(dict(zip(header, line, strict=True)))

        super().__init__(header, values)

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        writer = csv.writer(file, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows([record[name] for name in self.names] for record in records)


class Listed(_Delimited):
    """Records that no file holds yet; they are written as CSV."""

    def __init__(self, names: list[str], values: list[dict[str, Any]]) -> None:
        _Texts.__init__(self, names, values)
        self._delimiter = ","


class _Lines(_Texts):
    def __init__(self, path: str) -> None:
        values: list[dict[str, Any]] = []
        names: dict[str, None] = {}
        deep: list[int] = []

        with io.TextIOWrapper(opened(path), encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record, is_deep = parsed(line)
                except ValueError as error:
                    message = f"{path}, line {number}: not valid JSON: {because(error)}."
                    raise SourceError(message) from error
                if not isinstance(record, dict):
                    message = (
                        f"{path}, line {number}: expected an object, got {type(record).__name__}."
                    )
                    raise SourceError(message)
                values.append(record)
                names |= dict.fromkeys(record)
                deep += [number] if is_deep else []

        if deep:
            text = (
                "%s: in %s lines, the first of them line %s, values are nested deeper than %s"
                " levels. They are null."
            )
            logger.warning(text, path, f"{len(deep):,}", deep[0], MAX_DEPTH)

        super().__init__(list(names), values)

    def further(self, columns: Sequence[str]) -> Further:
        """JSON has values of several types."""
        return inferred(columns, lambda: iter(self._values))

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        file.writelines(_json(record) + "\n" for record in records)


class _Array(_Lines):
    """Records of a JSON file that is a list of objects."""

    def __init__(self, path: str) -> None:
        with opened(path) as file:
            try:
                values, _ = parsed(file.read())
            except ValueError as error:
                message = f"{path}: not valid JSON: {because(error)}."
                raise SourceError(message) from error

        if not isinstance(values, list) or not all(isinstance(record, dict) for record in values):
            message = f"{path}: expected a list of objects."
            raise SourceError(message)

        names = dict.fromkeys(name for record in values for name in record)
        _Texts.__init__(self, list(names), values)

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        json.dump(list(records), file, ensure_ascii=False)


class _Columns:
    """Rows of a Parquet file. The column with bytes stays on disk until it is asked for."""

    def __init__(self, path: str) -> None:
        self._name = path
        self._file = (
            pq.ParquetFile(opened(path)) if is_url(path) else pq.ParquetFile(path, memory_map=True)
        )
        self.names: list[str] = self._file.schema_arrow.names
        self.n_rows: int = self._file.metadata.num_rows
        self._group_starts = np.cumsum(
            [
                0,
                *(
                    self._file.metadata.row_group(g).num_rows
                    for g in range(self._file.num_row_groups)
                ),
            ]
        )
        if self._group_starts[-1] != self.n_rows:
            self._refuse_count(int(self._group_starts[-1]))

        self._loaded: tuple[int, str, Any] | None = None

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""
        with reading(self._name):
            found = [
                as_text(value) for value in self._file.read(columns=[column])[column].to_pylist()
            ]

        if len(found) != self.n_rows:
            self._refuse_count(len(found))

        return found

    def is_binary(self, column: str) -> bool:
        """Whether a column can hold encoded images."""
        kind = self._file.schema_arrow.field(column).type
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes of the named rows; one row group is in memory at a time."""
        found: list[bytes | None] = []
        for row in rows:
            group = int(np.searchsorted(self._group_starts, row, side="right")) - 1
            if self._loaded is None or self._loaded[:2] != (group, column):
                with reading(self._name):
                    self._loaded = (
                        group,
                        column,
                        self._file.read_row_group(group, columns=[column])[column],
                    )
            found.append(self._loaded[2][row - int(self._group_starts[group])].as_py())

        return found

    def picked(self, rows: Sequence[int], values: Values = NO_VALUES) -> list[Record]:
        """The named rows as they are, with new values."""
        with reading(self._name):
            table = self._file.read()

        for column, new in values.items():
            table = _with_values(table, column, new, 0)

        picked: list[Record] = table.take(pa.array(rows, pa.int64())).to_pylist()

        return picked

    def further(self, columns: Sequence[str]) -> Further:
        """The types are those of the file."""

        def rows() -> Iterator[Mapping[str, Any]]:
            for batch in self._batches(plain):
                with reading(self._name):
                    rows = batch.to_pylist()
                yield from rows

        found = of_schema(
            pa.schema([self._file.schema_arrow.field(column) for column in columns]), rows
        )
        plain = found.schema.names

        return found

    def write(
        self,
        path: Path,
        keep: NDArray[np.bool_],
        changes: Mapping[str, Any],
        values: Values = NO_VALUES,
        more: Sequence[Record] = (),
    ) -> None:
        """Write the kept rows, a batch at a time, with the file's own schema, and more."""
        start = 0
        refuse_taken(path)
        with pq.ParquetWriter(path, self._file.schema_arrow) as writer:
            for batch in self._batches(None):
                table = pa.Table.from_batches([batch], self._file.schema_arrow)
                for column, new in values.items():
                    table = _with_values(table, column, new, start)
                table = table.filter(pa.array(keep[start : start + len(batch)]))
                start += len(batch)
                for column, change in changes.items():
                    index = table.column_names.index(column)
                    field = table.schema.field(index)
                    changed = [value and change(value) for value in table[column].to_pylist()]
                    table = table.set_column(index, field, pa.array(changed, field.type))
                if len(table):
                    writer.write_table(table)
            if more:
                writer.write_table(pa.Table.from_pylist(list(more), self._file.schema_arrow))

    def _batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with reading(self._name):
            yield from self._file.iter_batches(_ROWS_AT_ONCE, columns=columns)

    def _refuse_count(self, n_rows: int) -> None:
        message = (
            f"{self._name}: its footer states {self.n_rows:,} rows, and there are {n_rows:,}. Get"
            " the file again."
        )
        raise SourceError(message)


@contextmanager
def _long_cells() -> Iterator[None]:
    """Python's limit for the cells of a CSV, which is one for the whole process, set to ours
    meanwhile.
    """
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _with_values(table: pa.Table, column: str, new: Mapping[int, str], start: int) -> pa.Table:
    """The rows from `start` on, with new values in a column of texts."""
    rows = [row for row in range(start, start + len(table)) if row in new]
    if not rows:
        return table

    index = table.column_names.index(column)
    values = table[column].to_pylist()
    for row in rows:
        values[row - start] = new[row]

    return table.set_column(
        index, table.schema.field(index), pa.array(values, table.schema.field(index).type)
    )


def _json(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or _is_unicode(text) else json.dumps(record)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def first_record(path: Path, columns: Sequence[str]) -> Record:
    """Some columns of a file's first row, those that there are; nothing where it cannot be read. No
    more is read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                there = [column for column in columns if column in file.schema_arrow.names]
                batch = next(file.iter_batches(1, columns=there), None) if there else None
                rows: list[Record] = [] if batch is None else batch.to_pylist()
                return rows[0] if rows else {}
        with path.open(encoding="utf-8-sig", newline="") as lines:
            if path.suffix.lower() in {".jsonl", ".ndjson"}:
                record, _ = parsed(next(lines, "null"))
            else:
                with _long_cells():
                    record = next(
                        csv.DictReader(
                            lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ","
                        ),
                        None,
                    )
    except (*PARQUET_ERRORS, csv.Error):
        return {}
    return (
        {column: record[column] for column in columns if column in record}
        if isinstance(record, dict)
        else {}
    )


def open_records(path: str) -> Records:
    """The rows of the CSV, TSV, JSONL or Parquet file at a path or URL, or of a JSON file that is a
    list of objects.
    """
    path = local(path)
    suffix = PurePosixPath(path).suffix.lower()
    try:
        if suffix in {".csv", ".tsv"}:
            return _Delimited(path, "\t" if suffix == ".tsv" else ",")
        if suffix in {".jsonl", ".ndjson"}:
            return _Lines(path)
        if suffix == ".json":
            return _Array(path)
        if suffix == ".parquet":
            return _Columns(path)
    except (UnicodeDecodeError, csv.Error) as error:
        message = (
            f"{path}: not a readable {suffix[1:].upper()} file in UTF-8: {because(error)}. Save it"
            " as UTF-8."
        )
        raise SourceError(message) from error
    except FileNotFoundError as error:
        message = f"{path}: there is no such file. Check the name."
        raise SourceError(message) from error
    except PARQUET_ERRORS as error:
        message = f"{path}: cannot be read: {because(error.__cause__ or error)}."
        raise SourceError(message) from error

    message = f"{path}: a manifest ends in {', '.join(SUFFIXES)}."
    raise SourceError(message)
