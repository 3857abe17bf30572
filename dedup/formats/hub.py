"""Opening Hugging Face datasets: in memory, on disk, or on the Hub."""

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import datasets
import huggingface_hub
import pyarrow as pa
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, ReadInstruction

from dedup.config import DatasetConfig
from dedup.errors import ConfigError, DedupError, SourceError, because
from dedup.files import inside
from dedup.formats.features import features_of
from dedup.formats.footers import PARQUET_ERRORS
from dedup.formats.huggingface import HuggingFace
from dedup.formats.places import protocol
from dedup.formats.stored import (
    ArrowTable,
    InMemory,
    ParquetFiles,
    Split,
    Stored,
    Streamed,
    arrow_table,
    parquet_file,
)

_SHARD: Final = re.compile(r"(.*)-(\d{5,6})-of-(\d{5,6})(\.\w+)$")

_SECONDS_TO_ANSWER: Final = 10
_REMEDY: Final = "Check the network (and HF_HUB_OFFLINE, HF_ENDPOINT), or name a local copy."

_UNREADABLE = (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError)


def in_memory(dataset: Any, config: DatasetConfig, root: Path | None = None) -> HuggingFace:
    """A source from a `Dataset`, `IterableDataset` or a dict of them; `root` is where it was saved."""
    if isinstance(dataset, Dataset | IterableDataset):
        dataset = {str(dataset.split or "train"): dataset}
    elif not isinstance(dataset, DatasetDict | IterableDatasetDict):
        message = f"Expected a datasets.DatasetDict or Dataset, got {type(dataset).__name__}."
        raise SourceError(message)
    name = "the dataset in memory" if root is None else str(root)
    _refuse(config, "a dataset in memory", "name", "revision", "data_files", "streaming")
    return HuggingFace(_chosen(_splits_of(dataset, name), config, name), name, root, config)


def on_disk(path: Path, config: DatasetConfig) -> HuggingFace:
    """A source from a `save_to_disk` folder, a folder of Parquet or Arrow files, or one such file."""
    name = str(path)
    _refuse(config, "a dataset on this machine", "revision", "streaming")
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        _refuse(config, "a save_to_disk folder", "name", "data_files")
        try:
            loaded = datasets.load_from_disk(name)
        except (*_UNREADABLE, pa.ArrowInvalid) as error:
            message = (
                f"{path}: cannot be loaded as a save_to_disk folder: {because(error)}. Get it again, or save it again."
            )
            raise SourceError(message) from error
        return in_memory(loaded, config, path)
    if path.is_dir():
        splits = [_of_files(split, files) for split, files in _files_of_folder(path, config).items()]
    else:
        _refuse(config, "a single file", "name", "data_files")
        splits = [_of_files("train", [name])]
    return HuggingFace(_chosen(splits, config, name), name, path if path.is_dir() else path.parent, config)


def on_hub(url: str, config: DatasetConfig) -> HuggingFace:
    """A source from `hf://datasets/org/name`. Parquet is read as it stands on the Hub, streamed or downloaded once."""
    repository, revision = _parsed(url, config)
    _refuse_unreachable(url)
    data_files = list(config.data_files) or None
    try:
        builder = datasets.load_dataset_builder(repository, config.name, revision=revision, data_files=data_files)
        files = {str(split): [str(f) for f in of] for split, of in (builder.config.data_files or {}).items()}
        if all(f.endswith(".parquet") for of in files.values() for f in of):
            files = _asked_for(files, config, url)
            place = str if config.streaming else _downloaded
            splits = [_of_files(split, [place(file) for file in of]) for split, of in files.items()]
        elif config.streaming:
            splits = _splits_of(builder.as_streaming_dataset(), url)
        else:
            builder.download_and_prepare()
            splits = _splits_of(builder.as_dataset(), url)
    except _UNREADABLE as error:
        raise _why(url, error, config) from error
    source = HuggingFace(_chosen(splits, config, url), url, None, config)
    source.downloads = [Path(huggingface_hub.constants.HF_HUB_CACHE), Path(datasets.config.HF_DATASETS_CACHE)]
    return source


def _refuse(config: DatasetConfig, what: str, *keys: str) -> None:
    """Raise for settings that say nothing about what is opened."""
    if problems := [f"dataset.{key}: not used for {what}; take it out." for key in keys if getattr(config, key)]:
        raise ConfigError(*problems)


def _parsed(url: str, config: DatasetConfig) -> tuple[str, str | None]:
    """Repository and revision; anything but the full form is refused before the network is touched."""
    found = re.fullmatch(r"hf://datasets/([\w.-]+/[\w.-]+?)(?:@([^@\s]+))?/?", url)
    if found is None:
        message = f"dataset.path: {url!r} is no dataset on the Hub. Write hf://datasets/org/name or …/name@revision."
        raise ConfigError(message)
    repository, revision = found.groups()
    if revision is not None and config.revision is not None and revision != config.revision:
        message = f"dataset.revision is {config.revision!r}, but {url!r} names {revision!r}. Name one."
        raise ConfigError(message)
    return repository, revision or config.revision


def _refuse_unreachable(url: str) -> None:
    """Raise when nothing answers at the Hub's address: its clients try six times, which takes half a minute.

    What an answer says is left to them; so is everything that has to do with certificates, as theirs may be others.
    """
    endpoint = huggingface_hub.constants.ENDPOINT
    if huggingface_hub.constants.HF_HUB_OFFLINE or protocol(endpoint) not in {"http", "https"}:
        return
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            message = f"{url}: the Hub cannot be reached at {endpoint}: {reason}. {_REMEDY}"
            raise SourceError(message) from error


def _why(url: str, error: Exception, config: DatasetConfig) -> DedupError:
    text = because(error)
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        hint = "Check the name and the revision; if it is private, run `hf auth login`."
        return ConfigError(f"{url}: no such dataset on the Hub: {text}. {hint}")
    if isinstance(error, ConnectionError) or "offline" in text.lower() or "connect" in text.lower():
        return SourceError(f"{url}: the Hub cannot be reached: {text}. {_REMEDY}")
    return _asked_wrongly(url, error, config) or SourceError(f"{url}: cannot be read: {text}.")


def _asked_wrongly(name: str, error: Exception, config: DatasetConfig) -> ConfigError | None:
    """The error of a setting that names what is not there, if it is one: `datasets` has ValueErrors for all of them."""
    text = because(error)
    if "available configs" in text or ("BuilderConfig" in text and "not found" in text):
        return ConfigError(f"{name}: {text}. Name one of them as dataset.name.")
    if config.data_files and isinstance(error, FileNotFoundError):
        asked = ", ".join(map(repr, config.data_files))
        return ConfigError(f"{name}: {text}. dataset.data_files is {asked}: check the pattern, or take it out.")
    return None


def _downloaded(url: str) -> str:
    """The local copy of a file on the Hub, in the Hub's own cache."""
    from huggingface_hub import HfFileSystem, hf_hub_download

    at: Any = HfFileSystem().resolve_path(url)
    return str(hf_hub_download(at.repo_id, at.path_in_repo, repo_type="dataset", revision=at.revision))


def _files_of_folder(folder: Path, config: DatasetConfig) -> dict[str, list[str]]:
    """Files of each split of a folder, found the way `load_dataset` finds them."""
    try:
        with _offline():
            builder = datasets.load_dataset_builder(
                str(folder), config.name, data_files=list(config.data_files) or None
            )
        files = {str(split): [str(f) for f in of] for split, of in (builder.config.data_files or {}).items()}
    except (*_UNREADABLE, ImportError, RuntimeError) as error:
        message = f"{folder}: cannot be read as a Hugging Face dataset: {because(error)}."
        raise _asked_wrongly(str(folder), error, config) or SourceError(message) from error
    for path in (path for paths in files.values() for path in paths):
        if "://" in path or not inside(Path(path), folder):
            message = f"{folder}: its README names {path!r} as data, which is not in the folder. Copy it there."
            raise SourceError(message)
    return _asked_for(files, config, str(folder))


@contextmanager
def _offline() -> Iterator[None]:
    """A local folder never leads to the network, whatever its README says."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _asked_for(files: Mapping[str, list[str]], config: DatasetConfig, name: str) -> dict[str, list[str]]:
    """The files of the splits that `dataset.split` names, of which no shard is missing."""
    bases = {re.split(r"\[", part)[0].strip() for spec in config.split for part in spec.split("+")}
    asked = {split: of for split, of in files.items() if not bases or split in bases or bases - set(files)}
    for of in asked.values():
        _refuse_gaps(of, name)
    return asked


def _refuse_gaps(files: Sequence[str], name: str) -> None:
    """Raise for a shard that the names of the others tell of."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        if shard := _SHARD.match(file):
            found.setdefault((shard[1], shard[3], shard[4]), set()).add(int(shard[2]))
    for (start, total, suffix), numbers in sorted(found.items()):
        if missing := sorted(set(range(int(total))) - numbers):
            first = f"{start}-{missing[0]:0{len(total)}d}-of-{total}{suffix}"
            message = (
                f"{name}: {len(missing)} of {int(total)} shards are missing, the first is {first!r}. Get them again."
            )
            raise SourceError(message)


def _of_files(split: str, files: Sequence[str]) -> Split:
    if not files:
        message = f"Split {split!r} has no files."
        raise SourceError(message)
    if all(file.endswith(".arrow") for file in files):
        tables = [_opened(file, arrow_table, "Arrow") for file in files]
        _refuse_other_columns(files, [table.schema.names for table in tables])
        table = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
        features = features_of(table.schema, files[0])
        return Split(split, features, len(table), ArrowTable(table, features))
    parquet = [_opened(file, parquet_file, "Parquet") for file in files]
    _refuse_other_columns(files, [file.schema_arrow.names for file in parquet])
    n_rows = sum(file.metadata.num_rows for file in parquet)
    features = features_of(parquet[0].schema_arrow, files[0])
    return Split(split, features, n_rows, ParquetFiles(tuple(files), 0, n_rows, features))


def _opened(file: str, read: Any, what: str) -> Any:
    try:
        return read(file)
    except PARQUET_ERRORS as error:
        message = f"{file}: cannot be read as {what}: {because(error)}. Get the file again."
        raise SourceError(message) from error


def _refuse_other_columns(files: Sequence[str], columns: Sequence[list[str]]) -> None:
    for file, names in zip(files, columns, strict=True):
        if names != columns[0]:
            message = f"{file}: its columns are {names}, those of {files[0]} are {columns[0]}. Give all the same ones."
            raise SourceError(message)


def _splits_of(dataset: Mapping[str, Any], name: str) -> list[Split]:
    splits = []
    for split, part in dataset.items():
        if isinstance(part, Dataset):
            splits.append(Split(str(split), part.features, part.num_rows, InMemory(part)))
            continue
        if part.features is None:
            message = (
                f"{name}: the stream of split {split!r} does not say what its columns are. Set dataset.streaming=false."
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
        {c: datasets.Image(decode=False) if isinstance(f, datasets.Image) else f for c, f in features.items()}
    )


def _chosen(splits: Sequence[Split], config: DatasetConfig, name: str) -> list[Split]:
    """The splits and slices that `dataset.split` names, as in `load_dataset`; all of them if it names none."""
    if not config.split:
        return list(splits)
    by_name = {split.raw_name: split for split in splits}
    chosen: dict[str, Split] = {}
    for spec in config.split:
        _refuse_unknown(spec, by_name, name)
        try:
            parts = ReadInstruction.from_spec(spec).to_absolute({k: s.n_rows for k, s in by_name.items()})
        except (ValueError, AssertionError) as error:
            message = f"{name}: dataset.split {spec!r}: {because(error)}. Write it as in load_dataset, 'train[:50%]'."
            raise ConfigError(message) from error
        for part in parts:
            if part.splitname in chosen:
                message = f"{name}: dataset.split names {part.splitname!r} twice. Give one range of each split."
                raise ConfigError(message)
            of = by_name[part.splitname]
            start, stop = part.from_ or 0, of.n_rows if part.to is None else part.to
            chosen[of.raw_name] = Split(of.raw_name, of.features, max(0, stop - start), of.stored.select(start, stop))
    return list(chosen.values())


def _refuse_unknown(spec: str, known: Mapping[str, Split], name: str) -> None:
    """Raise for a name of a split that there is not."""
    for part in spec.split("+"):
        split = part.partition("[")[0].strip()
        if split not in known and split != "all":
            message = f"{name}: dataset.split names {split!r}. The splits are {', '.join(map(repr, known))}."
            raise ConfigError(message)


def push(folder: Path, repository: str) -> None:
    """Upload a written dataset, its card included, to a repository, made private if it is not there yet."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, repo_type="dataset", commit_message="Cleaned with dedup"
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        message = (
            f"output.push_to_hub: {repository!r} cannot be pushed to: {because(error)}. "
            f"The dataset is complete in {str(folder)!r}."
        )
        raise SourceError(message) from error
