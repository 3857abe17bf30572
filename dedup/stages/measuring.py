"""A pass over the samples of a source: the cache gives what it knows, workers measure the rest."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.cache import Room, file_stamp, stamp
from dedup.cache.segments import matrix
from dedup.cache.stamps import STAMP_BYTES
from dedup.decoding.contents import PAYLOAD, Reader, are_references, place
from dedup.decoding.pictures import Unreadable
from dedup.engines import Engine
from dedup.formats import Source, parts_of
from dedup.formats.banks import SIGNS, Measured
from dedup.formats.references import tasks
from dedup.hashers.setup import Setup
from dedup.hashers.work import FRESH
from dedup.tables.gathering import Gathered

logger = logging.getLogger(__name__)

ROWS_AT_ONCE: Final = 1024
"""Rows of a task at most; small pictures are so quick that fewer would cost more to send than to
hash.
"""

_BYTES_AT_ONCE: Final = 32_000_000  # of the files of a task: some tenths of a second of work
_TASKS_PER_WORKER: Final = 8  # where there are few samples, so that all workers have their share


@dataclass(frozen=True, slots=True)
class Place:
    """Where measured rows are kept."""

    room: Room | None  # None: nowhere
    trust_time: bool  # a file of the same place, size, time and inode has the same content
    scratch: Path | None  # a folder for what is too large for the memory


class Pass:
    """One pass over a source."""

    def __init__(
        self,
        source: Source,
        row_of_sample: NDArray[np.int64],
        setup: Setup,
        engine: Engine,
        kept: Place,
        advance: Callable[[float], None],
    ) -> None:
        self.gathered = Gathered(setup.schema(), row_of_sample, kept.scratch)
        self._source = source
        self._setup = setup
        self._kept = kept
        self._advance = advance
        self._n = len(row_of_sample)
        self._n_done = 0
        self._n_tasks = _TASKS_PER_WORKER * engine.workers  # at least
        self._reaches = engine.reaches
        # by row
        self._stamps = np.zeros((self._n if kept.room is not None else 0, STAMP_BYTES), np.uint8)
        self._stamped = np.zeros(len(self._stamps), bool)
        self._keeping = True

    def take(self, part: pa.RecordBatch) -> None:
        """A result of the work."""
        self._put(part)
        if self._kept.room is None:
            return

        room, rows = self._kept.room, part["sample"].to_numpy()
        fresh = pa.Table.from_batches([part.filter(part[FRESH])])
        known = self._stamped[rows] & part["file_digest"].is_valid().to_numpy(zero_copy_only=False)
        digests = matrix(part["file_digest"])[known]
        self._try(lambda: room.add(fresh, self._stamps[rows[known]], digests))

    def keep(self) -> None:
        """Write what was not written yet."""
        if self._kept.room is not None:
            self._try(self._kept.room.flush)

    def _put(self, part: pa.RecordBatch | pa.Table) -> None:
        self.gathered.put(part)
        self._n_done += part.num_rows
        self._advance(self._n_done / self._n)

    def _try(self, write: Callable[[], None]) -> None:
        """Write to the cache; when that cannot be done the run goes on without."""
        if not self._keeping:
            return
        try:
            write()
        except OSError as error:
            self._keeping = False
            where = self._kept.room.folder if self._kept.room is not None else ""
            logger.warning(
                "%s cannot be written (%s): what is hashed is not kept.",
                where,
                error.strerror or error,
            )

    def put_measured(self) -> None:
        """Take the rows of banks as they are."""
        for start, part in measured_parts(self._source):
            rows = part.hashes(self._setup).drop_columns([SIGNS])
            self._put(rows.set_column(0, rows.schema.field(0), pc.add(rows["sample"], start)))

    def sent(self) -> Iterator[pa.RecordBatch]:
        """The tasks as the engine gets them: with their bytes, where its work does not find the
        files.
        """
        return self.tasks() if self._reaches else map(_with_bytes, self.tasks())

    def tasks(self) -> Iterator[pa.RecordBatch]:
        """Tasks of the rows that must be read, of the right size."""
        for batch in tasks(self._source, ROWS_AT_ONCE):
            if self._kept.room is None:
                sizes = _sizes(batch)
            else:
                stamps, sizes = _stamps(batch)
                if self._kept.trust_time:
                    batch, stamps, sizes = self._without_known(
                        self._kept.room, batch, stamps, sizes
                    )
                self._note(batch["row"].to_numpy(), stamps)
            if are_references(batch) and place(batch):
                yield from _slices(batch, max(ROWS_AT_ONCE, self._n // self._n_tasks))
            else:
                yield from _cut(batch, sizes, min(ROWS_AT_ONCE, max(1, self._n // self._n_tasks)))

    def _note(self, rows: NDArray[np.int64], stamps: list[bytes]) -> None:
        there = np.array([bool(of) for of in stamps], bool)
        self._stamps[rows[there]] = np.frombuffer(b"".join(stamps), np.uint8).reshape(
            -1, STAMP_BYTES
        )
        self._stamped[rows[there]] = True

    def _without_known(
        self, room: Room, batch: pa.RecordBatch, stamps: list[bytes], sizes: NDArray[np.int64]
    ) -> tuple[pa.RecordBatch, list[bytes], NDArray[np.int64]]:
        stamped = np.flatnonzero([bool(of) for of in stamps])
        keys = np.frombuffer(b"".join(stamps), np.uint8).reshape(-1, STAMP_BYTES)
        at, rows = room.find_stamped(keys)
        if len(at) == 0:
            return batch, stamps, sizes

        here = stamped[at]
        self._put(rows.add_column(0, "sample", batch["row"].take(pa.array(here))))
        rest = np.delete(np.arange(len(batch)), here)

        return batch.take(pa.array(rest)), [stamps[k] for k in rest.tolist()], sizes[rest]


def _with_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A task with the bytes that it is about; what cannot be read keeps the name of its file."""
    contents = [None if isinstance(of, Unreadable) else of for of in Reader().contents(batch)]
    paths = [
        path if content is None else None
        for path, content in zip(batch["path"].to_pylist(), contents, strict=True)
    ]

    return pa.record_batch([batch["row"], paths, contents], schema=PAYLOAD)


def _sizes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """The bytes of each row's file, 0 where there is none."""
    if are_references(batch):
        sizes: NDArray[np.int64] = batch["size"].to_numpy()
        return sizes

    lengths = pc.binary_length(batch["data"]).fill_null(-1).to_pylist()
    paths = batch["path"].to_pylist()

    return np.array(
        [_size(path) if n < 0 else n for path, n in zip(paths, lengths, strict=True)], np.int64
    )


def _size(path: bytes | None) -> int:
    try:
        return 0 if path is None else os.stat(path).st_size  # the name is bytes
    except (OSError, ValueError):
        return 0


def _stamps(batch: pa.RecordBatch) -> tuple[list[bytes], NDArray[np.int64]]:
    """The stamp of each row, empty where there is none, and the bytes of its file."""
    if are_references(batch):
        return _stamps_inside(batch), batch["size"].to_numpy()

    stamps, sizes = [], []
    lengths = pc.binary_length(batch["data"]).fill_null(-1).to_pylist()
    for path, length in zip(batch["path"].to_pylist(), lengths, strict=True):
        text, size = file_stamp(path) if length < 0 and path is not None else (b"", max(length, 0))
        stamps.append(stamp(text) if text else b"")
        sizes.append(size)

    return stamps, np.array(sizes, dtype=np.int64)


def _stamps_inside(batch: pa.RecordBatch) -> list[bytes]:
    files: dict[bytes | None, bytes] = {None: b""}
    found, inside = [], b"in " + place(batch)
    for path, group, at, size in zip(
        *(batch[c].to_pylist() for c in ("path", "group", "at", "size")), strict=True
    ):
        if path not in files:
            files[path] = file_stamp(path)[0]
        text = files[path]
        found.append(stamp(text, b"%s %d %d %d" % (inside, group, at, size)) if text else b"")

    return found


def _slices(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """Slices of a row group. A worker reads the group once; others read it again, which costs
    little beside hashing.
    """
    for start in range(0, len(batch), rows):
        yield batch.slice(start, rows)


def _cut(batch: pa.RecordBatch, sizes: NDArray[np.int64], rows: int) -> Iterator[pa.RecordBatch]:
    """Slices of so many rows and about `_BYTES_AT_ONCE` bytes."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(batch):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _BYTES_AT_ONCE, side="right"))
        stop = min(max(stop, start + 1), start + rows, len(batch))
        yield batch.slice(start, stop - start)
        start = stop


def measured_parts(source: Source) -> Iterator[tuple[int, Measured]]:
    """The datasets whose samples were measured before, each with its first row."""
    start = 0
    for part in parts_of(source):
        if isinstance(part, Measured):
            yield start, part
        start += len(part.rows)
