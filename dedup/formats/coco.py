"""COCO: JSON files that list images, annotations and categories, beside folders of images."""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, SourceError
from dedup.formats.carrying import Carried, Ids
from dedup.formats.coco_files import (
    FOLDER,
    Annotations,
    SaidImage,
    annotation_files,
    annotations_of,
    n_listed,
    said_split,
)
from dedup.formats.detection import Evidence
from dedup.formats.files import Files, beside, distinct_ids, not_movable, refuse_missing
from dedup.formats.listing import Listing
from dedup.formats.placing import new_file, put_once
from dedup.formats.source import NO_MOVES, ROWS, Moves, check_split_names, encoded, printable_names
from dedup.formats.texts import as_text
from dedup.paths import make_folder

logger = logging.getLogger(__name__)

_ELSEWHERE: Final = "images"  # where pictures are put that lie outside the dataset's folder


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
        self._annotations: list[Annotations] = []
        root = (
            path
            if path.is_dir()
            else path.parent.parent
            if path.parent.name == FOLDER
            else path.parent
        )
        samples: dict[tuple[str | None, Path], SaidImage] = {}
        for file in annotation_files(path) if path.is_dir() else [path]:
            self._annotations.append(annotations_of(file, root, config, samples))

        raw = filter(
            None, (said_split(annotations.path, root) for annotations in self._annotations)
        )
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
        moved = self._moved(moves)
        there = self._put_images(keep, folder, files, moves, moved)
        carried = self._carried(moved, there)

        for annotations in self._annotations:
            kept = {
                i for i, row in annotations.row_of_image.items() if there[row] and row not in moved
            }
            content = _with_images(annotations.content(), kept)
            for more in carried.get(annotations.path, ()):
                more.put_into(content)
            target = folder / annotations.path.relative_to(self.root)
            make_folder(target.parent)
            with new_file(target, encoding="utf-8") as out:
                json.dump(content, out)

        return there

    def _put_images(
        self,
        keep: NDArray[np.bool_],
        folder: Path,
        files: str,
        moves: Moves,
        moved: Mapping[int, "_Moved"],
    ) -> NDArray[np.bool_]:
        """Put the kept images in place; which of all images are there."""
        there = keep.copy()
        staying = [
            (row, Path(os.fsdecode(self._files[row])), annotations.base)
            for annotations in self._annotations
            for row in sorted({*annotations.row_of_image.values()} - moves.keys())
        ]
        going = [(row, one.place, one.base) for row, one in moved.items()]

        for row, place, base in [*staying, *going]:
            original = Path(os.fsdecode(self._files[row]))
            target = self._target(place, base, folder)
            there[row] = keep[row] and put_once(original, target, files)
            if there[row]:
                self._sidecars.put(original, target, files)

        return there

    def _carried(
        self, moved: Mapping[int, "_Moved"], there: NDArray[np.bool_]
    ) -> dict[Path, list[Carried]]:
        """What annotation files say of images that leave them, by the file that it goes to."""
        carried: dict[Path, list[Carried]] = {}
        for annotations in self._annotations:
            leaving = {
                i: moved[row]
                for i, row in annotations.row_of_image.items()
                if row in moved and there[row]
            }
            if not leaving:
                continue
            content, kind = annotations.content(), annotations.kind
            for path in sorted({one.file_of[kind] for one in leaving.values()}):
                images = {
                    i: one.image(i) for i, one in leaving.items() if one.file_of[kind] == path
                }
                carried.setdefault(path, []).append(Carried.of(content, images))

        return carried

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


def _with_images(content: dict[str, Any], kept: Set[Any]) -> dict[str, Any]:
    """The content of an annotation file with some of its images only, and their annotations."""
    content["images"] = [image for image in content["images"] if image["id"] in kept]
    if "annotations" in content:
        content["annotations"] = [
            one for one in content["annotations"] if one.get("image_id") in kept
        ]

    return content


def evidence(listing: Listing) -> Evidence | None:
    """Images that annotation files list, told without parsing them, as they may be large."""
    files = annotation_files(listing.root, listing)
    counts = [n for file in files if (n := n_listed(file)) is not None]
    if not counts:
        return None

    n = min(sum(counts), len(listing.images)) or len(listing.images) or 1

    return Evidence(
        n,
        f"{n:,} images that {len(counts):,} JSON file{'s' if len(counts) > 1 else ''} of COCO list",
    )
