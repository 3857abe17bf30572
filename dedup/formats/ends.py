"""Paths of other machines and URLs in annotation files: the longest end of one that is here."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dedup.formats.places import as_spelled
from dedup.paths import is_file


def is_elsewhere(name: str) -> bool:
    """Whether a file name is a URL or an absolute path, of Windows or not.

    >>> [is_elsewhere(name) for name in ("https://x.org/1.jpg", "/home/me/1.jpg", "C:\\\\1.jpg")]
    [True, True, True]
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

    >>> list(ends_of("http://x.org/val2017/1.jpg?size=large"))
    ['val2017/1.jpg', '1.jpg']
    """
    path = unquote(urlsplit(name).path) if "://" in name else re.sub(r"^[A-Za-z]:", "", name)
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        return

    yield from ("/".join(parts[k:]) for k in range(len(parts)))


def last_of(name: str) -> str:
    """The shortest end; the name itself where it has none, as it leads up."""
    return next(reversed([*ends_of(name)]), name)


def end_below(folder: Path, name: str) -> Path | None:
    """The file below a folder that the longest end of a name names, if there is one."""
    for end in ends_of(name):
        spelled = folder / as_spelled(str(folder), end)
        if is_file(spelled):
            return Path(os.path.normpath(spelled))

    return None
