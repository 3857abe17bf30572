"""Opening Hugging Face datasets: in memory, on disk, or on the Hub."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import datasets
import huggingface_hub
import pyarrow as pa
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, ReadInstruction

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, SourceError, because
from dedup.formats.hub_errors import UNREADABLE, refuse_unreachable, why_unread
from dedup.formats.hub_files import of_files
from dedup.formats.hub_folder import files_of_folder, of_asked_splits, of_builder
from dedup.formats.huggingface import HuggingFace
from dedup.formats.stored import (
    InMemory,
    Split,
    Stored,
    Streamed,
)

logger = logging.getLogger(__name__)


def in_memory(dataset: Any, config: DatasetConfig, root: Path | None = None) -> HuggingFace:
    """A source from a `Dataset`, `IterableDataset`, a dict of them, or the list that
    `load_dataset(split=[…])` gives.

    `root` is where it was saved.
    """
    if (
        isinstance(dataset, list | tuple)
        and dataset
        and all(isinstance(one, Dataset) for one in dataset)
    ):
        dataset = _by_name(dataset)

    if isinstance(dataset, Dataset | IterableDataset):
        dataset = {_name_of(dataset.split): dataset}
    elif not isinstance(dataset, DatasetDict | IterableDatasetDict):
        message = f"Expected a datasets.DatasetDict or Dataset, got {type(dataset).__name__}."
        raise SourceError(message)

    name = "the dataset in memory" if root is None else str(root)
    _refuse(config, "a dataset in memory", "name", "revision", "data_files", "streaming")

    return HuggingFace(_chosen(_splits_of(dataset, name), config, name), name, root, config)


def _by_name(parts: Sequence[Dataset]) -> DatasetDict:
    """The datasets by the names of their splits, which must differ."""
    names = [_name_of(part.split) for part in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = (
            f"Two of the datasets are of the split {twice[0]!r}. Give them as a DatasetDict with"
            " names of your own."
        )
        raise SourceError(message)

    return DatasetDict(dict(zip(names, parts, strict=True)))


def _name_of(split: Any) -> str:
    """What a dataset alone is called, which `load_dataset` may have put together: `train[:50%]`,
    `train+test`.

    Several splits in one are one pool: what was in which of them is not known any more.

    >>> splits = (None, "test", "train[:50%]", "train[:10]+train[90:]", "train+test", "a+b")
    >>> [_name_of(split) for split in splits]
    ['train', 'test', 'train', 'train', 'train', 'a_b']
    """
    names = list(
        dict.fromkeys(part.partition("[")[0].strip() for part in str(split or "train").split("+"))
    )
    if len(names) == 1:
        return names[0]

    name = "train" if "train" in map(normal_split, names) else "_".join(names)
    logger.warning(
        "The dataset is made of the splits %s, and which row is of which is not known: all rows are"
        " taken for %r. To find leaks between them, give them as a DatasetDict.",
        " and ".join(map(repr, names)),
        name,
    )

    return name


_OF_ODD_JSON: Final = (TypeError, LookupError, AttributeError, RecursionError)
"""What `datasets` was seen to raise of a description that is JSON and not what it expects."""


def on_disk(path: Path, config: DatasetConfig) -> HuggingFace:
    """A source from a `save_to_disk` folder, a folder of Parquet or Arrow files, or one such
    file.
    """
    name = str(path)
    _refuse(config, "a dataset on this machine", "revision", "streaming")
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        _refuse(config, "a save_to_disk folder", "name", "data_files")
        try:
            loaded = datasets.load_from_disk(name)
        except (*UNREADABLE, *_OF_ODD_JSON, pa.ArrowInvalid) as error:
            message = (
                f"{path}: cannot be loaded as a save_to_disk folder: {because(error)}. Get it"
                " again, or save it again."
            )
            raise SourceError(message) from error
        source = in_memory(loaded, config, path)
        source.files = [file for suffix in ("arrow", "json") for file in path.rglob(f"*.{suffix}")]
        return source

    files_of_split = {"train": [name]}
    if path.is_dir():
        files_of_split = files_of_folder(path, config)
        splits = [of_files(split, files) for split, files in files_of_split.items()]
    else:
        _refuse(config, "a single file", "name", "data_files")
        splits = [of_files("train", [name])]

    source = HuggingFace(
        _chosen(splits, config, name), name, path if path.is_dir() else path.parent, config
    )
    source.files = [Path(file) for files in files_of_split.values() for file in files]

    return source


def on_hub(url: str, config: DatasetConfig) -> HuggingFace:
    """A source from `hf://datasets/org/name`. Parquet is read as it stands on the Hub, streamed or
    downloaded once.
    """
    repository, revision = _parsed(url, config)
    refuse_unreachable(url)
    data_files = list(config.data_files) or None

    try:
        builder = datasets.load_dataset_builder(
            repository, config.name, revision=revision, data_files=data_files
        )
        files = of_builder(builder)
        if all(f.endswith(".parquet") for of in files.values() for f in of):
            files = of_asked_splits(files, config, url)
            place = str if config.streaming else _downloaded
            splits = [of_files(split, [place(file) for file in of]) for split, of in files.items()]
        elif config.streaming:
            splits = _splits_of(builder.as_streaming_dataset(), url)
        else:
            builder.download_and_prepare()
            splits = _splits_of(builder.as_dataset(), url)
    except UNREADABLE as error:
        raise why_unread(url, error, config) from error

    source = HuggingFace(_chosen(splits, config, url), url, None, config)
    source.downloads = [
        Path(huggingface_hub.constants.HF_HUB_CACHE),
        Path(datasets.config.HF_DATASETS_CACHE),
    ]

    return source


def _refuse(config: DatasetConfig, what: str, *keys: str) -> None:
    """Raise for settings that say nothing about what is opened."""
    if problems := [
        f"dataset.{key}: not used for {what}; take it out." for key in keys if getattr(config, key)
    ]:
        raise ConfigError(*problems)


def _parsed(url: str, config: DatasetConfig) -> tuple[str, str | None]:
    """Repository and revision; anything but the full form is refused before the network is
    touched.
    """
    found = re.fullmatch(r"hf://datasets/([\w.-]+/[\w.-]+?)(?:@([^@\s]+))?/?", url)
    if found is None:
        message = (
            f"dataset.path: {url!r} is no dataset on the Hub. Write hf://datasets/org/name or"
            " …/name@revision."
        )
        raise ConfigError(message)

    repository, revision = found.groups()
    if revision is not None and config.revision is not None and revision != config.revision:
        message = (
            f"dataset.revision is {config.revision!r}, but {url!r} names {revision!r}. Name one."
        )
        raise ConfigError(message)

    return repository, revision or config.revision


def _downloaded(url: str) -> str:
    """The local copy of a file on the Hub, in the Hub's own cache."""
    from huggingface_hub import HfFileSystem, hf_hub_download

    at: Any = HfFileSystem().resolve_path(url)

    return str(
        hf_hub_download(at.repo_id, at.path_in_repo, repo_type="dataset", revision=at.revision)
    )


def _splits_of(dataset: Mapping[str, Any], name: str) -> list[Split]:
    splits = []
    for split, part in dataset.items():
        if isinstance(part, Dataset):
            splits.append(Split(str(split), part.features, part.num_rows, InMemory(part)))
            continue
        if part.features is None:
            message = (
                f"{name}: the stream of split {split!r} does not say what its columns are. Set"
                " dataset.streaming=false."
            )
            raise SourceError(message)
        stored: Stored = Streamed(part.cast(_undecoded(part.features)))
        column = min(part.features, key=lambda c: isinstance(part.features[c], datasets.Image))
        n_rows = sum(len(table) for table in stored.tables([column], 1000))
        splits.append(Split(str(split), part.features, n_rows, stored))

    return splits


def _undecoded(features: datasets.Features) -> datasets.Features:
    """The same columns, images as stored bytes."""
    return datasets.Features(
        {
            c: datasets.Image(decode=False) if isinstance(f, datasets.Image) else f
            for c, f in features.items()
        }
    )


def _chosen(splits: Sequence[Split], config: DatasetConfig, name: str) -> list[Split]:
    """The splits and slices that `dataset.split` names, as in `load_dataset`; all of them if it
    names none.
    """
    if not config.split:
        return list(splits)

    by_name = {split.raw_name: split for split in splits}
    chosen: dict[str, Split] = {}
    for spec in config.split:
        _refuse_unknown(spec, by_name, name)
        try:
            parts = ReadInstruction.from_spec(spec).to_absolute(
                {k: s.n_rows for k, s in by_name.items()}
            )
        except (ValueError, AssertionError) as error:
            message = (
                f"{name}: dataset.split {spec!r}: {because(error)}. Write it as in load_dataset,"
                " 'train[:50%]'."
            )
            raise ConfigError(message) from error
        for part in parts:
            if part.splitname in chosen:
                message = (
                    f"{name}: dataset.split names {part.splitname!r} twice. Give one range of each"
                    " split."
                )
                raise ConfigError(message)
            of = by_name[part.splitname]
            start, stop = part.from_ or 0, of.n_rows if part.to is None else part.to
            chosen[of.raw_name] = Split(
                of.raw_name, of.features, max(0, stop - start), of.stored.select(start, stop)
            )

    return list(chosen.values())


def _refuse_unknown(spec: str, known: Mapping[str, Split], name: str) -> None:
    """Raise for a name of a split that there is not."""
    for part in spec.split("+"):
        split = part.partition("[")[0].strip()
        if split not in known and split != "all":
            message = (
                f"{name}: dataset.split names {split!r}. The splits are"
                f" {', '.join(map(repr, known))}."
            )
            raise ConfigError(message)


def push(folder: Path, repository: str) -> None:
    """Upload a written dataset, its card included, to a repository, made private if it is not there
    yet.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message="Cleaned with dedup",
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        message = (
            f"output.push_to_hub: {repository!r} cannot be pushed to: {because(error)}. "
            f"The dataset is complete in {str(folder)!r}."
        )
        raise SourceError(message) from error
