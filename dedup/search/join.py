"""The join: codes in, every pair within a distance out, by whichever finder is named."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.errors import ConfigError, LimitError
from dedup.search import brute

Progress = Callable[[float], None]
"""Called now and then with the share of the work done, in [0, 1], never decreasing."""

MAX_PAIRS = 100_000_000
"""What `find_pairs` returns at the most: 1.8 GB of columns."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of rows within the distance, sorted by (a, b), each once."""

    a: NDArray[np.int64]  # row in the first codes
    b: NDArray[np.int64]  # row in the second codes; in a self-join a < b
    distance: NDArray[np.uint16]  # bits that differ

    def __len__(self) -> int:
        return len(self.a)


def pack(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Codes of n bytes as rows of 64-bit words, shape (n, n_bytes // 8), for the kernels."""
    if codes.dtype != np.uint8 or codes.ndim != 2:
        message = f"codes must be a uint8 array of shape (n, n_bytes), not {codes.dtype} of shape {codes.shape}."
        raise ConfigError(message)
    n_bytes = codes.shape[1]
    if n_bytes == 0 or n_bytes % 8:
        message = f"codes must be a multiple of 8 bytes (64 bits) wide, not {n_bytes}."
        raise ConfigError(message)
    return np.ascontiguousarray(codes).view(np.uint64)


def join(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None = None,
    *,
    max_distance: int,
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Matches:
    """Every pair of rows whose codes differ in at most `max_distance` bits.

    `codes` has shape (n, words), `other` (m, words): with it rows of `codes` are paired with rows of `other`,
    without it rows of `codes` with each other, a < b. The result is the same for any number of threads.
    Raises `LimitError` as soon as more than `limit` pairs are found.
    """
    for name, words in (("codes", codes), ("other", other)):
        if words is not None and (words.dtype != np.uint64 or words.ndim != 2):
            message = f"{name} must be a uint64 array of shape (n, words), not {words.dtype} of shape {words.shape}."
            raise ConfigError(message)
    if other is not None and other.shape[1] != codes.shape[1]:
        message = f"codes are {64 * codes.shape[1]} bits wide and other {64 * other.shape[1]}: they cannot be compared."
        raise ConfigError(message)
    n_bits = 64 * codes.shape[1]
    if not 0 <= max_distance <= n_bits:
        message = f"max_distance must be between 0 and {n_bits} bits, not {max_distance!r}."
        raise ConfigError(message)
    a, b, distance = brute.join(
        codes, other, max_distance, limit, threads or os.cpu_count() or 1, progress or (lambda share: None)
    )
    if len(a) > limit:
        message = (
            f"The search passed its limit of {limit:,} pairs within {max_distance} of {n_bits} bits. "
            f"Lower the distance or raise the limit."
        )
        raise LimitError(message)
    return Matches(a, b, distance)


def find_pairs(
    codes: NDArray[np.uint8],
    other: NDArray[np.uint8] | None = None,
    *,
    max_distance: int,
    limit: int = MAX_PAIRS,
) -> pa.Table:
    """All pairs of codes within `max_distance` bits (inclusive), exactly.

    `codes`: uint8, shape (n, n_bytes), n_bytes a multiple of 8. Without `other` the codes are paired with each other
    (a < b); with it a is a row of `codes` and b a row of `other`. Returns a table with columns a, b (int64) and
    distance (uint16), sorted by (a, b). Raises `LimitError` when there are more than `limit` pairs.

    >>> codes = np.array([[0] * 8, [0] * 7 + [3], [255] * 8], dtype=np.uint8)
    >>> find_pairs(codes, max_distance=2).to_pylist()
    [{'a': 0, 'b': 1, 'distance': 2}]
    """
    found = join(pack(codes), None if other is None else pack(other), max_distance=max_distance, limit=limit)
    return pa.table({"a": found.a, "b": found.b, "distance": found.distance})
