"""COCO's annotation files: which ones a folder has, and what each says of its images."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError, because
from dedup.formats.carrying import united
from dedup.formats.detection import documents
from dedup.formats.ends import depth_of, end_in, is_elsewhere
from dedup.formats.labels import BACKGROUND, joined
from dedup.formats.listing import Listing, listed
from dedup.formats.nested import MAX_DEPTH, parsed
from dedup.formats.places import as_spelled
from dedup.paths import is_file
from dedup.tables.drawn import Box, boxes_as_text

logger = logging.getLogger(__name__)

FOLDER: Final = "annotations"
_LIST_OF_IMAGES: Final = re.compile(rb'"images"\s*:\s*\[')
_LOOKED_AT: Final = 50  # images that tell in which folder those of a file lie


@dataclass(frozen=True, slots=True)
class Annotations:
    """One JSON file."""

    path: Path
    base: Path  # what its file names are relative to
    row_of_image: Mapping[Any, int]  # the sample that each image id stands for, but for the aliases
    # image ids of a file that is listed before, and the id that it has there
    aliases: Mapping[Any, Any]
    split: str | None  # normalised
    kind: str  # what its path says besides the split
    panoptic: bool  # whether its annotations have masks in files of their own

    def content(self) -> dict[str, Any]:
        """What the file says, each image once."""
        return united(_content(self.path), self.aliases)


@dataclass(slots=True)
class SaidImage:
    """What the annotation files say of one image."""

    row: int
    categories: set[str]
    said: dict[str, Any]
    # None: an annotation without one that can be compared
    boxes: list[Box | None] = field(default_factory=list)
    is_annotated: bool = False  # a file that lists it has annotations, of this image or of others

    def label(self) -> str | None:
        """The names of what is seen."""
        return joined([*self.categories]) or (BACKGROUND if self.is_annotated else None)

    def drawn(self) -> str | None:
        """Its boxes; None where nobody has looked, or an annotation has no box."""
        boxes = [box for box in self.boxes if box is not None]
        return boxes_as_text(boxes) if self.is_annotated and len(boxes) == len(self.boxes) else None


def annotation_files(folder: Path, listing: Listing | None = None) -> list[Path]:
    """The annotation files of a folder: in `annotations/`, else `*.coco.json`, else any JSON that
    lists images.

    In `annotations/` other JSON files are passed over where one lists images.
    """
    usual = sorted((folder / FOLDER).glob("*.json")) or sorted(
        path for pattern in ("", "*/") for path in folder.glob(f"{pattern}*.coco.json")
    )
    usual = [path for path in usual if not path.name.startswith(".")]
    if usual:
        listing_images = [path for path in usual if n_listed(path) is not None]
        return listing_images or usual

    listing = listing or listed(folder)

    return [
        listing.path(parts)
        for parts in documents(listing, ".json")
        if n_listed(listing.path(parts))
    ]


def n_listed(path: Path) -> int | None:
    """About how many images a JSON file lists; None for one that has no list of them."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content.count(b'"file_name"') if _LIST_OF_IMAGES.search(content) else None


def annotations_of(
    file: Path, root: Path, config: DatasetConfig, samples: dict[tuple[str | None, Path], SaidImage]
) -> Annotations:
    """Add the images of one file to `samples`. A split may have several files, which may name the
    same images.
    """
    content = _content(file)
    split = normal_split(said_split(file, root) or config.default_split)
    base = _base(
        file, root, config.image_folder, [image["file_name"] for image in content["images"]]
    )
    image_of: dict[Any, SaidImage] = {}
    depth = depth_of(base, (image["file_name"] for image in content["images"][:_LOOKED_AT]))
    for said in content["images"]:
        name = said["file_name"]
        if depth and is_elsewhere(name):  # one that is gone is missing, and no reason to stop
            name = end_in(base, name, depth)
        key = split, place_inside(base, name, file)
        image_of[said["id"]] = samples.setdefault(key, SaidImage(len(samples), set(), {}))
        image_of[said["id"]].said.update(said)
    for name, image, box in _categories_of(content, file):
        if image in image_of:
            image_of[image].categories.add(name)
            image_of[image].boxes.append(_relative(name, box, image_of[image].said))
    if content.get("annotations"):  # else nobody has looked, as in a test set without its truth
        for image in image_of.values():
            image.is_annotated = True
    panoptic = any(
        isinstance(one, dict) and "segments_info" in one for one in content.get("annotations", ())
    )
    rows, aliases = _without_aliases({number: image.row for number, image in image_of.items()})
    if aliases:
        second = next(iter(aliases))
        logger.warning(
            "%s: %s images are listed again under another id, the first is %r (ids %r and %r). Each"
            " counts once, and is written once, under its first id, with the annotations of all.",
            file,
            f"{len(aliases):,}",
            image_of[second].said["file_name"],
            aliases[second],
            second,
        )

    return Annotations(file, base, rows, aliases, split, kind_of_file(file, root), panoptic)


def _without_aliases(row_of_image: Mapping[Any, int]) -> tuple[dict[Any, int], dict[Any, Any]]:
    """The first id of each row, and for the others the first one."""
    first: dict[int, Any] = {}
    for number, row in row_of_image.items():
        first.setdefault(row, number)

    return (
        {number: row for row, number in first.items()},
        {number: first[row] for number, row in row_of_image.items() if first[row] != number},
    )


def _content(path: Path) -> dict[str, Any]:
    """The checked content of an annotation file."""
    try:
        content, is_deep = parsed(path.read_bytes())
    except (ValueError, OSError) as error:
        message = f"{path}: cannot be read as JSON: {because(error)}."
        raise SourceError(message) from error

    if is_deep:
        logger.warning(
            "%s: some values are nested deeper than %s levels. They are null.", path, MAX_DEPTH
        )

    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not isinstance(content.get("annotations", []), list):
        message = (
            f"{path}: no COCO annotations: it has no list 'images'. Move other JSON files"
            " elsewhere."
        )
        raise SourceError(message)

    seen: set[Any] = set()
    for place, image in enumerate(images):
        name, number = (
            (image.get("file_name"), image.get("id")) if isinstance(image, dict) else (None, None)
        )
        if not isinstance(name, str) or not name or not isinstance(number, int | str):
            message = (
                f"{path}, images[{place}]: an image needs 'id' and 'file_name', got {image!r}."
            )
            raise SourceError(message)
        if number in seen:
            message = (
                f"{path}, images[{place}]: the image id {number!r} is there twice. Give every image"
                " its own."
            )
            raise SourceError(message)
        seen.add(number)

    return content  # type: ignore[no-any-return]  # json says Any


def _relative(name: str, box: Any, image: Mapping[str, Any]) -> Box | None:
    """A box in pixels as parts of the image's sides; None where either is missing or makes no
    sense.
    """
    try:
        left, top, width, height = map(float, box)
        across, down = float(image["width"]), float(image["height"])
        return name, left / across, top / down, (left + width) / across, (top + height) / down
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None


def _categories_of(content: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any, Any]]:
    """Category names, the ids of the images they are seen in, and the boxes."""
    names = {
        c.get("id"): str(c.get("name"))
        for c in content.get("categories", ())
        if isinstance(c, dict)
    }
    listed = {image["id"] for image in content["images"]}
    strangers = []

    for place, one in enumerate(content.get("annotations", ())):
        image = one.get("image_id") if isinstance(one, dict) else None
        if not isinstance(image, int | str):
            message = f"{path}, annotations[{place}]: an annotation needs 'image_id', got {one!r}."
            raise SourceError(message)
        if image not in listed:
            strangers.append(image)
        if isinstance(category := one.get("category_id"), int | str):
            yield names.get(category, str(category)), image, one.get("bbox")

    if strangers:
        logger.warning(
            "%s: %s annotations are of images that it does not list, the first of image %r. They"
            " are not written.",
            path,
            f"{len(strangers):,}",
            strangers[0],
        )


def said_split(path: Path, root: Path) -> str | None:
    """The split that a file's name tells of, else that of its folder.

    >>> names = ("annotations/instances_val2017.json", "valid/_annotations.coco.json")
    >>> [said_split(Path(name), Path()) for name in names]
    ['val', 'valid']
    >>> said_split(Path("annotations/all.json"), Path())
    """
    folders = reversed(path.relative_to(root).parts[:-1])
    for name in (path.stem, *folders):
        for word in re.split(r"[-_.\s]", name):
            if normal_split(bare := word.rstrip("0123456789")) in {"train", "validation", "test"}:
                return bare

    return None


def kind_of_file(path: Path, root: Path) -> str:
    """What a file's path says besides its split, so that it is the same for the file of another
    split.

    >>> names = ("val2017", "train2017")
    >>> {kind_of_file(Path(f"annotations/captions_{name}.json"), Path()) for name in names}
    {'annotations captions json'}
    """
    words = re.split(r"[-_.\s/]", path.relative_to(root).as_posix())
    splits = {"train", "validation", "test"}

    return " ".join(
        w for w in words if w and normal_split(w.rstrip("0123456789") or w) not in splits
    )


def _base(file: Path, root: Path, named: str | None, names: Sequence[str]) -> Path:
    """The folder in which the images of an annotation file lie: that which has most of the first
    ones.
    """
    last = re.split(r"[-_.\s]", file.stem)[-1]  # train2017
    split = said_split(file, root)
    tops = [Path(named).expanduser()] if named else [file.parent, root, root / "images"]
    usual = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
    below = ["", last, *usual.get(normal_split(split) or "", ())]
    places = [
        folder for top in tops for name in below for folder in (top / name, top / name / "images")
    ]
    readings = [{name, name.replace("\\", "/")} for name in names[:_LOOKED_AT]]

    def is_there(folder: Path, name: str) -> bool:
        if is_elsewhere(name):
            return depth_of(folder, [name]) is not None
        return is_file(folder / as_spelled(str(folder), name))

    def n_there(folder: Path) -> int:
        return sum(any(is_there(folder, name) for name in of) for of in readings)

    return max(places, key=n_there)


def place_inside(base: Path, name: str, file: Path) -> Path:
    """Where the named image lies; a name that leads elsewhere is refused.

    A backslash is part of the name where there is such a file, else what Windows writes between
    folders.
    """
    inner = [os.path.normpath(written) for written in (name, name.replace("\\", "/"))]
    leads_out = any(os.path.isabs(path) or Path(path).parts[0] == ".." for path in inner)
    if leads_out or "://" in name:
        message = (
            f"{file}: file_name is {name!r}, which is not below the folder of the images, nor is an"
            " end of it. Name files inside it, or say where they lie as dataset.image_folder."
        )
        raise SourceError(message)

    chosen = inner[0] if inner[0] != inner[1] and is_file(base / inner[0]) else inner[1]

    return base / as_spelled(str(base), chosen)
