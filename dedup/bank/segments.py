"""What is searched of a bank: segments of its entries, in mapped files or in memory.

Each segment holds the entries of a range of numbers and never changes. New entries make a small
segment in memory; small ones are merged into larger ones, so that there are only a few.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from blake3 import blake3
from numpy.typing import NDArray

from dedup.errors import BankError, because
from dedup.search import Index, kernels
from dedup.search.index import Order
from dedup.tables.entries import SIGNS_BYTES, BankSpec

SCHEMA_VERSION: Final = "1"
_MERGED_UP_TO: Final = 2
"""A segment is merged with the one before it until that one is more than twice as large: each row
is copied a number of times that grows with the logarithm of the rows."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to be searched: entries as they are, and what is inside the frames of some."""

    n: NDArray[np.int64]  # number of the entry, ascending
    inside: NDArray[np.bool_]
    codes: Mapping[str, NDArray[np.uint64]]  # by algorithm, (rows, words)
    signs: NDArray[np.uint8]  # (rows, 68)

    def __len__(self) -> int:
        return len(self.n)

    @classmethod
    def of(cls, records: Sequence[tuple[int, int, bytes, bytes]], spec: BankSpec) -> Self:
        """Rows of records (n, inside, codes, signs) of the database, in their order."""
        width, words = spec.code_bytes, spec.bits // 64
        packed = np.frombuffer(b"".join(record[2] for record in records), np.uint64)
        packed = packed.reshape(len(records), width // 8)
        codes = {
            name: np.ascontiguousarray(packed[:, k * words : (k + 1) * words])
            for k, name in enumerate(spec.algorithms)
        }
        signs = np.frombuffer(b"".join(record[3] for record in records), np.uint8)

        return cls(
            np.array([record[0] for record in records], np.int64),
            np.array([record[1] for record in records], bool),
            codes,
            signs.reshape(len(records), SIGNS_BYTES),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows with an index for each algorithm."""

    n: NDArray[np.int64]
    inside: NDArray[np.bool_]
    indexes: Mapping[str, Index]
    signs: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.n)

    @classmethod
    def build(cls, rows: Rows, max_distance: int, threads: int = 1) -> Self:
        """The segment of some rows, laid out for queries up to this distance."""
        indexes = {
            name: Index.build(codes, max_distance=max_distance, threads=threads)
            for name, codes in rows.codes.items()
        }
        return cls(rows.n, rows.inside, indexes, rows.signs)

    def rows(self) -> Rows:
        """What it was built of."""
        return Rows(
            self.n, self.inside, {name: i.codes() for name, i in self.indexes.items()}, self.signs
        )


def merged(segments: Sequence[Segment], max_distance: int, threads: int = 1) -> Segment:
    """One segment of several that follow each other."""
    parts = [segment.rows() for segment in segments]
    names = list(parts[0].codes)
    rows = Rows(
        np.concatenate([part.n for part in parts]),
        np.concatenate([part.inside for part in parts]),
        {name: np.concatenate([part.codes[name] for part in parts]) for name in names},
        np.concatenate([part.signs for part in parts]),
    )

    return Segment.build(rows, max_distance, threads)


def appended(segments: tuple[Segment, ...], new: Segment, max_distance: int) -> tuple[Segment, ...]:
    """Segments in memory with another one behind them, small ones merged."""
    kept = [*segments, new]
    while len(kept) > 1 and len(kept[-2]) <= _MERGED_UP_TO * len(kept[-1]):
        last, before = kept.pop(), kept.pop()
        kept.append(merged([before, last], max_distance))

    return tuple(kept)


def write(segment: Segment, path: Path, spec: BankSpec) -> str:
    """Write a search file, all of it on the disk before this returns; the BLAKE3 of it, in hex
    digits.

    One row of long lists, so that each array is one piece of the mapped file.
    """
    arrays: dict[str, NDArray[Any]] = {
        "n": segment.n,
        "inside": segment.inside.view(np.uint8),
        "signs": segment.signs.reshape(-1),
    }
    orders = {}
    for name, index in segment.indexes.items():
        arrays[name] = index.planes.reshape(-1)
        orders[name] = [[order.start, order.width] for order in index.orders]
        for k, order in enumerate(index.orders):
            arrays[f"{name}.{k}.planes"] = order.planes.reshape(-1)
            arrays[f"{name}.{k}.ids"] = order.ids
            arrays[f"{name}.{k}.offsets"] = order.offsets

    columns = [_one_list(array) for array in arrays.values()]
    metadata = {"dedup.search": SCHEMA_VERSION, "spec": str(spec.to_dict()), "orders": str(orders)}
    schema = pa.schema(
        [pa.field(name, column.type) for name, column in zip(arrays, columns, strict=True)],
        metadata,
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))

    _flush(path)

    return digest(path)


def read(path: Path, spec: BankSpec, n_bytes: int) -> Segment:
    """Map a search file of so many bytes. Raises `BankError` where it is damaged, or of something
    else.
    """
    if not path.is_file() or path.stat().st_size != n_bytes:
        message = f"{path}: the search file is missing, or not all of it is there."
        raise BankError(message)

    try:
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        metadata = batch.schema.metadata or {}
        arrays = {name: _of_list(batch[name]) for name in batch.schema.names}
        indexes = {name: _index(name, arrays, spec.bits // 64) for name in spec.algorithms}
        other = metadata.get(b"spec") != str(spec.to_dict()).encode()
    except (pa.ArrowInvalid, OSError, KeyError, ValueError, IndexError) as error:
        message = f"{path}: the search file is damaged: {because(error)}."
        raise BankError(message) from error

    if other:
        message = f"{path}: the search file is of another bank."
        raise BankError(message)

    return Segment(
        arrays["n"], arrays["inside"].view(bool), indexes, arrays["signs"].reshape(-1, SIGNS_BYTES)
    )


def digest(path: Path) -> str:
    """BLAKE3 of a file, in hex digits."""
    sink = blake3()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            sink.update(part)

    return sink.hexdigest()


def _index(name: str, arrays: Mapping[str, NDArray[Any]], words: int) -> Index:
    planes, orders, start = arrays[name].reshape(words, -1), [], 0
    for k in range(len(arrays)):
        if f"{name}.{k}.ids" not in arrays:
            break
        offsets = arrays[f"{name}.{k}.offsets"]
        width = (len(offsets) - 1).bit_length() - 1
        codes = arrays[f"{name}.{k}.planes"].reshape(words, -1)
        orders.append(Order(start, width, codes, arrays[f"{name}.{k}.ids"], offsets))
        start += width

    if planes.shape[1] - kernels.PADDING != len(arrays["n"]):
        message = f"{name} has other rows than the entries"
        raise ValueError(message)

    return Index.of(planes, orders)


def _one_list(array: NDArray[Any]) -> pa.Array:
    values = pa.array(np.ascontiguousarray(array))
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _of_list(column: pa.Array) -> NDArray[Any]:
    array: NDArray[Any] = column.values.to_numpy(zero_copy_only=True)
    return array


def _flush(path: Path) -> None:
    """Wait until the file is on the disk, its name included."""
    for place, flags in ((path, os.O_RDWR), (path.parent, os.O_RDONLY)):
        number = os.open(place, flags)
        try:
            os.fsync(number)
        finally:
            os.close(number)
