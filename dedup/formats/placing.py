"""Files of an output: each is new, so that nothing is written into a file that has a name already.

A hard link shares its bytes with the user's own file, and on a disk that takes `A.png` and `a.png`,
or two forms of one letter in Unicode, for one name, the second of two files would be written into
the first.
"""

import filecmp
import os
import shutil
from pathlib import Path
from typing import Any

from dedup.errors import SourceError
from dedup.formats.source import Sample, encoded, gone, printable
from dedup.paths import make_folder


def new_file(path: Path, mode: str = "w", **options: Any) -> Any:
    """Open a file that is not there yet, as `Path.open` does; raises `SourceError` where the name
    is taken.
    """
    try:
        return path.open(mode.replace("w", "x"), **options)
    except FileExistsError as error:
        raise taken(path) from error


def write_new(path: Path, content: str | bytes) -> None:
    """Write a file that is not there yet, texts as UTF-8; raises `SourceError` where the name is
    taken.
    """
    with new_file(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def refuse_taken(path: Path) -> None:
    """Raise `SourceError` where a name is taken, for writers that open files themselves."""
    if os.path.lexists(path):
        raise taken(path)


def taken(path: Path | str) -> SourceError:
    """The error for a second file of one name."""
    return SourceError(
        f"{printable(str(path))!r} is there already, so a second file of this name is not written."
        " Names in the dataset may differ only by capitals or by the form of their Unicode, which"
        " this disk does not tell apart. Rename one of them, set output.splits: parquet, or write"
        " to another disk."
    )


def put(sample: Sample, target: Path, files: str) -> bool:
    """Put a sample's file at `target`, linked or copied as `place` does; False for a row without an
    image.

    Raises `SourceError` for a file that is gone.
    """
    if sample.data is None:
        if sample.path is None:
            return False
        place_kept(sample.path, target, files)
        return True

    make_folder(target.parent)
    write_new(target, sample.data)

    return True


def place_kept(original: bytes, target: Path, files: str) -> None:
    """Put the file of a kept picture at `target`; raises `SourceError` where it is gone since it
    was hashed.
    """
    try:
        if place(original, target, files):
            return
    except (FileNotFoundError, IsADirectoryError) as error:
        raise gone(original) from error
    raise gone(original)


def place(original: bytes, target: Path, files: str) -> bool:
    """Put a file at `target`: a hard link (a copy where links are impossible), a copy, or a
    symbolic link.

    False where there is no regular file: a kept sample may be one that could not be read. Raises
    `SourceError` where the name is taken.
    """
    if not os.path.isfile(original):  # the name is bytes
        return False

    make_folder(target.parent)
    refuse_taken(target)
    try:
        if files == "symlink":
            os.symlink(os.path.abspath(original), os.fsencode(target))  # the name is bytes
        elif files == "copy" or not _linked(original, target):
            _copy(original, target)
    except FileExistsError as error:
        raise taken(target) from error

    return True


def put_once(original: bytes | Path, target: Path, files: str) -> bool:
    """Put the file of a kept picture at `target` unless it is there already: one picture may be in
    two splits.

    Raises `SourceError` where it is gone, or where another file has the name.
    """
    source = encoded(os.fsdecode(original))
    if not os.path.lexists(target):
        place_kept(source, target, files)
    elif not _is_copy(source, target):
        raise taken(target)

    return True


def _is_copy(original: bytes, target: Path) -> bool:
    there = os.fsencode(target)
    # the names are bytes
    return (
        os.path.isfile(original)
        and os.path.isfile(there)
        and filecmp.cmp(original, there, shallow=False)
    )


def _linked(original: bytes, target: Path) -> bool:
    """Make a hard link; False where that cannot be: on another disk, or on one without links."""
    try:
        os.link(os.path.realpath(original), os.fsencode(target))
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _copy(original: bytes, target: Path) -> None:
    """Copy a file to a name that nothing has yet: `shutil` would write into what is there, through
    links, too.
    """
    with target.open("xb"):
        pass
    shutil.copy2(original, os.fsencode(target))
