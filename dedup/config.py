"""The configuration: frozen, validated once, unknown keys rejected with the nearest known one.

Defaults live here and nowhere else. Stages get the part that concerns them; nothing below the pipeline reads a file or
the environment to learn a setting.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
)
from pydantic import model_validator as check

from dedup.errors import ConfigError

ALGORITHMS: Final = ("ahash", "phash", "dhash", "whash")
BITS: Final = (64, 256, 1024)

AUTO_DISTANCE_PER_64_BITS: Final = 12
"""What `search.max_distance: auto` means: 12 of 64 bits, 48 of 256, 192 of 1024."""

AUTO_MIN_SIMILARITY: Final = 0.9
"""What `verify.min_similarity: auto` means; where it comes from stands in docs/verification.md."""

SPLIT_ALIASES: Final = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "testing": "test",
}
"""Other names of the three usual splits, compared without regard to case."""

NOT_BUILT_YET: Final = {
    "hash.algorithms": {"pdq"},
    "hash.mode": {"fast"},
}
"""Values that the design names and this version refuses by name."""


def normal_split(name: str | None) -> str | None:
    """The split's usual name: `val`, `valid`, `dev` and `eval` are `validation`; unusual names stay as they are.

    >>> [normal_split(name) for name in ("Train", "val", "DEV", "fold1", None)]
    ['train', 'validation', 'validation', 'fold1', None]
    """
    if name is None:
        return None
    name = name.strip()
    lower = name.lower()
    if lower in SPLIT_ALIASES:
        return SPLIT_ALIASES[lower]
    return lower if lower in {"train", "validation", "test"} else name


def _one_of(key: str, *allowed: str) -> BeforeValidator:
    """Accepts one of the allowed words; names those that are not built yet as such."""

    def validate(value: object) -> object:
        if isinstance(value, str) and value in NOT_BUILT_YET.get(key, ()):
            message = f"{value!r} is not built yet. Allowed now: {', '.join(allowed)}"
            raise ValueError(message)
        if value not in allowed:
            near = difflib.get_close_matches(str(value), allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            message = f"got {value!r}, allowed: {', '.join(allowed)}.{hint}"
            raise ValueError(message)
        return value

    return BeforeValidator(validate)


def _max_distance(value: object) -> object:
    message = "give a whole number of bits, 0 or more, one number per algorithm, or 'auto'"
    numbers = list(value.values()) if isinstance(value, Mapping) else [value]
    if value != "auto" and not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"got {value!r}; {message}")  # noqa: EM102
    return value


def _share(value: object) -> object:
    if value is not None and (type(value) not in (int, float) or not 0 <= float(value) <= 1):  # type: ignore[arg-type]
        raise ValueError(f"got {value!r}; give a share from 0 to 1, or null")  # noqa: EM102
    return value


def _similarity(value: object) -> object:
    if value != "auto" and (type(value) not in (int, float) or not 0 <= float(value) <= 1):  # type: ignore[arg-type]
        raise ValueError(f"got {value!r}; give a number from 0 to 1, or 'auto'")  # noqa: EM102
    return value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"named twice: {', '.join(names)}")  # noqa: EM102
    return names


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Share = Annotated[float | None, BeforeValidator(_share)]
Count = Annotated[StrictInt, Field(gt=0)]


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(Section):
    """Where the samples of one dataset come from."""

    source: Annotated[
        Literal["auto", "imagefolder", "manifest", "huggingface", "webdataset"],
        _one_of("dataset.source", "auto", "imagefolder", "manifest", "huggingface", "webdataset"),
    ] = "auto"
    path: str | None = None
    name: str | None = None
    revision: str | None = None
    split: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    data_files: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    streaming: StrictBool = False
    protocols: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    top_folders: Annotated[
        Literal["auto", "splits", "labels"], _one_of("dataset.top_folders", "auto", "splits", "labels")
    ] = "auto"
    path_column: str | None = None
    bytes_column: str | None = None
    image_column: str | None = None
    id_column: str | None = None
    split_column: str | None = None
    label_column: str | None = None
    default_split: str | None = None


class NamedSource(SourceConfig):
    """One of several datasets."""

    path: str
    prefix: Annotated[str, Field(pattern=r"^[^/\\]+$")] | None = None
    reference: StrictBool = False


class DatasetConfig(SourceConfig):
    """Where the samples come from: one dataset, or several."""

    sources: tuple[NamedSource, ...] = ()

    @check(mode="after")
    def _one_or_several(self) -> Self:
        if not self.sources:
            return self
        others = self.model_fields_set - {"sources"}
        if wrong := sorted(key for key in others if getattr(self, key) != type(self).model_fields[key].default):
            raise ValueError(f"dataset.sources is given beside {', '.join(wrong)}; move these into its entries")  # noqa: EM102
        if all(source.reference for source in self.sources):
            raise ValueError("every entry of dataset.sources is a reference; one must be cleaned")  # noqa: EM101
        named = [source.prefix for source in self.sources if source.prefix is not None]
        if twice := sorted({prefix for prefix in named if named.count(prefix) > 1}):
            raise ValueError(f"dataset.sources: two entries have the prefix {twice[0]!r}; give each its own")  # noqa: EM102
        return self

    def prefixes(self) -> tuple[str, ...]:
        """What stands before the ids of each of several datasets: its prefix, else the last part of its path.

        >>> DatasetConfig(sources=({"path": "a/photos"}, {"path": "b/photos.csv", "reference": True})).prefixes()
        ('photos', 'photos-2')
        """
        found: list[str] = []
        taken = {source.prefix for source in self.sources}
        for source in self.sources:
            last = PurePosixPath(source.path.replace("\\", "/").partition("@")[0]).stem or "dataset"
            prefix, number = source.prefix or last, 1
            while source.prefix is None and (prefix in taken or prefix in found):
                number += 1
                prefix = f"{last}-{number}"
            found.append(prefix)
        return tuple(found)

    def reference_splits(self, splits: Iterable[str]) -> set[str]:
        """Those of the splits that are of a reference set."""
        prefixes = {p for p, source in zip(self.prefixes(), self.sources, strict=True) if source.reference}
        return {split for split in splits if split.partition("/")[0] in prefixes}


class HashConfig(Section):
    """What is measured on every picture."""

    algorithms: Annotated[
        tuple[Annotated[str, _one_of("hash.algorithms", *ALGORITHMS)], ...],
        BeforeValidator(_names),
        Field(min_length=1),
        AfterValidator(_distinct),
    ] = ("dhash", "phash")
    bits: Literal[64, 256, 1024] = 64
    mode: Annotated[Literal["compat"], _one_of("hash.mode", "compat")] = "compat"
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    max_pixels: Count = 100_000_000


class SearchConfig(Section):
    """How far candidates may lie apart."""

    max_distance: Annotated[Literal["auto"] | int | dict[str, int], BeforeValidator(_max_distance)] = "auto"
    combine: Annotated[Literal["any", "all"], _one_of("search.combine", "any", "all")] = "any"
    orientations: Annotated[
        Literal["upright", "mirrored", "all"], _one_of("search.orientations", "upright", "mirrored", "all")
    ] = "upright"
    max_candidates: Count = 20_000_000


class VerifyConfig(Section):
    """Which candidates are accepted as pairs."""

    method: Annotated[Literal["pixels", "none"], _one_of("verify.method", "pixels", "none")] = "pixels"
    min_similarity: Annotated[Literal["auto"] | float, BeforeValidator(_similarity)] = "auto"


class PolicyConfig(Section):
    """What is done about pairs."""

    held_out: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = None
    leakage: Annotated[
        Literal["drop_from_train", "drop_from_held_out", "report_only"],
        _one_of("policy.leakage", "drop_from_train", "drop_from_held_out", "report_only"),
    ] = "drop_from_train"
    duplicates: Annotated[
        Literal["keep_best", "keep_first", "report_only"],
        _one_of("policy.duplicates", "keep_best", "keep_first", "report_only"),
    ] = "keep_best"
    unreadable: Annotated[
        Literal["drop_from_train", "drop", "keep"],
        _one_of("policy.unreadable", "drop_from_train", "drop", "keep"),
    ] = "drop_from_train"


class GateConfig(Section):
    """When the exit code says that the dataset is not fit for use."""

    max_leakage: Share = None
    max_unreadable: Share = None


class OutputConfig(Section):
    """Where the result goes. No part of the fingerprint."""

    dir: str | None = None
    splits: Annotated[
        Literal["same", "imagefolder", "manifest", "parquet", "huggingface", "webdataset", "none"],
        _one_of("output.splits", "same", "imagefolder", "manifest", "parquet", "huggingface", "webdataset", "none"),
    ] = "same"
    files: Annotated[Literal["hardlink", "copy", "symlink"], _one_of("output.files", "hardlink", "copy", "symlink")] = (
        "hardlink"
    )
    push_to_hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    report: StrictBool = True


class EngineConfig(Section):
    """Where the work runs. No part of the fingerprint."""

    workers: Annotated[StrictInt | None, Field(ge=0)] = None


def _distance_problem(hashes: HashConfig, search: SearchConfig) -> str | None:
    """What is wrong between the distances and the codes, if anything."""
    distance = search.max_distance
    if isinstance(distance, dict):
        if set(distance) != set(hashes.algorithms):
            return (
                f"search.max_distance: names {', '.join(sorted(distance))}, hash.algorithms "
                f"{', '.join(sorted(hashes.algorithms))}; give one number for each algorithm"
            )
        largest = max(distance.values())
    else:
        largest = 0 if distance == "auto" else distance
    if largest > hashes.bits:
        return f"search.max_distance: got {largest}; the codes have only {hashes.bits} bits"
    return None


class Config(Section):
    """The whole configuration of a run."""

    dataset: DatasetConfig = DatasetConfig()
    hash: HashConfig = HashConfig()
    search: SearchConfig = SearchConfig()
    verify: VerifyConfig = VerifyConfig()
    policy: PolicyConfig = PolicyConfig()
    gate: GateConfig = GateConfig()
    output: OutputConfig = OutputConfig()
    engine: EngineConfig = EngineConfig()

    @check(mode="after")
    def _distances_fit(self) -> Self:
        if problem := _distance_problem(self.hash, self.search):
            raise ValueError(problem)
        return self

    def fingerprint_part(self) -> dict[str, Any]:
        """What decides the tables: not where data and output lie, not where the work runs, not the gate."""
        settings = self.model_dump(mode="json", exclude={"gate", "output", "engine"})
        for dataset in (settings["dataset"], *settings["dataset"]["sources"]):
            del dataset["path"]
        return settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a run with every `auto` replaced by what it came to."""

    algorithms: tuple[str, ...]
    bits: int  # of each code
    mode: str
    max_distance: dict[str, int]  # bits, inclusive, per algorithm
    combine: str
    orientations: str
    method: str
    min_similarity: float | None  # 0..1, inclusive; None where nothing is verified
    held_out: tuple[str, ...]  # normalised names, sorted
    leakage: str
    duplicates: str
    unreadable: str
    references: tuple[str, ...] = ()  # splits of reference sets, sorted: held out, and never altered


def resolve(config: Config, splits: Iterable[str | None]) -> Resolved:
    """Replace every `auto` by a number. Depends on the config and the names of the splits only."""
    all_splits = set(splits)
    present = {split for split in all_splits if split is not None}
    references = config.dataset.reference_splits(present)
    own = present - references
    distance = config.search.max_distance
    if distance == "auto":
        distance = AUTO_DISTANCE_PER_64_BITS * config.hash.bits // 64
    per_algorithm = distance if isinstance(distance, dict) else dict.fromkeys(config.hash.algorithms, distance)
    similarity = config.verify.min_similarity
    verified = config.verify.method == "pixels"
    if config.policy.held_out is not None:
        held_out = {normal_split(name) or name for name in config.policy.held_out} | references
        if unknown := held_out - present:
            message = (
                f"policy.held_out: no sample is in split {', '.join(map(repr, sorted(unknown)))}. "
                f"The dataset has {', '.join(map(repr, sorted(present))) or 'no splits'}. In an image folder, "
                f"dataset.top_folders: splits makes every top folder one."
            )
            raise ConfigError(message)
        if not all_splits - held_out:
            message = "policy.held_out names every split of the dataset: nothing is left to clean."
            raise ConfigError(message)
    else:
        held_out = (own - {"train"} if "train" in own else set()) | references
    return Resolved(
        algorithms=config.hash.algorithms,
        bits=config.hash.bits,
        mode=config.hash.mode,
        max_distance={name: per_algorithm[name] for name in config.hash.algorithms},
        combine=config.search.combine,
        orientations=config.search.orientations,
        method=config.verify.method,
        min_similarity=(AUTO_MIN_SIMILARITY if similarity == "auto" else float(similarity)) if verified else None,
        held_out=tuple(sorted(held_out)),
        leakage=config.policy.leakage,
        duplicates=config.policy.duplicates,
        unreadable=config.policy.unreadable,
        references=tuple(sorted(references)),
    )


def load(path: Path, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None) -> Config:
    """Read a YAML file and apply `section.key=value` overrides, then `options` by dotted key.

    `dataset.path` is taken relative to the file. Raises `ConfigError` with every problem at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path}: no such config file."
        raise ConfigError(message) from None
    except IsADirectoryError:
        message = f"{path}: it is a folder, not a config. For a look at a dataset: 'dedup audit {path}'."
        raise ConfigError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}."
        raise ConfigError(message) from error
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{path}: not valid YAML: {' '.join(str(error).split())}."
        raise ConfigError(message) from error
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        message = f"{path}: expected sections such as 'dataset:' at the top, got {type(settings).__name__}."
        raise ConfigError(message)
    return build(settings, overrides, options, where=str(path), relative_to=path.parent)


def build(
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    where: str = "config",
    relative_to: Path | None = None,
) -> Config:
    """A validated config from nested settings; `where` stands in front of every problem."""
    nested: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in settings.items()}
    dataset = nested.get("dataset")
    if relative_to is not None and isinstance(dataset, dict):
        nested["dataset"] = _placed(relative_to, dataset)
    problems = [problem for override in overrides if (problem := _override(nested, override))]
    for key, value in (options or {}).items():
        _set(nested, key, value)
    found, sections = _sections(nested)
    problems += [f"{where}: {problem}" for problem in found]
    if problems:
        raise ConfigError(*problems)
    return Config(**sections)


def _placed(folder: Path, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a dataset with its path, and those of `sources`, relative to a folder."""
    placed = dict(dataset)
    if isinstance(placed.get("path"), str):
        placed["path"] = _beside(folder, placed["path"])
    if isinstance(placed.get("sources"), list):
        placed["sources"] = [_placed(folder, s) if isinstance(s, Mapping) else s for s in placed["sources"]]
    return placed


def _beside(folder: Path, path: str) -> str:
    """A path taken relative to a folder, unless it is absolute, a URL or below the user's home."""
    return path if "://" in path or path.startswith("~") else str(folder / path)


def _sections(nested: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """All problems, and the sections that are valid. Each is validated by itself, so that one hides no other."""
    problems = [_unknown(key, list(Config.model_fields)) for key in nested if key not in Config.model_fields]
    sections: dict[str, Any] = {}
    for name, field in Config.model_fields.items():
        model: Any = field.annotation
        try:
            given = nested.get(name)
            sections[name] = model.model_validate({} if given is None else given)
        except ValidationError as error:
            problems += [_problem(name, detail) for detail in error.errors()]
    if (
        "hash" in sections
        and "search" in sections
        and (problem := _distance_problem(sections["hash"], sections["search"]))
    ):
        problems.append(f"{problem}.")
    return problems, sections


def keys() -> dict[str, type[Section]]:
    """Every dotted key of the configuration, with the section it belongs to."""
    found: dict[str, type[Section]] = {}
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, Section):
            found |= {f"{section}.{key}": model for key in model.model_fields}
    return found


def _override(nested: dict[str, Any], override: str) -> str | None:
    """Apply one `section.key=value`; returns what is wrong with it, if anything."""
    key, equals, text = override.partition("=")
    _, dot, name = key.strip().partition(".")
    if not equals or not dot or not name:
        return f"--set {override!r}: expected section.key=value, as in --set search.max_distance=8."
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return f"--set {override!r}: the value is not valid YAML: {' '.join(str(error).split())}."
    _set(nested, key.strip(), value)
    return None


def _set(nested: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.partition(".")
    target = nested.setdefault(section, {})
    if isinstance(target, dict):
        target[name] = value


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
    return f"{key}: unknown key.{hint}"


def _problem(section: str, detail: Any) -> str:
    """One problem that pydantic found, as `dotted.key: what is wrong`."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown(".".join([section, *map(str, detail["loc"])]), list(keys()))
    # pydantic also names the members of a union that it tried, such as `tuple[str, ...]`
    parts = [str(part) for part in detail["loc"] if isinstance(part, int) or str(part).isidentifier()]
    key = ".".join([section, *parts])
    if kind == "value_error":
        text = str(detail["ctx"]["error"])
        return f"{key}: {text}" if text.endswith("?") else f"{key}: {text.rstrip('.')}."
    if kind == "model_type":
        return f"{key}: got {detail['input']!r}; keys are expected under it, as in '{section}: {{key: value}}'."
    text = detail["msg"]
    return f"{key}: got {detail['input']!r}; {text[:1].lower()}{text[1:]}."
