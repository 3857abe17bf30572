"""What the steps of a search cost on this machine, measured once in a process, in a few
milliseconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from dedup.search import kernels
from dedup.search.buckets import bucket_offsets, neighbour_masks

_KEY_BITS = 9
_CODES = 1 << 12
_FAR_BYTES = 1 << 25
_CACHED_BYTES = 1 << 21  # the second-level cache of today's server cores


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds on one core."""

    block: float  # to compare ROWS codes with LANES others, in a long run of them
    visit: float  # to look up one neighbouring bucket
    group: float  # to begin with ROWS rows on a bucket
    move: float  # to put one code into its bucket


_REPEATS = 15
"""Of runs of a tenth of a millisecond: on a busy machine most of them are interrupted, and with
three a plan came out that took five times as long.
"""


def _best(run: Callable[[], object], repeats: int = _REPEATS) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)

    return min(seconds)


def _scanned(
    side: kernels.Side, width: int, masks: np.ndarray, prefix: int
) -> Callable[[], object]:
    bands = np.array([[0, width, 0]], np.int64)
    within = True
    out = np.empty(2 * kernels.EMITTED_AT_ONCE, np.uint64)

    def run() -> object:
        state = np.zeros(4, np.int64)
        return kernels.scan(
            side, side, bands, 0, masks, within, 0, prefix, len(side.ids), state, out
        )

    run()

    return run


@cache
def measured(words: int, prefix: int) -> Costs:
    """The costs for codes of so many 64-bit words of which the first `prefix` are compared
    first.
    """
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 2**64, (words, _CODES + kernels.PADDING), dtype=np.uint64)
    keys = np.arange(_CODES, dtype=np.uint64) >> np.uint64(_CODES.bit_length() - 1 - _KEY_BITS)
    low = np.uint64((1 << _KEY_BITS) - 1)
    planes[0, :_CODES] = (planes[0, :_CODES] & ~low) | keys
    ids = np.arange(_CODES, dtype=np.uint32)
    whole = kernels.Side(planes, ids, np.array([0, _CODES], np.int64))
    block = _best(_scanned(whole, 0, neighbour_masks(0, 0), prefix)) / (
        _CODES * (_CODES + 1) / 2 / (kernels.ROWS * kernels.LANES)
    )
    bucketed = kernels.Side(
        planes, ids, bucket_offsets(np.bincount(keys.astype(np.int64), minlength=1 << _KEY_BITS))
    )
    masks = neighbour_masks(_KEY_BITS, 1)
    visits = (1 << _KEY_BITS) * (len(masks) + 1) / 2
    one_visit = max(
        _best(_scanned(bucketed, _KEY_BITS, masks, prefix)) / visits - block, 0.2 * block
    )

    return Costs(block, one_visit / 2, one_visit / 2, _move(words))


@cache
def _move(words: int) -> float:
    rng = np.random.default_rng(0)
    n = 1 << 15
    planes = rng.integers(0, 2**64, (words, n), dtype=np.uint64)
    to, ids = np.empty_like(planes), np.empty(n, np.uint32)
    width = 10
    counts = np.zeros(1 << width, np.uint32)
    kernels.count_keys(planes, 0, n, 0, width, counts)
    begin = (np.cumsum(counts) - counts).astype(np.uint32)

    def run() -> None:
        kernels.scatter(planes, 0, n, 0, width, begin.copy(), to, ids)
        if words > 1:
            kernels.gather(planes, ids, 0, n, to)

    return _best(run) / n


@cache
def _miss() -> float:
    """Seconds to touch memory that is in no cache, several such touches in flight."""
    far = np.ones(_FAR_BYTES // 8, np.uint64)  # ones: zeros would all be one and the same page
    places = np.random.default_rng(0).integers(0, len(far), 1 << 14)
    return _best(lambda: far.take(places), 1) / len(places)


def misses(n: int, words: int) -> float:
    """Seconds for touching one code at random among n, whose share outside the cache grows with
    n.
    """
    n_bytes = 8 * n * words
    return _miss() * (1 - _CACHED_BYTES / n_bytes) if n_bytes > _CACHED_BYTES else 0.0
