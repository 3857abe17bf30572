"""A folder of image files: `split/label/file`, `split/file`, `label/file` or just files, at any
depth.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.contents import PAYLOAD
from dedup.errors import SourceError
from dedup.formats import moving
from dedup.formats.account import Opened, labels_in_a_line
from dedup.formats.companions import Sidecars, parallel, place_beside
from dedup.formats.companions import beside as sidecars_beside
from dedup.formats.files import not_movable
from dedup.formats.further import NOTHING, Further, Row, as_json, united, written_names
from dedup.formats.layout import layout_of
from dedup.formats.layout_notes import as_settings, check_names, told_in_a_line
from dedup.formats.listing import OUTSIDE_SPLITS, Listing, archives, listed, not_read
from dedup.formats.metadata import NAMES, Parts, read_metadata
from dedup.formats.outside import Place
from dedup.formats.placing import new_file, place_kept, put
from dedup.formats.said_by_metadata import Said, said_of, with_named
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    Names,
    Sample,
    encoded,
    moved_rows,
    no_column,
    printable_names,
    safe,
)
from dedup.formats.split_lists import SplitLists, split_lists
from dedup.paths import make_folder

logger = logging.getLogger(__name__)

_SPLIT: Final = "split"  # the column of metadata that says it, unless the config names another one


_STATS: Final = "_stats.json"
"""What img2dataset writes beside each folder that holds a shard: the folder's name is a number, not
a label.
"""


class ImageFolder(Opened):
    """The image files below a folder and what metadata says of them. Ids are their paths below it,
    with `/`.
    """

    form: str = "imagefolder"

    def __init__(self, root: Path, config: DatasetConfig, listing: Listing | None = None) -> None:
        self.root = root
        self._before = os.path.join(root, "")  # of every path
        self.name = str(root)
        self._config = config
        listing = listing or listed(root)
        places = [parts for parts in listing.others if parts[-1] in NAMES]
        self._metadata = list(read_metadata(root, places, config.image_column))
        self._sidecars = Sidecars(root)
        self._parallel = parallel(listing.images, listing.others, config.companions)
        self._others = listing.others
        files = with_named(
            [parts for parts in listing.images if parts not in self._parallel.images],
            self._metadata,
            lambda parts: os.path.isfile(self._encoded(parts)),
        )
        self._shards = {
            parts[0].removesuffix(_STATS) for parts in listing.others if parts[-1].endswith(_STATS)
        }
        self._layout = layout_of(files, config.top_folders, config.split_folders)
        self.has_splits = bool(self._layout.splits)
        check_names(self._layout, self.name)
        self._lists = self._split_lists(listing, files)

        self._files, columns, outside = self._samples(files)
        self.not_read = not_read(listing, self._read(), dict.fromkeys(outside, OUTSIDE_SPLITS))
        if not self._files:
            raise self._no_images()

        uris = printable_names(["/".join(parts) for parts in self._files])
        ids = [name or uri for name, uri in zip(columns.ids, uris, strict=True)]
        self.rows = pa.table([ids, columns.splits, columns.labels, uris], schema=ROWS)
        paths = [self._encoded(parts) for parts in self._files]
        self.place = Place(root, paths, allowed=config.allow_outside)
        self.understood = told_in_a_line(self._layout, self._files, columns.labels)

        if self._lists.lists:
            self.understood = f"{self._lists.understood()}; {labels_in_a_line(columns.labels)}"

        if self._parallel.folders:
            self.understood += (
                f"; {', '.join(map(repr, self._parallel.folders))} go with the images of the same"
                " names"
            )

        doubts = [self._layout.doubt, self._lists.doubt]
        self.doubts = list(
            filter(None, [self._layout.folds, *([] if any(columns.splits) else doubts)])
        )

    def _split_lists(self, listing: Listing, files: Sequence[Parts]) -> SplitLists:
        """The lists that say the splits, where neither folders nor metadata do."""
        said = any(self._split_column in metadata.records.names for metadata in self._metadata)
        is_auto = self._config.top_folders == "auto" and not self._config.split_folders
        if self.has_splits or said or not is_auto:
            return SplitLists()

        return split_lists(listing, files)

    def _samples(self, files: Sequence[Parts]) -> tuple[list[Parts], "_Columns", list[Parts]]:
        """The files that are samples, what is known of each, and the images that are in no
        split.
        """
        said = said_of(self._metadata, self._config, self._split_column)
        default = normal_split(self._config.default_split)
        splits, labels = self._layout.splits, self._layout.labels()
        samples: list[Parts] = []
        outside: list[Parts] = []
        columns = _Columns()

        for parts in files:
            folder, label = labels[parts[:-1]]
            row = said.get(parts, Said())
            split = row.split or (default if folder is None else splits[folder])
            split = split or self._lists.split_of.get(parts)
            if (splits or self._lists.lists) and split is None:
                outside.append(parts)
                continue
            samples.append(parts)
            columns.ids.append(row.id)
            columns.splits.append(split)
            label = self._lists.label_of.get(parts, None if label in self._shards else label)
            columns.labels.append(row.label if row.labelled else label)

        return samples, columns, outside

    def _read(self) -> set[Parts]:
        """Everything below the root that is part of the dataset: samples, what goes with them, and
        metadata.
        """
        beside = {
            p
            for metadata in self._metadata
            for column in metadata.companions.values()
            for p in column
        }
        own = {*self._files, *beside, *(metadata.parts for metadata in self._metadata)}
        parallel = {p for image in self._files for p in self._parallel.of_image.get(image, ())}

        return own | parallel | sidecars_beside(self._files, self._others) | {*self._lists.lists}

    def _no_images(self) -> SourceError:
        found = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in self.skipped.items())
        why = f"skipped: {found}" if found else "it is empty"

        return SourceError(
            f"{self.root}: no image files in this folder or below it"
            f" ({why}).{archives(self.not_read)}"
        )

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        paths = [self.place.of(row, self._path(row)) for row in rows]
        yield pa.record_batch([list(rows), paths, [None] * len(paths)], schema=PAYLOAD)

    def own_files(self) -> Iterator[Path]:
        """Everything below the root that is part of the dataset."""
        return (self.root.joinpath(*parts) for parts in sorted(self._read()))

    def check_writable(self) -> None:
        """Every folder can be written."""

    def columns(self) -> Sequence[str]:
        """Those of the metadata."""
        return sorted({name for metadata in self._metadata for name in metadata.records.names})

    def texts(self, column: str) -> list[str | None]:
        """A column of the metadata; null for files that it does not name."""
        found: dict[Parts, str | None] = {}
        for metadata in self._metadata:
            if column in metadata.records.names:
                for parts, text in zip(metadata.files, metadata.records.texts(column), strict=True):
                    found.setdefault(parts, text)

        if not found:
            known = sorted({name for metadata in self._metadata for name in metadata.records.names})
            where = f"{self.name}, metadata"
            raise no_column(where, column, known)

        return [found.get(parts) for parts in self._files]

    def further(self) -> Further:
        """What metadata says beside file name, id, split and label."""
        config = self._config
        parts = {
            config.id_column,
            config.split_column or "split",
            *([config.label_column] if config.label_column else ["label", "class"]),
        }
        found = [
            m.records.further(
                [n for n in m.records.names if n not in parts and not n.endswith("file_name")]
            )
            for m in self._metadata
        ]
        if not found:
            return NOTHING

        def rows() -> Iterator[Row]:
            said: dict[Parts, Row] = {}
            for metadata, more in zip(self._metadata, found, strict=True):
                for parts, row in zip(metadata.files, more.rows(), strict=True):
                    said.setdefault(parts, row)

            return (said.get(parts, {}) for parts in self._files)

        return united(found, rows)

    def check_movable(self) -> None:
        """Files go to the folder of their new split, or metadata says the split; what it says must
        have a place.
        """
        why = moving.obstacle(self._files, self._metadata, self._split_column, self._layout)
        if self._lists.lists:
            why = "lists of images say the splits"
        if why is not None:
            raise not_movable(self.name, why)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept files at the same places below `folder`, and the rows of the metadata that name
        them.

        Files that are moved go to the folder of their new split, under another name where theirs is
        taken, and what metadata says of them goes with them. Where metadata says the splits, files
        stay where they are. What goes with an image is put beside it if it is of this dataset, or
        an image itself. Raises `SourceError` for a kept file that is gone.
        """
        targets = self._targets(moves) if self.has_splits else {}
        for row in np.flatnonzero(keep):
            parts, target = self._files[row], targets.get(int(row), self._files[row])
            place_kept(self._path(row), folder.joinpath(*target), files)
            self._sidecars.put(self._path(row), folder.joinpath(*target), files)
            self._put_parallel(parts, target, folder, files)

        present = {self._files[row] for row in np.flatnonzero(keep)}
        moved = {
            self._files[row]: moving.Move(targets.get(row, self._files[row]), split)
            for row, split in moves.items()
        }
        self._lists.write(present, folder)

        for metadata, rows in moving.rewritten(self._metadata, present, moved, self._split_column):
            metadata.write(folder, rows.keep, rows.values, rows.more)
            for original, target in rows.companions:
                self._sidecars.carry(self._encoded(original), folder.joinpath(*target), files)

        return keep.copy()

    def _put_parallel(self, parts: Parts, target: Parts, folder: Path, files: str) -> None:
        """Put what goes with an image and lies in a parallel folder; where the image is moved, it
        is moved alike.
        """
        for other in self._parallel.of_image.get(parts, ()):
            place_at = folder.joinpath(*place_beside(other, parts, target))
            self._sidecars.carry(self._encoded(other), place_at, files)

    @property
    def _split_column(self) -> str:
        return self._config.split_column or _SPLIT

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings; what is left must not be taken for another kind of folder."""
        update = {
            "source": self.form,
            "path": str(folder),
            **as_settings(self._layout, has_lists=bool(self._lists.lists)),
        }
        return self._config.model_copy(update=update)

    def _targets(self, moves: Moves) -> dict[int, Parts]:
        """Where the files of moved rows go."""
        taken = set(self._files)
        targets: dict[int, Parts] = {}
        for row, split in sorted(moves.items()):
            own = self._layout.folder_of(self._files[row]) or ()
            parts = (*self._layout.folder_for(split, own), *self._files[row][len(own) :])
            while parts in taken:
                stem, suffix = os.path.splitext(parts[-1])
                parts = (*parts[:-1], f"{stem}_{own[-1] if own else split}{suffix}")
            taken.add(parts)
            targets[row] = parts

        return targets

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept files as datasets with the columns image, label and id."""
        # `datasets` takes a second to import
        from dedup.formats.made_datasets import files_as_dataset_dict

        return files_as_dataset_dict(
            moved_rows(self.rows, moves),
            [os.fsdecode(self._path(r)) for r in range(len(keep))],
            keep,
        )

    def _path(self, row: int | np.integer[Any]) -> bytes:
        return self._encoded(self._files[int(row)])

    def _encoded(self, parts: Parts) -> bytes:
        return encoded(self._before + os.sep.join(parts))  # not always UTF-8


@dataclass(frozen=True, slots=True)
class _Columns:
    """What is known of the samples, in their order."""

    ids: list[str | None] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)


def write_samples(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:
    """Samples of another form as `split/label/file`, with a `metadata.jsonl` in each split.

    It has the columns file_name, id, label and split as they were, as folders cannot be named by
    every text, and what else the source has.
    """
    names = Names()
    others = written_names(
        further.names, {"file_name", "image", "id", "label", "split"}, no_files=True
    )
    with ExitStack() as stack:
        metadata: dict[tuple[str, ...], IO[str]] = {}
        for sample in samples:
            label = safe(sample.label or "")
            if sample.split is None and normal_split(label) in {"train", "validation", "test"}:
                label = f"class_{label}"  # or it would be read as a split
            parts = names.of(sample, sample.split, label)
            above = tuple(filter(None, [safe(sample.split or "")]))
            if above not in metadata:
                make_folder(folder.joinpath(*above))
                path = folder.joinpath(*above, "metadata.jsonl")
                metadata[above] = stack.enter_context(new_file(path, encoding="utf-8"))
            put(sample, folder.joinpath(*parts), files)
            row = {
                "file_name": "/".join(parts[len(above) :]),
                "id": sample.id,
                "label": sample.label,
            }
            row |= {"split": sample.split} if sample.split is not None else {}
            row |= {name: as_json(sample.more.get(column)) for column, name in others.items()}
            metadata[above].write(json.dumps(row, ensure_ascii=False) + "\n")

    return DatasetConfig(source="imagefolder", path=str(folder), id_column="id")
