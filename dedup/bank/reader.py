"""What a bank answers: checks, entries and submissions, copies; nothing here changes it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dedup.bank import maintenance, portable, submissions
from dedup.bank.answers import Answer, BankPolicy, Submission
from dedup.bank.checking import answer, checked
from dedup.bank.database import scalar
from dedup.bank.deliveries import Outbox
from dedup.bank.entries import Entry, entry_of, some_entries
from dedup.bank.keys import Keys
from dedup.bank.maintenance import Verified
from dedup.bank.picture import Data, MeasuredPicture, measured
from dedup.bank.store import Store, taken
from dedup.tables.entries import PORTABLE, BankInfo, BankSpec

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds that a writer waits for another one."""

Picture = Data | MeasuredPicture


class Reader:
    """A bank as it is read: `Bank` adds what changes it."""

    def __init__(
        self, path: str | Path, *, read_only: bool = False, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self.path = Path(path)
        if self.path.name.endswith(PORTABLE):
            opened = portable.loaded(self.path)
            self._store = Store(self.path, read_only=True, timeout=timeout, opened=opened)
        else:
            self._store = Store(self.path, read_only=read_only, timeout=timeout)

        self._checked_canary = False
        self.keys = Keys(self._store)
        self.outbox = Outbox(self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the files free."""
        self._store.close()

    def __len__(self) -> int:
        with self._store.read() as connection:
            return int(scalar(connection, "SELECT count(*) FROM entry"))

    def __contains__(self, entry: str) -> bool:
        with self._store.read() as connection:
            return taken(connection, entry)

    def __repr__(self) -> str:
        return f"Bank({str(self.path)!r})"

    @property
    def spec(self) -> BankSpec:
        """What decides its codes."""
        return self._store.spec

    @property
    def about(self) -> BankInfo:
        """What it says of itself: spec, canary, versions, source, licence."""
        return self._store.info

    def measure(self, data: Data) -> MeasuredPicture:
        """All that the bank needs of a picture; one that cannot be read gets a status."""
        return measured([data], self.spec)[0]

    def check(self, data: Picture, *, policy: BankPolicy | None = None) -> Answer:
        """Which entries the picture matches, and what the policy says of it. Changes nothing."""
        return self.check_many([data], policy=policy)[0]

    def check_many(
        self, items: Iterable[Picture], *, policy: BankPolicy | None = None
    ) -> list[Answer]:
        """The answers to several pictures, in their order. They are not compared with each
        other.
        """
        chosen = policy or BankPolicy()
        answers = []
        for picture in self._measured(list(items)):
            found = checked(self._store, picture) if picture.is_readable else None
            answers.append(answer(picture, found, chosen))

        return answers

    def submission(self, name: str) -> Submission:
        """One submission. Raises `BankError` where there is none of this name."""
        with self._store.read() as connection:
            return submissions.one(connection, name)

    def submissions(
        self, *, verdict: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[Submission]:
        """A page of submissions, oldest first, behind the one named `after`."""
        with self._store.read() as connection:
            return submissions.some(connection, verdict, after, limit)

    def pending_picture(self, submission: str) -> Mapping[str, Any] | None:
        """The measures of a pending submission's picture, its thumbnail among them; None once
        decided.
        """
        with self._store.read() as connection:
            return submissions.picture_of(connection, submission)

    def entry(self, id: str) -> Entry | None:  # noqa: A002  # the user's word for it
        """What is known of an entry; None where there is none of this id."""
        with self._store.read() as connection:
            return entry_of(connection, id)

    def entries(self, *, after: str | None = None, limit: int = 100) -> list[Entry]:
        """A page of entries by id, behind the id `after`."""
        with self._store.read() as connection:
            return some_entries(connection, after, limit)

    def verify(self) -> Verified:
        """Whether the database is whole, and the index what its rows say."""
        return maintenance.verify(self._store)

    def copy(self, target: str | Path) -> None:
        """A consistent copy in a new folder, while the bank is used."""
        maintenance.copy(self._store, Path(target))

    def export(
        self,
        target: str | Path,
        *,
        source: str | None = None,
        licence: str | None = None,
        ids: bool = True,
        digests: bool = False,
        overwrite: bool = False,
    ) -> int:
        """Write a portable bank, `X.bank.parquet`: codes and signs, no pictures. Returns the
        entries in it.
        """
        return portable.export(
            self._store,
            Path(target),
            source,
            licence,
            ids=ids,
            digests=digests,
            overwrite=overwrite,
        )

    def info(self) -> dict[str, Any]:
        """Counts, spec, files and what the thresholds mean, for JSON."""
        return maintenance.described(self._store)

    def _measured(self, items: Sequence[Picture]) -> list[MeasuredPicture]:
        data = [item for item in items if not isinstance(item, MeasuredPicture)]
        made = iter(measured(data, self.spec)) if data else iter(())
        return [item if isinstance(item, MeasuredPicture) else next(made) for item in items]
