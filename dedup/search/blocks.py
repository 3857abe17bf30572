"""A join cut into tiles, block × block. Each pair of rows is in exactly one tile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from dedup.errors import ConfigError

_SPARE_BITS: Final = 3
"""By how many bits the key of a band is narrower than the number of a row."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a join is cut so that a tile of it fits in memory."""

    rows: int  # of a block
    widest: int  # bits of a band's key at most

    @classmethod
    def narrowest(cls, rows: int) -> Self:
        """Blocks of so many rows with buckets of some ten codes: larger tables would take the
        memory of codes, and the fastest plans use buckets of this size anyway.
        """
        return cls(rows, max(4, rows.bit_length() - _SPARE_BITS))


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
