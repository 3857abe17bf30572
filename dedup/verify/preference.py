"""Which of two copies is the better picture, from what a second look sees of both.

The better one has more detail, not more pixels: an enlargement adds none, and a little more
contrast at all edges is sharpening. What only one of them adds (a stamp, a caption, a bar, a frame)
counts against it. Colour counts where nothing else speaks. The limits were chosen on one half of
the photos of `benchmarks.keeping`, and scored on the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.orientation import turned_channels
from dedup.tables import FIRST, SECOND

SIDES: Final = (128, 256, 512, 1024, 2048)
"""Pixels of the squares at which detail is measured, each the finest that its band holds."""

BLOCKS: Final = 8  # on a side, in which detail is measured
_CELLS: Final = 16  # on a side, in which added things are looked for
_NOISE: Final = 0.3  # grey levels: what rounding to 8 bits leaves in a band
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
_MIN_DIFFERENCE: Final = 1.5  # grey levels
_FEWEST_STAMPED: Final = 1  # cells
_MOST_STAMPED: Final = 0.3  # share of the cells: more is another picture, not a stamp
# octaves of squared gradient that one picture has more in these cells than elsewhere
_ADDS: Final = 0.3

_UNTOUCHED: Final = 0.05
"""Octaves of energy that the middle block of each band changes by at most, where only a stamp was
added.
"""

_FILTERED: Final = 0.25
"""Octaves that it changes by at least where all of a picture was sharpened or blurred; saving it
again changes less.
"""

_MIN_ADDED: Final = 0.25
"""Octaves of energy by which a stamp changes a block, at least. Grey copies of photos differ by
less in 99 of 100.
"""

_APART: Final = 10.0
"""Times the median deviation of the blocks by which a stamped one stands out; what JPEG does is
spread over all.
"""

_BLOCK_SIDE: Final = 8  # pixels, of the blocks that JPEG compresses
_MOST_PIXELS: Final = 1024  # of a side, from the middle: enough to see blocks, at the same cost
_FEWEST_PIXELS: Final = 3 * _BLOCK_SIDE  # of a side: fewer have no two edges of blocks
_MIN_STEP: Final = 0.05  # grey levels: less is no step

_BLOCKY: Final = 1.0
"""Octaves of steps at the edges of blocks by which a picture of the same size is compressed too
strongly. Of 80 photos saved again at quality 95 after an edit none gains as many; at quality 10
three in four do, and smooth pictures at 50.
"""

_MARGIN: Final = 2  # pixels of 128 by which a frame is wider
_OTHER_GREY: Final = 16.0  # grey levels between the frames of two pictures that are not of one kind
_FLAT: Final = 3.0  # grey levels in a line of a frame

_COLOURED, _GREY = 1.0, 0.5  # mean distance of the chroma from grey, levels of 256


@dataclass(frozen=True, slots=True)
class Quality:
    """What is seen of the quality of one picture."""

    side: int  # pixels of the longer one
    # (8, 8, 5): grey levels, by block and band; zero above the picture's own size
    energy: NDArray[np.float32]
    # octaves of energy from the finest band of its own pixels to the next, and from there
    slopes: tuple[float, float]
    colour: float  # mean distance of the chroma from grey, levels of 256
    blocks: float  # octaves by which steps at the edges of JPEG's blocks are higher than between

    def to_bytes(self) -> bytes:
        """On its way from a worker."""
        return np.array(
            [self.side, *self.slopes, self.colour, self.blocks, *self.energy.ravel()], np.float32
        ).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Quality":
        """The inverse."""
        side, finest, next_, colour, blocks, *energy = np.frombuffer(data, np.float32)

        return cls(
            int(side),
            np.array(energy, np.float32).reshape(BLOCKS, BLOCKS, len(SIDES)),
            (float(finest), float(next_)),
            float(colour),
            float(blocks),
        )


def quality(image: Image.Image) -> Quality:
    """A decoded picture, upright, mode L or RGB."""
    grey = image.convert("L")
    colour = 0.0
    if image.mode == "RGB":
        small = np.asarray(
            image.resize((16, 16), Image.Resampling.BOX).convert("YCbCr"), np.float64
        )
        colour = float(np.abs(small[..., 1:] - 128).mean())

    return Quality(max(image.size), _energy(grey), _slopes(grey), colour, _blocks(grey))


def _blocks(grey: Image.Image) -> float:
    """Octaves by which the steps between JPEG's blocks are higher than those within them; 0 where
    the picture is too small.

    A step is how far two neighbours are apart more than the pixels beside them (as in Wang, Sheikh
    and Bovik 2002, "No-reference perceptual quality assessment of JPEG compressed images").
    """
    if min(grey.size) < _FEWEST_PIXELS:
        return 0.0
    # Cut at edges of blocks, so that they stay where they are.
    left, top = (
        max(0, side - _MOST_PIXELS) // (2 * _BLOCK_SIDE) * _BLOCK_SIDE for side in grey.size
    )
    middle = grey.crop(
        (left, top, min(left + _MOST_PIXELS, grey.width), min(top + _MOST_PIXELS, grey.height))
    )
    levels = np.asarray(middle, np.int16)

    return (_steps_of_rows(levels) + _steps_of_rows(levels.T)) / 2


def _steps_of_rows(levels: NDArray[np.int16]) -> float:
    """The same along the rows of the grey levels."""
    apart = np.abs(np.diff(levels, axis=1)).astype(np.float32)
    steps = np.maximum(apart[:, 1:-1] - (apart[:, :-2] + apart[:, 2:]) / 2, 0).mean(axis=0)
    # The step at place k is between the columns k + 1 and k + 2.
    column = (np.arange(len(steps)) + 2) % _BLOCK_SIDE
    at_edges = float(steps[column == 0].mean())
    # What is next to an edge has lost the height of its step.
    within = float(steps[(column > 1) & (column < _BLOCK_SIDE - 1)].mean())

    return float(np.log2((at_edges + _MIN_STEP) / (within + _MIN_STEP)))


def _energy(grey: Image.Image) -> NDArray[np.float32]:
    """Root mean square of each band in each block, of the picture squeezed to squares."""
    energy = np.zeros((BLOCKS, BLOCKS, len(SIDES)), np.float32)
    # Of a picture of a few pixels the coarsest band: it has some, if none of detail.
    used = [side for side in SIDES if side // 2 < max(grey.size)] or list(SIDES[:1])
    level = grey.resize((used[-1], used[-1]), Image.Resampling.BICUBIC)
    for place in range(len(used) - 1, -1, -1):
        band, level = _band(level)
        n = SIDES[place] // BLOCKS
        squares = (band.astype(np.float32) ** 2).reshape(BLOCKS, n, BLOCKS, n)
        energy[..., place] = np.sqrt(squares.mean(axis=(1, 3)))

    return energy


def _slopes(grey: Image.Image) -> tuple[float, float]:
    """How much finer bands have than coarser ones, at the picture's own pixels."""
    levels = []
    for _ in range(3):
        band, grey = _band(grey)
        levels.append(np.log2(np.sqrt((band.astype(np.float64) ** 2).mean()) + _NOISE))

    return float(levels[0] - levels[1]), float(levels[1] - levels[2])


def _band(level: Image.Image) -> tuple[NDArray[np.int16], Image.Image]:
    """What half the size cannot hold, and the picture at that size."""
    width, height = max(level.width // 2, 1), max(level.height // 2, 1)
    whole = level.crop((0, 0, 2 * width, 2 * height))
    half = whole.resize((width, height), Image.Resampling.BOX)
    smooth = half.resize(whole.size, Image.Resampling.BILINEAR)

    return np.asarray(whole, np.int16) - np.asarray(smooth, np.int16), half


def better(
    one: Quality,
    two: Quality,
    greys: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    transform: int,
    view: int,
) -> int:
    """1 where the first picture is the better one, -1 where the second is, 0 where nothing speaks
    for either.

    `greys`: both at 128 × 128, as they are; `transform` turns the second. `view`: which of them was
    compared without its frame, as in `tables.UNFRAMED`.
    """
    first, second = greys[0], turned_channels(greys[1], transform)
    framed = _frame(first, second, view, _sign(one.side - two.side))
    if framed:
        return -framed
    is_scaled = max(one.side, two.side) > _SAME_SIZE * min(one.side, two.side)
    stamps = [
        0 if view else -_stamp(first, second, factor) for factor in (_STANDS_OUT, _CONTRADICTED)
    ]
    verdicts: Sequence[int]
    if is_scaled:
        verdicts = [_scaled(one, two, transform), stamps[1]]
    else:
        ratios = _ratios(one.energy, turned_channels(two.energy, transform))
        verdicts = [
            _less_blocky(one, two),
            *_of_one_size(ratios, _sharper(one, two), stamps, is_framed=bool(view)),
        ]
    verdict = next(filter(None, verdicts), 0)

    return verdict or _sign(
        (one.colour > _COLOURED and two.colour < _GREY)
        - (two.colour > _COLOURED and one.colour < _GREY)
    )


def _of_one_size(
    ratios: Sequence[NDArray[np.float32]], detail: int, stamps: Sequence[int], *, is_framed: bool
) -> Sequence[int]:
    """What speaks for the first (1) or second (-1) of two pictures of one size, the strongest in
    front.

    A stamp leaves the rest of a picture as it was. A filter, such as sharpening or blur, changes
    all of it, and with that the means of a few cells, as a stamp does.
    """
    change = max((abs(float(np.median(band))) for band in ratios), default=0.0)
    if change < _UNTOUCHED:
        return [0 if is_framed else -_added(ratios), *stamps]
    if change > _FILTERED:
        return [detail, *stamps]

    return [stamps[0], detail, stamps[1]]


def _less_blocky(one: Quality, two: Quality) -> int:
    """1 where only the second was compressed so strongly that its blocks are seen, -1 the other way
    round.

    Edges of blocks would count as detail below.
    """
    more = two.blocks - one.blocks

    return _sign(more) if abs(more) > _BLOCKY else 0


def _added(ratios: Sequence[NDArray[np.float32]]) -> int:
    """1 where a few blocks of the first picture have far more detail than those of the second, -1
    the other way round.

    Of the bands the one that shows it best: thin letters change the finer ones, large ones all.
    """
    best = 0.0
    for band in ratios:
        away = band - np.median(band)
        least = max(_MIN_ADDED, _APART * float(np.median(np.abs(away))))
        more, less = (
            side if side > least else 0.0 for side in (float(away.max()), -float(away.min()))
        )
        if abs(more - less) > max(_MIN_ADDED, abs(best)):
            best = more - less

    return _sign(best)


def _ratios(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Octaves of energy that each block of the first has more than that of the second, for each
    band of both.
    """
    common = [k for k in range(len(SIDES)) if first[..., k].any() and second[..., k].any()]

    return [np.log2((first[..., k] + _MIN_ENERGY) / (second[..., k] + _MIN_ENERGY)) for k in common]


def _frame(first: NDArray[np.uint8], second: NDArray[np.uint8], view: int, larger: int) -> int:
    """1 where the first has a frame that the second has not, -1 the other way round.

    `larger`: 1 where the first has more pixels, -1 where the second has: a frame adds some.
    """
    if view in {FIRST, SECOND}:
        return 1 if view == FIRST else -1
    widths = _margin(first), _margin(second)
    corners = float(first[0, 0]), float(second[0, 0])
    if (
        min(widths) >= _MARGIN and abs(corners[0] - corners[1]) > _OTHER_GREY
    ):  # a frame around a margin of another grey
        inside = [
            float(picture[width + 2, width + 2])
            for picture, width in zip((first, second), widths, strict=True)
        ]
        return int(abs(inside[0] - corners[1]) < _OTHER_GREY) - int(
            abs(inside[1] - corners[0]) < _OTHER_GREY
        )
    wider = widths[0] - widths[1]

    return larger if wider * larger >= _MARGIN else 0


def _margin(grey: NDArray[np.uint8]) -> int:
    """Pixels of a uniform margin that runs around the picture, all of one grey."""
    levels = grey.astype(np.float32)
    n = len(levels)
    for width in range(n // 2 - 2):
        sides = (levels[width], levels[n - 1 - width], levels[:, width], levels[:, n - 1 - width])
        inner = np.concatenate([side[width : n - width] for side in sides])
        if np.abs(inner - levels[0, 0]).mean() > _FLAT:
            return width

    return n // 2 - 2


def _stamp(first: NDArray[np.uint8], second: NDArray[np.uint8], factor: float) -> int:
    """1 where the first has something in a few cells that the second has not, -1 the other way
    round.

    Cells are compared by their means, so that a blurred copy differs in none, and by how many edges
    each picture has there more than elsewhere.
    """
    x, y = first.astype(np.float32), second.astype(np.float32)
    left, right = _means(x), _means(y)
    contrast = (left.std() + right.std()) / 2
    unit = [(levels - levels.mean()) / (levels.std() + _NOISE) for levels in (left, right)]
    differs = contrast * np.abs(unit[0] - unit[1])
    stamped = differs > max(factor * float(np.median(differs)), _MIN_DIFFERENCE)
    if not _FEWEST_STAMPED <= stamped.sum() <= _MOST_STAMPED * stamped.size:
        return 0

    edges = [np.log2(_means(_steepness(picture)) + _NOISE) for picture in (x, y)]
    more = edges[0] - edges[1]
    added = float(np.mean(more[stamped]) - np.median(more[~stamped]))

    return _sign(added) if abs(added) > _ADDS else 0


def _steepness(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared gradients."""
    across = np.diff(levels, axis=1, append=levels[:, -1:])
    down = np.diff(levels, axis=0, append=levels[-1:])

    return np.asarray(across**2 + down**2)


def _means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each cell."""
    n = len(values) // _CELLS

    return np.asarray(values.reshape(_CELLS, n, _CELLS, n).mean(axis=(1, 3)))


def _scaled(one: Quality, two: Quality, transform: int) -> int:
    """Of two pictures of different sizes 1 where the first has more detail, -1 where the second
    has.
    """
    sign = 1 if one.side > two.side else -1
    larger = one if sign == 1 else two
    more = sign * _finest(one.energy, turned_channels(two.energy, transform))
    if more > _MORE or more < -_LESS:
        return sign if more > 0 else -sign

    return -sign if _is_soft(larger) else sign


def _sharper(one: Quality, two: Quality) -> int:
    """Of two pictures of one size 1 where the first has more detail or the second is sharpened, 0
    for equals.
    """
    finest, next_ = (a - b for a, b in zip(one.slopes, two.slopes, strict=True))
    more = max(finest, next_, key=abs)
    if abs(more) > _MUCH:
        return _sign(more)
    if abs(next_) <= _SOME:
        return 0
    softer = two if next_ > 0 else one

    return _sign(next_) if _is_soft(softer) else -_sign(next_)


def _is_soft(picture: Quality) -> bool:
    """Whether a picture has fewer details than pixels."""
    return min(picture.slopes) < _SOFT


def _finest(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Octaves of energy that the first has more in the finest band of both, apart from its gain; 0
    in flat pictures.
    """
    common = [k for k in range(len(SIDES)) if first[..., k].any() and second[..., k].any()]
    if len(common) < 2:
        return 0.0

    ratios = []
    for k in (common[-1], common[0]):
        a, b = first[..., k], second[..., k]
        told = np.maximum(a, b) > _MIN_ENERGY
        if told.sum() < _MIN_BLOCKS:
            return 0.0
        ratios.append(float(np.median(np.log2((a[told] + _NOISE) / (b[told] + _NOISE)))))

    return ratios[0] - ratios[1]


def _sign(value: Any) -> int:
    return int(np.sign(value))
