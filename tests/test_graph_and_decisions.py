"""Pairs, groups, leakage and decisions against set algebra on random graphs."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import graph
from dedup.config import Resolved, build, resolve
from dedup.policy import unreadable
from dedup.policy.rules import DUPLICATE, KEPT, LEAK, LEAKED
from dedup.reporting.summary import summary
from dedup.stages.chains import chains
from dedup.stages.decisions import decisions, kept
from dedup.stages.groups import groups
from dedup.stages.leakage import leakage
from dedup.stages.pairs import pairs
from tests import naive
from tests.naive import Sample, World

REASONS = {
    "kept": KEPT,
    "leak": LEAK,
    "duplicate": DUPLICATE,
    "leaked": LEAKED,
    "written": unreadable.KEPT,
    "not written": unreadable.DROPPED,
}
POLICIES = list(
    itertools.product(
        ("drop_from_train", "drop_from_held_out", "report_only"),
        ("keep_best", "keep_first", "report_only"),
        ("drop_from_train", "drop", "keep"),
    )
)


def settled(world: World, policy: tuple[str, str, str] = POLICIES[0]) -> Resolved:
    """Settings that accept every candidate of the world."""
    config = build(
        {
            "search": {"max_distance": 64},
            "verify": {"min_similarity": 0.0},
            "policy": dict(zip(("leakage", "duplicates", "unreadable"), policy, strict=True)),
        }
    )
    return resolve(config, [sample.split for sample in world.samples])


def unverified(world: World) -> bool:
    return any(similarity is None for _, _, similarity in world.near.values())


def found(world: World, policy: tuple[str, str, str] = POLICIES[0]) -> dict[str, pa.Table]:
    """All tables after the candidates; without verification where the world has none."""
    resolved = settled(world, policy)
    if unverified(world):
        resolved = resolved.but(method="none", min_similarity=None)
    manifest, hashes = world.manifest(), world.hashes()
    accepted = pairs([world.candidates()], hashes, manifest, resolved)
    matches = graph.from_pairs(accepted, len(world))
    return {
        "pairs": accepted,
        "groups": groups(matches, hashes, manifest, resolved.splits.held_out),
        "leakage": leakage(matches, accepted, hashes, manifest, resolved.splits.held_out),
        "chains": chains(matches, manifest, resolved.splits.held_out),
        "decisions": decisions(matches, hashes, manifest, resolved),
    }


def number(name: str | None) -> int | None:
    """The sample of an id."""
    return None if name is None else int(name.removeprefix("id"))


def as_decisions(table: pa.Table) -> list[naive.Decision]:
    """The table in the oracle's words."""
    why = {reason: word for word, reason in REASONS.items()}
    return [
        naive.Decision(
            row["action"],
            why[row["reason"]],
            number(row["witness_id"]),
            row["distance"],
            row["similarity"],
        )
        for row in table.to_pylist()
    ]


def as_groups(table: pa.Table) -> list[tuple[Any, ...]]:
    return [
        (row["group"], row["sample"], row["keeper"], row["distance"], row["similarity"])
        for row in table.to_pylist()
    ]


def as_leaks(table: pa.Table) -> list[tuple[Any, ...]]:
    return [
        (
            number(row["id"]),
            number(row["witness_id"]),
            row["kind"],
            row["distance"],
            row["similarity"],
        )
        for row in table.to_pylist()
    ]


def as_pairs(table: pa.Table) -> list[tuple[Any, ...]]:
    return [
        (
            row["a"],
            row["b"],
            row["kind"],
            (row["distance_dhash"], row["distance_phash"]),
            row["similarity"],
        )
        for row in table.to_pylist()
    ]


@st.composite
def worlds(draw: st.DrawFn, max_samples: int = 11) -> World:
    """Few pictures for many samples, few values of everything: classes, ties and chains are the
    rule.
    """
    n_pictures = draw(st.integers(1, 5))
    splits: st.SearchStrategy[str | None] = draw(
        st.sampled_from(
            [
                st.sampled_from(["train", "test", "validation"]),
                *[st.sampled_from(["train", "test"])] * 3,
                st.just("train"),
                st.just(None),
                st.sampled_from(["fold1", "fold2"]),
            ]
        )
    )
    sample = st.builds(
        Sample,
        split=splits,
        picture=st.integers(0, 3 * n_pictures).map(lambda k: k % n_pictures if k else None),
        file=st.integers(0, 1),
        compression=st.sampled_from([None, 1.0, 4.0]),
        label=st.sampled_from([None, "cat", "dog"]),
    )
    n_samples = draw(st.integers(1, max_samples))
    samples = draw(st.lists(sample, min_size=n_samples, max_size=n_samples))
    verified = draw(st.booleans())
    similarity = st.sampled_from([0.90625, 0.9375, 1.0]) if verified else st.none()
    near: dict[tuple[int, int], tuple[int, int, float | None]] = {}
    for pair in itertools.combinations(range(n_pictures), 2):
        if draw(st.integers(0, 2)) == 0:
            near[pair] = (draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(similarity))
    area = {picture: draw(st.sampled_from([100, 400])) for picture in range(n_pictures)}
    return World(tuple(samples), near, area)


@given(worlds())
def test_pairs_of_classes_and_representatives(world: World) -> None:
    """A class of k identical pictures gives k - 1 rows, all other pairs are between
    representatives, sorted, once.
    """
    expected = naive.pair_rows(world)
    got = as_pairs(found(world)["pairs"])

    assert expected == got


def test_the_lowest_held_out_sample_is_the_witness() -> None:
    """Of the held-out members of a class the lowest stands in leakage, also where the match is
    near.
    """
    world = World(
        (
            Sample("test", 1),
            Sample("train", 0),
            Sample("test", 0),
            Sample("test", 0),
            Sample("test", 1),
        ),
        {(0, 1): (3, 3, 0.9375)},
        {0: 100, 1: 100},
    )

    assert [(1, 0, "near", 3, 0.9375), (1, 2, "bytes", 0, 1.0)] == as_leaks(found(world)["leakage"])


@given(worlds())
def test_leakage_rows(world: World) -> None:
    """One row for each train sample and held-out class that it matches, with the lowest held-out
    witness.
    """
    expected = naive.leak_rows(world, world.held_out())
    got = as_leaks(found(world)["leakage"])

    assert expected == got


@given(worlds())
def test_groups_around_a_keeper(world: World) -> None:
    """Groups are a leader cover: held-out samples first, then quality; every member is matched to
    its keeper.
    """
    expected = naive.group_rows(world, world.held_out())
    got = as_groups(found(world)["groups"])

    assert expected == got


@given(worlds())
def test_groups_are_disjoint_and_have_one_keeper(world: World) -> None:
    """Each sample is in at most one group, each group has one keeper and two samples or more."""
    rows = found(world)["groups"].to_pylist()
    samples = [row["sample"] for row in rows]

    assert len(set(samples)) == len(samples)
    for _, those in itertools.groupby(rows, key=lambda row: row["group"]):
        members = list(those)
        assert [True] + [False] * (len(members) - 1) == [row["keeper"] for row in members]
        assert len(members) >= 2
        assert all(world.match(members[0]["sample"], row["sample"]) for row in members[1:])


@given(worlds())
def test_no_group_crosses_components(world: World) -> None:
    """What a group holds is connected by pairs."""
    edges = [(i, j) for i in range(len(world)) for j in range(i) if world.match(i, j)]
    together = naive.components(len(world), edges)
    for _, rows in itertools.groupby(
        found(world)["groups"].to_pylist(), key=lambda row: row["group"]
    ):
        members = {row["sample"] for row in rows}

        assert any(members <= component for component in together)


@pytest.mark.parametrize("policy", POLICIES, ids="-".join)
@settings(max_examples=20)
@given(world=worlds())
def test_decisions_of_every_policy(policy: tuple[str, str, str], world: World) -> None:
    """Action, reason, witness, distance and similarity of every sample are those of the
    definition.
    """
    expected = naive.decide(world, world.held_out(), *policy)
    got = as_decisions(found(world, policy)["decisions"])

    assert expected == got


@pytest.mark.parametrize("policy", POLICIES, ids="-".join)
@settings(max_examples=10)
@given(world=worlds())
def test_promises_of_every_policy(policy: tuple[str, str, str], world: World) -> None:
    """No drop without a kept, directly matched witness; no leak left; counts conserved; held-out
    untouched.
    """
    table = found(world, policy)["decisions"]
    rows = table.to_pylist()
    outside = {i for i, sample in enumerate(world.samples) if sample.split in world.held_out()}

    assert (
        len(world)
        == len(rows)
        == sum(row["action"] in {"keep", "drop", "unreadable"} for row in rows)
    )
    assert world.readable() == {i for i, row in enumerate(rows) if row["action"] != "unreadable"}
    for i, row in enumerate(rows):
        if row["action"] == "drop":
            witness = number(row["witness_id"])
            assert witness is not None
            assert world.match(i, witness) is not None
            assert rows[witness]["action"] == "keep"
            assert row["witness_kept"]
        else:
            assert (
                row["witness_id"]
                is row["witness_split"]
                is row["distance"]
                is row["similarity"]
                is None
            )
    if policy[0] != "report_only":
        left = {i for i, row in enumerate(rows) if row["action"] == "keep"}
        assert not [(i, j) for i in left - outside for j in left & outside if world.match(i, j)]
    if policy[0] != "drop_from_held_out":
        assert all(rows[i]["action"] != "drop" for i in outside)
    if policy[1] != "report_only":
        left = {i for i, row in enumerate(rows) if row["action"] == "keep"} - outside
        assert not [(i, j) for i in left for j in left if world.match(i, j)]
    written = [row["action"] == "keep" or row["reason"] == unreadable.KEPT for row in rows]
    assert written == kept(table).tolist()


def test_the_example_of_the_design() -> None:
    """A and B in train, T in test, A~B, B~T, not A~T: B goes because of T and A stays."""
    world = World(
        (Sample("train", 0), Sample("train", 1), Sample("test", 2)),
        {(0, 1): (2, 2, 0.96875), (1, 2): (4, 4, 0.9375)},
        {0: 100, 1: 900, 2: 100},
    )
    expected = [
        naive.Decision("keep", "kept"),
        naive.Decision("drop", "leak", 2, 4, 0.9375),
        naive.Decision("keep", "kept"),
    ]
    got = as_decisions(found(world)["decisions"])

    assert expected == got


def test_the_example_of_the_design_from_the_other_side() -> None:
    """With drop_from_held_out B stays as the better of A and B, and T goes because of B."""
    world = World(
        (Sample("train", 0), Sample("train", 1), Sample("test", 2)),
        {(0, 1): (2, 2, 0.96875), (1, 2): (4, 4, 0.9375)},
        {0: 100, 1: 900, 2: 100},
    )
    expected = [
        naive.Decision("drop", "duplicate", 1, 2, 0.96875),
        naive.Decision("keep", "kept"),
        naive.Decision("drop", "leaked", 1, 4, 0.9375),
    ]
    got = as_decisions(found(world, ("drop_from_held_out", "keep_best", "drop"))["decisions"])

    assert expected == got


@pytest.mark.parametrize(
    ("near", "witness"),
    [
        ({(0, 1): (1, 9, 0.9375), (0, 2): (8, 8, 0.96875)}, 2),  # the more similar, though further
        ({(0, 1): (5, 9, 0.9375), (0, 2): (9, 4, 0.9375)}, 2),  # as similar: the nearer
        ({(0, 1): (5, 9, 0.9375), (0, 2): (5, 9, 0.9375)}, 1),  # as near: the lowest sample
    ],
)
def test_the_witness_is_the_most_similar(near: dict[tuple[int, int], Any], witness: int) -> None:
    """Of several held-out matches the most similar is named, then the nearest, then the lowest
    sample.
    """
    world = World(
        (Sample("train", 0), Sample("test", 1), Sample("test", 2)),
        near,
        dict.fromkeys(range(3), 100),
    )

    assert witness == as_decisions(found(world)["decisions"])[0].witness


def test_an_identical_witness_comes_first() -> None:
    """An identical held-out picture is the witness even if a near one has similarity 1 and a lower
    sample.
    """
    world = World(
        (Sample("train", 0), Sample("test", 1), Sample("test", 0)),
        {(0, 1): (0, 0, 1.0)},
        {0: 100, 1: 100},
    )

    assert as_decisions(found(world)["decisions"])[0].witness == 2


@pytest.mark.parametrize(
    ("samples", "area", "best"),
    [
        (
            (Sample("train", 0, compression=1.0), Sample("train", 1, compression=9.0)),
            {0: 100, 1: 101},
            1,
        ),
        (
            (Sample("train", 0, compression=9.0), Sample("train", 1, compression=1.0)),
            {0: 100, 1: 100},
            1,
        ),
        (
            (Sample("train", 0, compression=4.0), Sample("train", 1, compression=4.0)),
            {0: 100, 1: 100},
            0,
        ),
        (
            (Sample("train", 0, compression=None), Sample("train", 1, compression=60.0)),
            {0: 100, 1: 100},
            1,
        ),
    ],
    ids=["more pixels", "less compression", "lower id", "unknown compression is worst"],
)
def test_the_better_picture_is_kept(
    samples: tuple[Sample, ...], area: dict[int, int], best: int
) -> None:
    """Of two near copies in train the one with more pixels stays, then the less compressed, then
    the lower id.
    """
    world = World(samples, {(0, 1): (3, 3, 0.9375)}, area)
    rows = as_decisions(found(world)["decisions"])

    assert [i == best for i in range(2)] == [row.action == "keep" for row in rows]


def test_a_jpeg_saved_again_as_png_is_no_better() -> None:
    """The compression of a class is that of its most compressed file: the copy saved as PNG gains
    nothing by it.
    """
    samples = (
        Sample("train", 0, file=0, compression=1.0),  # the PNG made of the JPEG below
        Sample("train", 0, file=1, compression=12.0),
        Sample("train", 1, compression=6.0),  # another, better JPEG of the scene
    )
    world = World(samples, {(0, 1): (3, 3, 0.9375)}, {0: 100, 1: 100})
    rows = as_decisions(found(world)["decisions"])

    assert [2, 2, None] == [row.witness for row in rows]


def test_keep_first_goes_by_id() -> None:
    """keep_first keeps the lowest id, however bad the picture."""
    world = World(
        (Sample("train", 0), Sample("train", 1)), {(0, 1): (3, 3, 0.9375)}, {0: 100, 1: 900}
    )
    rows = as_decisions(found(world, ("drop_from_train", "keep_first", "drop"))["decisions"])

    assert [None, 0] == [row.witness for row in rows]


@given(worlds(), st.randoms(use_true_random=False))
def test_permuted_samples_permute_the_results(world: World, random: Any) -> None:
    """Numbering the samples otherwise gives the same pairs between pictures and the same leaking
    samples.
    """
    places = list(range(len(world)))
    random.shuffle(places)
    shuffled = replace(world, samples=tuple(world.samples[place] for place in places))

    def matched(table: pa.Table, names: list[int]) -> set[tuple[int | None, ...]]:
        rows = table.to_pylist()
        return {
            tuple(sorted((table_world[names[r["a"]]], table_world[names[r["b"]]]))) for r in rows
        }

    table_world = [sample.picture if sample.picture is not None else -1 for sample in world.samples]
    plain = list(range(len(world)))
    before, after = found(world), found(shuffled)

    assert matched(before["pairs"], plain) == matched(after["pairs"], places)
    leaking_before = {number(name) for name in before["leakage"]["id"].to_pylist()}
    leaking_after = {places[number(name) or 0] for name in after["leakage"]["id"].to_pylist()}
    assert leaking_before == leaking_after
    dropped_before = {
        i for i, row in enumerate(as_decisions(before["decisions"])) if row.why == "leak"
    }
    dropped_after = {
        places[i] for i, row in enumerate(as_decisions(after["decisions"])) if row.why == "leak"
    }
    assert dropped_before == dropped_after


@given(worlds(max_samples=8), st.data())
def test_a_copy_joins_its_group_and_changes_no_other(world: World, data: st.DataObject) -> None:
    """A copy of a sample, behind all others, is a member of its original's group; all other rows
    stay.
    """
    readable = sorted(world.readable())
    if not readable:
        return
    original = data.draw(st.sampled_from(readable))
    sample = world.samples[original]
    # A copy in a held-out split may rightly take over as keeper, and so may one whose class had no
    # known compression.
    copy = replace(sample, compression=None)
    before = as_groups(found(world)["groups"])
    after = as_groups(found(replace(world, samples=(*world.samples, copy)))["groups"])
    new = len(world)
    group_of = {row[1]: row[0] for row in after}
    keeper_before = {
        row[1]: next(k[1] for k in before if k[0] == row[0] and k[2]) for row in before
    }
    keeper_after = {row[1]: next(k[1] for k in after if k[0] == row[0] and k[2]) for row in after}

    assert group_of[new] == group_of[original]
    assert {
        **keeper_before,
        original: keeper_after[original],
        new: keeper_after[new],
    } == keeper_after
    assert keeper_after[original] == keeper_before.get(original, original)


@given(worlds(), st.integers(0, 3), st.booleans())
def test_a_larger_distance_only_adds_pairs(world: World, distance: int, every: bool) -> None:
    """Every pair within d bits is a pair within d + 1 bits."""
    combine = "all" if every else "any"
    manifest, hashes, candidates = world.manifest(), world.hashes(), world.candidates()

    def within(bits: int) -> set[tuple[int, int]]:
        resolved = settled(world).but(
            max_distance={"dhash": bits, "phash": bits}, combine=combine, min_similarity=None
        )
        table = pairs([candidates], hashes, manifest, resolved)
        return set(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True))

    assert within(distance) <= within(distance + 1)


@given(worlds(), st.data())
def test_best_witness_among_any_candidates(world: World, data: st.DataObject) -> None:
    """For every sample the best of its matches among some samples, itself left out."""
    readable = sorted(world.readable())
    chosen = data.draw(st.sets(st.sampled_from(readable))) if readable else set()
    accepted = found(world)["pairs"]
    is_chosen = np.array([i in chosen for i in range(len(world))], dtype=bool)
    got = graph.best_witnesses(graph.from_pairs(accepted, len(world)), is_chosen).sample.tolist()
    expected = []
    for i in range(len(world)):
        ranked = [(match.rank(), j) for j in chosen if (match := world.match(i, j)) is not None]
        expected.append(min(ranked)[1] if ranked else -1)

    assert expected == got


@given(worlds())
def test_the_matrix_counts_images(world: World) -> None:
    """Split by split, images that match another image of that split; the shares are of all images
    of the split.
    """
    resolved = settled(world)
    tables = found(world)
    matches = graph.from_pairs(tables["pairs"], len(world))
    manifest, hashes = world.manifest(), world.hashes()
    parts = (tables["pairs"], tables["leakage"], tables["chains"], tables["decisions"])
    got = summary(manifest, hashes, *parts, matches, resolved, skipped={})
    in_split = {
        split or "(no split)": {
            i for i, sample in enumerate(world.samples) if sample.split == split
        }
        for split in {sample.split for sample in world.samples}
    }
    expected = {
        row: {
            column: sum(any(world.match(i, j) for j in of_column) for i in of_row)
            for column, of_column in in_split.items()
        }
        for row, of_row in in_split.items()
    }

    assert expected == got["leakage_matrix"]
    for split in world.held_out():
        leaking = expected[split]["train"]
        images = len(in_split[split])
        assert {"images": images, "leaking": leaking, "share": leaking / images} == got["leakage"][
            split
        ]
    assert got["pairs"]["images"] == sum(
        any(world.match(i, j) for j in range(len(world))) for i in range(len(world))
    )
    held_out_twice = [
        i
        for split in world.held_out()
        for i in in_split[split]
        if any(
            world.match(i, j)
            for other in world.held_out()
            if other != split
            for j in in_split[other]
        )
    ]
    assert got["held_out_images_in_another_held_out_split"] == len(held_out_twice)


@given(worlds())
def test_quality_order(world: World) -> None:
    """More pixels, then less compression (the worst of a class), then the lower id."""
    hashes = world.hashes()
    classes = graph.representatives(hashes["pixel_digest"])

    assert naive.by_quality(world) == graph.quality_order(hashes, classes).tolist()


@given(worlds())
def test_label_conflicts(world: World) -> None:
    """A pair is a label conflict when both labels are known and differ."""
    tables = found(world)
    for row in tables["pairs"].to_pylist():
        a, b = world.samples[row["a"]].label, world.samples[row["b"]].label
        assert (a is not None and b is not None and a != b) == row["label_conflict"]
    for row in tables["leakage"].to_pylist():
        a, b = (world.samples[number(row[key]) or 0].label for key in ("id", "witness_id"))
        assert (a is not None and b is not None and a != b) == row["label_conflict"]


def test_the_work_on_identical_pictures_is_linear() -> None:
    """100,000 identical blanks, half in test: k - 1 pairs, one leakage row per train sample, one
    group.
    """
    n = 100_000
    samples = tuple(Sample("train" if i % 2 else "test", 0) for i in range(n))
    world = World(samples, {}, {0: 64})
    tables = found(world)

    assert n - 1 == len(tables["pairs"])
    assert n // 2 == len(tables["leakage"])
    assert {"id000000"} == set(tables["leakage"]["witness_id"].to_pylist())
    assert n == len(tables["groups"])
    assert n // 2 == tables["decisions"]["action"].to_pylist().count("drop")
    assert math.isclose(1.0, min(tables["decisions"]["similarity"].drop_null().to_pylist()))


def test_the_work_on_two_near_classes_is_linear() -> None:
    """Two classes of 20,000 near each other give 2 · 19,999 + 1 pairs and a leader for all, not 4 ·
    10⁸ edges.
    """
    n = 20_000
    samples = tuple(Sample("train", i % 2) for i in range(2 * n))
    world = World(samples, {(0, 1): (3, 3, 0.9375)}, {0: 64, 1: 64})
    tables = found(world)

    assert 2 * (n - 1) + 1 == len(tables["pairs"])
    assert 2 * n - 1 == tables["decisions"]["action"].to_pylist().count("drop")
