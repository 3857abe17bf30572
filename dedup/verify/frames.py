"""Frames round a picture, seen on its thumbnail: bars of one colour along two opposite sides or all
four.

A frame moves and shrinks what is inside, which no code stands. A plain background is no frame: at
its inner edge most of the line must change at once, as it does where a picture ends.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.compiled import compiled, inner
from dedup.verify.features import put

_TOLERANCE: Final = 12.0  # grey levels: what a JPEG or a resize leaves of one colour
_OUTLIERS: Final = 3  # pixels of a line of 32
_DIFFERS: Final = 16.0  # grey levels
_EDGE: Final = 0.4  # of the inner line
_WIDEST: Final = 8  # pixels, a quarter of the side


@inner
def _line(grey: Any, side: int, k: int, out: Any) -> None:
    """The line k pixels from a side: top, bottom, left or right."""
    last = grey.shape[0] - 1
    for x in range(last + 1):
        if side == 0:
            out[x] = grey[k, x]
        elif side == 1:
            out[x] = grey[last - k, x]
        elif side == 2:
            out[x] = grey[x, k]
        else:
            out[x] = grey[x, last - k]


@inner
def _plain(line: Any, colour: float) -> bool:
    outliers = 0
    for x in range(len(line)):
        if abs(line[x] - colour) > _TOLERANCE:
            outliers += 1

    return outliers <= _OUTLIERS


@inner
def _median(line: Any, work: Any) -> Any:
    """The mean of the two in the middle; `work` has room for them sorted. `np.median` takes two
    seconds to compile.
    """
    n = len(line)
    for k in range(n):
        place = k
        while place > 0 and work[place - 1] > line[k]:
            work[place] = work[place - 1]
            place -= 1
        work[place] = line[k]

    return (work[(n - 1) // 2] + work[n // 2]) / 2


@inner
def _width(grey: Any, side: int, lines: Any) -> Any:
    """Pixels of the bar along a side, 0 where there is none, and its colour. The last pixel may be
    partly picture.
    """
    n = grey.shape[0]
    _line(grey, side, np.int64(0), lines[0])
    colour = _median(lines[0], lines[1])
    if not _plain(lines[0], colour):
        return 0.0, colour

    k = np.int64(1)
    while k <= _WIDEST:
        _line(grey, side, k, lines[0])
        if not _plain(lines[0], colour):
            break
        k += 1

    if k > _WIDEST:
        return 0.0, colour

    _line(grey, side, k + 1, lines[1])
    changed, common, energy = 0, 0.0, 1e-9
    for x in range(k, n - k):
        at, within = lines[0, x] - colour, lines[1, x] - colour
        common += at * within
        energy += within * within
        if abs(at) > _DIFFERS or abs(within) > _DIFFERS:
            changed += 1

    if changed < _EDGE * (n - 2 * k):
        return 0.0, colour

    return k + 1.0 - min(max(common / energy, 0.0), 1.0), colour


@inner
def _frame(grey: Any, lines: Any, widths: Any, colours: Any) -> bool:
    """Whether there is a frame; `widths`: pixels at the top, bottom, left and right."""
    for side in range(4):
        widths[side], colours[side] = _width(grey, side, lines)

    for first in range(0, 4, 2):
        if (
            widths[first] == 0.0
            or widths[first + 1] == 0.0
            or abs(colours[first] - colours[first + 1]) > _TOLERANCE
        ):
            widths[first] = widths[first + 1] = -widths[first] - widths[first + 1]

    if widths[0] <= 0.0 and widths[2] <= 0.0:
        return False

    for first in range(0, 4, 2):
        if widths[first] > 0.0:
            continue
        # The other two sides belong to the frame if they have its colour, even where the picture's
        # edge has it too.
        width = (widths[2 - first] + widths[3 - first]) / 2
        for side in range(first, first + 2):
            belongs = abs(colours[side] - colours[2 - first]) <= _TOLERANCE
            for k in range(int(width) if belongs else 0):
                _line(grey, side, k, lines[0])
                belongs = belongs and _plain(lines[0], colours[side])
            widths[side] = width if belongs else 0.0

    return True


@inner
def _cubic(at: Any, first: float, step: float, index: Any, weight: Any) -> None:
    """Weights of four neighbours for places first, first + step, …: Catmull-Rom (Keys 1981)."""
    for x in range(len(index)):
        place = min(max(first + step * x, 0.0), at - 1.0)
        i = min(int(place), at - 2)
        t = place - i
        index[x] = i
        weight[x, 0] = ((2.0 - t) * t - 1.0) * t / 2
        weight[x, 1] = ((3.0 * t - 5.0) * t * t + 2.0) / 2
        weight[x, 2] = ((4.0 - 3.0 * t) * t + 1.0) * t / 2
        weight[x, 3] = (t - 1.0) * t * t / 2


@inner
def _cut(grey: Any, widths: Any, out: Any) -> None:
    """What is within the frame, as large as the whole was."""
    n = grey.shape[0]
    rows, columns = np.empty(n, np.int64), np.empty(n, np.int64)
    of_rows, of_columns = np.empty((n, 4)), np.empty((n, 4))
    high, wide = (n - widths[0] - widths[1]) / n, (n - widths[2] - widths[3]) / n
    _cubic(n, widths[0] + 0.5 * high - 0.5, high, rows, of_rows)
    _cubic(n, widths[2] + 0.5 * wide - 0.5, wide, columns, of_columns)
    between = np.empty((n, n))

    for y in range(n):
        for x in range(n):
            total = 0.0
            for k in range(4):
                total += of_columns[x, k] * grey[y, min(max(columns[x] + k - 1, 0), n - 1)]
            between[y, x] = total

    for y in range(n):
        for x in range(n):
            total = 0.5
            for k in range(4):
                total += of_rows[y, k] * between[min(max(rows[y] + k - 1, 0), n - 1), x]
            out[y, x] = np.uint8(min(max(total, 0.0), 255.0))


@compiled
def _frames(thumbnails: Any, which: Any, widths: Any) -> Any:
    n_found = 0
    lines, of_one, colours = np.empty((2, thumbnails.shape[1])), np.empty(4), np.empty(4)
    for k in range(len(which)):
        if _frame(thumbnails[which[k]], lines, of_one, colours):
            put(of_one, widths[k])
            n_found += 1

    return n_found


@compiled
def _unframed(thumbnails: Any, which: Any, widths: Any, out: Any) -> None:
    for k in range(len(which)):
        _cut(thumbnails[which[k]], widths[k], out[k])


def frame_widths(thumbnails: NDArray[np.uint8], which: NDArray[np.int64]) -> NDArray[np.float64]:
    """Widths of the frames of the pictures `which`, in pixels of the thumbnail: top, bottom, left,
    right; or zeros.
    """
    widths = np.zeros((len(which), 4))
    _frames(thumbnails, which, widths)
    return widths


def without_frames(pictures: NDArray[np.uint8], widths: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What is within the frames, as large as the whole was; `widths`: in pixels of these pictures,
    shape (n, 4).
    """
    out = np.empty_like(pictures)
    _unframed(pictures, np.arange(len(pictures)), widths, out)
    return out


def unframed(
    thumbnails: NDArray[np.uint8], which: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Those of the pictures `which` that have a frame, and their thumbnails without it.

    `thumbnails`: uint8, shape (n, 32, 32). Returns places in `which`, and uint8 of shape (found,
    32, 32).
    """
    widths = frame_widths(thumbnails, which)
    found = np.flatnonzero(widths.any(axis=1)).astype(np.int64)
    out = np.empty((len(found), *thumbnails.shape[1:]), np.uint8)
    _unframed(thumbnails, which[found], widths[found], out)

    return found, out
