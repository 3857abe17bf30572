"""Pictures of 16 bits, 32 bits or floating point as 8 bits: what is measured on, not what
identifies them.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

Values = NDArray[Any]

_TAIL: Final = 0.001
"""Share of the pixels at either end that do not decide the range: hot pixels, and what a resize
overshoots.
"""

_EMPTY_GAP: Final = 1.0
"""A constant that is further from all other values than these are from each other stands for "no
data".
"""

_USED: Final = 0.5
"""A picture that uses so much of what its kind of number can hold is scaled by that, as other
programs do.
"""

_MOST_VALUES: Final = 1 << 20  # that quantiles are taken of: more would not move them


def eight_bit(values: Values, *, is_float: bool) -> tuple[NDArray[np.uint8], bool]:
    """The picture in 8 bits, and whether nothing was lost: then it is an 8-bit picture that was
    stored wider.

    Where the values use less than half of their container (0 to 1 or 255 for floating point, else 0
    to 65,535), they are stretched by what they use. A copy that was resized or cropped uses the
    same, but for a little gain, to which the measures are insensitive. Values that are not finite
    are black.
    """
    finite = values[np.isfinite(values)] if is_float else values.ravel()
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8), False

    lowest, highest = float(finite.min()), float(finite.max())
    factor, top = _container(lowest, highest, is_float=is_float)
    if top is not None:
        plain = values * factor if is_float else values / 257.0
        eight = _rounded(plain)
        if np.array_equal(plain, eight):
            return eight, True
        if _USED * top <= np.subtract(*used_range(finite)[::-1]):
            return eight, False

    low, high = used_range(finite)

    return _rounded((values.astype(np.float64) - low) * (255 / ((high - low) or 1))), False


def _container(lowest: float, highest: float, *, is_float: bool) -> tuple[float, float | None]:
    """The factor to 255 and the highest value of what such numbers usually lie in; None where they
    lie in nothing.
    """
    if lowest < 0 or highest > (255 if is_float else 65535):
        return 1.0, None
    if is_float:
        return (255.0, 1.0) if highest <= 1 else (1.0, 255.0)

    return 1 / 257, 65535.0


def used_range(finite: Values) -> tuple[float, float]:
    """The lowest and the highest value that count, of values of any shape, none of them infinite.

    The tails are left out, and constants that stand for "no data" at either end.
    """
    levels = finite.ravel()[:: max(finite.size // _MOST_VALUES, 1)].astype(np.float64)
    for sign in (1, -1):
        levels = sign * _without_constant(np.sort(sign * levels))

    low, high = np.quantile(levels, [_TAIL, 1 - _TAIL]).tolist()
    if low == high:  # all but a few pixels are the same: then the few are the picture
        low, high = float(levels.min()), float(levels.max())

    return low, high


def _without_constant(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sorted values without their lowest one, where that is far from the others."""
    rest = levels[np.searchsorted(levels, levels[0], side="right") :]
    if rest.size == 0:
        return levels

    low, high = np.quantile(rest, [_TAIL, 1 - _TAIL])

    return rest if 0 < _EMPTY_GAP * (high - low) < rest[0] - levels[0] else levels


def _rounded(scaled: Values) -> NDArray[np.uint8]:
    """Whole numbers from 0 to 255; what is not finite becomes 0."""
    whole = np.rint(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0)).clip(0, 255)

    return np.asarray(whole, np.uint8)


_BIG, _LITTLE = "RGB;16B", "RGB;16L"
_BIG_ALPHA, _LITTLE_ALPHA = "RGBA;16B", "RGBA;16L"
_GREY_ALPHA: Final = "LA;16B"
_FOUR_BYTES: Final = "RGBA"

_IS_LITTLE: Final = sys.byteorder == "little"

_OTHER_HALF: Final = {
    _BIG: _LITTLE,
    _LITTLE: _BIG,
    "RGB;16N": _BIG if _IS_LITTLE else _LITTLE,
    _BIG_ALPHA: _LITTLE_ALPHA,
    _LITTLE_ALPHA: _BIG_ALPHA,
    "RGBA;16N": _BIG_ALPHA if _IS_LITTLE else _LITTLE_ALPHA,
    _GREY_ALPHA: _FOUR_BYTES,
}
"""Pillow keeps the high bytes of colours of 16 bits. Read as if they were in the other order, the
same file gives their low bytes. Grey with transparency is read as four channels, its four bytes.
"""


def other_half(opened: Image.Image) -> str | None:
    """How the low bytes of a picture of colours, or of transparency, with 16 bits each are read;
    None for any other. To be asked before it is loaded.
    """
    modes = {_mode_of(tile.args) for tile in _tiles(opened)}
    if opened.mode not in {"RGB", "RGBA", "LA"} or len(modes) != 1:
        return None

    return _OTHER_HALF.get(modes.pop())


def read_as(opened: Image.Image, mode: str) -> Image.Image:
    """A picture that was opened anew, loaded with its values in another order of bytes."""
    if isinstance(opened, ImageFile.ImageFile):
        opened.tile = [
            tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:]))
            for tile in _tiles(opened)
        ]
        if mode == _FOUR_BYTES:  # the mode says how many bytes a pixel has
            opened._mode = mode

    opened.load()

    return opened


def joined(high: Image.Image, low: Image.Image, half: str) -> NDArray[np.uint16]:
    """The values of 16 bits, (height, width, channels), or (height, width) where there is no
    transparency and all of them are grey. `low` was read as `other_half` says.
    """
    if half == _FOUR_BYTES:
        four = np.asarray(low).astype(np.uint16)
        return np.ascontiguousarray(four[..., 0::2] << 8 | four[..., 1::2])

    values = (np.asarray(high).astype(np.uint16) << 8) | np.asarray(low)
    is_grey = bool((values[..., :1] == values[..., 1:3]).all())
    if values.shape[-1] == 4:
        values = values[..., [0, 3]] if is_grey else values
    elif is_grey:
        values = values[..., 0]

    return np.ascontiguousarray(values)


def without_transparency(values: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    """The colours of values whose last channel hides nothing; None where it does."""
    if values.ndim == 2 or values.shape[-1] == 3:
        return values
    if int(values[..., -1].min()) < _OPAQUE:
        return None

    colours = values[..., :-1]

    return np.ascontiguousarray(colours[..., 0] if colours.shape[-1] == 1 else colours)


_OPAQUE: Final = 65535


def transparent(values: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], Values]:
    """Colours with transparency in 8 bits, (height, width, 4), and what identifies them; what
    cannot be seen does not count.
    """
    alpha = values[..., -1]
    shown = alpha > 0
    colours = values[..., :-1].copy()
    colours[~shown] = colours[shown].min() if shown.any() else 0
    eight, is_exact = eight_bit(colours, is_float=False)
    clear = np.where(shown[..., None], values, 0)
    plain = np.concatenate(
        [np.broadcast_to(eight, (*alpha.shape, 3)), _rounded(alpha / 257.0)[..., None]], axis=-1
    )
    plain[~shown] = 0
    is_exact = is_exact and not (alpha % 257).any()

    return plain, plain if is_exact else clear


def _tiles(opened: Image.Image) -> Sequence[Any]:
    """The parts that a file is decoded in, each with what its decoder is told."""
    return opened.tile if isinstance(opened, ImageFile.ImageFile) else ()


def _mode_of(arguments: Any) -> str:
    first = arguments if isinstance(arguments, str) else (arguments or ("",))[0]

    return first if isinstance(first, str) else ""
