"""Entries as they are shown: what is known of a picture in a bank, without the picture."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

_COLUMNS: Final = (
    "id, label, uri, width, height, format, file_digest, pixel_digest, information, added"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a bank."""

    id: str
    label: str | None
    uri: str | None
    width: int | None  # pixels
    height: int | None
    format: str | None
    file_digest: str | None  # BLAKE3, hex digits
    pixel_digest: str | None
    information: float | None  # grey levels
    added: float  # seconds since 1970

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of the table `entry`."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        for name in ("file_digest", "pixel_digest"):
            values[name] = None if values[name] is None else values[name].hex()
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def entry_of(connection: sqlite3.Connection, entry: str) -> Entry | None:
    """An entry by its id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM entry WHERE id = ?", (entry,)).fetchone()
    return None if row is None else Entry.of_row(row)


def some_entries(connection: sqlite3.Connection, after: str | None, limit: int) -> list[Entry]:
    """A page of entries by id."""
    statement = f"SELECT {_COLUMNS} FROM entry WHERE ? IS NULL OR id > ? ORDER BY id LIMIT ?"
    return [Entry.of_row(row) for row in connection.execute(statement, (after, after, limit))]
