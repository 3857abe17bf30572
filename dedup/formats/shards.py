"""Parquet shards as on the Hub: `data/<split>-00000-of-000NN.parquet`, written a batch at a
time.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, Value

from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats.further import written_names
from dedup.formats.placing import refuse_taken
from dedup.formats.source import Sample

_BYTES_PER_FILE: Final = 500_000_000  # what the Hub takes for its Parquet shards
_ROWS_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 64_000_000


class Shards:
    """The files of one split. They get their names when all are written, as each says how many
    there are.

    A split without rows has no file: `load_dataset` cannot read a Parquet file without rows.
    """

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._split = split
        self._schema = schema
        self._written = 0  # bytes in the last file
        self._paths: list[Path] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
        if error is None:
            for k, path in enumerate(self._paths):
                target = self._folder / f"{self._split}-{k:05d}-of-{len(self._paths):05d}.parquet"
                refuse_taken(target)
                path.replace(target)

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if len(table) == 0:
            return

        if self._writer is None or self._written > _BYTES_PER_FILE:
            if self._writer is not None:
                self._writer.close()
            self._written = 0
            self._paths.append(self._folder / f"{self._split}-{len(self._paths):05d}.partial")
            refuse_taken(self._paths[-1])
            self._writer = pq.ParquetWriter(self._paths[-1], self._schema)

        self._written += table.nbytes
        self._writer.write_table(table.cast(self._schema))


def check_split_name(split: str, name: str) -> None:
    """Raise for a split that `load_dataset` would not read; `name` is that of the dataset."""
    if not re.fullmatch(r"\w+(\.\w+)*", split):
        instead = re.sub(r"\W", "_", split)
        message = (
            f"{name}: load_dataset reads no split called {split!r}. Rename it, for instance"
            f" {instead!r}, or set output.splits: none, or manifest."
        )
        raise SourceError(message)


def write_samples(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:  # rows, no files
    """Samples of another form: image, label, id and what else the source has; those without a split
    are train.
    """
    features = Features({"image": Image(), "label": Value("string"), "id": Value("string")})
    others = written_names(further.names, {*features})
    columns = pa.schema([further.field(column).with_name(name) for column, name in others.items()])
    features.update(Features.from_arrow_schema(columns.remove_metadata()))

    with ExitStack() as stack:
        batches: dict[str, _Batch] = {}
        for sample in samples:
            split = sample.split or "train"
            if split not in batches:
                batches[split] = _Batch(
                    stack.enter_context(Shards(folder / "data", split, features.arrow_schema)),
                    columns,
                    others,
                )
            batches[split].add(sample)
        for batch in batches.values():
            batch.flush()

    return DatasetConfig(
        source="huggingface", path=str(folder), image_column="image", id_column="id"
    )


class _Batch:
    """Rows of one split that wait to be written together."""

    def __init__(self, shards: Shards, columns: pa.Schema, others: Mapping[str, str]) -> None:
        self._shards, self._columns, self._others = shards, columns, others
        self._rows: list[dict[str, object]] = []
        self._n_bytes = 0

    def add(self, sample: Sample) -> None:
        data = sample.content()
        self._rows.append(
            {
                "image": {"bytes": data, "path": None} if data is not None else None,
                "label": sample.label,
                "id": sample.id,
                **{name: sample.more.get(column) for column, name in self._others.items()},
            }
        )
        self._n_bytes += len(data or b"")
        if len(self._rows) >= _ROWS_AT_ONCE or self._n_bytes >= _BYTES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        schema = pa.schema(
            [
                ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                ("label", pa.string()),
                ("id", pa.string()),
                *self._columns,
            ]
        )
        self._shards.write(pa.Table.from_pylist(self._rows, schema))
        self._rows, self._n_bytes = [], 0
