"""YOLO: a `data.yaml` that names the splits, images in folders or lists, a text file of labels for
each image.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError, SourceError
from dedup.formats.detection import Evidence, below
from dedup.formats.files import Files, beside, distinct_ids, not_movable, refuse_missing
from dedup.formats.labels import BACKGROUND
from dedup.formats.listing import Listing, listed
from dedup.formats.places import as_spelled
from dedup.formats.placing import put_once
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    check_split_names,
    encoded,
    printable_names,
)
from dedup.formats.yolo_files import (
    NAMES,
    class_names,
    label_file,
    label_lines,
    names_files,
    nearest,
    read_description,
    said_boxes,
    with_slashes,
    write_description,
    write_list,
)
from dedup.paths import exists, files_below, is_file, make_folder

logger = logging.getLogger(__name__)

_DEPTH: Final = 2
"""How many names a path may have of a file that names the splits of the folder above it."""

_SPLITS: Final = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True, slots=True)
class _Listing:
    """A folder of images, or a text file that lists them, as `data.yaml` names it."""

    split: str  # the key
    path: Path
    lines: Mapping[Path, int]  # the images, in order, each with its sample

    @property
    def is_list(self) -> bool:
        """Whether it is a text file."""
        return not self.path.is_dir()


_Place = tuple[_Listing, Path, int, Path]
"""The listing that an image is written to, where it lies, its row, and where it goes below the
folder.
"""


class Yolo(Files):
    """The images of the splits that a `data.yaml` names. Ids are paths below the root.

    The label is what can be seen: the names of the classes in an image's label file, sorted and
    joined.
    """

    form: str = "yolo"

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        self._config = config
        self._yaml = _description_of(path)
        self.name = str(self._yaml)
        self._content = read_description(self._yaml)
        root = _root(self._yaml, self._content)
        row_of: dict[tuple[str | None, Path], int] = {}
        self._listings = []
        raw = [key for key in _SPLITS if self._content.get(key)]
        check_split_names({key: normal_split(key) for key in raw}, self.name)

        for key in raw:
            for place in _places(self._content[key], root, self.name, key):
                images = {
                    i: row_of.setdefault((normal_split(key), i), len(row_of))
                    for i in _images(place, root)
                }
                self._listings.append(_Listing(key, place, images))

        if not row_of:
            message = (
                f"{self.name}: none of its splits has images. It needs 'train', 'val' or 'test'"
                " beside 'names'."
            )
            raise SourceError(message)

        uris = printable_names([image.relative_to(root).as_posix() for _, image in row_of])
        remedy = "Paths in lists are relative to 'path' in data.yaml, or start with './'."
        refuse_missing(
            {i: uri for (_, i), uri in zip(row_of, uris, strict=True)}, self.name, remedy
        )
        names = class_names(self._content, self.name)
        splits = [split for split, _ in row_of]
        said = [said_boxes(label_file(image), names) for _, image in row_of]
        labels = [label for label, _ in said]
        self.boxes = [boxes for _, boxes in said]
        annotated = {
            split for split, label in zip(splits, labels, strict=True) if label is not None
        }
        labels = [
            BACKGROUND if label is None and split in annotated else label
            for split, label in zip(splits, labels, strict=True)
        ]
        rows = pa.table([distinct_ids(uris, splits), splits, labels, uris], ROWS)
        files = [encoded(str(image)) for _, image in row_of]
        super().__init__(root, files, rows, allow_outside=config.allow_outside)

    def check_movable(self) -> None:
        """Images go from folder to folder or from list to list."""
        if len({listing.is_list for listing in self._listings}) > 1:
            why = "some of its splits are folders and some are lists"
            raise not_movable(self.name, why)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept images with their label files at the same places, and a `data.yaml` for the
        folder.

        It has all that the original has, but for `path`: what it names is relative to the file
        itself. Moved images go with their labels to the folder of their new split or, where splits
        are lists, to its list.
        """
        there = keep.copy()
        written: dict[Path, list[Path]] = {listing.path: [] for listing in self._listings}
        for listing, image, row, inner in [*self._staying(moves), *self._moved(moves)]:
            there[row] = keep[row] and put_once(image, folder / inner, files)
            labels = label_file(image)
            if there[row]:
                written[listing.path].append(folder / inner)
                if label_lines(labels) is not None:
                    put_once(
                        labels,
                        folder / label_file(self.root / inner).relative_to(self.root),
                        files,
                    )
                self._sidecars.put(image, folder / inner, files)
        named: dict[str, list[str]] = {}
        for listing in self._listings:
            inner = listing.path.relative_to(self.root)
            if listing.is_list:
                write_list(folder / inner, written[listing.path])
            else:
                make_folder(folder / inner)
            named.setdefault(listing.split, []).append(inner.as_posix())

        changed = {key: value[0] if len(value) == 1 else value for key, value in named.items()}
        content = {
            key: changed.get(key, value) for key, value in self._content.items() if key != "path"
        }
        write_description(folder, self._yaml, self.root, content)

        return there

    def own_files(self) -> Iterator[Path]:
        """The images, their label files, the lists of images and what names the splits."""
        images = [Path(os.fsdecode(file)) for file in self._files]
        yield from images
        yield from (labels for image in images if is_file(labels := label_file(image)))
        yield from (listing.path for listing in self._listings if listing.is_list)
        yield self._yaml
        yield from names_files(self._yaml, self._content)

    def _staying(self, moves: Moves) -> Iterator[_Place]:
        for listing in self._listings:
            for image, row in listing.lines.items():
                if row not in moves:
                    yield listing, image, row, image.relative_to(self.root)

    def _moved(self, moves: Moves) -> Iterator[_Place]:
        """Moved rows, each once, under other names where theirs are taken: `1.jpg` and `1.png`
        share their labels.
        """
        taken = {inner.with_suffix("") for _, _, _, inner in self._staying(moves) if inner.name}
        at = {
            row: (listing, image)
            for listing in reversed(self._listings)
            for image, row in listing.lines.items()
        }
        for row, split in sorted(moves.items()):
            listing, image = at[row]
            target = next(
                listing for listing in self._listings if normal_split(listing.split) == split
            )
            inner = image.relative_to(self.root)
            if not target.is_list:
                inner = target.path.relative_to(self.root) / image.relative_to(listing.path)
            while inner.with_suffix("") in taken:
                inner = beside(inner, listing.split)
            taken.add(inner.with_suffix(""))
            yield target, image, row, inner

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings."""
        return self._config.model_copy(update={"source": self.form, "path": str(folder)})


def evidence(listing: Listing) -> Evidence | None:
    """Images of the splits that a YAML file, or a `.data` file of Darknet, names."""
    for path in _descriptions(listing.root, listing):
        try:
            content = read_description(path)
            root = _root(path, content)
            n = _n_named(content, root, listing)
        except SourceError:
            if path.name not in NAMES:
                continue
            n = len(listing.images) or 1  # its form says what is wrong with it
        if n or path.name in NAMES:
            n = n or len(listing.images) or 1
            return Evidence(n, f"{n:,} images of the splits in {path.name}")
    return None


def _n_named(content: Mapping[str, Any], root: Path, listing: Listing) -> int:
    folders, n = [], 0
    for key in _SPLITS:
        for text in _texts(content.get(key)):
            place = _below(root, text) or _below(root, text.removeprefix("../"))
            if place is not None and place.is_dir() and place.is_relative_to(listing.root):
                folders.append(place.relative_to(listing.root).parts)
            elif place is not None and is_file(place):
                n += len(place.read_bytes().splitlines())

    return n + (below(listing, folders) if folders else 0)


def _texts(value: Any) -> list[str]:
    return [
        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
    ]


def _descriptions(folder: Path, listing: Listing | None = None) -> list[Path]:
    """`data.yaml`, else other files at the top of a folder, or one level down, that name splits and
    classes.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if found:
        return found

    listing = listing or listed(folder)
    others = [
        parts for parts in listing.of_suffix(".yaml", ".yml", ".data") if len(parts) <= _DEPTH
    ]

    return [path for parts in others if _names_splits(path := listing.path(parts))]


def _names_splits(path: Path) -> bool:
    try:
        content = read_description(path)
    except SourceError:
        return False
    return any(_texts(content.get(key)) for key in _SPLITS) and bool(
        {"names", "nc"} & content.keys()
    )


def _description_of(path: Path) -> Path:
    found = [path] if path.is_file() else _descriptions(path)
    if len(found) > 1 and found[0].name not in NAMES:
        named = ", ".join(repr(str(one.relative_to(path))) for one in found)
        message = f"{path}: several files name splits: {named}. Name one of them as dataset.path."
        raise ConfigError(message)

    if not found:
        message = f"{path}: no data.yaml in this folder."
        raise SourceError(message)

    return found[0]


def _root(path: Path, content: Mapping[str, Any]) -> Path:
    """The folder that the splits are relative to: `path` if it exists, else that of the file."""
    named = content.get("path")
    root = path.parent / named if isinstance(named, str) else path.parent
    return Path(os.path.abspath(root if root.is_dir() else path.parent))  # no links resolved


def _places(value: Any, root: Path, name: str, key: str) -> list[Path]:
    """What a split names: one place or several, below the root."""
    places = []
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            message = f"{name}: {key}: expected a folder or a list of images, got {text!r}."
            raise SourceError(message)
        path = _below(root, text)
        if path is None and text.startswith("../"):  # as Roboflow writes it
            path = _below(root, text.removeprefix("../"))
        is_foreign = "\\" in text or (path is None and not exists(Path(text)))
        if is_foreign and (path is None or not exists(path)):
            path = _of_another_machine(root, text)
        if path is None or not exists(path):
            message = (
                f"{name}: {key}: {text!r} does not exist below {str(root)!r}. Set 'path' in it, or"
                " put it there."
            )
            raise SourceError(message)
        places.append(path)

    return places


def _below(root: Path, text: str) -> Path | None:
    path = Path(os.path.abspath(root / text))  # no links resolved
    return path if path.is_relative_to(root) else None


def _of_another_machine(root: Path, text: str) -> Path | None:
    """The longest end of a path that is below the root: where the file was written, the dataset lay
    elsewhere (`/content/datasets/cats/images/train`), or paths are written with backslashes.
    """
    parts = text.replace("\\", "/").strip("/").split("/")
    ends = (_below(root, "/".join(parts[k:])) for k in range(len(parts)))

    return next((path for path in ends if path is not None and exists(path)), None)


def _images(listed: Path, root: Path) -> Iterator[Path]:
    """The images in a folder, or those that a list names, in order, each once."""
    if listed.is_dir():
        yield from sorted(
            path for path in files_below(listed) if path.suffix.lower() in FILE_SUFFIXES
        )
        return

    lines = listed.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        line = with_slashes(line.strip(), root)
        image = _below(
            root, str(listed.parent / line[2:]) if line.startswith("./") else nearest(root, line)
        )
        if image is None:
            message = (
                f"{listed}, line {number}: {line!r} is not below {str(root)!r}. Name files"
                " inside it."
            )
            raise SourceError(message)
        yield root / as_spelled(str(root), str(image.relative_to(root)))
