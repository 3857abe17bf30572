"""Distances summed over several hashes.

Codes laid side by side are one code whose distance is the sum of theirs. So the join finds every pair within a sum
exactly, as it does with any other hash; a pair that is a little too far away in each of two hashes is found by both
together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]


def with_total(
    codes: Sequence[Codes], max_distance: Sequence[int], max_total_distance: int | None
) -> tuple[list[Codes], list[int]]:
    """The hashes with their distances and, where a total is given, all of them together as one more hash.

    `codes`: arrays (n, words) of the same rows, one for each hash. Joined with `any`, a pair needs one of the distances
    or the total; with `all` every one of them and the total.
    """
    if max_total_distance is None:
        return list(codes), list(max_distance)
    return [*codes, together(codes)], [*max_distance, max_total_distance]


def together(codes: Sequence[Codes]) -> Codes:
    """Codes of all hashes side by side, shape (n, sum of the words)."""
    return np.ascontiguousarray(np.concatenate(list(codes), axis=1))
