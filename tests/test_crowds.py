"""Crowds of look-alikes: what is compared, what stands for what, and what nobody compared."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import dedup
from dedup import pipeline
from dedup.config import build, resolve
from dedup.graph import from_pairs
from dedup.search.density import UNKNOWN, neighbours_within
from dedup.search.sparing import Spared, join_sparing_batches, nobody_spared
from dedup.stages import crowds as crowding
from dedup.stages import settling
from dedup.stages.crowds import Found, crowds
from dedup.stages.settling import MAX_TRIES, Codes, Comparisons, Crowd, Sides
from dedup.stages.uncompared import uncompared
from dedup.tables import candidates_schema, pairs_schema

SCHEMA = candidates_schema(("dhash",))
N_FRAMES = 60


def accepted_when(near: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Comparing and accepting by a matrix of booleans, without pictures."""

    def compare(a: Any, b: Any) -> pa.Table:
        n = len(a)
        nothing = np.zeros(n, np.uint8)
        similarity = near[a, b].astype(np.float32)
        columns = [a, b, nothing, np.zeros(n, np.uint16), similarity, nothing]
        columns += [pa.nulls(n, field.type) for field in list(SCHEMA)[6:]]
        return pa.table(columns, schema=SCHEMA)

    return compare, lambda rows: rows["similarity"].to_numpy() > 0


def found_among(
    near: np.ndarray[Any, Any], held_out: list[int], codes: np.ndarray[Any, Any] | None = None
) -> Found:
    """Crowds among samples of which some are held out, all with one code unless others are
    given.
    """
    n = len(near)
    inside = np.isin(np.arange(n), held_out)
    sides = Sides(~inside, {"test": inside} if held_out else {}, np.full(n, -1, np.int64))
    words = np.zeros((n, 1), np.uint64) if codes is None else codes
    searched = Codes(np.arange(n, dtype=np.int64), [words], [4])
    compare, accepts = accepted_when(near)
    order = np.arange(n, dtype=np.int64)
    return crowds(
        searched, sides, order, Comparisons(compare, accepts, 0), SCHEMA, n_samples=n, threads=1
    )


def everything(n: int) -> np.ndarray[Any, Any]:
    """All pictures are the same."""
    return np.ones((n, n), bool)


class TestWhatIsCompared:
    """Who is compared with whom."""

    def test_few_are_no_crowd(self) -> None:
        """One picture fewer than a crowd has leaves everything to the search."""
        found = found_among(everything(crowding.MIN_CROWD - 1), [])

        assert ([], 0, False) == (found.crowds, len(found.rows), found.spared.any())

    def test_a_star(self) -> None:
        """With nothing held out, k pictures are compared k - 1 times, each with the first."""
        found = found_among(everything(100), [])

        assert [(0, k) for k in range(1, 100)] == pairs_of(found)

    def test_linear_with_held_out(self) -> None:
        """Each train sample meets one held-out sample, each held-out one the leader and the first
        of its own.
        """
        held_out = list(range(50, 60))
        found = found_among(everything(200), held_out)

        wanted = {(0, k) for k in range(1, 200)}
        wanted |= {(min(k, 50), max(k, 50)) for k in range(1, 200) if k != 50}
        assert sorted(wanted) == pairs_of(found)

    def test_tries_end(self) -> None:
        """A train sample that no held-out one accepts is compared with so many of them, the nearest
        first.
        """
        n, held_out = 80, list(range(60, 80))
        near = everything(n)
        near[7, 60:] = near[60:, 7] = False
        codes = np.zeros((n, 1), np.uint64)
        codes[60:70, 0] = 1
        found = found_among(near, held_out, codes)

        tried = [b for a, b in pairs_of(found) if a == 7 and b >= 60]
        assert list(range(70, 70 + MAX_TRIES)) == tried

    def test_who_does_not_leak_leaves(self) -> None:
        """Where the leader leaks and a member does not, the member is left to the ordinary
        search.
        """
        near = everything(80)
        near[7, 60:] = near[60:, 7] = False
        found = found_among(near, list(range(60, 80)))

        assert 7 not in found.crowds[0].members
        assert not found.spared.members[7]

    def test_rejected_by_the_leader(self) -> None:
        """What a leader rejects is compared with everything but the members; held-out members it
        meets in turn.
        """
        near = everything(80)
        near[3, :] = near[:, 3] = False
        found = found_among(near, list(range(60, 80)))

        tried = [b for a, b in pairs_of(found) if a == 3 and b >= 60]
        assert list(range(60, 60 + MAX_TRIES)) == tried
        assert [3] == found.crowds[0].rejected.tolist()

    @pytest.mark.parametrize("seed", range(4))
    def test_nothing_is_lost(self, seed: int) -> None:
        """Against a double loop: every accepted pair is compared, searched, or inside a crowd that
        stands for it.
        """
        random = np.random.default_rng(seed)
        n = 150
        near = random.random((n, n)) < (0.9, 0.6, 0.3, 0.97)[seed]
        near = near | near.T
        codes = np.uint64(1) << random.integers(0, 6, (n, 1)).astype(np.uint64)
        found = found_among(near, random.choice(n, 20, replace=False).tolist(), codes)

        of_crowd = {
            sample: crowd
            for crowd in found.crowds
            for sample in [crowd.leader, *crowd.members.tolist()]
        }
        compared = set(pairs_of(found))
        searched = {
            (a, b) for a, b in combinations(range(n), 2) if not left_out(found.spared, a, b)
        }
        lost = {(a, b) for a, b in combinations(range(n), 2) if near[a, b]} - compared - searched
        assert all(a in of_crowd or b in of_crowd for a, b in lost)
        for member, crowd in of_crowd.items():
            assert member == crowd.leader or near[member, crowd.leader]
            assert member == crowd.leader or pair(member, crowd.leader) in compared

    def test_order_of_comparing_is_no_matter(self) -> None:
        """Batches of one pair and of thousands give the same rows."""
        near = np.random.default_rng(5).random((120, 120)) < 0.9
        near = near | near.T
        whole = found_among(near, [3, 50, 99])
        before = settling._COMPARED_AT_ONCE
        try:
            settling._COMPARED_AT_ONCE = 1  # type: ignore[misc]
            one_by_one = found_among(near, [3, 50, 99])
        finally:
            settling._COMPARED_AT_ONCE = before  # type: ignore[misc]

        assert whole.rows.equals(one_by_one.rows)


def crowd_of_four(*, closed: bool) -> tuple[Found, pa.Table]:
    """A leader, a member and two that it rejected, and their manifest: all of them in train."""
    compare, _ = accepted_when(np.eye(4, dtype=bool))
    rows = compare(np.zeros(3, np.int64), np.arange(1, 4))
    crowd = Crowd(0, np.array([1]), np.array([2, 3]), closed=closed)
    columns = {"sample": range(4), "id": [f"id{k}" for k in range(4)], "split": ["train"] * 4}

    return Found([crowd], rows, nobody_spared(4)), pa.table(columns)


class TestLeftOut:
    """What a leader of too many rejected ones rejects is compared with the leader only."""

    def test_role(self) -> None:
        """The table tells it from what was compared with the other rejected ones."""
        closed, compared = (
            crowding.table(*crowd_of_four(closed=closed))["role"].to_pylist()
            for closed in (True, False)
        )

        assert ["leader", "member", "left_out", "left_out"] == closed
        assert ["leader", "member", "rejected", "rejected"] == compared

    @pytest.mark.parametrize(("closed", "expected"), [(True, {"id2": 2, "id3": 2}), (False, {})])
    def test_uncompared(self, closed: bool, expected: dict[str, int]) -> None:
        """Each that is kept was not compared with the member nor with the other one."""
        found, manifest = crowd_of_four(closed=closed)
        decided = pa.table({"action": ["keep", "drop", "keep", "keep"]})
        matches = from_pairs(pairs_schema(("dhash",)).empty_table(), 4)
        listed = uncompared(
            crowding.table(found, manifest),
            [found.rows],
            matches,
            decided,
            manifest,
            resolve(build({}), ["train", "test"]),
        )

        assert expected == dict(
            zip(listed["id"].to_pylist(), listed["train"].to_pylist(), strict=True)
        )


def pairs_of(found: Found) -> list[tuple[int, int]]:
    """The compared pairs."""
    return list(zip(found.rows["a"].to_pylist(), found.rows["b"].to_pylist(), strict=True))


def pair(one: int, two: int) -> tuple[int, int]:
    """Lower first."""
    return min(one, two), max(one, two)


def left_out(spared: Spared, a: int, b: int) -> bool:
    """Of one pair."""
    return bool(spared.leaves_out(np.array([a]), np.array([b]))[0])


class TestSparing:
    """The join without what crowds leave out."""

    @pytest.mark.parametrize("combine", ["any", "all"])
    @pytest.mark.parametrize("seed", range(3))
    def test_against_a_double_loop(self, seed: int, combine: str) -> None:
        """Every pair within the distances, without those that are left out or known."""
        random = np.random.default_rng(seed)
        n = 120
        codes = [random.integers(0, 256, (n, 8), np.uint8) for _ in range(2)]
        codes = [
            np.where(random.random((n, 1)) < 0.6, code[:1] ^ (code & 1), code) for code in codes
        ]
        members, crowd = random.random(n) < 0.4, random.integers(-1, 3, n)
        known = {(0, 1), (5, 9), (17, 80)}
        keys = np.array(sorted(a << 32 | b for a, b in known), np.uint64)
        spared = Spared(members, crowd, keys)

        def kept(a: int, b: int) -> bool:
            beside = crowd[a] == crowd[b] != -1 and (members[a] or members[b])
            return not ((members[a] and members[b]) or beside or (a, b) in known)

        each = [{(a, b) for a, b, _ in naive_pairs(code, 6)} for code in codes]
        within = each[0] | each[1] if combine == "any" else each[0] & each[1]
        expected = sorted((a, b) for a, b in within if kept(a, b))
        packed = [np.ascontiguousarray(code).view(np.uint64) for code in codes]
        parts = list(join_sparing_batches(packed, spared, max_distance=[6, 6], combine=combine))
        got = [one for part in parts for one in zip(part.a.tolist(), part.b.tolist(), strict=True)]

        assert expected == got

    def test_nobody_is_spared(self) -> None:
        """Without crowds it is the plain join."""
        codes = np.random.default_rng(1).integers(0, 4, (50, 1)).astype(np.uint64)
        parts = list(join_sparing_batches([codes], nobody_spared(50), max_distance=0))

        equal = {(a, b) for a, b in combinations(range(50), 2) if codes[a] == codes[b]}
        assert sorted(equal) == [
            one for p in parts for one in zip(p.a.tolist(), p.b.tolist(), strict=True)
        ]


def naive_pairs(codes: np.ndarray[Any, Any], within: int) -> list[tuple[int, int, int]]:
    """All pairs within a distance, by a double loop over whole numbers."""
    whole = [int.from_bytes(row.tobytes(), "little") for row in codes]
    distances = (
        (a, b, (whole[a] ^ whole[b]).bit_count()) for a, b in combinations(range(len(whole)), 2)
    )
    return [one for one in distances if one[2] <= within]


class TestDensity:
    """How many neighbours rows have."""

    def test_against_a_double_loop(self) -> None:
        """Rows within the distance in both hashes, equal codes among them."""
        random = np.random.default_rng(2)
        codes = [random.integers(0, 16, (80, 1)).astype(np.uint64) for _ in range(2)]

        def near(a: int, b: int) -> bool:
            return all((int(code[a, 0]) ^ int(code[b, 0])).bit_count() <= 1 for code in codes)

        expected = [sum(near(a, b) for b in range(80) if b != a) for a in range(80)]
        assert expected == neighbours_within(codes, [1, 1], threads=2).tolist()

    def test_too_many_to_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where all would be too many, drawn rows are counted, the others are unknown."""
        monkeypatch.setattr("dedup.search.density.MAX_COUNTED", 10)
        monkeypatch.setattr("dedup.search.density._DRAWN", 5)
        codes = np.arange(64, dtype=np.uint64)[:, None]
        got = neighbours_within([codes], [6], threads=1)

        assert 5 == (got != UNKNOWN).sum()
        assert {63, UNKNOWN} == set(got.tolist())


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of a still camera with noise, one in six held out, and a few strangers."""
    folder = tmp_path_factory.mktemp("frames")
    scene = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    still = np.asarray(Image.fromarray(scene).resize((128, 96), Image.Resampling.BICUBIC), np.int16)
    for k in range(N_FRAMES + 6):
        random = np.random.default_rng([7, k])
        levels = still + random.integers(-4, 5, still.shape)
        if k >= N_FRAMES:
            levels = np.asarray(
                Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize(
                    (128, 96), Image.Resampling.BICUBIC
                )
            )
        split = "test" if k % 6 == 0 else "train"
        (folder / split).mkdir(exist_ok=True)
        Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(folder / split / f"{k:03d}.png")
    return folder


def run_of(frames: Path, out: Path | None, **settings: Any) -> dedup.Run:
    """A run over the frames."""
    config = build(
        {
            "dataset": {"path": str(frames)},
            "output": {
                "dir": None if out is None else str(out),
                "splits": "none" if out is None else "same",
            },
            "cache": {"folder": None},
            "engine": {"workers": settings.pop("workers", 1)},
            **settings,
        }
    )
    return pipeline.run(config)


@pytest.fixture(scope="module")
def run(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dedup.Run:
    """The run over the frames, with the clean splits."""
    return run_of(frames, tmp_path_factory.mktemp("out") / "run")


class TestRuns:
    """Whole runs over frames of a still camera."""

    def test_the_crowd(self, run: dedup.Run) -> None:
        """All frames are one crowd with one train leader, and each was accepted by it."""
        table = run.crowds
        pairs = {
            (a, b)
            for a, b in zip(run.pairs["a"].to_pylist(), run.pairs["b"].to_pylist(), strict=True)
        }
        leader = table["leader"][0].as_py()

        assert N_FRAMES == len(table)
        assert {leader} == set(table["leader"].to_pylist())
        assert "train" == run.manifest["split"][leader].as_py()
        assert {
            pair(sample, leader) for sample in table["sample"].to_pylist() if sample != leader
        } <= pairs

    def test_same_decisions_as_without(
        self, run: dedup.Run, frames: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever is dropped without crowds is dropped with them, and nobody is uncompared."""
        monkeypatch.setattr(crowding, "MIN_CROWD", 10_000)
        full = run_of(frames, None)

        assert 0 == len(full.crowds)
        assert len(full.pairs) > 5 * len(run.pairs)
        assert full.decisions["action"].to_pylist() == run.decisions["action"].to_pylist()
        assert full.summary["leakage"] == run.summary["leakage"]
        assert 0 == len(run.uncompared)

    def test_every_witness_was_compared(self, run: dedup.Run) -> None:
        """Each drop names a kept sample, and the two are a row of pairs."""
        found = {
            frozenset(one)
            for one in zip(
                run.pairs["id_a"].to_pylist(), run.pairs["id_b"].to_pylist(), strict=True
            )
        }
        drops = [row for row in run.decisions.to_pylist() if row["action"] == "drop"]

        assert len(drops) == sum(1 for k in range(N_FRAMES) if k % 6)
        assert all(
            frozenset((row["id"], row["witness_id"])) in found and row["witness_kept"]
            for row in drops
        )

    def test_certificate(self, run: dedup.Run) -> None:
        """What was written is clean, and the search of it costs no more pairs than the run's."""
        certificate = run.summary["certificate"]

        assert certificate["clean"]
        assert 0 == certificate["uncompared"]

    @pytest.mark.parametrize("leakage", ["report_only", "drop_from_held_out"])
    def test_other_policies(
        self, run: dedup.Run, frames: Path, leakage: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With duplicates dropped, one frame of train stays, and held-out frames go where they
        should.
        """
        got = run_of(frames, None, policy={"leakage": leakage})
        monkeypatch.setattr(crowding, "MIN_CROWD", 10_000)
        full = run_of(frames, None, policy={"leakage": leakage})

        assert full.summary["decisions"]["drop"] == got.summary["decisions"]["drop"]
        assert 0 == len(got.uncompared)

    def test_stricter_limits(self, run: dedup.Run, frames: Path) -> None:
        """A stricter limit lists the members that nobody stands for any more, and the certified
        gate fails.
        """
        assert run.dir is not None
        stricter = pipeline.decide(
            run.dir, ["verify.min_similarity=1.0"], output=run.dir.parent / "stricter"
        )
        kept = {row["id"] for row in stricter.decisions.to_pylist() if row["action"] == "keep"}
        listed = set(stricter.uncompared["id"].to_pylist())
        leader = set(stricter.crowds["leader_id"].to_pylist())
        members = set(stricter.crowds["id"].to_pylist())

        assert {i for i in members & kept if i.startswith("train")} - leader == listed
        assert (
            len(listed)
            == stricter.summary["uncompared"]
            == stricter.summary["certificate"]["uncompared"]
        )
        assert not dedup.gate(stricter, certified=True).passed
        assert dedup.gate(stricter, certified=True, max_uncompared=len(listed)).passed

    def test_workers_and_order(self, run: dedup.Run, frames: Path) -> None:
        """Two workers give the same tables."""
        other = run_of(frames, None, workers=2)

        for name in ("crowds", "pairs", "groups", "leakage", "decisions", "uncompared"):
            assert other.tables[name].equals(run.tables[name]), name

    def test_budget(self, frames: Path) -> None:
        """A budget that the pairs of the frames exceed many times over gives a result all the
        same.
        """
        got = run_of(frames, None, search={"max_candidates": 200})

        assert N_FRAMES == got.summary["crowds"]["images"]
        assert 1.0 == got.summary["leakage"]["test"]["leaking"] / 10


def test_graph_of_a_star_is_connected(run: dedup.Run) -> None:
    """Every frame matches another one, though only a few pairs were compared."""
    graph = from_pairs(run.pairs, len(run.manifest))

    assert N_FRAMES == graph.matched().sum()
