"""Splits from files of the Hub or of a folder, with the columns that their files have in common."""

import re
from collections.abc import Sequence
from typing import Any, Final

import datasets
import pyarrow as pa

from dedup.errors import SourceError, because
from dedup.formats.features import features_of
from dedup.formats.footers import PARQUET_ERRORS
from dedup.formats.stored import (
    ArrowTable,
    ParquetFiles,
    Split,
    arrow_table,
    fitted,
    parquet_file,
)

SHARD: Final = re.compile(r"(.*)-(\d{5,6})-of-(\d{5,6})(\.\w+)$")


def refuse_gaps(files: Sequence[str], name: str) -> None:
    """Raise for a shard that the names of the others tell of."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        if shard := SHARD.match(file):
            found.setdefault((shard[1], shard[3], shard[4]), set()).add(int(shard[2]))

    for (start, total, suffix), numbers in sorted(found.items()):
        if missing := sorted(set(range(int(total))) - numbers):
            first = f"{start}-{missing[0]:0{len(total)}d}-of-{total}{suffix}"
            message = (
                f"{name}: {len(missing)} of {int(total)} shards are missing, the first is"
                f" {first!r}. Get them again."
            )
            raise SourceError(message)


def of_files(split: str, files: Sequence[str]) -> Split:
    """The rows of a split's files, Arrow or Parquet, with the features that all of them fit."""
    if not files:
        message = f"Split {split!r} has no files."
        raise SourceError(message)

    if all(file.endswith(".arrow") for file in files):
        tables = [_opened(file, arrow_table, "Arrow") for file in files]
        features = _common_features(files, [table.schema for table in tables])
        table = pa.concat_tables([fitted(table, features.arrow_schema) for table in tables])
        return Split(split, features, len(table), ArrowTable(table, features))

    parquet = [_opened(file, parquet_file, "Parquet") for file in files]
    n_rows = sum(file.metadata.num_rows for file in parquet)
    features = _common_features(files, [file.schema_arrow for file in parquet])

    return Split(split, features, n_rows, ParquetFiles(tuple(files), 0, n_rows, features))


def _common_features(files: Sequence[str], schemas: Sequence[pa.Schema]) -> datasets.Features:
    """Features that hold the rows of all files: columns in the order of the first one, types from
    where values are.

    A column may be in another order in another file, and have no values at all in one, which makes
    it one of nulls. Raises `SourceError` for files that do not fit together, before anything is
    read of them.
    """
    features = [features_of(schema, file) for schema, file in zip(schemas, files, strict=True)]
    first = features[0]
    for file, other in zip(files, features, strict=True):
        if {*other} != {*first}:
            message = (
                f"{file}: its columns are {list(other)}, those of {files[0]} are {list(first)}."
                " Give all the same ones."
            )
            raise SourceError(message)

    common = {
        column: next((of[column] for of in features if not _is_null(of[column])), first[column])
        for column in first
    }
    for file, other in zip(files, features, strict=True):
        for column, feature in common.items():
            if not (_is_null(other[column]) or _fits(other[column], feature)):
                message = (
                    f"{file}: its column {column!r} is {other[column]!r}, in other files it is"
                    f" {feature!r}. Give all files the same types."
                )
                raise SourceError(message)

    return datasets.Features(common)


def _is_null(feature: Any) -> bool:
    return getattr(feature, "dtype", "") == "null"


def _fits(feature: Any, common: Any) -> bool:
    """Whether values of a feature can be read as another one: the same, or a type that Arrow casts
    to it.
    """
    one, two = (datasets.Features({"x": f}).arrow_schema.field("x").type for f in (feature, common))
    return bool(one == two) or _castable(one, two)


def _castable(one: pa.DataType, two: pa.DataType) -> bool:
    try:
        pa.array([], one).cast(two)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False

    # Numbers can be cast to texts and back, but a column is not both.
    texts = [pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in (one, two)]

    return bool(texts[0] == texts[1])


def _opened(file: str, read: Any, what: str) -> Any:
    try:
        return read(file)
    except PARQUET_ERRORS as error:
        message = f"{file}: cannot be read as {what}: {because(error)}. Get the file again."
        raise SourceError(message) from error
