"""One search from codes to a sink: collapse, plan, end early if hopeless, carry out.

Where the memory does for the whole it is one join, else it is done in tiles, block against block.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.search.blocks import Blocks, Tile, tiles
from dedup.search.codes import Distinct, collapse
from dedup.search.crew import Crew
from dedup.search.limits import blocks_of, check_sample, passed
from dedup.search.planner import Request, choose
from dedup.search.plans import Plan, memory_of_tile
from dedup.search.sample import COMPARISONS, Degrees, degrees
from dedup.search.scan import Keys, Sink, execute

Codes = NDArray[np.uint64]

_MOST_DRAWN = 1 << 20  # rows, for an estimate: it stays in memory beside the tiles

_ALIKE = 0.25
"""Share by which the numbers of different codes of two tiles may differ for one plan to do for
both.
"""


@dataclass(frozen=True)
class Sides:
    """The one or two sides of a join, collapsed to their different codes; or as they were given,
    where they are searched in tiles.
    """

    codes: Codes
    other: Codes | None
    blocks: Blocks | None  # None: in one piece
    crew: Crew

    @cached_property
    def _whole(self) -> tuple[Distinct, Distinct | None]:
        other = None if self.other is None else collapse(self.other, self.crew)
        return collapse(self.codes, self.crew), other

    @property
    def whole(self) -> tuple[Distinct, Distinct | None]:
        """The different codes of both sides, where they are searched in one piece."""
        return self._whole

    @cached_property
    def drawn(self) -> tuple[Distinct, Distinct | None]:
        """The different codes of every k-th row, for estimates where it is done in tiles."""
        step = self._step
        other = None if self.other is None else collapse(self.other[::step], self.crew)
        return collapse(self.codes[::step], self.crew), other

    @property
    def _step(self) -> int:
        rows = max(len(self.codes), 0 if self.other is None else len(self.other))
        return 1 if self.blocks is None else -(-rows // min(self.blocks.rows, _MOST_DRAWN))

    @property
    def is_empty(self) -> bool:
        """Whether a side has no rows."""
        return len(self.codes) == 0 or (self.other is not None and len(self.other) == 0)

    @property
    def known_equal_pairs(self) -> int:
        """Pairs of rows with equal codes, those that are known before the search."""
        if self.blocks is not None or self.other is not None:
            return 0
        return self.whole[0].equal_pairs

    def sample(self, max_distance: int, comparisons: int = COMPARISONS) -> tuple[Degrees, float]:
        """What some codes match, and the factor by which all rows have more pairs than those that
        were drawn from.
        """
        sides = self.whole if self.blocks is None else self.drawn
        return degrees(*sides, max_distance, comparisons=comparisons), float(self._step) ** 2

    def expected_pairs(self, max_distance: int, limit: int | None) -> float:
        """Pairs of rows to expect. Raises `LimitError` where it is clear that there are more than
        `limit`.
        """
        if self.blocks is None:
            return check_sample(*self.whole, max_distance, limit)

        # Those of the rows drawn are some of all: a bound, and a better one needs all rows.
        among_drawn = check_sample(*self.drawn, max_distance, limit)

        return among_drawn * float(self._step) ** 2

    def plan(self, max_distance: int, finder: str) -> Plan:
        """How they are searched."""
        if self.blocks is None:
            return choose(Request(*self.whole, max_distance, self.crew), finder)
        return _Tiling(self, self.blocks, max_distance, finder, None).plan()


def collapsed(codes: Codes, other: Codes | None, crew: Crew) -> Sides:
    """Both sides ready to be searched. Raises `LimitError` first where memory would not do."""
    sides = Sides(codes, other, blocks_of(codes, other, crew.threads), crew)
    # now, while the crew is there
    _ = sides.whole if sides.blocks is None else sides.drawn
    return sides


def search(
    sides: Sides,
    max_distance: int,
    crew: Crew,
    sink: Sink,
    limit: int | None,
    finder: str = "auto",
    plan: Plan | None = None,
) -> None:
    """Gives every pair of rows within the distance to the sink.

    Raises `LimitError` where there are more than `limit`, by estimate at first and then because the
    sink wants no more.
    """
    if limit is not None:
        sides.expected_pairs(max_distance, limit)

    if sides.blocks is not None:
        _Tiling(sides, sides.blocks, max_distance, finder, plan).search(crew, sink)
    else:
        chosen = plan or choose(Request(*sides.whole, max_distance, crew), finder)
        crew.expected = chosen.seconds
        execute(chosen, *sides.whole, crew, sink)

    if crew.stopped and limit is not None:
        raise _passed(sides, max_distance, limit)


def _passed(sides: Sides, max_distance: int, limit: int) -> LimitError:
    if sides.blocks is None:
        return passed(*sides.whole, max_distance, limit)

    n_bits = 64 * sides.codes.shape[1]

    return LimitError(
        f"There are more than {limit:,} pairs within {max_distance} of {n_bits} bits. Lower the"
        " distance or raise the limit."
    )


class _Tiling:
    """A search in tiles. Plans are made for the first tile of each kind, and again where another
    has other numbers of codes.
    """

    def __init__(
        self, sides: Sides, blocks: Blocks, max_distance: int, finder: str, plan: Plan | None
    ) -> None:
        self._sides, self._blocks = sides, blocks
        self._max_distance, self._finder = max_distance, finder
        self._given = plan
        self._plans: dict[bool, Plan] = {}  # by whether a block is searched with itself
        n_other = None if sides.other is None else len(sides.other)
        self._tiles = list(tiles(len(sides.codes), n_other, blocks.rows))

    def plan(self) -> Plan:
        """What all tiles cost, from the first ones."""
        first = {tile.within: tile for tile in reversed(self._tiles)}
        for tile in first.values():
            self._plan_of(tile, *self._collapsed(tile, self._sides.crew), self._sides.crew)

        total = max(self._plans.values(), key=lambda plan: plan.seconds)
        n_of = {within: sum(t.within == within for t in self._tiles) for within in first}
        sides, blocks = self._sides, self._blocks
        words = sides.codes.shape[1]

        return replace(
            total,
            n_codes=len(sides.codes),
            n_other=None if sides.other is None else len(sides.other),
            candidates=sum(n * self._plans[kind].candidates for kind, n in n_of.items()),
            seconds=sum(n * self._plans[kind].seconds for kind, n in n_of.items()),
            memory_bytes=memory_of_tile(blocks.rows, words, blocks.widest, total.threads),
            tile_rows=blocks.rows,
            tiles=len(self._tiles),
        )

    def search(self, crew: Crew, sink: Sink) -> None:
        """Gives the pairs of one tile after the other to the sink."""
        for tile, left, right in self._each(crew):
            if crew.stopped:
                return
            plan = self._plan_of(tile, left, right, crew)
            crew.expected = self._expected()
            execute(plan, left, right, crew, _Shifted(sink, tile))

    def _each(self, crew: Crew) -> Iterator[tuple[Tile, Distinct, Distinct | None]]:
        """The tiles with the different codes of their blocks; the left block stays for its row."""
        first, left = -1, None
        for tile in self._tiles:
            if left is None or tile.first_a != first:
                left = None  # released before the next one takes its place
                first, left = tile.first_a, self._left(tile, crew)
            yield tile, left, self._right(tile, crew)

    def _collapsed(self, tile: Tile, crew: Crew) -> tuple[Distinct, Distinct | None]:
        return self._left(tile, crew), self._right(tile, crew)

    def _left(self, tile: Tile, crew: Crew) -> Distinct:
        return collapse(self._sides.codes[tile.first_a : tile.last_a], crew)

    def _right(self, tile: Tile, crew: Crew) -> Distinct | None:
        if tile.within:
            return None
        side = self._sides.codes if self._sides.other is None else self._sides.other
        return collapse(side[tile.first_b : tile.last_b], crew)

    def _plan_of(self, tile: Tile, left: Distinct, right: Distinct | None, crew: Crew) -> Plan:
        if self._given is not None:
            return self._given

        known = self._plans.get(tile.within)
        if known is None or not _alike(known, left, right):
            request = Request(left, right, self._max_distance, crew, self._blocks.widest)
            known = self._plans[tile.within] = choose(request, self._finder)

        return known

    def _expected(self) -> float:
        """Seconds of all tiles, as far as plans are known."""
        if not self._plans:
            return self._given.seconds if self._given else 0.0

        most = max(plan.seconds for plan in self._plans.values())

        return sum(
            self._plans[tile.within].seconds if tile.within in self._plans else most
            for tile in self._tiles
        )


def _alike(plan: Plan, left: Distinct, right: Distinct | None) -> bool:
    n_other = None if right is None else len(right)
    sizes = [(plan.n_codes, len(left)), (plan.n_other or 0, n_other or 0)]
    return all(abs(one - two) <= _ALIKE * max(one, two) for one, two in sizes)


class _Shifted:
    """Hands on the pairs of a tile as pairs of all rows."""

    def __init__(self, sink: Sink, tile: Tile) -> None:
        self._sink = sink
        second = tile.first_a if tile.within else tile.first_b
        self._shift = np.uint64((tile.first_a << 32) + second)

    def accept(self, keys: Keys) -> bool:
        """Counts rows from the first of the side."""
        return self._sink.accept(keys + self._shift)
