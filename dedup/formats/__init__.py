"""Forms of datasets: one file each says how its samples are read and how its filtered splits are written."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.config import DatasetConfig, NamedSource
from dedup.decoding.contents import PAYLOAD, read_bytes
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError, SourceError, because
from dedup.formats.coco import Coco, annotation_files
from dedup.formats.columns import groups_of, values_of
from dedup.formats.crossing import check_movable, check_writable, push_splits, write_splits
from dedup.formats.footers import PARQUET_ERRORS
from dedup.formats.imagefolder import ImageFolder
from dedup.formats.manifest import Manifest, lists_files
from dedup.formats.places import is_url, local, protocol
from dedup.formats.records import SUFFIXES
from dedup.formats.several import Part, Several
from dedup.formats.source import NO_MOVES, ROWS, Moves, Source
from dedup.formats.webdataset import WebDataset
from dedup.formats.yolo import Yolo, is_yolo

logger = logging.getLogger(__name__)

__all__ = [
    "NO_MOVES",
    "PAYLOAD",
    "ROWS",
    "Moves",
    "Source",
    "check_movable",
    "check_writable",
    "detect",
    "groups_of",
    "keys_of",
    "open_source",
    "parts_of",
    "push_splits",
    "read_bytes",
    "values_of",
    "write_splits",
]

_OF_THE_HUB = ("name", "revision", "split", "data_files", "streaming")
_OF_MANIFESTS = ("path_column", "bytes_column", "protocols")
_UNUSED = {
    "imagefolder": ("path_column", "bytes_column", "protocols", "image_folder", *_OF_THE_HUB),
    "manifest": ("image_column", "top_folders", "image_folder", *_OF_THE_HUB),
    "huggingface": (*_OF_MANIFESTS, "split_column", "default_split", "top_folders", "image_folder"),
    "webdataset": (*_OF_MANIFESTS, "top_folders", "image_folder", *_OF_THE_HUB),
    "coco": (*_OF_MANIFESTS, "split_column", "image_column", "top_folders", *_OF_THE_HUB),
    "yolo": (
        *(*_OF_MANIFESTS, "split_column", "image_column", "id_column", "label_column"),
        *("default_split", "top_folders", "image_folder", *_OF_THE_HUB),
    ),
}
"""Keys of `dataset` that say nothing about a form."""


def open_source(config: DatasetConfig, dataset: Any = None) -> Source:
    """The dataset that the config names, or the `datasets` object given."""
    if dataset is not None:
        from dedup.formats.hub import in_memory  # `datasets` takes a second to import

        _refuse_unused(config, "huggingface")
        return in_memory(dataset, config)
    if config.sources:
        named = zip(config.sources, config.prefixes(), strict=True)
        return Several([Part(open_source(_single(entry)), entry, prefix) for entry, prefix in named])
    if config.path is None or not config.path.strip():
        message = "dataset.path: no dataset is named. Give a path."
        raise ConfigError(message)
    if is_url(config.path) and protocol(config.path) != "file":
        return _remote(config.path, config)
    path = Path(local(config.path)).expanduser()
    if not path.exists():
        hint = " A dataset on the Hub is written hf://datasets/org/name." if _REPOSITORY.fullmatch(config.path) else ""
        message = f"dataset.path: {config.path!r} does not exist.{hint}"
        raise ConfigError(message)
    form = detect(path) if config.source == "auto" else config.source
    _refuse_unused(config, form)
    if config.source == "auto" and form in {"imagefolder", "huggingface"}:
        _tell_list(path, form)
    if form == "huggingface":
        from dedup.formats.hub import on_disk  # `datasets` takes a second to import

        return on_disk(path, config)
    if form in _OPENED:
        return _OPENED[form](path, config)
    if path.is_dir() != (form == "imagefolder"):
        message = f"dataset.source is {form!r}, but {config.path!r} is a {'folder' if path.is_dir() else 'file'}."
        raise ConfigError(message)
    return ImageFolder(path, config) if form == "imagefolder" else Manifest(path, config)


_OPENED: Final[dict[str, Callable[[Path, DatasetConfig], Source]]] = {
    "webdataset": WebDataset,
    "coco": Coco,
    "yolo": Yolo,
}
"""Forms that are told apart by nothing but their names: what lies at the path may be a folder or a file."""


def parts_of(source: Source) -> Sequence[Source]:
    """The datasets that are opened together, or the only one."""
    return [part.source for part in source.parts] if isinstance(source, Several) else [source]


def _single(entry: NamedSource) -> DatasetConfig:
    return DatasetConfig(**entry.model_dump(exclude={"prefix", "reference"}))


_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")


def _remote(url: str, config: DatasetConfig) -> Source:
    """What a URL names: a dataset on the Hub or a manifest. Nothing else is tried, so no slip reaches the network."""
    if protocol(url) == "hf":
        from dedup.formats.hub import on_hub  # `datasets` takes a second to import

        _refuse_unused(config, "huggingface")
        return on_hub(url, config)
    if config.source in {"auto", "manifest"} and url.lower().endswith(SUFFIXES):
        _refuse_unused(config, "manifest")
        return Manifest(url, config)
    message = (
        f"dataset.path: {url!r} is neither a dataset on the Hub (hf://datasets/org/name) nor a manifest "
        f"({', '.join(SUFFIXES)}). Other URLs cannot be read: copy the dataset to this machine."
    )
    raise ConfigError(message)


def keys_of(form: str, like: str) -> tuple[str, ...]:
    """Keys of `dataset` besides path and source that a dataset of some form can take over from one of another form."""
    others = {"path", "source", "sources", "image_folder", *_OF_THE_HUB, *_UNUSED[form]}
    if form != like and form in {"imagefolder", "webdataset", "coco", "yolo"}:  # their columns are of another kind
        others |= {key for key in DatasetConfig.model_fields if key.endswith("_column")}
    return tuple(key for key in DatasetConfig.model_fields if key not in others)


def _refuse_unused(config: DatasetConfig, form: str) -> None:
    defaults = DatasetConfig()
    problems = [
        f"dataset.{key}: not used by the form {form!r}, which this dataset has; take it out."
        for key in _UNUSED[form]
        if getattr(config, key) != getattr(defaults, key)
    ]
    if problems:
        raise ConfigError(*problems)


def _tell_list(folder: Path, form: str) -> None:
    """Say so where a folder looks like that of a manifest, as it is written to `splits/`: what it lists is not read.

    A Parquet list makes a folder one of Hugging Face, which it cannot be read as.
    """
    for file in sorted(folder.glob("*.*")) if folder.is_dir() else ():
        if file.suffix.lower() not in SUFFIXES or not lists_files(file):
            continue
        text = (
            f"{str(file)!r} lists pictures that lie beside it. Name it, not its folder, to read its splits and labels."
        )
        if form == "imagefolder":
            logger.warning("%s", text)
        elif detect(file) == "manifest":
            message = f"dataset.path: {text}"
            raise ConfigError(message)


_FILES: Final = {".arrow": "huggingface", ".tar": "webdataset", ".json": "coco", ".yaml": "yolo", ".yml": "yolo"}


def detect(path: Path) -> str:
    """The form of what lies at `path`, a folder, a file or a URL.

    A folder with `dataset_dict.json` or `state.json` is what `save_to_disk` wrote; one with `data.yaml` is a YOLO
    dataset; one with `annotations/*.json`, or with `*.coco.json` in it or one level down, is COCO; one with Parquet or
    Arrow files in it or one level down is a Hugging Face dataset; one with tar files is a WebDataset; any other folder
    is an image folder. A Parquet file is a Hugging Face dataset if a column is an image struct, else a manifest, as
    CSV, TSV and JSONL files are; an Arrow file is a Hugging Face dataset, a tar file a WebDataset, a JSON file COCO, a
    YAML file YOLO.
    """
    if str(path).startswith("hf:"):
        return "huggingface"
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return "huggingface"
        if is_yolo(path):
            return "yolo"
        if annotation_files(path):
            return "coco"
        found = [file for pattern in ("*.*", "*/*.*") for file in path.glob(pattern)]
        if any(file.suffix in {".parquet", ".arrow"} and file.stem != "metadata" for file in found):
            return "huggingface"
        return "webdataset" if any(file.suffix == ".tar" for file in found) else "imagefolder"
    suffix = path.suffix.lower()
    if suffix in _FILES:
        return _FILES[suffix]
    if suffix == ".parquet":
        try:
            schema = pq.read_schema(path)
        except PARQUET_ERRORS as error:
            message = f"{path}: cannot be read as Parquet: {because(error)}. Get the file again."
            raise SourceError(message) from error
        structs = [f for f in schema if pa.types.is_struct(f.type) and {g.name for g in f.type} == {"bytes", "path"}]
        return "huggingface" if structs else "manifest"
    if suffix in SUFFIXES:
        return "manifest"
    if suffix in FILE_SUFFIXES:
        message = f"{path} is a single picture. Name its folder, or use 'dedup compare' for two pictures."
        raise ConfigError(message)
    if path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")):
        message = f"{path}: compressed archives are not read. Unpack it, and name the folder or the .tar files."
        raise ConfigError(message)
    message = (
        f"{path}: a file is taken for a manifest if it ends in {', '.join(SUFFIXES)}. "
        f"Name a folder or a manifest, or set dataset.source."
    )
    raise ConfigError(message)
