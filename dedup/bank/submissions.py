"""Submissions: a check whose outcome is kept, in one transaction with the entry it may become.

Of pictures that match each other at most one is approved, however many arrive at once: inside the
transaction the check is repeated against what came since, and nobody else writes meanwhile.
"""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

from dedup.bank import deliveries
from dedup.bank.answers import APPROVED, PENDING, REJECTED, VERDICTS, Answer, BankPolicy, Submission
from dedup.bank.checking import Checked, answer, checked, checked_since
from dedup.bank.database import now, scalar
from dedup.bank.picture import MeasuredPicture
from dedup.bank.store import Store, insert, taken
from dedup.errors import (
    BankConflictError,
    BankKeyReusedError,
    BankMissingError,
    BankVersionError,
    ConfigError,
)
from dedup.memory import usable_cores

KEPT_KEYS_SECONDS: Final = 24 * 3600
"""How long an idempotency key gives the first answer again."""

_THREADS_FROM: Final = 4
"""Pictures of a group from which on they are searched by several threads: fewer are done sooner."""

_SELECT: Final = "SELECT * FROM submission WHERE "


@dataclass(frozen=True, slots=True)
class SubmissionRequest:
    """A picture that asks to join."""

    picture: MeasuredPicture
    entry: str | None = None  # its id; None: the name of the submission
    policy: BankPolicy = field(default_factory=BankPolicy)
    idempotency_key: str | None = None
    body_digest: bytes | None = None  # what the key stands for; None: the picture's own digest
    label: str | None = None
    uri: str | None = None
    notify: tuple[str, ...] = ()  # targets that are told of the outcome


def submitted(
    store: Store, requests: Sequence[SubmissionRequest]
) -> list[Submission | BankConflictError | Answer]:
    """Decide all of them in one transaction, one after the other; the answers in their order.

    An `Answer` stands for what is not a picture, an error for an id or a key that is taken: neither
    is kept, and the others are decided all the same.
    """
    found = _all_checked(store, [request.picture for request in requests])
    with store.write() as connection:
        _drop_old_keys(connection)
        return [
            _decided(store, connection, request, before)
            for request, before in zip(requests, found, strict=True)
        ]


def _all_checked(store: Store, pictures: Sequence[MeasuredPicture]) -> list[Checked | None]:
    """What each picture matches, before the transaction; None for what is no picture."""

    def one(picture: MeasuredPicture) -> Checked | None:
        return checked(store, picture) if picture.is_readable else None

    if len(pictures) < _THREADS_FROM:
        return [one(picture) for picture in pictures]

    with ThreadPoolExecutor(usable_cores()) as threads:
        return list(threads.map(one, pictures))


def _decided(
    store: Store, connection: sqlite3.Connection, request: SubmissionRequest, before: Checked | None
) -> Submission | BankConflictError | Answer:
    if before is None:
        return answer(request.picture, None, request.policy)

    replayed = _replayed(connection, request)
    if replayed is not None:
        return replayed

    name = new_name("sub")
    entry = name if request.entry is None else request.entry
    if taken(connection, entry):
        return BankConflictError(
            f"The id {entry!r} is that of an entry of {str(store.folder)!r}. Choose another one."
        )

    said = answer(
        request.picture, checked_since(store, connection, request.picture, before), request.policy
    )
    verdict = str(said.verdict)
    if verdict == APPROVED:
        insert(connection, request.picture, store.spec, entry, request.label, request.uri)

    made = Submission(name, entry, verdict, said, "policy", None, 1, now())
    _store(connection, made, request)
    _tell(connection, store, made, f"submission.{verdict}", request.notify)

    return made


def reviewed(
    store: Store,
    name: str,
    decision: str,
    by: str,
    note: str | None = None,
    version: int | None = None,
) -> Submission:
    """A person's word on a submission; approving makes it an entry.

    `version`: the one that the person saw. Raises `BankConflictError` where it has another one, was
    decided before, or its id is taken by now.
    """
    verdicts = {"approve": APPROVED, "reject": REJECTED}
    if decision not in verdicts:
        message = f"A review is 'approve' or 'reject', not {decision!r}."
        raise ConfigError(message)

    with store.write() as connection:
        row = _row(connection, name)
        before = Submission.of_row(dict(row))
        if before.verdict != PENDING:
            message = f"Submission {name!r} is {before.verdict} already, by {before.decided_by!r}."
            raise BankConflictError(message)
        if version is not None and version != before.version:
            message = (
                f"Submission {name!r} has version {before.version}, not {version}: look at it"
                " again."
            )
            raise BankVersionError(message)
        made = replace(
            before,
            verdict=verdicts[decision],
            decided_by=by,
            note=note,
            version=before.version + 1,
            reviewed=now(),
        )
        picture = json.loads(row["picture"])
        if made.verdict == APPROVED:
            _join(store, connection, made, picture)
        connection.execute(
            "UPDATE submission SET verdict = ?, decided_by = ?, note = ?, version = ?, reviewed ="
            " ?, picture = NULL WHERE name = ?",
            (made.verdict, by, note, made.version, made.reviewed, name),
        )
        _tell(connection, store, made, "submission.reviewed", tuple(picture["notify"]))

    return made


def _join(
    store: Store, connection: sqlite3.Connection, made: Submission, kept: dict[str, Any]
) -> None:
    entry = str(made.entry)
    if taken(connection, entry):
        message = f"The id {entry!r} became that of another entry meanwhile. Reject the submission."
        raise BankConflictError(message)

    picture = MeasuredPicture.from_json(json.dumps(kept["picture"]), store.spec)
    insert(connection, picture, store.spec, entry, kept["label"], kept["uri"])


def one(connection: sqlite3.Connection, name: str) -> Submission:
    """A submission by its name. Raises `BankMissingError` where there is none."""
    return Submission.of_row(dict(_row(connection, name)))


def some(
    connection: sqlite3.Connection, verdict: str | None, after: str | None, limit: int
) -> list[Submission]:
    """A page of submissions, oldest first, behind the one named `after`."""
    if verdict is not None and verdict not in VERDICTS:
        message = f"A verdict is one of {', '.join(VERDICTS)}, not {verdict!r}."
        raise ConfigError(message)

    first = 0 if after is None else int(_row(connection, after)["s"])
    rows = connection.execute(
        f"{_SELECT} s > ? AND (? IS NULL OR verdict = ?) ORDER BY s LIMIT ?",
        (first, verdict, verdict, limit),
    )

    return [Submission.of_row(dict(row)) for row in rows]


def picture_of(connection: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    """What is kept of the picture of a pending submission: its measures, its thumbnail; else
    None.
    """
    text = _row(connection, name)["picture"]
    return None if text is None else dict(json.loads(text)["picture"])


def new_name(kind: str) -> str:
    """A name that nobody can guess."""
    return f"{kind}_{secrets.token_hex(12)}"


def _row(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(f"{_SELECT} name = ?", (name,)).fetchone()
    if row is None:
        message = f"There is no submission {name!r}."
        raise BankMissingError(message)

    return row


def _store(connection: sqlite3.Connection, made: Submission, request: SubmissionRequest) -> None:
    picture = None
    if made.verdict == PENDING:
        picture = json.dumps(
            {
                "picture": json.loads(request.picture.to_json()),
                "label": request.label,
                "uri": request.uri,
                "notify": list(request.notify),
            }
        )

    connection.execute(
        "INSERT INTO submission (name, entry, verdict, answer, picture, decided_by, note, version,"
        " created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            made.name,
            made.entry,
            made.verdict,
            json.dumps(made.answer.to_dict()),
            picture,
            made.decided_by,
            made.note,
            made.version,
            made.created,
        ),
    )
    if request.idempotency_key is not None:
        connection.execute(
            "INSERT INTO idempotency (key, digest, submission, created) VALUES (?, ?, ?, ?)",
            (request.idempotency_key, _digest(request), made.name, made.created),
        )


def _replayed(
    connection: sqlite3.Connection, request: SubmissionRequest
) -> Submission | BankConflictError | None:
    """The first answer to a key that was there before."""
    if request.idempotency_key is None:
        return None

    row = connection.execute(
        "SELECT digest, submission FROM idempotency WHERE key = ?", (request.idempotency_key,)
    ).fetchone()
    if row is None:
        return None

    if row["digest"] != _digest(request):
        return BankKeyReusedError(
            f"The idempotency key {request.idempotency_key!r} was used for another picture. Use a"
            " new key."
        )

    return replace(one(connection, row["submission"]), replayed=True)


def _digest(request: SubmissionRequest) -> bytes:
    picture = request.picture
    return request.body_digest or picture.file_digest or picture.pixel_digest or picture.signs


def _drop_old_keys(connection: sqlite3.Connection) -> None:
    oldest = scalar(connection, "SELECT min(created) FROM idempotency")
    if oldest is not None and oldest < now() - KEPT_KEYS_SECONDS:
        connection.execute(
            "DELETE FROM idempotency WHERE created < ?", (now() - KEPT_KEYS_SECONDS,)
        )


def _tell(
    connection: sqlite3.Connection,
    store: Store,
    made: Submission,
    kind: str,
    targets: Sequence[str],
) -> None:
    """Put what happened into the outbox, in the same transaction."""
    best = made.answer.matches[0] if made.answer.matches else None
    data = {
        "bank": store.folder.stem,
        "submission": made.name,
        "entry": made.entry,
        "verdict": made.verdict,
        "by": made.decided_by,
        "best_match": None if best is None else {"id": best.id, "similarity": best.similarity},
    }
    deliveries.add(connection, kind, data, targets)
