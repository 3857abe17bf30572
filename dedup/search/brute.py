"""Blocked brute force: the reference that every other finder must equal, and the path for small data."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dedup.search.popcount import popcount

_TILE = 2048  # codes of one tile: 16 KB of 64-bit words, which stay in the first-level cache
_ROWS = 4096  # rows of one task: large enough to hide the call, small enough to stop and to report often


@njit(nogil=True, cache=True)
def _rows_against(codes: Any, other: Any, first: int, last: int, within: bool, t: int, room: int) -> Any:
    """Pairs of rows first..last-1 of codes with other (or, `within`, with later rows), at most `room` + 1 of them."""
    words = codes.shape[1]
    m = other.shape[0]
    a = np.empty(1024, np.int64)
    b = np.empty(1024, np.int64)
    d = np.empty(1024, np.uint16)
    n = 0
    for start in range(first + 1 if within else 0, m, _TILE):
        stop = min(start + _TILE, m)
        for i in range(first, last):
            begin = max(start, i + 1) if within else start
            hits = 0
            if words == 1:
                x = codes[i, 0]
                column = other[:, 0]
                for j in range(begin, stop):
                    hits += popcount(x ^ column[j]) <= t
            else:
                for j in range(begin, stop):
                    distance = np.uint64(0)
                    for w in range(words):
                        distance += popcount(codes[i, w] ^ other[j, w])
                    hits += distance <= t
            if hits == 0:
                continue
            for j in range(begin, stop):
                distance = np.uint64(0)
                for w in range(words):
                    distance += popcount(codes[i, w] ^ other[j, w])
                if distance <= t:
                    if n == len(a):
                        a = np.concatenate((a, np.empty(n, np.int64)))
                        b = np.concatenate((b, np.empty(n, np.int64)))
                        d = np.concatenate((d, np.empty(n, np.uint16)))
                    a[n] = i
                    b[n] = j
                    d[n] = distance
                    n += 1
                    if n > room:
                        return a[:n], b[:n], d[:n]
    return a[:n], b[:n], d[:n]


def join(
    codes: NDArray[np.uint64],
    other: NDArray[np.uint64] | None,
    max_distance: int,
    limit: int,
    threads: int,
    progress: Callable[[float], None],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint16]]:
    """Pairs within the distance, sorted; a little more than `limit` of them where there are more."""
    codes = np.ascontiguousarray(codes)
    against = codes if other is None else np.ascontiguousarray(other)
    n, m = len(codes), len(against)
    starts = range(0, n, _ROWS)
    parts = []
    found = 0
    done = 0.0
    total = max(1.0, n * (n - 1) / 2 if other is None else float(n) * m)
    with ThreadPoolExecutor(threads) as pool:
        tasks = [
            pool.submit(_rows_against, codes, against, s, min(s + _ROWS, n), other is None, max_distance, limit)
            for s in starts
        ]
        try:
            for start, task in zip(starts, tasks, strict=True):
                part = task.result()
                found += len(part[0])
                parts.append(part)
                rows = min(start + _ROWS, n) - start
                done += rows * (n - start - (rows + 1) / 2) if other is None else rows * float(m)
                progress(done / total)
                if found > limit:
                    break
        finally:
            for task in tasks:
                task.cancel()
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint16)
    a, b, d = (np.concatenate([part[k] for part in parts]) for k in range(3))
    order = np.lexsort((b, a))
    return a[order], b[order], d[order]
