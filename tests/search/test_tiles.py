"""Joins in tiles: whatever the memory, the pairs of one join."""

import threading
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.memory import allowed_memory, own_memory, within_memory
from dedup.search import join, join_hashes, largest_distance_within, plan
from dedup.search.blocks import Blocks

Codes = NDArray[np.uint64]

BLOCKS = Blocks(rows=7, widest=4)


@pytest.fixture
def in_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Every search is done in blocks of seven rows; the list has one entry for each."""
    searched: list[int] = []

    def always(codes: Codes, other: Codes | None, threads: int) -> Blocks:
        searched.append(len(codes))
        return BLOCKS

    monkeypatch.setattr("dedup.search.searching.blocks_of", always)
    yield searched
    assert searched


def near(codes: list[int], other: list[int] | None, t: int) -> list[tuple[int, int, int]]:
    """All pairs within t bits, by a double loop over Python's integers."""
    rows = (
        combinations(range(len(codes)), 2)
        if other is None
        else product(range(len(codes)), range(len(other)))
    )
    second = codes if other is None else other
    found = ((a, b, (codes[a] ^ second[b]).bit_count()) for a, b in rows)
    return [(a, b, d) for a, b, d in found if d <= t]


def packed(codes: list[int], words: int) -> Codes:
    """Codes as rows of 64-bit words."""
    return np.array(
        [[code >> 64 * word & (1 << 64) - 1 for word in range(words)] for code in codes], np.uint64
    ).reshape(-1, words)


def with_neighbours(seed: int, n: int, n_bits: int, t: int) -> list[int]:
    """Random codes, of each third one neighbours at t - 1, t and t + 1 bits, and equal codes."""
    chance = np.random.default_rng(seed)
    codes: list[int] = []
    while len(codes) < n:
        code = int.from_bytes(chance.bytes(n_bits // 8))
        codes += [code, code] if chance.random() < 0.2 else [code]
        for flips in (t - 1, t, t + 1):
            # spread evenly, one flip in every band of any plan
            places = (np.arange(flips) * n_bits // flips + chance.integers(n_bits)) % n_bits
            codes.append(code ^ sum(1 << int(place) for place in places))
    chance.shuffle(codes)
    return codes[:n]


@pytest.mark.parametrize("finder", ["brute", "banded", "auto"])
@pytest.mark.parametrize(("words", "t"), [(1, 2), (1, 6), (4, 12)])
@pytest.mark.parametrize("n", [1, 7, 8, 40])
def test_the_pairs_of_a_double_loop(
    in_tiles: list[int], finder: str, words: int, t: int, n: int
) -> None:
    """Whole blocks, a last one of one row, and one block alone: all pairs, in order, once."""
    codes = with_neighbours(n + t, n, 64 * words, t)
    other = [*codes[::3], *with_neighbours(t, 15, 64 * words, t)]

    for second in (None, other):
        array = None if second is None else packed(second, words)
        found = join(packed(codes, words), array, max_distance=t, finder=finder)
        got = list(zip(found.a.tolist(), found.b.tolist(), found.distance.tolist(), strict=True))

        assert near(codes, second, t) == got


@given(st.integers(0, 2**32), st.sampled_from(["any", "all"]))
def test_several_hashes(seed: int, combine: str) -> None:
    """Tiles of a join of two hashes give what one join of them gives."""
    one, two = (packed(with_neighbours(seed + k, 33, 64, 5), 1) for k in (0, 1))
    whole = join_hashes([one, two], max_distance=[5, 24], combine=combine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dedup.search.searching.blocks_of", lambda *_: BLOCKS)
        tiled = join_hashes([one, two], max_distance=[5, 24], combine=combine)

    assert whole.a.tolist() == tiled.a.tolist()
    assert whole.b.tolist() == tiled.b.tolist()
    assert [d.tolist() for d in whole.distances] == [d.tolist() for d in tiled.distances]


@pytest.mark.parametrize("budget", [0, 3, 10, 50, 10_000])
def test_how_far_a_budget_goes(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """`auto` comes to the same distance, whether pairs are counted in tiles or at once."""
    codes = packed(with_neighbours(5, 60, 64, 6), 1)
    expected = largest_distance_within(codes, budget=budget, cap=12)
    monkeypatch.setattr("dedup.search.searching.blocks_of", lambda *_: BLOCKS)

    assert expected == largest_distance_within(codes, budget=budget, cap=12)


def test_the_limit_ends_a_search_in_tiles(in_tiles: list[int]) -> None:
    """Pairs beyond the limit are an error, whatever tile they are in."""
    codes = np.zeros((60, 1), np.uint64)
    with pytest.raises(LimitError, match=r"more than 1,000|at least"):
        join(codes, max_distance=3, limit=1000)

    assert 60 * 59 // 2 == len(join(codes, max_distance=3, limit=60 * 59 // 2))


def test_the_plan_says_what_tiles_cost(in_tiles: list[int]) -> None:
    """The plan of a join in tiles names their number and size, and sums their work."""
    codes = packed(with_neighbours(5, 20, 64, 6), 1)
    chosen = plan(codes, max_distance=6, threads=1)

    assert (7, 6) == (chosen.tile_rows, chosen.tiles)
    assert "in 6 tiles, blocks of 7 rows against each other" in str(chosen)


def test_tiles_where_the_memory_does_not_do() -> None:
    """Within a limit that one join would pass a search is done in blocks, and none without it."""
    codes = np.random.default_rng(3).integers(0, 2**64, (200_000, 1), dtype=np.uint64)
    free = plan(codes, max_distance=4, threads=1)
    with within_memory(own_memory() + 12_000_000):
        tight = plan(codes, max_distance=4, threads=1)
        found = join(codes, max_distance=4, threads=1)

    assert free.tile_rows is None
    assert tight.tile_rows is not None
    assert tight.tiles > 1
    assert tight.memory_bytes <= 12_000_000
    assert join(codes, max_distance=4, threads=1).a.tolist() == found.a.tolist()


def test_a_limit_holds_for_its_own_thread() -> None:
    """Searches of other threads go on without it."""
    seen: list[int] = []
    with within_memory(1):
        thread = threading.Thread(target=lambda: seen.append(allowed_memory()))
        thread.start()
        thread.join()

        assert 0 == allowed_memory()
    assert seen[0] > 0


def test_sides_without_rows(in_tiles: list[int]) -> None:
    """An empty side has no pairs, in tiles as at once."""
    nothing = np.empty((0, 1), np.uint64)
    codes = np.zeros((9, 1), np.uint64)

    assert 0 == len(join(nothing, codes, max_distance=3))
    assert 0 == len(join(codes, nothing, max_distance=3))
