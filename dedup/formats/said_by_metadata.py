"""What metadata says of the files of an image folder: which there are, ids, splits and labels."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, SourceError
from dedup.formats.labels import label_text
from dedup.formats.metadata import Metadata, Parts
from dedup.formats.source import (
    check_split_names,
    split_named,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What metadata says of one file."""

    id: str | None = None
    split: str | None = None
    label: str | None = None
    # the metadata has a column of labels: null means none, whatever the folder is called
    labelled: bool = False


def said_of(
    metadata_files: Sequence[Metadata], config: DatasetConfig, split_column: str
) -> dict[Parts, Said]:
    """What metadata says of each file; where several rows name one file, the first."""
    said: dict[Parts, Said] = {}
    named_columns = [
        c for c in (config.id_column, config.label_column, config.split_column) if c is not None
    ]
    _refuse_columns(metadata_files, config)

    for metadata in metadata_files:
        for column in named_columns:
            if column not in metadata.records.names:
                known = ", ".join(map(repr, metadata.records.names))
                message = f"{metadata.name}: no column {column!r}. It has {known}."
                raise ConfigError(message)
        ids = metadata.texts([config.id_column] if config.id_column else [])
        of_label = [config.label_column] if config.label_column else ["label", "class"]
        labels = [label_text(text) for text in metadata.texts(of_label)]
        labelled = bool({*of_label} & {*metadata.records.names})
        raw = metadata.texts([split_column])
        if not config.splits:
            check_split_names(
                {name: normal_split(name) for name in raw if name is not None}, metadata.name
            )
        for row, (parts, name, text, label) in enumerate(
            zip(metadata.files, ids, raw, labels, strict=True), 1
        ):
            split = split_named(text, config, metadata.name, f"row {row}")
            said.setdefault(parts, Said(name, split, label, labelled))

    return said


def _refuse_columns(metadata_files: Sequence[Metadata], config: DatasetConfig) -> None:
    """A folder without metadata has no columns to name."""
    keys = [
        key
        for key in ("image_column", "id_column", "split_column", "label_column")
        if getattr(config, key)
    ]
    if keys and not metadata_files:
        problems = [
            f"dataset.{key}: not used by the form 'imagefolder' without metadata; take it out."
            for key in keys
        ]
        raise ConfigError(*problems)


def with_named(
    files: Sequence[Parts], metadata_files: Sequence[Metadata], is_there: Callable[[Parts], bool]
) -> list[Parts]:
    """The samples: scanned files and files that only metadata names, without the files of other
    image columns.
    """
    scanned = set(files)
    named = {parts for metadata in metadata_files for parts in metadata.files}
    missing = {p for p in named - scanned if not is_there(p)}

    if missing:
        metadata, first = next((m, p) for m in metadata_files for p in m.files if p in missing)
        text = f"{metadata.name} names files that do not exist, the first is {'/'.join(first)!r}"
        if not named - missing:
            message = (
                f"{text}: none of them does. file_name is relative to the folder of the metadata."
            )
            raise SourceError(message)
        logger.warning(
            "%s, %s in all. They are listed as missing: restore them or remove their rows.",
            text,
            f"{len(missing):,}",
        )

    companions = {
        p for metadata in metadata_files for column in metadata.companions.values() for p in column
    }

    return sorted(named | (scanned - companions))
