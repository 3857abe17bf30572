"""The Python functions: settings as keywords, datasets as paths or objects."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from dedup import pipeline, tables
from dedup.api.hashing import hash_images as hash_images
from dedup.api.inputs import as_dataset
from dedup.api.options import Options
from dedup.api.progress import observer
from dedup.api.settings import options_to_settings, takes_options
from dedup.calibration import calibrate as calibration
from dedup.calibration.table import Calibration
from dedup.config import Config, build
from dedup.config import load as read_config
from dedup.engines import Engine
from dedup.errors import ConfigError, RunError
from dedup.runs import folder, stored
from dedup.runs.result import Run


def run(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    overwrite: bool = False,
    progress: bool | None = None,
    engine: Engine | None = None,
) -> Run:
    """Run the whole stage: hash, search, verify, decide, write the splits and the report.

    `config`: a YAML file, its content as nested dicts, or a `Config`. Without `output.dir` nothing
    is written and the result stays in memory. `progress`: a bar; None means one in a notebook or on
    a terminal. `engine`: one of your own, where pictures are decoded (docs/adding.md).
    """
    if isinstance(config, str | Path):
        config = read_config(Path(config))
    elif not isinstance(config, Config):
        config = build(config)
    return pipeline.run(config, overwrite=overwrite, observer=observer(progress), engine=engine)


@takes_options
def audit(
    dataset: Any, *, against: str | Path | Sequence[str | Path] = (), **options: Unpack[Options]
) -> Run:
    """What is wrong with this dataset? Writes no splits.

    `dataset`: a path; a `datasets.DatasetDict`, `Dataset` or `IterableDataset`, or a dict of them
    by split; a DataFrame or an Arrow table with a column of images or of paths; a list of pictures
    (paths, bytes, PIL); a torchvision `ImageFolder`. Of a list of folders the first is checked and
    the others are reference sets.

    `options` are settings of the config by their own names (`max_distance=8`, `held_out=["test"]`,
    `num_proc=2`) or by section (`search={"max_distance": 8}`); with `dir` the tables and the report
    are written there. `progress`: a bar; None means one in a notebook or on a terminal. `against`:
    a path, or several, of banks or other reference sets: is the dataset clean of them?
    """
    references = [against] if isinstance(against, str | Path) else list(against)
    # A mapping says which values of a column are which split; a text what would be written.
    given: dict[str, Any] = {
        key: value
        for key, value in options.items()
        if key != "splits" or isinstance(value, Mapping)
    }
    nothing = {**given.get("output", {}), "splits": "none"}

    return _run(dataset, {**given, "output": nothing}, references)


@takes_options
def deduplicate(dataset: Any, **options: Unpack[Options]) -> tuple[Any, Run]:
    """The dataset without duplicates and leaks, always as a `datasets.DatasetDict`, and the run
    that says why.

    Rows are selected, never re-encoded. `dataset` and `options` as for `audit`.
    """
    result = _run(dataset, options)
    return result.splits(), result


@takes_options
def calibrate(dataset: Any, **options: Unpack[Options]) -> Calibration:
    """What each distance would let in on this data: pairs, expected chance pairs, confirmed pairs.

    `dataset`: a finished `Run`, the folder of one, or a dataset with `options` as for `audit`.
    Raises `RunError` for too few pictures.
    """
    if isinstance(dataset, Run) or (
        isinstance(dataset, str | Path) and (Path(dataset) / folder.RUN).exists()
    ):
        if options:
            message = (
                "calibrate: a finished run has its settings; these do not apply:"
                f" {', '.join(sorted(options))}."
            )
            raise ConfigError(message)
        return (
            calibration.calibrate(dataset)
            if isinstance(dataset, Run)
            else calibration.of_folder(Path(dataset))
        )
    return calibration.calibrate(audit(dataset, **options))


def load(run_folder: str | Path) -> Run:
    """A finished run from its folder, as `audit` and `run` returned it.

    Its dataset is not opened. Raises `RunError` for a folder that holds no finished run.
    """
    result = stored.load(Path(run_folder), (), tables.NAMES)
    return replace(result, summary=folder.read_json(Path(run_folder) / folder.SUMMARY))


@takes_options
def decide(run: Run | str | Path, **options: Unpack[Options]) -> Run:
    """New thresholds, within what was searched, or another policy, without pixels and without a
    search.

    `run`: a finished run, or the folder of one. The result takes its place, or goes to another
    folder with `dir`.
    """
    call, settings = _call_and_settings(options)
    place = settings.get("output", {}).pop("dir", None)
    overrides = [
        f"{section}.{key}={json.dumps(value)}"
        for section, of in settings.items()
        for key, value in of.items()
    ]

    return pipeline.decide(
        _folder_of(run, "decide"), overrides, output=None if place is None else Path(place), **call
    )


def report(run: Run | str | Path) -> Path:
    """Write the HTML report of a finished run again; returns where it is."""
    place = _folder_of(run, "report")
    pipeline.report(place)
    return place / folder.REPORT


def _folder_of(run: Run | str | Path, what: str) -> Path:
    place = run.dir if isinstance(run, Run) else Path(run)
    if place is None:
        message = (
            f"{what}: this run is in memory only. Give it a folder when it is made: audit(dataset,"
            " dir='runs/x')."
        )
        raise RunError(message)

    return place


def _call_and_settings(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the pipeline is called with, and the nested settings of the config."""
    given = dict(options)
    call = {
        "overwrite": bool(given.pop("overwrite", False)),
        "observer": observer(given.pop("progress", None)),
    }

    return call, options_to_settings(given)


def _run(dataset: Any, options: Mapping[str, Any], against: Sequence[str | Path] = ()) -> Run:
    call, settings = _call_and_settings(options)
    if against:
        own = list(dataset) if isinstance(dataset, list | tuple) else [dataset]
        if not all(isinstance(path, str | Path) for path in own):
            message = (
                "audit(against=…) needs a dataset named by its path, not a"
                f" {type(own[0]).__name__}."
            )
            raise ConfigError(message)
        named = [
            {"path": str(path), "reference": at > 0} for at, path in enumerate([*own, *against])
        ]
        settings.setdefault("dataset", {})["sources"] = named
        return pipeline.run(build(settings), **call)

    if isinstance(dataset, str | Path):
        settings.setdefault("dataset", {})["path"] = str(dataset)
        return pipeline.run(build(settings), **call)

    held = as_dataset(dataset, settings)
    if (
        held is dataset
        and isinstance(dataset, list | tuple)
        and all(isinstance(path, str | Path) for path in dataset)
    ):
        sources = [{"path": str(path), "reference": at > 0} for at, path in enumerate(dataset)]
        settings.setdefault("dataset", {})["sources"] = sources
        return pipeline.run(build(settings), **call)

    return pipeline.run(build(settings), held, **call)
