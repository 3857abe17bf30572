"""decisions: what is done with every sample, why, and because of which other one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.graph import Graph, Witnesses, best_witnesses, group_witnesses, numbers
from dedup.policy import distinct, unreadable
from dedup.policy.chains import chains_to
from dedup.policy.covering import leader_cover
from dedup.policy.image_rows import ROW, ROW_STAYS, Rows, row_cover, with_rows
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.policy.keeping import conflict_cover, conflicting, keep_order
from dedup.policy.leading import leaders
from dedup.policy.regrouping import Movable, regrouped

KEPT = "kept"
LEAK = "leaks into a held-out split"
LEAKED = "leaked into train"
GROUP_LEAK = "its group is in a held-out split"
GROUP_LEAKED = "its group is in train"
CHAIN = "chained to a held-out split"
CHAINED = "chained to train"
DUPLICATE = distinct.DUPLICATE
CONFLICT = "another label than a kept sample"
CONFLICTS = "another label than one of its matches"
MOVED = "moved to the split of its group"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Samples:
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
class _Drop:
    """Samples that one rule drops, with their witnesses."""

    samples: Mask
    reason: str
    witnesses: Witnesses


@dataclass(slots=True)
class _Decided:
    """What the rules have decided so far."""

    dropped: Mask
    split: NDArray[np.int64]  # where each sample is now
    # by which sample with another label, for those dropped for that; -1: none
    contradicted: NDArray[np.int64]
    restored: Mask  # would go, and stay with their row
    drops: list[_Drop] = field(default_factory=list)

    def drop(self, samples: Mask, reason: str, witnesses: Witnesses) -> None:
        """Drop those of the samples that have a witness and are not dropped yet."""
        samples = samples & ~self.dropped & (witnesses.sample >= 0)
        self.dropped = self.dropped | samples
        self.drops.append(_Drop(samples, reason, witnesses))

    def close_rows(self, of: _Samples) -> None:
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
            self.drop(more, ROW, _unmeasured(witness))


def decisions(
    graph: Graph,
    hashes: pa.Table,
    manifest: pa.Table,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
    crowds: pa.Table | None = None,
    leaking: Graph | None = None,
) -> pa.Table:
    """One row per sample, in sample order.

    From pairs, not from groups: first what leaks goes or is moved, then labels in conflict, then a
    leader cover over what remains in train, by the rule that says what to keep. When leaks go from
    the held-out splits they go last, so that a witness is a sample that is kept; only where
    `drop_all` leaves none it is one that goes as well. Reference sets are never altered: what
    matches them goes, unless leaks are only reported. `leaking`: the matches that are leaks across
    splits, where they are more than those that make duplicates. Raises `LimitError` where `regroup`
    would move too much.
    """
    leaking = graph if leaking is None else leaking
    of = _samples(manifest, hashes, resolved)
    nobody = np.full(graph.n_samples, -1, dtype=np.int64)
    nothing = np.zeros(graph.n_samples, dtype=bool)
    done = _Decided(nothing, of.split.copy(), nobody, nothing)
    train = of.readable & ~of.is_held_out
    stays = of.is_held_out if resolved.policy.leakage == "drop_from_train" else of.is_reference

    if resolved.policy.leakage != "report_only":
        outside = (
            of.is_reference if resolved.policy.leakage == "drop_from_held_out" else of.is_held_out
        )
        _drop_leaks(done, leaking, of, train, stays=stays, outside=outside)

    if resolved.policy.chains == "drop":
        done.drop(train, CHAIN, _ends(graph, stays & of.readable))

    if resolved.policy.leakage == "regroup" and resolved.splits.held_out:
        done.split = regrouped(
            graph, _movable(graph, of, done.dropped, resolved), resolved.policy.max_moved
        )
        held_out = np.isin(np.array([*of.names, ""]), resolved.splits.held_out)
        train = of.readable & ~held_out[done.split]

    done.close_rows(of)
    _drop_conflicts(done, graph, of, train, resolved)
    done.close_rows(of)
    first = np.array(judged.preferred, dtype=np.int64)
    if crowds is not None:
        # Members of a crowd were compared with its leader only, so it is what can stand for them.
        first = np.concatenate([leaders(crowds), first[~np.isin(first, leaders(crowds))]])

    _drop_duplicates(done, graph, of, train, (hashes, manifest, resolved, first))
    done.close_rows(of)
    if resolved.policy.leakage == "drop_from_held_out" and resolved.splits.held_out:
        _drop_leaked(done, leaking, of, train, chains=resolved.policy.chains == "drop")
        done.close_rows(of)

    _name_what_is_kept(done, graph, of)

    return _table(manifest, graph, _with_broken_images(of, done), done, resolved)


def kept(decisions: pa.Table) -> Mask:
    """Whether each sample is written: kept and moved samples, and those without a picture that stay
    all the same.
    """
    keep = pc.is_in(decisions["action"], pa.array(["keep", "move"]))
    return np.asarray(
        pc.or_(keep, pc.is_in(decisions["reason"], pa.array(unreadable.STAY))).to_numpy()
    )


def _samples(manifest: pa.Table, hashes: pa.Table, resolved: Resolved) -> _Samples:
    splits = manifest["split"]
    names = tuple(sorted(filter(None, splits.unique().to_pylist())))
    is_held_out = pc.is_in(splits, pa.array(resolved.splits.held_out, pa.string())).to_numpy()
    is_reference = pc.is_in(splits, pa.array(resolved.splits.references, pa.string())).to_numpy()
    why = unreadable.reasons(
        hashes["status"], is_held_out, is_reference, resolved.policy.unreadable
    )

    return _Samples(
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


def _with_broken_images(of: _Samples, done: _Decided) -> _Samples:
    """What is known of the samples, where broken images stay with their rows."""
    if of.rows.is_empty:
        return of

    written = (of.readable | of.stays_unreadable) & ~done.dropped
    stay = ~of.readable & ~of.stays_unreadable & of.rows.has(written)
    why = pc.if_else(pa.array(stay), unreadable.KEPT, of.why)

    return replace(of, why=why, stays_unreadable=of.stays_unreadable | stay)


def _drop_leaks(
    done: _Decided, graph: Graph, of: _Samples, train: Mask, *, stays: Mask, outside: Mask
) -> None:
    """Train samples that match what stays, or are of its groups.

    What cannot be read counts for its group where it is written, as nothing moves it: on both
    sides, `outside` is the other one.
    """
    unseen_train = of.stays_unreadable & ~of.is_held_out & ~of.is_reference
    ends = (stays & of.readable) | (outside & of.stays_unreadable)
    written = outside & (of.readable | of.stays_unreadable)

    done.drop(train, LEAK, best_witnesses(graph, stays))
    done.drop(train, GROUP_LEAK, _unmeasured(group_witnesses(of.group, ends)))
    done.drop(unseen_train, GROUP_LEAK, _unmeasured(group_witnesses(of.group, written)))


def _drop_leaked(done: _Decided, graph: Graph, of: _Samples, train: Mask, *, chains: bool) -> None:
    """Held-out samples that match what was kept in train, are of its groups or, with `chains`, lead
    to it.
    """
    own = of.readable & of.is_held_out & ~of.is_reference
    kept = train & ~done.dropped
    unseen = of.stays_unreadable & ~done.dropped
    done.drop(own, LEAKED, best_witnesses(graph, kept))
    of_train = (kept | unseen) & ~of.is_held_out
    unseen_own = unseen & of.is_held_out & ~of.is_reference
    done.drop(own | unseen_own, GROUP_LEAKED, _unmeasured(group_witnesses(of.group, of_train)))
    if chains:
        done.drop(own, CHAINED, _ends(graph, kept))


def _ends(graph: Graph, goals: Mask) -> Witnesses:
    """For each sample a goal that a way over pairs leads to."""
    return _unmeasured(chains_to(graph, goals).end[graph.class_of])


def _drop_conflicts(
    done: _Decided, graph: Graph, of: _Samples, train: Mask, resolved: Resolved
) -> None:
    if resolved.policy.label_conflicts == "drop_all":
        partners = conflicting(graph, of.label, of.readable)
        done.contradicted = np.where(train & ~done.dropped, partners.sample, -1)
        done.drop(train, CONFLICTS, partners)
    elif resolved.policy.label_conflicts == "drop":
        stays = (
            of.is_held_out
            if resolved.policy.leakage in {"drop_from_train", "report_only"}
            else of.is_reference
        )
        done.drop(train, CONFLICT, conflicting(graph, of.label, stays))


def _drop_duplicates(
    done: _Decided,
    graph: Graph,
    of: _Samples,
    train: Mask,
    by: tuple[pa.Table, pa.Table, Resolved, NDArray[np.int64]],
) -> None:
    """What a kept sample of train covers; where duplicates are only reported, what has another
    label than it.
    """
    hashes, manifest, resolved, preferred = by
    every = resolved.policy.duplicates != "report_only"
    if not every and resolved.policy.label_conflicts != "drop":
        return

    # Of a row of several images those count that match nothing.
    concerned = train & ~done.dropped & (graph.matched() | (of.rows.of_sample >= 0))
    rule, descending = resolved.policy.duplicates, resolved.policy.keep_order
    order = keep_order(
        graph.class_of,
        hashes,
        manifest,
        rule,
        descending,
        among=concerned,
        preferred=preferred,
        n_better=graph.n_better,
    )

    if every and not of.rows.is_empty:
        said = numbers(manifest["distinct"]) * (resolved.policy.distinct == "row")
        cover = row_cover(graph, order, concerned, of.rows, said)
    elif every:
        matches = distinct.by_row(graph, manifest) if resolved.policy.distinct == "row" else graph
        cover = leader_cover(matches, order, concerned)
    else:
        cover = conflict_cover(graph, order.tolist(), concerned, of.label)

    led = cover.sample != np.arange(graph.n_samples)
    done.drop(led, DUPLICATE if every else CONFLICT, cover)


def _name_what_is_kept(done: _Decided, graph: Graph, of: _Samples) -> None:
    """Give samples dropped for a label in conflict a witness that is kept, if any of their matches
    is.

    Only now is it known which are: best one that contradicts the sample, else the best of all.
    Without any, the witness stays the match that contradicts the sample, though it goes too.
    """
    for place, drop in enumerate(done.drops):
        if drop.reason == CONFLICTS:
            kept = of.readable & ~done.dropped
            first, second = conflicting(graph, of.label, kept), best_witnesses(graph, kept)
            best = _first(first, _first(second, drop.witnesses))
            done.drops[place] = replace(drop, witnesses=best)


def _movable(graph: Graph, of: _Samples, dropped: Mask, resolved: Resolved) -> Movable:
    tied = best_witnesses(graph, of.is_reference).sample >= 0
    tied = tied | (group_witnesses(of.group, of.is_reference & of.readable) >= 0)
    held_out = np.isin(np.array(of.names), resolved.splits.held_out)

    return Movable(
        of.readable & ~of.is_reference & ~dropped,
        of.split,
        of.label,
        of.group,
        tied,
        of.names,
        held_out,
    )


def _unmeasured(sample: NDArray[np.int64]) -> Witnesses:
    """Witnesses that are no direct match: nothing was measured between them and the sample."""
    n = len(sample)
    unknown = np.full(n, np.nan, np.float32)
    return Witnesses(sample, np.zeros(n, np.uint16), unknown, np.full(n, _NO_MATCH, dtype=np.int64))


_NO_MATCH = -2


def _moved(graph: Graph, of: _Samples, done: _Decided) -> Witnesses:
    """For each moved sample its best match among the kept samples that were in its new split
    before.
    """
    found = _unmeasured(np.full(graph.n_samples, -1, dtype=np.int64))
    stays = of.readable & ~done.dropped & (done.split == of.split)
    for number in np.unique(done.split[done.split != of.split]).tolist():
        best = best_witnesses(graph, stays & (of.split == number))
        here = (done.split == number) & (of.split != number) & (best.sample >= 0)
        found = _of(
            np.where(here, new, old) for new, old in zip(_fields(best), _fields(found), strict=True)
        )

    return found


def _first(one: Witnesses, other: Witnesses) -> Witnesses:
    """The one where there is a witness, else the other."""
    chosen = zip(_fields(one), _fields(other), strict=True)
    return _of(np.where(one.sample >= 0, a, b) for a, b in chosen)


def _fields(of: Witnesses) -> tuple[NDArray[Any], ...]:
    return of.sample, of.distance, of.similarity, of.row


def _of(columns: Iterable[NDArray[Any]]) -> Witnesses:
    sample, distance, similarity, row = columns
    return Witnesses(sample, distance.astype(np.uint16), similarity.astype(np.float32), row)


def _table(
    manifest: pa.Table, graph: Graph, of: _Samples, done: _Decided, resolved: Resolved
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
        measured[samples] = (witnesses.row[samples] != _NO_MATCH) & (witnesses.sample[samples] >= 0)

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
