"""What a search will do and what it will cost, before it is done."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError
from dedup.search import kernels

MAX_RADIUS = 3
"""Beyond it a bucket has so many neighbours that looking them up costs more than comparing
codes.
"""


@dataclass(frozen=True, slots=True)
class Band:
    """Some bits of the shuffled code; two codes meet in the band if these differ in at most
    `radius`.
    """

    start: int  # first bit
    width: int  # bits
    radius: int  # bits, inclusive


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search is done. Any plan gives the same pairs; they differ in time and memory only."""

    finder: str  # "brute" or "banded"
    n_bits: int  # width of the codes
    max_distance: int  # bits, inclusive
    n_codes: int  # different codes on the first side
    n_other: int | None  # different codes on the second side; None in a self-join
    bands: tuple[Band, ...]  # one of width 0 for brute force: everything in one bucket
    prefix_words: (
        int  # 64-bit words that are compared first; the rest only where these are near enough
    )
    # pairs of different codes that will be compared, a pair once for each band that offers it
    candidates: int
    # pairs of rows within the distance, estimated from a sample; None: not estimated
    expected_pairs: float | None
    seconds: float  # expected on these threads
    threads: int
    memory_bytes: (
        int  # expected at the peak, without the pairs (8 bytes each until they are handed out)
    )
    # rows of a block, where it is done in tiles, block against block; None: in one piece
    tile_rows: int | None = None
    tiles: int = 1

    def __str__(self) -> str:
        side = "" if self.n_other is None else f" × {self.n_other:,}"
        pairs = "" if self.expected_pairs is None else f", about {self.expected_pairs:,.0f} pairs"
        codes = f"{self.n_codes:,}{side} different codes of {self.n_bits} bits"
        megabytes = f"{self.memory_bytes / 2**20:,.0f} MB"
        lines = [
            f"{self.finder}: {codes}, distance <= {self.max_distance}",
            f"  compares {self.candidates:,} candidates{pairs}",
            f"  expects {self.seconds:.3g} s on {self.threads} threads, {megabytes}",
        ]
        if self.finder == "banded":
            bands = ", ".join(f"{band.width} bits within {band.radius}" for band in self.bands)
            lines.append(f"  {len(self.bands)} bands: {bands}")

        if self.tile_rows is not None:
            lines.append(
                f"  in {self.tiles:,} tiles, blocks of {self.tile_rows:,} rows against each other:"
                " one join would need more memory than it may use"
            )

        if self.prefix_words < self.n_bits // 64:
            lines.append(
                f"  compares the first {self.prefix_words} of {self.n_bits // 64} words first"
            )

        return "\n".join(lines)

    @property
    def work(self) -> float:
        """Expected seconds on one core."""
        return self.seconds * self.threads

    def table(self) -> NDArray[np.int64]:
        """The bands for the kernels: rows (start, width, radius)."""
        return np.array([(band.start, band.width, band.radius) for band in self.bands], np.int64)


def check_exact(plan: Plan, n_bits: int, max_distance: int) -> None:
    """Raises `ConfigError` if the plan is for other codes or could miss a pair.

    Two codes that differ in more than radius bits in *every* band differ in at least sum(radius +
    1) bits. So no pair is missed where that sum exceeds the distance (the general pigeonhole
    principle: Qin et al. 2018, "GPH: Similarity Search in Hamming Space", section 3).
    """
    if (plan.n_bits, plan.max_distance) != (n_bits, max_distance):
        wanted = f"{max_distance} of {n_bits}"
        message = (
            f"The plan is for distance {plan.max_distance} of {plan.n_bits} bits, not {wanted}."
        )
        raise ConfigError(message)
    end = 0
    for band in plan.bands:
        if (
            band.start < end
            or band.width < 0
            or band.radius < 0
            or band.start + band.width > n_bits
        ):
            message = (
                f"The bands of a plan must be disjoint parts of {n_bits} bits in ascending order,"
                f" not {band}."
            )
            raise ConfigError(message)
        end = band.start + band.width

    whole = any(band.radius >= band.width for band in plan.bands)
    total = sum(band.radius + 1 for band in plan.bands)
    if not whole and total <= max_distance:
        message = (
            f"The plan could miss pairs: sum(radius + 1) over its bands is {total} and must be more"
            f" than max_distance, {max_distance}."
        )
        raise ConfigError(message)

    if not 1 <= plan.prefix_words <= n_bits // 64:
        message = f"prefix_words must be between 1 and {n_bits // 64}, not {plan.prefix_words}."
        raise ConfigError(message)


def shapes(max_distance: int, n_bits: int) -> Iterator[tuple[int, ...]]:
    """The radii of every number of bands: sum(radius + 1) = max_distance + 1, spread evenly."""
    for n_bands in range(1, max_distance + 2):
        radius, larger = divmod(max_distance + 1 - n_bands, n_bands)
        radii = (radius + 1,) * larger + (radius,) * (n_bands - larger)
        if radii[0] <= MAX_RADIUS and sum(least_width(radius) for radius in radii) <= n_bits:
            yield radii


def least_width(radius: int) -> int:
    """Bits below which a band of this radius hardly tells codes apart."""
    return 2 * radius + 2


def laid_out(widths: list[int], radii: tuple[int, ...]) -> tuple[Band, ...]:
    """Bands side by side; the widest radius last, so that the cheap check for earlier bands comes
    first.
    """
    bands = []
    start = 0
    for width, radius in sorted(
        zip(widths, radii, strict=True), key=lambda band: (band[1], band[0])
    ):
        bands.append(Band(start, width, radius))
        start += width

    return tuple(bands)


def memory_of(n_codes: int, n_other: int | None, words: int, widest: int, threads: int) -> int:
    """Bytes at the peak, with the shuffled and the bucketed copy of each side, without the given
    codes.
    """
    rows = n_codes + (n_other or 0)
    copies = 2 * rows * (8 * words + 4) + rows * 4
    return copies + _buckets(widest, threads, sides=1 if n_other is None else 2)


def memory_of_tile(rows: int, words: int, widest: int, threads: int) -> int:
    """Bytes at the peak of a search of one block of so many codes against another, each code in
    many rows at worst.

    Either the left block waits while the equal codes of the right one are found, or both are sorted
    into buckets.
    """
    collapsing = rows * (24 * words + 60)
    scanning = rows * (32 * words + 32)
    return max(collapsing, scanning) + _buckets(widest, threads, sides=2)


def _buckets(widest: int, threads: int, *, sides: int) -> int:
    tables = (1 << widest) * (8 + 8 * threads + 40) * sides
    return tables + threads * 2 * kernels.EMITTED_AT_ONCE * 16
