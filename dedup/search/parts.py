"""Pairs of pictures that share key points: the exact join of descriptors, counted by picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.search.codes import pack
from dedup.search.crew import Progress
from dedup.search.matches import join

DISTANCES: Final = (30, 22, 14, 0)
"""Bits of 256 that matching descriptors may differ in, the first that fits the budget.

At 30 a quarter of a picture is found in 91 of 100, at 22 in 83; beyond 30 chance comes in.
"""

MAX_PICTURES: Final = 20
"""Pictures that one descriptor may match. What is in more of them is text, a grid or a logo."""

MIN_MATCHES: Final = 3
"""Matches that two pictures need to be placed: by chance they have one or two."""


@dataclass(frozen=True, slots=True)
class PartMatches:
    """Matching key points by pair of pictures."""

    a: NDArray[np.int64]  # picture of each pair, a < b
    b: NDArray[np.int64]
    # where each pair's matches begin in the two arrays below, and their number
    starts: NDArray[np.int64]
    points_a: NDArray[np.int64]  # places in the list of all key points
    points_b: NDArray[np.int64]
    distance: int  # bits, inclusive
    n_common: int  # key points left out, since they match too many pictures


@dataclass(frozen=True, slots=True)
class Points:
    """Key points of many pictures."""

    descriptors: NDArray[np.uint8]  # (n, 32)
    picture: NDArray[np.int64]  # of each the number of its picture, ascending


def part_matches(
    points: Points,
    others: Points | None = None,
    *,
    limit: int,
    distances: Sequence[int] = DISTANCES,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PartMatches:
    """Pairs of pictures with `MIN_MATCHES` matching key points or more, sorted by (a, b).

    `others`: key points of the same pictures, altered, that those of lower pictures are matched
    with; None: the same points. A distance at which more than `limit` descriptors match is too
    large, and the next one is tried. Raises `LimitError` where none fits.
    """
    sides = [points] if others is None else [points, others]
    usable = [_usable(side) for side in sides]
    codes = [pack(side.descriptors[rows]) for side, rows in zip(sides, usable, strict=True)]

    for distance in distances:
        try:
            found = join(
                *codes, max_distance=distance, limit=limit, threads=threads, progress=progress
            )
        except LimitError:
            continue
        break
    else:
        message = (
            f"search.parts: more than {limit:,} key points are equal. Raise search.max_candidates, "
            "or set search.parts: off."
        )
        raise LimitError(message)

    one, two = sides[0], sides[-1]
    a, b = usable[0][found.a], usable[-1][found.b]
    apart = one.picture[a] < two.picture[b] if others else one.picture[a] != two.picture[b]
    a, b = a[apart], b[apart]
    common_a = _common(a, two.picture[b], len(one.picture))
    common_b = _common(b, one.picture[a], len(two.picture))
    if others is None:
        common_a = common_b = _common(
            np.concatenate([a, b]), one.picture[np.concatenate([b, a])], len(one.picture)
        )

    rare = ~(common_a[a] | common_b[b])
    n_common = int(common_a.sum()) + len(points.picture) - len(usable[0])

    return _by_picture(a[rare], b[rare], one.picture, two.picture, distance, n_common)


def _usable(points: Points) -> NDArray[np.int64]:
    """Key points whose descriptor is equal in no more than `MAX_PICTURES` pictures.

    They would be left out after the join; copies by the thousand make the join quadratic.
    """
    if len(points.picture) == 0:
        return np.empty(0, np.int64)

    width = points.descriptors.shape[1]
    rows = np.ascontiguousarray(points.descriptors).view(np.dtype((np.void, width))).ravel()
    _, number = np.unique(rows, return_inverse=True)
    of_picture = np.unique(np.stack([number, points.picture], axis=1), axis=0)
    n_pictures = np.bincount(of_picture[:, 0])

    return np.flatnonzero(n_pictures[number] <= MAX_PICTURES + 1)


def _common(
    points: NDArray[np.int64], others: NDArray[np.int64], n_points: int
) -> NDArray[np.bool_]:
    """Whether each of n key points matches points of more than `MAX_PICTURES` pictures.

    `points`, `others`: a key point and the picture of one that it matches.
    """
    order = np.lexsort((others, points))
    points, others = points[order], others[order]
    first = np.ones(len(points), bool)
    first[1:] = (np.diff(points) != 0) | (np.diff(others) != 0)
    n_pictures = np.bincount(points[first], minlength=n_points)

    return np.asarray(n_pictures > MAX_PICTURES)


def _by_picture(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    picture_a: NDArray[np.int64],
    picture_b: NDArray[np.int64],
    distance: int,
    n_common: int,
) -> PartMatches:
    """Matches in the order of their pairs of pictures, without pairs that have too few."""
    order = np.lexsort((b, a, picture_b[b], picture_a[a]))
    a, b = a[order], b[order]
    one, two = picture_a[a], picture_b[b]
    begins = np.ones(len(a), bool)
    begins[1:] = (np.diff(one) != 0) | (np.diff(two) != 0)
    group = np.cumsum(begins) - 1
    enough = np.bincount(group, minlength=1)[group] >= MIN_MATCHES if len(a) else np.zeros(0, bool)

    a, b, begins = a[enough], b[enough], begins[enough]
    starts = np.append(np.flatnonzero(begins), len(a)).astype(np.int64)

    return PartMatches(
        a=picture_a[a[begins]],
        b=picture_b[b[begins]],
        starts=starts,
        points_a=a,
        points_b=b,
        distance=distance,
        n_common=n_common,
    )
