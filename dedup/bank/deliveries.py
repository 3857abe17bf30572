"""The outbox: what is to be told to others, written in the transaction of what happened.

Sending is the service's work. At least once: a row is settled only after its target answered.
"""

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from dedup.bank.database import now
from dedup.bank.store import Store
from dedup.errors import BankMissingError, ConfigError

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"

_OFF: Final = "webhook_off:"  # in front of a target, as a key of the table `meta`
_OFF_END: Final = "webhook_off;"  # the first key behind all of them

STATES: Final = (WAITING, DELIVERED, FAILED)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one target."""

    number: int
    event: str  # msg_…: the same over all retries
    type: str  # submission.approved, …
    payload: str  # JSON, as it is signed and sent
    target: str
    state: str
    attempts: int
    next: float  # seconds since 1970
    said: str | None  # what the target answered last
    created: float
    settled: float | None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of the table `delivery`."""
        names = (
            "event",
            "type",
            "payload",
            "target",
            "state",
            "attempts",
            "next",
            "said",
            "created",
            "settled",
        )
        return cls(row["d"], *(row[name] for name in names))


def add(
    connection: sqlite3.Connection, kind: str, data: Mapping[str, Any], targets: Sequence[str]
) -> None:
    """An event for each target, due at once."""
    if not targets:
        return

    at = now()
    moment = (
        datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    payload = json.dumps({"type": kind, "timestamp": moment, "data": data})
    event = f"msg_{secrets.token_hex(12)}"

    for target in targets:
        connection.execute(
            "INSERT INTO delivery (event, type, payload, target, state, attempts, next, created) "
            "VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
            (event, kind, payload, target, WAITING, at, at),
        )


class Outbox:
    """The deliveries of one bank."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def due(self, *, limit: int = 100) -> list[Delivery]:
        """What is to be sent now, the longest due first."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT * FROM delivery WHERE state = ? AND next <= ? ORDER BY next, d LIMIT ?",
                (WAITING, now(), limit),
            )
            return [Delivery.of_row(row) for row in rows]

    def page(self, *, state: str | None = None, after: int = 0, limit: int = 100) -> list[Delivery]:
        """Deliveries behind the one of number `after`."""
        _check_state(state)
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT * FROM delivery WHERE d > ? AND (? IS NULL OR state = ?) ORDER BY d"
                " LIMIT ?",
                (after, state, state, limit),
            )
            return [Delivery.of_row(row) for row in rows]

    def settle(self, number: int, said: str, *, state: str, next_at: float | None = None) -> None:
        """Note what came of an attempt: delivered, failed for good, or waiting until `next_at`."""
        _check_state(state)
        at = now()
        with self._store.write() as connection:
            connection.execute(
                "UPDATE delivery SET state = ?, attempts = attempts + 1, said = ?, next = ?,"
                " settled = ? WHERE d = ?",
                (state, said, next_at or at, None if state == WAITING else at, number),
            )

    def off(self) -> frozenset[str]:
        """Targets that are switched off: they answered that they are gone."""
        with self._store.read() as connection:
            rows = connection.execute(
                "SELECT substr(key, ?) FROM meta WHERE key >= ? AND key < ?",
                (len(_OFF) + 1, _OFF, _OFF_END),
            )
            return frozenset(target for (target,) in rows)

    def switch_off(self, target: str) -> None:
        """Nothing goes there until a delivery to it is sent again by hand."""
        with self._store.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_OFF + target, str(now()))
            )

    def retry(self, number: int) -> None:
        """Send it once more, now; its target is switched on again.

        Raises `BankMissingError` where there is no such delivery.
        """
        with self._store.write() as connection:
            changed = connection.execute(
                "UPDATE delivery SET state = ?, next = ?, attempts = 0, settled = NULL WHERE d = ?",
                (WAITING, now(), number),
            )
            connection.execute(
                "DELETE FROM meta WHERE key = (SELECT ? || target FROM delivery WHERE d = ?)",
                (_OFF, number),
            )
        if changed.rowcount == 0:
            message = f"There is no delivery {number}."
            raise BankMissingError(message)


def _check_state(state: str | None) -> None:
    if state is not None and state not in STATES:
        message = f"The state of a delivery is one of {', '.join(STATES)}, not {state!r}."
        raise ConfigError(message)
