"""Codes with their buckets, to be asked again and again: in memory, or mapped from a file.

A join sorts both sides by one band after the other and forgets the order. An index keeps the
orders, so that one new code costs a look into its neighbouring buckets: the same bands as the
join's, applied to one code, so that every row within the distance is found (`plans.check_exact` has
the reason).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError, LimitError
from dedup.memory import usable_cores
from dedup.search import kernels
from dedup.search.buckets import n_neighbours, neighbour_masks, sort_into_buckets
from dedup.search.codes import check, check_limit, permuted, unpermuted
from dedup.search.crew import Crew
from dedup.search.matches import MAX_PAIRS, Matches, join

DEFAULT_DISTANCE_PER_64_BITS: Final = 16
"""What an index is laid out for unless told otherwise: the largest radius of `search.max_distance:
auto`.
"""

_MAX_WIDTH: Final = 22  # bits of a key: 2**22 buckets are 32 MB of offsets
_MAX_ORDERS: Final = 8  # each order is another copy of all codes
_BUCKET_SECONDS: Final = 4e-8  # to come to a bucket; its first codes are fetched ahead
# to compare one word of a code in a bucket: short runs, half of what memory gives
_CODE_SECONDS: Final = 5e-10
_SCANNED_SECONDS: Final = 3.5e-10  # to compare one word of a code in a long run of them
_ROWS_WORTH_ORDERS: Final = 20_000  # fewer are compared faster than buckets are looked up
_FIRST_ROOM: Final = 4096  # rows that a query has room for at first
_JOINED_SECONDS: Final = 2e-7  # for each row on either side of a join, beside its comparisons

Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Order:
    """All codes once more, sorted by the bits start .. start + width - 1."""

    start: int
    width: int
    planes: NDArray[np.uint64]  # (words, n + kernels.PADDING)
    ids: NDArray[np.uint32]  # (n,) row of each code
    offsets: NDArray[np.int64]  # (2**width + 1,) bucket k is at offsets[k] .. offsets[k + 1] - 1


@dataclass(frozen=True, slots=True)
class Index:
    """Codes with their buckets. Nothing in it changes: new codes make another index, or are
    searched beside it.
    """

    # (words, n + kernels.PADDING) by row, bits in the order of `codes.permuted`
    planes: NDArray[np.uint64]
    orders: tuple[Order, ...]  # disjoint parts of the bits; none: every code is compared

    @classmethod
    def build(
        cls,
        codes: Codes,
        *,
        max_distance: int | None = None,
        widths: Sequence[int] | None = None,
        threads: int | None = None,
    ) -> Self:
        """The index of codes (n, words), laid out so that queries up to `max_distance` bits are
        fast.

        Every distance can be asked for. None lays it out for 16 of 64 bits, and in proportion.
        `widths`: bits of each order's key, in place of those that are expected to be fastest.
        """
        n_bits = 64 * codes.shape[1] if isinstance(codes, np.ndarray) and codes.ndim == 2 else 64
        distance = (
            DEFAULT_DISTANCE_PER_64_BITS * n_bits // 64 if max_distance is None else max_distance
        )
        check(codes, None, distance)
        chosen = (
            layout(len(codes), n_bits, distance) if widths is None else _checked(widths, n_bits)
        )

        if not chosen:
            # A few codes, as a bank adds them one by one: threads would take longer than the work.
            return cls.of(permuted(codes), ())

        orders, start = [], 0
        with Crew(threads) as crew:
            planes = permuted(codes, crew)
            for width in chosen:
                side = sort_into_buckets(planes, len(codes), start, width, crew)
                orders.append(Order(start, width, side.planes, side.ids, side.offsets))
                start += width

        return cls.of(planes, orders)

    @classmethod
    def of(cls, planes: Codes, orders: Sequence[Order]) -> Self:
        """The index of arrays that were built before. They are protected from writing."""
        for array in (
            planes,
            *(part for order in orders for part in (order.planes, order.ids, order.offsets)),
        ):
            array.setflags(write=False)
        return cls(planes, tuple(orders))

    def __len__(self) -> int:
        return int(self.planes.shape[1]) - kernels.PADDING

    @property
    def words(self) -> int:
        """64-bit words of a code."""
        return int(self.planes.shape[0])

    def codes(self) -> Codes:
        """The codes as they were given, (n, words)."""
        return unpermuted(self.planes)

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return self.planes.nbytes + sum(
            o.planes.nbytes + o.ids.nbytes + o.offsets.nbytes for o in self.orders
        )

    def near(self, code: Codes, max_distance: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Rows within the distance of one code (words,), ascending, and the distance of each in
        bits.
        """
        one = code.reshape(1, -1)
        self._check(one, max_distance)
        return self.near_permuted(permuted(one), max_distance)

    def near_permuted(
        self, asked: Codes, max_distance: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """The same for the first code of `codes.permuted`, which can be asked of several
        indices.
        """
        out = np.empty(_FIRST_ROOM, np.int64)
        n = self._fill(asked, max_distance, out)
        if n > len(out):
            out = np.empty(n, np.int64)
            self._fill(asked, max_distance, out)

        rows = np.sort(out[:n])

        return rows, self.distances(asked, rows)

    def distances(self, asked: Codes, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """Bits in which the first code of `codes.permuted` differs from the codes in these rows."""
        out = np.empty(len(rows), np.uint16)
        kernels.distances_to(asked, self.planes, rows, out)
        return out

    def query(
        self, new: Codes, *, max_distance: int, limit: int = MAX_PAIRS, threads: int | None = None
    ) -> Matches:
        """Pairs (a: row of `new`, b: row of the index) within the distance, sorted: those of
        `join(new, codes)`.

        Few codes are looked up one by one, many are joined: whichever is expected to be faster.
        Raises `LimitError` for more than `limit` pairs.
        """
        self._check(new, max_distance)
        check_limit(limit)
        seconds = _expected(len(self), self.words, self._bands(max_distance)) * len(new)

        if seconds > _JOINED_SECONDS * (len(self) + len(new)):
            other = _rows_of(permuted(new))
            return join(
                other,
                _rows_of(self.planes),
                max_distance=max_distance,
                limit=limit,
                threads=threads,
            )

        def found(row: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
            return self.near_permuted(permuted(new[row : row + 1]), max_distance)

        with ThreadPoolExecutor(threads or usable_cores()) as pool:
            return _matches(list(pool.map(found, range(len(new)))), limit, max_distance)

    def pairs(
        self, *, max_distance: int, limit: int = MAX_PAIRS, threads: int | None = None
    ) -> Matches:
        """The self-join, a query of itself: every pair of rows a < b within the distance."""
        return join(_rows_of(self.planes), max_distance=max_distance, limit=limit, threads=threads)

    def _check(self, codes: Codes, max_distance: int) -> None:
        check(codes, None, max_distance)
        if codes.shape[1] != self.words:
            message = (
                f"The codes are {64 * codes.shape[1]} bits wide and those of the index"
                f" {64 * self.words}."
            )
            raise ConfigError(message)

    def _bands(self, max_distance: int) -> tuple[tuple[int, int, int], ...] | None:
        """(start, width, radius) by order; None where comparing every code is expected to be
        faster.
        """
        widths = tuple(order.width for order in self.orders)
        radii = spread_radii(max_distance, len(widths)) if widths else ()
        bands, start = [], 0
        for width, radius in zip(widths, radii, strict=False):
            bands.append((start, width, radius))
            start += width

        chosen = tuple(bands)
        usable = bands and all(radius < width for _, width, radius in chosen)
        every = _expected(len(self), self.words, None)

        return chosen if usable and _expected(len(self), self.words, chosen) < every else None

    def _fill(self, asked: Codes, max_distance: int, out: NDArray[np.int64]) -> int:
        """Write rows to `out` as far as it goes; returns how many there are."""
        asked.setflags(write=False)
        chosen = self._bands(max_distance)
        if chosen is None:
            return int(kernels.near_in_rows(asked, self.planes, 0, len(self), max_distance, out, 0))

        bands, n = np.array(chosen, np.int64), 0
        for band, (order, (_, width, radius)) in enumerate(zip(self.orders, chosen, strict=False)):
            masks = _masks(width, radius)
            n = kernels.near_in_band(
                asked,
                order.planes,
                order.ids,
                order.offsets,
                bands,
                band,
                masks,
                max_distance,
                out,
                n,
            )

        return int(n)


def _checked(widths: Sequence[int], n_bits: int) -> tuple[int, ...]:
    if sum(widths) > n_bits or any(not 0 < width <= _MAX_WIDTH for width in widths):
        message = (
            f"The orders of an index must be disjoint parts of {n_bits} bits, 1 to {_MAX_WIDTH}"
            f" bits wide each, not {list(widths)}."
        )
        raise ConfigError(message)
    return tuple(widths)


def spread_radii(max_distance: int, n_bands: int) -> tuple[int, ...]:
    """Radii for at most so many bands: sum(radius + 1) = max_distance + 1, spread evenly, the
    larger ones first.
    """
    n_bands = min(n_bands, max_distance + 1)
    radius, larger = divmod(max_distance + 1 - n_bands, n_bands)
    return (radius + 1,) * larger + (radius,) * (n_bands - larger)


@lru_cache
def layout(n_codes: int, n_bits: int, max_distance: int) -> tuple[int, ...]:
    """Widths of the bands in which single queries are expected to be fastest; none where bands do
    not help.
    """
    if n_codes < _ROWS_WORTH_ORDERS:
        return ()

    words = n_bits // 64
    best: tuple[int, ...] = ()
    least = _expected(n_codes, words, None)

    for n_bands, width in product(range(1, _MAX_ORDERS + 1), range(4, _MAX_WIDTH + 1)):
        radii = spread_radii(max_distance, n_bands)
        left_over = n_bits - width * len(radii)
        if left_over < 0 or radii[0] >= width:
            continue
        # Bits that are left over go to the first bands, which have the larger radii.
        spare = min(left_over, len(radii)) if width < _MAX_WIDTH else 0
        widths = tuple(width + (band < spare) for band in range(len(radii)))
        bands = tuple((0, wide, radius) for wide, radius in zip(widths, radii, strict=True))
        seconds = _expected(n_codes, words, bands)
        if seconds < least:
            best, least = widths, seconds

    return best


def _expected(n_codes: int, words: int, bands: tuple[tuple[int, int, int], ...] | None) -> float:
    """Seconds of one query on one core, as if codes were spread evenly over the buckets; None: all
    are compared.
    """
    if bands is None:
        return n_codes * words * _SCANNED_SECONDS

    seconds = 0.0
    for _, width, radius in bands:
        codes = n_codes / (1 << width)
        seconds += n_neighbours(width, radius) * (_BUCKET_SECONDS + codes * words * _CODE_SECONDS)

    return seconds


@lru_cache
def _masks(width: int, radius: int) -> NDArray[np.int64]:
    masks = neighbour_masks(width, radius)
    masks.setflags(write=False)
    return masks


def _rows_of(planes: Codes) -> Codes:
    """Planes as codes (n, words)."""
    n = planes.shape[1] - kernels.PADDING
    return np.ascontiguousarray(planes[:, :n].T)


def _matches(
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.uint16]]], limit: int, max_distance: int
) -> Matches:
    sizes = [len(rows) for rows, _ in found]
    if sum(sizes) > limit:
        message = (
            f"There are {sum(sizes):,} pairs within {max_distance} bits, and the limit is"
            f" {limit:,}."
        )
        raise LimitError(message)

    if not found:
        return Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint16))

    a = np.repeat(np.arange(len(found)), sizes)

    return Matches(
        a, np.concatenate([rows for rows, _ in found]), np.concatenate([d for _, d in found])
    )
