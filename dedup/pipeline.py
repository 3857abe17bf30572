"""The run in order, one line per stage: start reading here."""

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import folder, graph, tables
from dedup.certify import by_split, certificate
from dedup.config import Config, OutputConfig, Resolved, build, resolve
from dedup.engines import choose, cores
from dedup.errors import ConfigError, RunError, SourceError
from dedup.formats import (
    Source,
    check_writable,
    keys_of,
    open_source,
    parts_of,
    push_splits,
    write_splits,
)
from dedup.report import html
from dedup.report.readme import readme
from dedup.report.summary import summary
from dedup.stages.candidates import candidates
from dedup.stages.decisions import decisions, kept
from dedup.stages.groups import groups
from dedup.stages.hashes import BATCH_ROWS, WORK, Setup, hashes
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs
from dedup.versions import VERSIONS

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Is told how far the run is."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def advance(self, share: float) -> None:
        """Share of the stage that is done, in [0, 1]."""

    def end(self) -> None:
        """The stage is done."""


class _Silent:
    def begin(self, stage: str) -> None: ...
    def advance(self, share: float) -> None: ...
    def end(self) -> None: ...


@dataclass(slots=True, repr=False)
class Run:
    """What a run found: its tables (pyarrow), its summary, and the dataset without what was dropped."""

    config: Config
    resolved: Resolved
    source: Source | None  # None when a stored run is read and its dataset is not needed
    row_of_sample: NDArray[np.int64]  # where each sample stands in the source
    dir: Path | None = None  # the run folder; None for a run in memory
    tables: dict[str, pa.Table] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)  # what stands in run.json

    def __repr__(self) -> str:
        name, where = self.info["source"]["name"], "" if self.dir is None else f", in {str(self.dir)!r}"
        done = {key: self.summary["decisions"][key] for key in ("keep", "drop", "unreadable")} if self.summary else {}
        counts = ", ".join(f"{key} {n:,}" for key, n in done.items())
        leaks = "".join(
            f", {found['leaking']:,} of {split} leak" for split, found in self.summary.get("leakage", {}).items()
        )
        return f"<dedup.Run of {name!r}: {counts}{leaks}{where}>"

    @property
    def manifest(self) -> pa.Table:
        """One row per sample: sample, id, split, label, uri."""
        return self.tables["manifest"]

    @property
    def hashes(self) -> pa.Table:
        """One row per sample: status, digests, codes, thumbnail."""
        return self.tables["hashes"]

    @property
    def candidates(self) -> pa.Table:
        """Pairs of samples within the searched distance."""
        return self.tables["candidates"]

    @property
    def pairs(self) -> pa.Table:
        """Accepted pairs."""
        return self.tables["pairs"]

    @property
    def groups(self) -> pa.Table:
        """Keepers and the samples directly matched to them."""
        return self.tables["groups"]

    @property
    def leakage(self) -> pa.Table:
        """Pairs between train and a held-out split."""
        return self.tables["leakage"]

    @property
    def decisions(self) -> pa.Table:
        """One row per sample: what is done with it and why."""
        return self.tables["decisions"]

    def keep(self) -> NDArray[np.bool_]:
        """Whether each row of the source is written, in the order of the source."""
        rows = np.empty(len(self.row_of_sample), dtype=bool)
        rows[self.row_of_sample] = kept(self.decisions)
        return rows

    def opened(self) -> Source:
        """The dataset; raises `RunError` when it was not opened."""
        if self.source is None:
            message = "The dataset of this run was not opened."
            raise RunError(message)
        return self.source

    def splits(self) -> Any:
        """The dataset without what was dropped, as a `datasets.DatasetDict`."""
        return self.opened().dataset_dict(self.keep())


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
    clock = _Clock(observer or _Silent())
    with clock.stage("manifest") as done:
        source = open_source(config.dataset, dataset)
        table, row_of_sample = manifest(source.rows, source.name)
        done(len(table))
    resolved = resolve(config, table["split"].unique().to_pylist())
    result = Run(
        config, resolved, source, row_of_sample, _output_folder(config.output, [part.name for part in parts_of(source)])
    )
    if config.output.splits != "none" and result.dir is not None:
        check_writable(source, config.output.splits)
    _refuse_push(config.output, source)
    result.info = _info(config, _source_info(config, source), table)
    if result.dir is not None:
        folder.prepare(result.dir, result.info["fingerprints"], overwrite=overwrite)
        folder.write_json(result.dir / folder.RUN, result.info)
    setup = Setup.of(config)
    _store(result, "manifest", table)

    with clock.stage("hashes") as done:
        _store(result, "hashes", hashes(list(_hashed(result, setup, clock)), row_of_sample, setup))
        done(len(table))
    with clock.stage("candidates") as done:
        limit, threads = config.search.max_candidates, _threads(config)
        found = candidates(
            result.hashes, resolved, limit=limit, threads=threads, progress=clock.advance, explain=explain
        )
        _store_parts(result, "candidates", found)
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
    clock = _Clock(observer or _Silent())
    if any(override.startswith("output.dir=") for override in overrides):
        message = "--set output.dir: decide writes to the run's own folder, or to another one with -o."
        raise ConfigError(message)
    with clock.stage("manifest") as done:
        result = _load(run_folder, overrides, ("manifest", "hashes", "candidates"))
        _refuse_what_was_not_searched(result)
        if result.config.output.splits != "none":
            _reopen(result)
        done(len(result.manifest))
    stored = ("manifest", "hashes", "candidates")
    if output is not None and not (output.exists() and output.samefile(run_folder)):
        place = result.config.output.model_copy(update={"dir": str(output)})
        result.dir = _output_folder(place, result.info["source"]["names"]) or output
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
    clock = _Clock(observer or _Silent())
    result = _load(run_folder, (), tables.NAMES)
    result.summary = folder.read_json(run_folder / folder.SUMMARY)
    with clock.stage("report") as done:
        _write_report(result)
        done(len(result.manifest))
    return result


def like(run_folder: Path, form: str) -> dict[str, Any]:
    """The settings of a finished run for a dataset of some form, with the numbers that `auto` came to."""
    info = folder.finished(run_folder)
    resolved = folder.read_json(run_folder / folder.SUMMARY)["resolved"]
    settings = {section: dict(info["config"][section]) for section in ("hash", "search", "verify", "policy")}
    settings["dataset"] = {key: info["config"]["dataset"][key] for key in keys_of(form, info["source"]["form"])}
    settings["search"]["max_distance"] = resolved["max_distance"]
    if resolved["min_similarity"] is not None:
        settings["verify"]["min_similarity"] = resolved["min_similarity"]
    return settings


def _conclude(result: Run, clock: "_Clock") -> Run:
    """From the candidates to the report: what `run` and `decide` share."""
    resolved, n = result.resolved, len(result.manifest)
    with clock.stage("pairs") as done:
        _store(result, "pairs", pairs(result.candidates, result.hashes, result.manifest, resolved))
        done(n)
    matches = graph.from_pairs(result.pairs, n)
    with clock.stage("groups") as done:
        _store(result, "groups", groups(matches, result.hashes, result.manifest, resolved.held_out))
        done(n)
    with clock.stage("leakage") as done:
        found = leakage(matches, result.pairs, result.hashes, result.manifest, resolved.held_out)
        _store(result, "leakage", found)
        done(n)
    with clock.stage("decisions") as done:
        _store(result, "decisions", decisions(matches, result.hashes, result.manifest, resolved))
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
            _write_splits(result)
            done(int(result.keep().sum()))
    if result.dir is not None:
        folder.write_json(result.dir / folder.SUMMARY, result.summary)
        if result.config.output.report:
            with clock.stage("report") as done:
                _write_report(result)
                done(n)
    result.info |= {"state": "finished", "stages": clock.stages, "peak_memory_bytes": _peak_memory()}
    if result.dir is not None:
        folder.write_json(result.dir / folder.RUN, result.info)
    return result


def _hashed(result: Run, setup: Setup, clock: "_Clock") -> Iterator[pa.RecordBatch]:
    n = len(result.row_of_sample)
    engine = choose(result.config.engine.workers, -(-n // BATCH_ROWS))
    n_done = 0
    for part in engine.run(WORK, asdict(setup), result.opened().payloads(BATCH_ROWS)):
        n_done += part.num_rows
        clock.advance(n_done / n)
        yield part


def _write_splits(result: Run) -> None:
    """Write the kept samples, certify what was written, and only then put it in its place."""
    keep, source = result.keep(), result.opened()
    if result.dir is None:
        if keep.any() and source.form == "huggingface":
            written = open_source(result.config.dataset, result.splits())
            result.summary["certificate"] = _certified(result, written, keep)
        return
    partial, target = result.dir / folder.PARTIAL_SPLITS, result.dir / folder.SPLITS
    folder.remove(partial)
    partial.mkdir()
    if keep.any():
        output = result.config.output
        out = write_splits(source, keep, partial, output.splits, output.files)
        result.summary["certificate"] = _certified(
            result, open_source(out.config), out.rows, out.default_split, out.in_order
        )
    card = partial / "README.md"
    if card.exists():  # a sample of that name
        card = partial / "README.dedup.md"
    folder.write_text(card, readme(result.summary, partial))
    folder.remove(target)
    partial.rename(target)
    _push(result, target)


def _push(result: Run, target: Path) -> None:
    """Upload the splits if the config asks for it; a dataset that still leaks stays at home."""
    repository, certificate = result.config.output.push_to_hub, result.summary["certificate"]
    if repository is None or certificate is None:
        return
    if not certificate["clean"]:
        logger.warning("Not pushed to %s: %s", repository, certificate["statement"])
        return
    push_splits(target, repository)
    logger.info("Pushed to %s", repository)


def _refuse_push(output: OutputConfig, source: Source) -> None:
    form = source.form if output.splits == "same" else output.splits
    if output.push_to_hub is not None and (form not in {"parquet", "huggingface"} or output.dir is None):
        message = "output.push_to_hub: only Parquet splits are pushed. Set output.splits=parquet and output.dir."
        raise ConfigError(message)


def _certified(
    result: Run,
    written: Source,
    there: NDArray[np.bool_],
    default_split: str | None = None,
    in_order: bool = True,  # noqa: FBT001, FBT002
) -> dict[str, Any]:
    """The certificate of what was written: the rows `there`, in the order of the source unless `in_order` is false."""
    config = result.config
    sample_of_row = pa.array(np.argsort(result.row_of_sample)[there])
    splits, digests = result.manifest["split"].take(sample_of_row), result.hashes["file_digest"].take(sample_of_row)
    return certificate(
        written,
        result.hashes,
        by_split([split or default_split for split in splits.to_pylist()], digests.to_pylist()),
        Setup.of(config),
        result.resolved,
        limit=config.search.max_candidates,
        threads=_threads(config),
        in_order=in_order,
    )


def _write_report(result: Run) -> None:
    """The HTML page; its pictures come from the dataset, or from the stored thumbnails where that is gone."""
    if result.dir is None:
        return
    if result.source is None:
        try:
            _reopen(result)
        except (ConfigError, SourceError, RunError) as error:
            logger.warning("The report shows thumbnails only: %s", error)
    source = result.source

    def read(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
        if source is None:
            return iter(())
        return source.payload_of([int(result.row_of_sample[sample]) for sample in samples])

    page = html.render(
        result.tables, result.summary, title=result.info["source"]["name"], read=read, settings=result.config.hash
    )
    folder.write_text(result.dir / folder.REPORT, page)


def _load(run_folder: Path, overrides: Sequence[str], names: Sequence[str]) -> Run:
    """A finished run, with the overrides applied to its config."""
    info = folder.finished(run_folder, or_deciding="pairs" not in names)
    settings = {key: dict(section) for key, section in info["config"].items()}
    config = build(settings, overrides, where=str(run_folder / folder.RUN))
    loaded = {name: tables.read(run_folder, name) for name in names}
    resolved = resolve(config, loaded["manifest"]["split"].unique().to_pylist())
    result = Run(config, resolved, None, np.empty(0, np.int64), run_folder, loaded)
    result.info = _info(config, info["source"], loaded["manifest"])
    return result


def _reopen(result: Run) -> None:
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


def _refuse_what_was_not_searched(result: Run) -> None:
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


def specs(config: Config, resolved: Resolved) -> dict[str, dict[str, Any]]:
    """What made each table: the settings it depends on, upstream ones included."""
    dataset = config.fingerprint_part()["dataset"]
    for of_one in (dataset, *dataset["sources"]):
        del of_one["source"]
    hash_spec = Setup.of(config).spec()
    search = {
        "max_distance": resolved.max_distance,
        "combine": resolved.combine,
        "orientations": resolved.orientations,
    }
    of_hashes = hash_spec
    of_candidates = {"hash": hash_spec, "search": search, "verify": {"method": resolved.method}}
    of_pairs = {
        **of_candidates,
        "verify": {"method": resolved.method, "min_similarity": resolved.min_similarity},
    }
    with_held_out = {**of_pairs, "policy": {"held_out": list(resolved.held_out)}}
    policy = {key: getattr(resolved, key) for key in ("leakage", "duplicates", "unreadable")}
    references = {"references": list(resolved.references)} if resolved.references else {}
    return {
        "manifest": {"dataset": dataset},
        "hashes": of_hashes,
        "candidates": of_candidates,
        "pairs": of_pairs,
        "groups": with_held_out,
        "leakage": with_held_out,
        "decisions": {**of_pairs, "policy": {"held_out": list(resolved.held_out), **policy, **references}},
    }


def _store(result: Run, name: str, table: pa.Table) -> None:
    _store_parts(result, name, iter([table]))


def _store_parts(result: Run, name: str, parts: Iterator[pa.Table]) -> None:
    spec = specs(result.config, result.resolved)[name]
    if result.dir is None:
        result.tables[name] = tables.described(pa.concat_tables(parts), name, spec)
    else:
        result.tables[name] = tables.write_parts(parts, result.dir, name, spec)


def _output_folder(output: OutputConfig, datasets: Sequence[str]) -> Path | None:
    """Where the run goes: neither into a dataset, whose samples its files would become, nor around it."""
    if output.dir is None:
        return None
    if not output.dir.strip():
        message = "output.dir is empty. Name a folder."
        raise ConfigError(message)
    out = Path(output.dir).expanduser()
    for dataset in datasets:
        if Path(dataset).is_dir() and folder.inside(out, Path(dataset)):
            message = f"output.dir {str(out)!r} lies inside the dataset {dataset!r}. Name a folder outside it."
            raise ConfigError(message)
        if Path(dataset).exists() and folder.inside(Path(dataset), out):
            message = f"The dataset {dataset!r} lies inside the output folder {str(out)!r}. Name another folder."
            raise ConfigError(message)
    return out


def _source_info(config: Config, source: Source) -> dict[str, Any]:
    in_memory = config.dataset.path is None and not config.dataset.sources
    names = [part.name for part in parts_of(source)]
    return {
        "form": source.form,
        "name": source.name,
        "names": names,
        "in_memory": in_memory,
        "skipped": dict(source.skipped),
    }


def _info(config: Config, source: Mapping[str, Any], table: pa.Table) -> dict[str, Any]:
    """What `run.json` says before the work begins."""
    settings = config.model_dump(mode="json")
    for of_one in (settings["dataset"], *settings["dataset"]["sources"]):
        if of_one["path"] is not None and "://" not in of_one["path"]:
            of_one["path"] = str(Path(of_one["path"]).expanduser().absolute())
    return {
        "state": "started",
        "config": settings,
        "source": dict(source),
        "versions": {**VERSIONS, "python": sys.version.split()[0]},
        "fingerprints": {
            "input": _digest(_table_bytes(table.replace_schema_metadata(None))),
            "config": _digest(tables.canonical(config.fingerprint_part()).encode()),
        },
    }


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _threads(config: Config) -> int:
    return config.engine.workers or cores()


def _peak_memory() -> int | None:
    """Largest resident size of this process so far, in bytes; None where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


class _Clock:
    """Times the stages, logs a line for each, and tells the observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.stages: list[Mapping[str, Any]] = []
        self.advance = observer.advance

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int], None]]:
        """Around a stage; what it yields is told the number of samples."""
        self._observer.begin(name)
        start = time.perf_counter()
        count = [0]
        yield lambda n: count.__setitem__(0, n)
        seconds = time.perf_counter() - start
        rate = count[0] / seconds if seconds else 0.0
        self._observer.end()
        self.stages.append(
            {"stage": name, "samples": count[0], "seconds": round(seconds, 3), "per_second": round(rate)}
        )
        logger.info("%s: %s samples in %.2f s (%s a second)", name, f"{count[0]:,}", seconds, f"{rate:,.0f}")
