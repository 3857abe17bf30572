"""ImageHash's four hashes from one small luma picture, for a whole batch at once.

The definitions are ImageHash's. They start at a luma of a few hundred pixels instead of the whole
picture, and every value is a whole number (but for whash's ties, see `wavelets`), so a code is the
same on any machine and in any batch.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.orientation import TURNS, turned
from dedup.hashers import thumbnail
from dedup.hashers.cells import Cells, cells, shrunk, side_of, thumbnails
from dedup.hashers.filters import matrix
from dedup.hashers.luma import luma_of, min_side
from dedup.hashers.resampling import Plane, Target, grey, resized
from dedup.hashers.wavelets import coarsest

# ImageHash's highfreq_factor: phash looks at a picture of four times the code's side
FREQUENCIES: Final = 4


Values = list[NDArray[Any]]
"""What the bits of one algorithm are decided on in each of some orientations, of shape (n, rows,
columns).
"""


def measured(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, turns: Sequence[str]
) -> tuple[NDArray[np.uint8], Mapping[str, list[NDArray[np.uint8]]]]:
    """The thumbnails of a batch of lumas, and by algorithm packed codes of each of `turns`, shape
    (n, bits // 8).

    The codes of an orientation equal those of the lumas turned first, bit for bit.
    """
    large = np.array([min(plane.levels.shape) >= min_side(bits) for plane in planes], bool)
    if large.all() or not large.any():
        return (_of_large if large.any() else _of_small)(planes, algorithms, bits, turns)

    parts = [
        (_of_large if which else _of_small)(
            [plane for plane, is_large in zip(planes, large, strict=True) if is_large == which],
            algorithms,
            bits,
            turns,
        )
        for which in (False, True)
    ]
    order = np.argsort(np.argsort(large, kind="stable"), kind="stable")
    small, codes = zip(*parts, strict=True)

    return np.concatenate(small)[order], {
        name: [
            np.concatenate(both)[order] for both in zip(*(of[name] for of in codes), strict=True)
        ]
        for name in algorithms
    }


def _of_large(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, turns: Sequence[str]
) -> tuple[NDArray[np.uint8], Mapping[str, list[NDArray[np.uint8]]]]:
    of = cells(planes, side_of(bits))
    return thumbnails(of), {
        name: _decided(name, bits, _of_cells(name, bits, of, turns)) for name in algorithms
    }


def _of_small(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, turns: Sequence[str]
) -> tuple[NDArray[np.uint8], Mapping[str, list[NDArray[np.uint8]]]]:
    """Pillow's own arithmetic, and for whash that of PyWavelets."""
    wanted = {name: targets(name, bits, turns) for name in algorithms if name != "whash"}
    small = iter(
        resized(planes, [thumbnail.TARGET, *(one for of in wanted.values() for one in of)])
    )
    thumbnails_of_small = next(small)
    codes: dict[str, list[NDArray[np.uint8]]] = {}

    for name, of in wanted.items():
        levels = [next(small) for _ in of]
        kept = [frequencies(one, math.isqrt(bits)) for one in levels] if name == "phash" else levels
        codes[name] = _decided(name, bits, _turned(name, kept, turns))

    if "whash" in algorithms:
        codes["whash"] = _decided("whash", bits, _wavelets(planes, bits, turns))

    return thumbnails_of_small, {name: codes[name] for name in algorithms}


def _wavelets(planes: Sequence[Plane], bits: int, turns: Sequence[str]) -> Values:
    """ImageHash's, at the largest power of two that the shorter side holds, in each orientation on
    its own.
    """
    n = math.isqrt(bits)
    sides = np.array(
        [max(1 << (max(int(min(p.height, p.width)), 1).bit_length() - 1), n) for p in planes], int
    )
    values = [np.empty((len(planes), n, n)) for _ in turns]

    for side in np.unique(sides).tolist():
        places = np.flatnonzero(sides == side)
        some = [planes[place] for place in places.tolist()]
        for into, levels in zip(
            values, _turned("whash", resized(some, _squares(side, turns)), turns), strict=True
        ):
            into[places] = coarsest(levels, n)

    return values


def targets(algorithm: str, bits: int, turns: Sequence[str]) -> list[Target]:
    """The small pictures that an algorithm needs, the second for codes of transposed pictures."""
    side = math.isqrt(bits)
    if algorithm == "dhash":
        upright = Target(side, side + 1, "lanczos")
        turned_over = Target(side + 1, side, "lanczos", rows_first=True)
        return [upright, turned_over] if any(TURNS[turn][0] for turn in turns) else [upright]

    return _squares({"phash": FREQUENCIES * side, "ahash": side}[algorithm], turns)


def _squares(side: int, turns: Sequence[str]) -> list[Target]:
    both = [Target(side, side, "lanczos"), Target(side, side, "lanczos", rows_first=True)]
    return both if any(TURNS[turn][0] for turn in turns) else both[:1]


def _of_cells(algorithm: str, bits: int, of: Cells, turns: Sequence[str]) -> Values:
    """The values of large pictures; phash skips the picture between, and its rounding."""
    if algorithm == "phash":
        to_frequencies = _frequencies_of_cells(of.shape[-1], math.isqrt(bits))
        return _turned(algorithm, [to_frequencies @ of @ to_frequencies.T], turns)

    if algorithm == "whash":
        n = math.isqrt(bits)
        return _turned(algorithm, [shrunk(of, Target(n, n, "haar"))], turns)

    return _turned(
        algorithm, [grey(shrunk(of, target)) for target in targets(algorithm, bits, turns)], turns
    )


def _turned(algorithm: str, values: Sequence[NDArray[Any]], turns: Sequence[str]) -> Values:
    """What was made of the pictures as they are, and last of those whose axes are swapped, in each
    orientation.
    """
    turn = turned_frequencies if algorithm == "phash" else turned
    return [turn(values[-1] if TURNS[name][0] else values[0], name) for name in turns]


def _decided(algorithm: str, bits: int, values: Values) -> list[NDArray[np.uint8]]:
    """Packed codes, shape (n, bits // 8)."""
    if algorithm in ("phash", "whash"):
        return [_pack(_above_median(of)) for of in values]

    if algorithm == "ahash":
        return [
            _pack(of.astype(np.int64) * bits > of.sum(axis=(1, 2), keepdims=True, dtype=np.int64))
            for of in values
        ]

    return [_pack(of[..., 1:] > of[..., :-1]) for of in values]


def codes(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, bits // 8)."""
    _, found = measured(
        [luma_of(image, bits) for image in images], (algorithm,), bits, ("identity",)
    )
    return found[algorithm][0]


def frequencies(
    levels: NDArray[np.uint8] | NDArray[np.float64], n: int, first: int = 0
) -> NDArray[np.float64]:
    """The n × n lowest DCT-II coefficients from frequency `first` on, up to one factor; exact whole
    numbers.
    """
    basis = _basis(levels.shape[-1], n, first, 8 if levels.dtype == np.uint8 else 12)
    return basis @ levels.astype(np.float64) @ basis.T


def turned_frequencies(
    low: NDArray[np.float64], transform: str, first: int = 0
) -> NDArray[np.float64]:
    """The coefficients of the turned picture: odd frequencies change their sign where an axis is
    reversed.
    """
    swap, rows, columns = TURNS[transform]
    sign = np.where((np.arange(low.shape[-1]) + first) % 2, -1.0, 1.0)
    turned = low.swapaxes(-1, -2) if swap else low
    if rows:
        turned = turned * sign[:, None]

    return turned * sign if columns else turned


def _above_median(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    n, rows, columns = values.shape
    flat = np.sort(values.reshape(n, rows * columns), axis=1)
    middle = flat.shape[1] // 2
    return 2 * values > (flat[:, middle - 1] + flat[:, middle])[:, None, None]


def _pack(bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    n, rows, columns = bits.shape
    return np.packbits(bits.reshape(n, rows * columns), axis=1)


@lru_cache
def _frequencies_of_cells(side: int, n: int) -> NDArray[np.float64]:
    """From cells to phash's picture to its lowest frequencies; whole numbers whose sums of products
    stay below 2⁵³.
    """
    through = _basis(FREQUENCIES * n, n, 0, 8) @ matrix(side, FREQUENCIES * n, "lanczos")
    half = np.rint(through[:, : side // 2] * (2**18 / np.abs(through).sum(axis=1).max()))

    return np.concatenate(
        [half, np.where(np.arange(n)[:, None] % 2, -1.0, 1.0) * half[:, ::-1]], axis=1
    )


@lru_cache
def _basis(size: int, n: int, first: int, value_bits: int) -> NDArray[np.float64]:
    """Cosines as whole numbers, shape (n, size), so small that products summed over size² values
    stay below 2⁵³.
    """
    one = 1 << ((52 - value_bits - 2 * math.ceil(math.log2(size))) // 2)
    frequency = np.arange(first, first + n)[:, None]
    half = np.rint(one * np.cos(np.pi * frequency * (2 * np.arange(size // 2) + 1) / (2 * size)))
    return np.concatenate([half, np.where(frequency % 2, -1.0, 1.0) * half[:, ::-1]], axis=1)
