"""Files that appear whole or not at all, and paths with their links resolved."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        _remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it. `shutil.rmtree` calls itself for each folder in a folder."""
    found = [folder]
    for path in found:  # it grows meanwhile: every folder comes behind the one that it is in
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                found.append(Path(entry.path))
            else:
                Path(entry.path).unlink()
    for path in reversed(found):
        path.rmdir()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, however many. `Path.mkdir` calls itself for each of them."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; `Path.is_file` raises for names that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and below it, in no order; what is hidden and folders behind links are left out."""
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


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # it could be a hard link to somebody's file
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file for people and machines, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def inside(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or lies below it, links resolved."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # no path has such a name
        return False
