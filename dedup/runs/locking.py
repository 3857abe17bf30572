"""Locks on a run folder: one run writes to it at a time, and nobody reads it while it is switched.

The locks are the system's own (`flock`), so they end with the process that holds them, however it
ends. On a system without them nothing is locked.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

from dedup import files
from dedup.errors import RunError

fcntl: Any = None if sys.platform == "win32" else import_module("fcntl")

LOCK: Final = "lock"
"""Held by the run that writes to the folder, from its beginning to its end."""

SWITCH: Final = "switch.lock"
"""Held alone while a new run takes the place of the old one, and by everybody together who reads a
run.
"""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for writing; raises `RunError` at once where another process, or thread,
    does.
    """
    path = folder / files.OWN / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path) as file:
        if not _try_alone(file):
            raise RunError(_in_use(folder, path))

        holder = {
            "process": os.getpid(),
            "host": platform.node(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        file.truncate(0)
        file.write(json.dumps(holder))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder for writing at this moment."""
    path = folder / files.OWN / LOCK
    if fcntl is None or not path.exists():
        return False

    with path.open(encoding="utf-8") as file:
        return not _try_alone(file)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody reads the run in the folder, and let nobody begin to."""
    with (folder / files.OWN / SWITCH).open("a+", encoding="utf-8") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def together(folder: Path) -> Iterator[None]:
    """Read a run while nobody switches it; in a folder that cannot be written nobody does."""
    path = folder / files.OWN / SWITCH
    if fcntl is None or not path.exists():
        yield
        return

    with path.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The lock's file, the one that is there: it could be deleted and made again while it is
    opened.
    """
    while True:
        with path.open("a+", encoding="utf-8") as file:
            try:
                same = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:
                same = False
            if same:
                yield file
                return


def _try_alone(file: IO[str]) -> bool:
    if fcntl is None:
        return True

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks
        return True

    return True


def _in_use(folder: Path, path: Path) -> str:
    """The message for the second run, with what the first one wrote about itself."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f" (process {holder['process']} on {holder['host']}, since {holder['since']})"
    except (OSError, ValueError, LookupError, TypeError):
        who = ""
    return (
        f"The folder {str(folder)!r} is in use by another run of dedup{who}. Wait until it ends, or"
        " name another folder with -o or output.dir."
    )
