"""A file system that lists its folders in another order."""

import os
from collections.abc import Callable
from typing import Any


class _Entries(list[os.DirEntry[Any]]):
    """What `os.scandir` gives: entries, also as a context."""

    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *error: object) -> None: ...


def backwards(listed: Callable[[Any], Any]) -> Callable[[Any], _Entries]:
    """An `os.scandir` whose entries come in descending order of their names."""
    return lambda path: _Entries(
        sorted(listed(path), key=lambda entry: str(entry.name), reverse=True)
    )
