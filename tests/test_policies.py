"""Every policy against set algebra on random graphs, and the promises that hold under all of
them.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import graph
from dedup.config import Resolved, build, resolve
from dedup.errors import ConfigError, LimitError
from dedup.policy import judgements, rules, unreadable
from dedup.policy.keeping import keep_order
from dedup.reporting.summary import regroup, summary
from dedup.reporting.words import gone_with_every_match, shifted
from dedup.stages.chains import chains
from dedup.stages.decisions import decisions
from dedup.stages.leakage import leakage
from dedup.stages.pairs import pairs
from tests import naive, naive_policies
from tests.naive import Sample, World
from tests.naive_policies import Policy, conflict, same_group
from tests.test_graph_and_decisions import number, unverified, worlds

WHY = {
    rules.KEPT: "kept",
    rules.LEAK: "leak",
    rules.GROUP_LEAK: "group leak",
    rules.CHAIN: "chain",
    rules.CHAINED: "chained",
    rules.CONFLICT: "conflict",
    rules.CONFLICTS: "conflicts",
    rules.DUPLICATE: "duplicate",
    rules.LEAKED: "leaked",
    rules.GROUP_LEAKED: "group leaked",
    rules.MOVED: "moved",
    unreadable.KEPT: "written",
    unreadable.DROPPED: "not written",
}
POLICIES = [
    Policy(leakage, links, conflicts, duplicates)
    for leakage, links, conflicts, duplicates in itertools.product(
        ("drop_from_train", "drop_from_held_out", "report_only"),
        ("report", "drop"),
        ("report", "drop", "drop_all"),
        ("keep_best", "keep_by", "report_only"),
    )
    if links == "report" or leakage != "report_only"
]


@st.composite
def grouped_worlds(draw: st.DrawFn) -> World:
    """Worlds whose samples also have groups and a worth."""
    world = draw(worlds())
    group = (
        st.sampled_from(["g1", "g2", "g3", "g4", "g5", "g6"]) if draw(st.booleans()) else st.none()
    )
    worth = st.sampled_from([None, "1", "2.5", "10"])
    samples = tuple(
        replace(sample, group=draw(group), worth=draw(worth)) for sample in world.samples
    )
    return replace(world, samples=samples)


def settled(world: World, policy: Policy, **more: Any) -> Resolved:
    asked: dict[str, Any] = {
        "leakage": policy.leakage,
        "chains": policy.chains,
        "label_conflicts": policy.label_conflicts,
        "duplicates": policy.duplicates,
        "keep_by": "worth" if policy.duplicates == "keep_by" else None,
        "keep_order": "descending" if policy.descending else "ascending",
        **more,
    }
    config = build(
        {"search": {"max_distance": 64}, "verify": {"min_similarity": 0.0}, "policy": asked}
    )
    resolved = resolve(config, [sample.split for sample in world.samples])
    return resolved.but(method="none", min_similarity=None) if unverified(world) else resolved


def found(
    world: World, policy: Policy, judged: judgements.Judged = judgements.NOT_JUDGED, **more: Any
) -> dict[str, Any]:
    resolved = settled(world, policy, **more)
    manifest, hashes = world.manifest(), world.hashes()
    accepted = pairs([world.candidates()], hashes, manifest, resolved, judged)
    matches = graph.from_pairs(accepted, len(world))
    tables = {
        "pairs": accepted,
        "leakage": leakage(matches, accepted, hashes, manifest, resolved.splits.held_out),
        "chains": chains(matches, manifest, resolved.splits.held_out),
        "decisions": decisions(matches, hashes, manifest, resolved, judged),
    }
    parts = (tables["pairs"], tables["leakage"], tables["chains"], tables["decisions"])
    said = summary(manifest, hashes, *parts, matches, resolved, skipped={})
    return {**tables, "summary": said, "resolved": resolved}


def as_decisions(rows: list[dict[str, Any]]) -> list[naive.Decision]:
    """The table in the oracle's words; a chain's end is any of those reached, so it is told as
    reached.
    """
    return [
        naive.Decision(
            row["action"],
            WHY[row["reason"]],
            number(row["witness_id"]),
            row["distance"],
            row["similarity"],
        )
        for row in rows
    ]


def without_ends(decided: list[naive.Decision]) -> list[naive.Decision]:
    return [
        replace(one, witness=None) if one.why in {"chain", "chained"} else one for one in decided
    ]


@pytest.mark.parametrize(
    "policy", POLICIES, ids=lambda p: f"{p.leakage}-{p.chains}-{p.label_conflicts}-{p.duplicates}"
)
@settings(max_examples=15)
@given(world=grouped_worlds(), data=st.data())
def test_decisions(policy: Policy, world: World, data: st.DataObject) -> None:
    """Action, reason, witness, distance and similarity of every sample are those of the
    definition.
    """
    preferred = tuple(data.draw(st.lists(st.integers(0, len(world) - 1), unique=True, max_size=3)))
    policy = replace(policy, preferred=preferred, descending=data.draw(st.booleans()))
    expected = naive_policies.decide(world, world.held_out(), policy)
    rows = found(world, policy, judgements.Judged(preferred=preferred))["decisions"].to_pylist()

    assert without_ends(expected) == without_ends(as_decisions(rows))
    for i, row in enumerate(rows):
        partner = (
            naive_policies.contradictor(world, i) if row["reason"] == rules.CONFLICTS else None
        )
        assert partner == number(row["conflict_id"])
        witness = number(row["witness_id"])
        assert (None if witness is None else expected[witness].action == "keep") == row[
            "witness_kept"
        ]


@pytest.mark.parametrize(
    "policy", POLICIES, ids=lambda p: f"{p.leakage}-{p.chains}-{p.label_conflicts}-{p.duplicates}"
)
@settings(max_examples=15)
@given(world=grouped_worlds())
def test_promises(policy: Policy, world: World) -> None:
    """Every drop names a witness that is kept, nothing promised away is left, held-out samples go
    only when asked.

    Only `drop_all` can name one that goes too: where none of the matches is kept, one of another
    label.
    """
    result = found(world, policy)
    rows = result["decisions"].to_pylist()
    kept = {i for i, row in enumerate(rows) if row["action"] == "keep"}
    written = kept | {i for i, row in enumerate(rows) if row["reason"] in unreadable.STAY}
    outside = {i for i in world.readable() if world.samples[i].split in world.held_out()}
    train = kept - outside
    for i, row in enumerate(rows):
        if row["action"] == "drop" or row["reason"] == rules.GROUP_LEAKED:
            witness = number(row["witness_id"])
            assert witness is not None
            assert row["witness_split"] == world.samples[witness].split
            assert row["witness_kept"] == (witness in written)
            if not row["witness_kept"]:
                assert policy.label_conflicts == "drop_all"
                assert row["reason"] == rules.CONFLICTS
                assert conflict(world, i, witness)
                assert row["witness_id"] == row["conflict_id"]
                assert not [j for j in kept if world.match(i, j)]
            if row["reason"] in {rules.GROUP_LEAK, rules.GROUP_LEAKED}:
                assert same_group(world, i, witness)
            elif row["reason"] not in {rules.CHAIN, rules.CHAINED}:
                assert world.match(i, witness)
        else:
            assert (
                row["witness_id"]
                is row["conflict_id"]
                is row["distance"]
                is row["similarity"]
                is None
            )
            assert row["witness_kept"] is None
        assert row["new_split"] is None
    if policy.leakage != "report_only":
        assert not naive_policies.crossing(
            world, {i: world.samples[i].split for i in kept}, world.held_out()
        )
    if policy.leakage != "drop_from_held_out":
        assert outside <= kept
    if policy.chains == "drop":
        together = naive.components(len(world), naive_policies.edges(world, world.readable()))
        assert not [c for c in together if c & train and c & outside & kept]
    if policy.label_conflicts != "report":
        assert not [(i, j) for i in train for j in train if conflict(world, i, j)]
    if policy.label_conflicts == "drop_all":
        assert not [i for i in train if any(conflict(world, i, j) for j in world.readable())]
    said = result["summary"]
    assert said["decisions"]["witness_dropped"] == sum(
        row["action"] == "drop" and number(row["witness_id"]) not in written for row in rows
    )
    assert len(world) == sum(
        said["decisions"][action] for action in ("keep", "move", "drop", "unreadable")
    )
    for name, of in said["splits"].items():
        assert of["images"] == of["keep"] + of["move"] + of["drop"] + of["unreadable"], name


@pytest.mark.parametrize(
    "policy", POLICIES, ids=lambda p: f"{p.leakage}-{p.chains}-{p.label_conflicts}-{p.duplicates}"
)
@settings(max_examples=10)
@given(world=grouped_worlds())
def test_reasons_are_those_of_rules_that_apply(policy: Policy, world: World) -> None:
    """A sample is dropped for a reason that a rule which applies has among its codes, and every
    code has one text.
    """
    result = found(world, policy)
    applying = [rule for rule in rules.RULES if rule.applies(result["resolved"])]
    codes = {code for rule in applying for code in rule.reasons}
    rows = result["decisions"].to_pylist()
    reasons = {row["reason"] for row in rows if row["action"] == "drop"}

    assert reasons <= {rules.REASONS[code] for code in codes}
    assert len(rules.REASONS) == len(set(rules.REASONS.values()))


def test_what_looks_alike_comes_before_what_shares_a_group() -> None:
    """A train sample's leaks are listed by what they look like first, whatever the witness's id."""
    grouped, copy = Sample("test", 9, group="g"), Sample("test", 5)
    world = World((grouped, copy, Sample("train", 5, group="g")), {}, {5: 1, 9: 1})
    rows = found(world, POLICIES[0])["leakage"].to_pylist()

    assert [("id000001", "bytes"), ("id000000", "group")] == [
        (row["witness_id"], row["kind"]) for row in rows
    ]


def test_two_labels_of_which_both_go() -> None:
    """Two train copies with two labels and no other: each names the other, its similarity, and that
    it goes too.
    """
    world = World(
        (
            Sample("train", 0, label="cat"),
            Sample("train", 1, label="dog"),
            Sample("test", 2, label="cat"),
        ),
        {(0, 1): (3, 5, 0.9375)},
        {0: 100, 1: 100, 2: 100},
    )
    result = found(world, Policy(label_conflicts="drop_all"))
    rows = result["decisions"].to_pylist()

    assert [1, 0, None] == [number(row["witness_id"]) for row in rows]
    assert [False, False, None] == [row["witness_kept"] for row in rows]
    assert [(3, 0.9375)] * 2 == [(row["distance"], row["similarity"]) for row in rows[:2]]
    assert gone_with_every_match(result["summary"]).startswith(
        "2 samples are dropped with every match of theirs"
    )
    assert gone_with_every_match(found(world, Policy())["summary"]) == ""


@settings(max_examples=150)
@given(
    world=grouped_worlds(),
    conflicts=st.sampled_from(["report", "drop", "drop_all"]),
    links=st.sampled_from(["report", "drop"]),
)
def test_regroup(world: World, conflicts: str, links: str) -> None:
    """What belongs together lies in one of the splits it was in; nothing else moves; nothing
    crosses; counts add up.
    """
    held_out = world.held_out()
    policy = Policy("regroup", links, conflicts)
    try:
        result = found(world, policy, max_moved=None)
    except LimitError as error:
        assert "nothing would be left" in str(error)  # noqa: PT017
        return
    rows = result["decisions"].to_pylist()
    now = {
        i: row["new_split"] or world.samples[i].split
        for i, row in enumerate(rows)
        if row["action"] in {"keep", "move"}
    }
    together = list(naive_policies.straddling(world, held_out))

    assert not naive_policies.crossing(world, now, held_out)
    for members in together:
        left = {now[i] for i in members if i in now}
        assert len(left) <= 1
        assert left <= {world.samples[i].split for i in members}
    moved = {i for i, row in enumerate(rows) if row["action"] == "move"}
    assert moved <= set().union(*together)
    assert all(world.samples[i].split != rows[i]["new_split"] for i in moved)
    for i, row in enumerate(rows):
        witness = number(row["witness_id"])
        assert row["action"] != "drop" or witness is not None
        if witness is None:
            assert row["witness_kept"] is None
            continue
        stays = witness in now or rows[witness]["reason"] in unreadable.STAY
        assert row["witness_kept"] == stays
        if row["reason"] == rules.GROUP_LEAK:
            assert same_group(world, i, witness)
        else:
            assert world.match(i, witness)
        if row["witness_kept"] is False:
            assert conflicts == "drop_all"
            assert row["reason"] == rules.CONFLICTS
            assert row["witness_id"] == row["conflict_id"]
            assert not [j for j in now if world.match(i, j)]
    said = result["summary"]["regroup"]
    for name, of in said.items():
        assert (
            of["after"]
            == of["before"] - of["moved_out"] + of["moved_in"] - of["dropped"] - of["unreadable"]
        ), name
        assert of["after"] == sum((split or "(no split)") == name for split in now.values())
    assert (
        sum(of["moved_in"] for of in said.values())
        == sum(of["moved_out"] for of in said.values())
        == len(moved)
    )


def pairs_in_both(n_train: int, n_test: int, n_shared: int) -> World:
    """Pictures of which the first are in train and in test, all others once."""
    samples = [
        Sample("test" if i < n_test else "train", i if i < n_test else i - n_test)
        for i in range(n_test)
    ]
    samples += [Sample("train", i if i < n_shared else n_test + i) for i in range(n_train)]
    return World(tuple(samples), {}, dict.fromkeys(range(n_test + n_train), 100))


def test_regroup_does_not_drain_the_test_split() -> None:
    """Ten shared pictures of 200 and 40: both splits keep their sizes, as half of the pictures goes
    each way.
    """
    world = pairs_in_both(200, 40, 10)
    result = found(world, Policy("regroup", duplicates="report_only"))
    said = result["summary"]["regroup"]

    assert {"train": 200, "test": 40} == {name: of["after"] for name, of in said.items()}
    assert {"train": 5, "test": 5} == {name: of["moved_in"] for name, of in said.items()}


def test_regroup_keeps_labels_in_balance() -> None:
    """Cats and dogs that straddle do not all go to one side."""
    labels = ["cat", "dog"]
    samples = tuple(
        Sample(split, picture, label=labels[picture % 2])
        for split in ("test", "train")
        for picture in range(40)
    ) + tuple(Sample("train", 40 + i, label=labels[i % 2]) for i in range(40))
    world = World(samples, {}, dict.fromkeys(range(80), 100))
    result = found(world, Policy("regroup", duplicates="report_only"), max_moved=0.5)

    assert all(of["label_shift"] == 0 for of in result["summary"]["regroup"].values())


@given(grouped_worlds())
def test_label_balance_of_a_regroup(world: World) -> None:
    """Before and after are counts of what the tables say; those labels are named whose share
    changed most.
    """
    try:
        result = found(world, Policy("regroup"), max_moved=1.0)
    except LimitError:  # a split would be emptied
        return
    rows = result["decisions"].to_pylist()
    for split, said in result["summary"]["regroup"].items():
        inside = [
            (s, r)
            for s, r in zip(world.samples, rows, strict=True)
            if (s.split or "(no split)") == split
        ]
        before = Counter(s.label for s, _ in inside)
        after = Counter(s.label for s, r in inside if r["action"] == "keep")
        after += Counter(
            s.label for s, r in zip(world.samples, rows, strict=True) if r["new_split"] == split
        )
        shift = {
            label: abs(
                before[label] / max(before.total(), 1) - after[label] / max(after.total(), 1)
            )
            for label in {*before, *after}
        }
        named = [of["label"] for of in said["labels"]]

        assert {label for label in shift if shift[label] > 0} == {*named}
        assert sorted((shift[label] for label in named), reverse=True) == [
            shift[label] for label in named
        ]
        assert [(before[label], after[label]) for label in named] == [
            (of["before"], of["after"]) for of in said["labels"]
        ]
        assert said["label_shift"] == pytest.approx(sum(shift.values()) / 2, abs=1e-6)
        assert all(str(label or "(no label)") in shifted(said) for label in named[:5])


@pytest.mark.parametrize(
    ("shared", "limit", "problem"), [(10, 0.1, "'test'"), (40, 1.0, None), (10, 0.13, None)]
)
def test_regroup_stops_at_its_limit(shared: int, limit: float, problem: str | None) -> None:
    """5 of 40 leave test: 12.5 %. A lower limit refuses it and names the split, its size and the
    limit.
    """
    world = pairs_in_both(200, 40, shared)
    policy = Policy("regroup", duplicates="report_only")
    if problem is None:
        found(world, policy, max_moved=limit)
        return
    with pytest.raises(LimitError, match=r"policy\.max_moved allows 10\.0 %") as raised:
        found(world, policy, max_moved=limit)

    assert "5 of the 40 samples of 'test' (12.5 %)" in str(raised.value)


def test_regroup_that_would_empty_a_split_is_refused() -> None:
    """One component holds all of test and most of train: test cannot stay, and that is said."""
    samples = (
        Sample("test", 0),
        *(Sample("train", 0, group="g") for _ in range(50)),
        Sample("train", 1),
    )
    world = World(samples, {}, {0: 100, 1: 100})
    policy = Policy("regroup", duplicates="report_only")
    with pytest.raises(LimitError, match=r"nothing would be left of the split 'test'"):
        found(world, policy, max_moved=None)


@given(worlds())
def test_chains(world: World) -> None:
    """A row for each sample two pairs or more from the other side, with a way that is as short as
    can be.
    """
    held_out = world.held_out()
    both = [
        naive_policies.hops(world, held_out, to_train=to_train) if held_out else {}
        for to_train in (False, True)
    ]
    expected = {i: n for level in both for i, n in level.items() if n > 1}
    result = found(world, Policy())
    rows = result["chains"].to_pylist()
    paths = {number(row["id"]): [number(name) or 0 for name in row["path"]] for row in rows}

    assert expected == {number(row["id"]): row["hops"] for row in rows}
    for row in rows:
        path = paths[number(row["id"])]
        assert path[0] == number(row["id"])
        assert path[-1] == number(row["witness_id"])
        assert row["hops"] == len(path) - 1
        matches = [world.match(a, b) for a, b in itertools.pairwise(path)]
        assert all(matches)
        known = [match.similarity for match in matches if match is not None]
        assert row["similarity"] == (
            None if None in known else min(one for one in known if one is not None)
        )
        own = world.samples[path[0]].split in held_out
        assert [world.samples[i].split in held_out for i in path] == [own] * row["hops"] + [not own]
    of_train = [row for row in rows if row["split"] not in held_out]
    assert len(of_train) == result["summary"]["chained_train_images"]
    assert len(rows) - len(of_train) == result["summary"]["chained_held_out_images"]


def test_a_long_chain_names_its_beginning_and_its_end() -> None:
    """Of 30 samples in a row 8 are named, and the held-out one."""
    near = {(i, i + 1): (1, 1, 0.9375) for i in range(30)}
    samples = (*(Sample("train", i) for i in range(30)), Sample("test", 30))
    rows = found(World(samples, near, dict.fromkeys(range(31), 100)), Policy())[
        "chains"
    ].to_pylist()

    assert list(range(30, 1, -1)) == [row["hops"] for row in rows]
    assert [*(f"id{i:06d}" for i in range(8)), "id000030"] == rows[0]["path"]
    assert ["id000028", "id000029", "id000030"] == rows[-1]["path"]


@pytest.mark.parametrize("leakage", ["regroup", "drop_from_held_out"])
def test_chains_to_a_reference_set(leakage: str) -> None:
    """Nothing leaves a reference set: the train sample that matches it goes and, with chains, the
    one before it too.
    """
    near = {(0, 1): (1, 1, 0.9375), (1, 2): (1, 1, 0.9375)}
    samples = (
        Sample("train", 0),
        Sample("train", 1),
        Sample("validation", 2),
        Sample("test", 3),
        Sample("train", 4),
    )
    world = World(samples, near, dict.fromkeys(range(5), 100))
    for chained, left in (("report", [0, 2, 3, 4]), ("drop", [2, 3, 4])):
        resolved = settled(world, Policy(leakage, chained), max_moved=None).but(
            references=("validation",)
        )
        manifest, hashes = world.manifest(), world.hashes()
        matches = graph.from_pairs(
            pairs([world.candidates()], hashes, manifest, resolved), len(world)
        )
        rows = decisions(matches, hashes, manifest, resolved).to_pylist()

        assert left == [i for i, row in enumerate(rows) if row["action"] == "keep"]
        assert {row["witness_id"] for row in rows if row["action"] == "drop"} == {"id000002"}


def test_chains_through_identical_pictures_are_linear() -> None:
    """20,000 copies two pairs away from test: a row each, and no more."""
    n = 20_000
    samples = (Sample("test", 2), Sample("train", 1), *(Sample("train", 0) for _ in range(n)))
    world = World(
        samples, {(0, 1): (1, 1, 0.9375), (1, 2): (1, 1, 0.9375)}, dict.fromkeys(range(3), 64)
    )
    table = found(world, Policy(chains="drop"))

    assert n == len(table["chains"]) == table["summary"]["chained_train_images"]
    assert n == table["summary"]["decisions"]["by_reason"][rules.CHAIN]


def test_label_conflicts_among_identical_pictures_are_linear() -> None:
    """40,000 blanks under 20,000 labels: one stays, or none."""
    n = 40_000
    samples = tuple(Sample("train", 0, label=str(i % (n // 2))) for i in range(n))
    world = World(samples, {}, {0: 64})
    for rule, left in (("drop", 2), ("drop_all", 0)):
        table = found(world, Policy(label_conflicts=rule, duplicates="report_only"))["decisions"]
        assert table["action"].to_pylist().count("keep") == left


@given(grouped_worlds())
def test_group_leaks(world: World) -> None:
    """A row of kind `group` for each readable train sample whose group is held out, the lowest as
    its witness.
    """
    held_out = world.held_out()
    outside = [j for j in sorted(world.readable()) if world.samples[j].split in held_out]
    expected = []
    for i in sorted(world.readable() - set(outside)):
        together = [j for j in outside if same_group(world, i, j)]
        if together:
            expected.append((i, together[0]))
    result = found(world, Policy())
    rows = result["leakage"].to_pylist()

    assert expected == [
        (number(r["id"]), number(r["witness_id"])) for r in rows if r["kind"] == "group"
    ]
    assert naive.leak_rows(world, held_out) == [
        (number(r["id"]), number(r["witness_id"]), r["kind"], r["distance"], r["similarity"])
        for r in rows
        if r["kind"] != "group"
    ]
    if result["summary"]["group_leakage"] is not None:
        train = world.readable() - set(outside)
        for name, of in result["summary"]["group_leakage"].items():
            inside = [j for j in outside if world.samples[j].split == name]
            assert of["leaking"] == sum(any(same_group(world, i, j) for i in train) for j in inside)


@given(worlds(), st.data())
def test_lists(world: World, data: st.DataObject) -> None:
    """Pairs that people allow are gone, pairs that they list are there: as if the pictures had been
    so.
    """
    n = len(world)
    pair = st.frozensets(st.integers(0, n - 1), min_size=2, max_size=2)
    chosen = data.draw(st.lists(pair, unique=True, max_size=6)) if n > 1 else []
    cut = data.draw(st.integers(0, len(chosen)))

    def shown(those: list[frozenset[int]]) -> set[frozenset[int]]:
        pictures = [[world.samples[i].picture for i in two] for two in those]
        return {frozenset(p for p in two if p is not None) for two in pictures if None not in two}

    allowed, denied = shown(chosen[:cut]), shown(chosen[cut:])

    def entry(two: Iterable[int]) -> judgements.Entry:
        first, second = (f"id{i:06d}" for i in sorted(two))
        return judgements.Entry((first, second), "here")

    said = judgements.Lists(tuple(map(entry, chosen[:cut])), tuple(map(entry, chosen[cut:])))
    if any(len(two) < 2 for two in allowed) or allowed & denied:
        with pytest.raises(ConfigError, match=r"same pixels|same two pictures"):
            judgements.judge(said, world.manifest(), world.hashes())
        return
    judged = judgements.judge(said, world.manifest(), world.hashes())
    as_said = naive_policies.judged(world, allowed, {two for two in denied if len(two) == 2})
    policy = Policy(duplicates="keep_first")
    got = found(world, policy, judged)
    expected = naive.pair_rows(as_said)

    assert [(i, j) for i, j, *_ in expected] == list(
        zip(got["pairs"]["a"].to_pylist(), got["pairs"]["b"].to_pylist(), strict=True)
    )
    kinds = {row["kind"] for row in got["pairs"].to_pylist()}
    assert kinds <= {"bytes", "pixels", "near", "listed"}
    rows = got["decisions"].to_pylist()
    assert [
        (one.action, one.why) for one in naive_policies.decide(as_said, world.held_out(), policy)
    ] == [(row["action"], WHY[row["reason"]]) for row in rows]


class TestListFiles:
    def read(self, tmp_path: Path, **texts: str) -> judgements.Lists:
        policy = {}
        for key, text in texts.items():
            (tmp_path / f"{key}.csv").write_text(text, encoding="utf-8")
            policy[key] = str(tmp_path / f"{key}.csv")
        return judgements.read_lists(build({"policy": policy}))

    def test_all_that_is_wrong_is_named(self, tmp_path: Path) -> None:
        """A pair with itself, one twice, an empty id, a pair on both lists: each with its file and
        row.
        """
        with pytest.raises(ConfigError) as raised:
            self.read(
                tmp_path,
                not_duplicates_list="id_a,id_b,note\na,b,looked at it\nc,c,\nb,a,\n,d,\n",
                duplicates_list="id_b,id_a\nx,y\na,b\n",
            )
        text = str(raised.value)

        assert "row 2: 'c' is paired with itself" in text
        assert "row 3: 'a' and 'b' stand there already, row 1" in text
        assert "row 4: id_a or id_b is empty" in text
        assert (
            "duplicates_list.csv, row 2: 'a' and 'b' are said to be duplicates,"
            " and at policy.not_duplicates_list" in text
        )
        assert len(raised.value.problems) == 4

    @pytest.mark.parametrize(
        ("text", "problem"), [("a,b\n1,2\n", "no column 'id_a'"), ("", r"no column 'id_a'.*empty")]
    )
    def test_a_header_is_asked_for(self, tmp_path: Path, text: str, problem: str) -> None:
        """Without a header the message says which line is missing."""
        with pytest.raises(ConfigError, match=problem):
            self.read(tmp_path, duplicates_list=text)

    def test_a_list_that_is_not_there(self) -> None:
        """A slip in the name of the file is told as such."""
        with pytest.raises(
            ConfigError, match=r"policy.prefer_list: 'nowhere.csv' cannot be read: No such file"
        ):
            judgements.read_lists(build({"policy": {"prefer_list": "nowhere.csv"}}))

    def test_unknown_ids(self, tmp_path: Path) -> None:
        """Ids that the dataset does not have are named with their rows."""
        world = World((Sample("train", 0), Sample("test", 1)), {}, {0: 1, 1: 1})
        said = self.read(
            tmp_path, not_duplicates_list="id_a,id_b\nid000000,gone\n", prefer_list="id\nnobody\n"
        )
        with pytest.raises(ConfigError) as raised:
            judgements.places(said, world.manifest())

        assert "not_duplicates_list.csv, row 1: the dataset has no sample 'gone'" in str(
            raised.value
        )
        assert "prefer_list.csv, row 1: the dataset has no sample 'nobody'" in str(raised.value)

    def test_digests(self, tmp_path: Path) -> None:
        """Order, direction and notes of pairs do not count; what they say does."""
        one = self.read(tmp_path, not_duplicates_list="id_a,id_b\na,b\nc,d\n").digests()
        other = self.read(tmp_path, not_duplicates_list="note,id_b,id_a\nyes,c,d\n,a,b\n").digests()
        third = self.read(tmp_path, not_duplicates_list="id_a,id_b\na,b\n").digests()

        assert one == other
        assert one != third
        assert {} == self.read(tmp_path, not_duplicates_list="id_a,id_b\n").digests()


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_components(n: int, drawn: list[tuple[int, int]]) -> None:
    """Each node's component is named by its lowest node."""
    edges = [(a % n, b % n) for a, b in drawn]
    expected = {
        node: min(component) for component in naive.components(n, edges) for node in component
    }
    a, b = (np.array([edge[side] for edge in edges], dtype=np.int64) for side in (0, 1))

    assert [expected[node] for node in range(n)] == graph.components(n, a, b).tolist()


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"duplicates": "keep_by"}, "keep_by names no column"),
        ({"keep_by": "score"}, "set duplicates: keep_by"),
        (
            {"chains": "drop", "leakage": "report_only"},
            "chains: drop does not go with leakage: report_only",
        ),
    ],
)
def test_policies_that_do_not_fit_together(policy: dict[str, str], problem: str) -> None:
    """Half a request is an error, not a guess."""
    with pytest.raises(ConfigError, match=problem):
        build({"policy": policy})


@given(grouped_worlds())
def test_the_order_of_kept_samples(world: World) -> None:
    """By worth the highest or lowest first, samples without one last; ties by quality."""
    for descending in (True, False):
        policy = Policy(duplicates="keep_by", descending=descending)
        order = "descending" if descending else "ascending"

        manifest, hashes = world.manifest(), world.hashes()
        matches = graph.from_pairs(found(world, policy)["pairs"], len(world))
        every = np.ones(len(world), dtype=bool)
        got = keep_order(matches.class_of, hashes, manifest, "keep_by", order, among=every)
        assert naive_policies.keep_order(world, policy) == got.tolist()


def test_the_summary_of_a_regroup_is_pure() -> None:
    """The counts follow from the tables alone."""
    world = pairs_in_both(20, 4, 2)
    result = found(world, Policy("regroup"), max_moved=1.0)
    manifest = world.manifest()
    in_split = {
        name: np.array([sample.split == name for sample in world.samples], dtype=bool)
        for name in ("train", "test")
    }

    assert regroup(manifest, result["decisions"], in_split) == result["summary"]["regroup"]
