"""What a second look sees of the quality of a picture: how much detail there is at each size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.orientation import turned_each
from dedup.verify.bands import band

SIDES: Final = (128, 256, 512, 1024, 2048)
"""Pixels of the squares at which detail is measured, each the finest that its band holds."""

BLOCKS: Final = 8  # on a side, in which detail is measured
NOISE: Final = 0.3
"""Grey levels: what rounding to 8 bits leaves in a band."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What is seen of the quality of one picture."""

    side: int  # pixels of the longer one
    # (8, 8, 5): grey levels, by block and band; zero above the picture's own size
    energy: NDArray[np.float32]
    # octaves of energy from the finest band of its own pixels to the next, and from there
    slopes: tuple[float, float]
    colour: float  # mean distance of the chroma from grey, levels of 256

    def to_bytes(self) -> bytes:
        """On its way from a worker."""
        return np.array(
            [self.side, *self.slopes, self.colour, *self.energy.ravel()], np.float32
        ).tobytes()


NOTHING_SEEN: Final = Quality(
    0, np.zeros((BLOCKS, BLOCKS, len(SIDES)), np.float32), (0.0, 0.0), 0.0
).to_bytes()
"""In place of a picture that is not there any more."""


@dataclass(frozen=True, slots=True)
class Qualities:
    """Of several pictures, or of one side of several pairs."""

    side: NDArray[np.int64]  # (n,): pixels of the longer one
    energy: NDArray[np.float32]  # (n, 8, 8, 5): grey levels, by block and band
    slopes: NDArray[np.float64]  # (n, 2)
    colour: NDArray[np.float64]  # (n,)

    @classmethod
    def from_bytes(cls, pictures: Sequence[bytes]) -> "Qualities":
        """From what `Quality.to_bytes` gives of each."""
        values = np.frombuffer(b"".join(pictures), np.float32).reshape(len(pictures), -1)
        energy = values[:, 4:].reshape(-1, BLOCKS, BLOCKS, len(SIDES))
        wide = values[:, :4].astype(np.float64)

        return cls(wide[:, 0].astype(np.int64), energy, wide[:, 1:3], wide[:, 3])

    def take(self, which: NDArray[np.int64]) -> "Qualities":
        """Those at these places."""
        return Qualities(
            self.side[which], self.energy[which], self.slopes[which], self.colour[which]
        )

    def turned(self, transforms: NDArray[np.uint8]) -> "Qualities":
        """Each in its orientation: what is where belongs to the energy alone."""
        by_band = self.energy.transpose(0, 3, 1, 2)
        energy = turned_each(by_band, transforms).transpose(0, 2, 3, 1)

        return Qualities(self.side, energy, self.slopes, self.colour)


def quality(image: Image.Image) -> Quality:
    """A decoded picture, upright, mode L or RGB."""
    grey = image.convert("L")
    colour = 0.0
    if image.mode == "RGB":
        small = np.asarray(
            image.resize((16, 16), Image.Resampling.BOX).convert("YCbCr"), np.float64
        )
        colour = float(np.abs(small[..., 1:] - 128).mean())

    return Quality(max(image.size), _energy(grey), _slopes(grey), colour)


def _energy(grey: Image.Image) -> NDArray[np.float32]:
    """Root mean square of each band in each block, of the picture squeezed to squares."""
    energy = np.zeros((BLOCKS, BLOCKS, len(SIDES)), np.float32)
    # Of a picture of a few pixels the coarsest band: it has some, if none of detail.
    used = [side for side in SIDES if side // 2 < max(grey.size)] or list(SIDES[:1])
    level = np.asarray(grey.resize((used[-1], used[-1]), Image.Resampling.BICUBIC))
    for place in range(len(used) - 1, -1, -1):
        squares, level = band(level, BLOCKS)
        energy[..., place] = np.sqrt(squares)

    return energy


def _slopes(grey: Image.Image) -> tuple[float, float]:
    """How much finer bands have than coarser ones, at the picture's own pixels."""
    levels, level = [], np.asarray(grey)
    for _ in range(3):
        squares, level = band(_padded(level), 1)
        levels.append(np.log2(np.sqrt(squares[0, 0]) + NOISE))

    return float(levels[0] - levels[1]), float(levels[1] - levels[2])


def _padded(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With black beside a single row or column, which cannot be halved alone."""
    missing = [(0, max(2 - side, 0)) for side in level.shape]

    return np.pad(level, missing) if min(level.shape) == 1 else level
