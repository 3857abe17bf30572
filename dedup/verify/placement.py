"""Where one picture lies in another one, from key points that match: without chance.

A key point has a place, a size and an angle, so that a single match already is a whole similarity
transform. All of them are tried, and the one that most matches agree with is refined. There is no
random sample and no seed (as in Fischler and Bolles 1981, RANSAC), hence one result everywhere.
"""

from typing import Any, Final

import numpy as np

from dedup.compiled import compiled

NEAR: Final = 4.0  # pixels at `keypoints.SIDE`: what corners move between copies
_COARSE: Final = 0.08
"""What a hypothesis may be off, as a part of the distance from its own match: a level of the
pyramid is 20 % and an angle some degrees wide."""

_ROUNDS: Final = 4  # of least squares: later ones change nothing
_MIN_SPREAD: Final = 25.0  # squared pixels: of points in one place no scale can be found


@compiled
def _agreeing(one: Any, two: Any, by: Any, anchor: int, coarse: float, agrees: Any) -> Any:
    """How many matches a transform of `two` brings near `one`; `anchor`: the match it comes
    from.
    """
    c, s, x, y = by[0], by[1], by[2], by[3]
    scale = np.sqrt(c * c + s * s)
    n_agreeing = 0

    for k in range(one.shape[1]):
        away_x = c * two[0, k] - s * two[1, k] + x - one[0, k]
        away_y = s * two[0, k] + c * two[1, k] + y - one[1, k]
        far_x, far_y = two[0, k] - two[0, anchor], two[1, k] - two[1, anchor]
        near = NEAR + coarse * scale * np.sqrt(far_x * far_x + far_y * far_y)
        agrees[k] = away_x * away_x + away_y * away_y <= near * near
        n_agreeing += agrees[k]

    return n_agreeing


@compiled
def _fitted(one: Any, two: Any, agrees: Any, by: Any) -> bool:
    """The transform of least squared distance over the agreeing matches; false where there is none.

    Umeyama 1991, "Least-squares estimation of transformation parameters", section II, in two
    dimensions.
    """
    n = 0.0
    mean = np.zeros(4)
    for k in range(one.shape[1]):
        if agrees[k]:
            n += 1.0
            mean[0] += one[0, k]
            mean[1] += one[1, k]
            mean[2] += two[0, k]
            mean[3] += two[1, k]

    if n < 2.0:
        return False

    for k in range(4):
        mean[k] /= n

    along, across, spread = 0.0, 0.0, 0.0
    for k in range(one.shape[1]):
        if agrees[k]:
            u, v = two[0, k] - mean[2], two[1, k] - mean[3]
            p, q = one[0, k] - mean[0], one[1, k] - mean[1]
            along += u * p + v * q
            across += u * q - v * p
            spread += u * u + v * v

    if spread < _MIN_SPREAD:
        return False

    by[0], by[1] = along / spread, across / spread
    by[2] = mean[0] - (by[0] * mean[2] - by[1] * mean[3])
    by[3] = mean[1] - (by[1] * mean[2] + by[0] * mean[3])

    return True


@compiled
def _placed(one: Any, two: Any, by: Any, trial: Any, agrees: Any) -> Any:
    """The best transform of the matches of one pair of pictures into `by`; returns how many
    agree.
    """
    best, anchor = 0, 0
    for k in range(one.shape[1]):
        scale, angle = one[2, k] / two[2, k], one[3, k] - two[3, k]
        trial[0], trial[1] = scale * np.cos(angle), scale * np.sin(angle)
        trial[2] = one[0, k] - (trial[0] * two[0, k] - trial[1] * two[1, k])
        trial[3] = one[1, k] - (trial[1] * two[0, k] + trial[0] * two[1, k])
        n_agreeing = _agreeing(one, two, trial, k, _COARSE, agrees)
        if n_agreeing > best:
            best, anchor = n_agreeing, k
            for i in range(4):
                by[i] = trial[i]

    n_agreeing = _agreeing(one, two, by, anchor, _COARSE, agrees)
    for _ in range(_ROUNDS):
        if not _fitted(one, two, agrees, by):
            return 0
        n_agreeing = _agreeing(one, two, by, anchor, 0.0, agrees)

    return n_agreeing


@compiled
def place_all(one: Any, two: Any, starts: Any, by: Any, counts: Any) -> None:
    """Place many pairs of pictures.

    `one`, `two`: float64 (4, n): x and y in pixels, size in pixels, angle in radians of matching
    key points, those of a pair behind each other; `starts`: int64, where each pair begins, and n.
    `by`: (pairs, 4) gets c, s, x, y, so that (x, y) of the second picture is (c x − s y + x₀, s x +
    c y + y₀) in the first; `counts` gets the matches that agree, 0 where no transform was found.
    """
    trial = np.zeros(4)
    for k in range(len(starts) - 1):
        first, last = starts[k], starts[k + 1]
        agrees = np.zeros(last - first, np.bool_)
        counts[k] = _placed(one[:, first:last], two[:, first:last], by[k], trial, agrees)
