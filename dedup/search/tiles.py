"""A join cut into tiles, block × block, that can be done anywhere and in any order.

Each pair of rows is in exactly one tile, so that the tiles together give the pairs of one join.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.errors import ConfigError, LimitError
from dedup.search.index import Index
from dedup.search.matches import MAX_PAIRS, Matches

Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Rows first_a .. last_a - 1 of one side against first_b .. last_b - 1 of the other."""

    first_a: int
    last_a: int
    first_b: int
    last_b: int
    within: bool  # both sides are the same rows of the same codes: each pair once


def tiles(n: int, n_other: int | None, rows: int) -> Iterator[Tile]:
    """The tiles of a join of n rows with each other (`n_other` None) or with those of another side.

    `rows`: rows of a block, at least 1.
    """
    if rows < 1:
        message = f"A block of a tile needs at least 1 row, not {rows!r}."
        raise ConfigError(message)

    within = n_other is None
    for first in range(0, n, rows):
        last = min(first + rows, n)
        for other in range(first if within else 0, n if n_other is None else n_other, rows):
            end = min(other + rows, n if n_other is None else n_other)
            yield Tile(first, last, other, end, within and other == first)


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
