"""Files at URLs, as tasks name them: whoever gets a task fetches them itself.

A task says that a URL may be fetched by a mark before it, which no name of a file can have. A URL
without the mark is a file name like any other, so nothing reaches the network unasked.
"""

import time
from typing import Final

from dedup.decoding.pictures import Unreadable
from dedup.errors import because

_MARK: Final = b"\0fetch "
_TRIES: Final = 3
_PAUSE: Final = 1.0  # seconds before the second try, twice that before the third


def to_fetch(url: str) -> bytes:
    """What stands for a URL in the paths of a task, where it may be fetched."""
    return _MARK + url.encode("utf-8", "surrogateescape")


def is_to_fetch(path: bytes) -> bool:
    """Whether a path of a task is a URL that may be fetched."""
    return path.startswith(_MARK)


def fetched(path: bytes) -> bytes | Unreadable:
    """The bytes at a URL, or why there are none. What may pass is tried again."""
    url = path.removeprefix(_MARK).decode("utf-8", "surrogateescape")
    import fsspec  # a third of a second, and most datasets are local

    reason = ""
    for tried in range(_TRIES):
        try:
            with fsspec.open(url, "rb") as file:
                return bytes(file.read())
        except (FileNotFoundError, IsADirectoryError, ValueError, ImportError) as error:
            return Unreadable("missing", because(error))
        except (OSError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            # file systems of fsspec raise all of these, for URLs that make no sense as well
            reason = because(error)
        if tried + 1 < _TRIES:
            time.sleep(_PAUSE * (tried + 1))

    return Unreadable("missing", reason)
