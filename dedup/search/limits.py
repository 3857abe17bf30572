"""Ends a search that cannot be finished, early and with a word on what could be."""

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.search.codes import Distinct
from dedup.search.plans import memory_of
from dedup.search.sample import Degrees, degrees


def available_memory() -> int:
    """Bytes that the machine can give to this process without swapping; no bound where nobody
    says.
    """
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sys.maxsize


def check_memory(codes: NDArray[np.uint64], other: NDArray[np.uint64] | None, threads: int) -> None:
    """Raises `LimitError` before anything is allocated if the search would not fit in memory."""
    n, words = codes.shape
    n_other = None if other is None else len(other)
    widest = max(n, n_other or 0).bit_length()
    needed = memory_of(n, n_other, words, min(widest, 24), threads)
    available = available_memory()
    if needed > available:
        rows = n + (n_other or 0)
        message = (
            f"Searching {rows:,} codes of {64 * words} bits needs about {needed / 2**30:.1f} GB of"
            f" memory besides the codes, and {available / 2**30:.1f} GB are free. Search fewer"
            " codes at a time, or shorter ones."
        )
        raise LimitError(message)


def check_sample(
    left: Distinct, right: Distinct | None, max_distance: int, limit: int | None
) -> float:
    """Pairs of rows to expect. Raises `LimitError` if already clear that there are more than
    `limit`.
    """
    equal = left.equal_pairs if right is None else 0
    sample = degrees(left, right, max_distance)
    if limit is not None and equal + sample.at_least() > limit:
        raise _too_many(
            sample, equal, left.words, max_distance, limit, "at least", equal + sample.at_least()
        )
    return equal + float(sample.rows.sum()) * sample.scale


def passed(left: Distinct, right: Distinct | None, max_distance: int, limit: int) -> LimitError:
    """The error for a search that has found more than `limit` pairs."""
    equal = left.equal_pairs if right is None else 0
    return _too_many(
        degrees(left, right, max_distance),
        equal,
        left.words,
        max_distance,
        limit,
        "more than",
        limit,
    )


def _too_many(
    sample: Degrees, equal: int, words: int, max_distance: int, limit: int, bound: str, pairs: float
) -> LimitError:
    expected = equal + np.cumsum(sample.by_distance) * sample.scale
    # An estimate from few matches is off by a factor of two at times; all matches leave nothing to
    # chance.
    fitting = np.flatnonzero(expected * (1 if sample.complete else 2) <= limit)
    fitting = fitting[fitting < max_distance]
    if len(fitting):
        d = int(fitting[-1])
        advice = (
            f"max_distance {d} fits, with {'' if sample.complete else 'about '}{expected[d]:,.0f}"
            " pairs"
        )
    else:
        advice = "Not even max_distance 0 fits"
    return LimitError(
        f"There are {bound} {pairs:,.0f} pairs within {max_distance} of {64 * words} bits, and the"
        f" limit is {limit:,}. {advice}; lower the distance or raise the limit."
    )
