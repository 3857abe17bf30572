"""A check: from a measured picture to an answer."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.bank.answers import Answer, BankPolicy, Match, judged
from dedup.bank.matching import Found, View, candidates, identical, near_matches, scores, views_of
from dedup.bank.picture import MeasuredPicture
from dedup.bank.snapshot import Snapshot
from dedup.bank.store import Store

MAX_SHOWN: Final = 100
"""Matches that an answer lists; `n_matches` counts all."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The matches of a picture, and up to which entry it was compared."""

    matches: tuple[Match, ...]
    complete: bool
    last_n: int


def checked(store: Store, picture: MeasuredPicture) -> Checked:
    """Matches among all entries, searched without holding anybody up."""
    with store.read() as connection:
        snapshot = store.snapshot(connection)
    return _compared(store, None, snapshot, picture, after_n=0)


def checked_since(
    store: Store, connection: sqlite3.Connection, picture: MeasuredPicture, before: Checked
) -> Checked:
    """The same inside a transaction: compared with what came since, less what went."""
    snapshot = store.snapshot(connection)
    newer = _compared(store, connection, snapshot, picture, after_n=before.last_n)
    ids = [match.id for match in before.matches]
    there = {entry for entry in ids if _is_there(connection, entry)}
    kept = [match for match in before.matches if match.id in there]
    known = {match.id for match in newer.matches}
    matches = [*newer.matches, *(match for match in kept if match.id not in known)]

    return Checked(ordered(matches), newer.complete and before.complete, newer.last_n)


def answer(picture: MeasuredPicture, found: Checked | None, policy: BankPolicy) -> Answer:
    """The answer with its verdict; without a picture a status only."""
    digest = None if picture.file_digest is None else picture.file_digest.hex()
    blank = Answer(
        status=picture.status,
        detail=picture.detail,
        policy=policy,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        file_digest=digest,
        complete=found is None or found.complete,
    )

    return blank if found is None else judged(blank, found.matches, MAX_SHOWN)


def ordered(matches: Sequence[Match]) -> tuple[Match, ...]:
    """The surest first."""
    kinds = {"bytes": 0, "pixels": 1, "near": 2}
    return tuple(
        sorted(matches, key=lambda m: (kinds[m.kind], m.false_probability, -m.similarity, m.id))
    )


def _compared(
    store: Store,
    connection: sqlite3.Connection | None,
    snapshot: Snapshot,
    picture: MeasuredPicture,
    after_n: int,
) -> Checked:
    spec = store.spec
    views = views_of(picture, spec)
    found = candidates(
        views, snapshot.segments, snapshot.removed, spec, store.max_distance, after_n
    )
    similarity = scores(found, views)

    if connection is None:
        with store.read() as reading:
            matches = _matches(reading, store, picture, found, views, similarity)
    else:
        matches = _matches(connection, store, picture, found, views, similarity)

    return Checked(ordered(matches), found.complete, snapshot.last_n)


def _matches(
    connection: sqlite3.Connection,
    store: Store,
    picture: MeasuredPicture,
    found: Found,
    views: Sequence[View],
    similarity: NDArray[np.float32],
) -> list[Match]:
    """Identical entries first; each entry once."""
    same = identical(connection, picture)
    ids = {match.id for match in same}
    near = near_matches(connection, picture, found, views, similarity, store.spec, 1.0)
    return [*same, *(match for match in near if match.id not in ids)]


def _is_there(connection: sqlite3.Connection, entry: str) -> bool:
    return connection.execute("SELECT 1 FROM entry WHERE id = ?", (entry,)).fetchone() is not None
