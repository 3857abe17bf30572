"""Thin rims: found where a line steps along a whole side, and taken away for a second
comparison.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dedup.verify.rims import without_rims
from dedup.verify.similarity import verified


def picture(seed: int) -> NDArray[np.uint8]:
    """Soft blots of 32 × 32 pixels in middle greys."""
    coarse = np.random.default_rng(seed).uniform(40, 160, (9, 9))
    places = np.linspace(0, 8, 32)
    rows = np.stack([np.interp(places, np.arange(9), line) for line in coarse])
    return np.stack([np.interp(places, np.arange(9), line) for line in rows.T], axis=1).astype(
        np.uint8
    )


def with_rim(grey: NDArray[np.uint8], sides: str, width: int = 1) -> NDArray[np.uint8]:
    """A light line of so many pixels along the named sides: top, bottom, left, right."""
    out = grey.copy()
    lines = {"t": out[:width], "b": out[-width:], "l": out[:, :width], "r": out[:, -width:]}
    for side in sides:
        lines[side][:] = np.clip(lines[side].astype(int) + 90, 0, 255)
    return out


@pytest.mark.parametrize("sides", ["t", "b", "l", "r", "tl", "tblr"])
@pytest.mark.parametrize("width", [1, 2])
def test_a_light_line_is_overwritten_by_what_is_inside(sides: str, width: int) -> None:
    """On the sides that have one; the others, and everything behind, stay as they are."""
    grey = picture(3)
    (found,), _, changed = without_rims(with_rim(grey, sides, width)[None])

    assert changed.tolist() == [True]
    assert np.array_equal(grey[width:-width, width:-width], found[width:-width, width:-width])
    if "t" in sides and not {"l", "r"} & set(sides):
        assert np.array_equal(np.repeat(grey[width][None], width, axis=0), found[:width])


def test_a_picture_without_a_rim_stays_as_it_is() -> None:
    """Contours that do not run along a whole side are no rim."""
    pictures = np.stack([picture(seed) for seed in range(50)])
    overwritten, cut, changed = without_rims(pictures)

    assert not changed.any()
    assert np.array_equal(pictures, overwritten)
    assert np.array_equal(pictures, cut)


@pytest.mark.parametrize("sides", ["t", "l", "tb", "tblr"])
def test_a_picture_that_was_shrunk_into_a_rim_has_its_size_again(sides: str) -> None:
    """What is cut away is enlarged to the whole: nearer to the picture than what is overwritten."""
    grey = picture(11)
    side = {"t": (2, 0, 0, 0), "l": (0, 0, 2, 0), "tb": (2, 2, 0, 0), "tblr": (2, 2, 2, 2)}[sides]
    height, width = 32 - side[0] - side[1], 32 - side[2] - side[3]
    inside = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    padded = np.pad(np.array(inside), (side[:2], side[2:]), mode="edge")
    (overwritten,), (cut,), changed = without_rims(with_rim(padded, sides, 2)[None])
    away = [np.abs(grey.astype(int) - found).mean() for found in (overwritten, cut)]

    assert changed.tolist() == [True]
    assert away[1] < away[0]


def test_a_copy_in_a_thin_rim_is_more_similar_than_before() -> None:
    """A light line round a copy costs nothing, and the order of the two does not matter."""
    grey = picture(5)
    both = np.stack([grey, with_rim(grey, "tblr")])
    one = verified(both, np.array([0]), np.array([1])).similarity
    other = verified(both, np.array([1]), np.array([0])).similarity

    assert one[0] >= 0.95
    assert one.tolist() == other.tolist()


def test_strangers_in_the_same_rim_stay_strangers() -> None:
    """Two pictures of which each has such a line are compared by what is inside, too."""
    both = np.stack([with_rim(picture(1), "tblr"), with_rim(picture(2), "tblr")])

    assert verified(both, np.array([0]), np.array([1])).similarity[0] < 0.8
