"""Second views of pictures that have a frame: what is inside it, with codes of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.hashers import families, resampling
from dedup.hashers.thumbnail import information
from dedup.search import pack
from dedup.tables import MIN_INFORMATION, code_column
from dedup.verify.frames import unframed

MAX_BITS: Final = 256
"""Of codes that a thumbnail of 32 × 32 has detail enough for."""


@dataclass(frozen=True, slots=True)
class Views:
    """What is within the frames of some of the searched pictures."""

    of: NDArray[np.int64]  # places among the searched pictures, ascending
    thumbnails: NDArray[np.uint8]  # (n, 32, 32)
    codes: dict[str, NDArray[np.uint64]]  # by column of `hashes`, packed


def within_frames(
    thumbnails: NDArray[np.uint8],
    samples: NDArray[np.int64],
    algorithms: Sequence[str],
    bits: int,
    transforms: Sequence[str],
) -> Views:
    """The views of the pictures `samples`, whose thumbnails are uint8, shape (n, 1024) of all
    pictures.
    """
    small = thumbnails.reshape(-1, 32, 32)
    found, cut = unframed(small, samples if bits <= MAX_BITS else samples[:0])
    informed = information(cut) >= MIN_INFORMATION if len(cut) else np.zeros(0, bool)
    found, cut = found[informed], cut[informed]
    planes = [resampling.whole(one) for one in cut]
    codes: dict[str, NDArray[np.uint64]] = {}
    measured = families.measured(planes, algorithms, bits, transforms)[1] if planes else {}

    for name, oriented in measured.items():
        codes |= {
            code_column(name, turn): pack(one)
            for turn, one in zip(transforms, oriented, strict=True)
        }

    return Views(found, cut, codes)
