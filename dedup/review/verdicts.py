"""What is judged on the page: written to the record of the run at once, and taken back."""

import getpass
import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dedup.errors import ConfigError
from dedup.policy import record
from dedup.policy.record import Judgement, Pictures, Record
from dedup.runs import judging


class Verdicts:
    """The record of a run's folder, read again whenever somebody has changed it."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self._by = _who()
        self._undoable: dict[int, tuple[Judgement, Judgement | None]] = {}
        self._numbers = itertools.count(1)
        self._read: tuple[Any, Record, dict[Pictures, Judgement]] | None = None

    @property
    def stamp(self) -> Any:
        """What changes when somebody judges."""
        return self._now()[0]

    @property
    def record(self) -> Record:
        """All rows."""
        return self._now()[1]

    @property
    def held(self) -> dict[Pictures, Judgement]:
        """The rows that hold, by their pictures."""
        return self._now()[2]

    def judge(
        self, ids: tuple[str, str], pixels: tuple[bytes, bytes], verdict: str, sample: str
    ) -> tuple[int, str]:
        """Write a verdict down; a number by which it can be undone, and the verdict before."""
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        row = Judgement(*ids, *pixels, verdict, self._by, at, sample)
        before: list[Judgement | None] = []

        def with_it(there: Record) -> Record:
            after, replaced = record.put(there, row)
            before.append(replaced)
            return after

        judging.change(self.folder, with_it)
        number = next(self._numbers)
        self._undoable[number] = row, before[-1]

        return number, verdict_of(before[-1])

    def undo(self, number: int) -> str:
        """Bring back what a verdict replaced; raises `ConfigError` where it was replaced itself."""
        row, before = self._undoable.get(number, (None, None))
        if row is None:
            message = "This judgement cannot be undone here: it was made in another session."
            raise ConfigError(message)

        overtaken: list[bool] = []

        def without_it(there: Record) -> Record:
            now = next((one for one in there if one.key == row.key), None)
            overtaken.append(now is None or now.at != row.at)
            if overtaken[-1]:
                return there

            kept = tuple(one for one in there if one.key != row.key)

            return kept if before is None else (*kept, before)

        judging.change(self.folder, without_it)
        if overtaken[-1]:
            message = "The pair was judged again since, in another window. That judgement stays."
            raise ConfigError(message)

        return verdict_of(before)

    def lists(self) -> dict[str, str]:
        """The two list files that the record comes to."""
        names = {"different": "not_duplicates.csv", "same": "duplicates.csv"}
        written = record.lists(self.record)
        return {names[verdict]: text for verdict, text in written}

    def _now(self) -> tuple[Any, Record, dict[Pictures, Judgement]]:
        path = self.folder / judging.JUDGEMENTS
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_ino, status.st_size
        except OSError:
            stamp = (0, 0, 0)

        if self._read is None or self._read[0] != stamp:
            rows = judging.judgements(self.folder)
            self._read = stamp, rows, record.in_force(rows)

        return self._read


def verdict_of(row: Judgement | None) -> str:
    """Its word; empty where nobody judged."""
    return "" if row is None else row.verdict


def _who() -> str:
    """Who judges: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
