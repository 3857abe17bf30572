"""The same search by other tools, timed on a part where the whole would take hours."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from benchmarks.codes import Codes
from dedup.search import kernels

_PATIENCE = 4.0  # seconds for one measurement of a peer


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a whole job."""

    seconds: float | None  # None: not measured
    measured: float = 1.0  # share of the job that was run; the rest is extrapolated
    note: str = ""

    def __str__(self) -> str:
        if self.seconds is None:
            return self.note
        return f"{'' if self.measured == 1 else '~'}{short(self.seconds)}{self.note}"


def short(seconds: float) -> str:
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def in_part(search: Callable[[Codes], object], queries: Codes, first: int) -> Timing:
    """Runs ever more queries until that takes long enough to tell, then scales up."""
    n = min(first, len(queries))
    while True:
        seconds = timed(lambda n=n: search(queries[:n]))  # type: ignore[misc]
        if n == len(queries) or seconds > _PATIENCE / 4:
            return Timing(seconds * len(queries) / n, n / len(queries))
        n = min(len(queries), n * 4)


def bytes_of(codes: Codes) -> Any:
    return np.ascontiguousarray(codes).view(np.uint8)


def faiss_flat(codes: Codes, other: Codes | None, t: int, threads: int) -> Timing:
    try:
        import faiss
    except ImportError:
        return Timing(None, note="faiss is missing")
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexBinaryFlat(64 * codes.shape[1])
    # In a cross-join the smaller side asks, which is how one would do it.
    queries, stored = (codes, codes) if other is None else sorted((codes, other), key=len)
    index.add(bytes_of(stored))
    return in_part(partial(_range_search, index, t), queries, 64)


def faiss_multihash(codes: Codes, other: Codes | None, t: int, threads: int) -> Timing:
    """The fastest of the exact settings: `hashes` parts with up to `flips` flips, where hashes *
    (flips + 1) > t.
    """
    try:
        import faiss
    except ImportError:
        return Timing(None, note="faiss is missing")
    faiss.omp_set_num_threads(threads)
    queries, stored = (codes, codes) if other is None else sorted((codes, other), key=len)
    n_bits = 64 * codes.shape[1]
    best = Timing(None, note="none in time")
    for radius in (0, 1, 2):
        hashes = t // (radius + 1) + 1
        width = min(n_bits // hashes, len(stored).bit_length() + 2)
        if width < 8:
            continue
        index = faiss.IndexBinaryMultiHash(n_bits, hashes, width)
        index.nflip = radius
        index.add(bytes_of(stored))
        found = in_part(partial(_range_search, index, t), queries, 8)
        if best.seconds is None or (found.seconds or 0) < best.seconds:
            best = Timing(
                found.seconds, found.measured, f" ({hashes}×{width} bits, {radius} flips)"
            )
    return best


def _range_search(index: Any, t: int, part: Codes) -> object:
    return index.range_search(bytes_of(part), t + 1)  # faiss leaves the radius itself out


def numpy_loop(codes: Codes, other: Codes | None, t: int, threads: int) -> Timing:
    stored = codes if other is None else other

    def row(code: Codes) -> int:
        return int((np.bitwise_count(stored ^ code).sum(axis=1, dtype=np.uint16) <= t).sum())

    def search(part: Codes) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(row, part))

    found = in_part(search, codes, 4)
    # A self-join needs half of the rows' comparisons.
    return Timing((found.seconds or 0) / (2 if other is None else 1), found.measured)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count(codes: Any, t: Any, rounds: Any) -> Any:
    total = np.uint64(0)
    for _ in range(rounds):
        for i in range(len(codes)):
            x = codes[i]
            hits = np.uint64(0)
            for j in range(len(codes)):
                hits += np.uint64(kernels.popcount(x ^ codes[j]) <= t)
            total += hits
    return total


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _minima(planes: Any, rounds: Any) -> Any:
    total = np.uint64(0)
    n = planes.shape[1] - kernels.PADDING
    for _ in range(rounds):
        for i in range(0, n, kernels.ROWS):
            total += kernels.least_distance(planes, i, planes, 0, n // kernels.LANES, 1)
    return total


def _on_all(pool: ThreadPoolExecutor, run: Callable[[object], object], threads: int) -> None:
    list(pool.map(run, range(threads)))


def counting_rate(threads: int, t: int = 8) -> tuple[float, float]:
    """Pairs a second of loops over codes in the first-level cache, on all threads, which keep no
    pairs.

    The first is a plain loop that counts, as LLVM makes it; the second takes minima as the search
    does.
    """
    codes = np.random.default_rng(0).integers(
        0, 2**64, (1, 2048 + kernels.PADDING), dtype=np.uint64
    )
    rounds = 200
    work: list[Callable[[object], object]] = [
        lambda _: _count(codes[0, :2048], np.uint64(t), rounds),
        lambda _: _minima(codes, rounds),
    ]
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for run in work:
            run(0)
            seconds = min(timed(partial(_on_all, pool, run, threads)) for _ in range(5))
            rates.append(threads * rounds * 2048**2 / seconds)
    return rates[0], rates[1]
