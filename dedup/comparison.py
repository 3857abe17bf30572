"""One pair explained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import (
    ALGORITHMS,
    BITS,
    TOTAL,
    HashConfig,
    VerifyConfig,
    acceptance_limits,
    build,
    resolve,
)
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats import read_bytes
from dedup.formats.source import encoded
from dedup.hashers import compare_work
from dedup.hashers.close_views import CLOSE_SIDE, COLOUR_SIDE, CloseView
from dedup.hashers.setup import Setup
from dedup.hashers.work import work
from dedup.limited import Content, results, task
from dedup.policy.acceptance import Evidence, Limits, accepted, false_probability
from dedup.reporting import shown
from dedup.stages.candidates import candidates
from dedup.tables import BOTH, MIN_INFORMATION, THUMBNAIL_SIDE, TRANSFORMS, UNFRAMED, code_column
from dedup.verify import similarities
from dedup.verify.closer import colours_differ
from dedup.verify.determinacy import cells
from dedup.verify.second_look import look


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two pictures."""

    name: str
    n_bytes: int
    width: int
    height: int
    format: str
    information: float  # grey levels
    thumbnail: NDArray[np.uint8]  # (32, 32)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What speaks for and against two pictures being the same."""

    a: Side
    b: Side
    mode: str  # of the codes: that of a run with defaults
    same_bytes: bool
    same_class: bool  # a run in this mode takes them for identical pictures without a search
    same_pixels: bool  # both decoded in full
    distances: dict[str, int]  # bits that differ, per algorithm
    bits: int  # of each code
    similarity: float  # 0..1
    structure: float  # cells of 256 that hold the structure of the thumbnail that has less
    close_similarity: float | None  # 0..1, at 128 pixels; None where a run takes no second look
    colour_differs: bool | None  # None where one of them cannot be decoded in full
    # a, b or both: seen without their frame they are a pair within the distance
    unframed: str | None
    unframed_similarity: float  # 0..1, then
    unframed_structure: float  # cells, then
    unframed_close_similarity: float | None  # 0..1, then
    best_turn: str  # the orientation of b, of the seven others, in which it is most similar to a
    turned_distances: dict[str, int]  # bits, b turned so
    turned_similarity: float
    turned_close_similarity: float | None
    max_distance: int  # the default, in bits: what a run with defaults searches
    max_total_distance: int  # of its algorithms together; 0 where only equal codes are so near

    @property
    def kind(self) -> str | None:
        """What a run with default settings calls the pair: bytes, pixels, near, or None for no
        pair.
        """
        if self.same_bytes or self.same_class:
            return "bytes" if self.same_bytes else "pixels"
        return "near" if self._standing or self._without_frame else None

    @property
    def false_probability(self) -> float:
        """The probability that they are not the same picture, as in `pairs` of a run; 0 of
        identical ones.

        Of the two as they stand, unless only without a frame they are a pair, or a more similar
        one.
        """
        if self.same_bytes or self.same_class:
            return 0.0
        seen = self._unframed_evidence if self._best_without_frame else self._evidence
        return round(float(false_probability(seen)[0]), 4)

    @property
    def same_scene(self) -> bool:
        """Whether the closer look is what keeps them from being a pair."""
        looked = (
            self._near(self.distances) and not self._standing and self.close_similarity is not None
        )
        return looked and _accepted(Evidence.of_one(self.similarity, self.structure, 1.0, 0))

    @property
    def _evidence(self) -> Evidence:
        return Evidence.of_one(self.similarity, self.structure, self.close_similarity, 0)

    @property
    def _unframed_evidence(self) -> Evidence:
        view = UNFRAMED.index(self.unframed)
        return Evidence.of_one(
            self.unframed_similarity, self.unframed_structure, self.unframed_close_similarity, view
        )

    @property
    def _standing(self) -> bool:
        return self._near(self.distances) and _accepted(self._evidence)

    @property
    def _without_frame(self) -> bool:
        return self.unframed is not None and _accepted(self._unframed_evidence)

    @property
    def _best_without_frame(self) -> bool:
        more_similar = self.unframed_similarity > self.similarity
        return self._without_frame and (more_similar or not self._standing)

    @property
    def turned_pair(self) -> bool:
        """Whether a run that searches other orientations calls them a pair."""
        turned = Evidence.of_one(
            self.turned_similarity, self.structure, self.turned_close_similarity, 0
        )
        return self._near(self.turned_distances) and _accepted(turned)

    def _near(self, distances: dict[str, int]) -> bool:
        nearest = [distances[name] for name in HashConfig().algorithms]
        near = min(nearest) <= self.max_distance or sum(nearest) <= self.max_total_distance
        return near and min(self.a.information, self.b.information) >= MIN_INFORMATION

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, the two as they are compared, and where they differ."""
        one, two = self.a.thumbnail, self.b.thumbnail
        uris = [shown.uri(shown.enlarged(grey)) for grey in (one, two, shown.difference(one, two))]
        sides = [
            (side.name, side.n_bytes, f"{side.width} × {side.height}", side.format)
            for side in (self.a, self.b)
        ]
        numbers = [
            ("similarity", round(self.similarity, 4)),
            ("close similarity", self.close_similarity),
        ]
        numbers += [("false probability", self.false_probability)]
        numbers += [
            (f"{name}, bits of {self.bits} that differ", bits)
            for name, bits in self.distances.items()
        ]

        return (
            shown.paragraph(self.verdict())
            + shown.pictures([(uris, "both at 32 × 32, and their difference")])
            + shown.table(["picture", "bytes", "pixels", "format"], sides)
            + shown.table(["measure", "value"], numbers)
        )

    def verdict(self) -> str:
        """The kind in a sentence, with the reason."""
        kind = self.kind
        if kind == "bytes":
            return "The same file."
        if kind == "pixels":
            return "The same pixels in different files."

        if kind == "near":
            decoded = " Decoded in full, their pixels are the same." if self.same_pixels else ""
            if not self._best_without_frame:
                return f"Near-duplicates: {_reached(self._evidence)}.{decoded}"
            whose = {"a": "a without its frame", "b": "b without its frame"}.get(
                self.unframed or "", "without frames"
            )
            return f"Near-duplicates, {whose}: {_reached(self._unframed_evidence)}."

        if min(self.a.information, self.b.information) < MIN_INFORMATION:
            return (
                "No pair: one of them is blank, flat or a bare gradient, and their pixels differ."
            )

        if self.turned_pair:
            setting = "mirrored" if self.best_turn == "mirror" else "all"
            return (
                f"A pair only with search.orientations: {setting} "
                f"({self.best_turn}, similarity {self.turned_similarity:.3f})."
            )

        if self.same_scene:
            return (
                "No pair: the same scene, not the same picture. Their thumbnails are"
                f" {self.similarity:.3f} similar, seen closely they are"
                f" {self.close_similarity:.3f}: false probability {_doubt(self._evidence)}."
            )

        nearest = {name: self.distances[name] for name in HashConfig().algorithms}
        if not self._near(self.distances):
            listed = ", ".join(f"{name} {bits}" for name, bits in nearest.items())
            together = f", or {self.max_total_distance} together" if self.max_total_distance else ""
            return f"No pair: further apart than {self.max_distance} bits{together} ({listed})."

        least = _default_limits().min_similarity
        if self.similarity < least:
            return f"No pair: similarity {self.similarity:.3f} < {least}."

        return (
            f"No pair: similarity {self.similarity:.3f}, structure in {self.structure:.0f} of 256"
            f" cells: false probability {_doubt(self._evidence)}."
        )


def compare(a: str | Path | bytes, b: str | Path | bytes, *, bits: int = 64) -> Comparison:
    """Compare two pictures, given as paths or as encoded bytes, in every way that a run would.

    A file whose header does not show that it costs little is decoded in a process of its own, with
    the limits that a run has by default. Raises `SourceError` when one of them cannot be read.
    """
    if bits not in BITS:
        message = f"bits: got {bits!r}, allowed: {', '.join(map(str, BITS))}."
        raise ConfigError(message)

    given = {"a": a, "b": b}
    names = [_name_of(picture, side) for side, picture in given.items()]
    contents = [
        read_bytes(encoded(str(picture)), None)
        if isinstance(picture, str | Path)
        else bytes(picture)
        for picture in given.values()
    ]

    settings = HashConfig()
    algorithms = tuple(name for name in ALGORITHMS if bits in ALGORITHMS[name])
    turned = TRANSFORMS[1:]
    setup = Setup(algorithms, bits, settings.mode, settings.background, settings.max_pixels, turned)
    table = _measured(names, contents, setup)

    of_a, of_b = table.to_pylist()
    small = np.stack(
        [
            np.frombuffer(row["thumbnail"], np.uint8).reshape(THUMBNAIL_SIDE, -1)
            for row in (of_a, of_b)
        ]
    )
    turns = np.arange(len(TRANSFORMS), dtype=np.uint8)
    alike = similarities(
        small, np.zeros(len(turns), np.int64), np.ones(len(turns), np.int64), turns
    )
    best = 1 + int(np.argmax(alike[1:]))
    similarity = float(alike[0])
    views = [_close_view(row) for row in (of_a, of_b) if row["full_digest"] is not None]
    closer = (views[0], views[1]) if len(views) == 2 else None
    default = resolve(build({"hash": {"bits": bits}}), []).search.max_distance
    unframed, unframed_similarity, unframed_structure = _without_frames(table, bits)

    return Comparison(
        a=_side(names[0], contents[0], of_a, small[0]),
        b=_side(names[1], contents[1], of_b, small[1]),
        mode=settings.mode,
        same_bytes=of_a["file_digest"] == of_b["file_digest"],
        same_class=of_a["pixel_digest"] == of_b["pixel_digest"],
        same_pixels=closer is not None and of_a["full_digest"] == of_b["full_digest"],
        distances={name: _distance(of_a[name], of_b[name]) for name in algorithms},
        bits=bits,
        similarity=similarity,
        structure=float(cells(small).min()),
        close_similarity=look(*closer, similarity) if closer else None,
        colour_differs=_colours_differ(closer) if closer else None,
        unframed=None if unframed is None else UNFRAMED[unframed],
        unframed_similarity=unframed_similarity,
        unframed_structure=unframed_structure,
        unframed_close_similarity=(
            look(*closer, unframed_similarity, views=unframed, thumbnails=small)
            if closer and unframed
            else None
        ),
        best_turn=TRANSFORMS[best],
        turned_distances={
            name: _distance(of_a[name], of_b[code_column(name, TRANSFORMS[best])])
            for name in algorithms
        },
        turned_similarity=float(alike[best]),
        turned_close_similarity=(
            look(*closer, float(alike[best]), transform=best) if closer else None
        ),
        max_distance=default[settings.algorithms[0]],
        max_total_distance=default.get(TOTAL, 0),
    )


def _name_of(picture: object, side: str) -> str:
    """What a picture is called in messages. Raises `ConfigError` for what is neither a path nor the
    bytes of a file.
    """
    if isinstance(picture, str | Path):
        return str(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        return f"the bytes given as {side}"

    message = f"{side}: got {type(picture).__name__}; give a path or the bytes of a file."
    raise ConfigError(message)


def _measured(names: Sequence[str], contents: Sequence[Content], setup: Setup) -> pa.Table:
    """What `compare_work` finds of the two. Raises `SourceError` for one that cannot be read."""
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, Unreadable):
            message = f"{name}: {content.status}: {content.detail}."
            raise SourceError(message)

    tasks = [task([(None, content)]) for content in contents if isinstance(content, bytes)]
    table = pa.Table.from_batches(results(compare_work.WORK, work(setup), tasks))

    for name, row in zip(names, table.select(["status", "detail"]).to_pylist(), strict=True):
        if row["status"] != "ok":
            message = f"{name}: {row['status']}: {row['detail']}."
            raise SourceError(message)

    return table


def _close_view(row: Mapping[str, Any]) -> CloseView:
    """The view of a picture as `compare_work` sends it."""
    grey = np.frombuffer(row["grey"], np.uint8).reshape(CLOSE_SIDE, CLOSE_SIDE)
    chroma = np.frombuffer(row["chroma"], np.uint8).reshape(COLOUR_SIDE, COLOUR_SIDE, 2)

    return CloseView(row["side"], grey, chroma)


def _default_limits() -> Limits:
    return Limits(**acceptance_limits(VerifyConfig()))


def _accepted(evidence: Evidence) -> bool:
    """Whether a run with default settings accepts a pair."""
    return bool(accepted(evidence, _default_limits())[0])


def _doubt(evidence: Evidence) -> str:
    """The false probability beside the limit that it keeps or passes."""
    found, limit = float(false_probability(evidence)[0]), _default_limits().max_false_probability
    return f"{found:.3f} {'≤' if np.float32(found) <= np.float32(limit) else '>'} {limit}"


def _reached(evidence: Evidence) -> str:
    close = float(evidence.close[0])
    closely = "" if np.isnan(close) else f", {close:.3f} seen closely"
    cells_of_256 = f"structure in {evidence.structure[0]:.0f} of 256 cells"

    return (
        f"similarity {evidence.similarity[0]:.3f}{closely}, {cells_of_256}: false probability"
        f" {_doubt(evidence)}"
    )


def _without_frames(table: pa.Table, bits: int) -> tuple[int | None, float, float]:
    """Which of the two a run with defaults sees without its frame when they are candidates so.

    With their similarity and structure then.
    """
    config = build({"hash": {"bits": bits}})
    parts = candidates(table, resolve(config, []), limit=config.search.max_candidates, threads=1)
    rows = [row for row in pa.concat_tables(parts).to_pylist() if row["unframed"]]
    if not rows:
        return None, 0.0, 0.0

    def by_thumbnails(row: Mapping[str, Any]) -> bool:
        return _accepted(Evidence.of_one(row["similarity"], row["structure"], None, BOTH))

    best = max(
        rows, key=lambda row: (row["unframed"] != BOTH or by_thumbnails(row), row["similarity"])
    )

    return int(best["unframed"]), float(best["similarity"]), float(best["structure"] or 0.0)


def _side(
    name: str, content: bytes | Unreadable, row: Mapping[str, Any], small: NDArray[np.uint8]
) -> Side:
    n_bytes = len(content) if isinstance(content, bytes) else 0
    return Side(
        name, n_bytes, row["width"], row["height"], row["format"], row["information"], small
    )


def _colours_differ(views: tuple[CloseView, CloseView]) -> bool:
    chroma = np.stack([view.chroma for view in views])
    return bool(colours_differ(chroma, np.array([0]), np.array([1]), np.zeros(1, np.uint8))[0])


def _distance(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
