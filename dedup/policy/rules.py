"""The rules of the policy, in the order in which they decide, each with the codes of its reasons.

A rule drops samples or moves them, and names the witness of each. What an earlier rule dropped is
not dropped again, so the order says which reason a sample gets that several rules would drop.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dedup.config import Resolved
from dedup.graph import Graph, Witnesses, best_witnesses, group_witnesses, numbers
from dedup.policy import distinct
from dedup.policy.chains import chains_to
from dedup.policy.covering import leader_cover
from dedup.policy.deciding import Case, Decided, Mask, Samples, fields_of, unmeasured, witnesses_of
from dedup.policy.image_rows import ROW, ROW_STAYS, row_cover
from dedup.policy.keeping import conflict_cover, conflicting, keep_order
from dedup.policy.regrouping import Movable, regrouped

KEPT: Final = "kept"
LEAK: Final = "leaks into a held-out split"
LEAKED: Final = "leaked into train"
GROUP_LEAK: Final = "its group is in a held-out split"
GROUP_LEAKED: Final = "its group is in train"
CHAIN: Final = "chained to a held-out split"
CHAINED: Final = "chained to train"
DUPLICATE: Final = distinct.DUPLICATE
CONFLICT: Final = "another label than a kept sample"
CONFLICTS: Final = "another label than one of its matches"
MOVED: Final = "moved to the split of its group"

REASONS: Final = {
    "kept": KEPT,
    "leak": LEAK,
    "group_leak": GROUP_LEAK,
    "chain": CHAIN,
    "moved": MOVED,
    "conflict": CONFLICT,
    "conflicts": CONFLICTS,
    "duplicate": DUPLICATE,
    "leaked": LEAKED,
    "group_leaked": GROUP_LEAKED,
    "chained": CHAINED,
    "row": ROW,
    "row_stays": ROW_STAYS,
}
"""What `decisions.reason` says, by the code of the reason; those of unreadable samples are in
`policy.unreadable`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One step of the policy."""

    name: str
    reasons: tuple[str, ...]  # codes of `REASONS` that it can give
    applies: Callable[[Resolved], bool]
    decide: Callable[[Case, Decided], None]
    # whether rows of several images are let stay or go as a whole after it
    closes_rows: bool = True


def decided(case: Case) -> Decided:
    """What all rules that apply decide, one after the other."""
    n_samples = case.graph.n_samples
    nobody = np.full(n_samples, -1, dtype=np.int64)
    nothing = np.zeros(n_samples, dtype=bool)
    done = Decided(nothing, case.of.split.copy(), nobody, nothing)

    for rule in RULES:
        if rule.applies(case.resolved):
            rule.decide(case, done)
        if rule.closes_rows:
            done.close_rows(case.of)

    return done


def _drop_leaks(case: Case, done: Decided) -> None:
    """Train samples that match what stays, or are of its groups.

    What cannot be read counts for its group where it is written, as nothing moves it: on both
    sides, `outside` is the other one.
    """
    of, train, stays = case.of, case.train(done), _stays(case)
    drops_held_out = case.resolved.policy.leakage == "drop_from_held_out"
    outside = of.is_reference if drops_held_out else of.is_held_out
    unseen_train = of.stays_unreadable & ~of.is_held_out & ~of.is_reference
    ends = (stays & of.readable) | (outside & of.stays_unreadable)
    written = outside & (of.readable | of.stays_unreadable)

    done.drop(train, LEAK, best_witnesses(case.leaking, stays))
    done.drop(train, GROUP_LEAK, unmeasured(group_witnesses(of.group, ends)))
    done.drop(unseen_train, GROUP_LEAK, unmeasured(group_witnesses(of.group, written)))


def _drop_chained(case: Case, done: Decided) -> None:
    """Train samples that lead, over other samples, to what stays."""
    done.drop(case.train(done), CHAIN, _ends(case.graph, _stays(case) & case.of.readable))


def _stays(case: Case) -> Mask:
    """What is not dropped because of train: held-out splits, or reference sets only."""
    drops_train = case.resolved.policy.leakage == "drop_from_train"
    return case.of.is_held_out if drops_train else case.of.is_reference


def _regroup(case: Case, done: Decided) -> None:
    """Move groups that several splits share to one of them."""
    movable = _movable(case.graph, case.of, done.dropped, case.resolved)
    done.split = regrouped(case.graph, movable, case.resolved.policy.max_moved)


def _drop_leaked(case: Case, done: Decided) -> None:
    """Held-out samples that match what was kept in train, are of its groups or, where chains are
    dropped, lead to it.
    """
    of, train = case.of, case.train(done)
    own = of.readable & of.is_held_out & ~of.is_reference
    kept = train & ~done.dropped
    unseen = of.stays_unreadable & ~done.dropped
    done.drop(own, LEAKED, best_witnesses(case.leaking, kept))
    of_train = (kept | unseen) & ~of.is_held_out
    unseen_own = unseen & of.is_held_out & ~of.is_reference
    done.drop(own | unseen_own, GROUP_LEAKED, unmeasured(group_witnesses(of.group, of_train)))
    if case.resolved.policy.chains == "drop":
        done.drop(own, CHAINED, _ends(case.graph, kept))


def _ends(graph: Graph, goals: Mask) -> Witnesses:
    """For each sample a goal that a way over pairs leads to."""
    return unmeasured(chains_to(graph, goals).end[graph.class_of])


def _drop_all_conflicts(case: Case, done: Decided) -> None:
    """Train samples with a match of another label, both of them."""
    train = case.train(done)
    partners = conflicting(case.graph, case.of.label, case.of.readable)
    done.contradicted = np.where(train & ~done.dropped, partners.sample, -1)
    done.drop(train, CONFLICTS, partners)


def _drop_conflicts(case: Case, done: Decided) -> None:
    """Train samples with another label than a match that stays."""
    of, leakage = case.of, case.resolved.policy.leakage
    stays = of.is_held_out if leakage in {"drop_from_train", "report_only"} else of.is_reference
    done.drop(case.train(done), CONFLICT, conflicting(case.graph, of.label, stays))


def _drop_duplicates(case: Case, done: Decided) -> None:
    """What a kept sample of train covers; where duplicates are only reported, what has another
    label than it.
    """
    graph, of, manifest, resolved = case.graph, case.of, case.manifest, case.resolved
    every = resolved.policy.duplicates != "report_only"

    # Of a row of several images those count that match nothing.
    concerned = case.train(done) & ~done.dropped & (graph.matched() | (of.rows.of_sample >= 0))
    rule, descending = resolved.policy.duplicates, resolved.policy.keep_order
    order = keep_order(
        graph.class_of,
        case.hashes,
        manifest,
        rule,
        descending,
        among=concerned,
        preferred=case.preferred,
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


def _name_what_is_kept(case: Case, done: Decided) -> None:
    """Give samples dropped for a label in conflict a witness that is kept, if any of their matches
    is.

    Only now is it known which are: best one that contradicts the sample, else the best of all.
    Without any, the witness stays the match that contradicts the sample, though it goes too.
    """
    graph, of = case.graph, case.of
    for place, drop in enumerate(done.drops):
        if drop.reason == CONFLICTS:
            kept = of.readable & ~done.dropped
            first, second = conflicting(graph, of.label, kept), best_witnesses(graph, kept)
            best = _first(first, _first(second, drop.witnesses))
            done.drops[place] = replace(drop, witnesses=best)


def _movable(graph: Graph, of: Samples, dropped: Mask, resolved: Resolved) -> Movable:
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


def _first(one: Witnesses, other: Witnesses) -> Witnesses:
    """The one where there is a witness, else the other."""
    chosen = zip(fields_of(one), fields_of(other), strict=True)
    return witnesses_of(np.where(one.sample >= 0, a, b) for a, b in chosen)


RULES: Final = (
    Rule(
        "leaks",
        ("leak", "group_leak"),
        lambda resolved: resolved.policy.leakage != "report_only",
        _drop_leaks,
        closes_rows=False,
    ),
    Rule(
        "chains",
        ("chain",),
        lambda resolved: resolved.policy.chains == "drop",
        _drop_chained,
        closes_rows=False,
    ),
    Rule(
        "regrouping",
        ("moved",),
        lambda resolved: resolved.policy.leakage == "regroup" and bool(resolved.splits.held_out),
        _regroup,
    ),
    Rule(
        "all label conflicts",
        ("conflicts",),
        lambda resolved: resolved.policy.label_conflicts == "drop_all",
        _drop_all_conflicts,
        closes_rows=False,
    ),
    Rule(
        "label conflicts",
        ("conflict",),
        lambda resolved: resolved.policy.label_conflicts == "drop",
        _drop_conflicts,
    ),
    Rule(
        "duplicates",
        ("duplicate", "conflict"),
        lambda resolved: (
            resolved.policy.duplicates != "report_only" or resolved.policy.label_conflicts == "drop"
        ),
        _drop_duplicates,
    ),
    Rule(
        "leaks from held-out splits",
        ("leaked", "group_leaked", "chained"),
        lambda resolved: (
            resolved.policy.leakage == "drop_from_held_out" and bool(resolved.splits.held_out)
        ),
        _drop_leaked,
    ),
    Rule(
        "witnesses of label conflicts",
        (),
        lambda resolved: resolved.policy.label_conflicts == "drop_all",
        _name_what_is_kept,
        closes_rows=False,
    ),
)
"""What leaks goes first, or is moved; then labels in conflict; then duplicates within train. What
leaked from held-out splits goes after them, so that its witness is a sample that is kept. Last the
witnesses are named that only now are known to be kept.
"""
