import random
from typing import Any

import numpy as np
import pytest

from dedup.errors import ConfigError, LimitError
from dedup.search import (
    INVERSE,
    join_hashes,
    join_hashes_batches,
    join_orientations,
    largest_distance_within,
)
from dedup.tables import TRANSFORMS
from tests.search import naive
from tests.search.codes import ADVERSARIAL, adversarial, flipped, packed


def related(rng: random.Random, n: int, n_bits: int, most: int) -> list[int]:
    codes = [rng.getrandbits(n_bits) for _ in range(n)]
    for k in range(n // 2):
        codes[k] = flipped(codes[rng.randrange(n)], rng.sample(range(n_bits), rng.randint(0, most)))
    return codes


@pytest.mark.parametrize("combine", ["any", "all"])
@pytest.mark.parametrize("finder", ["auto", "brute", "banded"])
def test_hashes_of_several_widths_are_combined(combine: str, finder: str) -> None:
    """Two or three hashes joined by `any` or `all` give the naive pairs with the distance in every
    hash.
    """
    rng = random.Random(21)
    for n_hashes in (1, 2, 3):
        widths = [64, 256, 128][:n_hashes]
        bounds = [6, 30, 11][:n_hashes]
        order = list(range(80))
        hashes = []
        for width, bound in zip(widths, bounds, strict=True):
            centers = [rng.getrandbits(width) for _ in range(20)]
            hashes.append(
                [
                    flipped(centers[k % 20], rng.sample(range(width), rng.randint(0, bound)))
                    for k in order
                ]
            )
        expected = naive.several_hashes(hashes, bounds, combine)
        arrays = [packed(codes, width // 64) for codes, width in zip(hashes, widths, strict=True)]
        found = join_hashes(arrays, max_distance=bounds, combine=combine, finder=finder)
        got = list(
            zip(
                found.a.tolist(),
                found.b.tolist(),
                zip(*(d.tolist() for d in found.distances), strict=True),
                strict=True,
            )
        )

        assert expected == got
        assert expected


def test_batches_of_hashes_are_the_join_in_parts() -> None:
    """The streamed parts of combined hashes, put together, are the whole result with the same
    distances.
    """
    rng = random.Random(23)
    arrays = [packed(related(rng, 200, 64, 12)) for _ in range(2)]
    whole = join_hashes(arrays, max_distance=[24, 22])
    parts = list(join_hashes_batches(arrays, max_distance=[24, 22], batch_rows=64))

    assert np.array_equal(whole.a, np.concatenate([part.a for part in parts]))
    assert np.array_equal(whole.b, np.concatenate([part.b for part in parts]))
    for k in range(2):
        assert np.array_equal(
            whole.distances[k], np.concatenate([part.distances[k] for part in parts])
        )
    assert len(parts) > 2


@pytest.mark.parametrize("combine", ["any", "all"])
def test_cross_join_of_hashes(combine: str) -> None:
    """Combined hashes of two sides pair every row of one side with every row of the other."""
    rng = random.Random(22)
    one, two = related(rng, 40, 64, 12), related(rng, 40, 64, 12)
    bounds = [26, 25]
    found = join_hashes(
        [packed(one[:15]), packed(two[:15])],
        [packed(one[15:]), packed(two[15:])],
        max_distance=bounds,
        combine=combine,
    )
    expected = [
        (a, b - 15) for a, b, _ in naive.several_hashes([one, two], bounds, combine) if a < 15 <= b
    ]
    got = list(zip(found.a.tolist(), found.b.tolist(), strict=True))

    assert expected == got


def test_one_distance_for_unequal_widths_is_refused() -> None:
    """One number for hashes of 64 and 256 bits is an error that names both widths."""
    with pytest.raises(ConfigError, match=r"\[64, 256\] bits need one max_distance each"):
        join_hashes([packed([1]), packed([1], 4)], max_distance=8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"combine": "some"}, "combine must be one of 'any', 'all', not 'some'"),
        ({"max_distance": [1, 2, 3]}, "There are 2 hashes and 3 distances"),
        (
            {"max_distance": [1, 65]},
            "max_distance must be a whole number between 0 and 64 bits, not 65",
        ),
        ({"others": [packed([1])]}, "Every hash needs codes on both sides"),
        ({"codes": [packed([1]), packed([1, 2])]}, r"same rows; their codes have \[1, 2\] rows"),
        ({"finder": "fast"}, "must be one of 'auto', 'banded', 'brute'"),
    ],
)
def test_bad_combinations_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Each mistake in what is combined is one error that says what is allowed."""
    given: dict[str, Any] = {"codes": [packed([1]), packed([1])], "max_distance": 3} | arguments
    with pytest.raises(ConfigError, match=message):
        join_hashes(given.pop("codes"), **given)


def test_limit_counts_what_comes_out_of_all_hashes() -> None:
    """`all` is measured by the pairs that pass every hash, not by those that one of them finds."""
    same = [7] * 200
    rng = random.Random(2)
    different = [rng.getrandbits(64) for _ in range(200)]
    found = join_hashes([packed(same), packed(different)], max_distance=3, combine="all", limit=5)

    assert len(found) == 0
    with pytest.raises(LimitError, match="19,900"):
        join_hashes([packed(same), packed(different)], max_distance=3, combine="any", limit=500)
    with pytest.raises(LimitError, match="more than 5 pairs"):
        join_hashes([packed(same), packed(same)], max_distance=3, combine="all", limit=5)


@pytest.mark.parametrize("combine", ["any", "all"])
@pytest.mark.parametrize("transforms", [(), (1,), (5,), (5, 7), (1, 2, 3, 4, 5, 6, 7)])
def test_orientations_equal_the_naive_search(transforms: tuple[int, ...], combine: str) -> None:
    """Pairs, transforms and distances are those of a search that tries every transform in both
    directions.
    """
    rng = random.Random(f"{transforms}")
    n = 60
    upright = [related(rng, n, 64, 9), related(rng, n, 64, 9)]
    oriented = [{t: related(rng, n, 64, 9) for t in transforms} for _ in upright]
    for k in range(n):
        for t in transforms:
            for codes, turned in zip(upright, oriented, strict=True):
                if rng.random() < 0.4:
                    turned[t][k] = flipped(
                        codes[(k * 7 + t) % n], rng.sample(range(64), rng.randint(0, 10))
                    )
    bounds = [8, 8]
    expected = naive.turned(upright, oriented, bounds, combine)
    found = join_orientations(
        [packed(codes) for codes in upright],
        [{t: packed(codes) for t, codes in turned.items()} for turned in oriented],
        max_distance=bounds,
        combine=combine,
    )
    got = [
        (a, b, t, d)
        for a, b, t, *d in zip(
            found.a.tolist(),
            found.b.tolist(),
            found.transform.tolist(),
            *(d.tolist() for d in found.distances),
            strict=True,
        )
    ]

    assert [(a, b, t, list(d)) for a, b, t, d in expected] == got
    assert {t for _, _, t, _ in got} >= set(transforms) or combine == "all"
    assert got or not transforms


def pictures_turned(picture: np.ndarray) -> list[np.ndarray]:
    from PIL import Image

    image = Image.fromarray(picture)
    names = (
        None,
        "FLIP_LEFT_RIGHT",
        "FLIP_TOP_BOTTOM",
        "ROTATE_180",
        "TRANSPOSE",
        "ROTATE_90",
        "TRANSVERSE",
        "ROTATE_270",
    )
    return [
        np.asarray(image if name is None else image.transpose(Image.Transpose[name]))
        for name in names
    ]


def test_transforms_are_what_their_names_say() -> None:
    """A transform and then the one that INVERSE names give the picture back, with Pillow as the
    judge.
    """
    picture = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for transform, inverse in enumerate(INVERSE):
        back = pictures_turned(pictures_turned(picture)[transform])[inverse]

        assert np.array_equal(picture, back)
    assert len(TRANSFORMS) == len(INVERSE) == 8


def test_the_transform_applied_to_b_gives_a() -> None:
    """With codes of real pixels each turned copy is found under the transform that brings it
    back.
    """
    rng = np.random.default_rng(6)
    picture = (rng.random((8, 8)) < 0.5).astype(np.uint8)
    rows = [turned for turned in pictures_turned(picture) if turned is not None]

    def code(pixels: np.ndarray) -> np.ndarray:
        return np.packbits(pixels.ravel()).view(np.uint64)

    upright = np.stack([code(row) for row in rows])
    oriented = {t: np.stack([code(pictures_turned(row)[t]) for row in rows]) for t in range(1, 8)}
    found = join_orientations([upright], [oriented], max_distance=0)
    for a, b, transform in zip(
        found.a.tolist(), found.b.tolist(), found.transform.tolist(), strict=True
    ):
        assert np.array_equal(rows[a], pictures_turned(rows[b])[transform])
    assert len(found) == 28


def test_bad_orientations_are_refused() -> None:
    """Transforms outside the table, missing ones and codes of other rows are errors."""
    one = packed([1, 2])
    for oriented, message in (
        ([], "1 hashes and 0 mappings are given"),
        ([{8: one}], "from 1 to 7"),
        ([{1: packed([1])}], "'mirror' must be of the same rows"),
    ):
        with pytest.raises(ConfigError, match=message):
            join_orientations([one], oriented, max_distance=1)
    with pytest.raises(ConfigError, match="same transforms"):
        join_orientations([one, one], [{1: one}, {2: one}], max_distance=1)
    with pytest.raises(LimitError, match="the limit is 3"):
        join_orientations([packed([5] * 4)], [{1: packed([9] * 4)}], max_distance=1, limit=3)
    apart, turned = packed([1, 2**20, 2**40]), packed([2**40, 1, 2**20])
    with pytest.raises(LimitError, match="more than 2 pairs"):
        join_orientations([apart], [{1: turned}], max_distance=0, limit=2)


@pytest.mark.parametrize("name", [*ADVERSARIAL, "related"])
@pytest.mark.parametrize("budget", [0, 1, 40, 400, 4000, 10**6])
def test_largest_distance_is_the_last_that_fits(name: str, budget: int) -> None:
    """The distance returned has at most `budget` pairs and the next one, up to the cap, has
    more.
    """
    codes = (
        related(random.Random(1), 100, 64, 12)
        if name == "related"
        else adversarial(name, 6, 100, 64)
    )
    expected = naive.largest_distance(codes, budget, 14)
    got = largest_distance_within(packed(codes), budget=budget, cap=14, threads=2)

    assert expected == got


def test_largest_distance_does_not_depend_on_the_first_guess(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the count begins, it ends at the same distance, also in a cross-join."""
    rng = random.Random(3)
    one, two = packed(related(rng, 90, 64, 14)), packed(related(rng, 110, 64, 14))
    expected = largest_distance_within(one, two, budget=60, cap=30)
    for guess in (0, 7, 19, 30):
        monkeypatch.setattr("dedup.search.budget._likely", lambda *_, guess=guess: guess)
        got = largest_distance_within(one, two, budget=60, cap=30)

        assert expected == got
    assert expected is not None
    assert 0 < expected < 30
