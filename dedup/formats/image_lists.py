"""Columns that hold several images in a row, or images inside other values: each image becomes a
sample of its row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image
from numpy.typing import NDArray

from dedup.formats.stored import Split, Stored

_ROWS_AT_ONCE = 1000

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EachImage:
    """Rows of which one column holds images at some depth, shown with a row for each image.

    A row without images is shown once, without one: it is a sample that has none.
    """

    stored: Stored
    column: str  # the path of the images, as names with dots between them
    kind: pa.DataType  # of the column of the stored rows
    row_of: Rows  # the row of each image, from the first that is stored here

    @property
    def has_several(self) -> bool:
        """Whether a row can have several images."""
        return _has_lists(self.kind, self.column.split(".")[1:])

    @property
    def top(self) -> str:
        """The column of the stored rows."""
        return self.column.partition(".")[0]

    @property
    def place_of(self) -> Rows:
        """Which image of its row each one is, from 0 on."""
        starts = np.flatnonzero(np.diff(self.row_of, prepend=-1))

        return np.arange(len(self.row_of)) - np.repeat(starts, np.diff([*starts, len(self.row_of)]))

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """A row for each image, in order."""
        wanted = None if columns is None else list(dict.fromkeys(map(self._own, columns)))
        if wanted is not None and self.top not in wanted:
            yield from self._repeated(wanted, size)
            return

        for table in self.stored.tables(wanted, size):
            rows, images = images_in(table[self.top], self.column)
            at = pa.array(rows)
            yield pa.table(
                {
                    self.column if name == self.top else name: (
                        images if name == self.top else table[name].take(at)
                    )
                    for name in table.column_names
                }
            )

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column of the named images."""
        own = self.row_of[np.asarray(rows, np.int64)]
        distinct, which = np.unique(own, return_inverse=True)
        values = self.stored.take(self._own(column), distinct.tolist())
        if column != self.column:
            return [values[k] for k in which.tolist()]

        found, images = images_in(pa.chunked_array([pa.array(values, self.kind)]), self.column)
        first = np.searchsorted(found, which)
        place_of = self.place_of[np.asarray(rows, np.int64)]

        return list(images.take(pa.array(first + place_of)).to_pylist())

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """The column: where values inside others lie cannot be said."""
        return self.tables([column], size)

    def select(self, start: int, stop: int) -> "EachImage":
        """A range of the images, whole rows."""
        raise NotImplementedError  # ranges are taken of rows, before this is made

    def dataset(self, kept: NDArray[np.int64]) -> Dataset:
        """The rows of the kept images, each once."""
        return self.stored.dataset(np.unique(self.row_of[kept]))

    def _own(self, column: str) -> str:
        return self.top if column == self.column else column

    def _repeated(self, columns: Sequence[str], size: int) -> Iterator[pa.Table]:
        first = 0
        for table in self.stored.tables(columns, size):
            low, high = np.searchsorted(self.row_of, [first, first + len(table)])
            yield table.take(pa.array(self.row_of[low:high] - first))
            first += len(table)


def image_paths(features: Mapping[str, Any]) -> list[str]:
    """The paths of images inside lists and structs: names with dots between them.

    >>> image_paths({"images": [Image()], "turns": [{"image": Image(), "text": None}]})
    ['images', 'turns.image']
    """
    return [
        path
        for column, feature in features.items()
        if not isinstance(feature, Image)
        for path in _paths(feature, column)
    ]


def by_image(splits: Sequence[Split], column: str) -> list[Split]:
    """The splits with a row for each image; `column` is the path of the images."""
    return [_shown(split, column) for split in splits]


def has_several(split: Split) -> bool:
    """Whether a row of the split can have several images."""
    return isinstance(split.stored, EachImage) and split.stored.has_several


def images_in(column: pa.ChunkedArray, path: str) -> tuple[Rows, pa.Array]:
    """The row of each image of a column, and the images; a row without any has a null."""
    array = pa.chunked_array(column).combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    rows = np.arange(len(array), dtype=np.int64)
    array, rows = _flat(array, rows)
    for name in path.split(".")[1:]:
        array, rows = _flat(pc.struct_field(array, name), rows)

    counts = np.bincount(rows, minlength=len(column))
    shown = np.repeat(np.arange(len(column)), np.maximum(counts, 1))
    at = np.full(len(shown), -1, dtype=np.int64)
    at[counts[shown] > 0] = np.arange(len(rows))

    return shown, array.take(pa.array(at, mask=at < 0))


def _flat(array: pa.Array, rows: Rows) -> tuple[pa.Array, Rows]:
    """The items of lists within lists; null lists have none."""
    while _is_list(array.type):
        rows = rows[pc.list_parent_indices(array).to_numpy().astype(np.int64)]
        array = pc.list_flatten(array)

    return array, rows


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _has_lists(kind: pa.DataType, names: Sequence[str]) -> bool:
    while names or _is_list(kind):
        if _is_list(kind):
            return True
        kind, names = kind.field(names[0]).type, names[1:]

    return False


def _paths(feature: Any, path: str) -> Iterator[str]:
    if isinstance(feature, Image):
        yield path
    elif isinstance(feature, Mapping):
        for name, inner in feature.items():
            yield from _paths(inner, f"{path}.{name}")
    elif isinstance(feature, list) and len(feature) == 1:
        yield from _paths(feature[0], path)
    elif getattr(feature, "feature", None) is not None:
        yield from _paths(feature.feature, path)


def _shown(split: Split, column: str) -> Split:
    top = column.partition(".")[0]
    found, first = [np.empty(0, np.int64)], 0
    for table in split.stored.tables([top], _ROWS_AT_ONCE):
        rows, _ = images_in(table[top], column)
        found.append(rows + first)
        first += len(table)

    row_of = np.concatenate(found)
    kind = split.features.arrow_schema.field(top).type
    features = Features(
        {
            column if name == top else name: Image() if name == top else feature
            for name, feature in split.features.items()
        }
    )

    return replace(
        split,
        features=features,
        n_rows=len(row_of),
        stored=EachImage(split.stored, column, kind, row_of),
    )


def replaced(value: Any, images: Iterator[Any]) -> Any:
    """A value with the images in it replaced, in order."""
    if isinstance(value, list):
        return [replaced(item, images) for item in value]

    if isinstance(value, dict):
        if {*value} == {"bytes", "path"}:
            return next(images)
        return {name: replaced(inner, images) for name, inner in value.items()}

    return value


def listed_in(value: Any) -> Iterator[Any]:
    """The images in a value, in the order in which `replaced` takes them."""
    if isinstance(value, list):
        for item in value:
            yield from listed_in(item)
    elif isinstance(value, dict):
        if {*value} == {"bytes", "path"}:
            yield value
        else:
            for inner in value.values():
                yield from listed_in(inner)
