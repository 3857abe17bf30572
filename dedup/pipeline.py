"""The run in order, one line per stage: start reading here."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from dedup import graph, tables
from dedup.clock import Clock, Observer, Silent
from dedup.config import Config, Resolved
from dedup.engines import Distributed, Engine, local, made
from dedup.errors import ConfigError
from dedup.formats import check_movable
from dedup.formats.places import is_url, protocol
from dedup.formats.places import local as local_path
from dedup.hashers.setup import Setup
from dedup.memory import within_memory
from dedup.policy import distinct
from dedup.policy.crops import overlaps
from dedup.policy.judgements import Lists, judge, read_lists
from dedup.policy.unreadable import refuse_emptied
from dedup.reporting.components import components
from dedup.reporting.dataset import described
from dedup.reporting.recordings import recordings
from dedup.reporting.summary import summary
from dedup.runs import folder
from dedup.runs.accepting import accepted_pairs, judgements_told
from dedup.runs.finishing import finished_run
from dedup.runs.folder import Staged
from dedup.runs.judging import bring
from dedup.runs.opening import opened, undone_if_refused
from dedup.runs.output import output_folder, refuse_push, write_report
from dedup.runs.result import Run, specs_of
from dedup.runs.stored import load, refuse_what_was_not_searched, reopen
from dedup.runs.storing import Store
from dedup.stages.chains import chains
from dedup.stages.decisions import decisions
from dedup.stages.groups import groups
from dedup.stages.leakage import leakage
from dedup.stages.uncompared import uncompared
from dedup.tables import storage


def run(
    config: Config,
    dataset: Any = None,
    *,
    observer: Observer | None = None,
    overwrite: bool = False,
    explain: Callable[[str], None] | None = None,
    engine: Engine | None = None,
) -> Run:
    """The whole stage: from the dataset to the report.

    `dataset`: a `datasets.DatasetDict` or `Dataset` in place of `config.dataset.path`. Tables,
    splits and report are written to `config.output.dir`; with none, everything stays in memory.
    `explain` is told how the codes will be searched. `engine`: where pictures are decoded, in place
    of the one that `config.engine` asks for.
    """
    target = config.output.dir
    if target is None or not is_url(target) or protocol(target) == "file":
        if target is not None:
            config = _to_folder(config, local_path(target))
        return _run(
            config,
            dataset,
            observer=observer,
            overwrite=overwrite,
            explain=explain,
            engine=engine,
        )

    from dedup.runs import remote
    from dedup.stages.hashes import cache_folder

    with remote.held(target, cache_folder(config.cache)) as place:
        result = _run(
            _to_folder(config, str(place.folder)),
            dataset,
            observer=observer,
            overwrite=True,
            explain=explain,
            engine=engine,
            accepts=lambda info: place.refuse_another_run(info, overwrite=overwrite),
        )
        place.send()

    return result


def _to_folder(config: Config, folder: str) -> Config:
    output = config.output.model_copy(update={"dir": folder})
    return config.model_copy(update={"output": output})


def _run(
    config: Config,
    dataset: Any,
    *,
    observer: Observer | None,
    overwrite: bool,
    explain: Callable[[str], None] | None,
    engine: Engine | None,
    accepts: Callable[[Mapping[str, Any]], None] | None = None,
) -> Run:
    """A run into a folder of this machine. `accepts` may raise before any work is done, from what
    `run.json` will say.
    """
    # Not above: they bring numba, and a second that `decide` and `report` have no use for.
    from dedup.stages.hashes import ahead

    clock = Clock(observer or Silent())
    lists = read_lists(config)
    with ExitStack() as held:
        if engine is None:
            engine = made(config.engine)
            if isinstance(engine, Distributed):
                held.callback(engine.close)
        held.enter_context(within_memory(config.engine.memory_total))
        held.enter_context(engine.kept())  # who hashed looks again, and makes the report's pictures
        with ahead(engine, config.cache):
            from dedup.rehearsal import rehearsed

            with rehearsed(config) as kernels:
                result, place, lists = opened(
                    config, dataset, lists, clock, held, accepts, overwrite=overwrite
                )
                result = _hashed(result, engine, clock)
                if kernels is not None:
                    with clock.stage("kernels"):
                        kernels(clock.count)

        return _judged(result, lists, engine, place, clock, explain)


def _judged(
    result: Run,
    lists: Lists,
    engine: Engine,
    place: Staged | None,
    clock: Clock,
    explain: Callable[[str], None] | None,
) -> Run:
    """What follows from the hashes: pairs, decisions, splits, report."""
    from dedup.runs.searching import search
    from dedup.stages.hashes import tell_skipped

    config = result.config
    with undone_if_refused(result):
        if config.output.splits != "none":
            refuse_emptied(result.store["hashes"], result.manifest, result.resolved)
        judged = judge(lists, result.manifest, result.store["hashes"])

    how = distinct.rule(result.resolved, result.manifest, result.store["hashes"])
    result = replace(result, judged=judged, resolved=result.resolved.but(distinct=how))
    tell_skipped(result.store["hashes"])

    result = search(result, engine, clock, explain)
    if result.resolved.parts.parts == "on":
        from dedup.runs.parting import find_parts  # OpenCV, which only this needs

        result = find_parts(result, engine, clock)

    with undone_if_refused(result):
        concluded = _concluded(result, clock)

    return finished_run(result, *concluded, place, engine, clock)


def _hashed(result: Run, engine: Engine, clock: Clock) -> Run:
    """Store the hashes."""
    from dedup.stages.hashes import environment, hashed, keeping, refuse_absent

    config, source, n = result.config, result.opened(), len(result.manifest)
    setup = Setup.of(config)
    with clock.stage("hashes") as done:
        here = environment(setup)
        with keeping(config.cache, setup, here, result.dir) as kept:
            table = hashed(source, result.row_of_sample, setup, engine, kept, clock.advance)
            made_by = table.replace_schema_metadata({tables.CANARY: here.canary})
            result.store.put("hashes", made_by, specs_of(result))
        done(n)

    refuse_absent(result.store["hashes"], result.manifest, source.name)

    return replace(result, info={**result.info, "hashed_by": asdict(here)})


def decide(
    run_folder: Path,
    overrides: Sequence[str] = (),
    *,
    output: Path | None = None,
    observer: Observer | None = None,
    overwrite: bool = False,
) -> Run:
    """New thresholds, within what was searched, or another policy, from the stored tables: no
    pixels, no search.

    The result takes the place of the old one, or goes to the folder `output`, where another run is
    replaced only if `overwrite` is set. It equals that of a full run with these settings.
    """
    clock = Clock(observer or Silent())
    if any(override.startswith("output.dir=") for override in overrides):
        message = (
            "--set output.dir: decide writes to the run's own folder, or to another one with -o."
        )
        raise ConfigError(message)

    with ExitStack() as held:
        in_place = output is None or (output.exists() and output.samefile(run_folder))
        held.enter_context(folder.reading(run_folder))
        info = folder.finished(run_folder)
        stored = _STORED + (_OF_PARTS if info["config"]["search"].get("parts") == "on" else ())
        if in_place:
            held.pop_all().close()  # nobody but us writes to it from here on
            place = held.enter_context(
                folder.staged(run_folder, info["fingerprints"], info, overwrite=True)
            )
            folder.refuse_without_space(run_folder, but=[f"{name}.parquet" for name in stored])

        with clock.stage("manifest") as done:
            beside = [output] if output is not None and not in_place else []
            result = _loaded(run_folder, overrides, stored, beside)
            done(len(result.manifest))
        held.enter_context(within_memory(result.config.engine.memory_total))
        concluded = _concluded(result, clock)

        if output is not None and not in_place:
            setting = result.config.output.model_copy(update={"dir": str(output)})
            target = output_folder(setting, result.info["source"]["names"]) or output
            place = held.enter_context(
                folder.staged(target, result.info["fingerprints"], result.info, overwrite=overwrite)
            )
        result = _with_stored(result, run_folder, stored, place, in_place=in_place)
        result.info["config"]["output"]["dir"] = str(place.home)
        return finished_run(result, *concluded, place, local(result.config.engine), clock)


def _loaded(
    run_folder: Path, overrides: Sequence[str], stored: Sequence[str], beside: Sequence[Path]
) -> Run:
    """A finished run with other settings; raises where they ask for what was not searched, or for
    splits that cannot be written.
    """
    names = [name for name in stored if name != "parts"]
    result = load(run_folder, overrides, names, beside=beside)
    refuse_what_was_not_searched(result, run_folder)

    if result.config.output.splits != "none":
        refuse_emptied(result.store["hashes"], result.manifest, result.resolved)
        result = reopen(result)
        refuse_push(result.config, result.opened())
        if result.resolved.policy.leakage == "regroup":
            check_movable(result.opened(), result.config.output.splits)

    return result


def _with_stored(
    result: Run, run_folder: Path, stored: Sequence[str], place: Staged, *, in_place: bool
) -> Run:
    """The run in its new place, with the stored tables that are not made again."""
    bring_table = storage.link if in_place else storage.copy
    for name in (*stored, folder.NOT_READ):
        # Runs of older versions have no list of what was not read.
        if name in stored or (run_folder / f"{name}.parquet").exists():
            bring_table(run_folder, place.folder, name)

    result = replace(result, store=Store(place.folder, result.tables, place.home))
    if not in_place:
        bring(result.judged.record, place.home)
    if result.changed:
        result.store.put("manifest", result.manifest, specs_of(result))

    return result


_STORED: Final = ("manifest", "hashes", "crowds", "candidates")
"""Tables that `decide` reads and does not make again."""

_OF_PARTS: Final = ("parts", "placements")
"""Those of a run that searched parts; of the first only the certificate has need."""


def planned(run_folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The summary that `decide` would write with these overrides; nothing is changed."""
    with folder.reading(run_folder):
        info = folder.finished(run_folder)
        parts = _OF_PARTS[1:] if info["config"]["search"].get("parts") == "on" else ()
        result = load(run_folder, overrides, _STORED + parts)
        refuse_what_was_not_searched(result, run_folder)
        return _concluded(result, Clock(Silent()))[1]


def report(run_folder: Path, *, observer: Observer | None = None) -> Run:
    """Write the HTML report of a finished run again."""
    clock = Clock(observer or Silent())
    with folder.reading(run_folder):
        result = load(run_folder, (), tables.NAMES)
        result = replace(result, summary=folder.read_json(run_folder / folder.SUMMARY))
        with folder.adding(run_folder, (folder.REPORT,)), clock.stage("report") as done:
            write_report(result, local(result.config.engine))
            done(len(result.manifest))

    return result


def _concluded(result: Run, clock: Clock) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """The tables from the pairs to the decisions, and the summary. Nothing is stored yet."""
    resolved, n, judged = result.resolved, len(result.manifest), result.judged
    hashed, listed, crowds = result.store["hashes"], result.manifest, result.store["crowds"]
    found: dict[str, pa.Table] = {}

    with clock.stage("pairs") as done:
        found["pairs"] = accepted_pairs(result, judged)
        if resolved.parts.parts == "on":
            placed = result.store["placements"]
            found["overlaps"] = overlaps(placed, found["pairs"], listed, resolved)
        done(n)

    matches, leaking = _graphs(found["pairs"], n, resolved)
    with clock.stage("groups") as done:
        found["groups"] = groups(matches, hashed, listed, resolved.splits.held_out, crowds)
        done(n)

    with clock.stage("leakage") as done:
        found["leakage"] = leakage(
            leaking, found["pairs"], hashed, listed, resolved.splits.held_out
        )
        done(n)

    with clock.stage("chains") as done:
        found["chains"] = chains(matches, listed, resolved.splits.held_out)
        done(n)

    with clock.stage("decisions") as done:
        found["decisions"] = decisions(matches, hashed, listed, resolved, judged, crowds, leaking)
        done(n)

    with clock.stage("uncompared") as done:
        parts = result.candidate_parts() if len(crowds) else iter(())
        found["uncompared"] = uncompared(
            crowds, parts, matches, found["decisions"], listed, resolved
        )
        done(n)

    return found, _summed_up(result, found, leaking)


def _summed_up(result: Run, found: Mapping[str, pa.Table], leaking: graph.Graph) -> dict[str, Any]:
    """The summary of what was concluded, without its certificate."""
    resolved, listed = result.resolved, result.manifest
    said = summary(
        listed,
        result.store["hashes"],
        found["pairs"],
        found["leakage"],
        found["chains"],
        found["decisions"],
        leaking,
        resolved,
        crowds=result.store["crowds"],
        uncompared=found["uncompared"],
        n_points=_n_points(result),
        skipped=result.info["source"]["skipped"],
    )
    said = described(said, result.info["source"])
    if listed["group"].null_count == len(listed):
        parts = result.candidate_parts()
        said["recordings"] = recordings(listed, found["pairs"], parts, resolved.splits.held_out)

    said["components"] = components(found["pairs"], found["groups"], len(listed))

    return said | judgements_told(result)


def _n_points(result: Run) -> pa.ChunkedArray | None:
    """Of each sample its key points; None where nobody searched parts."""
    if result.resolved.parts.parts == "off":
        return None

    columns = [part["n_points"] for part in result.store.parts("parts")]

    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.int32())


def _graphs(found: pa.Table, n: int, resolved: Resolved) -> tuple[graph.Graph, graph.Graph]:
    """The matches that make duplicates, and those that are leaks across splits."""
    matches = graph.from_pairs(found, n)
    if not pc.any(pc.equal(found["kind"], "crop")).as_py():
        return matches, matches

    with_all = graph.from_pairs(found, n, (*graph.NEAR, "crop"))

    return (with_all if resolved.parts.crops == "duplicate" else matches), with_all
