"""Entries in bulk: from a dataset in any form, or from a finished run, whose pixels are not read
again.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.bank.database import now, scalar
from dedup.bank.store import INSERT, Store, delete
from dedup.config import Config, build
from dedup.engines import Distributed, made
from dedup.errors import BankConflictError, BankError, ConfigError
from dedup.formats import Source, open_source
from dedup.formats.references import tasks
from dedup.hashers.drift import setup_of
from dedup.hashers.setup import Setup
from dedup.hashers.work import WORK, work
from dedup.runs import folder
from dedup.stages.hashes import refuse_other
from dedup.tables import storage
from dedup.tables.entries import SMALL_SIDE, BankInfo, BankSpec
from dedup.tables.thumbnails import packed
from dedup.verify.signs import signs_of
from dedup.verify.views import within_frames

_ROWS_A_TASK: Final = 256
_TASKS_A_WORKER: Final = 8  # so that all workers have their share of a small source
_ROWS_A_COMMIT: Final = 50_000


@dataclass(frozen=True, slots=True)
class Part:
    """Some pictures with what was measured on them."""

    rows: pa.Table  # id, label, uri
    hashes: pa.Table


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the pictures of a source."""

    added: int = 0
    replaced: int = 0
    unreadable: Mapping[str, int] | None = None  # by status
    unreadable_ids: tuple[str, ...] = ()  # the first of them

    @property
    def n_unreadable(self) -> int:
        """Pictures that have a status and no entry."""
        return sum((self.unreadable or {}).values())


def spec_of(config: Config) -> BankSpec:
    """The spec of a bank of pictures hashed with these settings."""
    of = config.hash
    return BankSpec(of.algorithms, of.bits, of.mode, of.background, of.max_pixels)


def config_of(sources: Sequence[str | Path], options: Mapping[str, Any]) -> Config:
    """The config that opens one or several sources."""
    for key, section in options.items():
        if not isinstance(section, Mapping):
            message = (
                f"a bank takes settings by section, such as engine={{'workers': 2}} or"
                f" hash={{'bits': 256}}: {key}={section!r} names none."
            )
            raise TypeError(message)

    settings = {key: dict(section) for key, section in options.items()}
    dataset = settings.setdefault("dataset", {})
    if len(sources) == 1:
        dataset["path"] = str(sources[0])
    else:
        dataset["sources"] = [{"path": str(path)} for path in sources]

    return build(settings)


def is_run(source: object) -> bool:
    """Whether a path is that of a finished run."""
    return isinstance(source, str | Path) and (Path(source) / folder.RUN).is_file()


def spec_of_run(run_folder: Path) -> tuple[BankSpec, str]:
    """The spec of a bank made of a run, and the canary of its hashes. Raises `RunError` where they
    are too old.
    """
    info = folder.finished(run_folder)
    config = build({"hash": info["config"]["hash"]})
    refuse_other(info.get("hashed_by"), Setup.of(config), f"The run in {str(run_folder)!r}")
    return spec_of(config), str((info.get("hashed_by") or {}).get("canary"))


def of_run(run_folder: Path) -> Iterator[Part]:
    """The pictures of a finished run, in parts."""
    manifest = storage.read(run_folder, "manifest").select(["sample", "id", "label", "uri"])
    for part in storage.read_parts(run_folder, "hashes"):
        first = part["sample"][0].as_py() if len(part) else 0
        yield Part(manifest.slice(first, len(part)), part)


def of_source(source: Source, spec: BankSpec, config: Config) -> Iterator[Part]:
    """The pictures of a dataset, measured by workers, in parts."""
    engine = made(config.engine)
    n, workers = len(source.rows), engine.workers
    size = max(1, min(_ROWS_A_TASK, n // (_TASKS_A_WORKER * workers)))
    rows = source.rows.select(["id", "label", "uri"])
    cut = (
        batch.slice(at, size) for batch in tasks(source, size) for at in range(0, len(batch), size)
    )

    try:
        for done in engine.run(WORK, work(setup_of(spec)), cut):
            yield Part(rows.take(done["sample"]), pa.Table.from_batches([done]))
    finally:
        if isinstance(engine, Distributed):
            engine.close()


def opened(sources: Sequence[str | Path], options: Mapping[str, Any]) -> tuple[Source, Config]:
    """One dataset of all of them."""
    if not sources:
        message = "Name a dataset, or a finished run, that the bank is made of."
        raise ConfigError(message)

    if any(map(is_run, sources)):
        message = "A finished run is added alone: name it without other sources."
        raise ConfigError(message)

    config = config_of(sources, options)

    return open_source(config.dataset), config


def filled(
    store: Store, parts: Iterator[Part], *, replace_ids: bool, advance: Any = None
) -> Counts:
    """Add all pictures, some thousands in each transaction; what was committed stays when this is
    ended.
    """
    counts, waiting, n = Counts(unreadable={}), [], 0
    for part in parts:
        waiting.append(part)
        n += len(part.rows)
        if n >= _ROWS_A_COMMIT:
            counts = _committed(store, waiting, counts, replace_ids=replace_ids)
            waiting, n = [], 0
        if advance is not None:
            advance(len(part.rows))

    return _committed(store, waiting, counts, replace_ids=replace_ids) if waiting else counts


def rebuilt(store: Store, parts: Iterator[Part], info: BankInfo, *, drop_missing: bool) -> Counts:
    """Replace all entries by new measures of the same ids, in the transaction that is open.

    Labels and places of the entries stay. Raises `BankError` for entries that no picture was found
    for.
    """
    with store.write() as connection:
        pending = int(
            scalar(connection, "SELECT count(*) FROM submission WHERE verdict = 'pending'")
        )
        if pending:
            message = (
                f"{pending:,} submissions wait for a person, with the old codes. Review them first."
            )
            raise BankError(message)
        kept = {
            row["id"]: (row["label"], row["uri"])
            for row in connection.execute("SELECT id, label, uri FROM entry")
        }
        counts = Counts(unreadable={})
        for part in parts:
            wanted = [entry in kept for entry in part.rows["id"].to_pylist()]
            mine = Part(part.rows.filter(pa.array(wanted)), part.hashes.filter(pa.array(wanted)))
            counts = _added(store, connection, mine, counts, replace_ids=True)
        missing = len(kept) - counts.added
        if missing and not drop_missing:
            message = (
                f"{missing:,} of {len(kept):,} entries of {str(store.folder)!r} have no readable"
                " picture in it. Nothing was changed. Name the source that has them, or remove"
                " them with --drop-missing."
            )
            raise BankError(message)
        _drop_unmeasured(connection, kept, counts)
        connection.executemany(
            "UPDATE entry SET label = ?, uri = ? WHERE id = ?", [(*v, k) for k, v in kept.items()]
        )
        connection.execute("UPDATE meta SET value = ? WHERE key = 'info'", (info.to_json(),))
    return counts


def _drop_unmeasured(
    connection: sqlite3.Connection, kept: Mapping[str, Any], counts: Counts
) -> None:
    """Remove the entries that were not measured again: those with the oldest numbers."""
    first = (
        int(scalar(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'") or 0)
        - counts.added
    )
    old = [entry for (entry,) in connection.execute("SELECT id FROM entry WHERE n <= ?", (first,))]
    for entry in old:
        if entry in kept:
            delete(connection, entry)


def _committed(store: Store, parts: Sequence[Part], counts: Counts, *, replace_ids: bool) -> Counts:
    with store.write() as connection:
        for part in parts:
            counts = _added(store, connection, part, counts, replace_ids=replace_ids)
    return counts


def _added(
    store: Store, connection: sqlite3.Connection, part: Part, counts: Counts, *, replace_ids: bool
) -> Counts:
    readable = np.flatnonzero(pc.equal(part.hashes["status"], "ok").to_numpy())
    lost = np.setdiff1d(np.arange(len(part.hashes)), readable)
    unreadable = dict(counts.unreadable or {})
    for status in part.hashes["status"].take(pa.array(lost)).to_pylist():
        unreadable[status] = unreadable.get(status, 0) + 1

    lost_ids = part.rows["id"].take(pa.array(lost)).to_pylist()

    rows, hashes = part.rows.take(pa.array(readable)), part.hashes.take(pa.array(readable))
    replaced = _replaced(connection, rows["id"].to_pylist(), replace_ids=replace_ids, store=store)
    if len(readable):
        _insert(connection, rows, hashes, store.spec)

    return replace(
        counts,
        added=counts.added + len(readable),
        replaced=counts.replaced + replaced,
        unreadable=unreadable,
        unreadable_ids=(counts.unreadable_ids + tuple(lost_ids))[:10],
    )


def _replaced(
    connection: sqlite3.Connection, ids: Sequence[str], *, replace_ids: bool, store: Store
) -> int:
    n = 0
    for entry in ids:
        if connection.execute("SELECT 1 FROM entry WHERE id = ?", (entry,)).fetchone() is None:
            continue
        if not replace_ids:
            message = (
                f"The id {entry!r} is that of an entry of {str(store.folder)!r}. "
                "Give the picture another id, or replace the entry with --replace."
            )
            raise BankConflictError(message)
        n += delete(connection, entry)

    return n


def _insert(
    connection: sqlite3.Connection, rows: pa.Table, hashes: pa.Table, spec: BankSpec
) -> None:
    """Add readable pictures whose ids are free."""
    hashes = hashes.combine_chunks()
    small = tables.fixed_width(hashes["thumbnail"]).reshape(-1, 32, 32)
    codes = np.concatenate([tables.fixed_width(hashes[name]) for name in spec.algorithms], axis=1)
    sides = pc.min_element_wise(hashes["width"], hashes["height"]).to_numpy()
    kept = [packed(small[k]) if sides[k] < SMALL_SIDE else None for k in range(len(small))]
    first = int(scalar(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'") or 0) + 1
    numbers = np.arange(first, first + len(rows))
    columns = [
        numbers.tolist(),
        *(rows[name].to_pylist() for name in ("id", "label", "uri")),
        *(
            hashes[name].to_pylist()
            for name in ("width", "height", "format", "file_digest", "pixel_digest")
        ),
        hashes["information"].to_pylist(),
        _pieces(codes),
        _pieces(signs_of(small)),
        kept,
        [now()] * len(rows),
    ]
    connection.executemany(INSERT, zip(*columns, strict=True))

    informed = np.flatnonzero(hashes["information"].to_numpy() >= tables.MIN_INFORMATION)
    views = within_frames(small, informed, spec.algorithms, spec.bits, ("identity",))
    if len(views.of):
        inside = np.concatenate([views.codes[name] for name in spec.algorithms], axis=1)
        more = zip(
            numbers[views.of].tolist(),
            _pieces(inside.view(np.uint8)),
            _pieces(signs_of(views.thumbnails)),
            strict=True,
        )
        connection.executemany("INSERT INTO inside (n, codes, signs) VALUES (?, ?, ?)", more)


def _pieces(rows: NDArray[np.uint8]) -> list[bytes]:
    """Each row as bytes."""
    data, width = np.ascontiguousarray(rows).tobytes(), rows.shape[1]
    return [data[at : at + width] for at in range(0, len(data), width)]
