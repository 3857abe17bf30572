"""Kernels: what is compared of a thumbnail: its gradients, at 32 × 32 and at 16 × 16.

Gradients do not see brightness, and their correlation does not see contrast. Each counts with the
root of its length, so that one strong contour, such as the frame of a product photo, does not
outvote everything inside.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import compiled, inner, inner_rounded

NOISE: Final = 2.0
"""Grey levels: shorter gradients of a picture that is to be aligned are noise and count less."""


@inner
def put(values: Any, out: Any) -> None:
    """Copy a row. `out[:] = values` makes numba compile, for seconds, the words for shapes that do
    not fit.
    """
    for k in range(len(out)):
        out[k] = values[k]


@inner
def total(values: Any) -> Any:
    """Sum of a row, from front to back: its last digit must not depend on how a processor adds.

    numba's own `values.sum()` gives the same, and takes a second to compile.
    """
    found = 0.0
    for k in range(len(values)):
        found += values[k]
    return found


@inner_rounded
def blurred(grey: Any, work: Any, out: Any) -> None:
    """3 × 3 binomial filter, edges repeated; `work` is as large as `out`."""
    n = grey.shape[0]
    for y in range(n):
        work[y, 0] = np.float32(0.25) * (np.float32(3.0) * grey[y, 0] + grey[y, 1])
        for x in range(1, n - 1):
            work[y, x] = np.float32(0.25) * (
                grey[y, x - 1] + np.float32(2.0) * grey[y, x] + grey[y, x + 1]
            )
        work[y, n - 1] = np.float32(0.25) * (np.float32(3.0) * grey[y, n - 1] + grey[y, n - 2])

    for y in range(n):
        up, down = max(y - 1, 0), min(y + 1, n - 1)
        for x in range(n):
            out[y, x] = np.float32(0.25) * (
                work[up, x] + np.float32(2.0) * work[y, x] + work[down, x]
            )


@inner_rounded
def halved(grey: Any, out: Any) -> None:
    """Means of 2 × 2 pixels."""
    for y in range(out.shape[0]):
        for x in range(out.shape[0]):
            out[y, x] = np.float32(0.25) * (
                grey[2 * y, 2 * x]
                + grey[2 * y, 2 * x + 1]
                + grey[2 * y + 1, 2 * x]
                + grey[2 * y + 1, 2 * x + 1]
            )


@inner_rounded
def gradients(grey: Any, noise: Any, out: Any) -> None:
    """Gradients between the pixels; `out`, (2, n, n), is one shorter than `grey` on both sides.

    `noise`: grey levels; shorter gradients count less.
    """
    n = out.shape[1]
    for y in range(n):
        for x in range(n):
            falling = grey[y + 1, x + 1] - grey[y, x]
            rising = grey[y, x + 1] - grey[y + 1, x]
            right = np.float32(0.5) * (falling + rising)
            below = np.float32(0.5) * (falling - rising)
            length = np.sqrt(right * right + below * below)
            factor = np.sqrt(length) / (length + np.float32(noise))
            out[0, y, x] = right * factor
            out[1, y, x] = below * factor


@compiled
def oriented(grey: Any, transform: int, out: Any) -> None:
    """The thumbnail in another orientation; numbers are places in `tables.TRANSFORMS`."""
    last = grey.shape[0] - 1
    for y in range(last + 1):
        for x in range(last + 1):
            row, column = (x, y) if transform >= 4 else (y, x)
            if transform == 2 or transform == 3 or transform == 6 or transform == 7:
                row = last - row
            if transform == 1 or transform == 3 or transform == 5 or transform == 6:
                column = last - column
            out[y, x] = grey[row, column]
