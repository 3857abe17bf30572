"""decisions: what is done with every sample, why, and because of which other one."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, Witnesses, best_witnesses
from dedup.policy import unreadable
from dedup.policy.deciding import (
    NO_MATCH,
    Case,
    Decided,
    Mask,
    Samples,
    fields_of,
    known_of,
    unmeasured,
    witnesses_of,
)
from dedup.policy.image_rows import ROW_STAYS
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.policy.leading import leaders
from dedup.policy.rules import KEPT, MOVED, decided


def decisions(
    graph: Graph,
    hashes: pa.Table,
    manifest: pa.Table,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
    crowds: pa.Table | None = None,
    leaking: Graph | None = None,
) -> pa.Table:
    """One row per sample, in sample order, by the rules of `policy.rules` in their order.

    From pairs, not from groups. When leaks go from the held-out splits they go last, so that a
    witness is a sample that is kept; only where `drop_all` leaves none it is one that goes as well.
    Reference sets are never altered: what matches them goes, unless leaks are only reported.
    `leaking`: the matches that are leaks across splits, where they are more than those that make
    duplicates. Raises `LimitError` where `regroup` would move too much.
    """
    first = np.array(judged.preferred, dtype=np.int64)
    if crowds is not None:
        # Members of a crowd were compared with its leader only, so it is what can stand for them.
        first = np.concatenate([leaders(crowds), first[~np.isin(first, leaders(crowds))]])

    of = known_of(manifest, hashes, resolved)
    leaking = graph if leaking is None else leaking
    done = decided(Case(graph, leaking, of, hashes, manifest, resolved, first))

    return _table(manifest, graph, _with_broken_images(of, done), done, resolved)


def kept(decisions: pa.Table) -> Mask:
    """Whether each sample is written: kept and moved samples, and those without a picture that stay
    all the same.
    """
    keep = pc.is_in(decisions["action"], pa.array(["keep", "move"]))
    return np.asarray(
        pc.or_(keep, pc.is_in(decisions["reason"], pa.array(unreadable.STAY))).to_numpy()
    )


def _with_broken_images(of: Samples, done: Decided) -> Samples:
    """What is known of the samples, where broken images stay with their rows."""
    if of.rows.is_empty:
        return of

    written = (of.readable | of.stays_unreadable) & ~done.dropped
    stay = ~of.readable & ~of.stays_unreadable & of.rows.has(written)
    why = pc.if_else(pa.array(stay), unreadable.KEPT, of.why)

    return replace(of, why=why, stays_unreadable=of.stays_unreadable | stay)


def _moved(graph: Graph, of: Samples, done: Decided) -> Witnesses:
    """For each moved sample its best match among the kept samples that were in its new split
    before.
    """
    found = unmeasured(np.full(graph.n_samples, -1, dtype=np.int64))
    stays = of.readable & ~done.dropped & (done.split == of.split)
    for number in np.unique(done.split[done.split != of.split]).tolist():
        best = best_witnesses(graph, stays & (of.split == number))
        here = (done.split == number) & (of.split != number) & (best.sample >= 0)
        found = witnesses_of(
            np.where(here, new, old)
            for new, old in zip(fields_of(best), fields_of(found), strict=True)
        )

    return found


def _table(
    manifest: pa.Table, graph: Graph, of: Samples, done: Decided, resolved: Resolved
) -> pa.Table:
    n = len(manifest)
    reasons = [KEPT, MOVED, ROW_STAYS]
    action, reason = np.zeros(n, np.int8), np.zeros(n, np.int8)  # places in ACTIONS and `reasons`
    witness = np.full(n, -1, dtype=np.int64)
    distance, similarity = np.zeros(n, np.uint16), np.full(n, np.nan, np.float32)
    measured = np.zeros(n, dtype=bool)

    def because(samples: Mask, witnesses: Witnesses) -> None:
        witness[samples] = witnesses.sample[samples]
        distance[samples], similarity[samples] = (
            witnesses.distance[samples],
            witnesses.similarity[samples],
        )
        measured[samples] = (witnesses.row[samples] != NO_MATCH) & (witnesses.sample[samples] >= 0)

    moved = of.readable & ~done.dropped & (done.split != of.split)
    if moved.any():
        action[moved], reason[moved] = tables.ACTIONS.index("move"), reasons.index(MOVED)
        because(moved, _moved(graph, of, done))

    reason[done.restored & ~done.dropped] = reasons.index(ROW_STAYS)
    for drop in done.drops:
        action[drop.samples], reason[drop.samples] = tables.ACTIONS.index("drop"), len(reasons)
        reasons.append(drop.reason)
        because(drop.samples, drop.witnesses)

    action[~of.readable] = tables.ACTIONS.index("unreadable")
    action[of.absent & ~done.dropped] = tables.ACTIONS.index("keep")
    said = pa.array(reasons, pa.string()).take(pa.array(reason))
    why = pc.if_else(pa.array(done.dropped), None, of.why)
    columns = [
        manifest["sample"],
        manifest["id"],
        manifest["split"],
        pa.array(tables.ACTIONS, pa.string()).take(pa.array(action)),
        pc.coalesce(why, said),
        manifest["id"].take(_places(witness)),
        manifest["split"].take(_places(witness)),
        pa.array(distance, mask=~measured),
        pa.array(similarity, mask=~measured | np.isnan(similarity)),
        pa.array(((of.readable | of.stays_unreadable) & ~done.dropped)[witness], mask=witness < 0),
        manifest["id"].take(_places(done.contradicted)),
        pa.array(of.names, pa.string()).take(pa.array(done.split, mask=~moved)),
    ]

    return pa.table(columns, schema=tables.DECISIONS).combine_chunks()


def _places(samples: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.maximum(samples, 0), mask=samples < 0)
