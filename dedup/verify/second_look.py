"""The second look: candidates that thumbnails find similar are decoded again, at a higher size,
there and only there.

It says whether two pictures are the same or only of the same scene, and whether their colours
differ. Its results are columns of `candidates`, so `decide` needs no pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import Config
from dedup.engines import Distributed, Engine
from dedup.formats import Source
from dedup.formats.references import Named
from dedup.hashers.close_views import CLOSE_SIDE, COLOUR_SIDE, CloseView
from dedup.hashers.look_work import MIN_SIDE, WORK, seen_batch
from dedup.hashers.quality import NOTHING_SEEN, Qualities
from dedup.search import Progress
from dedup.tables import BOTH, FIRST, SECOND, THUMBNAIL_SIDE
from dedup.verify.closer import close_similarities, colours_differ
from dedup.verify.frames import frame_widths, without_frames
from dedup.verify.preference import preferred

LOOK_FROM: Final = 0.87
"""Similarity of thumbnails from which a pair is looked at."""

MAX_LOOKS: Final = 500_000
"""Pairs of a run that are looked at, in the order of (a, b); the rest stay null and are counted."""

# pixels: of smaller pictures the 64 hold the noise of a JPEG, so the thumbnails have a say
_SMALL_SIDE: Final = 128
_RIM: Final = 0.5  # pixels of the thumbnail, where what is inside is mixed with the frame
_READ_AT_ONCE: Final = 16  # pictures of a batch
_READ_BY_ONE: Final = 32  # so few are one batch: another process takes longer to start
_NAMED_AT_ONCE: Final = 64  # where a task costs more to send, and its pictures are named only
_GIVEN_AT_ONCE: Final = 256  # pictures that are seen already, of a batch
_KEPT: Final = 8_192  # pictures, 17 KB each
_OF_JOIN: Final = 0.02  # of the bar: the join takes a second where the rest takes minutes
# of a pair, where there is a second look: most pairs have none, but it costs 20 times more
_OF_THUMBNAILS: Final = 0.3
# with 17 KB for each of their pictures: 280 MB at most, beside those that are kept
_PAIRS_AT_ONCE: Final = 8_192

See = Callable[[Sequence[int]], Iterator[pa.RecordBatch]]
"""What is seen of the named samples, in the order given; `side` is null where there is no picture
any more.

`grey` is null of pictures that are too small to be compared at that size.
"""


@dataclass(slots=True)
class Looks:
    """What the second look had to do; filled as the candidates pass."""

    pairs: int = 0  # looked at
    compared: int = 0  # of them at a higher size, the others for their colours
    pictures: int = 0  # decoded again
    left_out: int = 0  # pairs beyond MAX_LOOKS


@contextmanager
def looking(
    source: Source, row_of_sample: NDArray[np.int64], config: Config, engine: Engine
) -> Iterator[See]:
    """What is seen of the samples of an opened source; processes that decode are kept as long."""
    setup = {"max_pixels": config.hash.max_pixels, "background": config.hash.background}

    payload_of = Named(source).of if isinstance(engine, Distributed) else source.payload_of
    at_once = _NAMED_AT_ONCE if isinstance(engine, Distributed) else _READ_AT_ONCE

    def read(rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        step = at_once if len(rows) > _READ_BY_ONE else _READ_BY_ONE
        for begin in range(0, len(rows), step):
            yield from payload_of(rows[begin : begin + step])

    kept: dict[
        int, tuple[Any, ...]
    ] = {}  # by row, the last that were seen: copies of one picture come again and again

    def see(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
        rows = [int(row_of_sample[sample]) for sample in samples]
        again = {row: kept.pop(row) for row in rows if row in kept}
        new = [row for row in rows if row not in again]
        seen = (of for batch in engine.run(WORK, setup, read(new)) for of in _rows(batch))

        for begin in range(0, len(rows), _GIVEN_AT_ONCE):
            given = [
                again.pop(row) if row in again else next(seen)
                for row in rows[begin : begin + _GIVEN_AT_ONCE]
            ]
            yield seen_batch(given)
            kept.update((of[0], of) for of in given)
            for row in list(kept)[: max(len(kept) - _KEPT, 0)]:
                del kept[row]

        for _ in seen:  # there is none, but only when it is asked does the engine know
            pass

    with engine.kept():
        yield see


class PairsBar:
    """The share of a stage by the pairs that are done: joined, compared by thumbnails, looked at a
    second time.

    A pair counts in part when its thumbnails are compared and in full when it was looked at, or
    need not be.
    """

    def __init__(self, progress: Progress, *, looks: bool) -> None:
        self._progress = progress
        self._of_thumbnails = _OF_THUMBNAILS if looks else 1.0
        self._total = self._compared = self._before = 0
        self._looked = 0.0

    def joined(self, share: float) -> None:
        """Share of the join, in [0, 1]."""
        self._progress(_OF_JOIN * share)

    def compared(self, n_pairs: int, n_total: int) -> None:
        """So many pairs of so many were compared by their thumbnails."""
        self._compared, self._total = n_pairs, n_total
        self._tell()

    def looked(self, share: float) -> None:
        """Share of the second looks among the pairs compared last; 1 once all are done."""
        self._looked = self._before + share * (self._compared - self._before)
        if share >= 1:
            self._before = self._compared
        self._tell()

    def _tell(self) -> None:
        done = self._of_thumbnails * self._compared + (1 - self._of_thumbnails) * self._looked
        self._progress(_OF_JOIN + (1 - _OF_JOIN) * done / max(self._total, 1))


def looked(
    parts: Iterator[pa.Table],
    see: See,
    thumbnails: NDArray[np.uint8],
    looks: Looks,
    *,
    threads: int,
    progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """The parts of `candidates` with `close_similarity`, `colour_differs` and `better` where a
    second look was taken.

    `thumbnails`: of all samples, shape (n, 32 × 32). Of pictures without their frames the colours
    are not compared. `progress` is told the share of each part.
    """
    for part in parts:
        rows = np.flatnonzero(part["similarity"].to_numpy() >= LOOK_FROM)
        allowed = rows[: MAX_LOOKS - looks.pairs]
        looks.left_out += len(rows) - len(allowed)
        close, colour = np.full(len(part), np.nan, np.float32), np.full(len(part), -1, np.int8)
        better_of = np.zeros(len(part), np.int8)
        for begin in range(0, len(allowed), _PAIRS_AT_ONCE):
            some = allowed[begin : begin + _PAIRS_AT_ONCE]
            close[some], colour[some], better_of[some] = _look(
                part.take(pa.array(some)), see, thumbnails, looks, threads
            )
            if progress is not None:
                progress((begin + len(some)) / len(allowed))
        columns = {
            "close_similarity": pa.array(close, mask=np.isnan(close)),
            "colour_differs": pa.array(colour == 1, mask=colour < 0),
            "better": pa.array(better_of, mask=np.isnan(close)),
        }
        for name, column in columns.items():
            at = part.schema.get_field_index(name)
            part = part.set_column(at, part.schema.field(at), column)
        if progress is not None and not len(allowed):
            progress(1.0)
        yield part


def _look(
    pairs: pa.Table, see: See, thumbnails: NDArray[np.uint8], looks: Looks, threads: int
) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int8]]:
    """Of each pair the similarity, whether the colours differ (-1: unknown), and which picture is
    better.
    """
    a, b, transforms, views = (
        pairs[name].to_numpy() for name in ("a", "b", "transform", "unframed")
    )
    samples = np.unique(np.concatenate([a, b]))
    framed = np.searchsorted(samples, np.unique(np.concatenate([a[views != 0], b[views != 0]])))
    side = np.zeros(len(samples), np.int32)
    # no memory until it is filled
    greys = np.zeros((len(samples) + len(framed), CLOSE_SIDE, CLOSE_SIDE), np.uint8)
    chroma = np.zeros((len(samples), COLOUR_SIDE, COLOUR_SIDE, 2), np.uint8)
    qualities = _fill(see(samples.tolist()), side, greys, chroma)
    pictures = np.searchsorted(samples, a), np.searchsorted(samples, b)
    one, two = pictures
    colour = np.full(len(pairs), -1, np.int8)
    whole = np.flatnonzero((side[one] > 0) & (side[two] > 0) & (views == 0))
    colour[whole] = colours_differ(chroma, one[whole], two[whole], transforms[whole])
    close = np.full(len(pairs), np.nan, np.float32)
    similarity, smaller = pairs["similarity"].to_numpy(), np.minimum(side[one], side[two])
    large = np.flatnonzero(_has_detail(similarity, smaller))
    inside = np.arange(len(samples), dtype=np.int64)  # the place of each without its frame
    inside[framed] = len(samples) + np.arange(len(framed))
    for begin in range(0, len(framed), _GIVEN_AT_ONCE):
        some = framed[begin : begin + _GIVEN_AT_ONCE]
        greys[inside[some]] = _unframed(greys[some], thumbnails[samples[some]])

    one = np.where((views == FIRST) | (views == BOTH), inside[one], one)
    two = np.where((views == SECOND) | (views == BOTH), inside[two], two)
    rims = views[large] != BOTH  # what is inside two frames begins behind them
    found = close_similarities(
        greys, one[large], two[large], transforms[large], rims=rims, threads=threads
    )
    close[large] = _with_thumbnails(found, similarity[large], smaller[large])
    better_of = np.zeros(len(pairs), np.int8)
    seen = large[(side[pictures[0][large]] > 0) & (side[pictures[1][large]] > 0)]

    if len(seen):
        better_of[seen] = preferred(
            qualities,
            (pictures[0][seen], pictures[1][seen]),
            greys,
            (one[seen], two[seen]),
            transforms[seen],
            views[seen],
        )

    looks.pairs += len(pairs)
    looks.compared += len(large)
    looks.pictures += len(samples)

    return close, colour, better_of


def _fill(
    seen: Iterator[pa.RecordBatch],
    side: NDArray[np.int32],
    greys: NDArray[np.uint8],
    chroma: NDArray[np.uint8],
) -> Qualities:
    """Put what is seen in its place, batch by batch, so that it is not in memory twice; zeros stay
    where nothing is.

    Returns the quality of each picture, that of nothing where there is no picture any more.
    """
    place, qualities = 0, []
    for batch in seen:
        side[place : place + len(batch)] = batch["side"].fill_null(0).to_numpy()
        for column, room in (("grey", greys), ("chroma", chroma)):
            for k, value in enumerate(batch[column].to_pylist(), place):
                if value is not None:
                    room[k] = np.frombuffer(value, np.uint8).reshape(room.shape[1:])
        qualities += batch["quality"].to_pylist()
        place += len(batch)

    return Qualities.from_bytes([NOTHING_SEEN if value is None else value for value in qualities])


def _unframed(greys: NDArray[np.uint8], thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures without their frames, which are found on their thumbnails; as they are where there
    is none.
    """
    small = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    widths = frame_widths(small, np.arange(len(small)))
    widths = np.where(widths > 0, widths + _RIM, 0.0) * (CLOSE_SIDE / THUMBNAIL_SIDE)
    return without_frames(greys, widths)


def _has_detail(similarity: NDArray[np.float32], side: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether detail tells more; `side`: pixels of the longer side of the smaller picture."""
    return (similarity >= np.float32(LOOK_FROM)) & (side >= MIN_SIDE)


def _with_thumbnails(
    close: NDArray[np.float32], similarity: NDArray[np.float32], side: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Of small pictures the mean of both similarities, to four decimals."""
    mean = np.round((close.astype(np.float64) + similarity) / 2, 4).astype(np.float32)
    return np.where(side < _SMALL_SIDE, mean, close)


def look(
    one: CloseView,
    two: CloseView,
    similarity: float,
    *,
    views: int = 0,
    thumbnails: NDArray[np.uint8] | None = None,
    transform: int = 0,
) -> float | None:
    """`close_similarity` of one pair, the second turned first, None where a run does not ask.

    `views`: which of them is seen without its frame, as a place in `tables.UNFRAMED`; needs the
    `thumbnails` of both.
    """
    side = np.array([min(one.side, two.side)], np.int32)
    if not _has_detail(np.array([similarity], np.float32), side)[0]:
        return None

    both, greys = np.arange(2), np.stack([one.grey, two.grey])
    first, second = both[:1], both[1:]
    if views and thumbnails is not None:
        greys = np.concatenate([greys, _unframed(greys, thumbnails)])
        first = both[:1] + 2 if views in (FIRST, BOTH) else first
        second = both[1:] + 2 if views in (SECOND, BOTH) else second

    turn, rims = np.array([transform], np.uint8), np.array([views != BOTH])
    found = close_similarities(greys, first, second, turn, rims=rims)

    return float(_with_thumbnails(found, np.array([similarity], np.float32), side)[0])


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)
