"""Hugging Face datasets, wherever their rows are stored.

The stored bytes are hashed and written back: nothing is decoded and encoded again.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import DatasetDict, Features
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError
from dedup.formats.account import Opened, in_a_line
from dedup.formats.features import image_column, label, label_column
from dedup.formats.further import Further, Row, of_schema
from dedup.formats.image_lists import (
    EachImage,
    by_image,
    has_several,
    image_paths,
)
from dedup.formats.named_files import files_of, with_images
from dedup.formats.shards import Shards, check_split_name
from dedup.formats.source import NO_MOVES, Moves, check_split_names, no_column, split_named
from dedup.formats.split_words import USUAL
from dedup.formats.stored import Split
from dedup.formats.stored_images import StoredImages
from dedup.formats.stored_rows import rows_of

_SPLIT: Final = "split"
"""The column that says it, where nothing else does."""

_ROWS_PER_BATCH: Final = 1000  # what `datasets` itself uses


class HuggingFace(StoredImages, Opened):
    """The splits of a Hugging Face dataset. Ids are `split/row` unless a column is named."""

    form: str = "huggingface"
    files: Sequence[Path] = ()  # that it is read from, on this machine

    def __init__(
        self, splits: Sequence[Split], name: str, root: Path | None, config: DatasetConfig
    ) -> None:
        self.name = name
        self.root = root
        self._config = config
        self._splits = splits

        for split in splits:
            if not re.fullmatch(r"\w[\w.-]*", split.raw_name):
                message = (
                    f"{name}: {split.raw_name!r} is no name of a split: letters, digits, '_', '-'"
                    " and '.' may be in it."
                )
                raise SourceError(message)

        check_split_names({split.raw_name: normal_split(split.raw_name) for split in splits}, name)
        self._starts = np.cumsum([0, *(split.n_rows for split in splits)])
        if self._starts[-1] == 0:
            message = f"{name}: the dataset has no rows."
            raise SourceError(message)

        self._image = image_column(splits[0].features, config.image_column, name)
        for split in splits[1:]:
            if self._image not in {*split.features, *image_paths(split.features)}:
                message = (
                    f"{name}: split {split.raw_name!r} has no column {self._image!r} as the"
                    " others do."
                )
                raise SourceError(message)

        self._stored_rows = splits  # as they are written
        if self._image in image_paths(splits[0].features):
            self._splits = by_image(splits, self._image)
        else:
            self._splits = self._stored_rows = with_images(splits, self._image, name, root)

        self._starts = np.cumsum([0, *(split.n_rows for split in self._splits)])
        self.rows = pa.concat_tables([rows_of(split, config, name) for split in self._splits])
        self.image_rows = self._image_rows()
        self._split_column = config.split_column or self._column_of_splits()

        if self._split_column is not None:
            raw = self.texts(self._split_column)
            if not config.splits:
                check_split_names(
                    {text: normal_split(text) for text in raw if text is not None}, name
                )
            named = [split_named(text, config, name, f"row {row}") for row, text in enumerate(raw)]
            place = self.rows.column_names.index("split")
            self.rows = self.rows.set_column(place, "split", pa.array(named, pa.string()))

        if self.image_rows is not None:
            self.understood = (
                f"{in_a_line(self.rows)}; each image in {self._image!r} is a sample of its row"
                " (policy.row)"
            )

    def _column_of_splits(self) -> str | None:
        """A column `split` that holds nothing but usual names of splits, two at least, in a dataset
        of one split.
        """
        if len(self._splits) > 1 or _SPLIT not in self._splits[0].features:
            return None

        feature = self._splits[0].features[_SPLIT]
        if not isinstance(feature, datasets.ClassLabel) and getattr(feature, "dtype", "") not in {
            "string",
            "large_string",
        }:
            return None

        names = {normal_split(text) for text in self.texts(_SPLIT)}

        return _SPLIT if names <= USUAL and len(names) > 1 else None

    def _image_rows(self) -> list[str] | None:
        """The row of each sample, where a row can have several images."""
        if not any(has_several(split) for split in self._splits):
            return None

        return [
            f"{split.raw_name}/{row}"
            for split in self._splits
            for row in getattr(split.stored, "row_of", np.arange(split.n_rows)).tolist()
        ]

    def in_order(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows, the stored bytes in them: row groups and streams are read
        once, in order.
        """
        for split, start in zip(self._splits, self._starts, strict=False):
            row = int(start)
            for table in split.stored.tables([self._image], size):
                yield self._payload_of_column(row, table[self._image])
                row += len(table)

    def references(self, size: int) -> Iterator[pa.RecordBatch]:
        """Where the images lie in files that can be read by others; the images themselves where
        that cannot be said.
        """
        for split, start in zip(self._splits, self._starts.tolist(), strict=False):
            row = start
            for found in split.stored.places(self._image, size):
                if isinstance(found, pa.RecordBatch):
                    yield found.set_column(0, found.schema.field(0), pc.add(found["row"], start))
                else:
                    yield self._payload_of_column(row, found[self._image])
                row += len(found)

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        of_split = np.searchsorted(self._starts, np.asarray(rows, dtype=np.int64), side="right") - 1
        images: list[Any] = [None] * len(rows)
        for k, split in enumerate(self._splits):
            at = np.flatnonzero(of_split == k)
            if len(at):
                values = split.stored.take(
                    self._image, [rows[i] - int(self._starts[k]) for i in at.tolist()]
                )
                for i, value in zip(at, values, strict=True):
                    images[i] = value

        yield self._payload(rows, images)

    def own_files(self) -> Iterator[Path]:
        """The files that hold the rows, those that they name as texts, and the card."""
        yield from self.files
        if self.root is not None:
            yield from files_of(self._splits, self._image, self.root)
        if self.root is not None and (self.root / "README.md").is_file():
            yield self.root / "README.md"

    def check_writable(self) -> None:
        """Split names and columns must be such that `load_dataset` reads what is written."""
        first = self._splits[0]
        for split in self._splits:
            check_split_name(split.raw_name, self.name)
            if split.features.arrow_schema != first.features.arrow_schema:
                message = (
                    f"{self.name}: splits {first.raw_name!r} and {split.raw_name!r} have different"
                    " columns, and load_dataset reads no such dataset. Give them the same ones, or"
                    " set output.splits: none."
                )
                raise SourceError(message)

    def columns(self) -> Sequence[str]:
        """All but the image, of every split."""
        first, *others = (split.features for split in self._splits)
        return [
            name for name in first if name != self._image and all(name in other for other in others)
        ]

    def texts(self, column: str) -> list[str | None]:
        """Any column of every split; classes by their names."""
        found: list[str | None] = []
        for split in self._splits:
            if column not in split.features:
                where = f"{self.name}, split {split.raw_name!r}"
                raise no_column(where, column, list(split.features))
            feature = split.features[column]
            for table in split.stored.tables([column], 100_000):
                found += [label(value, feature) for value in table[column].to_pylist()]

        return found

    def further(self) -> Further:
        """All other columns; classes by their names."""
        parts = {self._image, self._config.id_column}
        features: dict[str, Any] = {}
        for split in self._splits:
            labelled = label_column(split.features, self._config.label_column, self.name)
            features |= {
                c: f for c, f in split.features.items() if c not in parts and c != labelled
            }

        classes = {
            c: partial(label, feature=f)
            for c, f in features.items()
            if isinstance(f, datasets.ClassLabel)
        }
        left = [
            c
            for c, f in features.items()
            if hasattr(f, "embed_storage") or hasattr(f, "decode_example")
        ]
        schema = Features({c: f for c, f in features.items() if c not in left}).arrow_schema

        def rows() -> Iterator[Row]:
            for split in self._splits:
                columns = [column for column in found.schema.names if column in split.features]
                if not columns:
                    yield from ({} for _ in range(split.n_rows))
                    continue
                for table in split.stored.tables(columns, _ROWS_PER_BATCH):
                    yield from table.to_pylist()

        found = of_schema(schema, rows, left, classes)

        return found

    def check_movable(self) -> None:
        """Splits with the same columns are."""
        if self.image_rows is not None:
            message = (
                f"{self.name}: policy.leakage=regroup cannot move rows with several images"
                f" ({self._image!r}). Choose another policy.leakage, or set output.splits: none."
            )
            raise SourceError(message)

        if self._split_column is not None:
            message = (
                f"{self.name}: policy.leakage=regroup cannot move rows where the column"
                f" {self._split_column!r} says the splits. Set output.splits: manifest,"
                " imagefolder, webdataset or none."
            )
            raise SourceError(message)

        for split in self._splits[1:]:
            if split.features != self._splits[0].features:
                message = (
                    f"{self.name}: policy.leakage=regroup cannot move rows between"
                    f" {self._splits[0].raw_name!r} and {split.raw_name!r}, which have different"
                    " columns. Give them the same ones."
                )
                raise SourceError(message)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:  # rows, not files
        """The kept rows as `data/<split>-00000-of-000NN.parquet`, features, column and row order as
        they were.
        """
        keep_rows, of_row = self._rows_of(keep, self._split_numbers(moves))
        with ExitStack() as stack:
            shards = [
                stack.enter_context(
                    Shards(folder / "data", split.raw_name, split.features.arrow_schema)
                )
                for split in self._stored_rows
            ]
            row = 0
            for split in self._stored_rows:
                for table in split.stored.tables(None, _ROWS_PER_BATCH):
                    here = slice(row, row + len(table))
                    row += len(table)
                    for number in np.unique(of_row[here]):
                        chosen = keep_rows[here] & (of_row[here] == number)
                        shards[number].write(self._embedded(table.filter(pa.array(chosen))))

        return keep

    def written(self, folder: Path) -> DatasetConfig:
        """The same columns, in a folder on this machine."""
        of_the_hub = {
            "name": None,
            "revision": None,
            "split": (),
            "data_files": (),
            "streaming": False,
        }
        update = {
            "source": self.form,
            "path": str(folder),
            "split_column": self._split_column,
            **of_the_hub,
        }

        return self._config.model_copy(update=update)

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept rows, with the features of the dataset."""
        of_row = self._split_numbers(moves)
        filtered = {}
        for number, target in enumerate(self._splits):
            parts = []
            for split, start in zip(self._splits, self._starts, strict=False):
                here = slice(start, start + split.n_rows)
                kept = np.flatnonzero(keep[here] & (of_row[here] == number))
                if len(kept) or split is target:
                    parts.append(split.stored.dataset(kept))
            filtered[target.raw_name] = (
                parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
            )

        return DatasetDict(filtered)

    def _rows_of(
        self, keep: NDArray[np.bool_], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which stored rows are kept, and the split each goes to: a row is kept with any image."""
        if self._stored_rows is self._splits:
            return keep, numbers

        parts = [
            split.stored.row_of for split in self._splits if isinstance(split.stored, EachImage)
        ]
        sizes = [split.n_rows for split in self._stored_rows]
        firsts = np.cumsum([0, *sizes[:-1]])
        row_of = np.concatenate([rows + first for rows, first in zip(parts, firsts, strict=True)])
        kept = np.zeros(sum(sizes), dtype=bool)
        kept[row_of[keep]] = True
        of_row = np.zeros(sum(sizes), dtype=np.int64)
        of_row[row_of] = numbers

        return kept, of_row

    def _split_numbers(self, moves: Moves) -> NDArray[np.int64]:
        """For each row the place of the split that it is written in."""
        of_row = np.repeat(np.arange(len(self._splits)), np.diff(self._starts))
        numbers = {
            normal_split(split.raw_name): number for number, split in enumerate(self._splits)
        }
        for row, name in moves.items():
            of_row[row] = numbers[name]

        return of_row
