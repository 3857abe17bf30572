"""Overlaps of placed pictures: areas, boxes, rectangles inside, and what is cut out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.verify.overlap import (
    area,
    clipped,
    corners,
    cut_out,
    inscribed,
    inverse,
    mapped,
    overlap,
)


def turned(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    """A similarity transform as (2, 3)."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]])


def area_by_counting(
    polygon: list[tuple[float, float]], size: tuple[int, int], steps: int = 200
) -> float:
    """The share of a picture inside a convex polygon, by asking points of a grid."""
    inside = 0

    for row in range(steps):
        for column in range(steps):
            x, y = (column + 0.5) * size[0] / steps, (row + 0.5) * size[1] / steps
            signs = set()
            for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
                signs.add((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0)
            inside += len(signs) == 1

    return inside / steps**2


def test_a_crop_is_whole_in_its_own_frame() -> None:
    """Of a crop at (30, 40), half as large, all is in the other picture, and the frame is the
    crop.
    """
    found = overlap((200, 160), (100, 80), turned(1.0, 0.0, 30.0, 40.0))

    assert found is not None
    assert (0.25, 1.0) == (found.share_a, found.share_b)
    assert (30.0, 40.0, 130.0, 120.0) == pytest.approx(found.box_a)
    assert (0.0, 0.0, 100.0, 80.0) == pytest.approx(found.box_b)
    assert found.in_frame_of_b
    assert (0.0, 0.0, 100.0, 80.0) == pytest.approx(found.cut)


def test_pictures_beside_each_other_have_no_overlap() -> None:
    """A picture that is placed outside shares nothing."""
    assert overlap((100, 100), (50, 50), turned(1.0, 10.0, 300.0, 0.0)) is None


@given(st.floats(0.3, 3.0), st.floats(0.0, 360.0), st.floats(-80.0, 80.0), st.floats(-80.0, 80.0))
def test_shares_are_those_of_counted_points(
    scale: float, degrees: float, x: float, y: float
) -> None:
    """The share of the first picture that the second one covers is what a grid of points counts."""
    size_a, size_b = (100, 80), (90, 70)
    by = turned(scale, degrees, x, y)
    polygon = mapped(corners(size_b), by)
    found = overlap(size_a, size_b, by)
    expected = area_by_counting(polygon, size_a, 60)

    got = 0.0 if found is None else found.share_a
    assert expected == pytest.approx(got, abs=0.02)


@given(st.floats(0.4, 2.0), st.floats(0.0, 360.0))
def test_the_rectangle_is_inside(scale: float, degrees: float) -> None:
    """Every corner of the compared rectangle is in both pictures, whatever the angle."""
    by = turned(scale, degrees, 20.0, 10.0)
    region = clipped(mapped(corners((100, 80)), by), (120, 90))
    if len(region) < 3 or area(region) < 1:
        return

    left, top, right, bottom = inscribed(region)

    for point in ((left, top), (right, top), (right, bottom), (left, bottom)):
        (in_b,) = mapped([point], inverse(by))
        assert -0.01 <= point[0] <= 120.01
        assert -0.01 <= point[1] <= 90.01
        assert -0.01 <= in_b[0] <= 100.01
        assert -0.01 <= in_b[1] <= 80.01


def test_the_same_region_is_cut_from_a_picture_and_its_turned_crop() -> None:
    """A smooth picture and a part of it, turned by 90° and enlarged, give nearly the same
    values.
    """
    cv2 = pytest.importorskip("cv2")
    y, x = np.mgrid[0:160, 0:200]
    grey = (128 + 60 * np.sin(x / 17.0) + 60 * np.cos(y / 23.0 + x / 40.0)).astype(np.uint8)
    part = cv2.resize(grey[40:120, 50:150], (200, 160), interpolation=cv2.INTER_LINEAR)
    part = np.ascontiguousarray(np.rot90(part, -1))  # clockwise: 160 × 200
    # A point (x, y) of the turned part was at (y, 160 - x) before, at half the scale from (50, 40).
    a_from_b = np.array([[0.0, 0.5, 50.0], [-0.5, 0.0, 40.0 + 80.0]])
    found = overlap((200, 160), (160, 200), a_from_b)

    assert found is not None
    assert 1.0 == pytest.approx(found.share_b)
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    one = cut_out(cv2, grey, a_from_b, found.cut, 64).astype(int)
    two = cut_out(cv2, part, still, found.cut, 64).astype(int)
    assert np.abs(one - two).mean() < 2
