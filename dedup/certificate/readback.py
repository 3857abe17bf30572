"""What was written, read back: which samples of the run its bytes are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.decoding.contents import Reader
from dedup.decoding.pictures import Unreadable, file_digest
from dedup.formats import Source, parts_of
from dedup.formats.banks import Measured
from dedup.formats.references import tasks
from dedup.hashers import work as measuring
from dedup.hashers.setup import Setup
from dedup.tables import DIGEST_BYTES, fixed_width

_ROWS_AT_ONCE: Final = 256  # their bytes are in memory together
_LOOKED_UP_AT_ONCE: Final = 65_536  # digests

NO_BYTES: Final = -1  # of a sample that has none
UNKNOWN: Final = -2  # of bytes that the run did not hash

Samples = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was found where the rows of a source lie."""

    # by row of the source: the run's first sample with these bytes, or one of the numbers above
    samples: Samples
    unreadable: pa.Table  # what is measured of rows without bytes, in their order


class KnownBytes:
    """The digests of a run's samples, to find samples by; two numbers for each, not the digest
    again.
    """

    def __init__(self, file_digests: pa.ChunkedArray) -> None:
        known = file_digests.is_valid().to_numpy()
        self._samples: Samples = np.flatnonzero(known).astype(np.int64)
        self._digests = fixed_width(file_digests if known.all() else file_digests.drop_null())
        begins = _begins(self._digests)
        order = np.argsort(begins, kind="stable")
        self._begins, self._order = begins[order], order
        self._all = file_digests

    def find(self, digests: Sequence[bytes | None] | pa.ChunkedArray) -> Samples:
        """For each digest the first sample that has it."""
        column = (
            digests
            if isinstance(digests, pa.ChunkedArray)
            else pa.chunked_array([digests], _DIGEST)
        )
        known = column.is_valid().to_numpy()
        found = np.where(known, UNKNOWN, NO_BYTES).astype(np.int64)
        wanted = fixed_width(column.drop_null())
        found[known] = self._search(wanted)

        return found

    def first_of(self, samples: Samples) -> Samples:
        """For each sample the first one with the same bytes."""
        parts = [
            self.find(self._all.take(pa.array(samples[start : start + _LOOKED_UP_AT_ONCE])))
            for start in range(0, len(samples), _LOOKED_UP_AT_ONCE)
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _search(self, wanted: NDArray[np.uint8]) -> Samples:
        """By the first eight bytes; where other digests begin so, the next is looked at."""
        found = np.full(len(wanted), UNKNOWN, np.int64)
        begins = _begins(wanted)
        at = np.searchsorted(self._begins, begins)
        rest = np.arange(len(wanted))

        while len(rest):
            rest = rest[at[rest] < len(self._begins)]
            rest = rest[self._begins[at[rest]] == begins[rest]]
            place = self._order[at[rest]]
            same = (self._digests[place] == wanted[rest]).all(axis=1)
            found[rest[same]] = self._samples[place[same]]
            rest = rest[~same]
            at[rest] += 1

        return found


_DIGEST: Final = pa.binary(DIGEST_BYTES)


def _begins(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(digests[:, :8]).view(np.uint64).reshape(-1)


def read_back(written: Source, known: KnownBytes, setup: Setup) -> ReadBack:
    """Read every stored byte of the source again."""
    measure, reader = measuring.start(measuring.work(setup)), Reader()
    samples: list[Samples] = []
    without: list[pa.RecordBatch] = []

    for part in parts_of(written):
        if isinstance(
            part, Measured
        ):  # a bank has no bytes: its entries are known by their own digests
            samples.append(known.find(part.hashes(setup)["file_digest"]))
            continue
        for batch in tasks(part, _ROWS_AT_ONCE):
            own = [
                None if isinstance(of, Unreadable) else file_digest(of)
                for of in reader.contents(batch)
            ]
            samples.append(known.find(own))
            without += [
                measure(batch.slice(k, 1)) for k, digest in enumerate(own) if digest is None
            ]

    unreadable = pa.Table.from_batches(without, measuring.result_schema(setup))

    return ReadBack(
        np.concatenate([np.empty(0, np.int64), *samples]), unreadable.drop_columns(measuring.FRESH)
    )


def by_split(splits: pa.ChunkedArray, samples: Samples) -> dict[str | None, Samples]:
    """Samples by split, in their order."""
    return {
        name: samples[
            (
                pc.is_null(splits) if name is None else pc.fill_null(pc.equal(splits, name), False)
            ).to_numpy()
        ]
        for name in pc.unique(splits).to_pylist()
    }


def n_changed(
    there: Mapping[str | None, Samples], expected: Mapping[str | None, Samples], *, in_order: bool
) -> int:
    """How many samples are not those expected."""
    none = np.empty(0, np.int64)
    return sum(
        _n_different(there.get(split, none), expected.get(split, none), in_order=in_order)
        for split in {*there, *expected}
    )


def _n_different(one: Samples, two: Samples, *, in_order: bool) -> int:
    if not in_order:
        one, two = np.sort(one), np.sort(two)
    shorter = min(len(one), len(two))
    return int(np.sum(one[:shorter] != two[:shorter])) + abs(len(one) - len(two))


def measured_of(
    back: ReadBack, hashes: pa.Table, columns: Sequence[str], row_of_sample: Samples
) -> tuple[pa.Table, Any]:
    """Some columns of `hashes` for what was written, in sample order: the run's rows that have its
    bytes.

    And for each its sample of the run; a higher number for what has no bytes.
    """
    without = back.samples == NO_BYTES
    of_run = np.where(without, len(hashes) + np.cumsum(without) - 1, back.samples)[row_of_sample]
    own = back.unreadable
    for name in set(columns) - {*own.column_names}:
        own = own.append_column(name, pa.nulls(len(own), hashes.schema.field(name).type))

    own = own.select(columns)
    table = pa.concat_tables([hashes.select(columns).cast(own.schema), own]).take(pa.array(of_run))
    samples = pa.array(np.arange(len(table)), pa.int64())

    return table.add_column(0, pa.field("sample", pa.int64(), nullable=False), samples), of_run


def numbers_of(of_run: Samples, picture_of: Samples, known: NDArray[np.bool_]) -> pa.Array:
    """For rows with these samples of the run the numbers of their pictures: as good as digests, and
    a quarter of them.

    `picture_of` numbers the run's pictures, `known` says which of them could be read; null where
    none could.
    """
    at = np.minimum(of_run, len(known))  # behind them what has no bytes
    return pa.array(np.append(picture_of, 0)[at], mask=~np.append(known, False)[at])
