"""Kernels: whether a picture says enough for an agreement with another one to mean anything.

A straight edge can be laid over any other straight edge: the map has six free numbers, and such
pictures fix two or three of them. What is then seen to agree was made to agree. The corner of a
black box fixes more of them, and is still found in picture after picture.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner, inner_rounded
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify.agreement import fourth_roots
from dedup.verify.matrices import least_eigenvalue

MEASURED_FROM: Final = 0.65
"""Similarity of thumbnails from which the structure of a pair is measured: what is below hardly
agrees at all.
"""

_NOISE: Final = 4.0  # grey levels: shorter gradients are noise and count less
_FIXED: Final = 0.06  # photos have 0.12 and more, all but one in two hundred; straight edges 0.02
# cells; photos have 65 and more, all but one in two hundred; corners of boxes 35
_MANY: Final = 40.0
_BLOCKS: Final = 8  # on a side, and four directions in each: the cells
_SAME_PIXELS: Final = 2.0  # grey levels: what a JPEG leaves of a difference,
# and this share of the energy: a speck on white is within two levels of any other speck
_OF_CONTRAST: Final = 0.1
_NOTHING: Final = 1e-6
_PER_TASK: Final = 1_024  # thumbnails, 30 µs each


@inner_rounded
def _summed(grey: Any, matrix: Any, cells: Any) -> None:
    """Sums over the gradients of a thumbnail.

    `matrix`, (6, 6): the information on the six numbers of an affine map; `cells`, (blocks, blocks,
    4): the energy in each block, by direction.
    """
    n = grey.shape[0] - 1
    roots = np.empty((2, n, n), np.float32)
    fourth_roots(grey, _NOISE, roots)
    half = np.float32((n - 1) / 2)
    modes = np.empty(6, np.float32)

    for y in range(n):
        v = (np.float32(y) - half) / half
        for x in range(n):
            u = (np.float32(x) - half) / half
            right, below = roots[0, y, x], roots[1, y, x]
            modes[0], modes[1], modes[2] = right * u, right * v, below * u
            modes[3], modes[4], modes[5] = below * v, right, below
            for i in range(6):
                for j in range(6):
                    matrix[i, j] += modes[i] * modes[j]
            upwards = right * below > 0.0
            steep = abs(below) > abs(right)
            direction = (2 if upwards else 0) + (1 if steep == upwards else 0)
            cells[y * _BLOCKS // n, x * _BLOCKS // n, direction] += right * right + below * below


@inner
def determinacy(grey: Any) -> Any:
    """How far a thumbnail fixes an affine map, and how many cells hold its structure.

    The first, 1 at most, is the smallest eigenvalue of the information matrix, each number scaled
    to 1. The second is the participation ratio of the roots of the energies, of 256.
    """
    matrix, cells = np.zeros((6, 6)), np.zeros((_BLOCKS, _BLOCKS, 4))
    _summed(grey, matrix, cells)
    scale = np.empty(6)
    for i in range(6):
        scale[i] = np.sqrt(matrix[i, i]) + _NOTHING

    for i in range(6):
        for j in range(6):
            matrix[i, j] /= scale[i] * scale[j]

    fixed = least_eigenvalue(matrix)
    roots = energy = 0.0
    flat = cells.reshape(-1)
    for k in range(len(flat)):
        roots += np.sqrt(flat[k])
        energy += flat[k]

    return fixed, roots**2 / (energy + _NOTHING)


@inner
def worth(grey: Any) -> Any:
    """What an agreement of a thumbnail with any other one is worth, in [0, 1]."""
    fixed, many = determinacy(grey)
    return min(max(fixed, 0.0) / _FIXED, many / _MANY, 1.0)


@inner
def _same_pixels(one: Any, two: Any) -> bool:
    total = sum_one = sum_two = squares_one = squares_two = 0.0
    for y in range(one.shape[0]):
        for x in range(one.shape[0]):
            first, second = float(one[y, x]), float(two[y, x])
            total += (first - second) ** 2
            sum_one += first
            sum_two += second
            squares_one += first * first
            squares_two += second * second

    contrast = min(squares_one - sum_one**2 / one.size, squares_two - sum_two**2 / one.size)

    return bool(total <= min(_SAME_PIXELS**2 * one.size, _OF_CONTRAST * contrast))


@inner
def determined(one: Any, two: Any, worth_of_one: Any, worth_of_two: Any) -> Any:
    """What an agreement of two thumbnails is worth, in [0, 1]; all where they agree pixel by pixel
    as they lie.
    """
    least = min(worth_of_one, worth_of_two)
    return 1.0 if least < 1.0 and _same_pixels(one, two) else least


@compiled
def _cells(thumbnails: Any, which: Any, out: Any) -> None:
    for k in range(len(which)):
        _, out[k] = determinacy(thumbnails[which[k]])


def cells(
    thumbnails: NDArray[np.uint8], which: NDArray[np.int64] | None = None, *, threads: int = 1
) -> NDArray[np.float32]:
    """How many of 256 cells hold the structure of thumbnails, to one decimal.

    `thumbnails`: uint8, shape (n, 32, 32); `which` of them, None: all.
    """
    asked = np.arange(len(thumbnails)) if which is None else which
    out = np.empty(len(asked))
    parts = [slice(start, start + _PER_TASK) for start in range(0, len(asked), _PER_TASK)]
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(_cells, thumbnails, asked[part], out[part]) for part in parts]:
            task.result()

    return np.round(out, 1).astype(np.float32)


class Structure:
    """The structure of pairs of thumbnails, each of which is measured when a pair first asks for
    it.
    """

    def __init__(self, thumbnails: NDArray[np.uint8], *, threads: int = 1) -> None:
        """`thumbnails`: uint8, shape (n, 1024) or (n, 32, 32)."""
        self._thumbnails = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        self._cells = np.full(len(thumbnails), np.nan, np.float32)
        self._threads = threads

    def of(
        self, a: NDArray[np.int64], b: NDArray[np.int64], similarity: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Cells of the picture that has fewer; NaN below `MEASURED_FROM`, where structure changes
        nothing.
        """
        found = np.full(len(a), np.nan, np.float32)
        rows = np.flatnonzero(similarity >= np.float32(MEASURED_FROM))
        asked = np.unique(np.concatenate([a[rows], b[rows]]))
        new = asked[np.isnan(self._cells[asked])]
        self._cells[new] = cells(self._thumbnails, new, threads=self._threads)
        found[rows] = np.minimum(self._cells[a[rows]], self._cells[b[rows]])

        return found
