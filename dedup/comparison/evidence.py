"""What is known of two pictures that are compared, and the verdict on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.config import (
    HashConfig,
    VerifyConfig,
    acceptance_limits,
)
from dedup.policy.acceptance import Evidence, Limits, accepted, false_probability
from dedup.reporting import shown
from dedup.tables import MIN_INFORMATION, UNFRAMED


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
        return looked and passes(Evidence.of_one(self.similarity, self.structure, 1.0, 0))

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
        return self._near(self.distances) and passes(self._evidence)

    @property
    def _without_frame(self) -> bool:
        return self.unframed is not None and passes(self._unframed_evidence)

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
        return self._near(self.turned_distances) and passes(turned)

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

        return self._near_verdict() if kind == "near" else self._no_pair_verdict()

    def _near_verdict(self) -> str:
        """Near-duplicates as they are, or without a frame that one of them has."""
        decoded = " Decoded in full, their pixels are the same." if self.same_pixels else ""
        if not self._best_without_frame:
            return f"Near-duplicates: {reached(self._evidence)}.{decoded}"
        whose = {"a": "a without its frame", "b": "b without its frame"}.get(
            self.unframed or "", "without frames"
        )
        return f"Near-duplicates, {whose}: {reached(self._unframed_evidence)}."

    def _no_pair_verdict(self) -> str:
        """Why they are no pair: the first reason that a run would have."""
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
                f" {self.close_similarity:.3f}: false probability {doubt_of(self._evidence)}."
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
            f" cells: false probability {doubt_of(self._evidence)}."
        )


def _default_limits() -> Limits:
    return Limits(**acceptance_limits(VerifyConfig()))


def passes(evidence: Evidence) -> bool:
    """Whether a run with default settings accepts a pair."""
    return bool(accepted(evidence, _default_limits())[0])


def doubt_of(evidence: Evidence) -> str:
    """The false probability beside the limit that it keeps or passes."""
    found, limit = float(false_probability(evidence)[0]), _default_limits().max_false_probability
    return f"{found:.3f} {'≤' if np.float32(found) <= np.float32(limit) else '>'} {limit}"


def reached(evidence: Evidence) -> str:
    """What evidence comes to, beside the limits of a run with default settings."""
    close = float(evidence.close[0])
    closely = "" if np.isnan(close) else f", {close:.3f} seen closely"
    cells_of_256 = f"structure in {evidence.structure[0]:.0f} of 256 cells"

    return (
        f"similarity {evidence.similarity[0]:.3f}{closely}, {cells_of_256}: false probability"
        f" {doubt_of(evidence)}"
    )
