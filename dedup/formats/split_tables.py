"""Tables beside images that say their splits: `train.csv` and `test.csv`, or one with a column
`split`.
"""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dedup.config import normal_split
from dedup.errors import SourceError
from dedup.formats.labels import label_text
from dedup.formats.listing import Listing, Parts
from dedup.formats.metadata import NAMES
from dedup.formats.naming import Places
from dedup.formats.records import open_records
from dedup.formats.split_words import USUAL
from dedup.formats.tabular import Records

logger = logging.getLogger(__name__)

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".json")

_SPLIT_COLUMNS: Final = ("split", "set", "subset", "partition")
_LABEL_COLUMNS: Final = ("label", "class")

_LIKE_NAMES: Final = re.compile(
    r"path|file|image|img|pic|photo|name|\bid|id\b|_id|id_|key|uri|url|frame|video|clip|seq|scene"
    r"|folder|dir|patient|case|study|series|subject"
)
"""Columns whose names are those of names, in lower case; of several others numbers may look like
names, too.
"""

_MIN_FOUND: Final = 0.9
"""Share of the rows that must name an image."""

_MOST: Final = 20
"""Tables that are read to see whether they say the splits; there may be one for each image."""

_LONGEST: Final = 200_000_000  # bytes; a table of names alone is shorter


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table, each with the image that it names."""

    parts: Parts
    records: Records
    column: str  # that names the images
    images: Sequence[tuple[Parts, ...]]  # of each row
    splits: Sequence[str | None]  # of each row, normalised; the table's own where no column says it

    def labels(self) -> Mapping[Parts, str]:
        """What a column with a usual name says of each image."""
        column = next((name for name in _LABEL_COLUMNS if name in self.records.names), None)
        if column is None:
            return {}

        texts = map(label_text, self.records.texts(column))

        return {
            image: text
            for images, text in zip(self.images, texts, strict=True)
            if text is not None
            for image in images
        }

    def write(self, kept: Collection[Parts], folder: Path) -> None:
        """The rows of kept images, and those that name none."""
        keep = [not images or any(image in kept for image in images) for images in self.images]
        target = folder.joinpath(*self.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.records.write(target, np.array(keep, bool), {})


def read_table(listing: Listing, parts: Parts, split: str | None, places: Places) -> Table | None:
    """A table whose rows name images and say their splits, or are all of `split`; None for any
    other.
    """
    path = listing.path(parts)
    try:
        if path.stat().st_size > _LONGEST:
            return None
        records = open_records(str(path))
        column = _of_splits(records) if split is None else None
        if split is None and column is None:
            return None
        named = _of_images(records, places)
        splits = [split] * records.n_rows if column is None else _said(records, column)
    except (SourceError, OSError):  # it is listed as not read
        return None

    return None if named is None else Table(parts, records, *named, splits)


def tables_with_splits(listing: Listing) -> list[Parts]:
    """Tables that may have a column with splits."""
    found = [parts for parts in listing.of_suffix(*SUFFIXES[:-1]) if parts[-1] not in NAMES]
    return sorted(found, key=len)[:_MOST]


def _of_splits(records: Records) -> str | None:
    """The column that holds the usual names of splits and nothing else."""
    for column in (name for name in records.names if name.lower() in _SPLIT_COLUMNS):
        texts = {text for text in records.texts(column) if text is not None}
        if texts and all(normal_split(text) in USUAL for text in texts):
            return column
    return None


def _said(records: Records, column: str) -> list[str | None]:
    return [None if text is None else normal_split(text) for text in records.texts(column)]


def _of_images(records: Records, places: Places) -> tuple[str, list[tuple[Parts, ...]]] | None:
    """The column that names most images, and what each row names; None where none names nine in
    ten, or where the header is a row itself.
    """
    if any(places.find(name) or ("." in name and places.below(name)) for name in records.names):
        return None
    if records.n_rows == 0:
        return records.names[0] if records.names else "", []

    usual = [name for name in records.names if _LIKE_NAMES.search(name.lower())]
    others = [name for name in records.names if name not in usual]
    for columns, find in ((usual, places.find), (others, places.find), (usual, places.below)):
        if best := _best(records, columns, find):
            return best

    return None


def _best(
    records: Records, columns: Sequence[str], find: Callable[[str], tuple[Parts, ...]]
) -> tuple[str, list[tuple[Parts, ...]]] | None:
    """That of some columns which names most different images."""
    found: dict[str, list[tuple[Parts, ...]]] = {}
    for column in columns:
        if records.is_binary(column):
            continue
        images = [find(text) if text else () for text in records.texts(column)]
        if sum(map(bool, images)) >= _MIN_FOUND * len(images):
            found[column] = images

    if not found:
        return None

    column = max(found, key=lambda name: len({image for of in found[name] for image in of}))

    return column, found[column]
