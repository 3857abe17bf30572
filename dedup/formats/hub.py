"""Opening Hugging Face datasets: in memory, on disk, or on the Hub."""

import logging
import re
import ssl
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, ReadInstruction

from dedup.config import DatasetConfig, normal_split
from dedup.errors import ConfigError, DedupError, SourceError, because
from dedup.files import inside
from dedup.formats.detection import has_images
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
    fitted,
    parquet_file,
)

logger = logging.getLogger(__name__)

_SHARD: Final = re.compile(r"(.*)-(\d{5,6})-of-(\d{5,6})(\.\w+)$")

_SECONDS_TO_ANSWER: Final = 10
_REMEDY: Final = "Check the network (and HF_HUB_OFFLINE, HF_ENDPOINT), or name a local copy."

_UNREADABLE = (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError)


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
        except (*_UNREADABLE, pa.ArrowInvalid) as error:
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
        files_of_split = _files_of_folder(path, config)
        splits = [_of_files(split, files) for split, files in files_of_split.items()]
    else:
        _refuse(config, "a single file", "name", "data_files")
        splits = [_of_files("train", [name])]

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
    _refuse_unreachable(url)
    data_files = list(config.data_files) or None

    try:
        builder = datasets.load_dataset_builder(
            repository, config.name, revision=revision, data_files=data_files
        )
        files = _of_builder(builder)
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


def _refuse_unreachable(url: str) -> None:
    """Raise when nothing answers at the Hub's address: its clients try six times, which takes half
    a minute.

    What an answer says is left to them; so is everything that has to do with certificates, as
    theirs may be others.
    """
    endpoint = huggingface_hub.constants.ENDPOINT
    if huggingface_hub.constants.HF_HUB_OFFLINE or protocol(endpoint) not in {"http", "https"}:
        return

    try:
        urllib.request.urlopen(
            urllib.request.Request(endpoint, method="HEAD"), timeout=_SECONDS_TO_ANSWER
        ).close()
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
    """The error of a setting that names what is not there, if it is one: `datasets` has ValueErrors
    for all of them.
    """
    text = because(error)
    if "available configs" in text or ("BuilderConfig" in text and "not found" in text):
        return ConfigError(f"{name}: {text}. Name one of them as dataset.name.")

    if config.data_files and isinstance(error, FileNotFoundError):
        asked = ", ".join(map(repr, config.data_files))
        return ConfigError(
            f"{name}: {text}. dataset.data_files is {asked}: check the pattern, or take it out."
        )

    return None


def _downloaded(url: str) -> str:
    """The local copy of a file on the Hub, in the Hub's own cache."""
    from huggingface_hub import HfFileSystem, hf_hub_download

    at: Any = HfFileSystem().resolve_path(url)

    return str(
        hf_hub_download(at.repo_id, at.path_in_repo, repo_type="dataset", revision=at.revision)
    )


def _files_of_folder(folder: Path, config: DatasetConfig) -> dict[str, list[str]]:
    """Files of each split of a folder, found the way `load_dataset` finds them."""
    try:
        with _offline():
            files = _of_builder(_builder_of_folder(folder, config))
    except (*_UNREADABLE, ImportError, RuntimeError) as error:
        message = f"{folder}: cannot be read as a Hugging Face dataset: {because(error)}."
        raise _asked_wrongly(str(folder), error, config) or SourceError(message) from error

    for path in (path for paths in files.values() for path in paths):
        if "://" in path or not inside(Path(path), folder):
            message = (
                f"{folder}: its README names {path!r} as data, which is not in the folder. Copy it"
                " there."
            )
            raise SourceError(message)

    if not config.data_files:
        files = _with_rows_of_images(files, folder)

    return _asked_for(files, config, str(folder))


def _builder_of_folder(folder: Path, config: DatasetConfig) -> Any:
    """What finds the files of the splits; other files beside them, such as archives, are nothing to
    it.
    """
    data_files = list(config.data_files) or None
    try:
        return datasets.load_dataset_builder(str(folder), config.name, data_files=data_files)
    except (zipfile.BadZipFile, *_UNREADABLE):
        # It looks into archives to tell what kind of dataset this is, which is known here. Where a
        # README names the files, what is wrong may be the README.
        is_described = (folder / "README.md").exists()
        if is_described or config.name is not None or data_files is not None:
            raise
        return datasets.load_dataset_builder("parquet", data_dir=str(folder))


def _of_builder(builder: Any) -> dict[str, list[str]]:
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
    families = {shard[1] for file in wanted if (shard := _SHARD.match(file))}
    wanted |= {file for file in schemas if (shard := _SHARD.match(file)) and shard[1] in families}
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


def _asked_for(
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
                f"{name}: {len(missing)} of {int(total)} shards are missing, the first is"
                f" {first!r}. Get them again."
            )
            raise SourceError(message)


def _of_files(split: str, files: Sequence[str]) -> Split:
    if not files:
        message = f"Split {split!r} has no files."
        raise SourceError(message)

    if all(file.endswith(".arrow") for file in files):
        tables = [_opened(file, arrow_table, "Arrow") for file in files]
        features = _common_features(files, [table.schema for table in tables])
        table = pa.concat_tables([fitted(table, features.arrow_schema) for table in tables])
        return Split(split, features, len(table), ArrowTable(table, features))

    parquet = [_opened(file, parquet_file, "Parquet") for file in files]
    n_rows = sum(file.metadata.num_rows for file in parquet)
    features = _common_features(files, [file.schema_arrow for file in parquet])

    return Split(split, features, n_rows, ParquetFiles(tuple(files), 0, n_rows, features))


def _common_features(files: Sequence[str], schemas: Sequence[pa.Schema]) -> datasets.Features:
    """Features that hold the rows of all files: columns in the order of the first one, types from
    where values are.

    A column may be in another order in another file, and have no values at all in one, which makes
    it one of nulls. Raises `SourceError` for files that do not fit together, before anything is
    read of them.
    """
    features = [features_of(schema, file) for schema, file in zip(schemas, files, strict=True)]
    first = features[0]
    for file, other in zip(files, features, strict=True):
        if {*other} != {*first}:
            message = (
                f"{file}: its columns are {list(other)}, those of {files[0]} are {list(first)}."
                " Give all the same ones."
            )
            raise SourceError(message)

    common = {
        column: next((of[column] for of in features if not _is_null(of[column])), first[column])
        for column in first
    }
    for file, other in zip(files, features, strict=True):
        for column, feature in common.items():
            if not (_is_null(other[column]) or _fits(other[column], feature)):
                message = (
                    f"{file}: its column {column!r} is {other[column]!r}, in other files it is"
                    f" {feature!r}. Give all files the same types."
                )
                raise SourceError(message)

    return datasets.Features(common)


def _is_null(feature: Any) -> bool:
    return getattr(feature, "dtype", "") == "null"


def _fits(feature: Any, common: Any) -> bool:
    """Whether values of a feature can be read as another one: the same, or a type that Arrow casts
    to it.
    """
    one, two = (datasets.Features({"x": f}).arrow_schema.field("x").type for f in (feature, common))
    return bool(one == two) or _castable(one, two)


def _castable(one: pa.DataType, two: pa.DataType) -> bool:
    try:
        pa.array([], one).cast(two)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False

    # Numbers can be cast to texts and back, but a column is not both.
    texts = [pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in (one, two)]

    return bool(texts[0] == texts[1])


def _opened(file: str, read: Any, what: str) -> Any:
    try:
        return read(file)
    except PARQUET_ERRORS as error:
        message = f"{file}: cannot be read as {what}: {because(error)}. Get the file again."
        raise SourceError(message) from error


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
