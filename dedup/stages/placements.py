"""placements: pictures of which a region was found in another one, and how similar the regions
are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.hashers.close_views import CLOSE_SIDE
from dedup.hashers.keypoints import (
    ANGLES,
    DESCRIPTOR_BYTES,
    PER_PIXEL,
    PLACE,
    STEP,
    opencv,
    shrink_factor,
)
from dedup.search import Progress
from dedup.search.parts import MIN_MATCHES, PartMatches, Points, part_matches
from dedup.tables import PLACEMENTS, THUMBNAIL_SIDE, TRANSFORMS
from dedup.verify.closer import close_similarities
from dedup.verify.determinacy import cells
from dedup.verify.overlap import Box, Overlap, cut_out, inverse, overlap
from dedup.verify.placement import place_all
from dedup.verify.similarity import verified

Greys = Callable[[Sequence[int]], Iterator[NDArray[np.uint8] | None]]
"""The grey levels of the named samples, in the order given; None where there is no picture any
more.
"""

_MIN_SIDE: Final = 16  # pixels of a region: less says nothing about a picture
_MAX_SCALE: Final = 8.0
"""Of one shrunk picture against the other: a pyramid of eight levels reaches 3.6, and corners
move.
"""

_LOOK_FROM: Final = 0.7  # similarity at 32 pixels from which a region is compared at 128
_TURNS: Final = ("identity", "rotate270", "rotate180", "rotate90")
_MIRRORED_TURNS: Final = ("mirror", "transpose", "flip", "transverse")
"""Orientations by quarter turns clockwise, of a picture and of a mirrored one."""

_PICTURES_AT_ONCE: Final = 512  # decoded and in memory, 110 KB each


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the search of parts needs of the samples that take part."""

    samples: NDArray[np.int64]  # ascending
    sizes: NDArray[np.int64]  # (n, 2): width and height
    points: Points  # of all pictures, by their places in `samples`
    places: NDArray[np.void]  # of the points, of type PLACE
    mirrored: Points  # of the mirrored pictures, if they were asked for
    mirrored_places: NDArray[np.void]

    @classmethod
    def of(cls, parts: pa.Table, hashes: pa.Table, samples: NDArray[np.int64]) -> "Pictures":
        """From the tables."""
        chosen = parts.take(pa.array(samples))
        sizes = [hashes[name].take(pa.array(samples)).to_numpy() for name in ("width", "height")]

        return cls(
            samples,
            np.stack(sizes, axis=1).astype(np.int64),
            *_points_of(chosen, "n_points", "descriptors", "places"),
            *_points_of(chosen, "n_mirrored", "mirrored_descriptors", "mirrored_places"),
        )


def _points_of(
    parts: pa.Table, number: str, descriptors: str, places: str
) -> tuple[Points, NDArray[np.void]]:
    codes = np.frombuffer(b"".join(parts[descriptors].to_pylist()), np.uint8)
    pictures = np.repeat(np.arange(len(parts)), parts[number].to_numpy())
    where = np.frombuffer(b"".join(parts[places].to_pylist()), PLACE)
    return Points(codes.reshape(-1, DESCRIPTOR_BYTES), pictures), where


def placements(
    pictures: Pictures,
    greys: Greys,
    *,
    limit: int,
    threads: int,
    progress: Progress | None = None,
    known: pa.Table | None = None,
) -> pa.Table:
    """Pairs of pictures that a transform lays over each other, sorted by (a, b), with the
    similarity of the overlap.

    `known`: placements of an earlier search; what lies there as it does here is not compared again.
    Raises `LimitError` where more than `limit` key points are equal.
    """
    found = part_matches(pictures.points, limit=limit, threads=threads)
    rows = _placed(pictures, found, pictures.places, mirrored=False)
    if len(pictures.mirrored.picture):
        found = part_matches(pictures.points, pictures.mirrored, limit=limit, threads=threads)
        turned_over = _placed(pictures, found, pictures.mirrored_places, mirrored=True)
        rows = _best(rows + turned_over)

    where = _columns(pictures, rows)
    new, of_known = _told_apart(where, known)
    measured = _compared(pictures, [rows[at] for at in new], greys, threads, progress)
    columns = {
        name: _put_together(len(rows), new, values, of_known, known, name)
        for name, values in measured.items()
    }

    return pa.table({**where, **columns}, schema=PLACEMENTS)


def _columns(pictures: Pictures, rows: Sequence["_Row"]) -> dict[str, list[Any]]:
    """Where the rows lie, as columns."""
    return {
        "a": [int(pictures.samples[row.a]) for row in rows],
        "b": [int(pictures.samples[row.b]) for row in rows],
        "transform": [row.transform for row in rows],
        "matches": [row.n_matches for row in rows],
        "share_a": [row.overlap.share_a for row in rows],
        "share_b": [row.overlap.share_b for row in rows],
        "box_a": [_rounded(row.overlap.box_a) for row in rows],
        "box_b": [_rounded(row.overlap.box_b) for row in rows],
    }


def _told_apart(
    where: dict[str, list[Any]], known: pa.Table | None
) -> tuple[list[int], dict[int, int]]:
    """Places of the rows that must be compared, and of the others the place in `known`."""
    names = ("a", "b", "box_a", "box_b")
    if known is None:
        return list(range(len(where["a"]))), {}

    place_of = {
        _key(key): place
        for place, key in enumerate(zip(*(known[name].to_pylist() for name in names), strict=True))
    }
    keys = [_key(key) for key in zip(*(where[name] for name in names), strict=True)]
    of_known = {at: place_of[key] for at, key in enumerate(keys) if key in place_of}

    return [at for at in range(len(keys)) if at not in of_known], of_known


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    a, b, box_a, box_b = row
    return a, b, *box_a, *box_b


def _put_together(
    n: int,
    new: Sequence[int],
    values: pa.Array,
    of_known: dict[int, int],
    known: pa.Table | None,
    name: str,
) -> pa.Array:
    """A column of measured values and of known ones, in the order of the rows."""
    column: list[float | None] = [None] * n
    for at, value in zip(new, values.to_pylist(), strict=True):
        column[at] = value

    stored = [] if known is None else known[name].to_pylist()
    for at, place in of_known.items():
        column[at] = stored[place]

    return pa.array(column, pa.float32())


@dataclass(frozen=True, slots=True)
class _Row:
    """Two placed pictures, by their places among the samples that take part."""

    a: int
    b: int
    n_matches: int
    a_from_b: NDArray[np.float64]  # (2, 3), in pixels of the upright pictures
    transform: int
    overlap: Overlap


def _placed(
    pictures: Pictures, found: PartMatches, places_b: NDArray[np.void], *, mirrored: bool
) -> list[_Row]:
    """The pairs of pictures with enough matches that agree, sorted."""
    by, counts = np.zeros((len(found.a), 4)), np.zeros(len(found.a), np.int64)
    one = _points(pictures.places)[:, found.points_a]
    two = _points(places_b)[:, found.points_b]
    place_all(one, two, found.starts, by, counts)

    rows = (
        _row(pictures, int(found.a[k]), int(found.b[k]), int(counts[k]), by[k], mirrored=mirrored)
        for k in np.flatnonzero(counts >= MIN_MATCHES)
    )

    return [row for row in rows if row is not None]


def _best(rows: Sequence[_Row]) -> list[_Row]:
    """Each pair once, with the most matches; in ties as it came first."""
    best: dict[tuple[int, int], _Row] = {}

    for row in rows:
        if row.n_matches > (best[row.a, row.b].n_matches if (row.a, row.b) in best else 0):
            best[row.a, row.b] = row

    return [best[pair] for pair in sorted(best)]


def _points(places: NDArray[np.void]) -> NDArray[np.float64]:
    """x, y and size in pixels, and the angle in radians, of key points: (4, n)."""
    octave, angle = places["octave"].astype(np.float64), places["angle"].astype(np.float64)
    return np.ascontiguousarray(
        [
            places["x"] / PER_PIXEL,
            places["y"] / PER_PIXEL,
            STEP**octave,
            angle * (2 * np.pi / ANGLES),
        ]
    )


def _row(
    pictures: Pictures, a: int, b: int, n_matches: int, by: NDArray[np.float64], *, mirrored: bool
) -> _Row | None:
    scale = float(np.hypot(by[0], by[1]))
    if not 1 / _MAX_SCALE <= scale <= _MAX_SCALE:
        return None

    size_a, size_b = (tuple(pictures.sizes[k].tolist()) for k in (a, b))
    a_from_b = _in_pixels(by, shrink_factor(*size_a), shrink_factor(*size_b))
    if mirrored:  # what was found is where the mirrored picture lies
        a_from_b = a_from_b @ np.array([[-1.0, 0.0, size_b[0]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])

    found = overlap(size_a, size_b, a_from_b)
    if found is None:
        return None

    left, top, right, bottom = found.cut
    if min(right - left, bottom - top) < _MIN_SIDE:
        return None

    return _Row(a, b, n_matches, a_from_b, _nearest(by, mirrored=mirrored), found)


def _in_pixels(by: NDArray[np.float64], factor_a: float, factor_b: float) -> NDArray[np.float64]:
    """The transform between shrunk pictures, whose points count from pixel centres, for whole
    ones.
    """
    c, s, x, y = by.tolist()
    scale = factor_b / factor_a
    shift_x = (x + 0.5 - 0.5 * (c - s)) / factor_a
    shift_y = (y + 0.5 - 0.5 * (c + s)) / factor_a

    return np.array([[c * scale, -s * scale, shift_x], [s * scale, c * scale, shift_y]])


def _nearest(by: NDArray[np.float64], *, mirrored: bool) -> int:
    """The orientation, as a place in TRANSFORMS, that turns the second picture nearly as the
    first.
    """
    quarter = round(float(np.arctan2(by[1], by[0])) / (np.pi / 2)) % 4
    turns = _MIRRORED_TURNS if mirrored else _TURNS
    return TRANSFORMS.index(turns[quarter])


def _compared(
    pictures: Pictures, rows: Sequence[_Row], greys: Greys, threads: int, progress: Progress | None
) -> dict[str, pa.Array]:
    """The similarities of the regions, as columns."""
    n = len(rows)
    similarity, close = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    structure = np.full(n, np.nan, np.float32)

    for chosen in _batches(rows):
        wanted = sorted({k for at in chosen for k in (rows[at].a, rows[at].b)})
        samples = [int(pictures.samples[k]) for k in wanted]
        seen = dict(zip(wanted, greys(samples), strict=True))
        at = [k for k in chosen if seen[rows[k].a] is not None and seen[rows[k].b] is not None]
        if not at:
            continue

        cuts = np.array([_cuts(pictures, rows[k], seen) for k in at])  # (pairs, 2, 128, 128)
        small = _thumbnails(cuts.reshape(-1, CLOSE_SIDE, CLOSE_SIDE))
        first = np.arange(0, 2 * len(at), 2)
        of = verified(small, first, first + 1, threads=threads)
        similarity[at] = of.similarity
        structure[at] = cells(small, threads=threads).reshape(-1, 2).min(axis=1)

        look = np.flatnonzero(of.similarity >= _LOOK_FROM)
        turns = np.zeros(len(look), np.uint8)
        pairs = cuts.reshape(-1, CLOSE_SIDE, CLOSE_SIDE)
        close[np.array(at)[look]] = close_similarities(
            pairs, first[look], first[look] + 1, turns, threads=threads
        )
        if progress is not None:
            progress((chosen[-1] + 1) / n)

    columns = {"similarity": similarity, "structure": structure, "close_similarity": close}

    return {name: pa.array(of, mask=np.isnan(of)) for name, of in columns.items()}


def _batches(rows: Sequence[_Row]) -> Iterator[list[int]]:
    """Places of rows, in order, so that few pictures are in memory at once."""
    chosen: list[int] = []
    wanted: set[int] = set()

    for at, row in enumerate(rows):
        chosen.append(at)
        wanted |= {row.a, row.b}
        if len(wanted) >= _PICTURES_AT_ONCE:
            yield chosen
            chosen, wanted = [], set()

    if chosen:
        yield chosen


def _cuts(
    pictures: Pictures, row: _Row, seen: dict[int, Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The region, cut out of both pictures."""
    cv2 = opencv()
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    frame_b = row.overlap.in_frame_of_b
    maps = (row.a_from_b, still) if frame_b else (still, inverse(row.a_from_b))
    cuts = []

    for k, from_frame in zip((row.a, row.b), maps, strict=True):
        grey = seen[k]
        width, height = pictures.sizes[k].tolist()
        scale = np.array([[grey.shape[1] / width], [grey.shape[0] / height]])
        cuts.append(cut_out(cv2, grey, from_frame * scale, row.overlap.cut, CLOSE_SIDE))

    return cuts[0], cuts[1]


def _thumbnails(cuts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Regions at the size of thumbnails, each pixel the mean of those it covers."""
    side = CLOSE_SIDE // THUMBNAIL_SIDE
    shape = (len(cuts), THUMBNAIL_SIDE, side, THUMBNAIL_SIDE, side)
    means: NDArray[np.uint8] = np.rint(cuts.reshape(shape).mean(axis=(2, 4))).astype(np.uint8)
    return means


def _rounded(box: Box) -> list[int]:
    return [round(side) for side in box]
