"""What belongs to an image and goes with it: files with its stem beside it, or in a parallel
folder.

A parallel folder of images (masks, depth) is one only by its name, or because `dataset.companions`
names it: equal stems alone say nothing, as the folders of classes, of splits and of stereo cameras
share theirs.
"""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.formats.metadata import NAMES
from dedup.formats.outside import is_image_file, leading_out
from dedup.formats.placing import place
from dedup.formats.source import encoded, printable

logger = logging.getLogger(__name__)

Parts = tuple[str, ...]

ANNOTATION_WORDS: Final = frozenset({
    "mask", "masks", "label", "labels", "depth", "depths", "seg", "segs", "segmentation",
    "segmentations", "segmask", "segmentationclass", "segmentationobject", "annotation",
    "annotations", "anno", "annos", "gt", "gts", "groundtruth", "truth", "matte", "mattes", "alpha",
    "alphas", "trimap", "trimaps", "normals", "flow", "disparity", "heatmap", "heatmaps",
    "saliency", "edges",
})  # fmt: skip
"""Words in the names of folders that hold what is said of images."""

IMAGE_WORDS: Final = frozenset({
    "image", "images", "img", "imgs", "rgb", "jpegimages", "photo", "photos", "picture", "pictures",
    "frame", "frames", "color", "colour", "original", "originals", "input", "inputs", "jpg", "jpeg",
    "jpgs", "png", "pngs", "raw",
})  # fmt: skip
"""Words in the names of the folders that these go with."""

# share of the images of such a folder that have a partner: a few may be missing
_MIN_PARTNERS: Final = 0.9

_NO_SIDECARS: Final = (".tar", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
"""Archives are never of one image, even if they are called like one."""


def stem_of(name: str) -> str:
    """A file name without its last suffix."""
    return os.path.splitext(name)[0]


def stems_of(name: str) -> Iterator[str]:
    """All that an image beside this file may be called, without its suffix: of `a.b.txt` `a.b` and
    `a`.
    """
    while "." in name[1:]:
        name = name[: name.rindex(".")]
        yield name


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
        self._of_folder: dict[str, dict[str, list[str]]] = {}

    def of(self, image: str) -> list[str]:
        """The names of the files beside an image that go with it."""
        folder, name = os.path.split(image)
        if folder not in self._of_folder:
            self._of_folder[folder] = _by_stem(folder)

        return self._of_folder[folder].get(stem_of(name), [])

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
            return

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
    """What goes with each image and lies in a folder that differs from its own in one name.

    `named`: names of folders whose images are companions, whatever they are called.
    """
    candidates = _trees(images, named)
    if not candidates and not others:
        return Parallel({})

    at: dict[_Key, list[Parts]] = defaultdict(list)
    for parts in images:
        for key in _keys(parts):
            at[key].append(parts)

    of_image: dict[Parts, list[Parts]] = defaultdict(list)
    taken, folders = _of_images(candidates, at, named, of_image)
    with_images = {parts[:-1] for parts in images if parts not in taken}
    for parts in others:
        if parts[:-1] in with_images:  # it belongs to an image there, or to none
            continue
        partners = {
            p
            for key in _keys(parts)
            for p in at.get(key, ())
            if p not in taken and p[key[0]] != parts[key[0]]
        }
        trees = {p[:-1] for p in partners}
        if is_sidecar(parts[-1]) and len(trees) == 1:
            for partner in partners:
                of_image[partner].append(parts)

    return Parallel(of_image, frozenset(taken), folders)


def _trees(
    images: Sequence[Parts], named: Sequence[str]
) -> dict[tuple[int, Parts, str], list[Parts]]:
    """The images below each folder that may hold companions of others, by its place and name."""
    trees: dict[tuple[int, Parts, str], list[Parts]] = defaultdict(list)
    for parts in images:
        for place_, name in enumerate(parts[:-1]):
            if name in named or ANNOTATION_WORDS & _words(name):
                trees[place_, parts[:place_], name].append(parts)

    return trees


def _of_images(
    trees: Mapping[tuple[int, Parts, str], Sequence[Parts]],
    at: Mapping[_Key, Sequence[Parts]],
    named: Sequence[str],
    of_image: dict[Parts, list[Parts]],
) -> tuple[set[Parts], list[str]]:
    """The images that are companions of others, noted in `of_image`, and the names of their
    folders.
    """
    taken: set[Parts] = set()
    folders = []
    for (place_, above, name), inside in sorted(trees.items()):
        partners = {parts: _partners(parts, place_, at, named, name) for parts in inside}
        n_with = sum(bool(found) for found in partners.values())
        names = {partner[place_] for found in partners.values() for partner in found}
        is_of_images = name in named or all(IMAGE_WORDS & _words(other) for other in names)
        if len(names) == 1 and is_of_images and n_with >= _MIN_PARTNERS * len(inside):
            taken |= set(inside)
            folders.append("/".join((*above, name)))
            for parts, found in partners.items():
                for partner in found:
                    of_image[partner].append(parts)

    return taken, folders


def _partners(
    parts: Parts, place_: int, at: Mapping[_Key, Sequence[Parts]], named: Sequence[str], name: str
) -> list[Parts]:
    """The images of the same name in parallel folders that are not of annotations."""
    return [
        partner
        for partner in at.get(_key(parts, place_), ())
        if (other := partner[place_]) != name
        and other not in named
        and not ANNOTATION_WORDS & _words(other)
    ]


def _keys(parts: Parts) -> Iterator[_Key]:
    return (_key(parts, place_) for place_ in range(len(parts) - 1))


def _key(parts: Parts, place_: int) -> _Key:
    """What is the same for files in parallel folders that differ at one place."""
    return place_, parts[:place_], parts[place_ + 1 : -1], stem_of(parts[-1])


@lru_cache(maxsize=4096)
def _words(name: str) -> frozenset[str]:
    """Of a folder's name, which all files in it ask for."""
    lower = name.lower()

    return frozenset({*re.split(r"[^a-z]+", lower), re.sub(r"[^a-z]", "", lower)})
