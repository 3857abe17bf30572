"""Rows of a table of texts and numbers, whatever file they are in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.formats.further import Further

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


def with_new_values(table: pa.Table, column: str, new: Mapping[int, str], start: int) -> pa.Table:
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
