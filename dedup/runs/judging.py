"""The record of judgements in a run folder: written whole, under a lock, and never deleted by us.

It is not in the marker of the folder, so nothing of this tool replaces or removes it: a run that
takes the place of another one finds it where it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dedup import files
from dedup.errors import ConfigError, RunError
from dedup.policy.record import Record, merged, read, written
from dedup.runs.locking import fcntl

JUDGEMENTS: Final = "judgements.csv"
_LOCK: Final = "judgements.lock"


def judgements(folder: Path) -> Record:
    """What people judged of the run in a folder; nothing where there is no record.

    Raises `ConfigError` for a record that cannot be read.
    """
    path = folder / JUDGEMENTS
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}. Correct it, or move the file away."
        raise ConfigError(message) from error

    return read(text, str(path)) if text else ()


def change(folder: Path, changed: Callable[[Record], Record]) -> None:
    """Replace the record of a folder by what `changed` makes of it, while nobody else can.

    Raises `RunError` where it cannot be written, and `ConfigError` where it cannot be read: a
    record that somebody broke is left as it is.
    """
    try:
        with _alone(folder) as workplace:
            before = judgements(folder)
            after = changed(before)
            if after != before:
                files.write_text(folder / JUDGEMENTS, written(after), workplace)
    except OSError as error:
        message = f"{str(folder / JUDGEMENTS)!r} cannot be written: {error.strerror}."
        raise RunError(message) from error


def bring(record: Record, folder: Path) -> None:
    """Add a record to the one of another folder; of a pair in both the later row holds."""
    if record:
        change(folder, lambda there: merged(there, record))


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """Wait until nobody else changes the record of the folder; the place to write it in."""
    workplace = folder / files.OWN / files.REVIEW
    workplace.mkdir(parents=True, exist_ok=True)
    with (workplace / _LOCK).open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield workplace
