"""Pascal VOC: images in `JPEGImages`, their objects in `Annotations`, and lists in `ImageSets` that
are the splits.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import SourceError
from dedup.formats.detection import Evidence
from dedup.formats.files import Files, distinct_ids, not_movable, refuse_missing
from dedup.formats.listing import Listing, Parts, listed
from dedup.formats.placing import put_once, write_new
from dedup.formats.source import NO_MOVES, ROWS, Moves
from dedup.formats.split_words import Told, told_by
from dedup.formats.stems import stem_of, stems_of
from dedup.formats.texts import as_text

SETS: Final = "ImageSets"
_IMAGES: Final = "JPEGImages"
_BOTH: Final = "trainval"
_MAIN: Final = ("Main", "main", "Segmentation", "Layout", "Action")
"""Folders of lists, the first that there is counts."""

_LONGEST_XML: Final = 10_000_000  # bytes; what is longer is no description of one image

_OBJECT: Final = re.compile(r"<object>.*?<name>\s*([^<]*?)\s*</name>", re.DOTALL)
"""The name of an object comes before those of its parts. Not parsed as XML, whose entities can grow
without end.
"""


@dataclass(slots=True)
class _Kit:
    """One folder with `ImageSets`: a year of the challenge, or a dataset made like one."""

    folder: Path
    # the names of images by the name of their list
    lists: dict[str, list[str]] = field(default_factory=dict)
    # everything that has an image's name, by that name
    files: dict[str, list[Path]] = field(default_factory=dict)

    def image(self, name: str) -> Path:
        """The image of that name, which may not exist."""
        found = [path for path in self.files.get(name, ()) if path.parent.name == _IMAGES]
        return found[0] if found else self.folder / _IMAGES / f"{name}.jpg"

    def others(self, image: Path) -> Iterator[Path]:
        """What goes with an image: its objects, its masks."""
        return (path for path in self.files.get(image.stem, ()) if path != image)

    def splits(self) -> Iterator[tuple[str, str]]:
        """Each name in a list of a split, and the split. `trainval` is train where nothing is said
        more closely.
        """
        of_split = {
            told.split: names
            for list_name, names in self.lists.items()
            if (told := _told(list_name))
        }
        for split, names in sorted(of_split.items()):
            yield from ((split, name) for name in names)

        known = {name for names in of_split.values() for name in names}
        yield from (("train", name) for name in self.lists.get(_BOTH, ()) if name not in known)


class Voc(Files):
    """The images that the lists name. Ids are paths below the root.

    The label is what can be seen: the names of the objects in an image's annotations, sorted and
    joined.
    """

    form: str = "voc"

    def __init__(self, path: Path, config: DatasetConfig, listing: Listing | None = None) -> None:
        self.name = str(path)
        self._config = config
        self._kits = list(_kits(listing or listed(path)))
        kit_of: dict[tuple[str, Path], _Kit] = {}
        for kit in self._kits:
            for split, name in kit.splits():
                kit_of.setdefault((normal_split(split) or split, kit.image(name)), kit)

        if not kit_of:
            message = (
                f"{path}: no list in {SETS} names images. It needs train.txt, val.txt, trainval.txt"
                " or test.txt."
            )
            raise SourceError(message)

        self._kit_of = list(kit_of.values())
        splits = [split for split, _ in kit_of]
        images = [image for _, image in kit_of]
        uris = [image.relative_to(path).as_posix() for image in images]
        remedy = f"They belong in {_IMAGES}."
        refuse_missing(dict(zip(images, uris, strict=True)), self.name, remedy)
        labels = [_label(kit, image) for kit, image in zip(self._kit_of, images, strict=True)]
        rows = pa.table([distinct_ids(uris, splits), splits, labels, uris], ROWS)
        files = [os.fsencode(image) for image in images]
        super().__init__(path, files, rows, allow_outside=config.allow_outside)

    def own_files(self) -> Iterator[Path]:
        """The images, what goes with them, and the lists."""
        for kit, image in zip(self._kit_of, self._paths(), strict=True):
            yield image
            yield from kit.others(image)
        for kit in self._kits:
            yield from sorted((kit.folder / SETS).rglob("*.txt"))

    def check_movable(self) -> None:
        """Every list would have to say it: those of the classes have marks of their own."""
        why = f"the lists in {SETS} say the splits, for each class anew"
        raise not_movable(self.name, why)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept images with what goes with them at the same places, and the lists with their
        names.
        """
        there = keep.copy()
        splits = self.rows["split"].to_pylist()
        kept: dict[Path, dict[str, set[str]]] = {kit.folder: {} for kit in self._kits}

        for row, (kit, image) in enumerate(zip(self._kit_of, self._paths(), strict=True)):
            there[row] = keep[row] and put_once(image, folder / image.relative_to(self.root), files)
            if there[row]:
                kept[kit.folder].setdefault(splits[row], set()).add(image.stem)
                for other in kit.others(image):
                    target = folder / other.relative_to(self.root)
                    self._sidecars.carry(os.fsencode(other), target, files)

        for kit in self._kits:
            for path in sorted((kit.folder / SETS).rglob("*.txt")):
                _write_list(path, folder / path.relative_to(self.root), kept[kit.folder])

        return there

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings."""
        return self._config.model_copy(update={"source": self.form, "path": str(folder)})

    def _paths(self) -> list[Path]:
        return [Path(os.fsdecode(file)) for file in self._files]


def evidence(listing: Listing) -> Evidence | None:
    """Images that the lists of `ImageSets` name."""
    kits = list(_kits(listing))
    if not kits:
        return None

    names = {Path(parts[-1]).stem for parts in listing.images}
    n = sum(len(names & {name for _, name in kit.splits()}) for kit in kits)

    return Evidence(n, f"{n:,} images that the lists in {SETS} name") if n else None


def _kits(listing: Listing) -> Iterator[_Kit]:
    """Every folder with lists below `ImageSets`."""
    lists = [parts for parts in listing.of_suffix(".txt") if SETS in parts[:-1]]
    for folder in sorted({parts[: parts.index(SETS)] for parts in lists}):
        inside = [parts for parts in lists if parts[: len(folder) + 1] == (*folder, SETS)]
        kit = _Kit(listing.root.joinpath(*folder))
        for parts in _of_main(inside, len(folder) + 1):
            kit.lists[Path(parts[-1]).stem] = _names_in(listing.path(parts))
        _add_files(kit, listing, folder)
        yield kit


def _of_main(lists: Sequence[Parts], depth: int) -> list[Parts]:
    """The lists of the folder that says the splits of all images."""
    for name in _MAIN:
        if found := [parts for parts in lists if parts[depth] == name]:
            return found
    return list(lists)


def _add_files(kit: _Kit, listing: Listing, folder: Parts) -> None:
    for parts in (*listing.images, *listing.others):
        if (
            parts[: len(folder)] == folder
            and SETS not in parts[:-1]
            and len(parts) > len(folder) + 1
        ):
            is_image = Path(parts[-1]).suffix.lower() in FILE_SUFFIXES
            stems = [stem_of(parts[-1])] if is_image else stems_of(parts[-1])
            for stem in stems:
                kit.files.setdefault(stem, []).append(listing.path(parts))


def _names_in(path: Path) -> list[str]:
    """The image of each line; lists of classes have a mark behind it."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    names = [_name_of(line) for line in text.splitlines()]

    return [name for name in names if name is not None]


def _name_of(line: str) -> str | None:
    """The name of the image that a line names: some lists have its suffix, or a path to it.

    >>> [_name_of(line) for line in ("7_1 -1", "7_1.jpg", "/JPEGImages/7_1.jpg", "", "..", "a/b")]
    ['7_1', '7_1', '7_1', None, None, None]
    """
    words = line.replace("\\", "/").split()
    if not words:
        return None

    *folders, name = words[0].split("/")
    if name in {"", ".", ".."} or ".." in folders or (folders and folders[-1] != _IMAGES):
        return None

    stem, suffix = os.path.splitext(name)

    return stem if suffix.lower() in FILE_SUFFIXES else name


def _told(list_name: str) -> Told | None:
    told = told_by(list_name)
    return told if told is not None and told.is_bare and list_name != _BOTH else None


def _label(kit: _Kit, image: Path) -> str | None:
    names: set[str] = set()
    for path in kit.others(image):
        if path.suffix.lower() == ".xml" and path.is_file() and path.stat().st_size <= _LONGEST_XML:
            names |= {*_OBJECT.findall(path.read_text(encoding="utf-8", errors="backslashreplace"))}

    return as_text(", ".join(sorted(filter(None, names))))


def _write_list(original: Path, target: Path, kept: Mapping[str, set[str]]) -> None:
    """The lines of a list whose images are kept in the splits that the list is of."""
    told = told_by(original.stem)
    own = (
        {"train", "validation"}
        if original.stem.endswith(_BOTH)
        else {told.split}
        if told
        else set(kept)
    )
    names = set().union(*(kept.get(split, set()) for split in own))
    lines = original.read_bytes().decode("utf-8", "surrogateescape").splitlines(keepends=True)
    there = [line for line in lines if _name_of(line) in names]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_new(target, "".join(there).encode("utf-8", "surrogateescape"))
