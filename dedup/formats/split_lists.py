"""Lists of images that are the splits of a folder: `train.txt` and `test.txt` with a line for each
image or folder of images, or tables of the same names.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dedup.formats.listing import Listing, Parts
from dedup.formats.naming import Places
from dedup.formats.placing import write_new
from dedup.formats.source import printable
from dedup.formats.split_tables import SUFFIXES as OF_TABLES
from dedup.formats.split_tables import Table, read_table, tables_with_splits
from dedup.formats.split_words import told_by
from dedup.formats.stems import stem_of

_MIN_FOUND: Final = 0.9
"""Share of the lines of a list that must name an image: the rest may be a header, or gone."""

_MIN_COVERED: Final = 0.5
"""Share of the images that the lists must name: lists of a few examples are no splits."""

_LONGEST: Final = 100_000_000  # bytes; what is longer is not a list of names

_SUFFIXES: Final = (".txt", ".lst", ".list")


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a text file, each with the images that it names."""

    parts: Parts
    lines: Sequence[bytes]
    images: Sequence[tuple[Parts, ...]]  # of each line
    splits: Sequence[str | None]  # of each line: that of the file

    def labels(self) -> Mapping[Parts, str]:
        """What stands behind a name may be anything."""
        return {}

    def write(self, kept: Collection[Parts], folder: Path) -> None:
        """The lines of kept images, as they were, and lines that name none."""
        left = [
            line
            for line, images in zip(self.lines, self.images, strict=True)
            if not images or any(image in kept for image in images)
        ]
        target = folder.joinpath(*self.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_new(target, b"".join(left))


@dataclass(frozen=True, slots=True)
class SplitLists:
    """The split that lists say of each image; empty where no lists do."""

    split_of: Mapping[Parts, str] = field(default_factory=dict)
    label_of: Mapping[Parts, str] = field(default_factory=dict)
    lists: Mapping[Parts, Lines | Table] = field(default_factory=dict)
    doubt: str | None = None

    def understood(self) -> str:
        """Which list is which split, for people."""
        names: dict[str, list[str]] = defaultdict(list)
        for parts, of in self.lists.items():
            for split in sorted({split for split in of.splits if split is not None}):
                names[split].append(printable("/".join(parts)))

        order = sorted(names, key=lambda name: (name != "train", name))

        return "; ".join(
            f"{split} is what {', '.join(map(repr, names[split]))} lists" for split in order
        )

    def write(self, kept: Collection[Parts], folder: Path) -> None:
        """The lists with the lines of kept images, as they were, and lines that name none."""
        for of in self.lists.values():
            of.write(kept, folder)


def split_lists(listing: Listing, images: Sequence[Parts]) -> SplitLists:
    """The lists whose names are those of splits, else a table with a column of them, if they name
    images, most of them, and none in two splits.
    """
    places = Places(images)
    named = list(_named(listing))
    found = SplitLists()
    if len({split for split, _ in named}) > 1:
        read = [(_read(listing, parts, split, places)) for split, parts in named]
        found = _joined([of for of in read if of is not None], len(images), n_splits=2)
        if found.lists or found.doubt:
            return found

    for parts in tables_with_splits(listing):
        table = read_table(listing, parts, None, places)
        if table and (found := _joined([table], len(images), n_splits=1)).lists:
            return found

    return found


def _joined(lists: Sequence[Lines | Table], n_images: int, n_splits: int) -> SplitLists:
    """What lists say together, if they are enough lists and name enough images."""
    splits: dict[Parts, set[str]] = defaultdict(set)
    for of in lists:
        for images, split in zip(of.images, of.splits, strict=True):
            for image in images if split is not None else ():
                splits[image].add(str(split))

    if len(splits) < _MIN_COVERED * n_images or len(lists) < n_splits:
        return SplitLists()

    if any(len(of_image) > 1 for of_image in splits.values()):
        shown = ", ".join(sorted(repr(printable("/".join(of.parts))) for of in lists)[:4])
        doubt = (
            f"Lists may say the splits ({shown}), but an image is in two of them. Keep one list of"
            " each split, or name a CSV with the columns path and split as dataset.path."
        )
        return SplitLists(doubt=doubt)

    labels = {image: label for of in lists for image, label in of.labels().items()}
    named = {image: of_image.pop() for image, of_image in splits.items()}

    return SplitLists(named, labels, {of.parts: of for of in lists})


def _named(listing: Listing) -> Iterator[tuple[str, Parts]]:
    """Files with the name of a split, such as `train.txt`, `test1.csv` or `val_list.txt`."""
    for parts in listing.of_suffix(*_SUFFIXES, *OF_TABLES):
        told = told_by(printable(stem_of(parts[-1])))
        rest = {word for word in told.rest if word} if told else set()
        if told and all(word.isdigit() or word in _FILLING for word in rest):
            yield told.split, parts


_FILLING: Final = frozenset({
    "list", "lists", "files", "file", "images", "image", "set", "split", "names", "label", "labels",
    "data", "df", "annotations", "meta", "metadata", "info", "seqs", "videos",
})  # fmt: skip


def _read(listing: Listing, parts: Parts, split: str, places: Places) -> Lines | Table | None:
    """The lines of a list with the images that each names; None where it is not a list of images.

    An empty list is one: nothing was left of its split.
    """
    if parts[-1].lower().endswith(OF_TABLES):
        table = read_table(listing, parts, split, places)
        if table or not parts[-1].lower().endswith((".csv", ".tsv")):
            return table

    path = listing.path(parts)
    try:
        if os.path.getsize(path) > _LONGEST:
            return None
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return None

    images = [places.named_in(os.fsdecode(line)) for line in lines]
    n_lines = sum(bool(line.strip()) for line in lines)
    is_list = sum(map(bool, images)) >= _MIN_FOUND * n_lines

    return Lines(parts, lines, images, [split] * len(lines)) if is_list else None
