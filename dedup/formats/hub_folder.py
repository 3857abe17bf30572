"""Files of the splits of a folder that is a Hugging Face dataset, found as `load_dataset` does."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq

from dedup.config import DatasetConfig
from dedup.errors import SourceError, because
from dedup.files import inside
from dedup.formats.detection import has_images
from dedup.formats.hub_errors import UNREADABLE, asked_wrongly
from dedup.formats.hub_files import SHARD, refuse_gaps
from dedup.formats.stored import (
    arrow_table,
)


def files_of_folder(folder: Path, config: DatasetConfig) -> dict[str, list[str]]:
    """Files of each split of a folder, found the way `load_dataset` finds them."""
    try:
        with _offline():
            files = of_builder(_builder_of_folder(folder, config))
    except (*UNREADABLE, ImportError, RuntimeError) as error:
        message = f"{folder}: cannot be read as a Hugging Face dataset: {because(error)}."
        raise asked_wrongly(str(folder), error, config) or SourceError(message) from error

    for path in (path for paths in files.values() for path in paths):
        if "://" in path or not inside(Path(path), folder):
            message = (
                f"{folder}: its README names {path!r} as data, which is not in the folder. Copy it"
                " there."
            )
            raise SourceError(message)

    if not config.data_files:
        files = _with_rows_of_images(files, folder)

    return of_asked_splits(files, config, str(folder))


def _builder_of_folder(folder: Path, config: DatasetConfig) -> Any:
    """What finds the files of the splits; other files beside them, such as archives, are nothing to
    it.
    """
    data_files = list(config.data_files) or None
    try:
        return datasets.load_dataset_builder(str(folder), config.name, data_files=data_files)
    except (zipfile.BadZipFile, *UNREADABLE):
        # It looks into archives to tell what kind of dataset this is, which is known here. Where a
        # README names the files, what is wrong may be the README.
        is_described = (folder / "README.md").exists()
        if is_described or config.name is not None or data_files is not None:
            raise
        return datasets.load_dataset_builder("parquet", data_dir=str(folder))


def of_builder(builder: Any) -> dict[str, list[str]]:
    """The files of each split that a builder of `datasets` found."""
    return {
        str(split): [str(file) for file in of]
        for split, of in (builder.config.data_files or {}).items()
    }


def _with_rows_of_images(files: Mapping[str, list[str]], folder: Path) -> dict[str, list[str]]:
    """The Parquet and Arrow files of each split; where some have images, only these.

    `load_dataset` goes by what most files are: with a few pictures beside the shards these would be
    the dataset.
    """
    tables = {
        split: [file for file in of if file.endswith((".parquet", ".arrow"))]
        for split, of in files.items()
    }
    if not any(tables.values()):
        found = sorted(
            str(path) for suffix in ("parquet", "arrow") for path in folder.rglob(f"*.{suffix}")
        )
        tables = {"train": found}

    schemas = {file: _schema(file) for of in tables.values() for file in of}
    images = {file for file, schema in schemas.items() if schema is None or has_images(schema)}
    wanted = images if any(schemas[file] is not None for file in images) else set(schemas)
    families = {shard[1] for file in wanted if (shard := SHARD.match(file))}
    wanted |= {file for file in schemas if (shard := SHARD.match(file)) and shard[1] in families}
    kept = {split: [file for file in of if file in wanted] for split, of in tables.items()}

    return {split: of for split, of in kept.items() if of}


def _schema(file: str) -> pa.Schema | None:
    """The schema of a Parquet or Arrow file, None for one that cannot be read: whoever opens it
    says why.
    """
    try:
        return arrow_table(file).schema if file.endswith(".arrow") else pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return None


@contextmanager
def _offline() -> Iterator[None]:
    """A local folder never leads to the network, whatever its README says."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def of_asked_splits(
    files: Mapping[str, list[str]], config: DatasetConfig, name: str
) -> dict[str, list[str]]:
    """The files of the splits that `dataset.split` names, of which no shard is missing."""
    bases = {re.split(r"\[", part)[0].strip() for spec in config.split for part in spec.split("+")}
    asked = {
        split: of
        for split, of in files.items()
        if not bases or split in bases or bases - set(files)
    }
    for of in asked.values():
        refuse_gaps(of, name)

    return asked
