"""What a process knows of a bank at one moment: its segments, and what was removed since.

A snapshot never changes. `refreshed` gives the next one, and reads only what is new: so an entry is
found by the next check of any process, and there is no interval of refreshing.
"""

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dedup.bank.database import scalar
from dedup.bank.segments import Rows, Segment, appended, merged, read
from dedup.errors import BankError
from dedup.tables import MIN_INFORMATION
from dedup.tables.entries import BankSpec

logger = logging.getLogger(__name__)

SEARCH_FOLDER: Final = "search"

_ROWS_AT_ONCE: Final = 200_000  # records as Python objects: half a kilobyte each
_SEARCHED: Final = """
SELECT n, 0 AS inside, codes, signs FROM entry
WHERE n BETWEEN :first AND :last AND information >= :least
UNION ALL
SELECT n, 1, codes, signs FROM inside WHERE n BETWEEN :first AND :last
ORDER BY n, inside
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The searched rows of a bank."""

    mapped: tuple[Segment, ...] = ()  # in files
    tail: tuple[Segment, ...] = ()  # newer, in memory
    removed: frozenset[int] = frozenset()  # entries that are in segments and not in the bank
    generation: int = -1  # of the files
    last_n: int = 0  # the newest entry that was read
    last_removal: int = 0
    damaged: tuple[str, ...] = ()  # files that could not be used: their rows were read again

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All of them, oldest entries first."""
        return (*self.mapped, *self.tail)

    @property
    def tail_rows(self) -> int:
        """Rows that are in no file yet."""
        return sum(map(len, self.tail))


def refreshed(
    connection: sqlite3.Connection,
    before: Snapshot,
    folder: Path,
    spec: BankSpec,
    max_distance: int,
) -> Snapshot:
    """The snapshot of what the connection sees now."""
    generation = int(scalar(connection, "SELECT value FROM meta WHERE key = 'generation'"))
    last_n = _sequence(connection, "entry")
    last_removal = _sequence(connection, "removal")
    known = (before.generation, before.last_n, before.last_removal)
    if known == (generation, last_n, last_removal):
        return before

    if generation != before.generation or last_n < before.last_n:
        before = _with_files(connection, folder, spec, max_distance, generation)

    tail = before.tail
    for rows in rows_of(connection, spec, before.last_n + 1, last_n):
        tail = appended(tail, Segment.build(rows, max_distance), max_distance)

    gone = connection.execute(
        "SELECT n FROM removal WHERE seq > ? AND seq <= ?", (before.last_removal, last_removal)
    )
    removed = before.removed | {n for (n,) in gone}

    return replace(before, tail=tail, removed=removed, last_n=last_n, last_removal=last_removal)


def rows_of(
    connection: sqlite3.Connection, spec: BankSpec, first: int, last: int
) -> Iterator[Rows]:
    """The rows to be searched of the entries first .. last, in parts; empty parts are left out."""
    if first > last:
        return

    asked = {"first": first, "last": last, "least": MIN_INFORMATION}
    cursor = connection.execute(_SEARCHED, asked)
    while records := cursor.fetchmany(_ROWS_AT_ONCE):
        yield Rows.of(records, spec)


def _with_files(
    connection: sqlite3.Connection, folder: Path, spec: BankSpec, max_distance: int, generation: int
) -> Snapshot:
    """The snapshot with the registered files alone."""
    segments: list[Segment] = []
    damaged: list[str] = []
    last_n = 0
    files = connection.execute(
        "SELECT name, first_n, last_n, bytes FROM search_file ORDER BY last_n"
    )

    for name, first, last, n_bytes in files.fetchall():
        path = folder / SEARCH_FOLDER / name
        try:
            segments.append(read(path, spec, n_bytes))
        except BankError as error:
            logger.warning("%s Its rows are read from the database again.", error)
            damaged.append(name)
            parts = [
                Segment.build(rows, max_distance) for rows in rows_of(connection, spec, first, last)
            ]
            segments += [merged(parts, max_distance)] if parts else []
        last_n = max(last_n, last)

    return Snapshot(
        mapped=tuple(segments), generation=generation, last_n=last_n, damaged=tuple(damaged)
    )


def _sequence(connection: sqlite3.Connection, table: str) -> int:
    """The highest number that a table ever gave."""
    return int(scalar(connection, "SELECT seq FROM sqlite_sequence WHERE name = ?", table) or 0)
