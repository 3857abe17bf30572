"""Found pairs in order: sorted by (a, b), whatever the order in which threads found them."""

import numpy as np

from dedup.search.crew import Crew
from dedup.search.scan import Keys

_KEYS_A_SLICE = 1 << 21  # pairs sorted by one task: a tenth of a second


def in_order(parts: list[Keys], n_rows: int, crew: Crew) -> Keys:
    """All parts as one sorted array; empties the list as it goes, so that memory stays at one copy."""
    total = sum(len(part) for part in parts)
    slices = max(1, total // _KEYS_A_SLICE)
    sizes = np.zeros(slices, np.int64)
    for part in parts:
        sizes += np.bincount(_slice_of(part, n_rows, slices), minlength=slices)
    ends = np.cumsum(sizes)
    cursors = ends - sizes
    keys = np.empty(total, np.uint64)
    while parts:
        part = parts.pop()
        if slices == 1:
            keys[cursors[0] : cursors[0] + len(part)] = part
            cursors[0] += len(part)
            continue
        number = _slice_of(part, n_rows, slices)
        order = np.argsort(number, kind="stable")
        counts = np.bincount(number, minlength=slices)
        taken = part[order]
        begin = 0
        for k in np.flatnonzero(counts).tolist():
            keys[cursors[k] : cursors[k] + counts[k]] = taken[begin : begin + counts[k]]
            cursors[k] += counts[k]
            begin += counts[k]
    crew.run(
        lambda first, last: keys[first:last].sort(),
        list(zip((ends - sizes).tolist(), ends.tolist(), strict=True)),
    )
    return keys


def _slice_of(keys: Keys, n_rows: int, slices: int) -> np.ndarray:
    """Number of the slice of each pair, by its first row."""
    return ((keys >> np.uint64(32)) * np.uint64(slices) // np.uint64(max(1, n_rows))).astype(
        np.int16 if slices < 1 << 15 else np.int64
    )
