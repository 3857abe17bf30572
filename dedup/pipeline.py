"""The run in order, one line per stage: start reading here."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dedup import folder, graph, tables
from dedup.clock import Clock, Observer, Silent, peak_memory
from dedup.config import Config, resolve
from dedup.engines import Limits, choose
from dedup.errors import ConfigError
from dedup.fingerprints import run_info, source_info
from dedup.formats import check_writable, open_source, parts_of
from dedup.hashers.setup import Setup
from dedup.hashing import environment, hashed, keeping
from dedup.output import output_folder, refuse_push, write_certified, write_report
from dedup.report.summary import summary
from dedup.result import Run, search_threads, store, store_parts
from dedup.stages.candidates import candidates
from dedup.stages.decisions import decisions
from dedup.stages.groups import groups
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs
from dedup.stored_run import load, refuse_what_was_not_searched, reopen


def run(
    config: Config,
    dataset: Any = None,
    *,
    observer: Observer | None = None,
    overwrite: bool = False,
    explain: Callable[[str], None] | None = None,
) -> Run:
    """The whole stage: from the dataset to the report.

    `dataset`: a `datasets.DatasetDict` or `Dataset` in place of `config.dataset.path`. Tables, splits and report are
    written to `config.output.dir`; with none, everything stays in memory. `explain` is told how the codes will be
    searched.
    """
    clock = Clock(observer or Silent())
    with clock.stage("manifest") as done:
        source = open_source(config.dataset, dataset)
        table, row_of_sample = manifest(source.rows, source.name)
        done(len(table))
    resolved = resolve(config, table["split"].unique().to_pylist())
    result = Run(
        config, resolved, source, row_of_sample, output_folder(config.output, [part.name for part in parts_of(source)])
    )
    if config.output.splits != "none" and result.dir is not None:
        check_writable(source, config.output.splits)
    refuse_push(config.output, source)
    result.info = run_info(config, source_info(config, source), table)
    if result.dir is not None:
        folder.prepare(result.dir, result.info["fingerprints"], overwrite=overwrite)
        folder.write_json(result.dir / folder.RUN, result.info)
    setup = Setup.of(config)
    store(result, "manifest", table)

    with clock.stage("hashes") as done:
        here = environment(setup)
        result.info["hashed_by"] = asdict(here)
        with keeping(config.cache, setup, here, result.dir) as kept:
            limits = Limits(config.engine.timeout, config.engine.memory)
            engine = choose(config.engine.workers, len(table), limits)
            found = hashed(source, row_of_sample, setup, engine, kept, clock.advance)
            store(result, "hashes", found.replace_schema_metadata({tables.CANARY: here.canary}))
        done(len(table))
    with clock.stage("candidates") as done:
        limit, threads = config.search.max_candidates, search_threads(config)
        found = candidates(
            result.hashes, resolved, limit=limit, threads=threads, progress=clock.advance, explain=explain
        )
        store_parts(result, "candidates", found)
        done(len(table))
    return _conclude(result, clock)


def decide(
    run_folder: Path,
    overrides: Sequence[str] = (),
    *,
    output: Path | None = None,
    observer: Observer | None = None,
) -> Run:
    """New thresholds, within what was searched, or another policy, from the stored tables: no pixels, no search.

    The result takes the place of the old one, or goes to the folder `output`. It equals that of a full run with these
    settings.
    """
    clock = Clock(observer or Silent())
    if any(override.startswith("output.dir=") for override in overrides):
        message = "--set output.dir: decide writes to the run's own folder, or to another one with -o."
        raise ConfigError(message)
    with clock.stage("manifest") as done:
        result = load(run_folder, overrides, ("manifest", "hashes", "candidates"))
        refuse_what_was_not_searched(result)
        if result.config.output.splits != "none":
            reopen(result)
        done(len(result.manifest))
    stored = ("manifest", "hashes", "candidates")
    if output is not None and not (output.exists() and output.samefile(run_folder)):
        place = result.config.output.model_copy(update={"dir": str(output)})
        result.dir = output_folder(place, result.info["source"]["names"]) or output
        folder.prepare(result.dir, result.info["fingerprints"], overwrite=False)
        for name in stored:
            tables.write(result.tables[name], result.dir, name, tables.spec_of(result.tables[name]))
    else:
        folder.clear(run_folder, but=[f"{name}.parquet" for name in stored])
    result.info["config"]["output"]["dir"] = str(result.dir)
    folder.write_json((result.dir or run_folder) / folder.RUN, result.info | {"state": "deciding"})
    return _conclude(result, clock)


def report(run_folder: Path, *, observer: Observer | None = None) -> Run:
    """Write the HTML report of a finished run again."""
    clock = Clock(observer or Silent())
    result = load(run_folder, (), tables.NAMES)
    result.summary = folder.read_json(run_folder / folder.SUMMARY)
    with clock.stage("report") as done:
        write_report(result)
        done(len(result.manifest))
    return result


def _conclude(result: Run, clock: "Clock") -> Run:
    """From the candidates to the report: what `run` and `decide` share."""
    resolved, n = result.resolved, len(result.manifest)
    with clock.stage("pairs") as done:
        store(result, "pairs", pairs(result.candidates, result.hashes, result.manifest, resolved))
        done(n)
    matches = graph.from_pairs(result.pairs, n)
    with clock.stage("groups") as done:
        store(result, "groups", groups(matches, result.hashes, result.manifest, resolved.held_out))
        done(n)
    with clock.stage("leakage") as done:
        found = leakage(matches, result.pairs, result.hashes, result.manifest, resolved.held_out)
        store(result, "leakage", found)
        done(n)
    with clock.stage("decisions") as done:
        store(result, "decisions", decisions(matches, result.hashes, result.manifest, resolved))
        done(n)
    result.summary = summary(
        result.manifest,
        result.hashes,
        result.pairs,
        result.leakage,
        result.decisions,
        matches,
        resolved,
        skipped=result.info["source"]["skipped"],
    )
    result.summary["certificate"] = None
    if result.config.output.splits != "none":
        with clock.stage("splits") as done:
            write_certified(result)
            done(int(result.keep().sum()))
    if result.dir is not None:
        folder.write_json(result.dir / folder.SUMMARY, result.summary)
        if result.config.output.report:
            with clock.stage("report") as done:
                write_report(result)
                done(n)
    result.info |= {"state": "finished", "stages": clock.stages, "peak_memory_bytes": peak_memory()}
    if result.dir is not None:
        folder.write_json(result.dir / folder.RUN, result.info)
    return result
