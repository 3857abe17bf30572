"""Where files lie: paths on this machine, and URLs that fsspec opens."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from dedup.errors import MissingExtraError, SourceError, because

_EXTRAS: Final = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3"}
"""The extra of this package that has the file system of a protocol; others come from packages of
their own.
"""


def is_url(path: str) -> bool:
    """Whether a path names its protocol."""
    return "://" in path


def protocol(url: str) -> str:
    """The protocol of a URL, in lower case."""
    return url.partition("://")[0].lower()


def local(path: str) -> str:
    """A `file://` URL as the path it stands for; anything else as it is."""
    if protocol(path) != "file" or not is_url(path):
        return path
    return path[len("file://") :]


def opened(path: str) -> BinaryIO:
    """The file at a path or URL, for reading; raises `OSError` when it cannot be opened."""
    path = local(path)
    if not is_url(path):
        return Path(path).open("rb")

    with _named_errors(path), client_errors(path):
        return cast("BinaryIO", _fsspec(path).open(path, "rb").open())


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the place in it."""
    with _named_errors(url):
        system, place = _fsspec(url).core.url_to_fs(url)
    return system, str(place)


def _fsspec(path: str) -> Any:
    try:
        import fsspec  # a third of a second, and most datasets are local
    except ImportError as error:
        message = f"{path!r} is a URL; reading it needs fsspec: pip install fsspec."
        raise MissingExtraError(message) from error
    return fsspec


_CLIENTS: Final = frozenset(
    {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs"}
)
"""Packages that file systems talk to stores with, and whose errors are of kinds of their own."""


class client_errors:  # noqa: N801  # used as a context, like `suppress`
    """Within it, what the client of a remote store raises is an `OSError` that names the place."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Raise `OSError` for an error of a client; leave any other."""
        if kind is not None and kind.__module__.partition(".")[0] in _CLIENTS:
            message = f"{self._place}: {error}"
            raise OSError(message) from error


@contextmanager
def _named_errors(path: str) -> Iterator[None]:
    """Say which extra a file system is in, and which are not known."""
    try:
        yield
    except ImportError as error:
        extra = _EXTRAS.get(protocol(path))
        remedy = f" It is in an extra: pip install 'dedup-images[{extra}]'." if extra else ""
        message = (
            f"{path!r}: the file system of {protocol(path)!r} is not installed:"
            f" {because(error)}.{remedy}"
        )
        raise MissingExtraError(message) from error
    except ValueError as error:
        message = f"{path!r}: fsspec knows no such file system: {because(error)}."
        raise SourceError(message) from error


def content(path: str) -> bytes | None:
    """The bytes of the file at a URL, or None where there is none that can be read."""
    try:
        with opened(path) as file:
            return file.read()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        return None  # file systems of fsspec raise all of these for URLs that make no sense


def as_spelled(folder: str, name: str) -> str:
    """A name below a folder as the file system spells it: é is one character or two, and lists are
    made elsewhere.

    The name itself, where it is there or no other form of it is.
    """
    if name.isascii() or os.path.lexists(os.path.join(folder, name)):
        return name

    forms = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))

    return next((form for form in forms if os.path.lexists(os.path.join(folder, form))), name)


def beside(path: str, name: str) -> str:
    """`name` relative to the folder that `path` lies in; a name that is absolute stays as it is."""
    if is_url(name):
        return name

    if is_url(path):
        if name.startswith("/"):
            return f"{protocol(path)}://{name.lstrip('/')}" if protocol(path) == "memory" else name
        scheme, _, rest = path.partition("://")
        return f"{scheme}://{os.path.normpath(os.path.join(os.path.dirname(rest), name))}"

    return os.path.abspath(os.path.join(os.path.dirname(path), name))  # no links resolved
