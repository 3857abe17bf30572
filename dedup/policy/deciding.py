"""What is known of the samples when it is decided about them, and what is decided so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, Witnesses, numbers
from dedup.policy import unreadable
from dedup.policy.image_rows import ROW, Rows, with_rows

Mask = NDArray[np.bool_]

NO_MATCH: Final = -2  # in place of a row of `pairs`: the witness is not a direct match


@dataclass(frozen=True, slots=True)
class Samples:
    """What is known of the samples before anything is decided."""

    is_held_out: Mask
    is_reference: Mask
    readable: Mask
    absent: Mask  # there is no image, and nothing is wrong with that
    stays_unreadable: Mask  # cannot be read, and is written as the policy says
    why: pa.Array  # why an unreadable sample is written or not; null for readable ones
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    split: NDArray[np.int64]  # place in `names`
    names: tuple[str, ...]
    rows: Rows  # of several images


@dataclass(frozen=True, slots=True)
class Drop:
    """Samples that one rule drops, with their witnesses."""

    samples: Mask
    reason: str
    witnesses: Witnesses


@dataclass(slots=True)
class Decided:
    """What the rules have decided so far."""

    dropped: Mask
    split: NDArray[np.int64]  # where each sample is now
    # by which sample with another label, for those dropped for that; -1: none
    contradicted: NDArray[np.int64]
    restored: Mask  # would go, and stay with their row
    drops: list[Drop] = field(default_factory=list)

    def drop(self, samples: Mask, reason: str, witnesses: Witnesses) -> None:
        """Drop those of the samples that have a witness and are not dropped yet."""
        samples = samples & ~self.dropped & (witnesses.sample >= 0)
        if not samples.any():
            return

        self.dropped = self.dropped | samples
        self.drops.append(Drop(samples, reason, witnesses))

    def close_rows(self, of: Samples) -> None:
        """Let rows of several images stay or go as a whole."""
        if of.rows.is_empty:
            return

        written = of.readable | of.stays_unreadable
        more, restored = with_rows(self.dropped, written, of.rows)
        for place, drop in enumerate(self.drops):
            self.drops[place] = replace(drop, samples=drop.samples & ~restored)

        self.dropped = self.dropped & ~restored
        self.restored = self.restored | restored
        for drop in list(self.drops):
            first = of.rows.first_of(drop.samples)
            witness = np.where(more & (first >= 0), drop.witnesses.sample[first], -1)
            self.drop(more, ROW, unmeasured(witness))


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules judge by."""

    graph: Graph  # the matches that make duplicates
    leaking: Graph  # the matches that are leaks across splits
    of: Samples
    hashes: pa.Table
    manifest: pa.Table
    resolved: Resolved
    preferred: NDArray[np.int64]  # samples that are kept before all others, the first one first

    def train(self, done: Decided) -> Mask:
        """Readable samples that are in no held-out split, as the rules have moved them so far."""
        held_out = np.isin(
            np.array([*self.of.names, ""]), np.array(self.resolved.splits.held_out, dtype=str)
        )
        return self.of.readable & ~held_out[done.split]


def known_of(manifest: pa.Table, hashes: pa.Table, resolved: Resolved) -> Samples:
    """What is known of the samples before anything is decided."""
    splits = manifest["split"]
    names = tuple(sorted(filter(None, splits.unique().to_pylist())))
    is_held_out = pc.is_in(splits, pa.array(resolved.splits.held_out, pa.string())).to_numpy()
    is_reference = pc.is_in(splits, pa.array(resolved.splits.references, pa.string())).to_numpy()
    why = unreadable.reasons(
        hashes["status"], is_held_out, is_reference, resolved.policy.unreadable
    )

    return Samples(
        is_held_out=is_held_out,
        is_reference=is_reference,
        readable=pc.equal(hashes["status"], "ok").to_numpy(),
        absent=pc.equal(hashes["status"], tables.ABSENT).to_numpy(),
        stays_unreadable=pc.is_in(why, pa.array(unreadable.STAY)).to_numpy(zero_copy_only=False),
        why=why,
        label=numbers(manifest["label"]),
        group=numbers(manifest["group"]),
        split=pc.index_in(splits, pa.array(names, pa.string()))
        .fill_null(-1)
        .to_numpy()
        .astype(np.int64),
        names=names,
        rows=_rows(manifest, resolved.policy.row),
    )


def _rows(manifest: pa.Table, rule: str) -> Rows:
    """The rows of several images; earlier runs know of none."""
    if "row" not in manifest.column_names:
        return Rows(np.full(len(manifest), -1, dtype=np.int64), rule)

    return Rows(numbers(manifest["row"]), rule)


def unmeasured(sample: NDArray[np.int64]) -> Witnesses:
    """Witnesses that are no direct match: nothing was measured between them and the sample."""
    n = len(sample)
    unknown = np.full(n, np.nan, np.float32)
    return Witnesses(sample, np.zeros(n, np.uint16), unknown, np.full(n, NO_MATCH, dtype=np.int64))


def fields_of(witnesses: Witnesses) -> tuple[NDArray[Any], ...]:
    """The columns of witnesses, in the order that `witnesses_of` takes."""
    return witnesses.sample, witnesses.distance, witnesses.similarity, witnesses.row


def witnesses_of(columns: Iterable[NDArray[Any]]) -> Witnesses:
    """Witnesses of their columns."""
    sample, distance, similarity, row = columns
    return Witnesses(sample, distance.astype(np.uint16), similarity.astype(np.float32), row)
