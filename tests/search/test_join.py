import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.search import FINDERS, join, join_batches, kernels, plan
from dedup.search.codes import _order_of_bits
from dedup.search.plans import shapes
from tests.search import naive
from tests.search.codes import (
    ADVERSARIAL,
    adversarial,
    bands_in_bits,
    even_widths,
    flipped,
    forced,
    listed,
    packed,
)

SHAPES = [
    (words, t, radii)
    for words, distances in ((1, (0, 1, 2, 3, 5, 8, 12, 20)), (4, (0, 7, 31, 48)))
    for t in distances
    for radii in shapes(t, 64 * words)
]


def boundary_codes(
    rng: random.Random, bands: list[list[int]], radii: list[int], t: int, n_bits: int
) -> list[int]:
    """Codes with neighbours at t - 1, t and t + 1 bits: spread over the bands, in one band, at
    random.
    """
    codes = []
    everywhere = list(range(n_bits))
    for distance in (t - 1, t, t + 1):
        if not 0 <= distance <= n_bits:
            continue
        for spare in range(len(bands)):
            # Every band but one passes its radius by one bit: only that one can find the pair at
            # distance t.
            bits: list[int] = []
            for number, (band, radius) in enumerate(zip(bands, radii, strict=True)):
                bits += rng.sample(band, min(len(band), radius + (number != spare)))
            rest = [bit for bit in everywhere if bit not in set(bits)]
            outside = [bit for bit in rest if not any(bit in band for band in bands)]
            while len(bits) < distance and (outside or rest):
                bits.append((outside or rest).pop())
            center = rng.getrandbits(n_bits)
            codes += [center, flipped(center, bits[:distance])]
        for band in bands:
            center = rng.getrandbits(n_bits)
            crowded = band + rng.sample(
                [bit for bit in everywhere if bit not in band], n_bits - len(band)
            )
            codes += [center, flipped(center, crowded[:distance])]
        center = rng.getrandbits(n_bits)
        codes += [center, flipped(center, rng.sample(everywhere, distance))]
    return codes


@pytest.mark.parametrize(("words", "t", "radii"), SHAPES)
def test_no_plan_misses_a_pair_at_the_boundary(words: int, t: int, radii: tuple[int, ...]) -> None:
    """Every shape of bands finds all pairs up to t whose flips only one band tolerates, and none
    beyond.
    """
    n_bits = 64 * words
    rng = random.Random(f"{words} {t} {radii}")
    widths = even_widths(radii, n_bits)
    dummy = forced(packed([0], words), t, widths, radii)
    places = bands_in_bits(dummy.bands, _order_of_bits(n_bits))
    codes = boundary_codes(rng, places, [band.radius for band in dummy.bands], t, n_bits)
    expected = naive.self_join(codes, t)
    got = listed(join(packed(codes, words), max_distance=t, plan=dummy))

    assert expected == got
    assert len(expected) >= len(codes) // 4


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_chosen_finders_equal_the_naive_join(data: st.DataObject) -> None:
    """All finders and "auto" return the naive pairs for codes with neighbours at the boundary and
    equal codes.
    """
    words = data.draw(st.sampled_from([1, 2, 3, 4, 16]))
    n_bits = 64 * words
    t = data.draw(st.integers(0, min(n_bits, 24 * words)))
    centers = data.draw(st.lists(st.integers(0, 2**n_bits - 1), min_size=1, max_size=8))
    codes = list(centers)
    for center in centers:
        for distance in data.draw(st.lists(st.sampled_from([0, t - 1, t, t + 1]), max_size=4)):
            bits = data.draw(st.permutations(range(n_bits)))[: max(0, distance)]
            codes.append(flipped(center, bits))
    expected = naive.self_join(codes, t)
    for finder in ["auto", *FINDERS]:
        got = listed(join(packed(codes, words), max_distance=t, finder=finder, threads=1))

        assert expected == got


@pytest.mark.parametrize("words", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("finder", ["auto", *FINDERS])
def test_cross_join_equals_the_naive_one(finder: str, threads: int, words: int) -> None:
    """Held-out codes joined against training codes give the naive pairs, whichever side has more
    rows.
    """
    rng = random.Random(5)
    t = 9 * words
    left = [rng.getrandbits(64 * words) for _ in range(40)]
    right = [rng.getrandbits(64 * words) for _ in range(130)]
    for code in left:
        right += [flipped(code, rng.sample(range(64 * words), d)) for d in (0, t - 1, t, t + 1)]
    for one, two in ((left, right), (right, left)):
        expected = naive.cross_join(one, two, t)
        got = join(
            packed(one, words), packed(two, words), max_distance=t, finder=finder, threads=threads
        )

        assert expected == listed(got)


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize(("words", "t"), [(1, 0), (1, 4), (1, 20), (4, 31)])
def test_adversarial_sets(name: str, words: int, t: int) -> None:
    """Sets that crowd buckets, tie distances or straddle the threshold give the naive pairs."""
    codes = adversarial(name, t, 150, 64 * words)
    expected = naive.self_join(codes, t)
    for finder in FINDERS:
        got = listed(join(packed(codes, words), max_distance=t, finder=finder))

        assert expected == got


def test_different_plans_agree_on_many_codes() -> None:
    """On 30,000 codes with planted neighbours brute force and very different bands give the same
    result.
    """
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2**64, (30_000, 1), dtype=np.uint64)
    flips = np.array(
        [flipped(0, random.Random(k).sample(range(64), k % 11)) for k in range(10_000)], np.uint64
    )
    codes[:10_000, 0] = codes[10_000:20_000, 0] ^ flips
    expected = join(codes, max_distance=9, finder="brute")
    for radii, widths in (
        ((2, 2, 2, 0), [14, 15, 16, 3]),
        ((1,) * 5, [10, 11, 12, 13, 14]),
        ((0,) * 10, [6] * 10),
    ):
        for threads in (1, 2):
            got = join(codes, max_distance=9, plan=forced(codes, 9, widths, radii), threads=threads)

            assert listed(expected) == listed(got)
    assert len(expected) > 8000


@pytest.mark.parametrize("tile", [8, 200])
def test_tile_size_changes_nothing(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels compiled for other tiles and chunks give the same pairs."""
    import numba

    codes = packed(
        adversarial("all within t of one code", 6, 700, 64) + adversarial("one bit set", 6, 700, 64)
    )
    expected = listed(join(codes, max_distance=6))
    monkeypatch.setattr(kernels, "TILE", tile)
    monkeypatch.setattr(kernels, "CHUNK", tile + 8)
    scan: Any = kernels.scan
    monkeypatch.setattr(kernels, "scan", numba.njit(nogil=True)(scan.py_func))
    for finder in FINDERS:
        got = listed(join(codes, max_distance=6, finder=finder))

        assert expected == got


def test_a_full_output_is_emptied_and_the_scan_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose pairs do not fit its output hands them on as often as needed and loses or
    repeats none.
    """
    monkeypatch.setattr("dedup.search.scan._OUT", kernels.EMITTED_AT_ONCE)
    codes = packed(adversarial("all within t of one code", 8, 1500, 64))
    other = packed(adversarial("all within t of one code", 8, 300, 64) * 3)
    for left, right in (
        (codes, None),
        (np.concatenate([codes, codes[:700]]), None),
        (codes, other),
    ):
        for finder in FINDERS:
            one, two = left[:, 0], left[:, 0] if right is None else right[:, 0]
            within = np.bitwise_count(one[:, None] ^ two[None, :]) <= 16
            expected = np.argwhere(np.triu(within, 1) if right is None else within)
            got = join(left, right, max_distance=16, finder=finder)

            assert np.array_equal(expected, np.stack([got.a, got.b], 1))


def test_batches_are_the_join_in_parts() -> None:
    """The streamed parts, put together, are the whole result in the same order."""
    codes = packed(adversarial("all within t of one code", 8, 300, 64))
    expected = listed(join(codes, max_distance=8))
    parts = list(join_batches(codes, max_distance=8, batch_rows=1000))
    got = [pair for part in parts for pair in listed(part)]

    assert expected == got
    assert all(len(part) == 1000 for part in parts[:-1])


def test_large_results_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result sorted in many slices is the same as one sorted at once."""
    codes = packed(
        adversarial("all but a few bits shared", 7, 400, 64)
        + adversarial("one bit set", 7, 200, 64)
    )
    expected = listed(join(codes, max_distance=7))
    monkeypatch.setattr("dedup.search.order._KEYS_A_SLICE", 100)
    got = listed(join(codes, max_distance=7))

    assert expected == got
    assert expected == sorted(expected)


def test_permuted_rows_permute_pairs() -> None:
    """Rows in another order give the same pairs under the other numbers."""
    rng = np.random.default_rng(11)
    codes = packed(adversarial("all within t of one code", 10, 200, 64))
    order = rng.permutation(len(codes))
    expected = {(a, b, d) for a, b, d in listed(join(codes, max_distance=10))}
    moved = join(codes[order], max_distance=10)
    got = {(*sorted((int(order[a]), int(order[b]))), d) for a, b, d in listed(moved)}

    assert expected == got


def test_equal_codes_among_many_do_not_cost_quadratic_search() -> None:
    """A thousand rows forced onto one code are one code for the plan, and still all their pairs
    come out.
    """
    rng = random.Random(4)
    codes = [rng.getrandbits(64) for _ in range(3000)]
    codes[500:1500] = [codes[500]] * 1000
    codes[2000] = flipped(codes[500], [1, 2])
    got = join(packed(codes), max_distance=4)

    assert plan(packed(codes), max_distance=4).n_codes == 2001
    assert len(got) == 1000 * 999 // 2 + 1000
    assert listed(got) == sorted(set(listed(got)))


def test_progress_rises_to_one() -> None:
    """The shares told to the caller never fall and end at 1."""
    codes = np.random.default_rng(8).integers(0, 2**64, (60_000, 1), dtype=np.uint64)
    shares: list[float] = []
    join(codes, max_distance=6, progress=shares.append)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 1
