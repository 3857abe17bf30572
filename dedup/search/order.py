"""Found pairs in order: sorted by (a, b), whatever the order in which threads found them."""

import numpy as np

from dedup.search import kernels
from dedup.search.crew import Crew
from dedup.search.scan import Keys

_KEYS_A_SLICE = 1 << 21  # pairs sorted by one task: a tenth of a second


def in_order(parts: list[Keys], n_rows: int, crew: Crew) -> Keys:
    """All parts as one sorted array; empties the list as it goes, so that memory stays at one
    copy.
    """
    total = sum(len(part) for part in parts)
    n_slices = total // _KEYS_A_SLICE
    if n_slices <= 1:
        keys = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        parts.clear()
        keys.sort()
        return keys

    sizes = np.zeros(n_slices, np.int64)
    for part in parts:
        kernels.count_slices(part, n_rows, sizes)

    ends = np.cumsum(sizes)
    cursors = ends - sizes
    keys = np.empty(total, np.uint64)
    while parts:
        kernels.move_to_slices(parts.pop(), n_rows, cursors, keys)

    slices = list(zip((ends - sizes).tolist(), ends.tolist(), strict=True))
    crew.run(lambda first, last: keys[first:last].sort(), slices)

    return keys
