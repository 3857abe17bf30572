"""A bank's folder while it is open: its connections, its snapshots, its transactions."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dedup.bank import database
from dedup.bank.database import now, scalar, translated
from dedup.bank.picture import Inside, MeasuredPicture
from dedup.bank.snapshot import Snapshot, refreshed
from dedup.errors import BankError
from dedup.tables.entries import BankInfo, BankSpec
from dedup.tables.thumbnails import packed

MAX_TAIL_ROWS: Final = 50_000
"""Rows in memory from which on a writer puts them into a search file: 8 ms to read at opening."""

INSERT: Final = """
INSERT INTO entry (n, id, label, uri, width, height, format, file_digest, pixel_digest, information,
                   codes, signs, thumbnail, added)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Store:
    """One process's hold on a bank. Safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool,
        timeout: float,
        opened: sqlite3.Connection | None = None,
    ) -> None:
        """`opened`: a database in memory, in place of the one in the folder."""
        self.folder = folder
        self.read_only = read_only
        self.timeout = timeout
        self._reading = threading.RLock()
        self._writing = threading.RLock()
        self._reader = opened or database.connect(folder, read_only=read_only, timeout=timeout)
        self._reader.row_factory = sqlite3.Row
        self._writer: sqlite3.Connection | None = None
        self._depth = 0

        with self.read() as connection:
            text = scalar(connection, "SELECT value FROM meta WHERE key = 'info'")
            if text is None:
                message = f"{str(folder)!r} was never finished. Remove it and build the bank again."
                raise BankError(message)
            self.info = BankInfo.from_json(text, repr(str(folder)))
            self.max_distance = int(
                scalar(connection, "SELECT value FROM meta WHERE key = 'max_distance'")
            )

        self._snapshot = Snapshot()
        self._version = -1
        self._pending: Snapshot | None = None  # of the transaction that is open

    @property
    def spec(self) -> BankSpec:
        """What decides the codes."""
        return self.info.spec

    def close(self) -> None:
        """Give the files free. What was not committed is undone."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the bank as long as this lasts."""
        with self._reading, translated(self.folder):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")

    def snapshot(self, connection: sqlite3.Connection) -> Snapshot:
        """What is searched, as the connection of `read` or `write` sees it."""
        if connection is self._writer:
            before = self._pending or self._snapshot
            self._pending = refreshed(connection, before, self.folder, self.spec, self.max_distance)
            return self._pending

        version = int(scalar(connection, "PRAGMA data_version"))
        if version != self._version:
            self._snapshot = refreshed(
                connection, self._snapshot, self.folder, self.spec, self.max_distance
            )
            self._version = version

        return self._snapshot

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk when this ends, or nothing.

        Inside another one it is a part of that. Waits for other writers up to the timeout.
        """
        if self.read_only:
            message = (
                f"{str(self.folder)!r} was opened read-only. Open it without read_only to"
                " change it."
            )
            raise BankError(message)
        with self._writing:
            connection = self._connected()
            if self._depth:
                yield connection
                return
            with translated(self.folder):
                connection.execute("BEGIN IMMEDIATE")
            self._depth, self._pending = 1, None
            try:
                with translated(self.folder):
                    yield connection
                    connection.execute("COMMIT")
            except BaseException:
                self._pending = None
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
            self._adopt()

    def _connected(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = database.connect(self.folder, read_only=False, timeout=self.timeout)
            self._writer.row_factory = sqlite3.Row
        return self._writer

    def _adopt(self) -> None:
        """What the writer has read, readers need not read again."""
        pending, self._pending = self._pending, None
        if pending is None:
            return

        with self._reading:
            ahead = (
                pending.generation == self._snapshot.generation
                and pending.last_n > self._snapshot.last_n
            )
            if ahead and pending.last_removal >= self._snapshot.last_removal:
                self._snapshot = pending

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database and empty it, as far as readers let it."""
        with self._writing:
            self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this thread's is open."""
        return self._depth > 0


def insert(
    connection: sqlite3.Connection,
    picture: MeasuredPicture,
    spec: BankSpec,
    entry: str,
    label: str | None = None,
    uri: str | None = None,
) -> int:
    """Add an entry; returns its number. Raises `sqlite3.IntegrityError` where the id is taken."""
    thumbnail = picture.thumbnail if picture.is_small else None
    cursor = connection.execute(
        INSERT,
        (
            None,
            entry,
            label,
            uri,
            picture.width,
            picture.height,
            picture.format,
            picture.file_digest,
            picture.pixel_digest,
            picture.information,
            b"".join(picture.codes[name] for name in spec.algorithms),
            picture.signs,
            None if thumbnail is None else packed(thumbnail),
            now(),
        ),
    )
    number = int(cursor.lastrowid or 0)
    if picture.inside is not None and picture.is_searched:
        _insert_inside(connection, number, picture.inside, spec)

    return number


def _insert_inside(
    connection: sqlite3.Connection, number: int, inside: Inside, spec: BankSpec
) -> None:
    codes = b"".join(inside.codes[name] for name in spec.algorithms)
    connection.execute(
        "INSERT INTO inside (n, codes, signs) VALUES (?, ?, ?)", (number, codes, inside.signs)
    )


def delete(connection: sqlite3.Connection, entry: str, *, forget: bool = False) -> bool:
    """Remove an entry by its id; False where there is none. `forget`: its id is not kept either."""
    number = scalar(connection, "SELECT n FROM entry WHERE id = ?", entry)
    if number is None:
        return False

    connection.execute("DELETE FROM entry WHERE n = ?", (number,))
    connection.execute("DELETE FROM inside WHERE n = ?", (number,))
    connection.execute(
        "INSERT INTO removal (n, id, removed) VALUES (?, ?, ?)",
        (number, None if forget else entry, now()),
    )

    return True


def taken(connection: sqlite3.Connection, entry: str) -> bool:
    """Whether the id is that of an entry."""
    return scalar(connection, "SELECT 1 FROM entry WHERE id = ?", entry) is not None
