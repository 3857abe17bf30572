"""Search files made, merged, checked and copied: all of them follow from the rows."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np

from dedup import files
from dedup.bank import segments
from dedup.bank.database import connect, scalar, translated
from dedup.bank.segments import Rows, Segment, merged
from dedup.bank.snapshot import SEARCH_FOLDER, Snapshot, rows_of
from dedup.bank.store import Store
from dedup.errors import BankBusyError, BankError
from dedup.policy.doubts import thresholds
from dedup.tables.entries import DATABASE
from dedup.versions import VERSIONS

try:
    import fcntl
except ImportError:  # Windows: there the lock is the database's alone
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

LOCK: Final = "compacting.lock"

_KIND: Final = "search"  # of the marker in the folder of search files


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at everything found."""

    entries: int
    searched_rows: int
    problems: tuple[str, ...]  # none: the index is what the rows say

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def compact(store: Store, *, everything: bool, threads: int) -> int:
    """Put the tail into a search file; with `everything` make all files anew, as one. Returns the
    rows in it.

    Readers and writers go on. Without `everything` the last files are merged with it while they are
    no larger than twice what is added, so that each row is copied a few times only.
    """
    with _alone(store):
        with store.read() as connection:
            snapshot = store.snapshot(connection)
            records = connection.execute("SELECT * FROM search_file ORDER BY last_n").fetchall()
            kept = [] if everything or snapshot.damaged else _kept(records, snapshot.tail_rows)
            first = max((record["last_n"] for record in kept), default=0) + 1
            if not everything and not snapshot.damaged and snapshot.tail_rows == 0:
                return 0
            parts = list(rows_of(connection, store.spec, first, snapshot.last_n))
        made = _written(store, parts, threads) if parts else None
        _register(
            store, kept, made, first, snapshot.last_n, snapshot.last_removal, everything=everything
        )
        _tidy(store)
    return 0 if made is None else made.rows


@dataclass(frozen=True, slots=True)
class _Made:
    """A search file that is on the disk, and not registered yet."""

    name: str
    rows: int
    n_bytes: int
    digest: str


def _kept(records: Sequence[sqlite3.Row], n_new: int) -> list[sqlite3.Row]:
    """The files that stay as they are: those before the last one that is more than twice as
    large.
    """
    kept, n = list(records), n_new
    while kept and kept[-1]["rows"] <= 2 * n:
        n += kept.pop()["rows"]
    return kept


def _written(store: Store, parts: Sequence[Rows], threads: int) -> _Made:
    whole = Rows(
        np.concatenate([part.n for part in parts]),
        np.concatenate([part.inside for part in parts]),
        {
            name: np.concatenate([part.codes[name] for part in parts])
            for name in store.spec.algorithms
        },
        np.concatenate([part.signs for part in parts]),
    )
    segment = Segment.build(whole, store.max_distance, threads)
    folder = store.folder / SEARCH_FOLDER
    path = folder / f"{uuid4().hex}.arrow"
    known = files.marked(folder, _KIND)
    # The name is written down first: whatever a killed process leaves is known to be ours.
    owner = files.mark(folder, _KIND, {**({} if known is None else known.made), path.name: None})

    try:
        digest = segments.write(segment, path, store.spec)
    except OSError:
        files.remove(path, owner)
        raise

    return _Made(path.name, len(whole), path.stat().st_size, digest)


def _register(
    store: Store,
    kept: Sequence[sqlite3.Row],
    made: _Made | None,
    first: int,
    last_n: int,
    last_removal: int,
    *,
    everything: bool,
) -> None:
    with store.write() as connection:
        stay = [record["number"] for record in kept]
        asked = ",".join("?" * len(stay))
        connection.execute(f"DELETE FROM search_file WHERE number NOT IN ({asked})", stay)
        if made is not None:
            connection.execute(
                "INSERT INTO search_file (name, first_n, last_n, rows, bytes, digest) VALUES (?, ?,"
                " ?, ?, ?, ?)",
                (made.name, first, last_n, made.rows, made.n_bytes, made.digest),
            )
        if everything:
            # No file holds what was removed before: readers with older files start again by the
            # generation.
            connection.execute("DELETE FROM removal WHERE seq <= ?", (last_removal,))
        connection.execute(
            "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
        )


def _tidy(store: Store) -> None:
    """Remove search files that are not registered: of a compaction that was killed, or replaced."""
    folder = store.folder / SEARCH_FOLDER
    owner = files.marked(folder, _KIND)
    if owner is None:
        return

    with store.read() as connection:
        named = {name for (name,) in connection.execute("SELECT name FROM search_file")}

    for name in owner.made.keys() - named:
        files.remove(folder / name, owner)

    files.mark(folder, _KIND, {name: None for name in owner.made if name in named})


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Hold off other compactions; the system frees the lock when a process dies."""
    if store.read_only:
        message = (
            f"{str(store.folder)!r} was opened read-only. Open it without read_only to change it."
        )
        raise BankError(message)
    with (store.folder / LOCK).open("wb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                message = f"{str(store.folder)!r} is being compacted by another process."
                raise BankBusyError(message) from error
        yield


def verify(store: Store) -> Verified:
    """Whether the database is whole, and whether the search files are what its rows say."""
    problems: list[str] = []
    with store.read() as connection:
        checks = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        problems += [f"{DATABASE}: {text}" for text in checks if text != "ok"]
        n_entries = int(scalar(connection, "SELECT count(*) FROM entry"))
        removed = {n for (n,) in connection.execute("SELECT n FROM removal")}
        n_rows, covered = 0, 0
        for record in connection.execute("SELECT * FROM search_file ORDER BY last_n").fetchall():
            problems += _file_problems(store, connection, record, removed)
            if record["first_n"] != covered + 1:
                problems.append(
                    f"{record['name']}: it begins at entry {record['first_n']}, not {covered + 1}."
                )
            covered = record["last_n"]
        snapshot = store.snapshot(connection)
        n_rows = sum(map(len, snapshot.segments))
        problems += _tail_problems(store, connection, snapshot, covered, removed)

    return Verified(n_entries, n_rows, tuple(problems))


def _file_problems(
    store: Store, connection: sqlite3.Connection, record: sqlite3.Row, removed: set[int]
) -> list[str]:
    path = store.folder / SEARCH_FOLDER / record["name"]
    if not path.is_file():
        return [f"{record['name']}: the file is missing. 'dedup bank compact' makes it again."]
    if segments.digest(path) != record["digest"]:
        return [f"{record['name']}: its content changed. 'dedup bank compact' makes it again."]

    try:
        rows = segments.read(path, store.spec, record["bytes"]).rows()
    except BankError as error:
        return [str(error)]

    return _differences(
        record["name"], store, connection, rows, record["first_n"], record["last_n"], removed
    )


def _tail_problems(
    store: Store,
    connection: sqlite3.Connection,
    snapshot: Snapshot,
    covered: int,
    removed: set[int],
) -> list[str]:
    if not snapshot.tail:
        return []
    rows = merged(snapshot.tail, store.max_distance).rows()
    return _differences("the tail", store, connection, rows, covered + 1, snapshot.last_n, removed)


def _differences(
    name: str,
    store: Store,
    connection: sqlite3.Connection,
    rows: Rows,
    first: int,
    last: int,
    removed: set[int],
) -> list[str]:
    """Where searched rows and the rows of the database are not the same."""
    there = {(n, inside): record for n, inside, record in _records(rows, store)}
    problems = []
    for part in rows_of(connection, store.spec, first, last):
        for n, inside, record in _records(part, store):
            if there.pop((n, inside), None) != record:
                problems.append(f"{name}: entry {n} is not there, or has other codes.")

    problems += [f"{name}: entry {n} is not in the database." for n, _ in there if n not in removed]

    return problems[:20]


def _records(rows: Rows, store: Store) -> Iterator[tuple[int, bool, bytes]]:
    for k in range(len(rows)):
        codes = b"".join(rows.codes[name][k].tobytes() for name in store.spec.algorithms)
        yield int(rows.n[k]), bool(rows.inside[k]), codes + rows.signs[k].tobytes()


def copy(store: Store, target: Path) -> None:
    """A consistent copy, while the bank is used. Its search files are made when it is opened."""
    if target.exists():
        message = f"{str(target)!r} is there already. Name a new folder for the copy."
        raise BankError(message)

    target.mkdir(parents=True)
    with (
        translated(store.folder),
        closing(connect(store.folder, read_only=True, timeout=store.timeout)) as source,
        closing(sqlite3.connect(target / DATABASE)) as sink,
    ):
        source.backup(sink)
        sink.execute("DELETE FROM search_file")
        sink.commit()
        sink.execute("PRAGMA journal_mode = WAL")


def forget(store: Store, ids: Sequence[str]) -> None:
    """Wipe what is left of removed entries: overwritten in the database, gone from files and
    outbox.
    """
    with store.write() as connection:
        connection.execute("PRAGMA secure_delete = ON")
        for entry in ids:
            connection.execute("UPDATE removal SET id = NULL WHERE id = ?", (entry,))
            names = [
                name
                for (name,) in connection.execute(
                    "SELECT name FROM submission WHERE entry = ?", (entry,)
                )
            ]
            for name in names:
                connection.execute("DELETE FROM idempotency WHERE submission = ?", (name,))
                connection.execute("DELETE FROM delivery WHERE payload LIKE ?", (f"%{name}%",))
            connection.execute("DELETE FROM submission WHERE entry = ?", (entry,))


def libraries() -> dict[str, str]:
    """Versions of what measures here, for people."""
    return dict(VERSIONS)


def compact_if_free(store: Store) -> None:
    """`compact`, unless another process is at it; a disk without room for it only costs speed."""
    try:
        compact(store, everything=False, threads=1)
    except BankBusyError:
        logger.debug("%s is being compacted by another process.", store.folder)
    except OSError as error:
        logger.warning(
            "%s: no search file could be written (%s).", store.folder, error.strerror or error
        )


def wiped(store: Store) -> None:
    """Give free pages back, and empty the write-ahead log, where what was removed may still be."""
    with store.write() as connection:
        connection.execute("PRAGMA incremental_vacuum")
    with translated(store.folder):
        store.checkpoint()


def described(store: Store) -> dict[str, Any]:
    """What a bank holds, for JSON."""
    with store.read() as connection:
        snapshot = store.snapshot(connection)
        n_entries = int(scalar(connection, "SELECT count(*) FROM entry"))
        waiting = dict(
            connection.execute(
                "SELECT verdict, count(*) FROM submission GROUP BY verdict"
            ).fetchall()
        )
        named = connection.execute(
            "SELECT name, rows, bytes FROM search_file ORDER BY last_n"
        ).fetchall()

    info = store.info

    return {
        "path": str(store.folder),
        "entries": n_entries,
        "searched_rows": sum(map(len, snapshot.segments)),
        "tail_rows": snapshot.tail_rows,
        "submissions": waiting,
        "spec": info.spec.to_dict(),
        "max_distance": store.max_distance,
        "canary": info.canary,
        "versions": dict(info.versions),
        "source": info.source,
        "licence": info.licence,
        "search_files": [dict(row) for row in named],
        "damaged_search_files": list(snapshot.damaged),
        "database_bytes": _bytes_of(store.folder),
        "thresholds": thresholds(),
    }


def _bytes_of(place: Path) -> int:
    """Bytes of the database, or of a portable bank's file."""
    path = place / DATABASE if place.is_dir() else place
    return path.stat().st_size
