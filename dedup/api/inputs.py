"""Datasets as Python programs hold them: tables, lists of pictures, torchvision's folders, as
`datasets` has them.
"""

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from PIL import Image

from dedup.errors import ConfigError, SourceError

_PICTURES: Final = (
    ".avif",
    ".bmp",
    ".gif",
    ".heic",
    ".jpeg",
    ".jpg",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)
# modes that PNG holds without a loss
_STORED: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_LOOKED_AT: Final = 100  # values of a column that tell what it holds


def as_dataset(given: Any, settings: dict[str, Any]) -> Any:
    """What `datasets` has for it; anything else as it is. Settings that say which column holds what
    are used up.

    Understood are dicts of datasets, pandas DataFrames and Arrow tables with a column of images or
    of paths, lists of paths, of encoded bytes or of PIL pictures, and what has `samples` and
    `classes` as torchvision's `ImageFolder`.
    """
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if isinstance(given, pa.Table):
        return _of_table(given, settings)
    if type(given).__name__ == "DataFrame" and hasattr(given, "columns"):
        return _of_table(_table_of(given), settings)
    if hasattr(given, "samples") and hasattr(given, "classes"):
        return _of_image_folder(given)
    if isinstance(given, list | tuple) and given and _is_picture(given[0]):
        return _of_pictures(given)
    return given


def _is_picture(value: Any) -> bool:
    """Whether it is one picture, and not a dataset: a path must have the name of an image file."""
    if isinstance(value, str | os.PathLike):
        return Path(value).suffix.lower() in _PICTURES
    return isinstance(value, bytes | Image.Image)


def _of_mapping(given: Mapping[str, Any]) -> Any:
    import datasets  # a second, that other inputs have no use for

    if isinstance(given, datasets.DatasetDict | datasets.IterableDatasetDict):
        return given

    values = list(given.values())
    for kind, of_kind in (
        (datasets.Dataset, datasets.DatasetDict),
        (datasets.IterableDataset, datasets.IterableDatasetDict),
    ):
        if values and all(isinstance(value, kind) for value in values):
            return of_kind(given)

    others = ", ".join(sorted({type(value).__name__ for value in values})) or "nothing"
    message = (
        "A dict of datasets has a datasets.Dataset (or IterableDataset) for each split; this one"
        f" has {others}."
    )
    raise SourceError(message)


def _of_pictures(given: Sequence[Any]) -> Any:
    """Rows in the order given; ids of files are their paths."""
    import datasets

    encoded = [_encoded(value, f"images[{k}]") for k, value in enumerate(given)]
    columns: dict[str, Any] = {"image": encoded}

    return datasets.Dataset.from_dict(
        columns, features=datasets.Features({"image": datasets.Image()})
    )


def _of_image_folder(given: Any) -> Any:
    import datasets

    paths, classes = zip(*given.samples, strict=True) if given.samples else ((), ())
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(given.classes))}
    )
    columns = {"image": [_encoded(path, repr(path)) for path in paths], "label": list(classes)}

    return datasets.Dataset.from_dict(columns, features=features)


def _table_of(frame: Any) -> pa.Table:
    """A DataFrame as an Arrow table; PIL pictures in it become encoded ones."""
    columns = {}
    for name in frame.columns:
        values = frame[name].tolist()
        is_pictures = any(isinstance(value, Image.Image) for value in values[:_LOOKED_AT])
        if is_pictures:
            where = f"column {name!r}, row"
            values = [
                None if v is None else _encoded(v, f"{where} {k}") for k, v in enumerate(values)
            ]
        columns[str(name)] = pa.array(values, from_pandas=True)

    return pa.table(columns)


def _of_table(table: pa.Table, settings: dict[str, Any]) -> Any:
    import datasets

    of = settings.get("dataset", {})
    column = (
        of.pop("image_column", None) or of.pop("path_column", None) or of.pop("bytes_column", None)
    )
    column = _image_column(table) if column is None else str(column)

    if column not in table.column_names:
        message = (
            f"The table has no column {column!r}. It has"
            f" {', '.join(map(repr, table.column_names))}."
        )
        raise ConfigError(message)

    held = table[column]
    if pa.types.is_string(held.type) or pa.types.is_large_string(held.type):
        held = pa.array(
            [None if path is None else {"bytes": None, "path": path} for path in held.to_pylist()]
        )
    elif pa.types.is_binary(held.type) or pa.types.is_large_binary(held.type):
        held = pa.array(
            [None if data is None else {"bytes": data, "path": None} for data in held.to_pylist()]
        )

    settings.setdefault("dataset", {})["image_column"] = column
    at = table.column_names.index(column)
    dataset = datasets.Dataset(table.set_column(at, column, held).replace_schema_metadata(None))

    return dataset.cast_column(column, datasets.Image())


def _image_column(table: pa.Table) -> str:
    """The only column of images; where there is none, the only one of paths of images."""
    images = [name for name in table.column_names if _holds_images(table[name].type)]
    paths = [name for name in table.column_names if _looks_like_paths(table[name])]
    found = images or paths
    if len(found) == 1:
        return str(found[0])

    named = ", ".join(f"{name!r} ({table[name].type})" for name in table.column_names)
    if found:
        what = "images" if images else "paths of images"
        message = (
            f"Several columns hold {what}: {', '.join(map(repr, found))}. Name one:"
            f" image_column={found[0]!r}."
        )
    else:
        message = (
            "The table has no column of images, and none that looks like paths of images. It has"
            f" {named}. Name the one to use: image_column='…' for encoded images, path_column='…'"
            " for paths."
        )

    raise ConfigError(message)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return "bytes" in [field.name for field in kind]
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _looks_like_paths(column: pa.ChunkedArray) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    values = [value for value in column.slice(0, _LOOKED_AT).to_pylist() if value]
    return bool(values) and all(Path(value).suffix.lower() in _PICTURES for value in values)


def _encoded(value: Any, where: str) -> dict[str, Any]:
    """A picture as `datasets` stores it; `where` stands in messages."""
    if isinstance(value, str | os.PathLike):
        return {"bytes": None, "path": os.fspath(value)}
    if isinstance(value, bytes):
        return {"bytes": value, "path": None}

    if not isinstance(value, Image.Image):
        message = (
            f"{where}: expected a path, encoded bytes or a PIL picture, got {type(value).__name__}."
        )
        raise SourceError(message)

    return {"bytes": png(value, where), "path": None}


def png(image: Image.Image, where: str) -> bytes:
    """A PIL picture as PNG, without a loss where PNG has its mode; raises `SourceError` for one
    without pixels.
    """
    if not image.width or not image.height:
        message = f"{where}: the picture has no pixels ({image.width} × {image.height})."
        raise SourceError(message)

    sink = BytesIO()
    whole = image if image.mode in _STORED else image.convert("RGB")
    whole.save(sink, "PNG", compress_level=1)

    return sink.getvalue()
