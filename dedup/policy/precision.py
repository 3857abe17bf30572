"""How many of the accepted pairs are right: an estimate from a random sample that a person judged.

A pair's place in the sample follows from the seed and its two pictures alone, so a sample drawn
again from other accepted pairs has the same pairs in it, as far as they are still accepted. Only
what was judged in the view of that very sample counts: what people pick themselves is no sample.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.policy.record import DIFFERENT, SAME, UNSURE, Record

N_DRAWN: Final = 200
"""Pairs of a sample: of 200 with a precision of 0.98 the interval is four points wide, and they
take a person about ten minutes.
"""

CONFIDENCE: Final = 0.95

RANDOM: Final = "random"
STRATIFIED: Final = "stratified"
DESIGNS: Final = (RANDOM, STRATIFIED)

DOUBTS: Final = (0.001, 0.02)
"""Where strata begin, by `false_probability`: the sure ones, the middle, and the doubtful ones in
which nearly all mistakes are.
"""

_TO_JUDGE: Final = ("near", "crop")
"""Kinds of pairs with something to judge that a rule accepted."""

Samples = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Part of the accepted pairs, and what was judged of its sample."""

    n_pairs: int
    n_drawn: int
    n_same: int = 0
    n_different: int = 0
    n_unsure: int = 0

    @property
    def n_judged(self) -> int:
        """With those that nobody was sure of."""
        return self.n_same + self.n_different + self.n_unsure

    def bounds(self, alpha: float) -> tuple[float, float]:
        """The interval of its precision that misses it with probability `alpha` at most.

        What nobody was sure of counts against the lower bound, and for the upper one.
        """
        low, _ = clopper_pearson(self.n_same, self.n_judged, alpha)
        _, high = clopper_pearson(self.n_same + self.n_unsure, self.n_judged, alpha)
        if self.n_judged == self.n_pairs:  # then nothing is estimated
            low, high = self.n_same / self.n_pairs, (self.n_same + self.n_unsure) / self.n_pairs

        return low, high


@dataclass(frozen=True, slots=True)
class Estimate:
    """Precision of the accepted pairs that are not identical pictures."""

    sample: str  # its name in the record
    strata: tuple[Stratum, ...]

    @property
    def n_judged(self) -> int:
        """Pairs of the sample that somebody judged."""
        return sum(stratum.n_judged for stratum in self.strata)

    @property
    def precision(self) -> float | None:
        """The share that is the same picture, by the weights of the strata; None where one of them
        has no verdict.
        """
        shares = [_share(stratum) for stratum in self.strata]
        if None in shares or not shares:
            return None

        n_pairs = sum(stratum.n_pairs for stratum in self.strata)
        weighted = zip(self.strata, shares, strict=True)

        return sum(of.n_pairs * share for of, share in weighted if share is not None) / n_pairs

    @property
    def interval(self) -> tuple[float, float]:
        """At least `CONFIDENCE` (Clopper and Pearson 1934; over strata by Bonferroni)."""
        if not self.strata:
            return 0.0, 1.0

        n_pairs = sum(stratum.n_pairs for stratum in self.strata)
        alpha = (1 - CONFIDENCE) / len(self.strata)
        bounds = [stratum.bounds(alpha) for stratum in self.strata]
        low, high = (
            sum(of.n_pairs * b[side] for of, b in zip(self.strata, bounds, strict=True)) / n_pairs
            for side in (0, 1)
        )

        return low, high

    def summary(self) -> dict[str, Any]:
        """For `summary.json`."""
        low, high = self.interval
        counts = {
            name: sum(getattr(stratum, name) for stratum in self.strata)
            for name in ("n_pairs", "n_drawn", "n_same", "n_different", "n_unsure")
        }
        precision = self.precision

        return {
            "sample": self.sample,
            "pairs": counts["n_pairs"],
            "drawn": counts["n_drawn"],
            "judged": self.n_judged,
            "same": counts["n_same"],
            "different": counts["n_different"],
            "unsure": counts["n_unsure"],
            "precision": None if precision is None else round(precision, 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "confidence": CONFIDENCE,
        }


def sentence(found: Mapping[str, Any]) -> str:
    """An estimate of the summary for people."""
    judged = f"Of {found['judged']:,} pairs judged in a random sample of {found['pairs']:,}"
    unsure = f" ({found['unsure']:,} unsure)" if found["unsure"] else ""
    if found["precision"] is None:
        return f"{judged}, {found['same']:,} are the same picture{unsure}: too few to tell."

    low, high = 100 * found["low"], 100 * found["high"]

    return (
        f"{judged}, {found['same']:,} are the same picture{unsure}:"
        f" {100 * found['precision']:.1f} %, between {low:.1f} and {high:.1f} % with a confidence"
        f" of {100 * found['confidence']:.0f} %."
    )


def name_of(design: str, seed: int) -> str:
    """What a sample is called in the record."""
    return f"{design} {seed}"


def drawn(
    pairs: pa.Table,
    pixels: pa.ChunkedArray,
    *,
    design: str = RANDOM,
    seed: int = 0,
    n: int = N_DRAWN,
) -> tuple[Samples, tuple[Stratum, ...], Samples]:
    """A sample of the accepted pairs that are not identical pictures.

    `pairs`: as the rule accepts them, before anybody judged. `pixels`: the pixel digest of each
    sample. Returns rows of `pairs` in random order, the strata, and the stratum of each row.
    """
    rows = np.flatnonzero(pc.is_in(pairs["kind"], pa.array(_TO_JUDGE)).to_numpy())
    strata_of = np.zeros(len(rows), np.int64)
    if design == STRATIFIED:
        doubt = pairs["false_probability"].fill_null(0.0).to_numpy()[rows]
        strata_of = np.searchsorted(np.array(DOUBTS), doubt, side="right")

    places = [pairs[side].to_numpy()[rows] for side in ("a", "b")]
    priority = _priorities(pixels, places[0], places[1], seed)

    order = np.argsort(priority, kind="stable")
    sizes = np.bincount(strata_of, minlength=1)
    there = np.flatnonzero(sizes)
    each = max(1, n // max(len(there), 1))
    first = [order[strata_of[order] == stratum][:each] for stratum in there]
    chosen = np.concatenate(first) if first else np.empty(0, np.int64)
    chosen = chosen[np.argsort(priority[chosen], kind="stable")]
    strata = tuple(
        Stratum(int(sizes[stratum]), len(of)) for stratum, of in zip(there, first, strict=True)
    )

    return rows[chosen], strata, np.searchsorted(there, strata_of[chosen])


def estimated(
    record: Record, pairs: pa.Table, pixels: pa.ChunkedArray, *, design: str, seed: int
) -> Estimate:
    """What the judgements made in a sample say of all pairs that it was drawn from."""
    rows, strata, stratum_of = drawn(pairs, pixels, design=design, seed=seed)
    name = name_of(design, seed)
    verdicts = {row.pictures: row.verdict for row in record if row.sample == name}
    counted = [dict.fromkeys((SAME, DIFFERENT, UNSURE), 0) for _ in strata]
    sides = [pixels.take(pairs[side].take(pa.array(rows))).to_pylist() for side in ("a", "b")]

    for one, two, stratum in zip(*sides, stratum_of.tolist(), strict=True):
        verdict = verdicts.get((min(one, two), max(one, two)))
        if verdict is not None:
            counted[stratum][verdict] += 1

    return Estimate(
        name,
        tuple(
            Stratum(of.n_pairs, of.n_drawn, n[SAME], n[DIFFERENT], n[UNSURE])
            for of, n in zip(strata, counted, strict=True)
        ),
    )


def best_estimate(record: Record, pairs: pa.Table, pixels: pa.ChunkedArray) -> Estimate | None:
    """The estimate from the sample with the most judgements, the first by name of equal ones; None
    where no sample was judged.
    """
    names = sorted({row.sample for row in record if row.sample})
    known = [asked for name in names if (asked := parsed(name)) is not None]
    found = [estimated(record, pairs, pixels, design=design, seed=seed) for design, seed in known]
    judged = [estimate for estimate in found if estimate.n_judged]

    return max(judged, key=lambda estimate: estimate.n_judged, default=None)


def parsed(name: str) -> tuple[str, int] | None:
    """Design and seed of a sample's name; None for what is not one."""
    design, _, seed = name.partition(" ")
    return (design, int(seed)) if design in DESIGNS and seed.isdecimal() else None


def clopper_pearson(n_hits: int, n: int, alpha: float) -> tuple[float, float]:
    """The exact interval of a share of which `n_hits` of `n` were seen; (0, 1) of none.

    >>> [round(bound, 4) for bound in clopper_pearson(197, 200, 0.05)]
    [0.9568, 0.9969]
    """
    counts = np.arange(n + 1)
    ways = math.lgamma(n + 1) - _log_factorials(counts) - _log_factorials(n - counts)

    def at_most(k: int, p: float) -> float:
        """The probability of at most k hits of n."""
        hits = counts[: k + 1]
        return float(np.exp(ways[: k + 1] + hits * math.log(p) + (n - hits) * math.log1p(-p)).sum())

    low = 0.0 if n_hits == 0 else _solved(lambda p: 1 - at_most(n_hits - 1, p), alpha / 2)
    high = 1.0 if n_hits == n else 1 - _solved(lambda q: at_most(n_hits, 1 - q), alpha / 2)

    return low, high


def _solved(rising: Callable[[float], float], target: float) -> float:
    """Where a function that rises on (0, 1) reaches the target, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(40):  # to twelve decimals
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)

    return (low + high) / 2


def _log_factorials(counts: Samples) -> NDArray[np.float64]:
    return np.array([math.lgamma(k + 1) for k in counts.tolist()])


def _priorities(pixels: pa.ChunkedArray, a: Samples, b: Samples, seed: int) -> NDArray[np.uint64]:
    """A random number for each pair, from the seed and its two pictures, whichever is named
    first.
    """
    digests = pixels.cast(pa.binary(tables.DIGEST_BYTES))
    words = [_first_word(digests.take(pa.array(side))) for side in (a, b)]
    low, high = np.minimum(*words), np.maximum(*words)
    start = _mixed(np.full(len(low), seed, np.uint64))

    return _mixed(_mixed(start ^ low) ^ high)


def _first_word(digests: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Of digests, which are random themselves, eight bytes."""
    return np.ascontiguousarray(tables.fixed_width(digests)[:, :8]).view("<u8").reshape(-1)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the input decides about every bit of the result (splitmix64: Steele, Lea and
    Flood 2014, section 4).
    """
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def _share(stratum: Stratum) -> float | None:
    sure = stratum.n_same + stratum.n_different
    return stratum.n_same / sure if sure else None
