"""The eight orientations: what each does to arrays and to pictures, what undoes it, what EXIF calls
it.

Numbers of orientations are places in `tables.TRANSFORMS`.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.tables import TRANSFORMS

TURNS: Final = {
    "identity": (False, False, False),
    "mirror": (False, False, True),
    "flip": (False, True, False),
    "rotate180": (False, True, True),
    "transpose": (True, False, False),
    "rotate90": (True, True, False),
    "transverse": (True, True, True),
    "rotate270": (True, False, True),
}
"""Each orientation as: swap the axes, then reverse the rows, then reverse the columns."""

INVERSE: Final = (0, 1, 2, 3, 4, 7, 6, 5)
"""INVERSE[t] undoes transform t."""

TURN_OF_EXIF: Final = {
    2: "mirror",
    3: "rotate180",
    4: "flip",
    5: "transpose",
    6: "rotate270",
    7: "transverse",
    8: "rotate90",
}
"""What makes a stored picture upright, by the value of EXIF's tag 0x0112; 1 and others: nothing."""

PILLOW_NAMES: Final = {
    "mirror": "FLIP_LEFT_RIGHT",
    "flip": "FLIP_TOP_BOTTOM",
    "rotate180": "ROTATE_180",
    "transpose": "TRANSPOSE",
    "rotate90": "ROTATE_90",
    "transverse": "TRANSVERSE",
    "rotate270": "ROTATE_270",
}
"""Each orientation but the identity as a member of `PIL.Image.Transpose`."""


def turned(values: NDArray[Any], transform: str) -> NDArray[Any]:
    """Small pictures (..., rows, columns) in one of the eight orientations."""
    swap, rows, columns = TURNS[transform]
    stood = values.swapaxes(-1, -2) if swap else values
    return stood[..., :: -1 if rows else 1, :: -1 if columns else 1]


def turned_each(pictures: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Square pictures (n, …, side, side), each in the orientation of its number."""
    found = pictures.copy()
    for number in set(numbers.tolist()) - {0}:
        which = numbers == number
        found[which] = turned(pictures[which], TRANSFORMS[number])

    return found


_SWAP: Final = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_REVERSED_COLUMNS: Final = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
_REVERSED_ROWS: Final = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 1.0]])


def turn_matrix(transform: str) -> NDArray[np.float64]:
    """From places in a picture to those in the same one in another orientation: a map of the unit
    square, (3, 3).
    """
    swap, rows, columns = TURNS[transform]
    found = _SWAP if swap else np.eye(3)
    if columns:
        found = _REVERSED_COLUMNS @ found

    return np.asarray(_REVERSED_ROWS @ found if rows else found)
