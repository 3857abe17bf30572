"""Segments: Arrow files of rows sorted by a key, written once, mapped into memory and never
changed.

Nothing in them is trusted: a file that is no segment is left out, and every row carries a checksum
that is compared when the row is used.
"""

import logging
import mmap
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import files

logger = logging.getLogger(__name__)

VERSION: Final = b"1"
_MARK: Final = b"dedup.segment"
_SUMMED_AT_ONCE: Final = 4096  # rows: what is computed of them stays in the cache of a core
_MAPPED: Final = 1 << 28  # bytes of segments that may all be in memory at once
_OWN: Final = 2  # columns in front of the table's own: the first bytes of the key, and the checksum

Keys = NDArray[np.uint8]
"""Keys of equal width, shape (n, width); digests, so that their first eight bytes hardly ever agree
by chance.
"""


class Segment:
    """One file. Raises `pa.ArrowInvalid` or `OSError` for what is none."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                message = "it is empty"
                raise pa.ArrowInvalid(message)
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._mapped)))
        if reader.num_record_batches != 1 or not reader.schema.equals(_with_own(schema)):
            message = "it is no segment of this kind"
            raise pa.ArrowInvalid(message)

        batch = reader.get_batch(0)
        batch.validate()
        for column in batch.columns:
            if pa.types.is_string(column.type):  # a broken offset would lead out of the file
                column.validate(full=True)

        self._prefixes = batch.column(0).to_numpy()
        self._checks = batch.column(1).to_numpy()
        self._rows = pa.Table.from_batches([batch]).select(range(_OWN, batch.num_columns))
        self._keys = matrix(self._rows.column(0))

    def __len__(self) -> int:
        return len(self._checks)

    def find(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the keys are here, and in which rows."""
        if len(self) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)

        wanted = prefixes(keys)
        at = np.minimum(np.searchsorted(self._prefixes, wanted), len(self) - 1)
        here = np.flatnonzero(self._prefixes[at] == wanted)
        here = here[(self._keys[at[here]] == keys[here]).all(axis=1)]

        return here, at[here]

    def take(self, rows: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.bool_]]:
        """The rows, and which of them are as they were written."""
        taken = self._rows.take(pa.array(rows)).combine_chunks()
        return taken, checksums(taken) == self._checks[rows]

    @property
    def n_bytes(self) -> int:
        """What is mapped."""
        return len(self._mapped)

    def let_go(self) -> None:
        """What was read of the file does not count as memory of the process any more; it comes
        again when asked for.
        """
        if hasattr(self._mapped, "madvise"):
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def intact(self) -> pa.Table:
        """All rows that are as they were written."""
        same = checksums(self._rows) == self._checks
        return self._rows if same.all() else self._rows.filter(pa.array(same))  # mapped, or copied


def write(table: pa.Table, folder: Path, kind: str) -> Path:
    """Write a segment of the table, whole or not at all; its first column is the key. Of equal keys
    the first stays.
    """
    table = table.combine_chunks()
    keys = matrix(table.column(0))
    order = np.argsort(prefixes(keys), kind="stable")
    same = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    order = order[np.concatenate([np.ones(min(1, len(order)), bool), ~same])]
    table, keys = table.take(pa.array(order)).combine_chunks(), keys[order]
    columns = [
        pa.array(prefixes(keys)),
        pa.array(checksums(table)),
        *(one(column) for column in table.columns),
    ]
    batch = pa.record_batch(columns, schema=_with_own(table.schema))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{uuid4().hex}.arrow"

    with (
        files.appearing(path) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, batch.schema) as writer,
    ):
        writer.write_batch(batch)

    return path


def opened(folder: Path, kind: str, schema: pa.Schema) -> Iterator[Segment]:
    """The segments of a kind in a folder; what cannot be used is named and left out."""
    try:
        paths = sorted(folder.glob(f"{kind}-*.arrow"))
    except OSError:
        return
    for path in paths:
        try:
            yield Segment(path, schema)
        except FileNotFoundError:  # another run has merged it, or it was pruned
            continue
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            logger.warning(
                "The cache file %s is not used: %s",
                path,
                " ".join(str(error).split()) or "it is broken",
            )


class Rows:
    """The rows of many segments."""

    def __init__(self, segments: Iterable[Segment], schema: pa.Schema) -> None:
        self._segments = list(segments)
        self._schema = schema
        self._warned: set[Path] = set()
        self._large = sum(segment.n_bytes for segment in self._segments) > _MAPPED
        self.used: set[Path] = set()

    def __len__(self) -> int:
        return sum(map(len, self._segments))

    def find(self, keys: Keys) -> tuple[NDArray[np.int64], pa.Table]:
        """Which of the keys are known, and their rows, in the same order."""
        rest = np.arange(len(keys))
        places: list[NDArray[np.int64]] = []
        found: list[pa.Table] = []

        for segment in self._segments:
            if len(rest) == 0:
                break
            here, rows = segment.find(keys[rest])
            if len(here) == 0:
                continue
            table, intact = segment.take(rows)
            if not intact.all():
                self._warn(segment.path)
                here, table = here[intact], table.filter(pa.array(intact))
            self.used.add(segment.path)
            places.append(rest[here])
            found.append(table)
            rest = np.delete(rest, here)
            if self._large:
                segment.let_go()

        if not found:
            return np.empty(0, np.int64), self._schema.empty_table()

        order = np.argsort(np.concatenate(places))

        return np.concatenate(places)[order], pa.concat_tables(found).take(pa.array(order))

    def _warn(self, path: Path) -> None:
        if path not in self._warned:
            self._warned.add(path)
            logger.warning(
                "The cache file %s is damaged: rows that are not as they were written are not"
                " used.",
                path,
            )


def merged(folder: Path, kind: str, schema: pa.Schema, *, n_bytes: int, at_least: int) -> None:
    """Make one of small segments, in groups of up to `n_bytes`, where there are `at_least` as
    many.
    """
    small: list[Path] = []
    sizes: list[int] = []
    for path in sorted(folder.glob(f"{kind}-*.arrow")):
        size = size_of(path)
        if 0 < size <= n_bytes // 2:
            small.append(path)
            sizes.append(size)

    if len(small) < at_least:
        return

    group: list[Path] = []
    total = 0
    for path, size in zip(small, sizes, strict=True):
        if group and total + size > n_bytes:
            _merge(group, folder, kind, schema)
            group, total = [], 0
        group.append(path)
        total += size

    _merge(group, folder, kind, schema)


def _merge(paths: Sequence[Path], folder: Path, kind: str, schema: pa.Schema) -> None:
    if len(paths) < 2:
        return

    tables, used = [], 0.0
    for path in paths:
        try:
            tables.append(Segment(path, schema).intact())
            used = max(used, path.stat().st_mtime)
        except (
            pa.ArrowException,
            OSError,
            UnicodeDecodeError,
        ):  # its rows are lost, which the cache may do
            continue

    if tables:
        written = write(pa.concat_tables(tables), folder, kind)
        os.utime(written, (used, used))

    tables.clear()  # some are mapped, and Windows removes no such file
    for path in paths:
        removed(path)


_OWN_NAME: Final = re.compile(
    r"(rows|stamps)-[0-9a-f]{32}\.arrow"
    r"|\.(rows|stamps)-[0-9a-f]{32}(\.arrow\.[0-9a-f]{8})?\.partial"
)
"""Names of segments, and of those that are being written."""


@dataclass(frozen=True, slots=True)
class Segments:
    """The owner of the segments in a room of the cache."""

    room: Path

    def owns(self, path: Path) -> bool:
        """Whether it is a segment in the room, by the name that `write` gives it: nobody else uses
        such names.
        """
        return (
            path.parent == self.room
            and _OWN_NAME.fullmatch(path.name) is not None
            and not path.is_dir()
        )


def removed(path: Path) -> int:
    """Delete a segment if that can be done; the bytes that are free now."""
    owner, size = Segments(path.parent), size_of(path)
    if not owner.owns(path):
        return 0

    try:
        files.remove(path, owner)
    except OSError:  # it is gone, or mapped by another run on Windows
        return 0

    return size


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def prefixes(keys: Keys) -> NDArray[np.uint64]:
    """The first eight bytes of each key as a number that sorts as they do."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)


def matrix(column: Any) -> NDArray[np.uint8]:
    """A column of fixed width as its bytes, shape (n, bytes)."""
    array = one(column)
    width = array.type.bit_width // 8
    data = np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8)
    return data[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)


def one(column: Any) -> pa.Array:
    """A column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays([pa.array([], column.type), *column.chunks])
    )


def checksums(table: pa.Table) -> NDArray[np.uint64]:
    """A checksum of each row: a changed word changes it always, anything else but for one time in
    2⁶⁴.
    """
    total = np.zeros(len(table), dtype=np.uint64)
    for number, name in enumerate(table.column_names):
        column = one(table[name])
        of_column = _words(column) if _has_fixed_width(column.type) else _texts(column)
        if column.null_count:
            of_column = np.where(
                column.is_null().to_numpy(zero_copy_only=False), np.uint64(number + 1), of_column
            )
        total = total * np.uint64(0x9E3779B97F4A7C15) + of_column

    return total


_CONSTANTS: Final = np.random.default_rng(20260101).integers(
    0, 1 << 63, 4096, dtype=np.uint64
) * np.uint64(2) + (np.uint64(1))


def _words(column: pa.Array) -> NDArray[np.uint64]:
    whole = matrix(column)
    sums = np.empty(len(whole), np.uint64)
    for start in range(0, len(whole), _SUMMED_AT_ONCE):
        data = whole[start : start + _SUMMED_AT_ONCE]
        if rest := -data.shape[1] % 8:
            data = np.pad(data, ((0, 0), (0, rest)))
        words = np.ascontiguousarray(data).view(np.uint64)
        sums[start : start + len(data)] = (words * _CONSTANTS[: words.shape[1]]).sum(
            axis=1, dtype=np.uint64
        )

    return sums + np.uint64(1)


def _has_fixed_width(of: pa.DataType) -> bool:
    return not (pa.types.is_string(of) or pa.types.is_binary(of))


def _texts(column: pa.Array) -> NDArray[np.uint64]:
    """Of texts or binary values of any length."""
    coded = column.dictionary_encode()
    values = coded.dictionary.cast(pa.binary()).to_pylist()
    known = [int.from_bytes(blake2b(value, digest_size=8).digest(), "little") for value in values]
    indices = coded.indices.fill_null(0).to_numpy()
    of_row: NDArray[np.uint64] = np.array([*known, 0], dtype=np.uint64)[indices]

    return of_row


def _with_own(schema: pa.Schema) -> pa.Schema:
    own = [pa.field("key_prefix", pa.uint64()), pa.field("row_checksum", pa.uint64())]
    return pa.schema([*own, *schema], metadata={_MARK: VERSION})
