"""What is measured of a picture for the verdicts on copies, against the same in plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray

from dedup.verify.additions import Seen

CELL = 8  # pixels of 128


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (128, 128)).astype(np.uint8)


def framed(width: int, grey: int = 7) -> NDArray[np.uint8]:
    """Noise in a frame of one grey."""
    picture = np.full((128, 128), grey, np.uint8)
    picture[width : 128 - width, width : 128 - width] = noise(width)[width:-width, width:-width]
    return picture


def naive_cells(picture: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Means of the grey levels and of the squared gradients of each cell."""
    levels = [[int(value) for value in line] for line in picture]
    greys, steep = [0] * 256, [0] * 256
    for y in range(128):
        for x in range(128):
            cell = y // CELL * 16 + x // CELL
            across = levels[y][min(x + 1, 127)] - levels[y][x]
            down = levels[min(y + 1, 127)][x] - levels[y][x]
            greys[cell] += levels[y][x]
            steep[cell] += across**2 + down**2
    return [total / CELL**2 for total in greys], [total / CELL**2 for total in steep]


@pytest.mark.parametrize("picture", [noise(1), framed(9), np.full((128, 128), 200, np.uint8)])
def test_cells_are_those_of_plain_loops(picture: NDArray[np.uint8]) -> None:
    """Whole numbers are added, so that the means are the same to the last digit."""
    greys, steep = naive_cells(picture)

    seen = Seen.of(np.stack([noise(3), picture]))

    assert seen.means[1].tolist() == greys
    expected = np.log2(np.array(steep, np.float32) + np.float32(0.3))
    assert np.array_equal(seen.edges[1], expected)


@pytest.mark.parametrize("width", [1, 2, 9, 40])
def test_a_margin_is_as_wide_as_the_frame(width: int) -> None:
    """It ends with the first line that is not of the grey of the corner."""
    seen = Seen.of(np.stack([framed(width), noise(2)]))

    assert seen.margin.tolist() == [width, 0]
    assert seen.corner[0] == 7


def test_a_blank_picture_is_all_margin() -> None:
    """Up to the two pixels that are asked for behind it."""
    assert Seen.of(np.zeros((1, 128, 128), np.uint8)).margin.tolist() == [62]


def test_a_line_of_a_margin_may_differ_a_little() -> None:
    """By three grey levels on average: JPEG leaves as much."""
    near, beyond = framed(9), framed(9)
    near[0, 1:], near[127], near[1:127, 0], near[1:127, 127] = 10, 10, 10, 10
    beyond[0, 1:], beyond[127], beyond[1:127, 0], beyond[1:127, 127] = 11, 11, 11, 11

    assert Seen.of(np.stack([near, beyond])).margin.tolist() == [9, 0]
