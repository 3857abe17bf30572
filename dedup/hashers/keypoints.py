"""Key points of a picture and what surrounds them, as codes that are joined like any other.

Rublee, Rabaud, Konolige and Bradski 2011, "ORB: an efficient alternative to SIFT or SURF": FAST
corners on a pyramid, and 256 comparisons of brightness around each, turned with the corner's own
angle. OpenCV computes them; it is the extra `parts`.
"""

import functools
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dedup.errors import MissingExtraError

SIDE: Final = 256
"""Pixels of the longer side at which key points are found. At 320 no more crops were found than
with a larger radius at 256, which costs less (benchmarks/RESULTS.md, "Parts")."""

COUNT: Final = 128
"""Key points of a picture at most: half of them the strongest, half spread over the picture."""

DESCRIPTOR_BYTES: Final = 32
PLACE: Final = np.dtype([("x", "<u2"), ("y", "<u2"), ("octave", "u1"), ("angle", "u1")])
"""Where a key point is: sixteenths of a pixel at `SIDE`, level of the pyramid, 256ths of a turn."""

STEP: Final = 1.2  # from one level of the pyramid to the next: ORB's own
PER_PIXEL: Final = 16
ANGLES: Final = 256

_LEVELS: Final = 8
_PATCH: Final = 31  # pixels: ORB's own
_EDGE: Final = 15  # pixels at the border without key points: half a patch
_CORNER: Final = 5  # grey levels: soft pictures have weak corners only, and the join rejects chance
_FOUND: Final = 3 * COUNT  # corners of which those are chosen
_GRID: Final = 4  # cells on a side, over which half of the key points are spread
_MIN_SIDE: Final = 40  # pixels at `SIDE`: a smaller picture has no room for patches


@dataclass(frozen=True, slots=True)
class KeyPoints:
    """Key points of one picture, in a fixed order."""

    descriptors: NDArray[np.uint8]  # (n, 32)
    places: NDArray[np.void]  # (n,), of type PLACE

    def __len__(self) -> int:
        return len(self.places)


NONE: Final = KeyPoints(np.empty((0, DESCRIPTOR_BYTES), np.uint8), np.empty(0, PLACE))


def opencv() -> Any:
    """The module `cv2`; raises `MissingExtraError` where it is not installed."""
    try:
        return import_module("cv2")
    except ImportError as error:
        message = (
            "search.parts needs OpenCV: pip install 'dedup-images[parts]', or any package that"
            " brings cv2."
        )
        raise MissingExtraError(message) from error


def shrink_factor(width: int, height: int) -> float:
    """What a picture of this size is multiplied by, at most 1, before key points are found.

    >>> shrink_factor(512, 100)
    0.5
    """
    return min(1.0, SIDE / max(width, height))


def key_points(grey: NDArray[np.uint8]) -> KeyPoints:
    """The key points of an upright picture whose longer side is at most `SIDE`.

    Fewer where there are fewer corners; none where the picture is too small or too plain.
    """
    if min(grey.shape) < _MIN_SIDE:
        return NONE

    orb = _orb()
    chosen = _chosen(orb.detect(grey, None), grey.shape)
    if not chosen:
        return NONE

    kept, descriptors = orb.compute(grey, chosen)
    if descriptors is None:
        return NONE

    places = np.empty(len(kept), PLACE)
    points = np.array([point.pt for point in kept], np.float64)
    places["x"], places["y"] = np.rint(points * PER_PIXEL).astype(np.uint16).T
    places["octave"] = [point.octave for point in kept]
    angles = np.array([point.angle for point in kept], np.float64)
    places["angle"] = np.rint(angles * (ANGLES / 360)).astype(np.int64) % ANGLES

    return KeyPoints(descriptors, places)


@functools.cache
def _orb() -> Any:
    cv2 = opencv()
    cv2.setNumThreads(1)  # workers are as many as there are cores

    return cv2.ORB_create(
        nfeatures=_FOUND,
        scaleFactor=STEP,
        nlevels=_LEVELS,
        edgeThreshold=_EDGE,
        patchSize=_PATCH,
        fastThreshold=_CORNER,
    )


def _chosen(found: Any, shape: tuple[int, ...]) -> list[Any]:
    """Half of the key points by strength, the other half in turn from the cells of a grid."""
    ranked = sorted(found, key=lambda point: (-point.response, point.pt, point.octave))
    strongest, rest = ranked[: COUNT // 2], ranked[COUNT // 2 :]
    cells: dict[tuple[int, int], list[Any]] = {}

    for point in rest:
        x, y = point.pt
        cells.setdefault((int(x * _GRID / shape[1]), int(y * _GRID / shape[0])), []).append(point)

    # The first of every cell come before the second of any.
    in_turn = sorted(
        (place, cell, number)
        for number, cell in enumerate(sorted(cells))
        for place in range(len(cells[cell]))
    )
    spread = [cells[cell][place] for place, cell, _ in in_turn]

    return strongest + spread[: COUNT - len(strongest)]
