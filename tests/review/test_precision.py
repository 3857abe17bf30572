"""The precision that a judged sample shows: its interval holds what is true."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.policy import precision
from dedup.policy.precision import DESIGNS, RANDOM, STRATIFIED, clopper_pearson, drawn, estimated
from dedup.policy.record import Judgement

N_PAIRS = 1_500


def world(seed: int, share: float, n: int = N_PAIRS) -> tuple[pa.Table, pa.ChunkedArray, list[str]]:
    """Near pairs (2k, 2k + 1) with doubts, digests, and the truth of each: false ones are mostly
    doubtful.
    """
    rng = np.random.default_rng(seed)
    pixels = [rng.bytes(32) for _ in range(2 * n)]
    n_false = round((1 - share) * n)
    doubt = rng.random(n) ** 6
    false = rng.choice(n, n_false, replace=False, p=(doubt + 0.02) / (doubt + 0.02).sum())
    truth = np.full(n, "same", object)
    truth[false] = "different"
    table = pa.table(
        {
            "a": np.arange(n) * 2,
            "b": np.arange(n) * 2 + 1,
            "kind": ["near"] * n,
            "false_probability": pa.array(doubt, pa.float32()),
        }
    )
    return table, pa.chunked_array([pa.array(pixels, pa.binary(32))]), truth.tolist()


def judged(
    pairs: pa.Table,
    pixels: pa.ChunkedArray,
    rows: list[int],
    verdicts: list[str],
    sample: str,
) -> tuple[Judgement, ...]:
    digests = pixels.to_pylist()
    return tuple(
        Judgement("", "", digests[2 * row], digests[2 * row + 1], verdict, "", "", sample)
        for row, verdict in zip(rows, verdicts, strict=True)
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_the_interval_covers_a_known_precision(design: str) -> None:
    """A judge who is always right, over 100 datasets and samples with a precision of 0.95: the
    interval holds it in 93 of them at least, and is not so wide that it says nothing.
    """
    covered, widths = 0, []
    for trial in range(100):
        pairs, pixels, truth = world(trial, 0.95)
        rows, _, _ = drawn(pairs, pixels, design=design, seed=trial)
        record = judged(
            pairs, pixels, rows.tolist(), [truth[row] for row in rows], f"{design} {trial}"
        )
        low, high = estimated(record, pairs, pixels, design=design, seed=trial).interval
        covered += low <= 0.95 <= high
        widths.append(high - low)

    assert covered >= 93
    assert np.mean(widths) < {RANDOM: 0.07, STRATIFIED: 0.15}[design]


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.05, 0.01]))
def test_bounds_are_those_of_the_binomial(n_hits: int, n: int, alpha: float) -> None:
    """At the lower bound so many hits or more have the probability alpha / 2, at the upper one so
    many or fewer: summed with whole binomial coefficients.
    """
    n_hits = min(n_hits, n)
    low, high = clopper_pearson(n_hits, n, alpha)

    def tail(hits: range, p: float) -> float:
        return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in hits)

    if n_hits:
        assert tail(range(n_hits, n + 1), low) == pytest.approx(alpha / 2, rel=1e-6)
    if n_hits < n:
        assert tail(range(n_hits + 1), high) == pytest.approx(alpha / 2, rel=1e-6)
    assert (low == 0.0) == (n_hits == 0)
    assert (high == 1.0) == (n_hits == n)


def test_the_words_of_an_estimate() -> None:
    """Of 200 judged, 197 the same: the figures of the published interval."""
    pairs, pixels, _ = world(1, 1.0)
    rows = drawn(pairs, pixels)[0].tolist()
    verdicts = ["different"] * 3 + ["same"] * 197
    record = judged(pairs, pixels, rows, verdicts, "random 0")
    found = estimated(record, pairs, pixels, design=RANDOM, seed=0).summary()

    assert precision.sentence(found) == (
        "Of 200 pairs judged in a random sample of 1,500, 197 are the same picture: 98.5 %, between"
        " 95.7 and 99.7 % with a confidence of 95 %."
    )


def test_judgements_made_elsewhere_never_enter() -> None:
    """Neither those outside a sample, nor of another sample, nor of pairs that are not in it."""
    pairs, pixels, _ = world(2, 1.0)
    rows = drawn(pairs, pixels)[0].tolist()
    others = [row for row in range(N_PAIRS) if row not in rows][:50]
    record = (
        *judged(pairs, pixels, rows[:10], ["same"] * 10, "random 0"),
        *judged(pairs, pixels, rows[10:60], ["different"] * 50, ""),
        *judged(pairs, pixels, rows[10:60], ["different"] * 50, "random 7"),
        *judged(pairs, pixels, others, ["different"] * 50, "random 0"),
    )
    found = estimated(record, pairs, pixels, design=RANDOM, seed=0)

    assert (10, 1.0) == (found.n_judged, found.precision)


def test_unsure_counts_both_ways() -> None:
    """Against the lower bound and for the upper one, so the interval can only become wider."""
    pairs, pixels, _ = world(3, 1.0)
    rows = drawn(pairs, pixels)[0].tolist()[:100]
    sure = judged(pairs, pixels, rows[:90], ["same"] * 90, "random 0")
    unsure = judged(pairs, pixels, rows[90:], ["unsure"] * 10, "random 0")
    low, high = estimated((*sure, *unsure), pairs, pixels, design=RANDOM, seed=0).interval

    assert low == clopper_pearson(90, 100, 0.05)[0]
    assert high == 1.0


@pytest.mark.parametrize("design", DESIGNS)
def test_a_sample_follows_from_its_seed_and_pictures(design: str) -> None:
    """Other numbers of the samples, the order of rows and pairs that are not accepted any more
    leave the other pairs of a sample in it; another seed gives another one.
    """
    pairs, pixels, _ = world(4, 1.0)
    digests = pixels.to_pylist()

    def pictures(table: pa.Table, column: pa.ChunkedArray, seed: int = 5) -> set[frozenset[bytes]]:
        values = column.to_pylist()
        rows = drawn(table, column, design=design, seed=seed)[0].tolist()
        sides = table["a"].to_pylist(), table["b"].to_pylist()
        return {frozenset((values[sides[0][row]], values[sides[1][row]])) for row in rows}

    before = pictures(pairs, pixels)
    turned = pa.chunked_array([pa.array(digests[::-1], pa.binary(32))])
    last = len(digests) - 1
    mirrored = pairs.set_column(0, "a", pa.array(last - pairs["b"].to_numpy()))
    mirrored = mirrored.set_column(1, "b", pa.array(last - pairs["a"].to_numpy()))
    half = pairs.filter(pa.array(np.arange(N_PAIRS) % 2 == 0))
    left = {frozenset((digests[4 * k], digests[4 * k + 1])) for k in range(N_PAIRS // 2)}

    assert before == pictures(mirrored.take(pa.array(np.arange(N_PAIRS)[::-1])), turned)
    assert before & left <= pictures(half, pixels)
    assert before != pictures(pairs, pixels, seed=6)


def test_strata_are_weighted() -> None:
    """200 sure pairs for every doubtful one: mistakes among the doubtful ones move the estimate by
    their share only.
    """
    n, n_doubtful = 2_010, 10
    pairs, pixels, _ = world(5, 1.0, n)
    doubt = pa.array([0.5] * n_doubtful + [0.0] * (n - n_doubtful), pa.float32())
    pairs = pairs.set_column(3, "false_probability", doubt)
    rows, strata, _ = drawn(pairs, pixels, design=STRATIFIED, seed=0)
    verdicts = ["different" if row < n_doubtful else "same" for row in rows.tolist()]
    record = judged(pairs, pixels, rows.tolist(), verdicts, "stratified 0")
    found = estimated(record, pairs, pixels, design=STRATIFIED, seed=0)

    assert [(2_000, 100), (10, 10)] == [(of.n_pairs, of.n_drawn) for of in strata]
    assert found.precision == pytest.approx(2_000 / 2_010)
    assert found.interval[0] > 0.9


def test_nothing_to_draw() -> None:
    """Without near pairs the sample is empty, and its interval says nothing."""
    pairs, pixels, _ = world(6, 1.0, 3)
    none = pairs.slice(0, 0)

    assert 0 == len(drawn(none, pixels)[0])
    assert (0.0, 1.0) == estimated((), none, pixels, design=RANDOM, seed=0).interval
