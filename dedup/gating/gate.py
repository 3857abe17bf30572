"""The gate over a run, in memory or in its folder: nothing is hashed or searched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dedup import config as configuration
from dedup.config import Config, GateConfig
from dedup.gating.verdict import Verdict, judge
from dedup.runs import folder
from dedup.tables import storage


class Finished(Protocol):
    """What the gate needs of a `dedup.Run`."""

    @property
    def config(self) -> Config:
        """Its settings."""

    @property
    def summary(self) -> dict[str, Any]:
        """What is in summary.json."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What is in run.json."""

    @property
    def leakage(self) -> pa.Table:
        """Pairs between train and a held-out split."""


def gate(
    run: Finished | str | Path,
    *,
    max_leakage: float | None = None,
    max_unreadable: float | None = None,
    certified: bool | None = None,
    max_uncompared: int | None = None,
    allow_nothing: bool | None = None,
) -> Verdict:
    """Hold a finished run, or the folder of one, against limits; those not given are of the run's
    own config.

    Raises `ConfigError` for a limit that is none, `RunError` for a folder without a finished run.
    Which run passed is `Verdict.passed`; `Verdict.junit()`, `.markdown()` and `.json()` are the
    documents.
    """
    given = {
        "max_leakage": max_leakage,
        "max_unreadable": max_unreadable,
        "certified": certified,
        "max_uncompared": max_uncompared,
        "allow_nothing": allow_nothing,
    }
    limits = {key: value for key, value in given.items() if value is not None}
    if isinstance(run, str | Path):
        with folder.reading(Path(run)):
            info = folder.finished(Path(run))
            leakage, summary = (
                storage.read(Path(run), "leakage"),
                folder.read_json(Path(run) / folder.SUMMARY),
            )
        return _judged(summary, leakage, _limits(info["config"]["gate"], limits), info)

    return _judged(
        run.summary, run.leakage, _limits(run.config.gate.model_dump(), limits), run.info
    )


def _limits(own: Mapping[str, Any], given: Mapping[str, Any]) -> GateConfig:
    return configuration.build({"gate": {**own, **given}}, where="gate").gate


def _judged(
    summary: Mapping[str, Any], leakage: pa.Table, limits: GateConfig, info: Mapping[str, Any]
) -> Verdict:
    seconds = sum(stage["seconds"] for stage in info.get("stages", ()))
    return judge(summary, leakage, limits, title=info["source"]["name"], seconds=seconds)
