"""uncompared: train samples that are kept although nobody compared them with all their
candidates.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, matches_one_of
from dedup.policy.leading import numbers_by_sample

Samples = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Crowds:
    """The table `crowds` by sample; samples in no crowd have the number -1."""

    number: Samples
    accepted: Mask  # leaders and members
    leads: Mask
    left_out: Mask

    @classmethod
    def of(cls, crowds: pa.Table, n_samples: int) -> "_Crowds":
        number, role = numbers_by_sample(crowds, n_samples)
        accepted = np.isin(role, ("leader", "member"))
        return cls(number, accepted, np.equal(role, "leader"), np.equal(role, "left_out"))

    def size(self, inside: Mask) -> Samples:
        """For each sample the number of those `inside` in its crowd."""
        counts = np.bincount(
            self.number[inside & (self.number >= 0)], minlength=int(self.number.max(initial=-1)) + 2
        )
        return np.where(self.number >= 0, counts[self.number], 0)


def uncompared(
    crowds: pa.Table,
    candidates: Iterable[pa.Table],
    graph: Graph,
    decisions: pa.Table,
    manifest: pa.Table,
    resolved: Resolved,
) -> pa.Table:
    """One row for each kept train sample of a crowd that matches nothing held out, with what it was
    not compared with.

    `held_out`, `train`: how many samples of its crowd on that side nobody compared with it. Train
    samples count where duplicates are dropped and the crowd's leader does not stand for it: with
    stricter limits than those of the search. Sorted by sample.
    """
    n = graph.n_samples
    if len(crowds) == 0:
        return tables.UNCOMPARED.empty_table()

    of = _Crowds.of(crowds, n)
    names = pa.array(resolved.splits.held_out, pa.string())
    held_out = pc.is_in(manifest["split"], names).to_numpy()
    kept = pc.is_in(decisions["action"], pa.array(["keep", "move"])).to_numpy()
    open_ = kept & ~held_out & ~matches_one_of(graph, held_out)
    representative = graph.class_of
    has_open, has_held_out, has_train = (
        _of_classes(representative, mask) for mask in (open_, held_out, ~held_out)
    )
    broken = _broken(of, has_open, resolved)
    compared = _compared(candidates, of)
    of_held_out = _missing(of, has_held_out, broken, compared)
    of_train = _missing(of, has_train, broken, compared)
    drops = resolved.policy.duplicates != "report_only"
    of_train = np.where((broken | of.left_out) & drops, of_train, 0)
    listed = open_ & (of.number[representative] >= 0) & ~of.leads[representative]
    listed &= (of_held_out + of_train)[representative] > 0

    samples = np.flatnonzero(listed)
    named = manifest.select(["id", "split"]).take(pa.array(samples))
    own = representative[samples]
    numbers = of.number[own], of_held_out[own], of_train[own]
    columns = [samples, named["id"], named["split"], *numbers]

    return pa.table(columns, schema=tables.UNCOMPARED).combine_chunks()


def _of_classes(representative: Samples, mask: Mask) -> Mask:
    """At the place of each representative whether any of its identical pictures is in the mask."""
    found = np.zeros(len(mask), bool)
    found[representative[mask]] = True
    return found


def _broken(of: _Crowds, has_open: Mask, resolved: Resolved) -> Mask:
    """Samples of crowds with a member that its leader does not stand for any more."""
    if resolved.policy.duplicates == "report_only":
        return np.zeros(len(has_open), bool)
    lost = has_open & of.accepted & ~of.leads
    return np.isin(of.number, of.number[lost]) & (of.number >= 0)


def _compared(candidates: Iterable[pa.Table], of: _Crowds) -> tuple[Samples, Samples]:
    """The pairs within crowds that were compared, in both directions."""
    parts = [np.zeros((2, 0), np.int64)]
    for part in candidates:
        a, b = part["a"].to_numpy(), part["b"].to_numpy()
        inside = (of.number[a] >= 0) & (of.number[a] == of.number[b])
        parts.append(np.stack([a[inside], b[inside]]))

    a, b = np.unique(np.concatenate(parts, axis=1), axis=1)

    return np.concatenate([a, b]), np.concatenate([b, a])


def _missing(of: _Crowds, inside: Mask, broken: Mask, compared: tuple[Samples, Samples]) -> Samples:
    """For each sample how many of its crowd that are `inside` were not compared with it."""
    a, b = compared
    everyone = broken | of.left_out
    scope = np.where(everyone, of.size(inside), of.size(inside & of.accepted))
    counted = inside[b] & (everyone[a] | of.accepted[b])
    own = inside & (of.number >= 0) & (everyone | of.accepted)  # nobody is compared with itself

    return np.maximum(scope - own - np.bincount(a[counted], minlength=len(inside)), 0)
