"""Forms of datasets: one file each says how its samples are read and how its filtered splits are written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.config import DatasetConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats.imagefolder import ImageFolder
from dedup.formats.manifest import SUFFIXES, Manifest
from dedup.formats.source import PAYLOAD, ROWS, Source, read_bytes
from dedup.images import FILE_SUFFIXES

__all__ = ["PAYLOAD", "ROWS", "Source", "detect", "keys_of", "open_source", "read_bytes"]


_UNUSED = {
    "imagefolder": ("path_column", "bytes_column", "image_column", "id_column", "split_column", "label_column"),
    "manifest": ("image_column", "top_folders"),
    "huggingface": ("path_column", "bytes_column", "split_column", "default_split", "top_folders"),
}
"""Keys of `dataset` that say nothing about a form."""


def open_source(config: DatasetConfig, dataset: Any = None) -> Source:
    """The dataset that the config names, or the `datasets` object given."""
    if dataset is not None:
        from dedup.formats.huggingface import in_memory  # `datasets` takes a second to import

        _refuse_unused(config, "huggingface")
        return in_memory(dataset, config)
    if config.path is None or not config.path.strip():
        message = "dataset.path: no dataset is named. Give a path."
        raise ConfigError(message)
    if "://" in config.path:
        message = f"dataset.path: {config.path!r} is not local; datasets on the Hub and other URLs are not built yet."
        raise ConfigError(message)
    path = Path(config.path).expanduser()
    if not path.exists():
        message = f"dataset.path: {config.path!r} does not exist."
        raise ConfigError(message)
    form = detect(path) if config.source == "auto" else config.source
    _refuse_unused(config, form)
    if form == "huggingface":
        from dedup.formats.huggingface import on_disk  # `datasets` takes a second to import

        return on_disk(path, config)
    if path.is_dir() != (form == "imagefolder"):
        message = f"dataset.source is {form!r}, but {config.path!r} is a {'folder' if path.is_dir() else 'file'}."
        raise ConfigError(message)
    return ImageFolder(path, config) if form == "imagefolder" else Manifest(path, config)


def keys_of(form: str) -> tuple[str, ...]:
    """Keys of `dataset` besides path and source that mean something to a form."""
    return tuple(key for key in DatasetConfig.model_fields if key not in {"path", "source", *_UNUSED[form]})


def _refuse_unused(config: DatasetConfig, form: str) -> None:
    defaults = DatasetConfig()
    problems = [
        f"dataset.{key}: not used by the form {form!r}, which this dataset has; take it out."
        for key in _UNUSED[form]
        if getattr(config, key) != getattr(defaults, key)
    ]
    if problems:
        raise ConfigError(*problems)


def detect(path: Path) -> str:
    """The form of what lies at `path`.

    A folder with `dataset_dict.json` or `state.json` is what `save_to_disk` wrote; one with Parquet files in it or one
    level down is a Hugging Face dataset; any other folder is an image folder. A Parquet file is a Hugging Face dataset
    if a column is an image struct, else a manifest, as CSV, TSV and JSONL files are.
    """
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return "huggingface"
        found = (file for pattern in ("*.parquet", "*/*.parquet") for file in path.glob(pattern))
        return "huggingface" if any(file.stem != "metadata" for file in found) else "imagefolder"
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            message = f"{path}: cannot be read as Parquet: {error}."
            raise SourceError(message) from error
        structs = [f for f in schema if pa.types.is_struct(f.type) and {g.name for g in f.type} == {"bytes", "path"}]
        return "huggingface" if structs else "manifest"
    if suffix in SUFFIXES:
        return "manifest"
    if suffix in FILE_SUFFIXES:
        message = f"{path} is a single picture. Name its folder, or use 'dedup compare' for two pictures."
        raise ConfigError(message)
    message = (
        f"{path}: a file is taken for a manifest if it ends in {', '.join(SUFFIXES)}. "
        f"Name a folder or a manifest, or set dataset.source."
    )
    raise ConfigError(message)
