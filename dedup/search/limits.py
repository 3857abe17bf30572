"""What a search may take, and its end where it cannot be finished: early, and with a word on what
could be.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.memory import allowed_memory
from dedup.search.blocks import Blocks
from dedup.search.codes import Distinct
from dedup.search.plans import memory_of, memory_of_tile
from dedup.search.sample import Degrees, degrees

_FEWEST_ROWS: Final = 1 << 12
"""Of a block: below it a tile costs more to begin than to search."""


def blocks_of(
    codes: NDArray[np.uint64], other: NDArray[np.uint64] | None, threads: int
) -> Blocks | None:
    """The largest blocks whose tiles fit into the memory; None where one join does.

    Raises `LimitError`, before anything is allocated, where not even small ones fit.
    """
    n, words = codes.shape
    n_other = None if other is None else len(other)
    most = max(n, n_other or 0)
    allowed = allowed_memory()
    if memory_of(n, n_other, words, min(most.bit_length(), 24), threads) <= allowed:
        return None

    for n_blocks in range(1, 1 + -(-most // _FEWEST_ROWS)):
        blocks = Blocks.narrowest(-(-most // n_blocks))
        if memory_of_tile(blocks.rows, words, blocks.widest, threads) <= allowed:
            return blocks

    needed = memory_of_tile(_FEWEST_ROWS, words, 4, threads)
    message = (
        f"Searching {n + (n_other or 0):,} codes of {64 * words} bits needs at least"
        f" {needed / 2**20:,.0f} MB of memory besides the codes, even in tiles, and"
        f" {allowed / 2**20:,.0f} MB may be used. Raise engine.memory_total, or search fewer codes"
        " at a time."
    )
    raise LimitError(message)


def check_sample(
    left: Distinct, right: Distinct | None, max_distance: int, limit: int | None
) -> float:
    """Pairs of rows to expect. Raises `LimitError` if already clear that there are more than
    `limit`.
    """
    equal = left.equal_pairs if right is None else 0
    sample = degrees(left, right, max_distance)
    if limit is not None and equal + sample.at_least() > limit:
        raise _too_many(
            sample, equal, left.words, max_distance, limit, "at least", equal + sample.at_least()
        )

    return equal + float(sample.rows.sum()) * sample.scale


def passed(left: Distinct, right: Distinct | None, max_distance: int, limit: int) -> LimitError:
    """The error for a search that has found more than `limit` pairs."""
    equal = left.equal_pairs if right is None else 0
    return _too_many(
        degrees(left, right, max_distance),
        equal,
        left.words,
        max_distance,
        limit,
        "more than",
        limit,
    )


def _too_many(
    sample: Degrees, equal: int, words: int, max_distance: int, limit: int, bound: str, pairs: float
) -> LimitError:
    expected = equal + np.cumsum(sample.by_distance) * sample.scale
    # An estimate from few matches is off by a factor of two at times; all matches leave nothing to
    # chance.
    fitting = np.flatnonzero(expected * (1 if sample.complete else 2) <= limit)
    fitting = fitting[fitting < max_distance]

    if len(fitting):
        d = int(fitting[-1])
        advice = (
            f"max_distance {d} fits, with {'' if sample.complete else 'about '}{expected[d]:,.0f}"
            " pairs"
        )
    else:
        advice = "Not even max_distance 0 fits"

    return LimitError(
        f"There are {bound} {pairs:,.0f} pairs within {max_distance} of {64 * words} bits, and the"
        f" limit is {limit:,}. {advice}; lower the distance or raise the limit."
    )
