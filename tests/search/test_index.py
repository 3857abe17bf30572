"""One code at a time, from an index: the same rows as two loops over Python integers."""

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.errors import ConfigError, LimitError
from dedup.search import Index, join, pairs_of, tiles, united
from dedup.search import index as index_module
from dedup.search.codes import _order_of_bits
from tests.search import naive
from tests.search.codes import ADVERSARIAL, adversarial, flipped, listed, packed

WIDTHS = {
    1: [(16, 16, 16, 16), (22, 21, 21), (8,) * 8, (13, 13, 13, 13, 12)],
    4: [(20,) * 8, (16,) * 12],
}


@pytest.fixture
def always_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets of codes are searched as large ones are."""
    monkeypatch.setattr(index_module, "_SCANNED_SECONDS", 1.0)


def laid_out(codes: list[int], words: int, widths: tuple[int, ...]) -> Index:
    return Index.build(packed(codes, words), widths=widths, threads=1)


def near(index: Index, code: int, t: int) -> list[tuple[int, int]]:
    rows, distances = index.near(packed([code], index.words)[0], t)
    return list(zip(rows.tolist(), distances.tolist(), strict=True))


def expected_near(codes: list[int], code: int, t: int) -> list[tuple[int, int]]:
    return [(b, distance) for _, b, distance in naive.cross_join([code], codes, t)]


def at_the_boundary(
    asked: int, words: int, widths: tuple[int, ...], t: int, rng: random.Random
) -> list[int]:
    """Codes at t - 1, t and t + 1 bits of `asked`: bits spread over the bands, and crowded into
    each of them.
    """
    n_bits = 64 * words
    origin = np.argsort(_order_of_bits(n_bits))
    bands, start = [], 0
    for width in widths:
        bands.append([int(origin[bit]) for bit in range(start, start + width)])
        start += width
    codes = []
    for distance in (t - 1, t, t + 1):
        if not 0 <= distance <= n_bits:
            continue
        used = bands[: t + 1]
        for spare in range(len(used)):
            # At t bits every band but one is past its radius by one bit: only that one can find the
            # code.
            radius, larger = divmod(t + 1 - len(used), len(used))
            bits: list[int] = []
            for number, band in enumerate(used):
                bits += rng.sample(
                    band, min(len(band), radius + (number < larger) + (number != spare))
                )
            bits += rng.sample(
                [bit for bit in range(n_bits) if bit not in bits], n_bits - len(bits)
            )
            codes.append(flipped(asked, bits[:distance]))
            rest = [bit for bit in range(n_bits) if bit not in bands[spare]]
            crowded = rng.sample(bands[spare], len(bands[spare])) + rng.sample(rest, len(rest))
            codes.append(flipped(asked, crowded[:distance]))
        codes.append(flipped(asked, rng.sample(range(n_bits), distance)))
    return codes


@pytest.mark.usefixtures("always_in_bands")
@pytest.mark.parametrize(
    ("words", "widths", "t"),
    [
        (w, widths, t)
        for w, ts in ((1, (0, 1, 2, 3, 7, 8, 12, 16, 20)), (4, (0, 5, 16, 40)))
        for widths, t in product(WIDTHS[w], ts)
    ],
)
def test_a_query_in_bands_misses_nothing_at_the_boundary(
    words: int, widths: tuple[int, ...], t: int
) -> None:
    rng = random.Random(f"{widths} {t}")
    asked = [rng.getrandbits(64 * words) for _ in range(3)]
    codes = [code for one in asked for code in at_the_boundary(one, words, widths, t, rng)]
    codes += [rng.getrandbits(64 * words) for _ in range(200)]
    index = laid_out(codes, words, widths)

    for one in asked:
        assert expected_near(codes, one, t) == near(index, one, t)


@pytest.mark.usefixtures("always_in_bands")
@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("t", [0, 5, 16])
def test_a_query_in_bands_finds_each_row_once_in_crowded_codes(name: str, t: int) -> None:
    codes = adversarial(name, t, 60, 64)
    index = laid_out(codes, 1, (16, 16, 16, 16))

    for one in codes[:5]:
        assert expected_near(codes, one, t) == near(index, one, t)


@settings(max_examples=60, deadline=None)
@given(
    codes=st.lists(st.integers(0, 2**64 - 1), max_size=30),
    asked=st.integers(0, 2**64 - 1),
    bits=st.lists(st.integers(0, 63), max_size=20, unique=True),
    t=st.integers(0, 64),
)
def test_without_bands_every_code_is_compared(
    codes: list[int], asked: int, bits: list[int], t: int
) -> None:
    codes = [*codes, flipped(asked, bits)]

    assert expected_near(codes, asked, t) == near(Index.build(packed(codes)), asked, t)


@pytest.mark.parametrize("t", [0, 8, 16, 30])
def test_an_index_as_it_is_laid_out_for_many_codes_finds_what_brute_force_does(t: int) -> None:
    rng = np.random.default_rng(t)
    codes = rng.integers(0, 2**64, (60_000, 1), dtype=np.uint64)
    asked = codes[:20] ^ (np.uint64(1) << rng.integers(0, 64, (20, 1), dtype=np.uint64))
    index = Index.build(codes)

    for one in asked:
        distance = np.array([int(code).bit_count() for code in codes[:, 0] ^ one[0]])
        rows = np.flatnonzero(distance <= t)
        found, distances = index.near(one, t)
        assert (rows.tolist(), distance[rows].tolist()) == (found.tolist(), distances.tolist())
    assert index.orders


def test_more_rows_than_a_query_has_room_for_at_first_are_all_there() -> None:
    index = Index.build(np.zeros((30_000, 1), np.uint64))

    rows, distances = index.near(np.zeros(1, np.uint64), 3)

    assert (list(range(30_000)), 0) == (rows.tolist(), int(distances.sum()))


@pytest.mark.parametrize("n_new", [0, 1, 40, 3_000])
def test_few_and_many_new_codes_give_the_pairs_of_the_join(n_new: int) -> None:
    rng = np.random.default_rng(n_new)
    codes = rng.integers(0, 2**64, (2_000, 1), dtype=np.uint64)
    near_codes = codes[:500] ^ np.uint64(5)
    new = np.concatenate([near_codes, rng.integers(0, 2**64, (3_000, 1), dtype=np.uint64)])[:n_new]

    found = Index.build(codes).query(new, max_distance=20)

    assert listed(join(new, codes, max_distance=20)) == listed(found)


def test_the_self_join_is_a_query_of_itself() -> None:
    rng = random.Random(3)
    codes = [rng.getrandbits(64) for _ in range(40)]
    codes += [flipped(code, rng.sample(range(64), 6)) for code in codes]
    index = Index.build(packed(codes))

    itself = [
        pair for pair in listed(index.query(packed(codes), max_distance=20)) if pair[0] < pair[1]
    ]

    assert naive.self_join(codes, 20) == itself
    assert itself == listed(index.pairs(max_distance=20))


@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
@pytest.mark.parametrize("other", [False, True])
def test_tiles_give_the_pairs_of_one_join(rows: int, other: bool) -> None:
    rng = random.Random(rows)
    codes = [rng.getrandbits(64) for _ in range(30)]
    codes += [flipped(code, rng.sample(range(64), 5)) for code in codes]
    more = packed([flipped(code, [1, 2]) for code in codes[:25]]) if other else None
    cut = list(tiles(len(codes), None if more is None else len(more), rows))
    rng.shuffle(cut)

    found = united(pairs_of(tile, packed(codes), more, max_distance=12, threads=1) for tile in cut)

    assert listed(join(packed(codes), more, max_distance=12)) == listed(found)


def test_what_cannot_be_asked_is_said() -> None:
    index = Index.build(packed([1, 2, 3]))
    with pytest.raises(ConfigError, match="128 bits wide and those of the index 64"):
        index.near(np.zeros(2, np.uint64), 3)
    with pytest.raises(ConfigError, match="between 0 and 64 bits, not 65"):
        index.near(np.zeros(1, np.uint64), 65)
    with pytest.raises(LimitError, match="There are 3 pairs within 64 bits, and the limit is 2"):
        index.query(packed([0]), max_distance=64, limit=2)
    with pytest.raises(ConfigError, match="disjoint"):
        Index.build(packed([1]), widths=(40, 40))
    with pytest.raises(ConfigError, match="at least 1 row, not 0"):
        list(tiles(3, None, 0))
