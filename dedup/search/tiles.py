"""Tiles as tasks: each can be done anywhere and in any order, and together they give the pairs of
one join.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.search.blocks import Tile, tiles
from dedup.search.index import Index
from dedup.search.matches import MAX_PAIRS, Matches

__all__ = ["Tile", "pairs_of", "tiles", "united"]

Codes = NDArray[np.uint64]


def pairs_of(
    tile: Tile, codes: Codes, other: Codes | None, *, max_distance: int, threads: int | None = None
) -> Matches:
    """Pairs of one tile, by the rows of the whole sides. `codes`, `other`: all rows, (n, words)."""
    index = Index.build(
        codes[tile.first_a : tile.last_a], max_distance=max_distance, threads=threads
    )
    if tile.within:
        found = index.pairs(max_distance=max_distance, threads=threads)
        return Matches(found.a + tile.first_a, found.b + tile.first_a, found.distance)

    side = codes if other is None else other
    new = side[tile.first_b : tile.last_b]
    found = index.query(new, max_distance=max_distance, threads=threads)

    return Matches(found.b + tile.first_a, found.a + tile.first_b, found.distance)


def united(parts: Iterable[Matches], *, limit: int = MAX_PAIRS) -> Matches:
    """The pairs of all tiles, sorted by (a, b) as those of one join."""
    found = list(parts)
    a = np.concatenate([np.empty(0, np.int64), *(part.a for part in found)])
    b = np.concatenate([np.empty(0, np.int64), *(part.b for part in found)])
    distance = np.concatenate([np.empty(0, np.uint16), *(part.distance for part in found)])
    if len(a) > limit:
        message = f"The tiles have {len(a):,} pairs, and the limit is {limit:,}."
        raise LimitError(message)

    order = np.lexsort((b, a))

    return Matches(a[order], b[order], distance[order])
