"""What the stored rows of a split say of their samples: ids, splits and labels, no pictures."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, SourceError
from dedup.formats.features import label_column, texts
from dedup.formats.image_lists import (
    EachImage,
    has_several,
)
from dedup.formats.source import ROWS
from dedup.formats.stored import Split


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


def rows_of(split: Split, config: DatasetConfig, name: str) -> pa.Table:
    """ROWS of one split, without reading any picture."""
    normal = normal_split(split.raw_name)
    labelled = label_column(split.features, config.label_column, name)
    columns = [c for c in (config.id_column, labelled) if c]
    for column in columns:
        if column not in split.features:
            known = ", ".join(map(repr, split.features))
            message = f"{name}: split {split.raw_name!r} has no column {column!r}. It has {known}."
            raise ConfigError(message)

    n = split.n_rows
    read = list(split.stored.tables(columns, 100_000)) if columns else []
    labels: Any = pa.nulls(n, pa.string())

    if config.id_column:
        ids = _whole(texts(table[config.id_column]) for table in read)
        if ids.null_count:
            message = (
                f"{name}: split {split.raw_name!r}, row"
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

    if len(ids) != n or len(labels) != n:
        message = (
            f"{name}: split {split.raw_name!r} has {n:,} rows by its metadata, and {len(ids):,} ids"
            f" and {len(labels):,} labels can be read: a file of it is damaged. Write it again."
        )
        raise SourceError(message)

    return pa.table(
        [ids, pa.repeat(pa.scalar(normal, pa.string()), n), labels, pa.nulls(n, pa.string())],
        ROWS,
    )
