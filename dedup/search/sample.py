"""What a few codes tell about all of them: how far apart they are, and about how many pairs to
expect.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from dedup.search import kernels
from dedup.search.codes import Distinct

_PAIRS = 1 << 16
COMPARISONS = 1 << 28  # some 20 ms on one core
_MAX_ROWS = 1024
_MAX_MATCHES = 1 << 22
_CHANCE = 1e-15  # of ending a search that would have fitted; a memory chip errs more often


def distance_shares(left: Distinct, right: Distinct | None, seed: int = 0) -> NDArray[np.float64]:
    """Share of each distance among pairs of different codes drawn at random, shape (n_bits +
    1,).
    """
    rng = np.random.default_rng(seed)
    other = left if right is None else right
    one = rng.integers(0, len(left), _PAIRS, dtype=np.uint64)
    two = rng.integers(0, len(other), _PAIRS, dtype=np.uint64)
    if right is None:
        two = np.where(one == two, (two + np.uint64(1)) % np.uint64(len(left)), two)

    found = np.zeros(_PAIRS, np.int64)
    for word in range(left.words):
        found += np.bitwise_count(left.planes[word][one] ^ other.planes[word][two])

    counts = np.bincount(found, minlength=64 * left.words + 1)

    return counts / _PAIRS


def prefix_share(
    left: Distinct, right: Distinct | None, words: int, max_distance: int, seed: int = 0
) -> float:
    """Share of such pairs whose first `words` words differ in at most `max_distance` bits."""
    shortened = Distinct(left.planes[:words], left.members, None)
    other = None if right is None else Distinct(right.planes[:words], right.members, None)
    return float(distance_shares(shortened, other, seed)[: max_distance + 1].sum())


def meeting_shares(
    shares: NDArray[np.float64], max_width: int, max_radius: int
) -> NDArray[np.float64]:
    """Share of pairs that differ in at most r of w random bits, shape (max_radius + 1, max_width +
    1).
    """
    n_bits = len(shares) - 1
    met = np.zeros((max_radius + 1, max_width + 1))
    present = np.flatnonzero(shares)

    for width in range(max_width + 1):
        ways = comb(n_bits, width)
        for radius in range(max_radius + 1):
            for d in present.tolist():
                met[radius, width] += shares[d] * (
                    comb(d, radius) * comb(n_bits - d, width - radius) / ways
                    if radius <= width
                    else 0.0
                )

    return np.cumsum(met, axis=0)


@dataclass(frozen=True, slots=True)
class Degrees:
    """Matches of some codes, drawn without repetition: what the whole search will find, roughly."""

    n_codes: int  # of which they were drawn
    # for each drawn code the pairs of rows it takes part in, those of equal codes left out
    rows: NDArray[np.float64]
    by_distance: NDArray[np.float64]  # the sum of these by distance, 0 .. max_distance
    halved: bool  # in a self-join every pair is seen from both ends

    @property
    def scale(self) -> float:
        """What one match in the sample stands for."""
        return self.n_codes / max(1, len(self.rows)) / (2 if self.halved else 1)

    @property
    def complete(self) -> bool:
        """Whether all codes were drawn, so that the counts are exact."""
        return len(self.rows) == self.n_codes

    def at_least(self) -> float:
        """A number of pairs that the whole search exceeds, but for a chance of one in 10**15.

        If k of s drawn codes have x or more matches, the share of such codes is hardly below k / s
        minus Hoeffding's margin. So one code with very many matches, which a plain mean would scale
        up, cannot end a search.
        """
        if self.complete:
            return float(self.rows.sum()) * self.scale

        drawn = len(self.rows)
        falling = np.sort(self.rows)[::-1]
        share = np.arange(1, drawn + 1) / drawn - np.sqrt(np.log(drawn / _CHANCE) / (2 * drawn))
        bound = falling * np.maximum(share, 0) * self.n_codes / (2 if self.halved else 1)

        return float(bound.max(initial=0.0))


def degrees(
    left: Distinct,
    right: Distinct | None,
    max_distance: int,
    seed: int = 0,
    *,
    comparisons: int = COMPARISONS,
) -> Degrees:
    """Compares some codes of the left side with the whole of the other, in about so many
    comparisons.
    """
    other = left if right is None else right
    n = len(left)
    size = min(n, _MAX_ROWS, max(kernels.ROWS, comparisons // max(1, len(other) * left.words)))
    drawn = np.random.default_rng(seed).choice(n, size, replace=False) if size < n else np.arange(n)
    planes = np.zeros((left.words, size + kernels.PADDING), np.uint64)
    planes[:, :size] = left.planes[:, drawn]
    one = kernels.Side(planes, np.arange(size, dtype=np.uint32), np.array([0, size], np.int64))
    whole = np.array([0, len(other)], np.int64)
    all_ids = np.arange(len(other), dtype=np.uint32)
    two = kernels.Side(other.planes, all_ids, whole)
    drawn_sizes = left.sizes(drawn)
    rows = np.zeros(size)
    by_distance = np.zeros(max_distance + 1)
    out = np.empty(8 * kernels.EMITTED_AT_ONCE, np.uint64)
    bands, masks = np.zeros((1, 3), np.int64), np.zeros(1, np.int64)
    seen = 0
    done = 0

    for first in range(0, size, kernels.ROWS):
        last = min(first + kernels.ROWS, size)
        state = np.array([first, 0, 0, 0], np.int64)
        while state[0] < last:
            # Kernels take no keywords.
            n_out = kernels.scan(
                one, two, bands, 0, masks, False, max_distance, left.words, last, state, out
            )
            i, j = _places(out[:n_out])
            keep = slice(None) if right is not None else drawn[i] != j
            i, j = i[keep], j[keep]
            weight = (drawn_sizes[i] * other.sizes(j)).astype(np.float64)
            distance = _distances(planes, other.planes, i, j)
            rows += np.bincount(i, weight, minlength=size)
            by_distance += np.bincount(distance, weight, minlength=max_distance + 1)
            seen += int(n_out)
        done = last
        if seen > _MAX_MATCHES:
            break

    return Degrees(n, rows[:done], by_distance, right is None)


def _places(out: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two places that the scan packs into a word."""
    low = np.uint64(0xFFFFFFFF)
    return (out >> np.uint64(32)).astype(np.int64), (out & low).astype(np.int64)


def _distances(
    one: NDArray[np.uint64], two: NDArray[np.uint64], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Bits in which codes i and j differ, of two sides with a word of all codes in each row."""
    distance = np.zeros(len(i), np.int64)
    for first, second in zip(one, two, strict=True):
        distance += np.bitwise_count(first[i] ^ second[j])

    return distance
