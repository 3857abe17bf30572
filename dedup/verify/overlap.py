"""What two placed pictures have in common: the region, cut out of both at the same size.

Coordinates are continuous: pixel k of a row covers k to k + 1, so that a picture of w pixels
reaches from 0 to w whatever its scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

_HALVINGS: Final = 12  # of the interval in which the largest rectangle is sought: below a pixel
_SHRUNK_FROM: Final = 1.5  # times smaller, from which a picture is averaged before it is sampled


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where two pictures overlap."""

    share_a: float  # of the area of the first picture, in [0, 1]
    share_b: float
    box_a: Box  # in pixels of the first picture: the bounds of the region
    box_b: Box
    cut: Box  # the rectangle that is compared, in the frame
    in_frame_of_b: bool  # whether the frame is the second picture, else it is the first


def overlap(
    size_a: tuple[int, int], size_b: tuple[int, int], a_from_b: NDArray[np.float64]
) -> Overlap | None:
    """The overlap of pictures of (width, height), the second placed by `a_from_b`, shape (2, 3).

    None where they do not overlap. The frame is the picture of which more is in the region: of a
    crop that is the crop, upright and whole.
    """
    b_from_a = inverse(a_from_b)
    region = clipped(mapped(corners(size_b), a_from_b), size_a)
    if len(region) < 3:
        return None

    in_b = mapped(region, b_from_a)
    share_a = area(region) / (size_a[0] * size_a[1])
    share_b = area(in_b) / (size_b[0] * size_b[1])
    in_frame_of_b = share_b >= share_a
    cut = inscribed(in_b if in_frame_of_b else region)

    return Overlap(
        min(share_a, 1.0), min(share_b, 1.0), bounds(region), bounds(in_b), cut, in_frame_of_b
    )


def corners(size: tuple[int, int]) -> list[Point]:
    """The corners of a picture, in order."""
    width, height = float(size[0]), float(size[1])
    return [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]


def mapped(points: Sequence[Point], by: NDArray[np.float64]) -> list[Point]:
    """The points under an affine map of shape (2, 3)."""
    moved = np.array(points) @ by[:, :2].T + by[:, 2]
    return [(float(x), float(y)) for x, y in moved]


def inverse(by: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of an affine map of shape (2, 3)."""
    linear = np.linalg.inv(by[:, :2])
    return np.column_stack([linear, -linear @ by[:, 2]])


def clipped(polygon: list[Point], size: tuple[int, int]) -> list[Point]:
    """The part of a convex polygon that is inside a picture.

    Sutherland and Hodgman 1974, "Reentrant polygon clipping".
    """
    for axis, bound, sign in ((0, 0, 1), (0, size[0], -1), (1, 0, 1), (1, size[1], -1)):
        kept: list[Point] = []
        for before, point in zip(polygon[-1:] + polygon[:-1], polygon, strict=True):
            inside, was_inside = (sign * (p[axis] - bound) >= 0 for p in (point, before))
            if inside != was_inside:
                part = (bound - before[axis]) / (point[axis] - before[axis])
                kept.append(
                    (
                        before[0] + part * (point[0] - before[0]),
                        before[1] + part * (point[1] - before[1]),
                    )
                )
            if inside:
                kept.append(point)
        polygon = kept

    return polygon


def area(polygon: Sequence[Point]) -> float:
    """Area of a polygon, by the shoelace formula."""
    x, y = np.array(polygon).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def bounds(polygon: Sequence[Point]) -> Box:
    """The smallest upright rectangle around a polygon."""
    x, y = np.array(polygon).T
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def inscribed(polygon: list[Point]) -> Box:
    """A large upright rectangle in a convex polygon: its bounds, shrunk towards its middle."""
    middle_x, middle_y = np.mean(polygon, axis=0)
    left, top, right, bottom = bounds(polygon)

    def shrunk(part: float) -> Box:
        return (
            float(middle_x + part * (left - middle_x)),
            float(middle_y + part * (top - middle_y)),
            float(middle_x + part * (right - middle_x)),
            float(middle_y + part * (bottom - middle_y)),
        )

    if _holds(polygon, shrunk(1.0)):
        return shrunk(1.0)

    fits, too_large = 0.0, 1.0
    for _ in range(_HALVINGS):
        part = (fits + too_large) / 2
        if _holds(polygon, shrunk(part)):
            fits = part
        else:
            too_large = part

    return shrunk(fits)


def _holds(polygon: Sequence[Point], box: Box) -> bool:
    """Whether a convex polygon holds all corners of a box; a millionth of a pixel does not
    count.
    """
    left, top, right, bottom = box
    at = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    start = np.array(polygon)
    side = np.roll(start, -1, axis=0) - start
    away = at[:, None, :] - start[None, :, :]
    turns = side[None, :, 0] * away[..., 1] - side[None, :, 1] * away[..., 0]

    return bool((turns >= -1e-6).all() or (turns <= 1e-6).all())


def cut_out(
    cv2: Any, grey: NDArray[np.uint8], from_frame: NDArray[np.float64], box: Box, side: int
) -> NDArray[np.uint8]:
    """The box of the frame, sampled from a picture at `side` × `side` pixels.

    `from_frame`, (2, 3), maps points of the frame to points of the picture. `cv2` is OpenCV.
    """
    left, top, right, bottom = box
    step_x, step_y = (right - left) / side, (bottom - top) / side
    to_frame = np.array(
        [[step_x, 0.0, left + step_x / 2], [0.0, step_y, top + step_y / 2], [0, 0, 1]]
    )
    at = from_frame @ to_frame

    smaller = float(np.sqrt(abs(np.linalg.det(at[:, :2]))))
    if smaller > _SHRUNK_FROM:
        height, width = grey.shape
        new = (max(1, round(width / smaller)), max(1, round(height / smaller)))
        grey = cv2.resize(grey, new, interpolation=cv2.INTER_AREA)
        at = np.diag([new[0] / width, new[1] / height]) @ at

    # OpenCV counts from the middle of the first pixel
    at = at - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    sampled: NDArray[np.uint8] = cv2.warpAffine(
        grey,
        at,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )

    return sampled
