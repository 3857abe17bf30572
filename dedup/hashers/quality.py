"""What a second look sees of the quality of a picture: how much detail there is at each size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding.orientation import turned_each
from dedup.hashers.bands import band, steps

SIDES: Final = (128, 256, 512, 1024, 2048)
"""Pixels of the squares at which detail is measured, each the finest that its band holds."""

BLOCKS: Final = 8  # on a side, in which detail is measured
NOISE: Final = 0.3
"""Grey levels: what rounding to 8 bits leaves in a band."""

_BLOCK_SIDE: Final = 8  # pixels, of the blocks that JPEG compresses
_MOST_PIXELS: Final = 1024  # of a side, from the middle: enough to see blocks, at the same cost
_FEWEST_PIXELS: Final = 3 * _BLOCK_SIDE  # of a side: fewer have no two edges of blocks
_MIN_STEP: Final = 0.05  # grey levels: less is no step


@dataclass(frozen=True, slots=True)
class Quality:
    """What is seen of the quality of one picture."""

    side: int  # pixels of the longer one
    # (8, 8, 5): grey levels, by block and band; zero above the picture's own size
    energy: NDArray[np.float32]
    # octaves of energy from the finest band of its own pixels to the next, and from there
    slopes: tuple[float, float]
    colour: float  # mean distance of the chroma from grey, levels of 256
    blocks: float  # octaves by which steps at the edges of JPEG's blocks are higher than between

    def to_bytes(self) -> bytes:
        """On its way from a worker."""
        return np.array(
            [self.side, *self.slopes, self.colour, self.blocks, *self.energy.ravel()], np.float32
        ).tobytes()


NOTHING_SEEN: Final = Quality(
    0, np.zeros((BLOCKS, BLOCKS, len(SIDES)), np.float32), (0.0, 0.0), 0.0, 0.0
).to_bytes()
"""In place of a picture that is not there any more."""


@dataclass(frozen=True, slots=True)
class Qualities:
    """Of several pictures, or of one side of several pairs."""

    side: NDArray[np.int64]  # (n,): pixels of the longer one
    energy: NDArray[np.float32]  # (n, 8, 8, 5): grey levels, by block and band
    slopes: NDArray[np.float64]  # (n, 2)
    colour: NDArray[np.float64]  # (n,)
    blocks: NDArray[np.float64]  # (n,)

    @classmethod
    def from_bytes(cls, pictures: Sequence[bytes]) -> "Qualities":
        """From what `Quality.to_bytes` gives of each."""
        values = np.frombuffer(b"".join(pictures), np.float32).reshape(len(pictures), -1)
        energy = values[:, 5:].reshape(-1, BLOCKS, BLOCKS, len(SIDES))
        wide = values[:, :5].astype(np.float64)

        return cls(wide[:, 0].astype(np.int64), energy, wide[:, 1:3], wide[:, 3], wide[:, 4])

    def take(self, which: NDArray[np.int64]) -> "Qualities":
        """Those at these places."""
        return Qualities(*(getattr(self, name)[which] for name in self.__slots__))

    def turned(self, transforms: NDArray[np.uint8]) -> "Qualities":
        """Each in its orientation: what is where belongs to the energy alone."""
        by_band = self.energy.transpose(0, 3, 1, 2)
        energy = turned_each(by_band, transforms).transpose(0, 2, 3, 1)

        return replace(self, energy=energy)


def quality(image: Image.Image) -> Quality:
    """A decoded picture, upright, mode L or RGB."""
    grey = image.convert("L")
    colour = 0.0
    if image.mode == "RGB":
        small = np.asarray(
            image.resize((16, 16), Image.Resampling.BOX).convert("YCbCr"), np.float64
        )
        colour = float(np.abs(small[..., 1:] - 128).mean())

    return Quality(max(image.size), _energy(grey), _slopes(grey), colour, _blocks(grey))


def _blocks(grey: Image.Image) -> float:
    """Octaves by which the steps between JPEG's blocks are higher than those within them; 0 where
    the picture is too small.

    A step is how far two neighbours are apart more than the pixels beside them (as in Wang, Sheikh
    and Bovik 2002, "No-reference perceptual quality assessment of JPEG compressed images").
    """
    if min(grey.size) < _FEWEST_PIXELS:
        return 0.0

    # Cut at edges of blocks, so that they stay where they are.
    left, top = (
        max(0, side - _MOST_PIXELS) // (2 * _BLOCK_SIDE) * _BLOCK_SIDE for side in grey.size
    )
    middle = np.asarray(grey)[top : top + _MOST_PIXELS, left : left + _MOST_PIXELS]

    return sum(_blockiness(means) for means in steps(middle)) / 2


def _blockiness(means: NDArray[np.float64]) -> float:
    """The same along one side, from the mean step at each place."""
    # The step at place k is between the columns k + 1 and k + 2.
    column = (np.arange(len(means)) + 2) % _BLOCK_SIDE
    at_edges = means[column == 0].mean()
    # What is next to an edge has lost the height of its step.
    within = means[(column > 1) & (column < _BLOCK_SIDE - 1)].mean()

    return float(np.log2((at_edges + _MIN_STEP) / (within + _MIN_STEP)))


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
