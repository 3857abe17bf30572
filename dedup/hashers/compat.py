"""The four hashes of the ImageHash library, computed by it: its own codes, bit for bit."""

import math
from collections.abc import Sequence
from typing import Final

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FUNCTIONS: Final = {
    "ahash": imagehash.average_hash,
    "phash": imagehash.phash,
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
}


def codes(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """Codes of the pictures, shape (n, bits // 8); a row's hex digits are `str` of ImageHash's own
    result.
    """
    function = FUNCTIONS[algorithm]
    side = math.isqrt(bits)
    packed = np.empty((len(images), bits // 8), dtype=np.uint8)
    for row, image in enumerate(images):
        packed[row] = np.packbits(function(image, side).hash)

    return packed
