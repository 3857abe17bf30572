"""A folder of image files: `split/label/file`, `split/file`, `label/file` or just files, at any depth."""

import errno
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.contents import PAYLOAD
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError, SourceError
from dedup.formats import moving
from dedup.formats.files import not_movable
from dedup.formats.further import NOTHING, Further, Row, as_json, united, written_names
from dedup.formats.metadata import NAMES, Parts, read_metadata
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    Names,
    Sample,
    are_splits,
    check_split_names,
    encoded,
    moved_rows,
    no_column,
    place,
    printable,
    printable_names,
    put,
    safe,
)
from dedup.paths import make_folder

logger = logging.getLogger(__name__)

_SPLIT: Final = "split"  # the column of metadata that says it, unless the config names another one


class ImageFolder:
    """The image files below a folder and what metadata says of them. Ids are their paths below it, with `/`."""

    form: str = "imagefolder"

    def __init__(self, root: Path, config: DatasetConfig) -> None:
        self.root = root
        self._before = os.path.join(root, "")  # noqa: PTH118  # of every path
        self.name = str(root)
        self._config = config
        files, places, skipped = _scan(root)
        self._metadata = list(read_metadata(root, places, config.image_column))
        skipped["not_an_image"] += len(places) - len(self._metadata)
        files = self._with_named(files)
        folders = {parts[0] for parts in files if len(parts) > 1}
        splits: dict[str, str | None] = {folder: normal_split(printable(folder)) for folder in folders}
        by_hand = {"splits": True, "labels": False}.get(config.top_folders)
        if not (are_splits({*splits.values()}) if by_hand is None else by_hand):
            splits = {}
        self.has_splits = bool(splits)
        check_split_names({printable(raw): normal for raw, normal in splits.items()}, self.name)
        said = self._said(config)
        default = normal_split(config.default_split)
        self._files, named, split_of, labels = [], [], [], []
        for parts in files:
            has_split = len(parts) > 1 and parts[0] in splits
            row = said.get(parts, _Said())
            split = row.split or (splits[parts[0]] if has_split else default)
            if splits and split is None:
                skipped["outside_splits"] += 1
                continue
            inner = parts[1:-1] if has_split else parts[:-1]
            self._files.append(parts)
            named.append(row.id)
            split_of.append(split)
            labels.append(row.label if row.labelled else printable(inner[0]) if inner else None)
        if not self._files:
            found = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in sorted(skipped.items()) if n)
            why = f"skipped: {found}" if found else "it is empty"
            message = f"{root}: no image files in this folder or below it ({why})."
            raise SourceError(message)
        self.skipped: Mapping[str, int] = {reason: n for reason, n in sorted(skipped.items()) if n}
        uris = printable_names(["/".join(parts) for parts in self._files])
        ids = [name or uri for name, uri in zip(named, uris, strict=True)]
        self.rows = pa.table([ids, split_of, labels, uris], schema=ROWS)

    def payloads(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows."""
        for start in range(0, len(self._files), size):
            yield from self.payload_of(range(start, min(start + size, len(self._files))))

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        paths = [self._encoded(self._files[row]) for row in rows]
        yield pa.record_batch([list(rows), paths, [None] * len(paths)], schema=PAYLOAD)

    def check_writable(self) -> None:
        """Every folder can be written."""

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
            m.records.further([n for n in m.records.names if n not in parts and not n.endswith("file_name")])
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
        """Files go to the folder of their new split, or metadata says the split; what it says must have a place."""
        why = moving.obstacle(self._files, self._metadata, self._split_column, has_splits=self.has_splits)
        if why is not None:
            raise not_movable(self.name, why)

    def write(self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES) -> NDArray[np.bool_]:
        """The kept files at the same places below `folder`, and the rows of the metadata that name them.

        Files that are moved go to the folder of their new split, under another name where theirs is taken, and what
        metadata says of them goes with them. Where metadata says the splits, files stay where they are.
        A row whose file does not exist is not written: `load_dataset` could not read the folder.
        """
        there = keep.copy()
        targets = self._targets(moves) if self.has_splits else {}
        for row in np.flatnonzero(keep):
            there[row] = place(self._path(row), folder.joinpath(*targets.get(int(row), self._files[row])), files)
        present = {self._files[row] for row in np.flatnonzero(there)}
        moved = {
            self._files[row]: moving.Move(targets.get(row, self._files[row]), split) for row, split in moves.items()
        }
        for metadata, rows in moving.rewritten(self._metadata, present, moved, self._split_column):
            metadata.write(folder, rows.keep, rows.values, rows.more)
            for original, target in rows.companions:
                if not os.path.lexists(folder.joinpath(*target)):
                    place(self._encoded(original), folder.joinpath(*target), files)
        return there

    @property
    def _split_column(self) -> str:
        return self._config.split_column or _SPLIT

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings; what is left must not be taken for another kind of folder."""
        kind = "splits" if self.has_splits else "labels"
        return self._config.model_copy(update={"source": self.form, "path": str(folder), "top_folders": kind})

    def _targets(self, moves: Moves) -> dict[int, Parts]:
        """Where the files of moved rows go."""
        raw = {normal_split(printable(parts[0])): parts[0] for parts in reversed(self._files)}
        taken = set(self._files)
        targets: dict[int, Parts] = {}
        for row, split in sorted(moves.items()):
            parts = (raw.get(split, split), *self._files[row][1:])
            while parts in taken:
                stem, suffix = os.path.splitext(parts[-1])  # noqa: PTH122
                parts = (*parts[:-1], f"{stem}_{self._files[row][0]}{suffix}")
            taken.add(parts)
            targets[row] = parts
        return targets

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept files as datasets with the columns image, label and id."""
        from dedup.formats.huggingface import files_as_dataset_dict  # `datasets` takes a second to import

        return files_as_dataset_dict(
            moved_rows(self.rows, moves), [os.fsdecode(self._path(r)) for r in range(len(keep))], keep
        )

    def _path(self, row: int | np.integer[Any]) -> bytes:
        return self._encoded(self._files[int(row)])

    def _encoded(self, parts: Parts) -> bytes:
        return encoded(self._before + os.sep.join(parts))  # noqa: PTH118  # not always UTF-8

    def _with_named(self, files: list[Parts]) -> list[Parts]:
        """The samples: scanned files and files that only metadata names, without the files of other image columns."""
        scanned = set(files)
        named = {parts for metadata in self._metadata for parts in metadata.files}
        missing = {p for p in named - scanned if not os.path.isfile(self._encoded(p))}  # noqa: PTH113
        if missing:
            metadata, first = next((m, p) for m in self._metadata for p in m.files if p in missing)
            text = f"{metadata.name} names files that do not exist, the first is {'/'.join(first)!r}"
            if not named - missing:
                message = f"{text}: none of them does. file_name is relative to the folder of the metadata."
                raise SourceError(message)
            logger.warning(
                "%s, %s in all. They are listed as missing: restore them or remove their rows.",
                text,
                f"{len(missing):,}",
            )
        companions = {p for metadata in self._metadata for column in metadata.companions.values() for p in column}
        return sorted(named | (scanned - companions))

    def _refuse_columns(self, config: DatasetConfig) -> None:
        """A folder without metadata has no columns to name."""
        keys = [key for key in ("image_column", "id_column", "split_column", "label_column") if getattr(config, key)]
        if keys and not self._metadata:
            problems = [
                f"dataset.{key}: not used by the form 'imagefolder' without metadata; take it out." for key in keys
            ]
            raise ConfigError(*problems)

    def _said(self, config: DatasetConfig) -> dict[Parts, "_Said"]:
        """What metadata says of each file; where several rows name one file, the first."""
        said: dict[Parts, _Said] = {}
        named_columns = [c for c in (config.id_column, config.label_column, config.split_column) if c is not None]
        self._refuse_columns(config)
        for metadata in self._metadata:
            for column in named_columns:
                if column not in metadata.records.names:
                    known = ", ".join(map(repr, metadata.records.names))
                    message = f"{metadata.name}: no column {column!r}. It has {known}."
                    raise ConfigError(message)
            ids = metadata.texts([config.id_column] if config.id_column else [])
            of_label = [config.label_column] if config.label_column else ["label", "class"]
            labels = metadata.texts(of_label)
            labelled = bool({*of_label} & {*metadata.records.names})
            raw = metadata.texts([self._split_column])
            check_split_names({name: normal_split(name) for name in raw if name is not None}, metadata.name)
            for parts, name, split, label in zip(metadata.files, ids, raw, labels, strict=True):
                said.setdefault(parts, _Said(name, normal_split(split), label, labelled))
        return said


@dataclass(frozen=True, slots=True)
class _Said:
    """What metadata says of one file."""

    id: str | None = None
    split: str | None = None
    label: str | None = None
    labelled: bool = False  # the metadata has a column of labels: null means none, whatever the folder is called


def write_samples(samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema) -> DatasetConfig:
    """Samples of another form as `split/label/file`, with a `metadata.jsonl` in each split.

    It has the columns file_name, id, label and split as they were, as folders cannot be named by every text, and what
    else the source has.
    """
    names = Names()
    others = written_names(further.names, {"file_name", "image", "id", "label", "split"}, no_files=True)
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
                metadata[above] = stack.enter_context(path.open("w", encoding="utf-8"))
            put(sample, folder.joinpath(*parts), files)
            row = {"file_name": "/".join(parts[len(above) :]), "id": sample.id, "label": sample.label}
            row |= {"split": sample.split} if sample.split is not None else {}
            row |= {name: as_json(sample.more.get(column)) for column, name in others.items()}
            metadata[above].write(json.dumps(row, ensure_ascii=False) + "\n")
    return DatasetConfig(source="imagefolder", path=str(folder), id_column="id")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it is told that it is missing
        return False


def _scan(root: Path) -> tuple[list[Parts], list[Parts], Counter[str]]:
    """Image files below root and metadata files, as tuples of names in sorted order, and what was skipped."""
    files: list[Parts] = []
    metadata: list[Parts] = []
    skipped: Counter[str] = Counter()

    waiting: list[tuple[str, Parts, frozenset[tuple[int, int]]]] = [(str(root), (), frozenset())]
    while waiting:
        folder, parts, above = waiting.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116
            entries = list(os.scandir(folder))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                skipped["path_too_long"] += 1
                continue
            message = f"{printable(folder)!r}: the folder cannot be read: {error.strerror}."
            raise SourceError(message) from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            skipped["link_to_a_folder_above"] += 1
            continue
        for entry in entries:
            if entry.name.startswith("."):
                skipped["hidden"] += 1
            elif _is_folder(entry):
                waiting.append((entry.path, (*parts, entry.name), above | {here}))
            elif os.path.splitext(entry.name)[1].lower() in FILE_SUFFIXES:  # noqa: PTH122  # ten times faster here
                files.append((*parts, entry.name))
            elif entry.name in NAMES:
                metadata.append((*parts, entry.name))
            else:
                skipped["not_an_image"] += 1

    return sorted(files), metadata, skipped
