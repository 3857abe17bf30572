"""Which columns of a manifest play which part, and which splits its names mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError
from dedup.formats.places import is_url
from dedup.formats.records import first_record
from dedup.formats.source import (
    check_split_names,
    split_named,
)
from dedup.formats.tabular import Records
from dedup.paths import is_file

_DEFAULT_COLUMNS: Final = {
    "path": (
        *("path", "file_name", "filename", "filepath", "file_path", "image_path", "file"),
        *("img_path", "image_file", "image_name", "image", "img"),
    ),
    "bytes": ("bytes", "image_bytes"),
    "id": ("id",),
    "split": ("split",),
    "label": ("label", "class"),
}


def lists_files(path: Path) -> bool:
    """Whether a file is a manifest by its looks: the first row has a path, under a usual name, of a
    file beside it.

    Metadata of an image folder (`metadata.csv` and the like) is none.
    """
    if path.stem == "metadata":
        return False

    named = first_record(path, _DEFAULT_COLUMNS["path"])
    name = next((named[column] for column in _DEFAULT_COLUMNS["path"] if named.get(column)), None)
    if not isinstance(name, str) or is_url(name) or "\0" in name:
        return False

    return is_file(path.parent / name)


def columns_of_parts(records: Records, config: DatasetConfig, file: str) -> dict[str, str | None]:
    """The column that plays each part, or None."""
    names = records.names
    columns: dict[str, str | None] = {}
    for part, usual in _DEFAULT_COLUMNS.items():
        named = getattr(config, f"{part}_column")
        if named is not None and named not in names:
            message = (
                f"{file}: no column {named!r} (dataset.{part}_column). It has"
                f" {', '.join(map(repr, names))}."
            )
            raise ConfigError(message)
        there = (name for name in usual if name in names and _may_be(part, name, records))
        columns[part] = named or next(there, None)

    if columns["bytes"] and not records.is_binary(columns["bytes"]):
        if config.bytes_column:
            message = (
                f"{file}: column {config.bytes_column!r} (dataset.bytes_column) does not"
                " hold bytes."
            )
            raise ConfigError(message)
        columns["bytes"] = None  # the size of the file, most likely

    if columns["path"] is None and columns["bytes"] is None:
        raise _no_paths(names, file)

    return columns


def _no_paths(names: Sequence[str], file: str) -> ConfigError:
    """The error for a file that has neither paths nor bytes, with what may be wrong with it."""
    separated = len(names) == 1 and next((mark for mark in ";\t|" if mark in names[0]), None)
    remedy = (
        f"it seems to be separated by {separated!r}: separate it by commas, or by tabs in a .tsv."
        if separated
        else (
            "name one of them as dataset.path_column or dataset.bytes_column, or call it"
            " 'path' or 'bytes'."
        )
    )
    message = (
        f"{file}: no column with paths or bytes. It has {', '.join(map(repr, names))}; {remedy}"
    )
    return ConfigError(message)


def _may_be(part: str, column: str, records: Records) -> bool:
    """Whether a column can play a part by its type: bytes are not paths."""
    return part != "path" or not records.is_binary(column)


def meant_splits(
    raw_splits: Sequence[str | None], config: DatasetConfig, name: str, file: str
) -> dict[str, str | None]:
    """The split that each name in the column means."""
    if not config.splits:
        normal = {raw: normal_split(raw) for raw in set(raw_splits) if raw is not None}
        check_split_names(normal, name)
        return normal

    rows = {raw: row for row, raw in reversed([*enumerate(raw_splits, start=1)]) if raw is not None}
    found = {raw: split_named(raw, config, file, f"row {row}") for raw, row in rows.items()}

    # the first name of a split is the one that moved rows get
    return dict(sorted(found.items(), reverse=True))
