"""What half the size of a picture cannot hold, against Pillow's own resize."""

import numpy as np
import pytest
from PIL import Image

from dedup.hashers.bands import band, steps


def by_pillow(level: np.ndarray, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with resizes of one axis at a time, rows first, as Pillow 12 orders them."""
    high, wide = (side // 2 for side in level.shape)
    whole = level[: 2 * high, : 2 * wide]
    half = whole
    for size in ((wide, 2 * high), (wide, high)):
        half = np.asarray(Image.fromarray(half).resize(size, Image.Resampling.BOX))
    smooth = half
    for size in ((2 * wide, high), (2 * wide, 2 * high)):
        smooth = np.asarray(Image.fromarray(smooth).resize(size, Image.Resampling.BILINEAR))
    squares = (whole.astype(np.float64) - smooth) ** 2
    shape = n_blocks, 2 * high // n_blocks, n_blocks, 2 * wide // n_blocks

    return squares.reshape(shape).mean(axis=(1, 3)), half


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (7, 5), (6, 10), (64, 64), (790, 337)])
@pytest.mark.parametrize("seed", range(3))
def test_a_band_is_what_pillow_makes_of_it(size: tuple[int, int], seed: int) -> None:
    """Of noise, black and white, and slopes; an odd row or column is left out."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, size)
    levels = [noise, 255 * (noise > 128), np.add.outer(np.arange(size[0]), np.arange(size[1]))]
    for level in (np.asarray(each % 256, np.uint8) for each in levels):
        squares, half = band(level, 1)
        expected_squares, expected_half = by_pillow(level, 1)

        assert expected_half.tolist() == half.tolist()
        assert expected_squares.item() == pytest.approx(squares.item(), rel=1e-12)


@pytest.mark.parametrize("side", [16, 128, 512])
def test_blocks_of_a_band(side: int) -> None:
    """Eight on each side, each with its own mean."""
    level = np.random.default_rng(side).integers(0, 256, (side, side), np.uint8)
    level[: side // 2] = 90
    squares, _ = band(level, 8)

    assert by_pillow(level, 8)[0].ravel().tolist() == pytest.approx(squares.ravel().tolist())


def test_a_read_only_picture() -> None:
    """Pillow's arrays cannot be written to, and give the same."""
    level = np.random.default_rng(1).integers(0, 256, (32, 32), np.uint8)
    fixed = np.asarray(Image.fromarray(level))

    assert band(level, 8)[0].tolist() == band(fixed, 8)[0].tolist()


@pytest.mark.parametrize("size", [(4, 4), (30, 41), (129, 64)])
def test_steps_between_pixels(size: tuple[int, int]) -> None:
    """How far two neighbours are apart more than the pairs on either side, the mean of each place;
    written with NumPy's differences.
    """
    level = np.random.default_rng(size[0]).integers(0, 256, size, np.uint8)
    expected = []
    for each in (level, level.T):
        apart = np.abs(np.diff(each.astype(np.float64), axis=1))
        more = apart[:, 1:-1] - (apart[:, :-2] + apart[:, 2:]) / 2
        expected.append(np.maximum(more, 0).mean(axis=0).tolist())
    found = steps(level)

    assert expected[0] == pytest.approx(found[0].tolist())
    assert expected[1] == pytest.approx(found[1].tolist())
