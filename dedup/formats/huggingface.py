"""Hugging Face datasets, wherever their rows are stored.

The stored bytes are hashed and written back: nothing is decoded and encoded again.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, Image
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.contents import PAYLOAD, REFUSED, read_bytes, stored_bytes
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.files import inside
from dedup.formats.account import Opened, in_a_line
from dedup.formats.features import image_column, label, label_column, texts
from dedup.formats.further import Further, Row, of_schema
from dedup.formats.image_lists import (
    EachImage,
    by_image,
    has_several,
    image_paths,
    images_in,
    listed_in,
    replaced,
)
from dedup.formats.named_files import files_of, with_images
from dedup.formats.shards import Shards, check_split_name
from dedup.formats.source import NO_MOVES, ROWS, Moves, check_split_names, no_column, split_named
from dedup.formats.split_words import USUAL
from dedup.formats.stored import Split

_SPLIT: Final = "split"
"""The column that says it, where nothing else does."""

_ROWS_PER_BATCH: Final = 1000  # what `datasets` itself uses


class HuggingFace(Opened):
    """The splits of a Hugging Face dataset. Ids are `split/row` unless a column is named."""

    form: str = "huggingface"
    # of a dataset on the Hub: the folders in which its files are
    downloads: Sequence[Path] | None = None
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
        self.rows = pa.concat_tables([self._rows(split, config) for split in self._splits])
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

    def _rows(self, split: Split, config: DatasetConfig) -> pa.Table:
        """ROWS of one split, without reading any picture."""
        normal = normal_split(split.raw_name)
        labelled = label_column(split.features, config.label_column, self.name)
        columns = [c for c in (config.id_column, labelled) if c]
        for column in columns:
            if column not in split.features:
                known = ", ".join(map(repr, split.features))
                message = (
                    f"{self.name}: split {split.raw_name!r} has no column {column!r}. It has"
                    f" {known}."
                )
                raise ConfigError(message)

        n = split.n_rows
        read = list(split.stored.tables(columns, 100_000)) if columns else []
        labels: Any = pa.nulls(n, pa.string())

        if config.id_column:
            ids = _whole(texts(table[config.id_column]) for table in read)
            if ids.null_count:
                message = (
                    f"{self.name}: split {split.raw_name!r}, row"
                    f" {pc.index(ids.is_null(), True).as_py()}: column {config.id_column!r} is"
                    " null. Give every sample an id."
                )
                raise SourceError(message)
            if has_several(split):
                ids = pc.binary_join_element_wise(ids, _numbers_of(split, within=True), "/")
        else:
            ids = pc.binary_join_element_wise(normal, _numbers_of(split), "/")

        if labelled:
            feature = split.features[labelled]
            labels = _whole(texts(table[labelled], feature) for table in read)

        return pa.table(
            [ids, pa.repeat(pa.scalar(normal, pa.string()), n), labels, pa.nulls(n, pa.string())],
            ROWS,
        )

    def _payload_of_column(self, first_row: int, column: pa.ChunkedArray) -> pa.RecordBatch:
        rows, stored = range(first_row, first_row + len(column)), stored_bytes(column)
        if stored.null_count:
            return self._payload(rows, column.to_pylist())

        data = stored.cast(pa.large_binary()).combine_chunks()

        return pa.record_batch([list(rows), pa.nulls(len(data), pa.binary()), data], schema=PAYLOAD)

    def _payload(self, rows: Sequence[int], images: list[Any]) -> pa.RecordBatch:
        paths, data = [], []
        for value in images:
            image = value if isinstance(value, dict) else {"bytes": value, "path": None}
            data.append(image["bytes"])
            named = image.get("path") if image["bytes"] is None else None
            inside_path = None if named is None else self._inside(named)
            paths.append(
                None
                if named is None
                else REFUSED
                if inside_path is None
                else os.fsencode(inside_path)
            )

        return pa.record_batch([list(rows), paths, data], schema=PAYLOAD)

    def _inside(self, path: str | None) -> str | None:
        """Where an image that is stored as a path lies. Files from elsewhere must not name files of
        this machine.
        """
        if path is None:
            return None
        if self.downloads is not None:
            return path if any(inside(Path(path), folder) for folder in self.downloads) else None
        if self.root is None:
            return path

        whole = self.root / path

        return str(whole) if inside(whole, self.root) else None

    def _embedded(self, table: pa.Table) -> pa.Table:
        """The table with the bytes of images that are stored as files beside it."""
        if self._stored_rows is not self._splits:
            return self._embedded_inside(table)

        column = table[self._image]
        if not pa.types.is_struct(column.type) or _has_all_bytes(column):
            return table

        embedded = self._with_bytes(column.to_pylist())
        index = table.column_names.index(self._image)

        return table.set_column(index, table.schema.field(index), pa.array(embedded, column.type))

    def _embedded_inside(self, table: pa.Table) -> pa.Table:
        """The same for images in lists and structs."""
        index = table.column_names.index(self._image.partition(".")[0])
        _, images = images_in(table.column(index), self._image)
        if _has_all_bytes(images):
            return table

        values = table.column(index).to_pylist()
        embedded = iter(self._with_bytes([*listed_in(values)]))
        column = pa.array(replaced(values, embedded), table.schema.field(index).type)

        return table.set_column(index, table.schema.field(index), column)

    def _with_bytes(self, values: list[Any]) -> list[Any]:
        """The images with the bytes of the files that they name."""
        batch = self._payload(range(len(values)), values)
        embedded = []
        for value, path in zip(values, batch["path"].to_pylist(), strict=True):
            if value is not None and value["bytes"] is None and path is not None:
                data = read_bytes(path, None)
                name = os.path.basename(value["path"])
                value = value if isinstance(data, Unreadable) else {"bytes": data, "path": name}
            embedded.append(value)

        return embedded


def _numbers_of(split: Split, *, within: bool = False) -> pa.Array:
    """The row of each sample as a text, and which image of the row it is where it can have several;
    that alone with `within`.
    """
    stored = split.stored
    if not isinstance(stored, EachImage):
        return pa.array(np.arange(split.n_rows)).cast(pa.string())

    rows, places = (
        pa.array(numbers).cast(pa.string()) for numbers in (stored.row_of, stored.place_of)
    )
    if within:
        return places

    return pc.binary_join_element_wise(rows, places, "/") if stored.has_several else rows


def _whole(parts: Iterable[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string())


def _has_all_bytes(column: pa.ChunkedArray) -> bool:
    """Whether no image is a mere path; told by counts, as a million rows should not become Python
    objects.
    """
    stored = pc.struct_field(column, "bytes")
    return bool(stored.null_count == column.null_count)


def files_as_dataset_dict(
    rows: pa.Table, images: Sequence[Any], keep: NDArray[np.bool_]
) -> DatasetDict:
    """Rows of another form as datasets with the columns image, label and id."""
    features = Features(
        {"image": Image(), "label": datasets.Value("string"), "id": datasets.Value("string")}
    )
    split_of = [split or "train" for split in rows["split"].to_pylist()]
    ids, labels = rows["id"].to_pylist(), rows["label"].to_pylist()
    made = {}

    for split in sorted(set(split_of)):
        kept = [row for row in np.flatnonzero(keep) if split_of[row] == split]
        columns = {
            "image": [images[int(row)] for row in kept],
            "label": [labels[row] for row in kept],
            "id": [ids[row] for row in kept],
        }
        made[split] = Dataset.from_dict(columns, features=features)

    return DatasetDict(made)
