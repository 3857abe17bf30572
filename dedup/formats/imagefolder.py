"""A folder of image files: `split/label/file`, `split/file`, `label/file` or just files, at any depth."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError
from dedup.formats.source import PAYLOAD, ROWS, check_split_names, place, printable
from dedup.images import FILE_SUFFIXES


class ImageFolder:
    """The image files below a folder. Ids are their paths below it, with forward slashes."""

    form: str = "imagefolder"

    def __init__(self, root: Path, config: DatasetConfig) -> None:
        self.root = root
        self.name = str(root)
        files, skipped = _scan(root)
        folders = {parts[0] for parts in files if len(parts) > 1}
        splits: dict[str, str | None] = {folder: normal_split(folder) for folder in folders}
        if not _are_splits(set(splits.values()), config.top_folders):
            splits = {}
        self.has_splits = bool(splits)
        check_split_names({printable(raw): normal for raw, normal in splits.items()}, self.name)
        if splits and config.default_split is None:
            outside = [parts for parts in files if len(parts) == 1]
            skipped["outside_splits"] = len(outside)
            files = [parts for parts in files if len(parts) > 1]
        if not files:
            found = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in sorted(skipped.items()) if n)
            why = f"skipped: {found}" if found else "it is empty"
            message = f"{root}: no image files in this folder or below it ({why})."
            raise SourceError(message)
        self.skipped: Mapping[str, int] = {reason: n for reason, n in sorted(skipped.items()) if n}
        self._files = files
        default = normal_split(config.default_split)
        ids = _ids(files)
        split_of, labels = [], []
        for parts in files:
            has_split = len(parts) > 1 and parts[0] in splits
            split_of.append((normal_split(printable(parts[0])) if has_split else default) if splits else default)
            inner = parts[1:-1] if has_split else parts[:-1]
            labels.append(printable(inner[0]) if inner else None)
        self.rows = pa.table([ids, split_of, labels, ids], schema=ROWS)

    def payloads(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows."""
        for start in range(0, len(self._files), size):
            yield from self.payload_of(range(start, min(start + size, len(self._files))))

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        paths = [self._path(row) for row in rows]
        yield pa.record_batch([list(rows), paths, [None] * len(paths)], schema=PAYLOAD)

    def check_writable(self) -> None:
        """Every folder can be written."""

    def write(self, keep: NDArray[np.bool_], folder: Path, files: str) -> NDArray[np.bool_]:
        """The kept files at the same places below `folder`; which of them are there."""
        written = keep.copy()
        for row in np.flatnonzero(keep):
            written[row] = place(self._path(row), folder.joinpath(*self._files[row]), files)
        return written

    def dataset_dict(self, keep: NDArray[np.bool_]) -> Any:
        """The kept files as datasets with the columns image, label and id."""
        from dedup.formats.huggingface import files_as_dataset_dict  # `datasets` takes a second to import

        return files_as_dataset_dict(self.rows, [os.fsdecode(self._path(r)) for r in range(len(keep))], keep)

    def _path(self, row: int | np.integer[Any]) -> bytes:
        return os.fsencode(os.path.join(self.root, *self._files[int(row)]))  # noqa: PTH118  # not always UTF-8


def _are_splits(names: Set[str | None], top_folders: str) -> bool:
    """Whether top folders are splits: one is train, or all have a split's usual name. One class may be called test."""
    if top_folders != "auto":
        return top_folders == "splits"
    return "train" in names or (bool(names) and names <= {"validation", "test"})


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever reads it is told that it is missing
        return False


def _ids(files: Sequence[tuple[str, ...]]) -> list[str]:
    r"""Paths with `/`. Bytes that are not UTF-8 show as `\xNN`, with more backslashes where that name is taken."""
    paths = ["/".join(parts) for parts in files]
    taken = {path for path in paths if printable(path) == path}
    ids = []
    for path in paths:
        name = printable(path)
        while name != path and name in taken:
            name = name.replace("\\x", "\\\\x")
        taken.add(name)
        ids.append(name)
    return ids


def _scan(root: Path) -> tuple[list[tuple[str, ...]], Counter[str]]:
    """Paths of the image files below root, as tuples of names in sorted order, and what was skipped."""
    files: list[tuple[str, ...]] = []
    skipped: Counter[str] = Counter()

    def walk(folder: str, parts: tuple[str, ...], above: frozenset[tuple[int, int]]) -> None:
        try:
            status = os.stat(folder)  # noqa: PTH116
            entries = list(os.scandir(folder))
        except OSError as error:
            message = f"{printable(folder)!r}: the folder cannot be read: {error.strerror}."
            raise SourceError(message) from error
        here = (status.st_dev, status.st_ino)
        if here in above:
            skipped["link_to_a_folder_above"] += 1
            return
        for entry in entries:
            if entry.name.startswith("."):
                skipped["hidden"] += 1
            elif _is_folder(entry):
                walk(entry.path, (*parts, entry.name), above | {here})
            elif os.path.splitext(entry.name)[1].lower() in FILE_SUFFIXES:  # noqa: PTH122  # ten times faster here
                files.append((*parts, entry.name))
            else:
                skipped["not_an_image"] += 1

    walk(str(root), (), frozenset())
    return sorted(files), skipped
