"""References: where the bytes of samples lie inside larger files, so that whoever needs them reads them himself.

A batch of PAYLOAD may hold the bytes of its samples; one of REFERENCES never does. Sources whose files can be opened by
every process of this machine give references, and nothing large goes through the process that hands out the work.
"""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.formats.several import Several
from dedup.formats.source import Source, read_bytes
from dedup.images import Unreadable

REFERENCES: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("path", pa.binary()),  # null: there are no bytes
        pa.field("group", pa.int32(), nullable=False),  # row group of a Parquet file; else 0
        pa.field("at", pa.int64(), nullable=False),  # first byte, or row in the group
        pa.field("size", pa.int64(), nullable=False),  # bytes; in a Parquet file about
    ]
)

_COLUMN: Final = b"dedup.column"
"""In a batch's metadata: the column of a Parquet file. Without it, references are ranges of bytes."""


@runtime_checkable
class Referring(Protocol):
    """A source that can say where its bytes lie."""

    def references(self, size: int) -> Iterator[pa.RecordBatch]:
        """REFERENCES, or PAYLOAD where the bytes lie nowhere else, of all rows in order, in batches of about `size`."""


def tasks(source: Source, size: int) -> Iterator[pa.RecordBatch]:
    """All rows of a source in order, as REFERENCES or PAYLOAD."""
    if isinstance(source, Several):
        start = 0
        for part in source.parts:
            for batch in tasks(part.source, size):
                yield batch.set_column(0, batch.schema.field(0), pc.add(batch["row"], start))
            start += len(part.source.rows)
    elif isinstance(source, Referring):
        yield from source.references(size)
    else:
        yield from source.payloads(size)


def of_ranges(rows: Any, paths: Any, starts: Any, sizes: Any) -> pa.RecordBatch:
    """References to ranges of bytes."""
    return pa.record_batch([rows, paths, np.zeros(len(rows), np.int32), starts, sizes], schema=REFERENCES)


def of_parquet(rows: Any, path: bytes, group: int, at: Any, size: int, column: str) -> pa.RecordBatch:
    """References to rows of a row group, of about `size` bytes each, in a column of bytes or of image structs."""
    n = len(rows)
    arrays = [rows, pa.repeat(pa.scalar(path, pa.binary()), n), np.full(n, group, np.int32), at, np.full(n, size)]
    return pa.record_batch(arrays, schema=REFERENCES.with_metadata({_COLUMN: column.encode()}))


def are_references(batch: pa.RecordBatch) -> bool:
    """Whether a batch is one of REFERENCES."""
    return "at" in batch.schema.names


def place(batch: pa.RecordBatch) -> bytes:
    """What the numbers of a batch of references count: part of what identifies a sample in its file."""
    return bytes((batch.schema.metadata or {}).get(_COLUMN, b""))


class Reader:
    """Reads the bytes that tasks are about. Keeps open what it read last."""

    def __init__(self) -> None:
        self._mapped: tuple[bytes, Any] | None = None
        self._group: tuple[bytes, int, pa.ChunkedArray] | None = None

    def contents(self, batch: pa.RecordBatch) -> list[bytes | Unreadable]:
        """The stored bytes of each sample of a task, or why there are none."""
        if not are_references(batch):
            return [read_bytes(*one) for one in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)]
        read = self._of_parquet if place(batch) else self._of_range
        column = place(batch).decode()
        found: list[bytes | Unreadable] = []
        for path, group, at, size in zip(*(batch[c].to_pylist() for c in ("path", "group", "at", "size")), strict=True):
            if path is None:
                found.append(Unreadable("missing", "the row has neither bytes nor a path"))
                continue
            try:
                found.append(read(path, group, at, size, column))
            except (OSError, ValueError, IndexError, pa.ArrowException) as error:
                self._mapped = self._group = None
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                found.append(Unreadable("missing", reason[:1].lower() + reason[1:]))
        return found

    def _of_range(self, path: bytes, _group: int, at: int, size: int, _column: str) -> bytes:
        if self._mapped is None or self._mapped[0] != path:
            with open(path, "rb") as file:  # noqa: PTH123  # the name is bytes
                self._mapped = (path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        data = bytes(self._mapped[1][at : at + size])
        if len(data) < size:
            message = "the file ends before it"
            raise ValueError(message)
        return data

    def _of_parquet(self, path: bytes, group: int, at: int, _size: int, column: str) -> bytes | Unreadable:
        if self._group is None or self._group[:2] != (path, group):
            # Fresh memory is what reading costs most: mapped, in one thread, a group takes a third of the time.
            with pq.ParquetFile(_text(path), memory_map=True, pre_buffer=False) as file:
                values = file.read_row_group(group, columns=[column], use_threads=False)[column]
            self._group = (path, group, stored_bytes(values))
        data: bytes | None = self._group[2][at].as_py()
        return Unreadable("missing", "the row has neither bytes nor a path") if data is None else data


def stored_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The bytes of a column of bytes or of image structs."""
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def of_mapped(column: pa.ChunkedArray, first_row: int) -> Iterator[pa.RecordBatch | int]:
    """References to the values of a column that are mapped from Arrow files; the number of rows of those that are not.

    Found by the address of the values, so it holds whatever made the column. Only where the system tells (Linux).
    """
    for n, path, starts, sizes in _mapped_ranges(stored_bytes(column)):
        if path is None:
            yield n
        else:
            paths = pa.repeat(pa.scalar(path, pa.binary()), n)
            yield of_ranges(np.arange(first_row, first_row + n), paths, starts, sizes)
        first_row += n


def _mapped_ranges(column: pa.ChunkedArray) -> Iterator[tuple[int, bytes | None, Any, Any]]:
    regions = _regions()
    for chunk in column.chunks:
        n = len(chunk)
        if n == 0:
            continue
        offsets, values = chunk.buffers()[1:3]
        wide = pa.types.is_large_binary(chunk.type)
        ends = np.frombuffer(offsets, np.int64 if wide else np.int32)[chunk.offset : chunk.offset + n + 1].astype(
            np.int64
        )
        start = 0 if values is None else values.address + int(ends[0])
        stop = 0 if values is None else values.address + int(ends[-1])
        region = next((r for r in regions if r[0] <= start and stop <= r[1]), None)
        if region is None or chunk.null_count:
            yield n, None, None, None
        else:
            starts = ends[:-1] + (values.address - region[0] + region[2])
            yield n, region[3], starts, np.diff(ends)


def _regions() -> Sequence[tuple[int, int, int, bytes]]:
    """(first address, address after the last, place in the file, file) of what this process has mapped from files."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        addresses, _, offset, _, _, *name = line.split(maxsplit=5)
        # A name with a backslash stands for another one; one that ends in "(deleted)" cannot be opened again.
        if name and name[0].startswith(b"/") and name[0].endswith(b".arrow") and b"\\" not in name[0]:
            low, high = addresses.split(b"-")
            found.append((int(low, 16), int(high, 16), int(offset, 16), name[0]))
    return found


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
