"""What every form of dataset offers: its rows, its bytes, and a way to write what was kept."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.errors import SourceError
from dedup.images import Unreadable

ROWS: Final = pa.schema([("id", pa.string()), ("split", pa.string()), ("label", pa.string()), ("uri", pa.string())])
"""What is known of the samples before any byte is read, in the order of the source. Splits are normalised."""

PAYLOAD: Final = pa.schema([("row", pa.int64()), ("path", pa.binary()), ("data", pa.large_binary())])
"""Where a row's bytes are: `data` itself, or the file `path` (its name as bytes: it need not be UTF-8)."""


class Source(Protocol):
    """One opened dataset."""

    form: str  # imagefolder, manifest, huggingface
    name: str  # for people: the path, or what stands for it
    rows: pa.Table  # ROWS
    skipped: Mapping[str, int]  # files that are no samples, by reason

    @property
    def root(self) -> Path | None:
        """Where it lies, if it lies on this machine."""

    def payloads(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows, in order, at most `size` rows each."""

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of the named rows, in the order given."""

    def check_writable(self) -> None:
        """Raise `SourceError` for what could not be written and read again, before any work is done."""

    def write(self, keep: NDArray[np.bool_], folder: Path, files: str) -> NDArray[np.bool_]:
        """Write the kept rows to `folder` in this form; `files` is hardlink, copy or symlink.

        Returns which rows are there now, in the order of the source: those kept, less what cannot be put anywhere, such
        as a file that does not exist.
        """

    def dataset_dict(self, keep: NDArray[np.bool_]) -> Any:
        """The kept rows as a `datasets.DatasetDict`."""


def read_bytes(path: bytes | None, data: bytes | None) -> bytes | Unreadable:
    """The stored bytes of one sample, or why there are none."""
    if data is not None:
        return data
    if path is None:
        return Unreadable("missing", "the row has neither bytes nor a path")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # before it is opened: a named pipe would wait for a writer
        if stat.S_ISDIR(mode):
            return Unreadable("missing", "it is a directory, not a file")
        if not stat.S_ISREG(mode):
            return Unreadable("missing", "it is not a regular file")
        with open(path, "rb") as file:  # noqa: PTH123  # the name is bytes
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unreadable("missing", reason[:1].lower() + reason[1:])


def printable(name: str) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def check_split_names(raw_to_normal: Mapping[str, str | None], name: str) -> None:
    """Refuse two names of one split, such as `val` and `validation`."""
    seen: dict[str | None, str] = {}
    for raw, normal in sorted(raw_to_normal.items()):
        if normal in seen:
            message = (
                f"{name}: {seen[normal]!r} and {raw!r} both mean the split {normal!r}. Rename or merge one of them."
            )
            raise SourceError(message)
        seen[normal] = raw


def place(original: bytes, target: Path, files: str) -> bool:
    """Put a file at `target`: a hard link (a copy where links are impossible), a copy, or a symbolic link.

    False where there is no regular file: a kept sample may be one that could not be read.
    """
    if not os.path.isfile(original):  # noqa: PTH113  # the name is bytes
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if files == "symlink":
        os.symlink(os.path.abspath(original), os.fsencode(target))  # noqa: PTH100, PTH211  # the name is bytes
        return True
    if files == "hardlink":
        try:
            os.link(os.path.realpath(original), os.fsencode(target))
        except OSError:  # another file system, or one without links
            shutil.copy2(original, os.fsencode(target))
        return True
    shutil.copy2(original, os.fsencode(target))
    return True
