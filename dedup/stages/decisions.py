"""decisions: what is done with every sample, why, and because of which other one."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, Witnesses, best_witnesses, leader_cover, quality_order

KEPT = "kept"
LEAK = "leaks into a held-out split"
LEAKED = "leaked into train"
DUPLICATE = "duplicate of a kept sample"
UNREADABLE_DROPPED = "unreadable, dropped"
UNREADABLE_KEPT = "unreadable, kept"


@dataclass(frozen=True, slots=True)
class _Drop:
    """Samples that one rule drops, with their witnesses."""

    samples: NDArray[np.bool_]
    reason: str
    witnesses: Witnesses


def decisions(graph: Graph, hashes: pa.Table, manifest: pa.Table, resolved: Resolved) -> pa.Table:
    """One row per sample, in sample order.

    From pairs, not from groups: first the leaks, then a leader cover over what remains in train, best picture first.
    When leaks go from the held-out splits the order is reversed, so that a witness is always a sample that is kept.
    Reference sets are never altered: what matches them goes, unless leaks are only reported.
    """
    is_held_out = pc.is_in(manifest["split"], pa.array(resolved.held_out, pa.string())).to_numpy()
    is_reference = pc.is_in(manifest["split"], pa.array(resolved.references, pa.string())).to_numpy()
    readable = pc.equal(hashes["status"], "ok").to_numpy()
    train = readable & ~is_held_out
    dropped = np.zeros(graph.n_samples, dtype=bool)
    drops: list[_Drop] = []

    def drop(samples: NDArray[np.bool_], reason: str, witnesses: Witnesses) -> None:
        dropped[samples] = True
        drops.append(_Drop(samples, reason, witnesses))

    if resolved.leakage != "report_only":
        stays = is_held_out if resolved.leakage == "drop_from_train" else is_reference
        witnesses = best_witnesses(graph, stays)
        drop(train & (witnesses.sample >= 0), LEAK, witnesses)
    if resolved.duplicates != "report_only":
        cover = _cover(graph, hashes, train & ~dropped, resolved.duplicates)
        drop((cover.sample >= 0) & (cover.sample != np.arange(graph.n_samples)), DUPLICATE, cover)
    if resolved.leakage == "drop_from_held_out" and resolved.held_out:
        witnesses = best_witnesses(graph, train & ~dropped)
        drop(readable & is_held_out & ~is_reference & (witnesses.sample >= 0), LEAKED, witnesses)
    return _table(manifest, drops, readable, is_held_out, is_reference, resolved.unreadable)


def kept(decisions: pa.Table) -> NDArray[np.bool_]:
    """Whether each sample is written: kept samples, and unreadable ones that the policy keeps."""
    keep = pc.or_(pc.equal(decisions["action"], "keep"), pc.equal(decisions["reason"], UNREADABLE_KEPT))
    return np.asarray(keep.to_numpy())


def _cover(graph: Graph, hashes: pa.Table, eligible: NDArray[np.bool_], rule: str) -> Witnesses:
    every = np.arange(graph.n_samples) if rule == "keep_first" else quality_order(hashes, graph.class_of)
    concerned = eligible & graph.matched()
    return leader_cover(graph, every[concerned[every]].tolist(), concerned)


def _table(
    manifest: pa.Table,
    drops: list[_Drop],
    readable: NDArray[np.bool_],
    is_held_out: NDArray[np.bool_],
    is_reference: NDArray[np.bool_],
    unreadable: str,
) -> pa.Table:
    n = len(manifest)
    action = np.full(n, "keep", dtype=object)
    reason = np.full(n, KEPT, dtype=object)
    witness = np.full(n, -1, dtype=np.int64)
    distance, similarity = np.zeros(n, np.uint16), np.full(n, np.nan, np.float32)
    for drop in drops:
        action[drop.samples], reason[drop.samples] = "drop", drop.reason
        witness[drop.samples] = drop.witnesses.sample[drop.samples]
        distance[drop.samples] = drop.witnesses.distance[drop.samples]
        similarity[drop.samples] = drop.witnesses.similarity[drop.samples]
    action[~readable] = "unreadable"
    written = {"drop": np.zeros(n, bool), "keep": np.ones(n, bool), "drop_from_train": is_held_out}[unreadable]
    written = written | is_reference
    reason[~readable] = np.where(written, UNREADABLE_KEPT, UNREADABLE_DROPPED)[~readable]
    without = witness < 0
    by = manifest.take(pa.array(np.maximum(witness, 0), mask=without))
    columns = [
        manifest["sample"],
        manifest["id"],
        manifest["split"],
        pa.array(action, pa.string()),
        pa.array(reason, pa.string()),
        by["id"],
        by["split"],
        pa.array(distance, mask=without),
        pa.array(similarity, mask=without | np.isnan(similarity)),
    ]
    return pa.table(columns, schema=tables.DECISIONS).combine_chunks()
