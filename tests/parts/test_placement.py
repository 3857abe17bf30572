"""Placing by key points, against a search over all hypotheses that is written to be read."""

import math
from itertools import product

import numpy as np
import pytest

from dedup.search.parts import MAX_PICTURES, MIN_MATCHES, Points, part_matches
from dedup.verify.placement import place_all


def moved(points: np.ndarray, scale: float, angle: float, x: float, y: float) -> np.ndarray:
    """Key points (4, n) of the first picture, from those of the second under a transform."""
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array(
        [
            c * points[0] - s * points[1] + x,
            s * points[0] + c * points[1] + y,
            points[2] * scale,
            points[3] + angle,
        ]
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_transform_is_found_among_strangers(seed: int) -> None:
    """Twelve matches under one transform and twelve by chance: the transform comes out, to a
    fraction of a pixel.
    """
    random = np.random.default_rng(seed)
    two = np.array(
        [
            random.uniform(0, 250, 24),
            random.uniform(0, 180, 24),
            1.2 ** random.integers(0, 8, 24),
            random.uniform(0, 2 * math.pi, 24),
        ]
    )
    scale, angle, x, y = (
        random.uniform(0.4, 2.5),
        random.uniform(0, 6.28),
        *random.uniform(-50, 50, 2),
    )
    one = moved(two, scale, angle, x, y)
    one[:2, 12:] = random.uniform(0, 250, (2, 12))
    order = random.permutation(24)
    by, counts = np.zeros((1, 4)), np.zeros(1, np.int64)

    place_all(one[:, order], two[:, order], np.array([0, 24]), by, counts)

    expected = [scale * math.cos(angle), scale * math.sin(angle), x, y]
    assert expected == pytest.approx(by[0].tolist(), abs=0.5)
    assert 12 <= counts[0] <= 14


def test_points_in_one_place_fix_nothing() -> None:
    """Matches that all lie together have no scale, so that there is no transform."""
    two = np.tile(np.array([[10.0], [20.0], [1.0], [0.0]]), 6)
    by, counts = np.zeros((1, 4)), np.zeros(1, np.int64)

    place_all(two.copy(), two, np.array([0, 6]), by, counts)

    assert 0 == counts[0]


def test_pairs_of_pictures_against_a_double_loop() -> None:
    """Matches by picture equal those of a double loop over all descriptors, at the boundary of the
    distance.
    """
    random = np.random.default_rng(7)
    own = random.integers(0, 256, (12, 10, 32)).astype(np.uint8)
    for number in range(
        1, 12, 2
    ):  # every second picture has points of the one before, some bits off
        for point, n_bits in enumerate((0, 13, 14, 15, 29, 30, 31)):
            bits = np.unpackbits(own[number - 1, point])
            bits[random.permutation(256)[:n_bits]] ^= 1
            own[number, point] = np.packbits(bits)
    descriptors = own.reshape(-1, 32)
    picture = np.repeat(np.arange(12), 10)

    expected: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for p, q in product(range(120), range(120)):
        if picture[p] < picture[q]:
            distance = int(np.unpackbits(descriptors[p] ^ descriptors[q]).sum())
            if distance <= 30:
                expected.setdefault((int(picture[p]), int(picture[q])), []).append((p, q))
    expected = {pair: found for pair, found in expected.items() if len(found) >= MIN_MATCHES}

    got = part_matches(Points(descriptors, picture), limit=10_000)
    found = {
        (int(a), int(b)): list(
            zip(got.points_a[first:last].tolist(), got.points_b[first:last].tolist(), strict=True)
        )
        for a, b, first, last in zip(got.a, got.b, got.starts, got.starts[1:], strict=False)
    }
    assert 30 == got.distance
    assert expected == found
    assert all(len(found[p, p + 1]) == 6 for p in range(0, 12, 2))


def test_what_is_in_too_many_pictures_is_left_out_and_counted() -> None:
    """A descriptor of more than the allowed number of pictures matches nothing, and the others
    still do.
    """
    random = np.random.default_rng(3)
    n = MAX_PICTURES + 2
    shared = random.integers(0, 256, (4, 32)).astype(np.uint8)
    rare = random.integers(0, 256, (4, 32)).astype(np.uint8)
    rows: list[np.ndarray] = []
    picture: list[int] = []
    for k in range(n):
        rows += [*shared, *(rare if k < 2 else random.integers(0, 256, (4, 32)).astype(np.uint8))]
        picture += [k] * 8

    got = part_matches(Points(np.array(rows), np.array(picture)), limit=100_000)

    assert ([0], [1]) == (got.a.tolist(), got.b.tolist())
    assert 4 == len(got.points_a)
    assert 4 * n == got.n_common
