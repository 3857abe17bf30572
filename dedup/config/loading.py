"""YAML files, overrides and options to a validated configuration, with every problem named at
once.
"""

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from dedup.config.documents import read_yaml
from dedup.config.sections import LISTS, OLD_LISTS, Config, distance_problem
from dedup.config.values import Section
from dedup.errors import ConfigError

logger = logging.getLogger(__name__)


def load(
    path: Path, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> Config:
    """Read a YAML file and apply `section.key=value` overrides, then `options` by dotted key.

    `dataset.path` is taken relative to the file. Raises `ConfigError` with every problem at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{path}: no such config file."
        raise ConfigError(message) from None
    except IsADirectoryError:
        message = (
            f"{path}: it is a folder, not a config. For a look at a dataset: 'dedup audit {path}'."
        )
        raise ConfigError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}."
        raise ConfigError(message) from error
    try:
        settings = read_yaml(text)
    except RecursionError as error:
        message = f"{path}: not a config: it is nested too deeply."
        raise ConfigError(message) from error
    except (yaml.YAMLError, ValueError) as error:
        message = f"{path}: not valid YAML: {' '.join(str(error).split())}."
        raise ConfigError(message) from error

    if settings is None:
        settings = {}

    if not isinstance(settings, dict):
        message = (
            f"{path}: expected sections such as 'dataset:' at the top, got"
            f" {type(settings).__name__}."
        )
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
    nested: dict[str, Any] = {
        k: dict(v) if isinstance(v, Mapping) else v for k, v in settings.items()
    }
    dataset = nested.get("dataset")
    if relative_to is not None and isinstance(dataset, dict):
        nested["dataset"] = _placed(relative_to, dataset)

    problems = _rename_lists(nested)
    policy = nested.get("policy")
    if relative_to is not None and isinstance(policy, dict):
        nested["policy"] = policy | {
            k: _beside(relative_to, policy[k]) for k in LISTS if isinstance(policy.get(k), str)
        }

    problems += [problem for override in overrides if (problem := _override(nested, override))]
    for key, value in (options or {}).items():
        _set(nested, key, value)

    problems += _rename_lists(nested)
    found, sections = _sections(nested)
    problems += [f"{where}: {problem}" for problem in found]
    if problems:
        raise ConfigError(*problems)

    return Config(**sections)


def _rename_lists(nested: dict[str, Any]) -> list[str]:
    """Give the lists of `policy` the names that they have now; what is given under both is a
    problem.
    """
    policy = nested.get("policy")
    if not isinstance(policy, Mapping) or not OLD_LISTS.keys() & policy.keys():
        return []

    problems = []
    renamed = {key: value for key, value in policy.items() if key not in OLD_LISTS}
    for old, new in OLD_LISTS.items():
        if policy.get(old) is None:
            continue
        if renamed.get(new) is not None:
            problems.append(f"policy.{old} is the old name of policy.{new}; give one of them.")
            continue
        renamed[new] = policy[old]
        logger.warning("policy.%s is called policy.%s now; it is read all the same.", old, new)

    nested["policy"] = renamed

    return problems


def _placed(folder: Path, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a dataset with its path, and those of `sources`, relative to a folder."""
    placed = dict(dataset)
    for key in ("path", "image_folder"):
        if isinstance(placed.get(key), str):
            placed[key] = _beside(folder, placed[key])

    if isinstance(placed.get("sources"), list):
        placed["sources"] = [
            _placed(folder, s) if isinstance(s, Mapping) else s for s in placed["sources"]
        ]

    return placed


def _beside(folder: Path, path: str) -> str:
    """A path taken relative to a folder, unless it is absolute, a URL or below the user's home."""
    return path if "://" in path or path.startswith("~") else str(folder / path)


def _sections(nested: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """All problems, and the sections that are valid. Each is validated by itself, so that one hides
    no other.
    """
    problems = [
        _unknown(key, list(Config.model_fields)) for key in nested if key not in Config.model_fields
    ]
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
        and (problem := distance_problem(sections["hash"], sections["search"]))
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
        value = read_yaml(text)
    except RecursionError:
        return f"--set {key.strip()}: the value is nested too deeply."
    except (yaml.YAMLError, ValueError) as error:
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
    parts = [
        str(part) for part in detail["loc"] if isinstance(part, int) or str(part).isidentifier()
    ]
    key = ".".join([section, *parts])
    if kind == "value_error":
        text = str(detail["ctx"]["error"])
        return f"{key}: {text}" if text.endswith("?") else f"{key}: {text.rstrip('.')}."

    if kind == "model_type":
        return (
            f"{key}: got {detail['input']!r}; keys are expected under it, as in '{section}: {{key:"
            " value}'."
        )

    text = detail["msg"]

    return f"{key}: got {detail['input']!r}; {text[:1].lower()}{text[1:]}."
