"""What a second look sees of a picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLOSE_SIDE: Final = 128  # pixels
COLOUR_SIDE: Final = 16  # pixels

_LONG: Final = 1 << 20
"""Pixels of a side. To resize a longer one Pillow takes gigabytes for its weights alone."""
_SHORTENED: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class CloseView:
    """What the second look sees of a picture."""

    side: int  # pixels of the longer one
    grey: NDArray[np.uint8]  # (128, 128)
    chroma: NDArray[np.uint8]  # (16, 16, 2)


def shortened(image: Image.Image) -> Image.Image:
    """The picture, or its means over parts of a side that is longer than a million pixels."""
    if max(image.size) <= _LONG:
        return image

    across, down = (-(-side // _SHORTENED) for side in image.size)

    return image.reduce((across, down))


def close_view(image: Image.Image) -> CloseView:
    """A decoded picture, upright, mode L or RGB, as the second look sees it."""
    image, longer = shortened(image), max(image.size)
    grey = image.convert("L").resize((CLOSE_SIDE, CLOSE_SIDE), Image.Resampling.BILINEAR)
    small = image.convert("RGB").resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    return CloseView(longer, np.asarray(grey), np.asarray(small.convert("YCbCr"))[..., 1:])
