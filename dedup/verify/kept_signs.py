"""Candidates of which one side has no thumbnail but signs: the entries of a bank."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.policy.doubts import DOUBT, false_probability
from dedup.tables.entries import SMALL_SIDE
from dedup.verify.signs import agreement, evidence, shared

COLUMN: Final = "signs"


@dataclass(frozen=True, slots=True)
class KeptSigns:
    """The signs of the samples that have them."""

    signs: NDArray[np.uint8]  # (samples, 68)
    has: NDArray[np.bool_]
    is_small: NDArray[np.bool_]  # a side below `SMALL_SIDE` pixels

    @classmethod
    def of(cls, hashes: pa.Table) -> Self | None:
        """From the table `hashes`; None where no bank took part."""
        if COLUMN not in hashes.column_names:
            return None

        sides = np.minimum(*(hashes[name].fill_null(0).to_numpy() for name in ("width", "height")))
        has = hashes[COLUMN].is_valid().to_numpy()

        return cls(tables.fixed_width(hashes[COLUMN]), has, sides < SMALL_SIDE)

    def compared(self, candidates: pa.Table, thumbnails: NDArray[np.uint8]) -> pa.Table:
        """The candidates with similarities by signs where a thumbnail is missing, and how doubtful
        they are.
        """
        a, b = candidates["a"].to_numpy(), candidates["b"].to_numpy()
        rows = np.flatnonzero(
            (self.has[a] | self.has[b]) & (candidates["unframed"].to_numpy() == 0)
        )
        similarity = candidates["similarity"].to_numpy().copy()
        doubt = np.full(len(a), np.nan, np.float32)
        asked = np.where(self.has[a], b, a)[rows]
        kept = np.where(self.has[a], a, b)[rows]
        order = np.argsort(asked, kind="stable")

        for one in np.split(order, np.flatnonzero(np.diff(asked[order])) + 1) if len(rows) else ():
            sample = asked[one[0]]
            found, n = self._of_one(sample, kept[one], thumbnails)
            similarity[rows[one]] = np.clip(found, 0.0, 1.0)
            table = "shared_signs" if n is None else "signs"
            for at, entry, similar in zip(
                rows[one].tolist(), kept[one].tolist(), found.tolist(), strict=True
            ):
                small = bool(self.is_small[sample] or self.is_small[entry])
                doubt[at] = false_probability(max(similar, 0.0), table, small=small, evidence=n)

        place = candidates.column_names.index("similarity")
        table = candidates.set_column(
            place, candidates.schema.field(place), pa.array(similarity, pa.float32())
        )

        return table.append_column(DOUBT, pa.array(doubt, mask=np.isnan(doubt)))

    def _of_one(
        self, sample: int, kept: NDArray[np.int64], thumbnails: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], float | None]:
        if self.has[sample]:
            return shared(self.signs[sample], self.signs[kept]), None
        return agreement(thumbnails[sample], self.signs[kept]), evidence(thumbnails[sample])


def by_signs(parts: Iterator[pa.Table], hashes: pa.Table, method: str) -> Iterator[pa.Table]:
    """Candidates in parts, those that have signs on one side compared by them; as they are where no
    bank took part.
    """
    kept = KeptSigns.of(hashes) if method != "none" else None
    if kept is None:
        yield from parts
        return

    thumbnails = tables.fixed_width(hashes["thumbnail"])
    for part in parts:
        yield kept.compared(part, thumbnails)
