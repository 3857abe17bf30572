"""What a bare threshold lets in: pairs, expected chance pairs and confirmed pairs at every
distance. Numbers only.

The expected number of chance pairs is the number of decoys: pairs of a picture with a turned (or
otherwise altered) one, which have the same statistics but are hardly ever true (Elias and Gygi
2007, "Target-decoy search strategy for increased confidence in large-scale protein identifications
by mass spectrometry", there for spectra).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.reporting import shown

MIN_PICTURES: Final = 100
"""With fewer the table would be nonsense: of 4,950 pairs a chance rate below 0.06 % shows none (the
rule of three).
"""

CONFIDENCE: Final = 0.95  # of every bound, one-sided
_Z: Final = 1.6448536269514722  # the normal quantile of it
# up to this count the Poisson bound is solved for, above it is approximated to four digits
_EXACT: Final = 100


@dataclass(frozen=True, slots=True)
class Hits:
    """Pairs within the searched distance of one of the algorithms at least."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distances: Mapping[str, NDArray[np.uint16]]  # by algorithm, bits
    confirmed: NDArray[np.bool_]  # by verification
    seen: int = 1  # 2 where every pair is seen from both ends
    views: int = 1  # orientations searched, of which these hits are for one


@dataclass(frozen=True, slots=True)
class Row:
    """What lies within one distance, or within one of each of several algorithms."""

    distances: Mapping[str, int]  # bits, inclusive; all of them must hold
    pairs: int
    chance: Mapping[str, float]  # by decoy: expected chance pairs among them
    chance_bound: float  # share of the pairs, 95 % upper bound, by the larger of the decoys
    confirmed: int
    unconfirmed_bound: (
        float  # share of the pairs that verification does not confirm, 95 % upper bound
    )

    @property
    def chance_share(self) -> float | None:
        """Expected share of chance pairs, by the larger of the decoys; None where there is no
        pair.
        """
        return min(1.0, max(self.chance.values()) / self.pairs) if self.pairs else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The whole of it for one dataset."""

    pictures: int  # that are searched: identical ones as one, those without information not at all
    bits: int
    max_distance: Mapping[str, int]  # how far was looked, by algorithm
    orientations: str
    min_similarity: float  # of thumbnails, from which on verification confirms,
    max_false_probability: float  # and up to which
    # by decoy: hits that verification confirms, and that are not counted as chance
    taken_out: Mapping[str, int]
    alone: Mapping[str, tuple[Row, ...]]  # by algorithm: one row for each distance
    both: tuple[Row, ...]  # for every two algorithms one row for each two distances

    def _repr_html_(self) -> str:
        """For notebooks: what each distance of each algorithm lets in."""
        names = [
            "distance, bits",
            "pairs",
            "chance pairs, expected",
            "chance share, at most",
            "confirmed",
        ]
        parts = [shown.paragraph(f"{self.pictures:,} pictures, codes of {self.bits} bits.")]
        for name, rows in self.alone.items():
            listed = [
                (
                    row.distances[name],
                    row.pairs,
                    round(max(row.chance.values(), default=0.0), 1),
                    f"{100 * row.chance_bound:.1f} %",
                    row.confirmed,
                )
                for row in rows
            ]
            parts += [shown.paragraph(name), shown.table(names, listed)]

        return "".join(parts)


def calibrated(
    n: int, found: Hits, decoys: Mapping[str, Hits], max_distance: Mapping[str, int]
) -> tuple[dict[str, tuple[Row, ...]], tuple[Row, ...]]:
    """Rows by algorithm, and the rows of every two algorithms that must agree; `n` is the number of
    pictures.
    """
    counted = {name: _chosen(hits, ~hits.confirmed) for name, hits in decoys.items()}
    alone = {
        name: tuple(_row(n, found, counted, {name: distance}) for distance in range(most + 1))
        for name, most in max_distance.items()
    }
    both = tuple(
        row
        for most in map(dict, combinations(max_distance.items(), 2))
        for row in _agreeing(n, found, counted, most)
    )

    return alone, both


def picked(rows: Sequence[Row], max_false: float, *, verified: bool = True) -> Row | None:
    """Of the rows whose bounds stay within `max_false` that with the most pairs, the tightest of
    equal ones.

    `verified` False: by the decoys alone.
    """
    fitting = [
        row
        for row in rows
        if row.pairs
        and row.chance_bound <= max_false
        and (not verified or row.unconfirmed_bound <= max_false)
    ]
    return max(fitting, key=lambda row: (row.pairs, -sum(row.distances.values())), default=None)


def pairs_needed(max_false: float) -> int:
    """Pairs without a single decoy among them for which the bound is `max_false`; with fewer
    nothing can be said.
    """
    return math.ceil(poisson_bound(0) / max_false)


def _agreeing(
    n: int, found: Hits, decoys: Mapping[str, Hits], most: Mapping[str, int]
) -> Iterator[Row]:
    """A row for each two distances; few pairs are near by both, so these are looked out first."""
    near = _chosen(found, _within(found, most))
    chance = {name: _chosen(hits, _within(hits, most)) for name, hits in decoys.items()}
    for distances in _grid(most):
        yield _row(n, near, chance, distances)


def _grid(most: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for distances in product(*(range(distance + 1) for distance in most.values())):
        yield dict(zip(most, distances, strict=True))


def _chosen(hits: Hits, keep: NDArray[np.bool_]) -> Hits:
    distances = {name: distance[keep] for name, distance in hits.distances.items()}
    return replace(
        hits, a=hits.a[keep], b=hits.b[keep], distances=distances, confirmed=hits.confirmed[keep]
    )


def _row(n: int, found: Hits, decoys: Mapping[str, Hits], distances: Mapping[str, int]) -> Row:
    pairs = _chosen(found, _within(found, distances))
    chance, most = {}, 0.0
    for name, hits in decoys.items():
        inside = _chosen(hits, _within(hits, distances))
        chance[name] = hits.views * len(inside.a) / hits.seen
        most = max(most, hits.views * count_bound(n, inside))

    unconfirmed = count_bound(n, _chosen(pairs, ~pairs.confirmed))
    n_pairs = len(pairs.a)

    return Row(
        distances=dict(distances),
        pairs=n_pairs,
        chance=chance,
        chance_bound=min(1.0, most / n_pairs) if n_pairs else 1.0,
        confirmed=int(pairs.confirmed.sum()),
        unconfirmed_bound=min(1.0, unconfirmed / n_pairs) if n_pairs else 1.0,
    )


def _within(hits: Hits, distances: Mapping[str, int]) -> NDArray[np.bool_]:
    inside = np.ones(len(hits.a), dtype=bool)
    for name, distance in distances.items():
        inside &= hits.distances[name] <= distance
    return inside


def count_bound(n: int, hits: Hits) -> float:
    """95 % upper bound of the expected number of such pairs among `n` pictures.

    Pairs that share a picture are not independent: one page of text that resembles a hundred others
    makes a hundred pairs at once. So the count is taken as quasi-Poisson (McCullagh and Nelder
    1989, section 6.2), its dispersion from the numbers of pairs that the pictures take part in (the
    projection of a U-statistic: Hoeffding 1948, section 5).
    """
    count = len(hits.a) / hits.seen
    if count == 0:
        return poisson_bound(0)

    degrees = np.bincount(np.concatenate([hits.a, hits.b]), minlength=n) / hits.seen
    # Each pair is in two of the degrees: independent ones give twice the variance of their number.
    variance = float(((degrees - degrees.mean()) ** 2).sum()) - count
    dispersion = max(variance / count, 1.0)

    return dispersion * poisson_bound(count / dispersion)


def poisson_bound(count: float) -> float:
    """The mean for which `count` or less has a chance of 5 % (Garwood 1936); a fraction counts as
    the next whole.

    >>> [round(poisson_bound(count), 3) for count in (0, 1, 10)]
    [2.996, 4.744, 16.962]
    """
    whole = math.ceil(count - 1e-9)
    if whole > _EXACT:  # Wilson and Hilferty 1931
        return (whole + 1) * (1 - 1 / (9 * (whole + 1)) + _Z / (3 * math.sqrt(whole + 1))) ** 3

    low, high = float(whole), whole + 10.0 + 5 * math.sqrt(whole)
    for _ in range(60):
        mean = (low + high) / 2
        chance = sum(
            math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(whole + 1)
        )
        low, high = (mean, high) if chance > 1 - CONFIDENCE else (low, mean)

    return high
