"""Keys of the service's clients: shown once, kept as digests, compared by digest."""

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from dedup.bank.database import now
from dedup.bank.store import Store
from dedup.errors import BankConflictError, BankMissingError, ConfigError

SCOPES: Final = ("check", "submit", "review", "admin")
"""What a key may do: ask; ask and join; decide about pending submissions; change entries."""

_PREFIX: Final = "dk_"
_USED_EVERY_SECONDS: Final = 60.0  # a key that asks often is not written down each time


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. The key itself is nowhere."""

    name: str
    scopes: tuple[str, ...]
    created: float  # seconds since 1970
    revoked: float | None
    used: float | None


class Keys:
    """The keys of one bank."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, scopes: Sequence[str]) -> str:
        """A new key, to be shown once: only its digest is kept.

        Raises `ConfigError` for scopes that there are not, `BankConflictError` for a name that is
        taken.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            named = f"not {', '.join(map(repr, unknown))}" if unknown else "and at least one"
            message = f"A scope is one of {', '.join(SCOPES)}, {named}."
            raise ConfigError(message)

        if not name.strip():
            message = "A key needs a name, so that it can be listed and revoked."
            raise ConfigError(message)

        key = _PREFIX + secrets.token_urlsafe(32)
        kept = ",".join(scope for scope in SCOPES if scope in scopes)
        with self._store.write() as connection:
            if connection.execute("SELECT 1 FROM api_key WHERE name = ?", (name,)).fetchone():
                message = (
                    f"There is a key named {name!r} already, maybe a revoked one. Choose another"
                    " name."
                )
                raise BankConflictError(message)
            connection.execute(
                "INSERT INTO api_key (name, digest, scopes, created) VALUES (?, ?, ?, ?)",
                (name, _digest(key), kept, now()),
            )

        return key

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones included, without the keys themselves."""
        with self._store.read() as connection:
            return [
                _of_row(row) for row in connection.execute("SELECT * FROM api_key ORDER BY name")
            ]

    def revoke(self, name: str) -> None:
        """From now on the key is refused. Raises `BankMissingError` where there is none."""
        with self._store.write() as connection:
            changed = connection.execute(
                "UPDATE api_key SET revoked = ? WHERE name = ? AND revoked IS NULL", (now(), name)
            )
        if changed.rowcount == 0:
            message = f"There is no key named {name!r} that is not revoked."
            raise BankMissingError(message)

    def find(self, key: str) -> ApiKey | None:
        """What a key that a client shows may do; None for one that is unknown or revoked."""
        with self._store.read() as connection:
            row = connection.execute(
                "SELECT * FROM api_key WHERE digest = ? AND revoked IS NULL", (_digest(key),)
            ).fetchone()
        return None if row is None else _of_row(row)

    def any(self) -> bool:
        """Whether there ever was a key: then every request needs one, also when all are revoked."""
        with self._store.read() as connection:
            return connection.execute("SELECT 1 FROM api_key LIMIT 1").fetchone() is not None

    def note_use(self, name: str) -> None:
        """Write down that a key was used, at most once a minute."""
        with self._store.write() as connection:
            connection.execute(
                "UPDATE api_key SET used = ? WHERE name = ? AND (used IS NULL OR used < ?)",
                (now(), name, now() - _USED_EVERY_SECONDS),
            )


def _of_row(row: sqlite3.Row) -> ApiKey:
    return ApiKey(
        row["name"], tuple(row["scopes"].split(",")), row["created"], row["revoked"], row["used"]
    )


def _digest(key: str) -> bytes:
    return blake3(key.encode("utf-8", "surrogatepass")).digest()
