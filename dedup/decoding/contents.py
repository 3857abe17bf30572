"""The bytes of samples, read from where tasks say that they are. Workers import this, and no form
of dataset.

A batch of PAYLOAD may hold the bytes of its samples; one of REFERENCES never does.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dedup.decoding.pictures import Unreadable
from dedup.decoding.remote import fetched, is_to_fetch

PAYLOAD: Final = pa.schema(
    [("row", pa.int64()), ("path", pa.binary()), ("data", pa.large_binary())]
)
"""Where a row's bytes are: `data` itself, or the file `path` (its name as bytes: it need not be
UTF-8).
"""

REFERENCES: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("path", pa.binary()),  # null: there are no bytes
        pa.field("group", pa.int32(), nullable=False),  # row group of a Parquet file; else 0
        pa.field("at", pa.int64(), nullable=False),  # first byte, or row in the group
        pa.field("size", pa.int64(), nullable=False),  # bytes; in a Parquet file about
    ]
)

REFUSED: Final = b""
"""In place of a path that must not be read, as it leads out of a dataset. No file has this name,
and null is none.
"""

COLUMN: Final = b"dedup.column"
"""In a batch's metadata: the column of a Parquet file. Without it, references are ranges of
bytes.
"""


_OUTSIDE: Final = Unreadable(
    "outside", "it is outside the dataset, and must not be read from there"
)


def are_references(batch: pa.RecordBatch) -> bool:
    """Whether a batch is one of REFERENCES."""
    return "at" in batch.schema.names


def place(batch: pa.RecordBatch) -> bytes:
    """What the numbers of a batch of references count: part of what identifies a sample in its
    file.
    """
    return bytes((batch.schema.metadata or {}).get(COLUMN, b""))


class Reader:
    """Reads the bytes that tasks are about. Keeps open what it read last."""

    def __init__(self) -> None:
        self._mapped: tuple[bytes, Any] | None = None
        self._group: tuple[bytes, int, pa.ChunkedArray] | None = None

    def contents(self, batch: pa.RecordBatch) -> Iterator[bytes | Unreadable]:
        """The stored bytes of each sample of a task, or why there are none; each is read when it is
        asked for.
        """
        if not are_references(batch):
            yield from map(read_bytes, batch["path"].to_pylist(), batch["data"].to_pylist())
            return

        read = self._of_parquet if place(batch) else self._of_range
        column = place(batch).decode()
        for path, group, at, size in zip(
            *(batch[c].to_pylist() for c in ("path", "group", "at", "size")), strict=True
        ):
            if path is None:
                yield Unreadable("absent", "the row has neither bytes nor a path")
                continue
            if path == REFUSED:
                yield _OUTSIDE
                continue
            try:
                found = read(path, group, at, size, column)
            except (OSError, ValueError, IndexError, pa.ArrowException) as error:
                self._mapped = self._group = None
                reason = (
                    error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                )
                found = Unreadable("missing", reason[:1].lower() + reason[1:])
            yield found

    def _of_range(self, path: bytes, _group: int, at: int, size: int, _column: str) -> bytes:
        if self._mapped is None or self._mapped[0] != path:
            with open(path, "rb") as file:  # the name is bytes
                self._mapped = (path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

        data = bytes(self._mapped[1][at : at + size])
        if len(data) < size:
            message = "the file ends before it"
            raise ValueError(message)

        return data

    def _of_parquet(
        self, path: bytes, group: int, at: int, _size: int, column: str
    ) -> bytes | Unreadable:
        if self._group is None or self._group[:2] != (path, group):
            # Fresh memory is what reading costs most: mapped, in one thread, a group takes a third
            # of the time.
            with pq.ParquetFile(_text(path), memory_map=True, pre_buffer=False) as file:
                values = file.read_row_group(group, columns=[column], use_threads=False)[column]
            self._group = (path, group, stored_bytes(values))

        data: bytes | None = self._group[2][at].as_py()

        return (
            Unreadable("absent", "the row has neither bytes nor a path") if data is None else data
        )


def stored_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The bytes of a column of bytes or of image structs."""
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def can_open(path: bytes) -> bool:
    """Whether this process can read the file of that name."""
    return os.access(path, os.R_OK)


def unopened(batch: pa.RecordBatch) -> list[bytes]:
    """Files that a task names and that this process cannot read, each once, in their order."""
    names = dict.fromkeys(batch["path"].to_pylist())
    files = (name for name in names if name and not is_to_fetch(name))
    return [name for name in files if not can_open(name)]


def read_bytes(path: bytes | None, data: bytes | None) -> bytes | Unreadable:
    """The stored bytes of one sample, or why there are none."""
    if data is not None:
        return data
    if path is None:
        return Unreadable("absent", "the row has neither bytes nor a path")
    if path == REFUSED:
        return _OUTSIDE
    if is_to_fetch(path):
        return fetched(path)

    try:
        status = os.stat(path)  # before it is opened: a named pipe would wait for a writer
        if stat.S_ISDIR(status.st_mode):
            return Unreadable("missing", "it is a directory, not a file")
        if not stat.S_ISREG(status.st_mode):
            return Unreadable("missing", "it is not a regular file")
        return _content(path, status.st_size)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unreadable("missing", reason[:1].lower() + reason[1:])


def _content(path: bytes, size: int) -> bytes:
    """All of a file of about `size` bytes, without the buffers that a file object has: half the
    time for a photo.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        data = os.read(number, size + 1)
    finally:
        os.close(number)

    if len(data) == size:
        return data

    with open(path, "rb") as file:  # the name is bytes
        return file.read()  # it is being written, or larger than one call may read


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
