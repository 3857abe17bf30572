"""What belongs to an image and goes with it: files with its stem beside it, or in a parallel
folder.

A parallel folder of images (masks, depth) is one only by its name, or because `dataset.companions`
names it: equal stems alone say nothing, as the folders of classes, of splits and of stereo cameras
share theirs.
"""

import filecmp
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.formats.metadata import NAMES
from dedup.formats.outside import is_image_file, leading_out
from dedup.formats.placing import place
from dedup.formats.source import encoded, printable
from dedup.formats.split_words import told_by
from dedup.formats.stems import (
    annotated_by,
    core_of,
    is_of_annotations,
    is_of_images,
    split_in,
    stem_of,
    stems_of,
)

logger = logging.getLogger(__name__)

Parts = tuple[str, ...]

# share of the images of such a folder that have a partner: a few may be missing
_MIN_PARTNERS: Final = 0.9

_NO_SIDECARS: Final = (".tar", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
"""Archives are never of one image, even if they are called like one."""


def is_sidecar(name: str) -> bool:
    """Whether a file may be one that goes with an image."""
    lower = name.lower()
    is_image = os.path.splitext(lower)[1] in FILE_SUFFIXES

    return not (is_image or name.startswith(".") or name in NAMES or lower.endswith(_NO_SIDECARS))


class Sidecars:
    """Files beside images that have their stems, found folder by folder.

    What is not an image by its first bytes is carried into an output only from inside `root`, links
    resolved: nothing else tells a caption from a key.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._has_warned = False
        self._placed: dict[Path, bytes] = {}  # what was put where
        self._of_folder: dict[str, dict[str, list[str]]] = {}

    def of(self, image: str) -> list[str]:
        """The names of the files beside an image that go with it."""
        folder, name = os.path.split(image)
        if folder not in self._of_folder:
            self._of_folder[folder] = _by_stem(folder)

        return self._of_folder[folder].get(stem_of(name), [])

    def _tell_taken(self, original: bytes, target: Path) -> None:
        """Say so where another file has the name that this one would get."""
        first = self._placed.get(target)
        is_same = first == original if first is not None else _are_equal(original, target)
        if not is_same:
            logger.warning(
                "%r goes with an image and is not written: %r, where it belongs, is there already.",
                printable(os.fsdecode(original)),
                printable(str(target)),
            )

    def put(self, original: bytes | Path, target: Path, files: str) -> None:
        """Put what goes with an image beside the place where it is put, under its new stem."""
        image = os.fsdecode(original)
        for name in self.of(image):
            beside = target.with_name(
                stem_of(target.name) + name[len(stem_of(os.path.basename(image))) :]
            )
            self.carry(encoded(os.path.join(os.path.dirname(image), name)), beside, files)

    def carry(self, original: bytes, target: Path, files: str) -> None:
        """Put a file that goes with an image at `target`, unless something is there or it may not
        be carried.
        """
        if os.path.lexists(target):
            self._tell_taken(original, target)
            return

        self._placed[target] = original
        is_own = self._root is not None and not leading_out(self._root, [original])[0]
        if is_own or is_image_file(original):
            place(original, target, files)
        elif not self._has_warned and os.path.exists(original):  # the name is bytes
            self._has_warned = True
            logger.warning(
                "%r goes with an image, is not one itself and lies outside the dataset. It is not"
                " written, nor are others like it.",
                printable(os.fsdecode(original)),
            )


def _are_equal(one: bytes, other: Path) -> bool:
    try:
        return filecmp.cmp(one, os.fsencode(other), shallow=False)
    except OSError:
        return False


def _by_stem(folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    try:
        with os.scandir(folder or ".") as entries:
            names = sorted(
                entry.name for entry in entries if is_sidecar(entry.name) and entry.is_file()
            )
    except OSError:
        return {}

    for name in names:
        for stem in stems_of(name):
            found[stem].append(name)

    return dict(found)


def beside(images: Iterable[Parts], others: Iterable[Parts]) -> set[Parts]:
    """Those of the other files that lie beside an image and have its stem."""
    stems = {(parts[:-1], stem_of(parts[-1])) for parts in images}

    return {
        parts
        for parts in others
        if is_sidecar(parts[-1])
        and any((parts[:-1], stem) in stems for stem in stems_of(parts[-1]))
    }


@dataclass(frozen=True, slots=True)
class Parallel:
    """Files in parallel folders."""

    of_image: Mapping[Parts, Sequence[Parts]] = field(default_factory=dict)
    # all images that lie in such folders: they are not samples
    images: frozenset[Parts] = frozenset()
    folders: Sequence[str] = ()  # for people


_Key = tuple[int, Parts, Parts, str]


def parallel(images: Sequence[Parts], others: Sequence[Parts], named: Sequence[str]) -> Parallel:
    """What goes with each image and lies in a folder that differs from its own in one name, or
    beside it under its stem and a word such as `mask`.

    `named`: names of folders whose images are companions, whatever they are called.
    """
    found = _Found(named)
    found.look_beside(images)
    left = [parts for parts in images if parts not in found.taken]
    at = _Places(left, named)
    found.look_around(left, at)

    with_images = {parts[:-1] for parts in left if parts not in found.taken}
    for parts in others:
        if parts[:-1] in with_images:  # it belongs to an image there, or to none
            continue
        partners = {p for p in at.around(parts) if p not in found.taken}
        trees = {p[:-1] for p in partners}
        if is_sidecar(parts[-1]) and len(trees) == 1:
            for partner in partners:
                found.of_image[partner].append(parts)

    return Parallel(found.of_image, frozenset(found.taken), found.folders)


class _Places:
    """Images by the places where what goes with them may lie."""

    def __init__(self, images: Sequence[Parts], named: Sequence[str]) -> None:
        self._images, self._named = images, {*named}

    @cached_property  # most datasets have images only, of which nobody asks
    def _at(self) -> dict[_Key, list[Parts]]:
        found: dict[_Key, list[Parts]] = defaultdict(list)
        for parts in self._images:
            for key in _keys(parts, stem_of(parts[-1])):
                found[key].append(parts)

        return found

    @cached_property
    def _at_core(self) -> dict[_Key, list[Parts]]:
        found: dict[_Key, list[Parts]] = defaultdict(list)
        # Only names of annotations have words behind the stem of their image.
        folders = {name for parts in self._images for name in parts[:-1]}
        if any(self.is_of_annotations(name) for name in folders):
            for parts in self._images:
                for key in _keys(parts, core_of(stem_of(parts[-1]), parts[:-1])):
                    found[key].append(parts)

        return found

    def is_of_annotations(self, folder: str) -> bool:
        """Whether the images of a folder may go with others."""
        return folder in self._named or is_of_annotations(folder)

    def partners(self, parts: Parts, place_: int) -> list[Parts]:
        """The images of the same name in folders that differ at one place and are not of
        annotations; of those that name a split, if any, those of its own.
        """
        stem = stem_of(parts[-1])
        found = self._others(self._at, parts, place_, stem)
        if not found and is_of_annotations(parts[place_]):
            found = self._others(self._at_core, parts, place_, core_of(stem, parts[:-1]))

        split = split_in(parts[place_])
        of_split = [partner for partner in found if split and split_in(partner[place_]) == split]

        return of_split or found

    def around(self, parts: Parts) -> Iterator[Parts]:
        """The images that a file of another kind may go with."""
        for place_ in range(len(parts) - 1):
            exact = self._at.get(_key(parts, place_, stem_of(parts[-1])), ())
            if same := [partner for partner in exact if partner[place_] != parts[place_]]:
                yield from same
            elif is_of_annotations(parts[place_]):
                yield from self.partners(parts, place_)

    def _others(
        self, at: Mapping[_Key, Sequence[Parts]], parts: Parts, place_: int, stem: str
    ) -> list[Parts]:
        return [
            partner
            for partner in at.get(_key(parts, place_, stem), ())
            if partner[place_] != parts[place_] and not self.is_of_annotations(partner[place_])
        ]


class _Found:
    """Images that turned out to be companions of others."""

    def __init__(self, named: Sequence[str]) -> None:
        self.of_image: dict[Parts, list[Parts]] = defaultdict(list)
        self.taken: set[Parts] = set()
        self.folders: list[str] = []  # for people
        self._named = named

    def look_beside(self, images: Sequence[Parts]) -> None:
        """Masks in the folder of their images: `1_mask.png` beside `1.png`, and so for nearly all
        of that word.
        """
        by_word: dict[str, list[tuple[Parts, Parts]]] = defaultdict(list)
        for parts in images:
            if said := annotated_by(stem_of(parts[-1])):
                by_word[said[1]].append((parts, (*parts[:-1], said[0])))

        if not by_word:
            return

        at: dict[Parts, list[Parts]] = defaultdict(list)
        for parts in images:
            at[*parts[:-1], stem_of(parts[-1])].append(parts)

        for word, files in sorted(by_word.items()):
            pairs = {parts: at.get(partner, []) for parts, partner in files}
            if sum(map(bool, pairs.values())) >= _MIN_PARTNERS * len(pairs):
                self._take(f"*_{word}", pairs)

    def look_around(self, images: Sequence[Parts], at: _Places) -> None:
        """Folders of masks and the like, parallel to one of images."""
        trees: dict[tuple[int, Parts, str], list[Parts]] = defaultdict(list)
        for parts in images:
            for place_, name in enumerate(parts[:-1]):
                if at.is_of_annotations(name):
                    trees[place_, parts[:place_], name].append(parts)

        for (place_, above, name), inside in sorted(trees.items()):
            pairs = {parts: at.partners(parts, place_) for parts in inside}
            n_with = sum(map(bool, pairs.values()))
            if n_with >= _MIN_PARTNERS * len(inside) and self._are_of(name, place_, pairs):
                self._take("/".join((*above, name)), pairs)

    def _are_of(self, name: str, place_: int, pairs: Mapping[Parts, Sequence[Parts]]) -> bool:
        """Whether the folders of the partners are those that a folder of annotations goes with."""
        names = {partner[place_] for partners in pairs.values() for partner in partners}
        if len(names) == 1 and name in self._named:
            return True

        # Each may have its partner in a folder of its split, if that is never more than one.
        are_splits = all(split_in(other) for other in names)
        is_one = all(len({p[place_] for p in partners}) <= 1 for partners in pairs.values())

        return (len(names) == 1 and all(map(is_of_images, names))) or (are_splits and is_one)

    def _take(self, name: str, pairs: Mapping[Parts, Sequence[Parts]]) -> None:
        self.taken |= {*pairs}
        self.folders.append(name)
        for parts, partners in pairs.items():
            for partner in partners:
                self.of_image[partner].append(parts)


def _keys(parts: Parts, stem: str) -> Iterator[_Key]:
    return (_key(parts, place_, stem) for place_ in range(len(parts) - 1))


def _key(parts: Parts, place_: int, stem: str) -> _Key:
    """What is the same for files in parallel folders that differ at one place."""
    return place_, parts[:place_], parts[place_ + 1 : -1], stem


def place_beside(other: Parts, image: Parts, target: Parts) -> Parts:
    """Where what goes with an image lies after the image was moved to `target`.

    >>> place_beside(("train_masks", "1_mask.png"), ("train", "1.png"), ("test", "1_train.png"))
    ('test_masks', '1_train_mask.png')
    >>> place_beside(("gt", "train", "1.png"), ("rgb", "train", "1.png"), ("rgb", "val", "1.png"))
    ('gt', 'val', '1.png')
    """
    folders = [
        _renamed(own, old, new)
        for own, old, new in zip(other[:-1], image[:-1], target[:-1], strict=True)
    ]
    name, old, new = other[-1], stem_of(image[-1]), stem_of(target[-1])
    start = old if name.startswith(old) else core_of(old, image[:-1])
    is_renamed = old != new and name.startswith(start)

    return (*folders, new + name[len(start) :] if is_renamed else name)


def _renamed(own: str, old: str, new: str) -> str:
    """The folder of a companion, where that of its image changes from `old` to `new`."""
    if own == old or old == new:
        return new if own == old else own

    one, other = told_by(old), told_by(new)
    if one is None or other is None:
        return own

    return re.sub(re.escape(one.word), other.word, own, count=1, flags=re.IGNORECASE)
