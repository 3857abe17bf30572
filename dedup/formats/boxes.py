"""Lists with several rows for one picture, such as one for each box: the picture is the sample, its
rows go with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.formats.files import distinct_ids
from dedup.formats.further import Further, Row
from dedup.formats.source import ROWS


@dataclass(frozen=True, slots=True)
class Boxes:
    """Which rows of a list are of which sample."""

    first: Sequence[int]  # the first row of each sample
    sample_of: NDArray[np.int64]  # of each row

    def samples(self, rows: pa.Table) -> pa.Table:
        """ROWS with one row for each sample; its label is what its rows say together, sorted and
        joined.
        """
        said: list[set[str]] = [set() for _ in self.first]
        for sample, label in zip(self.sample_of.tolist(), rows["label"].to_pylist(), strict=True):
            said[sample] |= {label} if label is not None else set()

        taken = rows.take(pa.array(self.first, pa.int64()))
        ids = distinct_ids(taken["id"].to_pylist(), taken["split"].to_pylist())
        labels = [", ".join(sorted(labels)) or None for labels in said]

        return pa.table([ids, taken["split"], labels, taken["uri"]], schema=ROWS)

    def further(self, of_rows: Further) -> Further:
        """Further columns of each sample's first row: another form has one row for a sample."""
        first = {*self.first}

        def rows() -> Iterator[Row]:
            return (row for number, row in enumerate(of_rows.rows()) if number in first)

        return replace(of_rows, rows=rows)

    def in_a_line(self, n_rows: int) -> str:
        """What was understood, for people."""
        return (
            f"{n_rows:,} rows are of {len(self.first):,} pictures: rows of one picture are one"
            " sample and stay or go together"
        )


def boxes_of(rows: pa.Table) -> Boxes | None:
    """The samples of rows whose ids are paths; None where each path is in one row of a split."""
    at: dict[tuple[str, str | None], int] = {}
    first: list[int] = []
    sample_of = np.empty(len(rows), np.int64)

    for row, key in enumerate(zip(rows["id"].to_pylist(), rows["split"].to_pylist(), strict=True)):
        if key not in at:
            at[key] = len(first)
            first.append(row)
        sample_of[row] = at[key]

    several_splits = len({name for name, _ in at}) < len(at)

    return Boxes(first, sample_of) if len(first) < len(rows) or several_splits else None
