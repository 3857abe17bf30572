"""ImageHash's four hashes from one small luma picture, for a whole batch at once.

The definitions are ImageHash's. They start at a luma of a few hundred pixels instead of the whole picture, and every
value is a whole number, so a code is the same on any machine and in any batch.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.hashers import thumbnail
from dedup.hashers.cells import Cells, cells, shrunk, side_of, thumbnails
from dedup.hashers.luma import luma_of, min_side
from dedup.hashers.resampling import Plane, Target, grey, matrix, resized, shrink
from dedup.hashers.turns import TURNS, turned

FREQUENCIES: Final = 4  # ImageHash's highfreq_factor: phash looks at a picture of four times the code's side


Values = list[NDArray[Any]]
"""What the bits of one algorithm are decided on, of shape (n, rows, columns): of the pictures as they are, and where
that is something else, of pictures whose axes are swapped.
"""


def measured(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, *, swapped: bool
) -> tuple[NDArray[np.uint8], Mapping[str, Values]]:
    """The thumbnails of a batch of lumas, and the values of each algorithm; `swapped` adds what turned codes need."""
    large = np.array([min(plane.levels.shape) >= min_side(bits) for plane in planes], bool)
    if large.all() or not large.any():
        return (_of_large if large.any() else _of_small)(planes, algorithms, bits, swapped=swapped)
    parts = [
        (_of_large if which else _of_small)(
            [plane for plane, is_large in zip(planes, large, strict=True) if is_large == which],
            algorithms,
            bits,
            swapped=swapped,
        )
        for which in (False, True)
    ]
    order = np.argsort(np.argsort(large, kind="stable"), kind="stable")
    small, values = zip(*parts, strict=True)
    return np.concatenate(small)[order], {
        name: [np.concatenate(both)[order] for both in zip(*(of[name] for of in values), strict=True)]
        for name in algorithms
    }


def _of_large(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, *, swapped: bool
) -> tuple[NDArray[np.uint8], Mapping[str, Values]]:
    of = cells(planes, side_of(bits))
    return thumbnails(of), {name: _of_cells(name, bits, of, swapped=swapped) for name in algorithms}


def _of_small(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, *, swapped: bool
) -> tuple[NDArray[np.uint8], Mapping[str, Values]]:
    """Pillow's own arithmetic, but for whash, whose picture nobody rounds."""
    wanted = {name: targets(name, bits, swapped=swapped) for name in algorithms if name != "whash"}
    small = iter(resized(planes, [thumbnail.TARGET, *(one for of in wanted.values() for one in of)]))
    thumbnails_of_small = next(small)
    values: dict[str, Values] = {name: [next(small) for _ in of] for name, of in wanted.items()}
    if "phash" in values:
        values["phash"] = [frequencies(levels, math.isqrt(bits)) for levels in values["phash"]]
    if "whash" in algorithms:
        values["whash"] = list(shrink(planes, targets("whash", bits, swapped=False)))
    return thumbnails_of_small, values


def targets(algorithm: str, bits: int, *, swapped: bool) -> list[Target]:
    """The small pictures that an algorithm needs; `swapped` adds the one for codes of transposed pictures."""
    side = math.isqrt(bits)
    if algorithm == "whash":
        return [Target(side, side, "haar")]
    rows, columns = {"phash": (FREQUENCIES * side,) * 2, "ahash": (side, side), "dhash": (side, side + 1)}[algorithm]
    upright, turned_over = Target(rows, columns, "lanczos"), Target(columns, rows, "lanczos", rows_first=True)
    return [upright, turned_over] if swapped else [upright]


def _of_cells(algorithm: str, bits: int, of: Cells, *, swapped: bool) -> Values:
    """The values of large pictures; phash skips the picture between, and its rounding."""
    if algorithm == "phash":
        to_frequencies = _frequencies_of_cells(of.shape[-1], math.isqrt(bits))
        return [to_frequencies @ of @ to_frequencies.T] * (1 + swapped)
    small = [shrunk(of, target) for target in targets(algorithm, bits, swapped=swapped)]
    return list(small) if algorithm == "whash" else [grey(raw) for raw in small]


def oriented(algorithm: str, bits: int, values: Values, transforms: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Packed codes, shape (n, bits // 8), in each of the orientations.

    They equal the codes of the turned lumas, bit for bit.
    """
    of_turn = [values[-1] if TURNS[transform][0] else values[0] for transform in transforms]
    if algorithm == "phash":
        low = [turned_frequencies(of, transform) for of, transform in zip(of_turn, transforms, strict=True)]
        return [_pack(_above_median(of)) for of in low]
    stood = [turned(of, transform) for of, transform in zip(of_turn, transforms, strict=True)]
    if algorithm == "whash":
        return [_pack(_above_median(of)) for of in stood]
    if algorithm == "ahash":
        return [_pack(of.astype(np.int64) * bits > of.sum(axis=(1, 2), keepdims=True, dtype=np.int64)) for of in stood]
    return [_pack(of[..., 1:] > of[..., :-1]) for of in stood]


def codes(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, bits // 8)."""
    _, values = measured([luma_of(image, bits) for image in images], (algorithm,), bits, swapped=False)
    return oriented(algorithm, bits, values[algorithm], ("identity",))[0]


def frequencies(levels: NDArray[np.uint8] | NDArray[np.float64], n: int, first: int = 0) -> NDArray[np.float64]:
    """The n × n lowest DCT-II coefficients from frequency `first` on, up to one factor; exact whole numbers."""
    basis = _basis(levels.shape[-1], n, first, 8 if levels.dtype == np.uint8 else 12)
    return basis @ levels.astype(np.float64) @ basis.T


def turned_frequencies(low: NDArray[np.float64], transform: str, first: int = 0) -> NDArray[np.float64]:
    """The coefficients of the turned picture: odd frequencies change their sign where an axis is reversed."""
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
    """From cells to phash's picture to its lowest frequencies; whole numbers whose sums of products stay below 2⁵³."""
    through = _basis(FREQUENCIES * n, n, 0, 8) @ matrix(side, FREQUENCIES * n, "lanczos")
    half = np.rint(through[:, : side // 2] * (2**18 / np.abs(through).sum(axis=1).max()))
    return np.concatenate([half, np.where(np.arange(n)[:, None] % 2, -1.0, 1.0) * half[:, ::-1]], axis=1)


@lru_cache
def _basis(size: int, n: int, first: int, value_bits: int) -> NDArray[np.float64]:
    """Cosines as whole numbers, shape (n, size), so small that products summed over size² values stay below 2⁵³."""
    one = 1 << ((52 - value_bits - 2 * math.ceil(math.log2(size))) // 2)
    frequency = np.arange(first, first + n)[:, None]
    half = np.rint(one * np.cos(np.pi * frequency * (2 * np.arange(size // 2) + 1) / (2 * size)))
    return np.concatenate([half, np.where(frequency % 2, -1.0, 1.0) * half[:, ::-1]], axis=1)
