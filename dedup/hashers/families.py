"""The families behind one contract.

A family is a function from normalised pictures to the packed codes of one algorithm.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.hashers import fast, pdq

Family = Callable[[Sequence[Image.Image], str, int], NDArray[np.uint8]]
"""(pictures of mode L or RGB, algorithm, bits) → uint8, shape (n, bits // 8)."""


def _compat(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """ImageHash's own codes, of which only this mode has a use: it brings SciPy and PyWavelets."""
    from dedup.hashers import compat

    return compat.codes(images, algorithm, bits)


MODES: Final[Mapping[str, Family]] = {"fast": fast.codes, "compat": _compat}
"""Family by `hash.mode`."""


def picture_codes(
    images: Sequence[Image.Image], algorithm: str, bits: int, mode: str
) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, bits // 8). PDQ is none of ImageHash's: it is the
    same in every mode.
    """
    return pdq.codes(images) if algorithm == "pdq" else MODES[mode](images, algorithm, bits)
