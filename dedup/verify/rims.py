"""Thin rims: a line along a side of a thumbnail that differs from what is inside it, as a blurred
border leaves one.

Such a line is too thin to be a frame (`dedup.verify.frames`), and still is the strongest contour of
a small photo. It is overwritten by the line inside it, or cut away, so that two copies can be
compared without it: overwritten, the rest stays where it is; cut, it is as large as it was before
somebody put a border round it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner
from dedup.verify.frames import without_frames

_WIDEST: Final = 2  # pixels: what is wider is a frame
# grey levels, mean over the side; a smooth picture changes by less from line to line
_MIN_STEP: Final = 16.0
# of the side that steps the same way: contours of a picture hardly run along a whole side
_MIN_SHARE: Final = 0.8
_NO_STEP: Final = 2.0  # grey levels, within the noise of a JPEG
_MIXED: Final = 0.5  # pixels more that are cut, where what is inside is mixed with the rim


@inner
def _at(grey: Any, side: int, k: int, x: int) -> Any:
    """The pixel at place x of the line k pixels from the top, bottom, left or right."""
    last = grey.shape[0] - 1
    if side < 2:
        return grey[k if side == 0 else last - k, x]
    return grey[x, k if side == 2 else last - k]


@inner
def _steps(grey: Any, side: int, k: int) -> Any:
    """Whether there is a step along the whole side behind the line k."""
    n = grey.shape[0]
    up = down = 0
    total = 0.0

    for x in range(1, n - 1):
        step = float(_at(grey, side, k, x)) - float(_at(grey, side, k + 1, x))
        total += step
        up += step > _NO_STEP
        down += step < -_NO_STEP

    return max(up, down) >= _MIN_SHARE * (n - 2) and abs(total) >= _MIN_STEP * (n - 2)


@inner
def _overwrite(grey: Any, side: int, k: int) -> None:
    """Lines 0 to k become as the line behind them."""
    last = grey.shape[0] - 1
    for q in range(k + 1):
        for x in range(last + 1):
            value = _at(grey, side, k + 1, x)
            if side < 2:
                grey[q if side == 0 else last - q, x] = value
            else:
                grey[x, q if side == 2 else last - q] = value


@compiled
def _trim(thumbnails: Any, widths: Any) -> None:
    for i in range(len(thumbnails)):
        for side in range(4):
            for k in range(_WIDEST - 1, -1, -1):
                if _steps(thumbnails[i], side, k):
                    _overwrite(thumbnails[i], side, k)
                    widths[i, side] = k + 1.0
                    break


def without_rims(
    thumbnails: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Copies of thumbnails, uint8 of shape (n, 32, 32), whose thin rims are overwritten; others
    whose rims are cut away; and which of them had one.
    """
    overwritten = np.array(thumbnails, np.uint8, order="C")
    widths = np.zeros((len(overwritten), 4))
    _trim(overwritten, widths)
    changed = np.asarray(widths.any(axis=1))

    cut = overwritten.copy()
    if changed.any():
        wider = np.where(widths > 0, widths + _MIXED, 0.0)
        cut[changed] = without_frames(overwritten[changed], wider[changed])

    return overwritten, cut, changed
