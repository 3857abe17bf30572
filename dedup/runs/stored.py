"""Finished runs: reading their tables, opening their dataset again, and what cannot be asked of
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import LIMITS, LISTS, Config, Resolved, build, resolve
from dedup.errors import ConfigError, RunError
from dedup.formats import (
    Source,
    distinct_of,
    groups_of,
    image_rows_of,
    keys_of,
    open_source,
    values_of,
)
from dedup.hashers.setup import Setup
from dedup.policy import distinct
from dedup.policy.judgements import Lists, judge, read_lists
from dedup.policy.record import merged
from dedup.runs import folder
from dedup.runs.fingerprints import run_info, specs
from dedup.runs.judging import judgements
from dedup.runs.result import Run, search_threads
from dedup.runs.storing import Store
from dedup.stages.hashes import refuse_other
from dedup.stages.manifest import manifest as listed
from dedup.tables import storage

Tables = Mapping[str, pa.Table]


def like(run_folder: Path, form: str) -> dict[str, Any]:
    """The settings of a finished run for a dataset of some form, with the numbers that `auto` came
    to.
    """
    with folder.reading(run_folder):
        info = folder.finished(run_folder)
        resolved = folder.read_json(run_folder / folder.SUMMARY)["resolved"]

    settings = {
        section: dict(info["config"][section]) for section in ("hash", "search", "verify", "policy")
    }
    settings["dataset"] = {
        key: info["config"]["dataset"][key]
        for key in keys_of(form, info["source"]["form"])
        if key in info["config"]["dataset"]
    }
    # What was said of samples and columns of that dataset says nothing of another one.
    settings["policy"] |= dict.fromkeys((*LISTS, "keep_by"))
    if settings["policy"]["duplicates"] == "keep_by":
        settings["policy"]["duplicates"] = "keep_best"

    settings["search"]["max_distance"] = resolved["max_distance"]
    if resolved["min_similarity"] is not None:
        # A run of an older version has plain limits only, and keeps them.
        settings["verify"] |= {limit: resolved[limit] for limit in LIMITS if limit in resolved}

    of_hashes = build({key: settings[key] for key in ("hash", "search")})
    refuse_other(info.get("hashed_by"), Setup.of(of_hashes), f"The run in {str(run_folder)!r}")

    return settings


def load(
    run_folder: Path,
    overrides: Sequence[str],
    names: Sequence[str],
    *,
    thumbnails: bool = False,
    beside: Sequence[Path] = (),
) -> Run:
    """A finished run, with the overrides applied to its config.

    The thumbnails, most of what is stored, are read only when they are asked for. `beside`: folders
    whose records of judgements count, too.
    """
    with folder.reading(run_folder):
        return _loaded(run_folder, overrides, names, thumbnails=thumbnails, beside=beside)


def _loaded(
    run_folder: Path,
    overrides: Sequence[str],
    names: Sequence[str],
    *,
    thumbnails: bool,
    beside: Sequence[Path],
) -> Run:
    info = folder.finished(run_folder)
    settings = {key: dict(section) for key, section in info["config"].items()}
    config = build(settings, overrides, where=str(run_folder / folder.RUN))
    spared = () if thumbnails else ("thumbnail",)
    loaded = {
        # In one piece: rows are picked out of it again and again.
        name: (
            storage.read(
                run_folder, name, without=spared if name == "hashes" else ()
            ).combine_chunks()
        )
        for name in names
        if name != "candidates"
    }
    lists = Lists()
    if "pairs" not in names:
        lists = replace(read_lists(config), record=merged(*map(judgements, (run_folder, *beside))))

    resolved = replace(
        resolve(config, loaded["manifest"]["split"].unique().to_pylist()), lists=lists.digests()
    )
    if config.search.max_distance == "auto":
        distances = _radius(run_folder, build(info["config"]), resolved, config, loaded)
        resolved = resolved.but(max_distance=distances)

    changed = _refuse_other_columns(loaded, config, resolved)
    resolved = resolved.but(distinct=distinct.rule(resolved, loaded["manifest"], loaded["hashes"]))
    known = None if changed else info["fingerprints"]["input"]
    again = run_info(config, info["source"], loaded["manifest"], lists.digests(), known=known)

    return Run(
        config,
        resolved,
        None,
        np.empty(0, np.int64),
        Store(run_folder, loaded),
        again | {"hashed_by": info.get("hashed_by")},
        judged=judge(lists, loaded["manifest"], loaded["hashes"]),
        changed=changed,
    )


def _refuse_other_columns(loaded: dict[str, pa.Table], config: Config, resolved: Resolved) -> bool:
    """Raise `ConfigError` for settings of the dataset that the stored manifest was not read with.

    A column of values to keep by that is not asked for any more is taken out, as if it had not been
    read; returns whether there was one.
    """
    manifest = loaded["manifest"]
    stored, asked = storage.spec_of(manifest), specs(config, resolved)["manifest"]
    problems = [
        f"dataset.{key}: the stored manifest was read with {stored['dataset'].get(key)!r}, not"
        f" {value!r}."
        for key, value in asked["dataset"].items()
        if stored["dataset"].get(key, value) != value
    ]

    if asked["keep_by"] not in {None, stored["keep_by"]}:
        problems.append(
            f"policy.keep_by: the stored manifest has the column {stored['keep_by']!r}, not"
            f" {asked['keep_by']!r}."
        )

    if list(asked["distinct_columns"]) != list(stored.get("distinct_columns", ())):
        problems.append(
            "policy.distinct_columns: the stored manifest was read with"
            f" {stored.get('distinct_columns', ())!r}, not {asked['distinct_columns']!r}."
        )

    if problems:
        raise ConfigError(*problems, "Run it again with these settings.")

    if stored["keep_by"] is not None and asked["keep_by"] is None:
        place = manifest.column_names.index("keep_by")
        empty = pa.nulls(len(manifest), pa.string())
        without = manifest.set_column(place, manifest.schema.field(place), empty)
        loaded["manifest"] = storage.described(without, "manifest", asked)
        return True

    return False


def read_manifest(source: Source, config: Config) -> tuple[pa.Table, NDArray[np.int64]]:
    """The manifest of an opened dataset with the columns that the config names, and the row of each
    sample.
    """
    keep_by = config.policy.keep_by
    return listed(
        source.rows,
        source.name,
        groups=groups_of(source, config.dataset),
        keep_by=None if keep_by is None else values_of(source, keep_by),
        distinct=distinct_of(source, config.policy.distinct_columns),
        image_rows=image_rows_of(source),
    )


def _radius(
    run_folder: Path, stored: Config, resolved: Resolved, config: Config, loaded: Tables
) -> dict[str, int]:
    """What `auto` came to when the run was made, or comes to on the stored codes under other
    settings.
    """
    summary = run_folder / folder.SUMMARY
    if (stored.search, stored.hash) == (config.search, config.hash) and summary.exists():
        distances: dict[str, int] = folder.read_json(summary)["resolved"]["max_distance"]
        return distances

    # the search brings numba: half a second that is seldom needed
    from dedup.stages.radius import radius

    refuse_other_hashes(
        storage.stored_spec(run_folder, "candidates"), specs(config, resolved)["candidates"]
    )
    hashes = loaded["hashes"]
    if (
        "thumbnail" not in hashes.column_names and resolved.verify.method != "none"
    ):  # frames are seen on them
        hashes = storage.read(run_folder, "hashes")

    return radius(hashes, resolved, threads=search_threads(config))


def reopen(result: Run) -> Run:
    """The run with its dataset opened; refused when it is not what was searched."""
    name = result.info["source"]["name"]
    if result.info["source"]["in_memory"]:
        message = f"This run was over {name}, which cannot be opened again. Set output.splits=none."
        raise RunError(message)

    source = open_source(result.config.dataset)
    table, row_of_sample = read_manifest(source, result.config)
    if not table.equals(result.manifest):
        message = f"The dataset {name!r} has changed since it was searched. Run it again."
        raise RunError(message)

    return replace(result, source=source, row_of_sample=row_of_sample)


def refuse_other_hashes(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where the specs of two tables of candidates differ in more than
    thresholds.
    """
    problems = [
        f"{section}.{key}: the stored tables were made with {stored[section].get(key)!r}, not"
        f" {value!r}."
        for section, key, value in [
            *(("hash", key, value) for key, value in asked["hash"].items() if key != "transforms"),
            ("search", "orientations", asked["search"]["orientations"]),
            *(("verify", key, value) for key, value in asked["verify"].items()),
        ]
        if stored[section].get(key) != value  # None: of before there was such a setting
    ]
    if problems:
        raise ConfigError(*problems, "Run it again with these settings.")


def refuse_what_was_not_searched(result: Run, run_folder: Path) -> None:
    """Raise `ConfigError` for settings that the stored candidates cannot answer, naming each."""
    stored, asked = (
        storage.stored_spec(run_folder, "candidates"),
        specs(result.config, result.resolved)["candidates"],
    )
    refuse_other_hashes(stored, asked)
    problems = []
    if result.resolved.parts.parts == "on" and not (run_folder / "placements.parquet").exists():
        problems.append("search.parts: parts were not searched.")

    searched = stored["search"]
    if searched["orientations"] != "upright" and asked["search"] != searched:
        # One transform is stored for a pair, the best one under the settings of that search.
        problems.append(
            "search: with other orientations than upright, no search setting can be changed"
            " afterwards."
        )

    for name, distance in asked["search"]["max_distance"].items():
        limit = searched["max_distance"].get(name, -1)
        if distance > limit:
            problems.append(
                f"search.max_distance: {name} was searched up to {limit} bits, not to {distance}."
            )

    if (
        searched["combine"] == "all"
        and asked["search"]["combine"] == "any"
        and len(searched["max_distance"]) > 1
    ):
        problems.append(
            "search.combine: only pairs within the distance of all algorithms were searched, not of"
            " any."
        )

    if problems:
        raise ConfigError(*problems, "Run it again with these settings.")
