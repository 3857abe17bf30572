"""What one of two copies adds to the other: a frame, a stamp, a caption.

Verdicts are 1 where the first picture of a pair adds something, -1 where the second does, 0 where
neither does. All pairs are judged at once, and what belongs to one picture alone is worked out once
for all its pairs.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner
from dedup.decoding.orientation import turned_each
from dedup.hashers.quality import NOISE
from dedup.tables import FIRST, SECOND, TRANSFORMS
from dedup.verify.medians import middle

_CELLS: Final = 16  # on a side, in which added things are looked for
_MIN_DIFFERENCE: Final = 1.5  # grey levels
_FEWEST_STAMPED: Final = 1  # cells
_MOST_STAMPED: Final = 0.3  # share of the cells: more is another picture, not a stamp
# octaves of squared gradient that one picture has more in these cells than elsewhere
_ADDS: Final = 0.3
_MARGIN: Final = 2  # pixels of 128 by which a frame is wider
_OTHER_GREY: Final = 16.0  # grey levels between the frames of two pictures that are not of one kind
_FLAT: Final = 3.0  # grey levels in a line of a frame


@dataclass(frozen=True, slots=True)
class Seen:
    """What pictures of 128 × 128 pixels show, in the orientation in which they are compared."""

    margin: NDArray[np.int64]  # (n,): pixels of a uniform margin, all of one grey
    corner: NDArray[np.float64]  # (n,): grey of the margin
    inside: NDArray[np.float64]  # (n,): grey two pixels behind the margin
    means: NDArray[np.float32]  # (n, 256): of each cell
    unit: NDArray[np.float32]  # (n, 256): the same, of mean 0 and deviation 1
    deviation: NDArray[np.float32]  # (n,)
    edges: NDArray[np.float32]  # (n, 256): octaves of squared gradient of each cell

    @classmethod
    def of(cls, greys: NDArray[np.uint8]) -> "Seen":
        """`greys`: uint8, shape (n, 128, 128)."""
        means, steep = np.empty((2, len(greys), _CELLS**2), np.float32)
        margin = np.empty(len(greys), np.int64)
        _measure(np.ascontiguousarray(greys), means, steep, margin)
        every = np.arange(len(greys))
        behind = margin + 2
        deviation = means.std(axis=1)
        unit = (means - means.mean(axis=1)[:, None]) / (deviation + np.float32(NOISE))[:, None]
        edges = np.log2(steep + np.float32(NOISE))

        return cls(
            margin,
            greys[:, 0, 0].astype(np.float64),
            greys[every, behind, behind].astype(np.float64),
            means,
            unit,
            deviation,
            edges,
        )

    def take(self, which: NDArray[np.int64]) -> "Seen":
        """Those at these places."""
        return Seen(*(getattr(self, name)[which] for name in self.__slots__))


def seen_pairs(
    greys: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    transforms: NDArray[np.uint8],
) -> tuple[Seen, Seen]:
    """What both pictures of each pair show, each picture in each orientation worked out once."""
    n_turns = len(TRANSFORMS)
    keys = np.concatenate([first * n_turns, second * n_turns + transforms])
    asked, of_key = np.unique(keys, return_inverse=True)
    found = Seen.of(turned_each(greys[asked // n_turns], (asked % n_turns).astype(np.uint8)))

    return found.take(of_key[: len(first)]), found.take(of_key[len(first) :])


def frames(
    first: Seen, second: Seen, views: NDArray[np.uint8], larger: NDArray[np.int64]
) -> NDArray[np.int64]:
    """1 where the first has a frame that the second has not, -1 the other way round.

    `larger`: 1 where the first has more pixels, -1 where the second has: a frame adds some.
    """
    wider = first.margin - second.margin
    by_width = np.where(wider * larger >= _MARGIN, larger, 0)

    # a frame around a margin of another grey
    others = (np.minimum(first.margin, second.margin) >= _MARGIN) & (
        np.abs(first.corner - second.corner) > _OTHER_GREY
    )
    by_grey = (np.abs(first.inside - second.corner) < _OTHER_GREY).astype(np.int64) - (
        np.abs(second.inside - first.corner) < _OTHER_GREY
    )

    # A frame of another grey than the margin of the smaller picture, which may have none.
    of_larger = np.where(larger > 0, first.margin, second.margin)
    is_other = (
        (larger != 0) & (of_larger >= 1) & (np.abs(first.corner - second.corner) > _OTHER_GREY)
    )

    return np.select(
        [views == FIRST, views == SECOND, is_other, others],
        [np.int64(1), np.int64(-1), larger, by_grey],
        by_width,
    )


@inner
def _margin(grey: Any) -> Any:
    """Pixels of a uniform margin that runs around a picture, all of one grey."""
    n = grey.shape[0]
    corner = np.int64(grey[0, 0])
    for width in range(n // 2 - 2):
        end = n - 1 - width
        away = np.int64(0)
        for k in range(width, n - width):
            away += abs(np.int64(grey[width, k]) - corner) + abs(np.int64(grey[end, k]) - corner)
            away += abs(np.int64(grey[k, width]) - corner) + abs(np.int64(grey[k, end]) - corner)
        if away > _FLAT * 4 * (n - 2 * width):
            return width

    return n // 2 - 2


@compiled
def _measure(greys: Any, means: Any, steep: Any, margins: Any) -> None:
    """Of each cell of pictures its mean and its mean squared gradient; of each picture its margin.

    Sums are whole numbers, so that they are the same in any order.
    """
    n = greys.shape[1]
    size = n // _CELLS
    sums, squares = np.empty(n, np.int32), np.empty(n, np.int32)
    for k in range(len(greys)):
        grey = greys[k]
        margins[k] = _margin(grey)
        for row in range(_CELLS):
            for x in range(n):
                sums[x] = squares[x] = 0
            for y in range(row * size, (row + 1) * size):
                line, below = grey[y], grey[min(y + 1, n - 1)]
                for x in range(n - 1):
                    here = np.int32(line[x])
                    across, down = np.int32(line[x + 1]) - here, np.int32(below[x]) - here
                    sums[x] += here
                    squares[x] += across * across + down * down
                down = np.int32(below[n - 1]) - np.int32(line[n - 1])
                sums[n - 1] += np.int32(line[n - 1])
                squares[n - 1] += down * down
            for column in range(_CELLS):
                total = square = np.int32(0)
                for x in range(column * size, (column + 1) * size):
                    total += sums[x]
                    square += squares[x]
                means[k, row * _CELLS + column] = np.float32(total) / np.float32(size * size)
                steep[k, row * _CELLS + column] = np.float32(square) / np.float32(size * size)


def stamps(first: Seen, second: Seen, factor: float) -> NDArray[np.int64]:
    """1 where the first has something in a few cells that the second has not, -1 the other way
    round.

    Cells are compared by their means, so that a blurred copy differs in none, and by how many edges
    each picture has there more than elsewhere.
    """
    contrast = (first.deviation + second.deviation) / np.float32(2)
    differs = contrast[:, None] * np.abs(first.unit - second.unit)
    least = np.maximum(factor * np.median(differs, axis=1).astype(np.float64), _MIN_DIFFERENCE)
    stamped = differs > least.astype(np.float32)[:, None]
    n_stamped = stamped.sum(axis=1)
    asked = np.flatnonzero(
        (n_stamped >= _FEWEST_STAMPED) & (n_stamped <= _MOST_STAMPED * stamped.shape[1])
    )

    more, inside = first.edges[asked] - second.edges[asked], stamped[asked]
    of_stamp = np.where(inside, more, np.float32(0)).sum(axis=1) / n_stamped[asked]
    added = of_stamp - middle(more, ~inside)
    found = np.zeros(len(differs), np.int64)
    found[asked] = np.where(np.abs(added) > _ADDS, np.sign(added), 0).astype(np.int64)

    return found
