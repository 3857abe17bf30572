"""Codes as they come in: checked, their bits spread over the bands, equal ones collapsed to one."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError
from dedup.search import kernels
from dedup.search.buckets import HASHED, bucket_offsets, in_steps, sort_into_buckets
from dedup.search.crew import Crew, spans

MAX_BITS = 1024
MAX_ROWS = 2**32 - 1
# while equal codes are looked for: one bucket's table stays in the first-level cache
_CODES_A_BUCKET = 64
_ROWS_A_TASK = 1 << 21


def pack(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Codes of n bytes as rows of 64-bit words, shape (n, n_bytes // 8), for the kernels."""
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8 or codes.ndim != 2:
        message = f"codes must be a uint8 array of shape (n, n_bytes), not {_described(codes)}."
        raise ConfigError(message)

    n_bytes = codes.shape[1]
    if n_bytes == 0 or n_bytes % 8:
        message = f"codes must be a multiple of 8 bytes (64 bits) wide, not {n_bytes}."
        raise ConfigError(message)

    return np.ascontiguousarray(codes).view(np.uint64)


def check(codes: NDArray[np.uint64], other: NDArray[np.uint64] | None, max_distance: int) -> None:
    """Raises `ConfigError` unless these can be joined."""
    for name, words in (("codes", codes), ("other", other)):
        if words is None:
            continue
        if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or words.ndim != 2:
            message = f"{name} must be a uint64 array of shape (n, words), not {_described(words)}."
            raise ConfigError(message)
        n_bits = 64 * words.shape[1]
        if not 0 < n_bits <= MAX_BITS:
            message = f"{name} must be 64 to {MAX_BITS} bits wide, not {n_bits}."
            raise ConfigError(message)
        if len(words) > MAX_ROWS:
            message = f"{name} has {len(words):,} rows; one search takes at most {MAX_ROWS:,}."
            raise ConfigError(message)

    if other is not None and other.shape[1] != codes.shape[1]:
        widths = f"codes are {64 * codes.shape[1]} bits wide and other {64 * other.shape[1]}"
        message = f"{widths}: they cannot be compared."
        raise ConfigError(message)

    check_distance(max_distance, 64 * codes.shape[1])


def check_distance(max_distance: int, n_bits: int) -> None:
    """Raises `ConfigError` unless it is a whole number of bits that codes of this width can differ
    in.
    """
    whole = isinstance(max_distance, int | np.integer) and not isinstance(max_distance, bool)
    if not whole or not 0 <= max_distance <= n_bits:
        message = (
            f"max_distance must be a whole number between 0 and {n_bits} bits, not"
            f" {max_distance!r}."
        )
        raise ConfigError(message)


def check_limit(limit: int) -> None:
    """Raises `ConfigError` unless it is a number of pairs."""
    whole = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
    if not whole or limit < 0:
        message = f"limit must be a whole number of pairs, 0 or more, not {limit!r}."
        raise ConfigError(message)


def _described(codes: object) -> str:
    if isinstance(codes, np.ndarray):
        return f"{codes.dtype} of shape {codes.shape}"
    return f"a {type(codes).__name__}"


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different codes among the rows, their bits in the order in which the bands take them."""

    planes: NDArray[np.uint64]  # (words, n + kernels.PADDING)
    members: NDArray[np.uint32]  # rows, grouped by code; ascending within a group
    # (n + 1,): code u is in rows members[starts[u]:starts[u + 1]]; None: in one
    starts: NDArray[np.int64] | None

    def __len__(self) -> int:
        return int(self.planes.shape[1]) - kernels.PADDING

    @property
    def words(self) -> int:
        """64-bit words of a code."""
        return int(self.planes.shape[0])

    def sizes(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows have each of these codes."""
        return (
            np.ones(len(codes), np.int64)
            if self.starts is None
            else self.starts[codes + 1] - self.starts[codes]
        )

    @property
    def equal_pairs(self) -> int:
        """Pairs of rows with equal codes."""
        if self.starts is None:
            return 0
        sizes = np.diff(self.starts)
        return int((sizes * (sizes - 1) // 2).sum(dtype=object)) if len(sizes) else 0

    def spelled_out(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """members and starts, the latter also where every code stands in one row."""
        starts = np.arange(len(self) + 1, dtype=np.int64) if self.starts is None else self.starts
        return self.members, starts


def _order_of_bits(n_bits: int) -> NDArray[np.intp]:
    """A fixed shuffle: neighbouring bits of a perceptual hash hang together, which makes uneven
    buckets.
    """
    return np.random.default_rng(64).permutation(n_bits)


@lru_cache
def _permutation_table(words: int) -> NDArray[np.uint64]:
    """Where the bits of each value of each byte go: shape (8 * words, 256, words)."""
    return _table(_order_of_bits(64 * words), words)


@lru_cache
def _inverse_table(words: int) -> NDArray[np.uint64]:
    return _table(np.argsort(_order_of_bits(64 * words)), words)


def _table(place: NDArray[np.intp], words: int) -> NDArray[np.uint64]:
    table = np.zeros((8 * words, 256, words), np.uint64)
    values = np.arange(256, dtype=np.uint64)
    for bit in range(64 * words):
        word, shift = divmod(int(place[bit]), 64)
        table[bit // 8, :, word] |= ((values >> np.uint64(bit % 8)) & np.uint64(1)) << np.uint64(
            shift
        )

    return table


def empty_planes(words: int, n: int) -> NDArray[np.uint64]:
    """Room for n codes and the padding that kernels may read."""
    planes = np.empty((words, n + kernels.PADDING), np.uint64)
    planes[:, n:] = 0
    return planes


def permuted(codes: NDArray[np.uint64], crew: Crew | None = None) -> NDArray[np.uint64]:
    """Codes (n, words) as planes, their bits in the fixed order in which bands take them.

    Distances stay what they are. One code can be made in the calling thread: without a crew.
    """
    codes = np.ascontiguousarray(codes)
    n, words = codes.shape
    planes, table = empty_planes(words, n), _permutation_table(words)

    if crew is None:
        kernels.permute(codes, table, 0, n, planes)
    else:
        parts = spans(n, 1 + n // _ROWS_A_TASK * crew.threads)
        crew.run(kernels.permute, [(codes, table, first, last, planes) for first, last in parts])

    return planes


def unpermuted(planes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The inverse of `permuted`: codes (n, words)."""
    words, n = planes.shape[0], planes.shape[1] - kernels.PADDING
    out = np.empty((words, n + kernels.PADDING), np.uint64)
    codes = np.ascontiguousarray(planes[:, :n].T)
    kernels.permute(codes, _inverse_table(words), 0, n, out)

    return np.ascontiguousarray(out[:, :n].T)


def collapse(codes: NDArray[np.uint64], crew: Crew) -> Distinct:
    """The different codes, equal ones found in linear time by hashing; the rows of each are
    kept.
    """
    n = len(codes)
    planes = permuted(codes, crew)
    width = min(24, max(0, (n // _CODES_A_BUCKET).bit_length()))
    side = sort_into_buckets(planes, n, HASHED, width, crew)
    leaders = np.empty(n, np.uint32)
    tasks = 1 + n // _ROWS_A_TASK * crew.threads
    crew.run(
        kernels.find_leaders,
        [
            (side.planes, side.offsets, first, last, leaders)
            for first, last in spans(1 << width, tasks)
        ],
    )
    counts = crew.run(
        kernels.count_leaders, [(leaders, first, last) for first, last in spans(n, tasks)]
    )
    if sum(counts) == n:
        return Distinct(side.planes, side.ids, None)

    return _grouped(side, leaders, sum(counts), crew)


def _grouped(
    side: kernels.Side, leaders: NDArray[np.uint32], n_distinct: int, crew: Crew
) -> Distinct:
    whole = [(0, len(leaders))]
    groups, members = np.empty(len(leaders), np.uint32), np.empty(len(leaders), np.uint32)
    sizes, state = np.zeros(n_distinct, np.int64), np.zeros(1, np.int64)
    in_steps(
        crew,
        whole,
        lambda _, first, last: kernels.number_groups(leaders, first, last, groups, sizes, state),
    )
    starts = bucket_offsets(sizes)
    cursors, planes = starts[:-1].copy(), empty_planes(len(side.planes), n_distinct)
    in_steps(
        crew,
        whole,
        lambda _, first, last: kernels.gather_groups(
            groups, leaders, side.ids, side.planes, first, last, cursors, members, planes
        ),
    )

    return Distinct(planes, members, starts)
