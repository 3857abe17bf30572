"""The total of several distances: exact at the boundary, alone and beside the distances of each
hash.
"""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from dedup.config import build, resolve
from dedup.policy.acceptance import within
from dedup.search import join_hashes, with_total
from dedup.stages.candidates import candidates
from tests.test_stages import measured

NAMES = ("dhash", "phash")
N_BITS = 64


def flipped(code: int, bits: list[int]) -> int:
    for bit in bits:
        code ^= 1 << bit
    return code


def spread(n_flips: int, start: int) -> list[int]:
    """Places of so many bits, spread over the whole code, so that no band is free of them."""
    return [(start + round(k * N_BITS / max(n_flips, 1))) % N_BITS for k in range(n_flips)]


def pairs_of_codes() -> list[tuple[int, int]]:
    """Two codes of each row: one picture, and others at every sum of distances from 38 to 43."""
    random = np.random.default_rng(11)
    first = int(random.integers(0, 2**63)), int(random.integers(0, 2**63))
    rows = [first]
    for total, of_first in itertools.product(range(38, 44), (5, 14, 15, 20, 30)):
        flips = (of_first, total - of_first)
        codes = [flipped(code, spread(n, 7 * n)) for code, n in zip(first, flips, strict=True)]
        rows.append((codes[0], codes[1]))
    return rows


def by_hand(
    rows: list[tuple[int, int]], most: dict[str, int], combine: str
) -> set[tuple[int, int]]:
    """A double loop over Python integers."""
    found = set()
    for a, b in itertools.combinations(range(len(rows)), 2):
        distances = [(one ^ two).bit_count() for one, two in zip(rows[a], rows[b], strict=True)]
        near = [distance <= most[name] for name, distance in zip(NAMES, distances, strict=True)]
        near.append(sum(distances) <= most["total"])
        if any(near) if combine == "any" else all(near):
            found.add((a, b))
    return found


@pytest.mark.parametrize("combine", ["any", "all"])
@pytest.mark.parametrize("total", [39, 40, 41, 42])
@pytest.mark.parametrize("each", [0, 14, 30])
def test_join_within_a_total_equals_a_double_loop(total: int, each: int, combine: str) -> None:
    """One bit below, at and above the total, with flips spread over the codes."""
    rows = pairs_of_codes()
    most = {"dhash": each, "phash": each, "total": total}
    codes = [np.array([[row[k]] for row in rows], np.uint64) for k in range(2)]
    together, distances = with_total(codes, NAMES, most)
    found = join_hashes(together, max_distance=distances, combine=combine)

    assert by_hand(rows, most, combine) == set(zip(found.a.tolist(), found.b.tolist(), strict=True))


@pytest.mark.parametrize("total", [39, 40, 41])
def test_candidates_within_a_total_equal_a_double_loop(total: int) -> None:
    """The stage finds the same pairs, and gives each the distances of both hashes."""
    rows = pairs_of_codes()
    most = {"dhash": 14, "phash": 14, "total": total}
    resolved = resolve(build({"search": {"max_distance": most}, "verify": {"method": "none"}}), [])
    hashes = measured(
        [(row[0].to_bytes(8, "little"), row[1].to_bytes(8, "little")) for row in rows]
    )
    table = pa.concat_tables(candidates(hashes, resolved, limit=10_000, threads=1))
    found = dict(
        zip(
            zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True),
            zip(
                table["distance_dhash"].to_pylist(),
                table["distance_phash"].to_pylist(),
                strict=True,
            ),
            strict=True,
        )
    )
    expected = {
        (a, b): ((rows[a][0] ^ rows[b][0]).bit_count(), (rows[a][1] ^ rows[b][1]).bit_count())
        for a, b in by_hand(rows, most, "any")
    }

    assert expected == found


def test_a_stricter_total_afterwards_equals_a_search_with_it() -> None:
    """`decide` judges stored distances as a search would."""
    rows = pairs_of_codes()
    every = list(itertools.combinations(range(len(rows)), 2))
    distances = {
        name: np.array([(rows[a][k] ^ rows[b][k]).bit_count() for a, b in every], np.uint16)
        for k, name in enumerate(NAMES)
    }
    most = {"dhash": 14, "phash": 14, "total": 40}
    kept = within(distances, most, "any")

    assert by_hand(rows, most, "any") == {
        pair for pair, keep in zip(every, kept, strict=True) if keep
    }


def test_without_a_total_nothing_is_added() -> None:
    """Plain distances are joined as before."""
    codes = [np.zeros((2, 1), np.uint64)] * 2

    assert ([14, 13], 2) == (lambda found: (found[1], len(found[0])))(
        with_total(codes, NAMES, {"dhash": 14, "phash": 13})
    )
