"""Lists of images that are the splits of a folder: `train.txt` and `test.txt` with a line for each
image.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dedup.formats.listing import Listing, Parts
from dedup.formats.placing import write_new
from dedup.formats.source import printable
from dedup.formats.split_words import told_by
from dedup.formats.stems import stem_of

_MIN_FOUND: Final = 0.9
"""Share of the lines of a list that must name an image: the rest may be a header, or gone."""

_MIN_COVERED: Final = 0.5
"""Share of the images that the lists must name: lists of a few examples are no splits."""

_LONGEST: Final = 100_000_000  # bytes; what is longer is not a list of names

_SUFFIXES: Final = (".txt", ".lst", ".list")


@dataclass(frozen=True, slots=True)
class SplitLists:
    """The split that lists say of each image; empty where no lists do."""

    split_of: Mapping[Parts, str] = field(default_factory=dict)
    # of each list its lines, each with the image that it names
    lists: Mapping[Parts, Sequence[tuple[bytes, Parts | None]]] = field(default_factory=dict)
    doubt: str | None = None

    def understood(self) -> str:
        """Which list is which split, for people."""
        names: dict[str, list[str]] = defaultdict(list)
        for parts in self.lists:
            if told := told_by(stem_of(parts[-1])):
                names[told.split].append(printable("/".join(parts)))

        order = sorted(names, key=lambda name: (name != "train", name))

        return "; ".join(
            f"{split} is what {', '.join(map(repr, names[split]))} lists" for split in order
        )

    def write(self, kept: Collection[Parts], folder: Path) -> None:
        """The lists with the lines of kept images, as they were, and lines that name none."""
        for parts, lines in self.lists.items():
            left = [line for line, image in lines if image is None or image in kept]
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_new(target, b"".join(left))


def split_lists(listing: Listing, images: Sequence[Parts]) -> SplitLists:
    """The lists whose names are those of splits, if they name images, most of them, and none in two
    splits.
    """
    named = list(_named(listing))
    if len({split for split, _ in named}) < 2:
        return SplitLists()

    places = _Places(images)
    lists = {parts: lines for _, parts in named if (lines := _read(listing, parts, places))}
    splits: dict[Parts, set[str]] = defaultdict(set)

    for split, parts in named:
        for _, image in lists.get(parts, ()):
            if image is not None:
                splits[image].add(split)

    n_splits = len({split for split, parts in named if parts in lists})
    if n_splits < 2 or len(splits) < _MIN_COVERED * len(images):
        return SplitLists()

    if any(len(of_image) > 1 for of_image in splits.values()):
        shown = ", ".join(repr(printable("/".join(parts))) for parts in sorted(lists)[:4])
        doubt = (
            f"Lists may say the splits ({shown}), but an image is in two of them. Keep one list of"
            " each split, or name a CSV with the columns path and split as dataset.path."
        )
        return SplitLists(doubt=doubt)

    return SplitLists({image: of_image.pop() for image, of_image in splits.items()}, lists)


class _Places:
    """Images by what a line may call them: the end of their path, with its suffix or without."""

    def __init__(self, images: Iterable[Parts]) -> None:
        self._of_name: dict[str, list[Parts]] = defaultdict(list)
        for parts in images:
            self._of_name[parts[-1]].append(parts)
            self._of_name[stem_of(parts[-1])].append(parts)

    def find(self, text: str) -> Parts | None:
        """The only image whose path ends like a line, or that a longer path ends like."""
        names = [name for name in text.replace("\\", "/").split("/") if name not in {"", "."}]
        if not names or ".." in names:
            return None

        found = [
            parts
            for parts in self._of_name.get(names[-1], ())
            if all(a == b for a, b in zip(names[-2::-1], parts[-2::-1], strict=False))
        ]

        return found[0] if len(found) == 1 else None


def _named(listing: Listing) -> Iterator[tuple[str, Parts]]:
    """Text files with the name of a split, such as `train.txt`, `test1.txt` or `val_list.txt`."""
    for parts in listing.of_suffix(*_SUFFIXES):
        told = told_by(printable(stem_of(parts[-1])))
        rest = {word for word in told.rest if word} if told else set()
        if told and all(word.isdigit() or word in _FILLING for word in rest):
            yield told.split, parts


_FILLING: Final = frozenset(
    {"list", "lists", "files", "file", "images", "image", "set", "split", "names"}
)


def _read(
    listing: Listing, parts: Parts, places: _Places
) -> list[tuple[bytes, Parts | None]] | None:
    """The lines of a list with the image that each names; None where it is not a list of images."""
    path = listing.path(parts)
    try:
        if os.path.getsize(path) > _LONGEST:
            return None
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return None

    found = [(line, _image_of(line, places)) for line in lines]
    n_lines = sum(bool(line.strip()) for line in lines)
    n_found = sum(image is not None for _, image in found)

    return found if n_found and n_found >= _MIN_FOUND * n_lines else None


def _image_of(line: bytes, places: _Places) -> Parts | None:
    """The image that a line names: all of it, or what stands before a label."""
    text = os.fsdecode(line).strip()
    for part in (text, *(text.partition(mark)[0] for mark in (" ", "\t", ",", ";"))):
        if part and (image := places.find(part.strip("\"'"))):
            return image

    return None
