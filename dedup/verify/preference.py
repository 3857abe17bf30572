"""Which of two copies is the better picture, from what a second look sees of both.

The better one has more detail, not more pixels: an enlargement adds none, and a little more
contrast at all edges is sharpening. What only one of them adds (a stamp, a caption, a bar, a frame)
counts against it. Colour counts where nothing else speaks. The limits were chosen on one half of
the photos of `benchmarks.keeping`, and scored on the other.

All pairs are judged at once: each step is one of NumPy over all of them, and what belongs to one
picture alone is worked out once for all its pairs. Verdicts are 1 where the first picture is the
better one, -1 where the second is, 0 where nothing speaks for either.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.hashers.quality import NOISE, SIDES, Qualities, Quality
from dedup.tables import BOTH
from dedup.verify.additions import Seen, frames, seen_pairs, stamps
from dedup.verify.medians import middle

Verdicts = NDArray[np.int64]

_MIN_ENERGY: Final = 1.0  # grey levels: blocks below are flat, and say nothing
_MIN_BLOCKS: Final = 4  # that are not flat

_SAME_SIZE: Final = 1.1  # ratio of the longer sides up to which two pictures have one size
_SOFT: Final = -0.75
"""Octaves of energy from the finest band to the next: photos have -0.5 to 0.5, enlarged and blurred
ones less.
"""

# octaves of energy in the finest common band that a larger picture has more, if it is the better
# one
_MORE: Final = 0.15
_LESS: Final = 0.3  # or less, if it is an enlargement
_MUCH: Final = 0.65  # octaves of slope that sharpening does not make
_SOME: Final = 0.06  # octaves of slope in the second band that only sharpening or blur make

_STANDS_OUT, _CONTRADICTED = 16.0, 6.0  # times the median difference of the cells

_UNTOUCHED: Final = 0.05
"""Octaves of energy that the middle block of each band changes by at most, where only a stamp was
added.
"""

_FILTERED: Final = 0.25
"""Octaves that it changes by at least where all of a picture was sharpened or blurred; saving it
again changes less.
"""

_MIN_ADDED: Final = 0.2
"""Octaves of energy by which a stamp changes a block, at least. Grey copies of photos differ by
less than 0.13 in 99 of 100.
"""

_APART: Final = 10.0
"""Times the median deviation of the blocks by which a stamped one stands out; what JPEG does is
spread over all.
"""

_BLOCKY: Final = 1.0
"""Octaves of steps at the edges of blocks by which a picture of the same size is compressed too
strongly. Of 80 photos saved again at quality 95 after an edit none gains as many; at quality 10
three in four do, and smooth pictures at 50.
"""


_COLOURED, _GREY = 1.0, 0.5  # mean distance of the chroma from grey, levels of 256
_TINTED, _NO_TINT = 0.4, 0.1
"""The same of a picture with little colour, against one that has none at all."""

_SAME_MARGIN: Final = 1  # pixels of 128 by which the margins of two pictures may differ
_AT_ONCE: Final = 1_024  # pairs, and pictures of 128 × 128: some tens of megabytes


def better(
    one: Quality,
    two: Quality,
    greys: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    transform: int,
    view: int,
) -> int:
    """The verdict on one pair; see `preferred`."""
    pair = np.array([0]), np.array([1])
    found = preferred(
        Qualities.from_bytes([one.to_bytes(), two.to_bytes()]),
        pair,
        np.stack(greys),
        pair,
        np.array([transform], np.uint8),
        np.array([view], np.uint8),
    )

    return int(found[0])


def preferred(
    qualities: Qualities,
    pictures: tuple[NDArray[np.int64], NDArray[np.int64]],
    greys: NDArray[np.uint8],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    transforms: NDArray[np.uint8],
    views: NDArray[np.uint8],
) -> NDArray[np.int8]:
    """The verdict on each pair.

    `pictures`: where both are among `qualities`; `places`: where among `greys`, uint8, shape (m,
    128, 128), as they are; `transforms` turns the second. `views`: which of them was compared
    without its frame, as in `tables.UNFRAMED`.
    """
    found = np.zeros(len(views), np.int8)
    # In the order of the pictures, so that those of one part are worked out once.
    order = np.lexsort((places[1], places[0]))
    for begin in range(0, len(order), _AT_ONCE):
        part = order[begin : begin + _AT_ONCE]
        turns = transforms[part]
        first, second = seen_pairs(greys, places[0][part], places[1][part], turns)
        one = qualities.take(pictures[0][part])
        two = qualities.take(pictures[1][part]).turned(turns)
        found[part] = _verdicts(one, two, first, second, views[part])

    return found


def _verdicts(
    one: Qualities, two: Qualities, first: Seen, second: Seen, views: NDArray[np.uint8]
) -> Verdicts:
    """What speaks first: a frame, then detail and stamps, then colour."""
    differs = np.abs(first.margin - second.margin) > _SAME_MARGIN
    has_view = (views != 0) & ((views != BOTH) | differs)
    framed = frames(first, second, views, np.sign(one.side - two.side))
    standing_out, contradicted = (
        np.where(has_view, 0, -stamps(first, second, factor))
        for factor in (_STANDS_OUT, _CONTRADICTED)
    )
    is_scaled = np.maximum(one.side, two.side) > _SAME_SIZE * np.minimum(one.side, two.side)
    by_detail = np.where(
        is_scaled,
        _first(_scaled(one, two), contradicted),
        _first(
            _less_blocky(one, two),
            _of_one_size(one, two, standing_out, contradicted, has_view),
        ),
    )
    by_colour = _is_coloured(one, two).astype(np.int64) - _is_coloured(two, one)

    return _first(-framed, by_detail, by_colour)


def _is_coloured(one: Qualities, two: Qualities) -> NDArray[np.bool_]:
    """Whether the first has colours and the second has not."""
    clearly = (one.colour > _COLOURED) & (two.colour < _GREY)
    return np.asarray(clearly | (one.colour > _TINTED) & (two.colour < _NO_TINT))


def _first(*verdicts: Verdicts) -> Verdicts:
    """Of each pair the first that is not 0."""
    found = verdicts[0]
    for others in verdicts[1:]:
        found = np.where(found != 0, found, others)

    return found


def _of_one_size(
    one: Qualities,
    two: Qualities,
    standing_out: Verdicts,
    contradicted: Verdicts,
    has_view: NDArray[np.bool_],
) -> Verdicts:
    """Of two pictures of one size.

    A stamp leaves the rest of a picture as it was. A filter, such as sharpening or blur, changes
    all of it, and with that the means of a few cells, as a stamp does.
    """
    ratios = _ratios(one, two)
    medians = np.median(ratios, axis=1)
    change = np.abs(medians).max(axis=1)
    added = np.where(has_view, 0, -_added(ratios, medians))
    detail = _sharper(one, two)

    return np.select(
        [change < _UNTOUCHED, change > _FILTERED],
        [_first(added, standing_out, contradicted), _first(detail, standing_out, contradicted)],
        _first(standing_out, detail, contradicted),
    )


def _less_blocky(one: Qualities, two: Qualities) -> Verdicts:
    """1 where only the second was compressed so strongly that its blocks are seen, -1 the other way
    round.

    Edges of blocks would count as detail below.
    """
    more = two.blocks - one.blocks

    return np.where(np.abs(more) > _BLOCKY, _sign(more), 0)


def _ratios(one: Qualities, two: Qualities) -> NDArray[np.float32]:
    """Octaves of energy that each block of the first has more than that of the second, (n, 64, 5);
    0 in a band that not both have.
    """
    n, n_bands = len(one.side), len(SIDES)
    first, second = (of.energy.reshape(n, -1, n_bands) for of in (one, two))
    least = np.float32(_MIN_ENERGY)
    ratios = np.log2((first + least) / (second + least))

    return np.where(_common(first, second)[:, None], ratios, np.float32(0))


def _common(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which bands, (n, 5), both have, of energies (n, 64, 5)."""
    return np.asarray(first.any(axis=1) & second.any(axis=1))


def _added(ratios: NDArray[np.float32], middle: NDArray[np.float32]) -> Verdicts:
    """1 where a few blocks of the first picture have far more detail than those of the second, -1
    the other way round.

    Of the bands the one that shows it best: thin letters change the finer ones, large ones all.
    """
    away = ratios - middle[:, None]
    least = np.maximum(_MIN_ADDED, _APART * np.median(np.abs(away), axis=1).astype(np.float64))
    more, less = away.max(axis=1).astype(np.float64), -away.min(axis=1).astype(np.float64)
    balance = np.where(more > least, more, 0.0) - np.where(less > least, less, 0.0)

    best = np.zeros(len(ratios))
    for band in balance.T:
        best = np.where(np.abs(band) > np.maximum(_MIN_ADDED, np.abs(best)), band, best)

    return _sign(best)


def _scaled(one: Qualities, two: Qualities) -> Verdicts:
    """Of two pictures of different sizes 1 where the first has more detail, -1 where the second
    has.
    """
    sign = np.where(one.side > two.side, 1, -1)
    is_soft = np.where(sign == 1, _are_soft(one), _are_soft(two))
    more = sign * _finest(one, two)
    by_detail = np.where(more > 0, sign, -sign)

    return np.where(
        (more > _MORE) | (more < -_LESS), by_detail, np.where(is_soft, -sign, sign)
    ).astype(np.int64)


def _sharper(one: Qualities, two: Qualities) -> Verdicts:
    """Of two pictures of one size 1 where the first has more detail or the second is sharpened, 0
    for equals.
    """
    finest, next_ = (one.slopes - two.slopes).T
    more = np.where(np.abs(finest) >= np.abs(next_), finest, next_)
    is_soft = np.where(next_ > 0, _are_soft(two), _are_soft(one))
    by_next = np.where(is_soft, _sign(next_), -_sign(next_))

    return np.select([np.abs(more) > _MUCH, np.abs(next_) <= _SOME], [_sign(more), 0], by_next)


def _are_soft(pictures: Qualities) -> NDArray[np.bool_]:
    """Whether pictures have fewer details than pixels."""
    return np.asarray(pictures.slopes.min(axis=1) < _SOFT)


def _finest(one: Qualities, two: Qualities) -> NDArray[np.float64]:
    """Octaves of energy that the first has more in the finest band of both, apart from its gain; 0
    in flat pictures.
    """
    n, n_bands = len(one.side), len(SIDES)
    first, second = (of.energy.reshape(n, -1, n_bands) for of in (one, two))
    common = _common(first, second)
    finest, coarsest = n_bands - 1 - common[:, ::-1].argmax(axis=1), common.argmax(axis=1)
    every = np.arange(n)
    ratios: list[NDArray[np.float64]] = []
    speaks = common.sum(axis=1) >= 2

    for band in (finest, coarsest):
        a, b = first[every, :, band], second[every, :, band]
        told = np.maximum(a, b) > _MIN_ENERGY
        speaks &= told.sum(axis=1) >= _MIN_BLOCKS
        ratios.append(middle(np.log2((a + np.float32(NOISE)) / (b + np.float32(NOISE))), told))

    return np.where(speaks, ratios[0] - ratios[1], 0.0)


def _sign(values: NDArray[Any]) -> Verdicts:
    return np.asarray(np.sign(values).astype(np.int64))
