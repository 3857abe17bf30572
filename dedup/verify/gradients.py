"""Similarity of two pictures: the correlation of the gradients of their thumbnails.

Gradients do not see brightness, and their correlation does not see contrast; flat pictures agree in intensity but have
no gradients to agree in. Each gradient counts with the root of its length, so that one strong contour, such as the
frame of a product photo, does not outvote everything inside. There is no alignment: the thumbnails are compared as
they lie.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled
from dedup.tables import THUMBNAIL_SIDE

_PAIRS_PER_TASK: Final = 16_384
_DECIMALS: Final = 4  # more would only show the rounding of different processors
_NOISE: Final = 32.0  # two grey levels, in the units of the filter: shorter gradients are noise and count less


@compiled
def _blurred(grey: Any, out: Any) -> None:
    """3 × 3 binomial filter, edges repeated, sixteen times too large: a shift of half a pixel becomes tolerable."""
    n = out.shape[0]
    for y in range(n):
        up, down = max(y - 1, 0), min(y + 1, n - 1)
        for x in range(n):
            left, right = max(x - 1, 0), min(x + 1, n - 1)
            out[y, x] = (
                np.int64(grey[up, left]) + 2 * grey[up, x] + grey[up, right]
                + 2 * grey[y, left] + 4 * grey[y, x] + 2 * grey[y, right]
                + grey[down, left] + 2 * grey[down, x] + grey[down, right]
            )  # fmt: skip


@compiled
def _gradients(grey: Any, smooth: Any, out: Any) -> Any:
    """Gradients of the blurred thumbnail, lengths replaced by their roots; returns the norm of them all."""
    n = smooth.shape[0]
    _blurred(grey, smooth)
    total = 0.0
    for y in range(n - 1):
        for x in range(n - 1):
            right = smooth[y, x + 1] - smooth[y, x]
            below = smooth[y + 1, x] - smooth[y, x]
            length = np.sqrt(right * right + below * below)
            factor = np.sqrt(length) / (length + _NOISE)
            out[0, y, x] = right * factor
            out[1, y, x] = below * factor
            total += (length * factor) ** 2
    return np.sqrt(total)


@compiled
def _turned(grey: Any, transform: int, out: Any) -> None:
    """The thumbnail in another orientation; numbers are places in `tables.TRANSFORMS`."""
    last = grey.shape[0] - 1
    for y in range(last + 1):
        for x in range(last + 1):
            row, column = (x, y) if transform >= 4 else (y, x)
            if transform in (2, 3, 6, 7):
                row = last - row
            if transform in (1, 3, 5, 6):
                column = last - column
            out[y, x] = grey[row, column]


@compiled
def _correlate(thumbnails: Any, a: Any, b: Any, transforms: Any, first: int, last: int, out: Any) -> None:
    """Similarities of pairs first..last-1."""
    n = thumbnails.shape[1]
    turned = np.empty((n, n), np.uint8)
    smooth = np.empty((n, n), np.float64)
    of_a = np.zeros((2, n - 1, n - 1), np.float64)
    of_b = np.zeros((2, n - 1, n - 1), np.float64)
    norm_a = 0.0
    before = np.int64(-1)
    for k in range(first, last):
        if a[k] != before:
            norm_a = _gradients(thumbnails[a[k]], smooth, of_a)
            before = a[k]
        _turned(thumbnails[b[k]], transforms[k], turned)
        norm_b = _gradients(turned, smooth, of_b)
        dot = 0.0
        for c in range(2):
            for y in range(n - 1):
                for x in range(n - 1):
                    dot += of_a[c, y, x] * of_b[c, y, x]
        out[k] = min(dot / (norm_a * norm_b), 1.0) if dot > 0.0 else 0.0


def similarities(
    thumbnails: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8] | None = None,
    *,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Similarity of thumbnails a[k] and b[k], in [0, 1], symmetric, rounded to four decimals.

    `thumbnails`: uint8, shape (n, 32, 32). `transforms`: how b[k] is turned first, as places in `tables.TRANSFORMS`;
    None: not at all. 1.0: the gradients agree up to a factor; 0.0: they do not, or one of the two
    has none. About 5 µs a pair.
    """
    thumbnails = np.ascontiguousarray(thumbnails).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    out = np.empty(len(a), dtype=np.float64)
    turns = np.zeros(len(a), dtype=np.uint8) if transforms is None else transforms
    with ThreadPoolExecutor(threads) as pool:
        tasks = [
            pool.submit(_correlate, thumbnails, a, b, turns, start, min(start + _PAIRS_PER_TASK, len(a)), out)
            for start in range(0, len(a), _PAIRS_PER_TASK)
        ]
        for task in tasks:
            task.result()
    return np.round(out, _DECIMALS).astype(np.float32)
