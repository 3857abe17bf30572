"""Paths of other machines and URLs in annotation files: the longest end of one that is here."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dedup.formats.places import as_spelled
from dedup.paths import is_file


def is_elsewhere(name: str) -> bool:
    """Whether a file name is a URL or an absolute path, of Windows or not.

    >>> [is_elsewhere(name) for name in ("https://example.org/1.jpg", "/photos/1.jpg")]
    [True, True]
    >>> [is_elsewhere(name) for name in ("C:\\\\1.jpg", "D:/photos/1.jpg")]
    [True, True]
    >>> is_elsewhere("train/1.jpg"), is_elsewhere("../1.jpg")
    (False, False)
    """
    return (
        "://" in name
        or name.startswith(("/", "\\"))
        or re.match(r"[A-Za-z]:[\\/]", name) is not None
    )


def ends_of(name: str) -> Iterator[str]:
    """The ends of such a name, the longest first; no step up is in any.

    >>> list(ends_of("http://example.org/val2017/1.jpg?size=large"))
    ['val2017/1.jpg', '1.jpg']
    """
    path = unquote(urlsplit(name).path) if "://" in name else re.sub(r"^[A-Za-z]:", "", name)
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        return

    yield from ("/".join(parts[k:]) for k in range(len(parts)))


def depth_of(folder: Path, names: Iterable[str]) -> int | None:
    """How many parts the end has that is below a folder, of the first of the names that has one."""
    for name in filter(is_elsewhere, names):
        for end in ends_of(name):
            if is_file(folder / as_spelled(str(folder), end)):
                return end.count("/") + 1

    return None


def end_in(folder: Path, name: str, depth: int) -> str:
    """The longest end of a name that is below a folder; that of so many parts where none is, and
    the name itself where it leads up.
    """
    ends = [*ends_of(name)]
    there = (end for end in ends if is_file(folder / as_spelled(str(folder), end)))

    return next(there, ends[-min(depth, len(ends))] if ends else name)
