"""What every form of dataset offers: its rows, its bytes, and a way to write what was kept."""

import os
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, SourceConfig
from dedup.decoding.contents import read_bytes
from dedup.decoding.pictures import FILE_SUFFIXES, Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats.first_bytes import N_BYTES, head_of, image_suffix
from dedup.formats.further import Further, Row

ROWS: Final = pa.schema(
    [("id", pa.string()), ("split", pa.string()), ("label", pa.string()), ("uri", pa.string())]
)
"""What is known of the samples before any byte is read, in the order of the source. Splits are
normalised.
"""

Moves = Mapping[int, str]
"""Rows that are written in another split than their own, with the normalised name of that split."""

NO_MOVES: Final[Moves] = MappingProxyType({})


class Source(Protocol):
    """One opened dataset."""

    form: str  # one of the table of forms, or several
    name: str  # for people: the path, or what stands for it
    rows: pa.Table  # ROWS
    not_read: pa.Table  # NOT_READ: files below the root that are not part of the dataset
    understood: str  # how the layout was understood, for people
    doubts: Sequence[str]  # what could be meant otherwise, and how to say so

    @property
    def skipped(self) -> Mapping[str, int]:
        """The number of files that were not read, by reason."""

    @property
    def root(self) -> Path | None:
        """Where it lies, if it lies on this machine."""

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of the named rows, in the order given."""

    def columns(self) -> Sequence[str]:
        """The columns that `texts` reads."""

    def own_files(self) -> Iterator[Path]:
        """Every file of the dataset on this machine: samples, what goes with them, and what says
        something of them.
        """

    def texts(self, column: str) -> list[str | None]:
        """A column of the dataset, in the order of `rows`, as texts; raises `ConfigError` where
        there is none.
        """

    def further(self) -> Further:
        """Columns beside image, id, split and label, for a writer of another form."""

    def check_writable(self) -> None:
        """Raise `SourceError` for what could not be written and read again, before any work is
        done.
        """

    def check_movable(self) -> None:
        """Raise `SourceError` if rows of this form cannot be written in another split than their
        own.
        """

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """Write the kept rows to `folder` in this form; `files` is hardlink, copy or symlink.

        Rows in `moves` are written in the split named there. Returns which rows are there now, in
        the order of the source: those kept, less what cannot be put anywhere, such as a file that
        does not exist.
        """

    def written(self, folder: Path) -> DatasetConfig:
        """How to open what `write` put into a folder."""

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept rows as a `datasets.DatasetDict`."""


@runtime_checkable
class InOrder(Protocol):
    """A source that is read best from front to back."""

    def in_order(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows, in order, at most `size` rows each."""


def payloads(source: Source, size: int) -> Iterator[pa.RecordBatch]:
    """PAYLOAD batches of all rows, in order, at most `size` rows each."""
    if isinstance(source, InOrder):
        yield from source.in_order(size)
        return
    for start in range(0, len(source.rows), size):
        yield from source.payload_of(range(start, min(start + size, len(source.rows))))


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of ROWS with its payload: what a writer of another form gets."""

    row: int
    id: str
    split: str | None
    label: str | None
    path: bytes | None
    data: bytes | None
    more: Mapping[str, Any] = field(default_factory=dict)  # further columns

    def content(self) -> bytes | None:
        """The stored bytes; None for a row without an image. Raises `SourceError` for a file that
        is gone.
        """
        found = read_bytes(self.path, self.data)
        if not isinstance(found, Unreadable):
            return found
        if self.path is None:
            return None

        raise gone(self.path)

    def suffix(self) -> str:
        """The file suffix that fits: that of its own file, else of its first bytes, else of its id,
        else `.jpg`.
        """
        own = os.path.splitext(os.fsdecode(self.path or b""))[1].lower()
        if own in FILE_SUFFIXES:
            return own

        head = (
            self.data[:N_BYTES]
            if self.data is not None
            else head_of(self.path)
            if self.path
            else b""
        )
        if (suffix := image_suffix(head)) is not None:
            return suffix

        named = os.path.splitext(self.id)[1].lower()

        return named if named in FILE_SUFFIXES else ".jpg"


_ROWS_AT_ONCE: Final = 64  # their bytes are in memory together


def samples(
    source: Source,
    keep: NDArray[np.bool_],
    moves: Moves = NO_MOVES,
    further: Iterator[Row] | None = None,
) -> Iterator[Sample]:
    """The kept samples in the order of the source, read batch by batch; `further` has more of all
    of its rows.
    """
    further = repeat({}) if further is None else further
    ids, splits, labels = (source.rows[column] for column in ("id", "split", "label"))
    for batch in payloads(source, _ROWS_AT_ONCE):
        rows = batch["row"].to_pylist()
        said = islice(further, len(rows))
        if not keep[rows].any():
            deque(said, maxlen=0)
            continue
        columns = (rows, batch["path"].to_pylist(), batch["data"].to_pylist(), said)
        for row, path, data, more in zip(*columns, strict=True):
            if keep[row]:
                split = moves.get(row) or splits[row].as_py()
                yield Sample(row, ids[row].as_py(), split, labels[row].as_py(), path, data, more)


def moved_rows(rows: pa.Table, moves: Moves) -> pa.Table:
    """ROWS with the splits that rows are moved to."""
    if not moves:
        return rows

    splits = rows["split"].to_pylist()
    for row, split in moves.items():
        splits[row] = split

    return rows.set_column(rows.column_names.index("split"), "split", pa.array(splits, pa.string()))


def no_column(name: str, column: str, known: Sequence[str]) -> ConfigError:
    """The error for a column that a dataset does not have."""
    return ConfigError(
        f"{name}: no column {column!r}. It has {', '.join(map(repr, known)) or 'no columns'}."
    )


class Names:
    """File names for samples, whatever their ids are: readable, safe on every file system, each
    given once.
    """

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, sample: Sample, *folders: str | None) -> tuple[str, ...]:
        """Safe names of the folders and a file name that no other sample has in them."""
        above = tuple(name for name in (safe(folder or "") for folder in folders) if name)
        last = re.split(r"[/\\]", sample.id)[-1]
        stem, suffix = os.path.splitext(last)
        stem = safe(stem if suffix.lower() in FILE_SUFFIXES else last) or "image"
        while (key := _folded("/".join((*above, stem)))) in self._given:
            stem = f"{stem}-{sample.row}"

        self._given.add(key)

        return (*above, stem + sample.suffix())


def _folded(name: str) -> str:
    """What names have in common that some disk takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe(text: str) -> str:
    """A text as part of a file name: letters, digits, `_`, `-` and inner dots stay."""
    return re.sub(r"[^\w.-]+", "_", text).strip(".")[:_LONGEST_NAME]


# characters; four bytes each at the most, below the 255 that file systems allow
_LONGEST_NAME: Final = 60


def printable(name: str) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8 become `\\xNN`."""
    # Most names of a million are plain.
    return name if name.isascii() else encoded(name).decode("utf-8", "backslashreplace")


def encoded(name: str) -> bytes:
    """A file name as the system knows it; that of half a surrogate pair, which no file can have, is
    spelled out.
    """
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace")


def printable_names(names: Sequence[str]) -> list[str]:
    r"""Names as valid Unicode, different ones for different names.

    Bytes that are not UTF-8 show as `\xNN`, with more backslashes where that name is taken.
    """
    taken = {name for name in names if printable(name) == name}
    found: dict[str, str] = {}
    for name in names:
        if name not in found:
            shown = printable(name)
            while shown != name and shown in taken:
                shown = shown.replace("\\", "\\\\")
            taken.add(shown)
            found[name] = shown

    return [found[name] for name in names]


def are_splits(names: Set[str | None]) -> bool:
    """Whether these are names of splits: one is train, or all are usual ones. A class may be called
    test.
    """
    return "train" in names or (bool(names) and names <= {"validation", "test"})


def check_split_names(
    raw_to_normal: Mapping[str, str | None],
    name: str,
    remedy: str = "Rename or merge one of them.",
) -> None:
    """Refuse two names of one split, such as `val` and `validation`."""
    seen: dict[str | None, str] = {}
    for raw, normal in sorted(raw_to_normal.items()):
        if normal in seen:
            message = (
                f"{name}: {seen[normal]!r} and {raw!r} both mean the split {normal!r}. {remedy}"
            )
            raise SourceError(message)
        seen[normal] = raw


def split_named(text: str | None, config: SourceConfig, name: str, where: str) -> str | None:
    """The split that a value of the split column means; `where` stands in the error for a value
    that none has.
    """
    try:
        return config.split_of(text)
    except KeyError as error:
        known = ", ".join(f"{split}: {list(values)}" for split, values in config.splits.items())
        message = (
            f"{name}, {where}: column {config.split_column!r} has the value {text!r}, which"
            f" dataset.splits does not name. It has {known}. Put the value into one of them, or"
            " into a split of its own."
        )
        raise ConfigError(message) from error


def gone(path: bytes | str) -> SourceError:
    """The error for a picture that is kept and cannot be written any more."""
    name = printable(os.fsdecode(path))
    return SourceError(
        f"{name!r} was hashed and is kept, but it is not a file that can be read any more, so"
        " nothing is written. Run it again when the dataset is at rest."
    )
