"""The end of a run: splits and report are written, and all of it is put in its place."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dedup import files
from dedup.clock import Clock
from dedup.engines import Distributed, Engine
from dedup.memory import peak_memory
from dedup.runs import folder
from dedup.runs.folder import Staged
from dedup.runs.output import push, write_certified, write_report
from dedup.runs.result import Run, specs_of


def finished_run(
    result: Run,
    found: Mapping[str, pa.Table],
    said: dict[str, Any],
    place: Staged | None,
    engine: Engine,
    clock: Clock,
) -> Run:
    """Store what was concluded, write the splits and the report, and put all of it in its place."""
    result = replace(result, summary=said | {"certificate": None})
    with result.store.putting(found, specs_of(result)):
        if result.config.output.splits != "none":
            with clock.stage("splits") as done:
                result = write_certified(result)
                done(int(result.keep().sum()))
        if place is not None and result.config.output.report:
            with clock.stage("report") as done:
                # `decide` opens the dataset to write it, not for the pictures of the page.
                write_report(result, engine, open_dataset=False)
                done(len(result.manifest))

    ended: dict[str, Any] = {
        "state": "finished",
        "stages": clock.stages,
        "peak_memory_bytes": peak_memory(),
    }
    if isinstance(engine, Distributed):
        ended["tasks_by_node"] = dict(engine.tasks_by_node)

    result = replace(result, info={**result.info, **ended})
    if place is None:
        return result

    files.write_json(place.folder / folder.SUMMARY, result.summary)
    place.commit(result.info)
    result = replace(result, store=result.store.at_home())
    if result.config.output.splits != "none":
        push(result)

    return result
