"""Metadata beside image files: the `metadata.csv`, `.jsonl` or `.parquet` of a Hugging Face image
folder.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError, SourceError
from dedup.formats.places import as_spelled
from dedup.formats.records import open_records
from dedup.formats.tabular import NO_VALUES, Record, Records, Values
from dedup.paths import make_folder

logger = logging.getLogger(__name__)

NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

Parts = tuple[str, ...]
"""A path below the root, as names."""


class Metadata:
    """One metadata file: which files its rows name, and what it says of them."""

    def __init__(
        self, root: Path, parts: Parts, records: Records, column: str, others: Sequence[str]
    ) -> None:
        self._root = str(root)
        self.parts = parts
        self.name = str(root.joinpath(*parts))
        self.records = records
        self.folder = parts[:-1]
        self.column = column
        self.files = self._named(column)  # of each row
        # further files of each row, by column
        self.companions = {other: self._named(other) for other in others}

    def texts(self, columns: Sequence[str]) -> list[str | None]:
        """The first of the columns that there is, as texts; nulls where there is none."""
        found = next((column for column in columns if column in self.records.names), None)
        return self.records.texts(found) if found else [None] * len(self.files)

    def write(
        self,
        folder: Path,
        kept_rows: NDArray[np.bool_],
        values: Values = NO_VALUES,
        more: Sequence[Record] = (),
    ) -> None:
        """Write the kept rows, with new values and with more behind them, at the same place below
        `folder`.
        """
        target = folder.joinpath(*self.parts)
        make_folder(target.parent)
        self.records.write(target, kept_rows, {}, values, more)

    def takes_from(self, other: "Metadata") -> bool:
        """Whether rows of another file can stand here."""
        same = sorted(self.records.names) == sorted(other.records.names)
        return self.parts[-1] == other.parts[-1] and (same or self.parts[-1].endswith(".jsonl"))

    def _named(self, column: str) -> list[Parts]:
        return [
            self._inside(row, text) for row, text in enumerate(self.records.texts(column), start=1)
        ]

    def _with_slashes(self, text: str) -> str:
        """The name with `/` where it has the backslashes of Windows, which are part of a name
        elsewhere.
        """
        with_slashes = text.replace("\\", "/")
        if with_slashes == text or os.sep == "\\":
            return with_slashes

        is_name = "\0" not in text and os.path.lexists(os.path.join(self._root, *self.folder, text))

        return text if is_name else with_slashes

    def _inside(self, row: int, text: str | None) -> Parts:
        """The named file as a path below the root; a name that leads elsewhere is refused."""
        path = os.path.normpath(self._with_slashes(text)) if text else ""
        if text and os.path.isabs(path) and not os.path.isabs(text):
            # the backslash at its start is that of an odd name, not of a folder
            path = os.path.normpath(text)

        if not text or os.path.isabs(path) or path.startswith("..") or "://" in text:
            message = (
                f"{self.name}, row {row}: file_name is {text!r}. Give the path of a file below the"
                f" folder of {self.parts[-1]}, relative to it."
            )
            raise SourceError(message)

        folder = os.path.join(self._root, *self.folder)

        return (*self.folder, *as_spelled(folder, path).split("/"))


def read_metadata(
    root: Path, places: Sequence[Parts], image_column: str | None
) -> Iterator[Metadata]:
    """The metadata files below root. One that names no files is no metadata: it is left, with a
    warning.
    """
    for parts in sorted(places):
        path = root.joinpath(*parts)
        records = open_records(str(path))
        columns = {
            _column(name): name
            for name in records.names
            if name == "file_name" or name.endswith("_file_name")
        }
        if not columns:
            logger.warning(
                "%s: no column 'file_name', so it is not taken for metadata. It has %s.",
                path,
                records.names,
            )
            continue
        chosen = _chosen(columns, image_column, str(path))
        yield Metadata(
            root, parts, records, columns[chosen], [c for k, c in columns.items() if k != chosen]
        )


def _column(name: str) -> str:
    """The image column that a column of file names makes, as `datasets` calls it: `left_file_name`
    makes `left`.
    """
    return name.removesuffix("file_name").removesuffix("_") or "image"


def _chosen(columns: dict[str, str], named: str | None, path: str) -> str:
    known = ", ".join(map(repr, columns))
    if named is not None and named not in columns:
        message = f"{path}: no image column {named!r} (dataset.image_column). It has {known}."
        raise ConfigError(message)

    if named is None and len(columns) > 1:
        message = f"{path}: several image columns: {known}. Choose one as dataset.image_column."
        raise ConfigError(message)

    return named or next(iter(columns))
