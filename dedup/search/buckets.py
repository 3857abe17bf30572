"""Codes sorted by a few of their bits, and which buckets are neighbours."""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from dedup.search import kernels
from dedup.search.crew import Crew, spans

_ROWS_AT_ONCE = 1 << 22  # rows between two looks at the stop sign

HASHED = -1
"""As the start of a key: bits of a hash of the whole code instead of bits of the code."""


def bucket_offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each bucket begins, and at the end where the last one ends."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def bucket_sizes(planes: NDArray[np.uint64], n: int, start: int, width: int, crew: Crew) -> NDArray[np.uint32]:
    """Sizes of the buckets, one row for each thread's span of the codes: shape (parts, 2**width)."""
    parts = spans(n, crew.threads if n > 1 << 16 else 1)
    sizes = np.zeros((max(1, len(parts)), 1 << width), np.uint32)

    def count(part: int, first: int, last: int) -> None:
        for begin in range(first, last, _ROWS_AT_ONCE):
            if crew.stopped:
                return
            kernels.count_keys(planes, begin, min(begin + _ROWS_AT_ONCE, last), start, width, sizes[part])

    crew.run(count, [(part, first, last) for part, (first, last) in enumerate(parts)])
    return sizes


def sort_into_buckets(
    planes: NDArray[np.uint64], n: int, start: int, width: int, crew: Crew, seconds: float = 0.0
) -> kernels.Side:
    """The first n codes of the planes sorted by their bits start .. start + width - 1; stable, in linear time."""
    sizes = bucket_sizes(planes, n, start, width, crew)
    offsets = bucket_offsets(sizes.sum(axis=0, dtype=np.int64))
    # Each part writes behind the parts before it, so the order does not depend on who is faster.
    cursors = np.cumsum(sizes, axis=0, dtype=np.uint32) - sizes
    cursors += offsets[:-1].astype(np.uint32)
    to = np.empty_like(planes)
    to[:, n:] = 0
    ids = np.empty(n, np.uint32)

    def move(part: int, first: int, last: int) -> None:
        for begin in range(first, last, _ROWS_AT_ONCE):
            if crew.stopped:
                return
            kernels.scatter(
                planes, begin, min(begin + _ROWS_AT_ONCE, last), start, width, cursors[part], to, ids
            )

    crew.run(move, [(part, first, last) for part, (first, last) in enumerate(spans(n, len(sizes)))], seconds)
    return kernels.Side(to, ids, offsets)


def neighbour_masks(width: int, radius: int) -> NDArray[np.int64]:
    """All differences between the numbers of buckets whose keys differ in at most `radius` bits, ascending."""
    masks = [
        sum(1 << bit for bit in bits) for q in range(radius + 1) for bits in combinations(range(width), q)
    ]
    return np.sort(np.array(masks, np.int64))


def n_neighbours(width: int, radius: int) -> int:
    """Size of the ball of that radius."""
    return sum(comb(width, q) for q in range(min(width, radius) + 1))


def near_sums(weights: NDArray[np.float64], width: int, radius: int) -> NDArray[np.float64]:
    """For every bucket the sum of the weights of its neighbours, itself included."""
    if radius == 0:
        return weights
    layers = np.zeros((radius + 1, 1 << width), np.float64)
    layers[0] = weights
    kernels.sum_of_neighbours(layers, width)
    return layers.sum(axis=0)
