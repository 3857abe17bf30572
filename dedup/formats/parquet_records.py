"""Records of Parquet files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.errors import SourceError
from dedup.formats.footers import reading
from dedup.formats.further import Further, of_schema
from dedup.formats.places import is_url, opened
from dedup.formats.placing import refuse_taken
from dedup.formats.tabular import NO_VALUES, Record, Values, with_new_values
from dedup.formats.texts import as_text

_ROWS_AT_ONCE: Final = 1024


class Columns:
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
            table = with_new_values(table, column, new, 0)

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
                    table = with_new_values(table, column, new, start)
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
