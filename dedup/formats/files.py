"""Samples that are files on this machine: what image folders, COCO and YOLO datasets have in
common.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.decoding.contents import PAYLOAD
from dedup.errors import SourceError
from dedup.formats.account import Opened
from dedup.formats.companions import Sidecars
from dedup.formats.further import NOTHING, Further
from dedup.formats.outside import Place
from dedup.formats.source import NO_MOVES, Moves, moved_rows, no_column
from dedup.paths import is_file

logger = logging.getLogger(__name__)

_NAMED: Final = 5  # missing files in a warning; all of them are in the tables


class Files(Opened):
    """Rows with one file each, below `root`."""

    name: str

    def __init__(
        self, root: Path, files: Sequence[bytes], rows: pa.Table, *, allow_outside: bool = True
    ) -> None:
        self.root = root
        self.rows = rows
        self._files = files
        self.place = Place(root, files, allowed=allow_outside)
        self._sidecars = Sidecars(root)

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        paths = [self.place.of(row, self._files[row]) for row in rows]
        yield pa.record_batch([list(rows), paths, [None] * len(rows)], schema=PAYLOAD)

    def columns(self) -> Sequence[str]:
        """There are none."""
        return ()

    def texts(self, column: str) -> list[str | None]:
        """There are no columns."""
        raise no_column(self.name, column, ())

    def further(self) -> Further:
        """What annotations say is not of the form of a column."""
        return NOTHING

    def check_writable(self) -> None:
        """Files can always be written."""

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept files as datasets with the columns image, label and id."""
        # `datasets` takes a second to import
        from dedup.formats.made_datasets import files_as_dataset_dict

        return files_as_dataset_dict(
            moved_rows(self.rows, moves), [os.fsdecode(path) for path in self._files], keep
        )


def not_movable(name: str, why: str) -> SourceError:
    """The error for images that cannot be moved from split to split in their own form."""
    return SourceError(
        f"{name}: policy.leakage=regroup cannot move images from split to split: {why}. "
        "Set output.splits: parquet, manifest, webdataset or none."
    )


def beside(path: Path, split: str) -> Path:
    """Another name for a file whose own is taken where it is moved to; it tells which split it came
    from.

    >>> str(beside(Path("val/1.jpg"), "train"))
    'val/1_train.jpg'
    """
    return path.with_name(f"{path.stem}_{split}{path.suffix}")


def distinct_ids(uris: Sequence[str], splits: Sequence[str | None]) -> list[str]:
    """The paths as ids; that of a picture which is in several splits gets its split in front.

    >>> distinct_ids(["a.jpg", "b.jpg", "a.jpg"], ["train", "train", "test"])
    ['train:a.jpg', 'b.jpg', 'test:a.jpg']
    """
    seen: set[str] = set()
    twice = {
        uri
        for uri in uris
        if uri in seen or seen.add(uri)  # type: ignore[func-returns-value]
    }

    return [
        f"{split}:{uri}" if uri in twice else uri for uri, split in zip(uris, splits, strict=True)
    ]


def refuse_missing(named: Mapping[Path, str], name: str, remedy: str) -> None:
    """Warn of files that do not exist, and raise where none does: then they lie elsewhere. `named`:
    path and name.
    """
    missing = [text for path, text in named.items() if not is_file(path)]
    if not missing:
        return

    first = ", ".join(map(repr, missing[:_NAMED])) + (", …" if len(missing) > _NAMED else "")
    if len(missing) == len(named):
        message = f"{name}: none of its {len(named):,} images exists: {first}. {remedy}"
        raise SourceError(message)

    logger.warning(
        "%s: %s of %s images do not exist: %s. They are listed as missing and not written.",
        name,
        f"{len(missing):,}",
        f"{len(named):,}",
        first,
    )
