"""Hugging Face datasets: a `save_to_disk` folder, Parquet files with an image column, or a dataset in memory.

The stored bytes are hashed and written back: nothing is decoded and encoded again.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import datasets
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError
from dedup.folder import inside
from dedup.formats.source import PAYLOAD, ROWS, check_split_names, read_bytes
from dedup.images import Unreadable

_ROWS_PER_BATCH: Final = 1000  # what `datasets` itself uses
_BYTES_PER_FILE: Final = 500_000_000  # so does the Hub for its Parquet shards


@dataclass(frozen=True, slots=True)
class _Split:
    """One split as Arrow tables, whatever it is stored in."""

    raw_name: str  # as the dataset calls it
    features: Features
    n_rows: int
    stored: "Dataset | tuple[Path, ...]"  # or Parquet files, in order

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order, images as stored structs, `size` rows at the most in a table."""
        if isinstance(self.stored, Dataset):
            chosen = self.stored if columns is None else self.stored.select_columns(list(columns))
            yield from chosen.with_format("arrow").iter(batch_size=size)
            return
        for file in self.stored:
            for batch in pq.ParquetFile(file, memory_map=True).iter_batches(size, columns=columns):
                yield pa.Table.from_batches([batch])

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows."""
        if isinstance(self.stored, Dataset):
            table = self.stored.select_columns([column]).with_format("arrow")[list(rows)]
            return list(table[column].to_pylist())
        wanted: dict[int, Any] = dict.fromkeys(rows)
        start = 0
        for file in self.stored:
            parquet = pq.ParquetFile(file, memory_map=True)
            for group in range(parquet.num_row_groups):
                stop = start + parquet.metadata.row_group(group).num_rows
                if inside := [row for row in wanted if start <= row < stop]:
                    values = parquet.read_row_group(group, columns=[column])[column]
                    wanted |= {row: values[row - start].as_py() for row in inside}
                start = stop
        return [wanted[row] for row in rows]


class HuggingFace:
    """The splits of a Hugging Face dataset. Ids are `split/row` unless a column is named."""

    form: str = "huggingface"
    skipped: Mapping[str, int] = {}

    def __init__(self, splits: Sequence[_Split], name: str, root: Path | None, config: DatasetConfig) -> None:
        self.name = name
        self.root = root
        self._splits = splits
        for split in splits:
            if not re.fullmatch(r"\w[\w.-]*", split.raw_name):
                message = (
                    f"{name}: {split.raw_name!r} is no name of a split: letters, digits, '_', '-' and '.' may be in it."
                )
                raise SourceError(message)
        check_split_names({split.raw_name: normal_split(split.raw_name) for split in splits}, name)
        self._starts = np.cumsum([0, *(split.n_rows for split in splits)])
        if self._starts[-1] == 0:
            message = f"{name}: the dataset has no rows."
            raise SourceError(message)
        self._image = _image_column(splits[0].features, config.image_column, name)
        for split in splits[1:]:
            if self._image not in split.features:
                message = f"{name}: split {split.raw_name!r} has no column {self._image!r} as the others do."
                raise SourceError(message)
        self.rows = pa.concat_tables([self._rows(split, config) for split in splits])

    def payloads(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows, the stored bytes in them."""
        for split, start in zip(self._splits, self._starts, strict=False):
            row = int(start)
            for table in split.tables([self._image], size):
                yield self._payload(range(row, row + len(table)), table[self._image].to_pylist())
                row += len(table)

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        of_split = np.searchsorted(self._starts, np.asarray(rows, dtype=np.int64), side="right") - 1
        images: list[Any] = [None] * len(rows)
        for k, split in enumerate(self._splits):
            at = np.flatnonzero(of_split == k)
            if len(at):
                values = split.take(self._image, [rows[i] - int(self._starts[k]) for i in at.tolist()])
                for i, value in zip(at, values, strict=True):
                    images[i] = value
        yield self._payload(rows, images)

    def check_writable(self) -> None:
        """Split names and columns must be such that `load_dataset` reads what is written."""
        first = self._splits[0]
        for split in self._splits:
            if not re.fullmatch(r"\w+(\.\w+)*", split.raw_name):
                instead = re.sub(r"\W", "_", split.raw_name)
                message = (
                    f"{self.name}: load_dataset reads no split called {split.raw_name!r}. Rename it, for instance "
                    f"{instead!r}, or set output.splits: none."
                )
                raise SourceError(message)
            if split.features.arrow_schema != first.features.arrow_schema:
                message = (
                    f"{self.name}: splits {first.raw_name!r} and {split.raw_name!r} have different columns, and "
                    f"load_dataset reads no such dataset. Give them the same ones, or set output.splits: none."
                )
                raise SourceError(message)

    def write(self, keep: NDArray[np.bool_], folder: Path, files: str) -> NDArray[np.bool_]:  # rows, not files
        """The kept rows as `data/<split>-00000-of-000NN.parquet`, features, column and row order as they were.

        A split of which nothing is kept has no file: `load_dataset` cannot read a Parquet file without rows.
        """
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for split, start in zip(self._splits, self._starts, strict=False):
            self._write_split(split, keep[start : start + split.n_rows], folder / "data")
        return keep

    def dataset_dict(self, keep: NDArray[np.bool_]) -> Any:
        """The kept rows, with the features of the dataset."""
        filtered = {}
        for split, start in zip(self._splits, self._starts, strict=False):
            kept = np.flatnonzero(keep[start : start + split.n_rows])
            stored = split.stored
            if not isinstance(stored, Dataset):
                stored = Dataset.from_parquet([str(file) for file in stored], features=split.features)
            filtered[split.raw_name] = stored.select(kept)
        return DatasetDict(filtered)

    def _rows(self, split: _Split, config: DatasetConfig) -> pa.Table:
        """ROWS of one split, without reading any picture."""
        normal = normal_split(split.raw_name)
        label_column = _label_column(split.features, config.label_column, self.name)
        columns = [c for c in (config.id_column, label_column) if c]
        for column in columns:
            if column not in split.features:
                known = ", ".join(map(repr, split.features))
                message = f"{self.name}: split {split.raw_name!r} has no column {column!r}. It has {known}."
                raise SourceError(message)
        ids: list[Any] = [f"{normal}/{row}" for row in range(split.n_rows)]
        labels: list[str | None] = [None] * split.n_rows
        read = list(split.tables(columns, 100_000)) if columns else []
        if config.id_column:
            ids = [value for table in read for value in table[config.id_column].to_pylist()]
            if None in ids:
                message = (
                    f"{self.name}: split {split.raw_name!r}, row {ids.index(None)}: column {config.id_column!r} is "
                    f"null. Give every sample an id."
                )
                raise SourceError(message)
        if label_column:
            feature = split.features[label_column]
            values = [value for table in read for value in table[label_column].to_pylist()]
            labels = [_label(value, feature) for value in values]
        n = split.n_rows
        return pa.table([list(map(str, ids)), [normal] * n, labels, [None] * n], schema=ROWS)

    def _payload(self, rows: Sequence[int], images: list[Any]) -> pa.RecordBatch:
        paths, data = [], []
        for value in images:
            image = value if isinstance(value, dict) else {"bytes": value, "path": None}
            data.append(image["bytes"])
            path = self._inside(image.get("path")) if image["bytes"] is None else None
            paths.append(None if path is None else os.fsencode(path))
        return pa.record_batch([list(rows), paths, data], schema=PAYLOAD)

    def _inside(self, path: str | None) -> str | None:
        """Where an image that is stored as a path lies. Files from elsewhere must not name files of this machine."""
        if path is None or self.root is None:
            return path
        whole = self.root / path
        return str(whole) if inside(whole, self.root) else None

    def _write_split(self, split: _Split, keep: NDArray[np.bool_], folder: Path) -> None:
        schema = split.features.arrow_schema
        shard, written, row = 0, 0, 0
        writer: pq.ParquetWriter | None = None
        partial: list[Path] = []
        try:
            for table in split.tables(None, _ROWS_PER_BATCH):
                kept = table.filter(pa.array(keep[row : row + len(table)]))
                row += len(table)
                if not len(kept):
                    continue
                if writer is None or written > _BYTES_PER_FILE:
                    if writer is not None:
                        writer.close()
                        shard, written = shard + 1, 0
                    partial.append(folder / f"{split.raw_name}-{shard:05d}.partial")
                    writer = pq.ParquetWriter(partial[-1], schema)
                embedded = self._embedded(kept)
                written += embedded.nbytes
                writer.write_table(embedded.cast(schema))
        finally:
            if writer is not None:
                writer.close()
        for k, path in enumerate(partial):
            path.replace(folder / f"{split.raw_name}-{k:05d}-of-{len(partial):05d}.parquet")

    def _embedded(self, table: pa.Table) -> pa.Table:
        """The table with the bytes of images that are stored as files beside it."""
        column = table[self._image]
        if not pa.types.is_struct(column.type):
            return table
        values = column.to_pylist()
        if all(value is None or value["bytes"] is not None for value in values):
            return table
        batch = self._payload(range(len(values)), values)
        embedded = []
        for value, path in zip(values, batch["path"].to_pylist(), strict=True):
            if value is not None and value["bytes"] is None and path is not None:
                data = read_bytes(path, None)
                name = os.path.basename(value["path"])  # noqa: PTH119
                value = value if isinstance(data, Unreadable) else {"bytes": data, "path": name}
            embedded.append(value)
        index = table.column_names.index(self._image)
        return table.set_column(index, table.schema.field(index), pa.array(embedded, column.type))


def in_memory(dataset: Any, config: DatasetConfig) -> HuggingFace:
    """A source from a `Dataset` or `DatasetDict`."""
    if isinstance(dataset, Dataset):
        dataset = DatasetDict({str(dataset.split or "train"): dataset})
    if not isinstance(dataset, DatasetDict):
        message = f"Expected a datasets.DatasetDict or Dataset, got {type(dataset).__name__}."
        raise SourceError(message)
    splits = [_Split(name, part.features, part.num_rows, part) for name, part in dataset.items()]
    return HuggingFace(splits, "the dataset in memory", None, config)


def on_disk(path: Path, config: DatasetConfig) -> HuggingFace:
    """A source from a `save_to_disk` folder, a folder of Parquet files or one Parquet file."""
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        try:
            source = in_memory(datasets.load_from_disk(str(path)), config)
        except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
            message = f"{path}: cannot be loaded as a save_to_disk folder: {error}."
            raise SourceError(message) from error
        source.name, source.root = str(path), path
        return source
    if path.is_dir():
        return HuggingFace(_parquet_splits(path), str(path), path, config)
    return HuggingFace([_parquet_split("train", [path])], str(path), path.parent, config)


def files_as_dataset_dict(rows: pa.Table, images: Sequence[Any], keep: NDArray[np.bool_]) -> DatasetDict:
    """Rows of another form as datasets with the columns image, label and id."""
    features = Features({"image": Image(), "label": datasets.Value("string"), "id": datasets.Value("string")})
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


def _parquet_splits(folder: Path) -> list[_Split]:
    """Splits of a folder of Parquet files, found the way `load_dataset` finds them."""
    try:
        with _offline():
            builder = datasets.load_dataset_builder(str(folder))
        files = {str(split): list(paths) for split, paths in (builder.config.data_files or {}).items()}
    except (OSError, ValueError, ImportError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        message = f"{folder}: cannot be read as a Hugging Face dataset: {error}."
        raise SourceError(message) from error
    for path in (path for paths in files.values() for path in paths):
        if "://" in path or not inside(Path(path), folder):
            message = f"{folder}: its README names {path!r} as data, which is not in the folder. Copy it there."
            raise SourceError(message)
    return [_parquet_split(name, [Path(path) for path in paths]) for name, paths in files.items()]


@contextmanager
def _offline() -> Iterator[None]:
    """A local folder never leads to the network, whatever its README says."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _parquet_split(name: str, files: Sequence[Path]) -> _Split:
    n_rows = 0
    schema = None
    for file in files:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError) as error:
            message = f"{file}: cannot be read as Parquet: {error}."
            raise SourceError(message) from error
        n_rows += parquet.metadata.num_rows
        schema = schema or parquet.schema_arrow
    if schema is None:
        message = f"Split {name!r} has no files."
        raise SourceError(message)
    try:
        features = Features.from_arrow_schema(schema)
    except (ValueError, TypeError, KeyError) as error:
        message = f"{files[0]}: a column has a type that Hugging Face datasets do not know: {error}."
        raise SourceError(message) from error
    for column in schema:  # files that `datasets` did not write do not say that a struct is an image
        if is_image_struct(column.type) and not isinstance(features[column.name], Image):
            features[column.name] = Image()
    return _Split(name, features, n_rows, tuple(files))


def is_image_struct(kind: pa.DataType) -> bool:
    """Whether a column's type is the struct in which Hugging Face datasets keep images."""
    return bool(pa.types.is_struct(kind)) and {field.name for field in kind} == {"bytes", "path"}


def _image_column(features: Features, named: str | None, name: str) -> str:
    known = ", ".join(f"{column!r} ({type(feature).__name__})" for column, feature in features.items())
    if named is not None:
        if named not in features:
            message = f"{name}: no column {named!r} (dataset.image_column). It has {known}."
            raise SourceError(message)
        feature = features[named]
        if not isinstance(feature, Image) and getattr(feature, "dtype", "") not in {"binary", "large_binary"}:
            message = f"{name}: column {named!r} holds no images but {feature!r}. The columns are {known}."
            raise SourceError(message)
        return named
    images = [column for column, feature in features.items() if isinstance(feature, Image)]
    if len(images) == 1:
        return str(images[0])
    if not images:
        message = (
            f"{name}: no image column. It has {known}; name one that holds encoded images as dataset.image_column."
        )
    else:
        message = f"{name}: several image columns: {', '.join(map(repr, images))}. Choose one as dataset.image_column."
    raise SourceError(message)


def _label_column(features: Features, named: str | None, name: str) -> str | None:
    if named is not None:
        if named not in features:
            message = f"{name}: no column {named!r} (dataset.label_column). It has {', '.join(map(repr, features))}."
            raise SourceError(message)
        return named
    if "label" in features:
        return "label"
    classes = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    return classes[0] if len(classes) == 1 else None


def _label(value: Any, feature: Any) -> str | None:
    if value is None:
        return None
    if isinstance(feature, ClassLabel) and isinstance(value, int):
        # -1 is the Hub's way to say that a test label is withheld
        return feature.int2str(value) if 0 <= value < feature.num_classes else None
    return str(value)
