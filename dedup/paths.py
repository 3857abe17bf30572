"""Files and folders of any name and depth: what `pathlib` raises for, or calls itself too often
for.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; `Path.is_file` raises for names that no file can have."""
    return os.path.isfile(path)


def exists(path: str | Path) -> bool:
    """Whether there is something at a path; `Path.exists` raises for names that no file can
    have.
    """
    return os.path.exists(path)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, however many. `Path.mkdir` calls itself for each of
    them.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent

    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and below it, in no order; what is hidden and folders behind links are
    left out.
    """
    waiting = [str(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # nor can anything inside it be read
                continue
            raise
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                yield Path(entry.path)
