"""Finished runs: reading their tables, opening their dataset again, and what cannot be asked of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dedup import folder, tables
from dedup.config import build, resolve
from dedup.errors import ConfigError, RunError
from dedup.fingerprints import run_info, specs
from dedup.formats import keys_of, open_source
from dedup.hashers.setup import Setup
from dedup.hashing import refuse_other
from dedup.result import Run
from dedup.stages.manifest import manifest


def like(run_folder: Path, form: str) -> dict[str, Any]:
    """The settings of a finished run for a dataset of some form, with the numbers that `auto` came to."""
    info = folder.finished(run_folder)
    resolved = folder.read_json(run_folder / folder.SUMMARY)["resolved"]
    settings = {section: dict(info["config"][section]) for section in ("hash", "search", "verify", "policy")}
    settings["dataset"] = {key: info["config"]["dataset"][key] for key in keys_of(form, info["source"]["form"])}
    settings["search"]["max_distance"] = resolved["max_distance"]
    if resolved["min_similarity"] is not None:
        settings["verify"]["min_similarity"] = resolved["min_similarity"]
    of_hashes = build({key: settings[key] for key in ("hash", "search")})
    refuse_other(info.get("hashed_by"), Setup.of(of_hashes), f"The run in {str(run_folder)!r}")
    return settings


def load(run_folder: Path, overrides: Sequence[str], names: Sequence[str]) -> Run:
    """A finished run, with the overrides applied to its config."""
    info = folder.finished(run_folder, or_deciding="pairs" not in names)
    settings = {key: dict(section) for key, section in info["config"].items()}
    config = build(settings, overrides, where=str(run_folder / folder.RUN))
    loaded = {name: tables.read(run_folder, name) for name in names}
    resolved = resolve(config, loaded["manifest"]["split"].unique().to_pylist())
    result = Run(config, resolved, None, np.empty(0, np.int64), run_folder, loaded)
    result.info = run_info(config, info["source"], loaded["manifest"])
    result.info["hashed_by"] = info.get("hashed_by")
    return result


def reopen(result: Run) -> None:
    """Open the dataset of a stored run; refuse it when it is not what was searched."""
    name = result.info["source"]["name"]
    if result.info["source"]["in_memory"]:
        message = f"This run was over {name}, which cannot be opened again. Set output.splits=none."
        raise RunError(message)
    source = open_source(result.config.dataset)
    table, row_of_sample = manifest(source.rows, source.name)
    if not table.equals(result.manifest):
        message = f"The dataset {name!r} has changed since it was searched. Run it again."
        raise RunError(message)
    result.source, result.row_of_sample = source, row_of_sample


def refuse_what_was_not_searched(result: Run) -> None:
    """Raise `ConfigError` for settings that the stored candidates cannot answer, naming each."""
    stored, asked = tables.spec_of(result.candidates), specs(result.config, result.resolved)["candidates"]
    problems = [
        f"{section}.{key}: the stored tables were made with {stored[section][key]!r}, not {value!r}."
        for section, key, value in [
            *(("hash", key, value) for key, value in asked["hash"].items() if key != "transforms"),
            ("search", "orientations", asked["search"]["orientations"]),
            ("verify", "method", asked["verify"]["method"]),
        ]
        if stored[section][key] != value
    ]
    if problems:
        raise ConfigError(*problems, "Run it again with these settings.")
    searched = stored["search"]
    if searched["orientations"] != "upright" and asked["search"] != searched:
        # One transform is stored for a pair, the best one under the settings of that search.
        problems.append("search: with other orientations than upright, no search setting can be changed afterwards.")
    for name, distance in asked["search"]["max_distance"].items():
        limit = searched["max_distance"].get(name, -1)
        if distance > limit:
            problems.append(f"search.max_distance: {name} was searched up to {limit} bits, not to {distance}.")
    if searched["combine"] == "all" and asked["search"]["combine"] == "any" and len(searched["max_distance"]) > 1:
        problems.append("search.combine: only pairs within the distance of all algorithms were searched, not of any.")
    if problems:
        raise ConfigError(*problems, "Run it again with these settings.")
