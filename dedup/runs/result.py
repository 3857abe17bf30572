"""What a run found: its tables, its summary, and the dataset without what was dropped."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import Config, Resolved
from dedup.engines import cores
from dedup.errors import RunError
from dedup.formats import Moves, Source
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.runs.fingerprints import specs
from dedup.stages.decisions import kept
from dedup.tables import storage


@dataclass(slots=True, repr=False)
class Run:
    """What a run found: its tables (pyarrow), its summary, and the dataset without what was dropped."""

    config: Config
    resolved: Resolved
    source: Source | None  # None when a stored run is read and its dataset is not needed
    row_of_sample: NDArray[np.int64]  # where each sample stands in the source
    dir: Path | None = None  # the run folder; None for a run in memory
    tables: dict[str, pa.Table] = field(default_factory=dict)  # with a folder: no candidates, no thumbnails
    summary: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)  # what stands in run.json
    judged: Judged = NOT_JUDGED
    changed: bool = False  # whether the manifest is another one than was stored

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
        """One row per sample: status, digests, codes, thumbnail; read from the run's folder, if it has one."""
        known = self.tables["hashes"]
        if self.dir is None or "thumbnail" in known.column_names:
            return known
        return storage.read(self.dir, "hashes")

    @property
    def candidates(self) -> pa.Table:
        """Pairs of samples within the searched distance; read from the run's folder, if it has one."""
        return pa.concat_tables(self.candidate_parts())

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
    def chains(self) -> pa.Table:
        """Train samples that lead to a held-out one through others."""
        return self.tables["chains"]

    @property
    def decisions(self) -> pa.Table:
        """One row per sample: what is done with it and why."""
        return self.tables["decisions"]

    def candidate_parts(self) -> Iterator[pa.Table]:
        """The candidates part by part: they are many, and not held in memory where there is a folder."""
        return iter([self.tables["candidates"]]) if self.dir is None else storage.read_parts(self.dir, "candidates")

    def keep(self) -> NDArray[np.bool_]:
        """Whether each row of the source is written, in the order of the source."""
        rows = np.empty(len(self.row_of_sample), dtype=bool)
        rows[self.row_of_sample] = kept(self.decisions)
        return rows

    def moves(self) -> Moves:
        """Rows of the source that are written in another split, with that split."""
        moved = np.flatnonzero(pc.equal(self.decisions["action"], "move").to_numpy())
        splits = self.decisions["new_split"].take(pa.array(moved)).to_pylist()
        return dict(zip(self.row_of_sample[moved].tolist(), splits, strict=True))

    def opened(self) -> Source:
        """The dataset; raises `RunError` when it was not opened."""
        if self.source is None:
            message = "The dataset of this run was not opened."
            raise RunError(message)
        return self.source

    def splits(self) -> Any:
        """The dataset without what was dropped, as a `datasets.DatasetDict`."""
        return self.opened().dataset_dict(self.keep(), self.moves())


def store(result: Run, name: str, table: pa.Table) -> None:
    """Put a table in its place in the run, and in its folder if it has one."""
    spec = specs(result.config, result.resolved)[name]
    if result.dir is None:
        result.tables[name] = storage.described(table, name, spec)
    else:
        result.tables[name] = storage.write(table, result.dir, name, spec)


@contextmanager
def storing(result: Run, found: Mapping[str, pa.Table]) -> Iterator[None]:
    """Store tables; on a disk, while other things are done with them."""
    with ThreadPoolExecutor(1) as writer:
        spec = specs(result.config, result.resolved)
        written = []
        for name, table in found.items():
            result.tables[name] = storage.described(table, name, spec[name])
            if result.dir is not None:
                written.append(writer.submit(storage.write, table, result.dir, name, spec[name]))
        yield
        for one in written:
            one.result()


def store_candidates(result: Run, parts: Iterator[pa.Table]) -> None:
    """Store the candidates as they come."""
    spec = specs(result.config, result.resolved)["candidates"]
    if result.dir is None:
        result.tables["candidates"] = storage.described(pa.concat_tables(parts), "candidates", spec)
    else:
        storage.write_parts(parts, result.dir, "candidates", spec)


def let_go(result: Run, column: str) -> None:
    """Let go of a column of `hashes` that takes much memory and is not needed any more: the run's folder has it."""
    if result.dir is not None:
        left = [name for name in result.tables["hashes"].column_names if name != column]
        result.tables["hashes"] = result.tables["hashes"].select(left)


def search_threads(config: Config) -> int:
    """Threads of the search: as many as there are workers."""
    return config.engine.workers or cores()
