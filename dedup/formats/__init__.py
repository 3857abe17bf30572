"""Forms of datasets: one file each says how its samples are read and how its filtered splits are
written.
"""

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow.parquet as pq

from dedup.config import DatasetConfig, NamedSource
from dedup.decoding.contents import PAYLOAD, read_bytes
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError, SourceError, because
from dedup.formats.banks import is_bank
from dedup.formats.columns import distinct_of, groups_of, image_rows_of, values_of
from dedup.formats.crossing import check_movable, check_writable, push_splits, write_splits
from dedup.formats.detection import holds_images
from dedup.formats.footers import PARQUET_ERRORS
from dedup.formats.forms import ALL, FORMS, Form, detected
from dedup.formats.listing import Listing, account_for, listed
from dedup.formats.manifest import Manifest
from dedup.formats.manifest_columns import lists_files
from dedup.formats.places import is_url, local, protocol
from dedup.formats.pool import Pool
from dedup.formats.records import SUFFIXES
from dedup.formats.several import Part, Several
from dedup.formats.source import NO_MOVES, ROWS, Moves, Source, payloads, printable
from dedup.formats.url_folder import UrlFolder

logger = logging.getLogger(__name__)

__all__ = [
    "FORMS",
    "NO_MOVES",
    "PAYLOAD",
    "ROWS",
    "Form",
    "Moves",
    "Source",
    "check_movable",
    "check_writable",
    "detect",
    "distinct_of",
    "groups_of",
    "image_rows_of",
    "keys_of",
    "open_source",
    "parts_of",
    "payloads",
    "push_splits",
    "read_bytes",
    "values_of",
    "write_splits",
]


def open_source(config: DatasetConfig, dataset: Any = None) -> Source:
    """The dataset that the config names, or the `datasets` object given."""
    if isinstance(dataset, Pool):
        return dataset

    if dataset is not None:
        from dedup.formats.hub import in_memory  # `datasets` takes a second to import

        _refuse_unused(config, "huggingface")
        held = in_memory(dataset, config)
        account_for(held, None)
        return held

    if config.sources:
        named = zip(config.sources, config.prefixes(), strict=True)
        return Several(
            [Part(open_source(_single(entry)), entry, prefix) for entry, prefix in named]
        )

    if config.path is None or not config.path.strip():
        message = "dataset.path: no dataset is named. Give a path."
        raise ConfigError(message)

    if is_url(config.path) and protocol(config.path) != "file":
        return _remote(config.path, config)

    path = Path(local(config.path)).expanduser()
    if not path.exists():
        hint = (
            " A dataset on the Hub is written hf://datasets/org/name."
            if _REPOSITORY.fullmatch(config.path)
            else ""
        )
        message = f"dataset.path: {config.path!r} does not exist.{hint}"
        raise ConfigError(message)

    listing = listed(path) if path.is_dir() and not is_bank(path) else None
    name = config.source if config.source != "auto" else _form_of(path, listing)
    form = FORMS[name]
    _refuse_unused(config, name)
    if form.is_folder is not None and path.is_dir() != form.is_folder:
        message = (
            f"dataset.source is {name!r}, but {config.path!r} is a"
            f" {'folder' if path.is_dir() else 'file'}."
        )
        raise ConfigError(message)

    source = form.open(path, config, listing)
    account_for(source, listing)
    if config.source == "auto" and name == "imagefolder":
        _tell_list(listing, set(source.not_read["path"].to_pylist()))

    return source


def described(path: str) -> dict[str, Any]:
    """What a dataset is, for a config that is to fit it: its form, its splits, and how its layout
    was understood.
    """
    source = open_source(DatasetConfig(path=path))
    splits = sorted(
        filter(None, source.rows["split"].unique().to_pylist()),
        key=lambda name: (name != "train", name),
    )

    return {"form": source.form, "splits": splits, "understood": source.understood}


def parts_of(source: Source) -> Sequence[Source]:
    """The datasets that are opened together, or the only one."""
    return [part.source for part in source.parts] if isinstance(source, Several) else [source]


def _single(entry: NamedSource) -> DatasetConfig:
    return DatasetConfig(**entry.model_dump(exclude={"prefix", "reference"}))


_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")


def _remote(url: str, config: DatasetConfig) -> Source:
    """What a URL names: a dataset on the Hub, a manifest or, without a suffix, a folder of
    images.
    """
    if protocol(url) == "hf":
        from dedup.formats.hub import on_hub  # `datasets` takes a second to import

        _refuse_unused(config, "huggingface")
        return on_hub(url, config)

    if config.source in {"auto", "manifest"} and url.lower().endswith(SUFFIXES):
        _refuse_unused(config, "manifest")
        return Manifest(url, config)

    if config.source in {"auto", "imagefolder"} and not PurePosixPath(url).suffix:
        _refuse_unused(config, "imagefolder")
        return UrlFolder(url, config)

    message = (
        f"dataset.path: {url!r} is neither a dataset on the Hub (hf://datasets/org/name), nor a"
        f" manifest ({', '.join(SUFFIXES)}), nor a folder of images. Other URLs cannot be read:"
        " copy the dataset to this machine."
    )
    raise ConfigError(message)


def keys_of(form: str, like: str) -> tuple[str, ...]:
    """Keys of `dataset` besides path and source that a dataset of some form can take over from one
    of another form.
    """
    taken = {*FORMS[form].takes, "group_column", "group_pattern"} - {
        "image_folder",
        "split_folders",
        *_OF_THE_HUB,
    }
    if form != like and form in _SAID_ELSEWHERE:
        taken = {key for key in taken if not key.endswith("_column")}

    return tuple(key for key in DatasetConfig.model_fields if key in taken)


_OF_THE_HUB: Final = ("name", "revision", "split", "data_files", "streaming")

_SAID_ELSEWHERE: Final = frozenset({"imagefolder", "webdataset", "coco", "yolo", "voc"})
"""Forms whose columns are of another kind than those of a table."""


def _refuse_unused(config: DatasetConfig, form: str) -> None:
    defaults = DatasetConfig()
    known = {*ALL, "sources", *FORMS[form].takes}
    problems = [
        f"dataset.{key}: not used by the form {form!r}, which this dataset has; take it out."
        for key in DatasetConfig.model_fields
        if key not in known and getattr(config, key) != getattr(defaults, key)
    ]
    if problems:
        raise ConfigError(*problems)


_MOST_LISTS: Final = 20
"""Lists that are opened to be told of: there may be one for each of a million images."""


def _tell_list(listing: Listing | None, unread: Collection[str]) -> None:
    """Say so where a folder looks like that of a manifest, as it is written to `splits/`: its list
    is not read.
    """
    if listing is None:
        return
    for parts in listing.of_suffix(*SUFFIXES)[:_MOST_LISTS]:
        file = listing.path(parts)
        if "/".join(map(printable, parts)) in unread and lists_files(file):
            logger.warning(
                "%r lists pictures that lie beside it. Name it, not its folder, to read its splits"
                " and labels.",
                str(file),
            )


_FILES: Final = {
    ".arrow": "huggingface",
    ".tar": "webdataset",
    ".json": "coco",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".data": "yolo",
}


def detect(path: Path) -> str:
    """The form of what lies at `path`, a folder, a file or a URL.

    In a folder the form wins that explains the images (`dedup.formats.detection`). A Parquet file
    is a Hugging Face dataset if a column is an image struct, else a manifest, as CSV, TSV and JSONL
    files are; an Arrow file is a Hugging Face dataset, a tar file a WebDataset, a JSON file COCO, a
    YAML or `.data` file YOLO.
    """
    if str(path).startswith("hf:"):
        return "huggingface"
    return _form_of(path, listed(path) if path.is_dir() else None)


def _form_of(path: Path, listing: Listing | None) -> str:
    if is_bank(path):
        return "bank"
    if listing is not None:
        return detected(listing)

    suffix = path.suffix.lower()
    if suffix in _FILES:
        return _FILES[suffix]

    if suffix == ".parquet":
        try:
            schema = pq.read_schema(path)
        except PARQUET_ERRORS as error:
            message = f"{path}: cannot be read as Parquet: {because(error)}. Get the file again."
            raise SourceError(message) from error
        return "huggingface" if any(holds_images(field.type) for field in schema) else "manifest"

    if suffix in SUFFIXES:
        return "manifest"

    if suffix in FILE_SUFFIXES:
        message = (
            f"{path} is a single picture. Name its folder, or use 'dedup compare' for two pictures."
        )
        raise ConfigError(message)

    if path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")):
        message = (
            f"{path}: compressed archives are not read. Unpack it, and name the folder or the .tar"
            " files."
        )
        raise ConfigError(message)

    message = (
        f"{path}: a file is taken for a manifest if it ends in {', '.join(SUFFIXES)}. "
        "Name a folder or a manifest, or set dataset.source."
    )
    raise ConfigError(message)
