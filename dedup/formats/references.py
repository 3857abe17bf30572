"""References: where the bytes of samples lie inside larger files, so that whoever needs them reads
them himself.

A batch of PAYLOAD may hold the bytes of its samples; one of REFERENCES never does. Sources whose
files can be opened by every process of this machine give references, and nothing large goes through
the process that hands out the work.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.decoding.contents import COLUMN, REFERENCES, are_references, place, stored_bytes
from dedup.formats.banks import Measured
from dedup.formats.several import Several
from dedup.formats.source import Source, payloads

_ROWS_AT_ONCE: Final = 65_536  # names of a batch, while all are gathered


@runtime_checkable
class Referring(Protocol):
    """A source that can say where its bytes lie."""

    def references(self, size: int) -> Iterator[pa.RecordBatch]:
        """REFERENCES, or PAYLOAD where the bytes lie nowhere else, of all rows in order, in batches
        of about `size`.
        """


@runtime_checkable
class Naming(Protocol):
    """A source that can name the files, or URLs, of any rows."""

    def named_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """PAYLOAD of the named rows, in the order given, with names in place of bytes where others
        can read them.
        """


def tasks(source: Source, size: int) -> Iterator[pa.RecordBatch]:
    """All rows of a source in order, as REFERENCES or PAYLOAD."""
    if isinstance(source, Several):
        start = 0
        for part in source.parts:
            for batch in tasks(part.source, size):
                yield batch.set_column(0, batch.schema.field(0), pc.add(batch["row"], start))
            start += len(part.source.rows)
    elif isinstance(source, Measured):
        return
    elif isinstance(source, Referring):
        yield from source.references(size)
    else:
        yield from payloads(source, size)


class Named:
    """The rows of a source by the names of their files, for tasks that go to other machines."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[tuple[int, pa.Table | None]] | None = None  # first row, references
        self._of_several: dict[int, Named] = {}

    def of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """REFERENCES of the named rows, in the order given; PAYLOAD where their bytes have no place
        in a file, or are the whole of one.
        """
        if isinstance(self._source, Several):
            for number, start, own in self._source.by_part(rows):
                for batch in self._of_part(number).of(own):
                    moved = pc.add(batch["row"], start)
                    yield batch.set_column(0, batch.schema.field(0), moved)
            return

        if isinstance(self._source, Naming):
            yield from self._source.named_of(rows)
            return

        if not isinstance(self._source, Referring):
            yield from self._source.payload_of(rows)
            return

        parts = self._found()
        number_of = np.searchsorted([first for first, _ in parts], rows, side="right") - 1
        for number, group in groupby(zip(number_of.tolist(), rows, strict=True), itemgetter(0)):
            chosen = [row for _, row in group]
            first, table = parts[number]
            if table is None:
                yield from self._source.payload_of(chosen)
            else:
                taken = table.take(pa.array([row - first for row in chosen]))
                yield from taken.combine_chunks().to_batches()

    def _of_part(self, number: int) -> "Named":
        if isinstance(self._source, Several) and number not in self._of_several:
            self._of_several[number] = Named(self._source.parts[number].source)
        return self._of_several[number]

    def _found(self) -> list[tuple[int, pa.Table | None]]:
        """All references, those of one kind together; None for rows whose bytes are here only."""
        if self._parts is None:
            self._parts, row = [], 0
            for kind, group in groupby(tasks(self._source, _ROWS_AT_ONCE), _kind):
                if kind is None:
                    n = sum(len(batch) for batch in group)  # one after the other: they hold bytes
                    self._parts.append((row, None))
                else:
                    table = pa.Table.from_batches(list(group))
                    n = len(table)
                    self._parts.append((row, table))
                row += n
        return self._parts


def _kind(batch: pa.RecordBatch) -> bytes | None:
    """What references count, by which they can be put together; None for PAYLOAD."""
    return place(batch) if are_references(batch) else None


def of_ranges(rows: Any, paths: Any, starts: Any, sizes: Any) -> pa.RecordBatch:
    """References to ranges of bytes."""
    return pa.record_batch(
        [rows, paths, np.zeros(len(rows), np.int32), starts, sizes], schema=REFERENCES
    )


def of_parquet(
    rows: Any, path: bytes, group: int, at: Any, size: int, column: str
) -> pa.RecordBatch:
    """References to rows of a row group, of about `size` bytes each, in a column of bytes or of
    image structs.
    """
    n = len(rows)
    arrays = [
        rows,
        pa.repeat(pa.scalar(path, pa.binary()), n),
        np.full(n, group, np.int32),
        at,
        np.full(n, size),
    ]

    return pa.record_batch(arrays, schema=REFERENCES.with_metadata({COLUMN: column.encode()}))


def of_mapped(column: pa.ChunkedArray, first_row: int) -> Iterator[pa.RecordBatch | int]:
    """References to the values of a column that are mapped from Arrow files; the number of rows of
    those that are not.

    Found by the address of the values, so it holds whatever made the column. Only where the system
    tells (Linux).
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
        ends = np.frombuffer(offsets, np.int64 if wide else np.int32)[
            chunk.offset : chunk.offset + n + 1
        ].astype(np.int64)
        start = 0 if values is None else values.address + int(ends[0])
        stop = 0 if values is None else values.address + int(ends[-1])
        region = next((r for r in regions if r[0] <= start and stop <= r[1]), None)
        if region is None or chunk.null_count:
            yield n, None, None, None
        else:
            starts = ends[:-1] + (values.address - region[0] + region[2])
            yield n, region[3], starts, np.diff(ends)


def _regions() -> Sequence[tuple[int, int, int, bytes]]:
    """(first address, address after the last, place in the file, file) of what this process has
    mapped from files.
    """
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return ()

    found = []
    for line in lines:
        addresses, _, offset, _, _, *name = line.split(maxsplit=5)
        # A name with a backslash stands for another one; one that ends in "(deleted)" cannot be
        # opened again.
        if (
            name
            and name[0].startswith(b"/")
            and name[0].endswith(b".arrow")
            and b"\\" not in name[0]
        ):
            low, high = addresses.split(b"-")
            found.append((int(low, 16), int(high, 16), int(offset, 16), name[0]))

    return found
