"""Chooses how to search: the finders, and which of them is the fastest for these codes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError
from dedup.search import kernels
from dedup.search.buckets import bucket_sizes, n_neighbours, near_sums
from dedup.search.codes import Distinct
from dedup.search.costs import Costs, measured, misses
from dedup.search.crew import Crew
from dedup.search.plans import Band, Plan, laid_out, least_width, memory_of, shapes
from dedup.search.sample import distance_shares, meeting_shares, prefix_share

_MAX_WIDTH = 26  # 2**26 buckets: half a gigabyte of offsets
_SHORTLIST = 3  # plans whose exact cost is computed; the model orders them well but not perfectly
_RARE = 1e-5  # share of pairs that may pass the first words by chance
_SMALL = 3000  # codes that brute force compares before a planner has made up its mind


@dataclass(frozen=True, slots=True)
class Request:
    """One search to be planned."""

    left: Distinct
    right: Distinct | None
    max_distance: int
    crew: Crew
    widest: int = _MAX_WIDTH  # bits of a band's key at most: each more doubles the buckets

    @property
    def other(self) -> Distinct:
        """The side that `left` is compared with."""
        return self.left if self.right is None else self.right

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return 64 * self.left.words

    @property
    def pairs(self) -> float:
        """Pairs of different codes."""
        n = len(self.left)
        return n * (n - 1) / 2 if self.right is None else float(n) * len(self.right)

    def plan(
        self, finder: str, bands: tuple[Band, ...], prefix: int, candidates: int, work: float
    ) -> Plan:
        """The plan with these parts; `work` in seconds on one core."""
        n_other = None if self.right is None else len(self.right)
        widest = max(band.width for band in bands)
        memory = memory_of(len(self.left), n_other, self.left.words, widest, self.crew.threads)

        return Plan(
            finder=finder,
            n_bits=self.n_bits,
            max_distance=self.max_distance,
            n_codes=len(self.left),
            n_other=n_other,
            bands=bands,
            prefix_words=prefix,
            candidates=candidates,
            expected_pairs=None,
            seconds=work / self.crew.threads,
            threads=self.crew.threads,
            memory_bytes=memory,
        )


def _prefix_words(request: Request) -> int:
    """Words after which a pair at random is hardly ever still within the distance."""
    for words in range(1, request.left.words):
        # Where a third of the bits may differ, chance alone lets pairs through; no need to draw a
        # sample.
        hopeless = request.max_distance > 64 * words * 0.4
        if (
            not hopeless
            and prefix_share(request.left, request.right, words, request.max_distance) <= _RARE
        ):
            return words
    return request.left.words


def plan_brute(request: Request) -> Plan:
    """Every code against every other."""
    words = request.left.words
    prefix = words if request.pairs < _SMALL**2 else _prefix_words(request)
    costs = measured(words, prefix)
    work = request.pairs / (kernels.ROWS * kernels.LANES) * costs.block

    return request.plan("brute", (Band(0, 0, 0),), prefix, int(request.pairs), work)


def plan_banded(request: Request) -> Plan:
    """The fastest choice of bands.

    For every number of bands the radii are spread evenly, and bits go one by one to the band where
    they save most. The costs come from a model with the distances of a sample; the few best plans
    are then compared by their exact cost on these codes. Where no bands can help (a distance near
    the width), it is one band of width 0.
    """
    if len(request.left) == 0 or len(request.other) == 0:
        return replace(plan_brute(request), finder="banded")

    prefix = _prefix_words(request)
    costs = measured(request.left.words, prefix)
    model = _Model(request, costs)
    ranked = sorted(
        (
            (model.total(widths, radii), widths, radii)
            for widths, radii in map(model.allot, _shapes(request))
        ),
        key=lambda ranked: ranked[0],
    )
    plans = [
        _exact(request, laid_out(widths, radii), prefix, costs)
        for _, widths, radii in ranked[:_SHORTLIST]
    ]
    if not plans:
        return replace(plan_brute(request), finder="banded")

    return min(plans, key=lambda plan: plan.seconds)


def _shapes(request: Request) -> list[tuple[int, ...]]:
    return list(shapes(request.max_distance, request.n_bits))


class _Model:
    """Cost of a band of each width and radius, as if sampled distances were spread evenly over all
    bits.
    """

    def __init__(self, request: Request, costs: Costs) -> None:
        n_codes, n_other = len(request.left), len(request.other)
        self.max_width = min(request.widest, max(4, max(n_codes, n_other).bit_length() + 1))
        self.n_bits = request.n_bits
        radii = (
            range(max(max(shape) for shape in _shapes(request)) + 1)
            if _shapes(request)
            else range(1)
        )
        met = meeting_shares(
            distance_shares(request.left, request.right), self.max_width, len(radii) - 1
        )
        half = 0.5 if request.right is None else 1.0
        moved = n_codes if request.right is None else n_codes + n_other
        far = misses(n_other, request.left.words)
        self.seconds = np.empty((len(radii), self.max_width + 1))

        for radius in radii:
            for width in range(self.max_width + 1):
                keys, neighbours = 1 << width, n_neighbours(width, radius)
                filled, groups = _filling(n_codes / keys, kernels.ROWS)
                other_filled, blocks = _filling(n_other / keys, kernels.LANES)
                skew = met[radius, width] * keys / neighbours
                compared = (
                    groups * (other_filled * costs.group + blocks * costs.block) * max(skew, 0.0)
                )
                looked_up = filled * (costs.visit + far)
                self.seconds[radius, width] = keys * neighbours * half * (
                    compared + looked_up
                ) + moved * (costs.move + far)

    def allot(self, radii: tuple[int, ...]) -> tuple[list[int], tuple[int, ...]]:
        """Widths for bands of these radii: each further bit goes where it saves most."""
        widths = [min(least_width(radius), self.max_width) for radius in radii]
        left = self.n_bits - sum(widths)
        gains: list[tuple[float, int]] = []
        for band in range(len(radii)):
            self._offer(gains, band, radii[band], widths[band])

        while left and gains:
            _, band = heappop(gains)
            widths[band] += 1
            left -= 1
            self._offer(gains, band, radii[band], widths[band])

        return widths, radii

    def _offer(self, gains: list[tuple[float, int]], band: int, radius: int, width: int) -> None:
        if width < self.max_width:
            gain = self.seconds[radius, width + 1] - self.seconds[radius, width]
            if gain < 0:
                heappush(gains, (float(gain), band))

    def total(self, widths: list[int], radii: tuple[int, ...]) -> float:
        """Cost of these bands."""
        return float(
            sum(self.seconds[radius, width] for width, radius in zip(widths, radii, strict=True))
        )


def _filling(mean: float, at_once: int) -> tuple[float, float]:
    """Of buckets of `mean` codes: the share that is not empty, and the runs of `at_once` codes in
    one.
    """
    filled = 1 - float(np.exp(-mean))
    return filled, filled * max(1.0, mean / at_once + 0.45)


def band_costs(
    sizes: NDArray[np.int64],
    other_sizes: NDArray[np.int64] | None,
    band: Band,
    costs: Costs,
    far: float,
) -> NDArray[np.float64]:
    """Seconds on one core for every bucket of one band, from the sizes of all buckets: shape
    (2**width,).
    """
    others = sizes if other_sizes is None else other_sizes
    half = 0.5 if other_sizes is None else 1.0
    weights = (others > 0) * costs.group + -(-others // kernels.LANES) * costs.block
    near = near_sums(weights.astype(np.float64), band.width, band.radius)
    visits = (sizes > 0) * (n_neighbours(band.width, band.radius) * (costs.visit + far))

    return np.asarray(half * (-(-sizes // kernels.ROWS) * near + visits))


def _exact(request: Request, bands: tuple[Band, ...], prefix: int, costs: Costs) -> Plan:
    candidates = 0.0
    work = 0.0
    words, crew = request.left.words, request.crew
    far = misses(len(request.other), words)

    for band in bands:
        sizes = _sizes(request.left, band, crew)
        other_sizes = None if request.right is None else _sizes(request.right, band, crew)
        others = sizes if other_sizes is None else other_sizes
        met = float((sizes * near_sums(others.astype(np.float64), band.width, band.radius)).sum())
        candidates += (met - len(request.left)) / 2 if request.right is None else met
        work += float(band_costs(sizes, other_sizes, band, costs, far).sum())
        moved = len(request.left) + (0 if request.right is None else len(request.right))
        work += moved * (costs.move + far)

    return request.plan("banded", bands, prefix, int(candidates), work)


def _sizes(side: Distinct, band: Band, crew: Crew) -> NDArray[np.int64]:
    sizes = bucket_sizes(side.planes, len(side), band.start, band.width, crew)
    return np.asarray(sizes.sum(axis=0, dtype=np.int64))


FINDERS: dict[str, Callable[[Request], Plan]] = {"brute": plan_brute, "banded": plan_banded}
"""How pairs can be found. Each says what it would do; `dedup.search.scan` does it."""


def check_finder(finder: str) -> None:
    """Raises `ConfigError` for a name that is not in the table."""
    if finder != "auto" and finder not in FINDERS:
        message = (
            f"Unknown finder {finder!r}; it must be one of 'auto',"
            f" {', '.join(map(repr, sorted(FINDERS)))}."
        )
        raise ConfigError(message)


def choose(request: Request, finder: str) -> Plan:
    """The plan of the finder of that name, or with "auto" the fastest one."""
    check_finder(finder)
    if finder != "auto":
        return FINDERS[finder](request)

    brute = plan_brute(request)
    if request.pairs <= _SMALL**2:
        return brute

    banded = plan_banded(request)

    return brute if brute.seconds <= banded.seconds else banded
