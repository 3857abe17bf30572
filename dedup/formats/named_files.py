"""A column of texts that name picture files, shown as a column of images: what `cast_column` does
to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image
from numpy.typing import NDArray

from dedup.errors import ConfigError
from dedup.files import inside
from dedup.formats.features import is_text
from dedup.formats.stored import Split, Stored
from dedup.paths import is_file

_TEXTS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Rows of which one column names files. The files are read where pictures are, never here."""

    stored: Stored
    column: str
    kind: pa.DataType  # the struct of images
    root: Path | None  # that the paths start from; None: from the working folder

    def tables(self, columns: Sequence[str] | None, size: int) -> Iterator[pa.Table]:
        """All rows in order."""
        for table in self.stored.tables(columns, size):
            yield self._shown(table) if self.column in table.column_names else table

    def take(self, column: str, rows: Sequence[int]) -> list[Any]:
        """Values of one column in the named rows."""
        values = self.stored.take(column, rows)
        if column != self.column:
            return values

        return [{"bytes": None, "path": text} if text else None for text in values]

    def places(self, column: str, size: int) -> Iterator[pa.RecordBatch | pa.Table]:
        """The column: its bytes are in files of their own."""
        return self.tables([column], size)

    def select(self, start: int, stop: int) -> "NamedFiles":
        """A range of the rows."""
        return replace(self, stored=self.stored.select(start, stop))

    def dataset(self, kept: NDArray[Any]) -> Dataset:
        """The kept rows, the column cast to images."""
        rows = self.stored.dataset(kept)
        order = rows.column_names
        texts = [
            self._whole(text) for text in rows.with_format("arrow")[:][self.column].to_pylist()
        ]
        named: Dataset = rows.remove_columns(self.column).add_column(self.column, texts)

        return named.select_columns(order).cast_column(self.column, Image())

    def _whole(self, text: str | None) -> str | None:
        return text if self.root is None or not text else str(self.root / text)

    def _shown(self, table: pa.Table) -> pa.Table:
        texts = table[self.column].cast(pa.string()).combine_chunks()
        absent = pc.fill_null(pc.equal(texts, ""), True)  # of Arrow's own making
        fields = [
            texts if field.name == "path" else pa.nulls(len(texts), field.type)
            for field in self.kind
        ]
        images = pa.StructArray.from_arrays(fields, fields=list(self.kind), mask=absent)
        place = table.column_names.index(self.column)

        return table.set_column(place, pa.field(self.column, self.kind), images)


def with_images(
    splits: Sequence[Split], column: str, name: str, root: Path | None
) -> Sequence[Split]:
    """The splits with their column of paths as one of images; as they are where it is one already.

    Raises `ConfigError` for URLs, and for texts of which none names a file below `root`.
    """
    texts = {split.raw_name for split in splits if is_text(split.features[column])}
    if not texts:
        return splits

    _refuse_urls(splits, column, name)
    if not any(_names_a_file(text, root) for split in splits for text in texts_of(split, column)):
        raise _no_files(splits[0].features, column, name, root)

    return [
        _as_images(split, column, root) if split.raw_name in texts else split for split in splits
    ]


def texts_of(split: Split, column: str) -> Iterator[str]:
    """The texts of a column of images or paths that are not empty."""
    for table in split.stored.tables([column], _TEXTS_AT_ONCE):
        values = table[column]
        texts = pc.struct_field(values, "path") if pa.types.is_struct(values.type) else values
        yield from filter(None, texts.to_pylist())


def files_of(splits: Sequence[Split], column: str, root: Path) -> Iterator[Path]:
    """The files below `root` that are named."""
    for split in splits:
        if isinstance(split.stored, NamedFiles):
            named = (root / text for text in texts_of(split, column) if "\0" not in text)
            yield from (path for path in named if inside(path, root))


def _as_images(split: Split, column: str, root: Path | None) -> Split:
    features = Features({**split.features, column: Image()})
    kind = features.arrow_schema.field(column).type

    return replace(split, features=features, stored=NamedFiles(split.stored, column, kind, root))


def _names_a_file(text: str, root: Path | None) -> bool:
    path = Path(text) if root is None else root / text

    return "\0" not in text and (root is None or inside(path, root)) and is_file(path)


def _refuse_urls(splits: Sequence[Split], column: str, name: str) -> None:
    for split in splits:
        for row, text in enumerate(texts_of(split, column)):
            if "://" in text:
                message = (
                    f"{name}: column {column!r} (dataset.image_column) holds URLs; of split"
                    f" {split.raw_name!r} text {row + 1} is {text!r}. They are not fetched, as what"
                    " they name can change or be gone. Download the pictures (img2dataset does),"
                    " and give their paths or bytes."
                )
                raise ConfigError(message)


def _no_files(features: Features, column: str, name: str, root: Path | None) -> ConfigError:
    known = ", ".join(
        f"{other!r} ({type(feature).__name__})" for other, feature in features.items()
    )
    where = "from the working folder" if root is None else f"below {str(root)!r}"

    return ConfigError(
        f"{name}: column {column!r} holds no images: it has texts, and none names a file {where}."
        f" The columns are {known}. Name one with images, or put the files where the paths say."
    )
