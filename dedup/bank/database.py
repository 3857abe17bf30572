"""The database of a bank: its tables, how it is opened, and what its errors mean for people.

SQLite holds the truth: verdict, entry, idempotency record and outbox row are written in one
transaction, and only then is the answer sent. Everything else in the folder can be made again.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from dedup.errors import BankBusyError, BankDamagedError, BankError, BankFullError, because
from dedup.tables.entries import DATABASE

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE entry (
  n INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows, and is never used again
  id TEXT NOT NULL,
  label TEXT,
  uri TEXT,
  width INTEGER, height INTEGER, format TEXT,
  file_digest BLOB, pixel_digest BLOB,
  information REAL,
  codes BLOB NOT NULL,  -- of all algorithms, one after the other
  signs BLOB NOT NULL,
  thumbnail BLOB,       -- 4 bits a pixel; null where signs do
  added REAL NOT NULL
);
CREATE UNIQUE INDEX entry_id ON entry (id);
CREATE INDEX entry_file ON entry (file_digest);
CREATE INDEX entry_pixels ON entry (pixel_digest);

-- What an entry looks like without its frame: further rows of the search.
CREATE TABLE inside (
  n INTEGER PRIMARY KEY,
  codes BLOB NOT NULL, signs BLOB NOT NULL, thumbnail BLOB
);

CREATE TABLE removal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER NOT NULL, id TEXT, removed REAL NOT NULL
);

CREATE TABLE search_file (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, first_n INTEGER NOT NULL, last_n INTEGER NOT NULL,
  rows INTEGER NOT NULL, bytes INTEGER NOT NULL, digest TEXT NOT NULL
);

CREATE TABLE submission (
  s INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  entry TEXT, verdict TEXT NOT NULL, answer TEXT NOT NULL, picture TEXT,
  decided_by TEXT NOT NULL, note TEXT,
  version INTEGER NOT NULL, created REAL NOT NULL, reviewed REAL
);
CREATE INDEX submission_verdict ON submission (verdict, s);
CREATE INDEX submission_entry ON submission (entry);

CREATE TABLE idempotency (
  key TEXT PRIMARY KEY, digest BLOB NOT NULL, submission TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE delivery (
  d INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL, target TEXT NOT NULL,
  state TEXT NOT NULL, attempts INTEGER NOT NULL, next REAL NOT NULL,
  said TEXT, created REAL NOT NULL, settled REAL
);
CREATE INDEX delivery_due ON delivery (state, next);

CREATE TABLE api_key (
  name TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, scopes TEXT NOT NULL,
  created REAL NOT NULL, revoked REAL, used REAL
) WITHOUT ROWID;
"""
"""Every time is in seconds since 1970. Every text is the user's own: parameters, never parts of
statements.
"""

_CACHE_KB: Final = 16_000  # of pages, for each connection: a process that only checks stays small
_MAP_BYTES: Final = 1 << 30  # pages are read from the page cache without a copy


def create(path: Path) -> sqlite3.Connection:
    """A new, empty database at this path."""
    connection = _opened(path, "rwc", 30.0)
    # What is removed with --forget must not stay in free pages.
    connection.executescript(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;" + SCHEMA
    )

    return connection


def connect(folder: Path, *, read_only: bool, timeout: float) -> sqlite3.Connection:
    """A connection to the database of a bank; `timeout`: seconds that a writer waits for another
    one.
    """
    path = folder / DATABASE
    if not path.is_file():
        message = (
            f"{str(folder)!r} is not a bank: there is no {DATABASE} in it. "
            f"Build one with 'dedup bank build {folder} SOURCE'."
        )
        raise BankError(message)

    with translated(folder):
        connection = _opened(path, "ro" if read_only else "rw", timeout)
        connection.execute("SELECT count(*) FROM meta").fetchone()

    return connection


def _opened(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    connection.execute(f"PRAGMA mmap_size = {_MAP_BYTES}")

    return connection


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Errors of SQLite as errors that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error, folder) from error


def _meaning(error: sqlite3.Error, folder: Path) -> BankError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = str(folder)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return BankBusyError(
            f"{name!r} is being written by another process, which did not finish in time. "
            "Wait for it, or set a longer timeout."
        )

    if code == sqlite3.SQLITE_READONLY:
        return BankError(
            f"{name!r} cannot be written: it is read-only here. Checks work; changes do not."
        )

    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return BankFullError(
            f"{name!r} could not be written: {because(error)}. Nothing of this change was kept. "
            "Make room on the disk and try again."
        )

    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or (
        isinstance(error, sqlite3.DatabaseError)
        and (code == sqlite3.SQLITE_ERROR and "no such table" in str(error))
    ):
        return BankDamagedError(
            f"{str(folder / DATABASE)!r} is damaged: {because(error)}. 'dedup bank verify {name}'"
            " says what is left. Put a copy made by 'dedup bank copy' in its place, or build the"
            " bank again."
        )

    if code == sqlite3.SQLITE_CANTOPEN:
        return BankError(f"{str(folder / DATABASE)!r} cannot be opened: {because(error)}.")

    return BankError(f"{name!r}: {because(error)}.")


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def scalar(connection: sqlite3.Connection, statement: str, *values: Any) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(statement, values).fetchone()
    return None if row is None else row[0]
