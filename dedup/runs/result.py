"""What a run found: its tables, its summary, and the dataset without what was dropped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from dedup import limited, tables
from dedup.config import Config, Resolved
from dedup.errors import RunError
from dedup.formats import Moves, Source
from dedup.memory import usable_cores
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.reporting import pictures, shown
from dedup.reporting.listing import pair_facts
from dedup.reporting.tallies import by_class, largest_groups, sizes_and_formats
from dedup.runs.filtering import filtered
from dedup.runs.fingerprints import specs
from dedup.runs.storing import Store
from dedup.stages.decisions import kept

N_SHOWN: Final = 8  # pairs in a notebook


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """What a run found: its tables (pyarrow), its summary, and the dataset without what was
    dropped.

    Stages do not change it: each hands on a new one, over the same store of tables.
    """

    config: Config
    resolved: Resolved
    source: Source | None  # None when a stored run is read and its dataset is not needed
    row_of_sample: NDArray[np.int64]  # where each sample stands in the source
    store: Store
    info: Mapping[str, Any] = field(default_factory=dict)  # what is in run.json
    summary: dict[str, Any] = field(default_factory=dict)
    judged: Judged = NOT_JUDGED
    changed: bool = False  # whether the manifest is another one than was stored

    def __repr__(self) -> str:
        name, where = (
            self.info["source"]["name"],
            "" if self.dir is None else f", in {str(self.dir)!r}",
        )
        done = (
            {key: self.summary["decisions"][key] for key in ("keep", "drop", "unreadable")}
            if self.summary
            else {}
        )
        counts = ", ".join(f"{key} {n:,}" for key, n in done.items())
        leaks = "".join(
            f", {found['leaking']:,} of {split} leak"
            for split, found in self.summary.get("leakage", {}).items()
        )

        return f"<dedup.Run of {name!r}: {counts}{leaks}{where}>"

    def _repr_html_(self) -> str:
        """For notebooks: what is wrong, the splits, and the pairs that are most in doubt, as
        pictures.
        """
        if not self.summary:
            return shown.paragraph(repr(self))

        asked = list(shown.doubtful(self.pairs.to_pylist(), N_SHOWN))
        seen = dict(self._pictures(sorted({row[side] for row in asked for side in ("a", "b")})))
        cases = [
            (
                [shown.uri(seen.get(row["a"])), shown.uri(seen.get(row["b"]))],
                f"{row['id_a']} / {row['id_b']}: {pair_facts(row)}",
            )
            for row in asked
        ]
        heading = shown.paragraph("The near pairs that are most in doubt:") if cases else ""

        return (
            shown.paragraph(shown.sentence(self.summary))
            + shown.counts(self.summary)
            + heading
            + shown.pictures(cases)
        )

    def show(self, n_groups: int = 12) -> shown.Sheet:
        """The data in pictures, for notebooks: the largest groups, the pairs of each class by the
        splits that they join, sizes and formats. `Sheet.html` is the same as text.
        """
        largest = largest_groups(self.groups, n_groups)
        wanted = list(dict.fromkeys(sample for group in largest for sample in group))
        seen: dict[int, Image.Image] = dict(self._pictures(wanted))
        others = [sample for sample in wanted if sample not in seen]

        if others:
            side = (tables.THUMBNAIL_SIDE,) * 2
            stored = zip(others, self.store.thumbnails()(others), strict=True)
            seen |= {sample: Image.frombytes("L", side, grey) for sample, grey in stored if grey}

        ids = self.manifest["id"]
        cases = [
            ([shown.uri(seen.get(sample)) for sample in group], f"kept: {ids[group[0]].as_py()}")
            for group in largest
        ]

        return shown.sheet(cases, by_class(self.tables), sizes_and_formats(self.store["hashes"]))

    def _pictures(self, samples: list[int]) -> Iterator[tuple[int, Image.Image]]:
        """The pictures of some samples that can still be read."""
        if self.source is None or not samples:
            return

        settings = self.config.hash
        setup = {"max_pixels": settings.max_pixels, "background": settings.background}
        rows = [int(self.row_of_sample[sample]) for sample in samples]
        stored = list(self.source.payload_of(rows))
        found = (
            jpeg
            for batch in limited.results(pictures.WORK, setup, stored)
            for jpeg in batch["jpeg"].to_pylist()
        )
        for sample, jpeg in zip(samples, found, strict=True):
            if jpeg is not None:
                yield sample, Image.open(BytesIO(jpeg))

    @property
    def dir(self) -> Path | None:
        """The run's folder; None for a run in memory. Until the run is finished its files are
        elsewhere.
        """
        return self.store.home

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The tables that are in memory, by name."""
        return self.store.tables

    @property
    def manifest(self) -> pa.Table:
        """One row per sample: sample, id, split, label, uri."""
        return self.store["manifest"]

    @property
    def hashes(self) -> pa.Table:
        """One row per sample: status, digests, codes, thumbnail; read from the run's folder, if it
        has one.
        """
        return self.store.whole_hashes()

    @property
    def candidates(self) -> pa.Table:
        """Pairs of samples within the searched distance; read from the run's folder, if it has
        one.
        """
        return pa.concat_tables(self.candidate_parts())

    @property
    def pairs(self) -> pa.Table:
        """Accepted pairs."""
        return self.store["pairs"]

    @property
    def groups(self) -> pa.Table:
        """Keepers and the samples directly matched to them."""
        return self.store["groups"]

    @property
    def leakage(self) -> pa.Table:
        """Pairs between train and a held-out split."""
        return self.store["leakage"]

    @property
    def chains(self) -> pa.Table:
        """Train samples that lead to a held-out one through others."""
        return self.store["chains"]

    @property
    def crowds(self) -> pa.Table:
        """Masses of look-alikes: each sample with the leader that it was compared with."""
        return self.store["crowds"]

    @property
    def uncompared(self) -> pa.Table:
        """Kept train samples that nobody compared with all their candidates."""
        return self.store["uncompared"]

    @property
    def decisions(self) -> pa.Table:
        """One row per sample: what is done with it and why."""
        return self.store["decisions"]

    def candidate_parts(self) -> Iterator[pa.Table]:
        """The candidates part by part: they are many, and not held in memory where there is a
        folder.
        """
        return self.store.parts("candidates")

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

    def filter(self, dataset: Any) -> Any:
        """The rows of `dataset` that this run keeps, in the form in which they are given.

        `dataset` is what was audited: a `datasets` object, a dict of them, a DataFrame, an Arrow
        table or a list. Raises `RunError` for another number of rows, and where rows would have to
        move to another split.
        """
        if self.moves():
            message = (
                "filter: this run moves samples to other splits (policy.leakage: regroup); use"
                " run.splits()."
            )
            raise RunError(message)
        return filtered(dataset, self.keep())

    def splits(self) -> Any:
        """The dataset without what was dropped, as a `datasets.DatasetDict`."""
        return self.opened().dataset_dict(self.keep(), self.moves())


def specs_of(run: Run) -> dict[str, dict[str, Any]]:
    """What makes each table of the run."""
    return specs(run.config, run.resolved)


def search_threads(config: Config) -> int:
    """Threads of the search: as many as there are workers on this machine."""
    workers = config.engine.workers if config.engine.kind == "processes" else None
    return workers or usable_cores()
