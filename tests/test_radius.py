"""search.max_distance: auto — how far the budget of candidates reaches, against counts by a double
loop.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dedup import pipeline
from dedup.config import Resolved, build, resolve
from dedup.errors import ConfigError, LimitError
from dedup.runs import folder
from dedup.search import largest_distance_within
from dedup.stages.candidates import candidates
from dedup.stages.radius import radius
from dedup.tables import storage
from tests import naive, pictures
from tests.search.codes import packed


def settled(budget: int, **search: Any) -> Resolved:
    """What is known before the radius: its cap and its budget."""
    return resolve(
        build({"search": {"max_candidates": budget, **search}, "verify": {"method": "none"}}),
        [None],
    )


def codes(seed: int, n: int, algorithms: tuple[str, ...]) -> dict[str, list[bytes]]:
    """Codes at all distances of a few centres, of every algorithm."""
    rng = random.Random(seed)
    made = {}
    for name in algorithms:
        centres = [rng.getrandbits(64) for _ in range(n // 8)]
        made[name] = [
            (
                rng.choice(centres)
                ^ sum(1 << bit for bit in rng.sample(range(64), rng.randint(0, 12)))
            ).to_bytes(8, "big")
            for _ in range(n)
        ]
    return made


def hashes(made: Mapping[str, list[bytes]], order: list[int] | None = None) -> pa.Table:
    """A table of hashes, all of different pictures with information."""
    rows = order or list(range(len(next(iter(made.values())))))
    columns = {
        "pixel_digest": pa.array(
            [bytes([row % 256, row // 256] * 16) for row in rows], pa.binary(32)
        ),
        "information": pa.array([50.0] * len(rows), pa.float32()),
        "thumbnail": pa.array([bytes(1024)] * len(rows), pa.binary(1024)),
    }
    return pa.table(
        columns
        | {name: pa.array([of[row] for row in rows], pa.binary(8)) for name, of in made.items()}
    )


def within(of: list[bytes], distance: int, other: list[bytes] | None = None) -> int:
    """Pairs within the distance; with `other` all ordered ones."""
    n = len(of)
    if other is not None:
        return sum(naive.hamming(a, b) <= distance for a in of for b in other)
    return sum(naive.hamming(of[a], of[b]) <= distance for a in range(n) for b in range(a))


@pytest.mark.parametrize("budget", [0, 1, 30, 200, 1000, 10**6])
def test_each_algorithm_fills_its_part_exactly(budget: int) -> None:
    """Up to the radius the candidates fit the part, and one bit further they do not, unless the cap
    is there.
    """
    made = codes(1, 120, ("dhash", "phash"))
    if budget // 2 < max(within(of, 0) for of in made.values()):
        with pytest.raises(LimitError, match="Raise it, or name a hash with more bits"):
            radius(hashes(made), settled(max(budget, 1)), threads=2)
        return
    got = radius(hashes(made), settled(budget), threads=2)

    for name, of in made.items():
        assert within(of, got[name]) <= budget // 2
        assert got[name] == 16 or within(of, got[name] + 1) > budget // 2


def test_all_gives_each_algorithm_the_whole_budget() -> None:
    """With `combine: all` a candidate is one of each algorithm, so none need share."""
    made = codes(2, 120, ("dhash", "phash"))
    got = radius(hashes(made), settled(400, combine="all"), threads=2)

    for name, of in made.items():
        assert within(of, got[name]) <= 400 < within(of, got[name] + 1)


def test_every_orientation_is_counted() -> None:
    """Mirrored pairs count too, so the radius is smaller, and what it lets in fits the budget."""
    made = codes(3, 100, ("dhash", "dhash_mirror"))
    asked = settled(60, orientations="mirrored").but(algorithms=("dhash",))
    got = radius(hashes(made), asked, threads=2)["dhash"]

    def found(distance: int) -> int:
        return within(made["dhash"], distance) + within(
            made["dhash"], distance, made["dhash_mirror"]
        )

    assert found(got) <= 60 < found(got + 1)
    resolved = asked.but(max_distance={"dhash": got})
    n_candidates = sum(map(len, candidates(hashes(made), resolved, limit=60, threads=2)))
    assert 0 < n_candidates <= 60


def test_a_sum_of_joins_is_counted() -> None:
    """`also` adds the pairs of further joins, at the boundary of the budget to one pair."""
    one, two = [0, 1, 3, 7, 1 << 40], [2, 6, 1 << 41]
    at = [
        within_integers(one, d) + sum((a ^ b).bit_count() <= d for a in one for b in two)
        for d in range(6)
    ]
    for distance in range(1, 5):
        for budget, expected in ((at[distance], distance), (at[distance] - 1, distance - 1)):
            if at[distance] in (at[distance - 1], at[distance + 1]):
                continue
            assert expected == largest_distance_within(
                packed(one), also=[packed(two)], budget=budget, cap=5
            )


def within_integers(of: list[int], distance: int) -> int:
    return sum((of[a] ^ of[b]).bit_count() <= distance for a in range(len(of)) for b in range(a))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_it_depends_neither_on_threads_nor_on_order(threads: int) -> None:
    """The same radius for the same codes, whoever counts and however they are sorted."""
    made = codes(4, 200, ("dhash", "phash"))
    order = random.Random(5).sample(range(200), 200)
    expected = radius(hashes(made), settled(2000), threads=2)

    assert expected == radius(hashes(made, order), settled(2000), threads=threads)


def test_it_shrinks_as_the_data_grow() -> None:
    """More pictures of the same sort, the same budget: never a larger radius, and at last a smaller
    one.
    """
    made = codes(6, 400, ("dhash", "phash"))
    # 1.7 times the pairs at each step and more
    got = [
        radius(hashes(made, list(range(n))), settled(1500), threads=2)
        for n in (50, 100, 200, 300, 400)
    ]

    for name in ("dhash", "phash"):
        assert sorted((one[name] for one in got), reverse=True) == [one[name] for one in got]
        assert got[0][name] == 16 > got[-1][name]


def test_equal_codes_beyond_the_budget() -> None:
    """Where equal codes alone are too many, the error names the hash and the remedy."""
    made = {"dhash": [bytes(8)] * 30, "phash": codes(7, 30, ("phash",))["phash"]}
    with pytest.raises(
        LimitError, match=r"dhash has more equal codes .* search.max_candidates = 100"
    ):
        radius(hashes(made), settled(100), threads=2)


def test_the_numbers_are_stored_and_used_again(tmp_path: Path) -> None:
    """summary.json has the radius; decide and --like take it from there, and `auto` is what a full
    run would find.
    """
    data = tmp_path / "data"
    for k in range(40):
        pictures.save(pictures.photo(k // 10).rotate(2 * (k % 10)), data / f"train/{k}.png")

    def settings(**search: Any) -> dict[str, Any]:
        output = {"splits": "none", "report": False, "dir": str(tmp_path / f"run{len(search)}")}
        return {
            "dataset": {"path": str(data)},
            "search": search,
            "output": output,
            "engine": {"workers": 0},
        }

    wide = pipeline.run(build(settings(max_candidates=200)))
    found = folder.read_json(tmp_path / "run1" / folder.SUMMARY)["resolved"]["max_distance"]
    assert (
        found
        == wide.resolved.search.max_distance
        == storage.spec_of(wide.candidates)["search"]["max_distance"]
    )
    assert (
        found
        == pipeline.decide(
            tmp_path / "run1", ["policy.leakage=report_only"]
        ).resolved.search.max_distance
    )

    narrow = pipeline.run(build(settings(max_candidates=60, combine="any")))
    assert narrow.resolved.search.max_distance != found
    decided = pipeline.decide(tmp_path / "run1", ["search.max_candidates=60"])
    assert narrow.resolved.search.max_distance == decided.resolved.search.max_distance
    assert narrow.pairs.equals(decided.pairs)
    again = pipeline.decide(tmp_path / "run1", ["policy.leakage=report_only"])
    assert narrow.resolved.search.max_distance == again.resolved.search.max_distance
    with pytest.raises(ConfigError, match="was searched up to"):
        pipeline.decide(tmp_path / "run2", ["search.max_candidates=200"])
