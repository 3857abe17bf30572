"""Several datasets as one: those that are cleaned, and reference sets that are only looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import DatasetConfig, NamedSource
from dedup.decoding.contents import PAYLOAD
from dedup.errors import SourceError
from dedup.formats.account import Opened
from dedup.formats.further import NOTHING, Further
from dedup.formats.source import NO_MOVES, ROWS, Moves, Source, payloads, safe


@dataclass(frozen=True, slots=True)
class Part:
    """One of the datasets and how it is called."""

    source: Source
    config: NamedSource
    prefix: str


class Several(Opened):
    """All rows of the datasets, one after the other. Ids are `prefix/id`, splits of a reference set
    `prefix/split`.
    """

    form: str = "several"
    root: Path | None = None

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.name = " + ".join(part.source.name for part in parts)
        self._starts = np.cumsum([0, *(len(part.source.rows) for part in parts)])
        self.not_read = pa.concat_tables([_not_read(part) for part in parts])
        self.understood = "; ".join(f"{part.prefix}: {part.source.understood}" for part in parts)
        self.doubts = [f"{part.prefix}: {doubt}" for part in parts for doubt in part.source.doubts]
        self.rows = pa.concat_tables([_prefixed(part) for part in parts])
        self._refuse_mixed_splits()

    def in_order(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows, those of each dataset as it gives them best."""
        for part, start in zip(self.parts, self._starts.tolist(), strict=False):
            for batch in payloads(part.source, size):
                yield _moved(batch, start)

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of the named rows, a new one wherever the dataset changes."""
        for number, start, own in self.by_part(rows):
            for batch in self.parts[number].source.payload_of(own):
                yield _moved(batch, start)

    def by_part(self, rows: Sequence[int]) -> Iterator[tuple[int, int, list[int]]]:
        """The named rows in the order given, cut wherever the dataset changes.

        Each time the number of the dataset, the row of all at which it begins, and its own rows.
        """
        of_part = np.searchsorted(self._starts, np.asarray(rows, dtype=np.int64), side="right") - 1
        for number, group in groupby(
            zip(of_part.tolist(), rows, strict=True), key=lambda pair: pair[0]
        ):
            start = int(self._starts[number])
            yield number, start, [row - start for _, row in group]

    def own_files(self) -> Iterator[Path]:
        """Those of each dataset."""
        for part in self.parts:
            yield from part.source.own_files()

    def slices(self, keep: NDArray[np.bool_]) -> Iterator[tuple[Part, NDArray[np.bool_]]]:
        """Each dataset with its share of `keep`."""
        for part, start in zip(self.parts, self._starts.tolist(), strict=False):
            yield part, keep[start : start + len(part.source.rows)]

    def own(self, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the rows in `keep` are of datasets that are cleaned, and not of references."""
        parts = [kept & (not part.config.reference) for part, kept in self.slices(keep)]
        return np.concatenate(parts)

    def targets(self, folder: Path) -> list[Path | None]:
        """Where each dataset is written: one to the folder itself, several to folders below it,
        references nowhere.
        """
        n_own = sum(not part.config.reference for part in self.parts)
        below = [
            folder / (safe(part.prefix) or f"dataset-{k}") for k, part in enumerate(self.parts)
        ]

        return [
            None if part.config.reference else folder if n_own == 1 else target
            for part, target in zip(self.parts, below, strict=True)
        ]

    def check_writable(self) -> None:
        """What is cleaned must be writable."""
        for part in self.parts:
            if not part.config.reference:
                part.source.check_writable()

    def columns(self) -> Sequence[str]:
        """Those that every dataset has."""
        first, *others = (part.source.columns() for part in self.parts)
        return [name for name in first if all(name in other for other in others)]

    def texts(self, column: str) -> list[str | None]:
        """The column of each dataset, one after the other."""
        return [text for part in self.parts for text in part.source.texts(column)]

    def further(self) -> Further:
        """Each dataset is written by itself."""
        return NOTHING

    def check_movable(self) -> None:
        """What is cleaned must be movable."""
        for part in self.parts:
            if not part.config.reference:
                part.source.check_movable()

    def moves_of_parts(self, moves: Moves) -> list[Moves]:
        """The moves of each dataset's own rows."""
        starts = self._starts.tolist()
        return [
            {row - start: split for row, split in moves.items() if start <= row < stop}
            for start, stop in pairwise(starts)
        ]

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """Write the datasets that are cleaned, each in its form; the rows of references are there
        as they were.
        """
        there = []
        for (part, kept), target, own in zip(
            self.slices(keep), self.targets(folder), self.moves_of_parts(moves), strict=True
        ):
            there.append(
                part.source.write(kept, target, files, own) if target and kept.any() else kept
            )

        return np.concatenate(there)

    def written(self, folder: Path) -> DatasetConfig:
        """The written datasets in place of their sources, beside the references."""
        entries = []
        for part, target in zip(self.parts, self.targets(folder), strict=True):
            entry = part.config.model_copy(update={"prefix": part.prefix})
            if target is not None:
                written = part.source.written(target).model_dump(exclude={"sources"}) | {
                    "allow_outside": True
                }
                entry = NamedSource(**written, prefix=part.prefix)
            if target is None or target.exists():
                entries.append(entry)

        return DatasetConfig(sources=tuple(entries))

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept rows of the one dataset that is cleaned."""
        sliced = zip(self.slices(keep), self.moves_of_parts(moves), strict=True)
        own = [(part, kept, moved) for (part, kept), moved in sliced if not part.config.reference]
        if len(own) > 1:
            message = (
                f"{len(own)} datasets were cleaned, which make no single DatasetDict. Set"
                " output.dir to write them."
            )
            raise SourceError(message)

        return own[0][0].source.dataset_dict(*own[0][1:])

    def _refuse_mixed_splits(self) -> None:
        """A split of a dataset that is cleaned must not be called like one of a reference set."""
        splits: dict[bool, set[str | None]] = {True: set(), False: set()}
        for part, start in zip(self.parts, self._starts.tolist(), strict=False):
            names = pc.unique(self.rows["split"].slice(start, len(part.source.rows))).to_pylist()
            splits[part.config.reference] |= {*names}

        references = {part.prefix for part in self.parts if part.config.reference}
        for name in sorted(filter(None, splits[False])):
            if name.partition("/")[0] in references:
                message = (
                    f"{self.name}: the split {name!r} is called like a reference set. Set another"
                    " prefix for that."
                )
                raise SourceError(message)


def _not_read(part: Part) -> pa.Table:
    table = part.source.not_read
    return table.set_column(0, "path", pc.binary_join_element_wise(part.prefix, table["path"], "/"))


def _prefixed(part: Part) -> pa.Table:
    rows = part.source.rows
    splits = rows["split"]
    if part.config.reference:
        named = pc.binary_join_element_wise(part.prefix, splits, "/")
        splits = pc.if_else(pc.is_null(splits), part.prefix, named)

    ids = pc.binary_join_element_wise(part.prefix, rows["id"], "/")

    return pa.table([ids, splits, rows["label"], rows["uri"]], schema=ROWS)


def _moved(batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
    return pa.record_batch(
        [pc.add(batch["row"], start), batch["path"], batch["data"]], schema=PAYLOAD
    )
