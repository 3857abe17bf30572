"""Distances summed over several hashes.

Codes laid side by side are one code whose distance is the sum of theirs. So the join finds every
pair within a sum exactly, as it does with any other hash; a pair that is a little too far away in
each of two hashes is found by both together.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dedup.config import TOTAL

Codes = NDArray[np.uint64]


def with_total(
    codes: Sequence[Codes], names: Sequence[str], max_distance: Mapping[str, int]
) -> tuple[list[Codes], list[int]]:
    """The hashes and their distances and, where `max_distance` has a total, all of them together as
    the last one.

    `codes`: arrays (n, words) of the same rows, one for each of `names`. Joined with `any`, a pair
    needs one of the distances or the total; with `all` every one of them and the total.
    """
    distances = [max_distance[name] for name in names]
    if TOTAL not in max_distance:
        return list(codes), distances
    return [*codes, together(codes)], [*distances, max_distance[TOTAL]]


def together(codes: Sequence[Codes]) -> Codes:
    """Codes of all hashes side by side, shape (n, sum of the words)."""
    return np.ascontiguousarray(np.concatenate(list(codes), axis=1))
