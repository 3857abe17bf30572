"""Similarity at a higher resolution: whether two pictures are the same, or of the same scene.

Two frames of a burst, a stereo pair or two products of one catalogue agree at 32 × 32; what moved or differs shows in
the detail. The pictures are aligned from coarse to fine and then compared as thumbnails are.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.compiled import compiled_rounded, is_kept
from dedup.decoding.orientation import turned_channels
from dedup.search.crew import Crew
from dedup.verify.agreement import agreement, agreement_softened, fourth_roots, grey_laid_over
from dedup.verify.alignment import best_start, correlation, prepared, refined
from dedup.verify.contradiction import RIM, contradiction
from dedup.verify.features import NOISE, blurred, gradients, halved, oriented, put
from dedup.verify.similarity import INVERSES, STARTS, comes_after

CLOSE_SIDE: Final = 128  # pixels
COLOUR_SIDE: Final = 16
_NOISE: Final = 16.0  # grey levels: shorter gradients are noise and count less
_SOFTER: Final = np.array([0.08, 0.16])  # tried for each of the two: one may be a halftone or a smaller picture
_BLOCKS: Final = 16  # on a side, in which contradictions are looked for
_CONTRADICTED: Final = 4.0  # what a share of structure in which pictures contradict each other costs
_DOUBTFUL: Final = 0.95  # a lower similarity makes that the first picture is laid over the second one, too
_COARSEST: Final = 16  # pixels
_HOPELESS: Final = 0.5
"""Agreement at 64 pixels, less what is contradicted, below which 128 pixels are not compared.

Of 1,346 edited photos, 436 copies of drawings, 1,873 pairs of diagrams and 1,527 of stars none that
reaches 0.87 at the end has less than 0.62 here, the better way round.
"""

_LOST: Final = 0.6
"""A similarity one way round below which the other way round is not compared, unless it began better by `_BETTER`.

Of the same pairs those that the other way round brought to 0.87 had at least 0.73, or began better by 0.38.
"""

_BETTER: Final = 0.1
_STEPS: Final = 5  # at each size
_GAIN: Final = 0.0005  # a step that gains less is the last of its size
_PAIRS_PER_TASK: Final = 32
_DECIMALS: Final = 4
_MIN_CHROMA: Final = 10.0  # levels of 256; JPEG and crops stay below 4


@compiled_rounded
def _pyramid(grey: Any) -> Any:
    """The picture at 128, 64, 32 and 16 pixels."""
    levels = [grey.astype(np.float32)]
    for k in range(3):
        half = levels[k].shape[0] // 2
        smaller = np.empty((half, half), np.float32)
        halved(levels[k], smaller)
        levels.append(smaller)
    return levels


@compiled_rounded
def _gradients_of(grey: Any) -> Any:
    work, smooth = np.empty(grey.shape, np.float32), np.empty(grey.shape, np.float32)
    blurred(grey, work, smooth)
    out = np.empty((2, grey.shape[0] - 1, grey.shape[0] - 1), np.float32)
    gradients(smooth, NOISE, out)
    return out


@compiled_rounded
def _refined(left: Any, right: Any, starts: Any, by: Any) -> None:
    """Improve a map at one size, at 16 pixels from other scales too; `left` and `right`: gradients, (2, n, n)."""
    n = left.shape[1]
    descent, inverse = np.empty((6, 2, n, n), np.float32), np.empty((6, 6))
    prepared(left, descent, inverse)
    room = (np.empty((2, n, n), np.float32), np.empty((n, n), np.float32), np.zeros(3), np.zeros(6), np.zeros(6))
    trial = np.zeros(6)
    best = -1.0
    for attempt in range(2):
        put(by, trial)
        if attempt == 1 and n < _COARSEST:
            best_start(left, right, starts, -1.0, trial, room)
        elif attempt == 1:
            # A stamp can pull the small pictures astray, so it is asked again whether they agree as they lie.
            if correlation(left, right, np.ones((n, n), np.float32), room[2]) <= best:
                break
            trial[:] = 0.0
            trial[0] = trial[3] = 1.0
        found = refined(left, descent, inverse, right, trial, _STEPS, _GAIN, room)
        if found > best:
            best = found
            put(trial, by)


@compiled_rounded
def _begun(ones: Any, twos: Any, lefts: Any, rights: Any, starts: Any, rim: Any, by: Any) -> Any:
    """Align from 16 to 64 pixels; returns agreement without contradiction at 64.

    `lefts`, `rights`: gradients at 64, 32 and 16 pixels.
    """
    by[:] = 0.0
    by[0] = by[3] = 1.0
    for k in range(2, -1, -1):
        _refined(lefts[k], rights[k], starts, by)
    half = ones[1]
    n = half.shape[0]
    laid, inside = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    grey_laid_over(twos[1], by, laid, inside, np.empty((n + 3, n + 3), np.float32))
    agrees = _agreement_at_64(half, laid, inside, rim)
    if agrees < _HOPELESS:
        return agrees
    return agrees - _CONTRADICTED * _contradiction(half, laid, inside, rim)


@compiled_rounded
def _ended(ones: Any, twos: Any, starts: Any, rim: Any, by: Any) -> Any:
    """Align at 128 pixels; agreement without what is contradicted."""
    _refined(_gradients_of(ones[0]), _gradients_of(twos[0]), starts, by)
    n = ones[0].shape[0]
    laid, inside = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    grey_laid_over(twos[0], by, laid, inside, np.empty((n + 3, n + 3), np.float32))
    agrees = _agreement_of_halves(ones[1], laid, inside, rim)
    return agrees - _CONTRADICTED * _contradiction(ones[0], laid, inside, rim)


@compiled_rounded
def _close(one: Any, two: Any, starts: Any, has_rim: Any) -> Any:
    """Agreement without what is contradicted, of pictures aligned from 16 to 128 pixels.

    Each is laid over the other, as a crop that is enlarged fixes more of the map than one that is shrunk. What does not
    agree at 64 pixels, either way, is left at what it had there.
    """
    ones, twos = _pyramid(one), _pyramid(two)
    lefts, rights = [_gradients_of(level) for level in ones[1:]], [_gradients_of(level) for level in twos[1:]]
    rim = 1.0 / RIM if has_rim else 0.0
    by = np.zeros(6)

    begun = _begun(ones, twos, lefts, rights, starts, rim, by)
    found = begun
    if begun >= _HOPELESS:
        found = _ended(ones, twos, starts, rim, by)
        if found >= _DOUBTFUL:
            return found

    begun_back = _begun(twos, ones, rights, lefts, starts, rim, by)
    if begun_back < _HOPELESS:
        return found if begun >= _HOPELESS else max(begun, begun_back)
    if begun >= _HOPELESS and found < _LOST and begun_back < begun + _BETTER:
        return found
    back = _ended(twos, ones, starts, rim, by)
    return max(found, back) if begun >= _HOPELESS else back


@compiled_rounded
def _agreement_of_halves(half: Any, laid: Any, inside: Any, rim: Any) -> Any:
    """Agreement at 64 pixels, the sharper picture softened as far as the other one is.

    At 128, dither and the noise of a JPEG are as strong as the detail of a picture.
    """
    n = half.shape[0]
    smaller, within = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    halved(laid, smaller)
    halved(inside, within)
    return _agreement_at_64(half, smaller, within, rim)


@compiled_rounded
def _agreement_at_64(half: Any, laid: Any, inside: Any, rim: Any) -> Any:
    """The same of a picture laid over at that size; `inside` says where it is."""
    n = half.shape[0]
    pictures, within = np.empty((2, n, n), np.float32), np.empty((n, n), np.float32)
    put(half.reshape(-1), pictures[0].reshape(-1))
    put(laid.reshape(-1), pictures[1].reshape(-1))
    for y in range(n):
        for x in range(n):
            at_rim = min(y, x, n - 1 - y, n - 1 - x) < n * rim
            within[y, x] = np.float32(1.0) if inside[y, x] > np.float32(0.99) and not at_rim else np.float32(0.0)
    sharp, out = np.empty((2, 2, n - 1, n - 1), np.float32), np.empty((2, n - 1, n - 1), np.float32)
    for k in range(2):
        fourth_roots(pictures[k], _NOISE, sharp[k])
    work, softer = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    best = agreement(sharp[0], sharp[1], within)
    return max(best, agreement_softened(pictures, sharp, _SOFTER, _NOISE, within, work, softer, out))


@compiled_rounded
def _contradiction(one: Any, laid: Any, inside: Any, rim: Any) -> Any:
    work, first, second = (
        np.empty(one.shape, np.float32),
        np.empty(one.shape, np.float32),
        np.empty(one.shape, np.float32),
    )
    blurred(one, work, first)
    blurred(laid, work, second)
    return contradiction(first, second, inside, _BLOCKS, int(_BLOCKS * rim))


@compiled_rounded
def _compare(greys: Any, a: Any, b: Any, turns: Any, rims: Any, inverse: Any, starts: Any, out: Any) -> None:
    pictures = np.empty((2, greys.shape[1], greys.shape[2]), np.uint8)
    for k in range(len(a)):
        one, two, turn = a[k], b[k], turns[k]
        if comes_after(greys[one], greys[two]):
            one, two, turn = two, one, inverse[turn]
        put(greys[one].reshape(-1), pictures[0].reshape(-1))
        oriented(greys[two], turn, pictures[1])
        out[k] = _close(pictures[0], pictures[1], starts, rims[k])


def is_compiled() -> bool:
    """Whether a process here finds the kernels compiled."""
    return is_kept(_compare)


def close_similarities(
    greys: NDArray[np.uint8],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    transforms: NDArray[np.uint8],
    *,
    rims: NDArray[np.bool_] | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Similarity of greys a[k] and b[k], in [0, 1], symmetric, rounded to four decimals; some milliseconds a pair.

    `greys`: uint8, shape (n, 128, 128). `rims`: whether a thin line along the sides of a pair does not count, as where
    one of them was cut; None: of all.
    """
    out = np.zeros(len(a), np.float64)
    left_out = np.ones(len(a), bool) if rims is None else rims
    parts = [slice(start, start + _PAIRS_PER_TASK) for start in range(0, len(a), _PAIRS_PER_TASK)]
    with Crew(threads) as crew:
        crew.run(
            _compare,
            [(greys, a[p], b[p], transforms[p], left_out[p], INVERSES, STARTS, out[p]) for p in parts],
        )
    return np.round(np.clip(out, 0.0, 1.0), _DECIMALS).astype(np.float32)


@dataclass(frozen=True, slots=True)
class CloseView:
    """What the second look sees of a picture."""

    side: int  # pixels of the longer one
    grey: NDArray[np.uint8]  # (128, 128)
    chroma: NDArray[np.uint8]  # (16, 16, 2)


def close_view(image: Image.Image) -> CloseView:
    """A decoded picture, upright, mode L or RGB, as the second look sees it."""
    grey = image.convert("L").resize((CLOSE_SIDE, CLOSE_SIDE), Image.Resampling.BILINEAR)
    small = image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return CloseView(max(image.size), np.asarray(grey), np.asarray(small.convert("YCbCr"))[..., 1:])


def colours_differ(one: NDArray[np.uint8], two: NDArray[np.uint8], transform: int) -> bool:
    """Whether the mean distance of the chroma of two pictures, the second turned first, is more than an edit leaves."""
    away = one.astype(np.float64) - turned_channels(two, transform)
    return bool(np.sqrt((away**2).sum(axis=-1)).mean() > _MIN_CHROMA)
