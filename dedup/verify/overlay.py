"""How one picture of a pair lies over the other, for people who look at them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.orientation import turn_matrix, turned
from dedup.hashers.close_views import CLOSE_SIDE
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify.closer import best_map
from dedup.verify.frames import frame_widths, without_frames

Matrix = NDArray[np.float64]
"""A map of the plane, (3, 3): places in the unit square of one picture to those of another."""

_TO_HALF_WIDTHS: Final = np.array([[2.0, 0.0, -1.0], [0.0, 2.0, -1.0], [0.0, 0.0, 1.0]])
"""From places in the unit square to places in half-widths around the middle."""


def lying(
    one: NDArray[np.uint8], two: NDArray[np.uint8], transform: str, unframed: str | None
) -> Matrix:
    """From places of the second picture to those of the first, as the verification lays them over
    each other.

    `one`, `two`: uint8, (128, 128), both upright. `transform`, applied to the second, gives the
    first; `unframed`: which of them is compared without its frame: a, b, both or None.
    """
    inside = []
    cut = []
    for name, picture in (("a", one), ("b", two)):
        within, box = _without_frame(picture) if unframed in (name, "both") else (picture, None)
        cut.append(within)
        inside.append(np.eye(3) if box is None else box)

    by = best_map(cut[0], np.ascontiguousarray(turned(cut[1], transform)))
    found = np.array([[by[0], by[1], by[4]], [by[2], by[3], by[5]], [0.0, 0.0, 1.0]])
    back = np.linalg.inv(_TO_HALF_WIDTHS) @ np.linalg.inv(found) @ _TO_HALF_WIDTHS

    return np.asarray(inside[0] @ back @ turn_matrix(transform) @ np.linalg.inv(inside[1]))


def _without_frame(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Matrix]:
    """What is within the frame, as large as the whole, and from its places to those of the
    whole.
    """
    small = Image.fromarray(picture).resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX)
    widths = frame_widths(np.asarray(small)[None], np.arange(1))
    scale = CLOSE_SIDE / THUMBNAIL_SIDE
    top, bottom, left, right = (widths[0] / THUMBNAIL_SIDE).tolist()
    box = np.array([[1 - left - right, 0.0, left], [0.0, 1 - top - bottom, top], [0.0, 0.0, 1.0]])

    return without_frames(picture[None], widths * scale)[0], box
