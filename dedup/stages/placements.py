"""placements: pictures of which a region was found in another one, and how similar the regions are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.hashers.keypoints import ANGLES, DESCRIPTOR_BYTES, PER_PIXEL, PLACE, STEP, opencv, shrink_factor
from dedup.search import Progress
from dedup.search.parts import MIN_MATCHES, PartMatches, part_matches
from dedup.tables import PLACEMENTS, THUMBNAIL_SIDE, TRANSFORMS
from dedup.verify.closer import CLOSE_SIDE, close_similarities
from dedup.verify.determinacy import cells
from dedup.verify.overlap import Box, Overlap, cut_out, inverse, overlap
from dedup.verify.placement import place_all
from dedup.verify.similarity import verified

Greys = Callable[[Sequence[int]], Iterator[NDArray[np.uint8] | None]]
"""The grey levels of the named samples, in the order given; None where there is no picture any more."""

_MIN_SIDE: Final = 16  # pixels of a region: less says nothing about a picture
_MAX_SCALE: Final = 8.0
"""Of one shrunk picture against the other: a pyramid of eight levels reaches 3.6, and corners move."""

_LOOK_FROM: Final = 0.7  # similarity at 32 pixels from which a region is compared at 128
_PICTURES_AT_ONCE: Final = 512  # decoded and in memory, 110 KB each


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the search of parts needs of the samples that take part."""

    samples: NDArray[np.int64]  # ascending
    sizes: NDArray[np.int64]  # (n, 2): width and height
    descriptors: NDArray[np.uint8]  # of all key points, (points, 32)
    places: NDArray[np.void]  # of all key points, of type PLACE
    picture: NDArray[np.int64]  # of each key point the place of its picture in `samples`

    @classmethod
    def of(cls, parts: pa.Table, hashes: pa.Table, samples: NDArray[np.int64]) -> "Pictures":
        """From the tables."""
        chosen = parts.take(pa.array(samples))
        n_points = chosen["n_points"].to_numpy()
        descriptors, places = (b"".join(chosen[name].to_pylist()) for name in ("descriptors", "places"))
        sizes = [hashes[name].take(pa.array(samples)).to_numpy() for name in ("width", "height")]
        return cls(
            samples=samples,
            sizes=np.stack(sizes, axis=1).astype(np.int64),
            descriptors=np.frombuffer(descriptors, np.uint8).reshape(-1, DESCRIPTOR_BYTES),
            places=np.frombuffer(places, PLACE),
            picture=np.repeat(np.arange(len(samples)), n_points),
        )


def placements(
    pictures: Pictures,
    greys: Greys,
    *,
    limit: int,
    threads: int,
    progress: Progress | None = None,
) -> pa.Table:
    """Pairs of pictures that a transform lays over each other, sorted by (a, b), with the similarity of the overlap.

    Raises `LimitError` where more than `limit` key points are equal.
    """
    found = part_matches(pictures.descriptors, pictures.picture, limit=limit, threads=threads)
    placed = _placed(pictures, found)
    rows = [row for row in placed if row is not None]
    compared = _compared(pictures, rows, greys, threads, progress)
    columns = {
        "a": [int(pictures.samples[row.a]) for row in rows],
        "b": [int(pictures.samples[row.b]) for row in rows],
        "transform": [row.transform for row in rows],
        "matches": [row.n_matches for row in rows],
        "share_a": [row.overlap.share_a for row in rows],
        "share_b": [row.overlap.share_b for row in rows],
        "box_a": [_rounded(row.overlap.box_a) for row in rows],
        "box_b": [_rounded(row.overlap.box_b) for row in rows],
        **compared,
    }
    return pa.table(columns, schema=PLACEMENTS)


@dataclass(frozen=True, slots=True)
class _Row:
    """Two placed pictures, by their places among the samples that take part."""

    a: int
    b: int
    n_matches: int
    a_from_b: NDArray[np.float64]  # (2, 3), in pixels of the upright pictures
    transform: int
    overlap: Overlap


def _placed(pictures: Pictures, found: PartMatches) -> Iterator[_Row | None]:
    """Each pair of pictures with enough matches that agree; None for the others."""
    by, counts = np.zeros((len(found.a), 4)), np.zeros(len(found.a), np.int64)
    points = _points(pictures.places)
    one, two = points[:, found.points_a], points[:, found.points_b]
    place_all(one, two, found.starts, by, counts)

    for k, (a, b) in enumerate(zip(found.a.tolist(), found.b.tolist(), strict=True)):
        yield _row(pictures, a, b, int(counts[k]), by[k]) if counts[k] >= MIN_MATCHES else None


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


def _row(pictures: Pictures, a: int, b: int, n_matches: int, by: NDArray[np.float64]) -> _Row | None:
    scale = float(np.hypot(by[0], by[1]))
    if not 1 / _MAX_SCALE <= scale <= _MAX_SCALE:
        return None

    size_a, size_b = (tuple(pictures.sizes[k].tolist()) for k in (a, b))
    a_from_b = _in_pixels(by, shrink_factor(*size_a), shrink_factor(*size_b))
    found = overlap(size_a, size_b, a_from_b)
    if found is None:
        return None

    left, top, right, bottom = found.cut
    if min(right - left, bottom - top) < _MIN_SIDE:
        return None

    return _Row(a, b, n_matches, a_from_b, _nearest(by), found)


def _in_pixels(by: NDArray[np.float64], factor_a: float, factor_b: float) -> NDArray[np.float64]:
    """The transform between shrunk pictures, whose points count from pixel centres, for whole ones."""
    c, s, x, y = by.tolist()
    scale = factor_b / factor_a
    shift_x = (x + 0.5 - 0.5 * (c - s)) / factor_a
    shift_y = (y + 0.5 - 0.5 * (c + s)) / factor_a
    return np.array([[c * scale, -s * scale, shift_x], [s * scale, c * scale, shift_y]])


def _nearest(by: NDArray[np.float64]) -> int:
    """The orientation, as a place in TRANSFORMS, that turns the second picture nearly as the first."""
    quarter = round(float(np.arctan2(by[1], by[0])) / (np.pi / 2)) % 4
    return TRANSFORMS.index(("identity", "rotate270", "rotate180", "rotate90")[quarter])


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
        close[np.array(at)[look]] = close_similarities(pairs, first[look], first[look] + 1, turns, threads=threads)
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


def _cuts(pictures: Pictures, row: _Row, seen: dict[int, Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
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
