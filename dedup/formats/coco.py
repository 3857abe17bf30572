"""COCO: JSON files that list images, annotations and categories, beside folders of images."""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, SourceError, because
from dedup.formats.carrying import Carried, Ids, united
from dedup.formats.detection import Evidence, documents
from dedup.formats.ends import depth_of, end_in, is_elsewhere
from dedup.formats.files import Files, beside, distinct_ids, not_movable, refuse_missing
from dedup.formats.labels import BACKGROUND, joined
from dedup.formats.listing import Listing, listed
from dedup.formats.nested import MAX_DEPTH, parsed
from dedup.formats.places import as_spelled
from dedup.formats.placing import new_file, put_once
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    as_text,
    check_split_names,
    encoded,
    printable_names,
)
from dedup.paths import is_file, make_folder
from dedup.tables.drawn import Box, boxes_as_text

logger = logging.getLogger(__name__)

_FOLDER: Final = "annotations"
_ELSEWHERE: Final = "images"  # where pictures are put that lie outside the dataset's folder
_LIST_OF_IMAGES: Final = re.compile(rb'"images"\s*:\s*\[')
_LOOKED_AT: Final = 50  # images that tell in which folder those of a file lie


@dataclass(frozen=True, slots=True)
class _Annotations:
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


@dataclass(frozen=True, slots=True)
class _Moved:
    """Where an image goes."""

    place: Path  # where it would lie in the original dataset
    base: Path  # what file names are relative to there
    file_of: Mapping[str, Path]  # the annotation file, by kind
    numbers: Mapping[Any, Any]  # its new id, by the old

    def image(self, number: Any) -> dict[str, Any]:
        """What is said of it there in place of what is said now."""
        return {
            "id": self.numbers[number],
            "file_name": self.place.relative_to(self.base).as_posix(),
        }


class Coco(Files):
    """The images that annotation files list, one file or more for each split. Ids are paths below
    the root.

    The label is what can be seen: the names of the categories of an image's annotations, sorted and
    joined.
    """

    form: str = "coco"

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        self.name = str(path)
        self._path = path
        self._config = config
        self._annotations: list[_Annotations] = []
        root = (
            path
            if path.is_dir()
            else path.parent.parent
            if path.parent.name == _FOLDER
            else path.parent
        )
        samples: dict[tuple[str | None, Path], _Image] = {}
        for file in annotation_files(path) if path.is_dir() else [path]:
            self._annotations.append(_read(file, root, config, samples))

        raw = filter(None, (_split_of(annotations.path, root) for annotations in self._annotations))
        check_split_names({name: normal_split(name) for name in raw}, self.name)
        if not samples:
            message = f"{path}: its annotation files list no images."
            raise SourceError(message)

        self._images = list(samples.values())
        uris = printable_names([self._uri(file, root) for _, file in samples])
        named = {file: uri for (_, file), uri in zip(samples, uris, strict=True)}
        refuse_missing(named, self.name, "Say where they lie as dataset.image_folder.")
        splits = [split for split, _ in samples]
        ids: Sequence[str | None] = distinct_ids(uris, splits)

        if config.id_column:
            ids = self.texts(config.id_column)
            if None in ids:
                message = (
                    f"{path}: the image {uris[ids.index(None)]!r} has no {config.id_column!r}"
                    " (dataset.id_column)."
                )
                raise SourceError(message)

        labels = [image.label() for image in self._images]
        self.boxes = [image.drawn() for image in self._images]
        if config.label_column:
            labels = self.texts(config.label_column)

        files = [encoded(str(file)) for _, file in samples]
        rows = pa.table([ids, splits, labels, uris], ROWS)
        super().__init__(root, files, rows, allow_outside=config.allow_outside)

    def own_files(self) -> Iterator[Path]:
        """The images and the annotation files."""
        yield from (Path(os.fsdecode(file)) for file in self._files)
        yield from (annotations.path for annotations in self._annotations)

    def check_movable(self) -> None:
        """Each file must have one counterpart in every other split that can take what it says of an
        image.
        """
        files = {(of.split, of.kind): of for of in self._annotations}
        splits = {of.split for of in self._annotations}
        why = ""

        if len(files) < len(self._annotations) or len(files) < len(splits) * len(
            {kind for _, kind in files}
        ):
            why = (
                f"{', '.join(of.path.name for of in self._annotations)} do not stand in the same"
                " places in all splits"
            )
        elif len({(of.split, of.base) for of in self._annotations}) > len(splits):
            why = "the images of a split lie in several folders"
        elif panoptic := [of.path.name for of in self._annotations if of.panoptic]:
            why = f"{panoptic[0]} has panoptic annotations, whose masks are files of their own"

        if why:
            raise not_movable(self.name, why)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept images and, in files of the same names, what the annotation files say of them.

        Image ids, categories, licences, info and whatever else is in the files stay as they are.
        Moved images are said of in the files of their new split, under other ids where theirs are
        taken.
        """
        there = keep.copy()
        for annotations in self._annotations:
            for row in sorted({*annotations.row_of_image.values()} - moves.keys()):
                original = Path(os.fsdecode(self._files[row]))
                target = self._target(original, annotations.base, folder)
                there[row] = keep[row] and put_once(original, target, files)
                if there[row]:
                    self._sidecars.put(original, target, files)

        moved = self._moved(moves)
        for row, one in moved.items():
            original = Path(os.fsdecode(self._files[row]))
            target = self._target(one.place, one.base, folder)
            there[row] = keep[row] and put_once(original, target, files)
            if there[row]:
                self._sidecars.put(original, target, files)

        carried: dict[Path, list[Carried]] = {}
        for annotations in self._annotations:
            leaving = {
                i: moved[row]
                for i, row in annotations.row_of_image.items()
                if row in moved and there[row]
            }
            if leaving:
                content = annotations.content()
                for path in sorted({one.file_of[annotations.kind] for one in leaving.values()}):
                    images = {
                        i: one.image(i)
                        for i, one in leaving.items()
                        if one.file_of[annotations.kind] == path
                    }
                    carried.setdefault(path, []).append(Carried.of(content, images))

        for annotations in self._annotations:
            kept = {
                i for i, row in annotations.row_of_image.items() if there[row] and row not in moved
            }
            content = annotations.content()
            content["images"] = [image for image in content["images"] if image["id"] in kept]
            if "annotations" in content:
                content["annotations"] = [
                    one for one in content["annotations"] if one.get("image_id") in kept
                ]
            for more in carried.get(annotations.path, ()):
                more.put_into(content)
            target = folder / annotations.path.relative_to(self.root)
            make_folder(target.parent)
            with new_file(target, encoding="utf-8") as out:
                json.dump(content, out)

        return there

    def _moved(self, moves: Moves) -> dict[int, "_Moved"]:
        """Where moved rows go: to the same name in the images of their new split, or to another
        where it is taken.
        """
        first = {row: of for of in reversed(self._annotations) for row in of.row_of_image.values()}
        originals = {row: Path(os.fsdecode(self._files[row])) for row in first}
        lies_at = {originals[row]: originals[row] for row in first if row not in moves}
        listed = {(first[row].split, originals[row]) for row in first if row not in moves}
        ids = {
            split: Ids(
                image for of in self._annotations if of.split == split for image in of.row_of_image
            )
            for split in set(moves.values())
        }
        numbers_of: dict[int, dict[Any, None]] = {row: {} for row in moves}

        for of in self._annotations:
            for image, row in of.row_of_image.items():
                if row in moves:
                    numbers_of[row][image] = None

        found: dict[int, _Moved] = {}
        for row, split in sorted(moves.items()):
            source, original = first[row], originals[row]
            targets = {of.kind: of for of in self._annotations if of.split == split}
            base = targets[source.kind].base
            place = base / original.relative_to(source.base)
            while lies_at.get(place, original) != original or (split, place) in listed:
                place = beside(place, str(source.split))
            lies_at[place] = original
            listed.add((split, place))
            numbers = {image: ids[split].take(image) for image in numbers_of[row]}
            found[row] = _Moved(
                place, base, {kind: of.path for kind, of in targets.items()}, numbers
            )

        return found

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings; the images are in the folder, wherever they were."""
        outside = any(not a.base.is_relative_to(self.root) for a in self._annotations)
        path = folder if self._path.is_dir() else folder / self._path.relative_to(self.root)
        images = str(folder / _ELSEWHERE) if outside else None

        return self._config.model_copy(
            update={"source": self.form, "path": str(path), "image_folder": images}
        )

    def _target(self, original: Path, base: Path, folder: Path) -> Path:
        if original.is_relative_to(self.root):
            return folder / original.relative_to(self.root)
        return folder / _ELSEWHERE / original.relative_to(base)

    def _uri(self, file: Path, root: Path) -> str:
        if file.is_relative_to(root):
            return file.relative_to(root).as_posix()
        base = next(a.base for a in self._annotations if file.is_relative_to(a.base))
        return file.relative_to(base).as_posix()

    def texts(self, column: str) -> list[str | None]:
        """A key of the images as texts; a key that no image has is an error."""
        if not any(column in image.said for image in self._images):
            known = ", ".join(map(repr, self._images[0].said))
            message = f"{self.name}: no image has the key {column!r}. The first has {known}."
            raise ConfigError(message)
        return [as_text(image.said.get(column)) for image in self._images]


@dataclass(slots=True)
class _Image:
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
    usual = sorted((folder / _FOLDER).glob("*.json")) or sorted(
        path for pattern in ("", "*/") for path in folder.glob(f"{pattern}*.coco.json")
    )
    usual = [path for path in usual if not path.name.startswith(".")]
    if usual:
        listing_images = [path for path in usual if _n_listed(path) is not None]
        return listing_images or usual

    listing = listing or listed(folder)

    return [
        listing.path(parts)
        for parts in documents(listing, ".json")
        if _n_listed(listing.path(parts))
    ]


def evidence(listing: Listing) -> Evidence | None:
    """Images that annotation files list, told without parsing them, as they may be large."""
    files = annotation_files(listing.root, listing)
    counts = [n for file in files if (n := _n_listed(file)) is not None]
    if not counts:
        return None

    n = min(sum(counts), len(listing.images)) or len(listing.images) or 1

    return Evidence(
        n,
        f"{n:,} images that {len(counts):,} JSON file{'s' if len(counts) > 1 else ''} of COCO list",
    )


def _n_listed(path: Path) -> int | None:
    """About how many images a JSON file lists; None for one that has no list of them."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content.count(b'"file_name"') if _LIST_OF_IMAGES.search(content) else None


def _read(
    file: Path, root: Path, config: DatasetConfig, samples: dict[tuple[str | None, Path], _Image]
) -> _Annotations:
    """Add the images of one file to `samples`. A split may have several files, which may name the
    same images.
    """
    content = _content(file)
    split = normal_split(_split_of(file, root) or config.default_split)
    base = _base(
        file, root, config.image_folder, [image["file_name"] for image in content["images"]]
    )
    image_of: dict[Any, _Image] = {}
    depth = depth_of(base, (image["file_name"] for image in content["images"][:_LOOKED_AT]))
    for said in content["images"]:
        name = said["file_name"]
        if depth and is_elsewhere(name):  # one that is gone is missing, and no reason to stop
            name = end_in(base, name, depth)
        key = split, _inside(base, name, file)
        image_of[said["id"]] = samples.setdefault(key, _Image(len(samples), set(), {}))
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

    return _Annotations(file, base, rows, aliases, split, _kind(file, root), panoptic)


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


def _split_of(path: Path, root: Path) -> str | None:
    """The split that a file's name tells of, else that of its folder.

    >>> names = ("annotations/instances_val2017.json", "valid/_annotations.coco.json")
    >>> [_split_of(Path(name), Path()) for name in names]
    ['val', 'valid']
    >>> _split_of(Path("annotations/all.json"), Path())
    """
    folders = reversed(path.relative_to(root).parts[:-1])
    for name in (path.stem, *folders):
        for word in re.split(r"[-_.\s]", name):
            if normal_split(bare := word.rstrip("0123456789")) in {"train", "validation", "test"}:
                return bare

    return None


def _kind(path: Path, root: Path) -> str:
    """What a file's path says besides its split, so that it is the same for the file of another
    split.

    >>> names = ("val2017", "train2017")
    >>> {_kind(Path(f"annotations/captions_{name}.json"), Path()) for name in names}
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
    split = _split_of(file, root)
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


def _inside(base: Path, name: str, file: Path) -> Path:
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
