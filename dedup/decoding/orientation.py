"""The eight orientations of small arrays."""

from typing import Any, Final

from numpy.typing import NDArray

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


def turned(values: NDArray[Any], transform: str) -> NDArray[Any]:
    """Small pictures (..., rows, columns) in one of the eight orientations."""
    swap, rows, columns = TURNS[transform]
    stood = values.swapaxes(-1, -2) if swap else values
    return stood[..., :: -1 if rows else 1, :: -1 if columns else 1]
