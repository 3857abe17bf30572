"""Portable banks: one Parquet file with codes and signs, and nothing that a picture could be seen
in.

Rows are sorted by id and written the same way everywhere, so that whoever has the pictures can make
the file again and compare.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dedup import files
from dedup.bank.database import SCHEMA, now
from dedup.bank.store import INSERT, Store
from dedup.errors import BankError
from dedup.hashers.drift import widened_by
from dedup.tables.entries import (
    METADATA,
    PORTABLE,
    BankSpec,
    default_distance,
    portable_schema,
    read_portable,
)

_ROWS_AT_ONCE: Final = 100_000
_SELECT: Final = """
SELECT e.id, e.width, e.height, e.information, e.file_digest, e.pixel_digest, e.codes, e.signs,
       i.codes AS inside_codes, i.signs AS inside_signs
FROM entry AS e LEFT JOIN inside AS i ON i.n = e.n ORDER BY e.id
"""


def export(
    store: Store,
    target: Path,
    source: str | None,
    licence: str | None,
    *,
    ids: bool,
    digests: bool,
    overwrite: bool,
) -> int:
    """Write a portable bank, whole or not at all; returns the entries in it.

    `ids` False: entries are numbered. `digests`: of files and pixels, by which equal ones are
    found.
    """
    if not target.name.endswith(PORTABLE):
        message = (
            f"A portable bank is named *{PORTABLE}, not {target.name!r}, so that it is known by its"
            " name."
        )
        raise BankError(message)

    if target.exists() and not overwrite:
        message = f"{str(target)!r} is there already. Name another file, or set overwrite."
        raise BankError(message)

    info = replace(
        store.info, source=source or store.info.source, licence=licence or store.info.licence
    )
    schema = portable_schema(info.spec, digests=digests).with_metadata(
        {METADATA: info.to_json().encode()}
    )
    n = 0

    with (
        files.appearing(target) as partial,
        store.read() as connection,
        pq.ParquetWriter(partial, schema, **_SETTINGS) as writer,
    ):
        for batch in _batches(connection, info.spec, schema, ids=ids):
            writer.write_batch(batch)
            n += len(batch)

    return n


_SETTINGS: Final[dict[str, Any]] = {
    "compression": "zstd",
    "use_dictionary": False,
    "write_statistics": False,
}
"""Codes are as good as random: a dictionary and statistics of them would only take room."""


def _batches(
    connection: sqlite3.Connection, spec: BankSpec, schema: pa.Schema, *, ids: bool
) -> Iterator[pa.RecordBatch]:
    cursor, first = connection.execute(_SELECT), 0
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        columns: dict[str, list[Any]] = {
            name: [row[name] for row in rows]
            for name in (
                "id",
                "width",
                "height",
                "information",
                "file_digest",
                "pixel_digest",
                "signs",
                "inside_signs",
            )
        }
        if not ids:
            columns["id"] = [f"{first + k:09}" for k in range(len(rows))]
        width = spec.bits // 8
        for k, name in enumerate(spec.algorithms):
            part = slice(k * width, (k + 1) * width)
            columns[name] = [row["codes"][part] for row in rows]
            columns[f"inside_{name}"] = [
                row["inside_codes"] and row["inside_codes"][part] for row in rows
            ]
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        yield pa.record_batch(arrays, schema=schema)
        first += len(rows)


def loaded(path: Path) -> sqlite3.Connection:
    """A portable bank as a database in memory, so that it answers as any other. Raises
    `BankError`.
    """
    info, table = read_portable(path)
    spec = info.spec
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    at, first = now(), 1

    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        rows = {name: batch[name].to_pylist() for name in batch.schema.names}
        n = len(batch)
        nothing: list[None] = [None] * n
        numbers = range(first, first + n)
        entries = zip(
            numbers,
            rows["id"],
            nothing,
            nothing,
            rows["width"],
            rows["height"],
            nothing,
            rows.get("file_digest", nothing),
            rows.get("pixel_digest", nothing),
            rows["information"],
            map(b"".join, zip(*(rows[name] for name in spec.algorithms), strict=True)),
            rows["signs"],
            nothing,
            [at] * n,
            strict=True,
        )
        connection.executemany(INSERT, entries)
        inside = [
            (number, b"".join(rows[f"inside_{name}"][k] for name in spec.algorithms), signs)
            for k, (number, signs) in enumerate(zip(numbers, rows["inside_signs"], strict=True))
            if signs is not None
        ]
        connection.executemany("INSERT INTO inside (n, codes, signs) VALUES (?, ?, ?)", inside)
        first += n

    values = {
        "info": info.to_json(),
        "generation": "0",
        "max_distance": str(default_distance(spec) + widened_by(info, str(path))),
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
    connection.execute("COMMIT")

    return connection
