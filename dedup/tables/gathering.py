"""A table filled row by row in any order, with the memory that its values take and no more."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.errors import InternalError

# bytes of a column: from here on it lies in a file, and the system may page it out
_LARGE: Final = 64_000_000


class Gathered:
    """Columns of numbers, bytes of fixed width, and texts of which many are equal.

    `row_of_sample`: for each row of the table the number under which it comes. `scratch`: a folder
    for a file without a name, which is gone when the table is.
    """

    def __init__(
        self, schema: pa.Schema, row_of_sample: NDArray[np.int64], scratch: Path | None = None
    ) -> None:
        self._schema = schema
        n = len(row_of_sample)
        self._sample_of_row = np.empty(n, np.int64)
        self._sample_of_row[row_of_sample] = np.arange(n)
        self._there = np.zeros(n, bool)
        self._columns = {
            field.name: _column(field.type, n, scratch)
            for field in schema
            if field.name != "sample"
        }

    def put(self, part: pa.RecordBatch | pa.Table) -> None:
        """Rows, with the number that each of them comes under as `sample`."""
        at = self._sample_of_row[part["sample"].to_numpy()]
        self._there[at] = True
        for name, column in self._columns.items():
            values = part[name]
            column.put(
                at, values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
            )

    def table(self) -> pa.Table:
        """All rows, each column in one piece; `sample` counts them."""
        if not self._there.all():
            message = (
                f"{len(self._there):,} rows were expected, {int(np.sum(~self._there)):,} of them"
                " have not come."
            )
            raise InternalError(message)

        arrays = [pa.array(np.arange(len(self._there)))]
        arrays += [column.array() for column in self._columns.values()]

        return pa.table(arrays, schema=self._schema)


class _Fixed:
    """Numbers or bytes of fixed width."""

    def __init__(self, of: pa.DataType, n: int, scratch: Path | None) -> None:
        self._type = of
        self._width = of.bit_width // 8
        self._values = _zeros(n, self._width, scratch)
        self._valid = np.zeros(n, bool)

    def put(self, at: NDArray[np.int64], values: pa.Array) -> None:
        self._valid[at] = values.is_valid().to_numpy(zero_copy_only=False)
        data = np.frombuffer(values.buffers()[1] or b"", np.uint8)
        rows = data[
            values.offset * self._width : (values.offset + len(values)) * self._width
        ].reshape(-1, self._width)
        if values.null_count:
            rows = np.where(self._valid[at][:, None], rows, np.uint8(0))

        self._values[at] = rows

    def array(self) -> pa.Array:
        n_null = int(np.sum(~self._valid))
        valid = pa.py_buffer(np.packbits(self._valid, bitorder="little")) if n_null else None

        return pa.Array.from_buffers(
            self._type, len(self._valid), [valid, pa.py_buffer(self._values)], n_null
        )


class _Texts:
    """Texts by their number among all different ones."""

    def __init__(self, of: pa.DataType, n: int) -> None:
        self._type = of
        self._number_of: dict[str, int] = {}
        self._numbers = np.full(n, -1, np.int32)

    def put(self, at: NDArray[np.int64], values: pa.Array) -> None:
        coded = values.dictionary_encode()
        known = [
            self._number_of.setdefault(text, len(self._number_of))
            for text in coded.dictionary.to_pylist()
        ]
        self._numbers[at] = np.array([*known, -1], np.int32)[
            coded.indices.fill_null(len(known)).to_numpy()
        ]

    def array(self) -> pa.Array:
        numbers = pa.array(self._numbers, mask=self._numbers < 0)
        return pa.array(list(self._number_of), self._type).take(numbers)


def _column(of: pa.DataType, n: int, scratch: Path | None) -> Any:
    return _Texts(of, n) if pa.types.is_string(of) else _Fixed(of, n, scratch)


def _zeros(n: int, width: int, scratch: Path | None) -> NDArray[np.uint8]:
    if scratch is None or n * width < _LARGE or not hasattr(os, "posix_fallocate"):
        return np.zeros((n, width), np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:
        # a full disk is an error here, and would be a crash later
        os.posix_fallocate(file.fileno(), 0, n * width)
        return np.memmap(file, np.uint8, "r+", shape=(n, width))
