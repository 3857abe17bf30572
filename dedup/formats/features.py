"""Which columns of a Hugging Face dataset hold images and labels."""

from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Features, Image

from dedup.errors import ConfigError, SourceError, because
from dedup.formats.detection import holds_encoded_images, holds_images, is_image_struct
from dedup.formats.image_lists import image_paths
from dedup.formats.labels import joined, label_text


def image_column(features: Features, named: str | None, name: str) -> str:
    """The column with the images: the named one, or the only one. `name` stands in messages.

    Images in lists and structs have a path, names with dots between them. A column of texts is one
    only if it is named: `dedup.formats.named_files` looks whether it names files.
    """
    inside = image_paths(features)
    if named in inside:
        return str(named)

    known = ", ".join(
        f"{column!r} ({type(feature).__name__})" for column, feature in features.items()
    )
    if named is not None:
        if named not in features:
            message = f"{name}: no column {named!r} (dataset.image_column). It has {known}."
            raise ConfigError(message)
        feature = features[named]
        if not isinstance(feature, Image) and not _is_binary(feature) and not is_text(feature):
            message = (
                f"{name}: column {named!r} holds no images but {feature!r}. The columns are"
                f" {known}.{_way(named, feature)}"
            )
            raise ConfigError(message)
        return named

    images = [column for column, feature in features.items() if isinstance(feature, Image)]
    if not images:
        images = [column.name for column in features.arrow_schema if holds_encoded_images(column)]

    images = images or inside
    if len(images) == 1:
        return str(images[0])

    if not images:
        ways = [
            _way(column, feature)
            for column, feature in features.items()
            if column.lower() in _LIKE_IMAGES
        ]
        message = (
            f"{name}: no image column. It has {known}; name one that holds encoded images as"
            f" dataset.image_column.{next(filter(None, ways), '')}"
        )
    else:
        message = (
            f"{name}: several image columns: {', '.join(map(repr, images))}. Choose one as"
            " dataset.image_column."
        )

    raise ConfigError(message)


_LIKE_IMAGES: Final = frozenset({
    "image", "images", "img", "picture", "pictures", "photo", "file", "file_name", "filename",
    "path", "image_path", "filepath", "file_path", "url", "image_url", "urls",
})  # fmt: skip
"""Columns that people have where images should be, in lower case."""


def _way(column: str, feature: Any) -> str:
    """How a column of texts or lists can become one of images, as a sentence; nothing for other
    columns.
    """
    if is_text(feature):
        return (
            f" If {column!r} holds paths of files in the dataset's folder, dataset.image_column:"
            f" {column} reads them, as dataset.cast_column({column!r}, datasets.Image()) would;"
            " URLs are not fetched, download what they name first (img2dataset does)."
        )

    if _items(feature) is not None:
        return (
            f" {column!r} holds lists: give each image a row of its own, with what belongs to it."
        )

    return ""


def label_column(features: Features, named: str | None, name: str) -> str | None:
    """The column with the labels: the named one, else `label`, else the only `ClassLabel`."""
    if named is not None:
        if named not in features:
            message = (
                f"{name}: no column {named!r} (dataset.label_column). It has"
                f" {', '.join(map(repr, features))}."
            )
            raise ConfigError(message)
        return named

    if "label" in features:
        return "label"

    classes = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]

    return classes[0] if len(classes) == 1 else None


def label(value: Any, feature: Any) -> str | None:
    """A stored value as a label: the name of a class, the names of several, or the value as
    text.
    """
    if value is None:
        return None

    of_items = _items(feature)
    if isinstance(of_items, ClassLabel) and isinstance(value, list):
        return joined([name for item in value if (name := label(item, of_items)) is not None])
    if isinstance(feature, ClassLabel) and isinstance(value, int):
        # -1 is the Hub's way to say that a test label is withheld
        return feature.int2str(value) if 0 <= value < feature.num_classes else None

    return label_text(value) if isinstance(value, list) else str(value)


def _items(feature: Any) -> Any:
    """What a column of lists has lists of; None for any other column."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    return getattr(feature, "feature", None)


def texts(column: pa.ChunkedArray, feature: Any = None) -> pa.ChunkedArray:
    """A column as labels or ids, as `label` says of each value. Few types need Python for it."""
    kind = column.type
    if isinstance(feature, ClassLabel) and pa.types.is_integer(kind):
        known = pc.and_(pc.greater_equal(column, 0), pc.less(column, feature.num_classes))
        return pa.chunked_array(
            [
                pa.array(feature.names, pa.string()).take(chunk)
                for chunk in pc.if_else(known, column, None).chunks
            ],
            pa.string(),
        )

    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())

    return pa.chunked_array([[label(value, feature) for value in column.to_pylist()]], pa.string())


def is_text(feature: Any) -> bool:
    """Whether a column holds texts."""
    return getattr(feature, "dtype", "") in {"string", "large_string"}


def _is_binary(feature: Any) -> bool:
    return getattr(feature, "dtype", "") in {"binary", "large_binary"}


def features_of(schema: pa.Schema, name: str) -> Features:
    """Features of the rows of a file. Files that `datasets` did not write do not say that a struct
    is an image.
    """
    try:
        features = Features.from_arrow_schema(schema)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        message = (
            f"{name}: a column has a type that Hugging Face datasets do not know: {because(error)}."
        )
        raise SourceError(message) from error

    for column in schema:
        if not isinstance(features[column.name], Image):
            features[column.name] = _with_images(features[column.name], column.type)

    return features


def _with_images(feature: Any, kind: pa.DataType) -> Any:
    """A feature in which structs of bytes and path are images, at any depth."""
    if not holds_images(kind):
        return feature
    if is_image_struct(kind):
        return Image()
    if isinstance(feature, dict):
        return {name: _with_images(inner, kind.field(name).type) for name, inner in feature.items()}

    items = _items(feature)
    if items is None:
        return feature

    inner = _with_images(items, kind.value_type)

    return [inner] if isinstance(feature, list) else replace(feature, feature=inner)
