"""Codes sorted by a few of their bits, and which buckets are neighbours."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from dedup.search import kernels
from dedup.search.crew import Crew, spans

# rows between two looks at the stop sign; at first each can touch a page of fresh memory
_ROWS_AT_ONCE = 1 << 16
_ROWS_FOR_THREADS = 1 << 16  # fewer are sorted by one thread
_PAGE = 4096  # bytes; larger pages exist, smaller ones do not

HASHED = -1
"""As the start of a key: bits of a hash of the whole code instead of bits of the code."""


def bucket_offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each bucket begins, and at the end where the last one ends."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def in_steps(
    crew: Crew, parts: list[tuple[int, int]], step: Callable[[int, int, int], None]
) -> None:
    """step(part, first, last) over all parts, each on one thread and in steps short enough for
    Ctrl-C.
    """

    def run(part: int, first: int, last: int) -> None:
        for begin in range(first, last, _ROWS_AT_ONCE):
            if not crew.stopped:
                step(part, begin, min(begin + _ROWS_AT_ONCE, last))

    crew.run(run, [(part, first, last) for part, (first, last) in enumerate(parts)])


def bucket_sizes(
    planes: NDArray[np.uint64], n: int, start: int, width: int, crew: Crew
) -> NDArray[np.uint32]:
    """Sizes of the buckets, one row for each thread's span of the codes: shape (parts,
    2**width).
    """
    parts = spans(n, crew.threads if n > _ROWS_FOR_THREADS else 1)
    sizes = np.zeros((len(parts), 1 << width), np.uint32)
    in_steps(
        crew,
        parts,
        lambda part, first, last: kernels.count_keys(
            planes, first, last, start, width, sizes[part]
        ),
    )

    return sizes


def _fresh(
    planes: NDArray[np.uint64], n: int, crew: Crew
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Room for the sorted codes and their ids, every page of it already there.

    The system clears a page when it is first written to. Sorting writes all over the place, so
    without this its first step would wait until all of the memory is cleared.
    """
    to, ids = np.empty_like(planes), np.empty(n, np.uint32)
    to[:, n:] = 0

    def touch(_: int, first: int, last: int) -> None:
        to[:, first : last : _PAGE // to.itemsize] = 0
        ids[first : last : _PAGE // ids.itemsize] = 0

    in_steps(crew, spans(n, crew.threads if n > _ROWS_FOR_THREADS else 1), touch)

    return to, ids


def sort_into_buckets(
    planes: NDArray[np.uint64],
    n: int,
    start: int,
    width: int,
    crew: Crew,
    reuse: kernels.Side | None = None,
) -> kernels.Side:
    """The first n codes of the planes, sorted stably by their bits start .. start + width - 1.

    In linear time. `reuse`: a side of as many codes that is no longer needed; fresh memory costs
    more than the sorting.
    """
    sizes = bucket_sizes(planes, n, start, width, crew)
    offsets = bucket_offsets(sizes.sum(axis=0, dtype=np.int64))
    # Each part writes behind the parts before it, so the order does not depend on who is faster.
    cursors = np.cumsum(sizes, axis=0, dtype=np.uint32)
    cursors -= sizes
    cursors += offsets[:-1].astype(np.uint32)

    if reuse is None or reuse.planes is planes:
        to, ids = _fresh(planes, n, crew)
    else:
        to, ids = reuse.planes, reuse.ids

    parts = spans(n, len(sizes))
    in_steps(
        crew,
        parts,
        lambda part, first, last: kernels.scatter(
            planes, first, last, start, width, cursors[part], to, ids
        ),
    )
    if len(planes) > 1:
        in_steps(crew, parts, lambda _, first, last: kernels.gather(planes, ids, first, last, to))

    return kernels.Side(to, ids, offsets)


def neighbour_masks(width: int, radius: int) -> NDArray[np.int64]:
    """Differences between the numbers of buckets whose keys differ in at most `radius` bits,
    ascending.
    """
    masks = [
        sum(1 << bit for bit in bits)
        for q in range(radius + 1)
        for bits in combinations(range(width), q)
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

    return np.asarray(layers.sum(axis=0))
