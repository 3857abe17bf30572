"""One pair explained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.config import ALGORITHMS, AUTO_CAP_PER_64_BITS, AUTO_MIN_SIMILARITY, HashConfig
from dedup.errors import SourceError
from dedup.formats import read_bytes
from dedup.hashers import MODES
from dedup.hashers.thumbnail import MIN_INFORMATION, information, thumbnail
from dedup.images import Picture, Unreadable, file_digest, open_picture, turned
from dedup.search import pack
from dedup.tables import TRANSFORMS
from dedup.verify import similarities


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
    same_bytes: bool
    same_pixels: bool
    distances: dict[str, int]  # bits that differ, per algorithm
    bits: int  # of each code
    similarity: float  # 0..1
    best_turn: str  # the orientation of b, of the seven others, in which it is most similar to a
    turned_distances: dict[str, int]  # bits, b turned so
    turned_similarity: float
    max_distance: int  # the default, in bits: what a run with defaults searches
    min_similarity: float  # the default: what a run with defaults accepts

    @property
    def kind(self) -> str | None:
        """What a run with default settings calls the pair: bytes, pixels, near, or None for no pair."""
        if self.same_bytes or self.same_pixels:
            return "bytes" if self.same_bytes else "pixels"
        return "near" if self._near(self.distances, self.similarity) else None

    @property
    def turned_pair(self) -> bool:
        """Whether a run that searches other orientations calls them a pair."""
        return self._near(self.turned_distances, self.turned_similarity)

    def _near(self, distances: dict[str, int], similarity: float) -> bool:
        within = min(distances[name] for name in HashConfig().algorithms) <= self.max_distance
        informed = min(self.a.information, self.b.information) >= MIN_INFORMATION
        return within and informed and similarity >= self.min_similarity

    def verdict(self) -> str:
        """The kind in a sentence, with the reason."""
        kind = self.kind
        if kind == "bytes":
            return "The same file."
        if kind == "pixels":
            return "The same pixels in different files."
        if kind == "near":
            return f"Near-duplicates: similarity {self.similarity:.3f} ≥ {self.min_similarity}."
        if min(self.a.information, self.b.information) < MIN_INFORMATION:
            return "No pair: one of them is blank, flat or a bare gradient, and their pixels differ."
        if self.turned_pair:
            setting = "mirrored" if self.best_turn == "mirror" else "all"
            return (
                f"A pair only with search.orientations: {setting} "
                f"({self.best_turn}, similarity {self.turned_similarity:.3f})."
            )
        nearest = {name: self.distances[name] for name in HashConfig().algorithms}
        if min(nearest.values()) > self.max_distance:
            listed = ", ".join(f"{name} {bits}" for name, bits in nearest.items())
            return f"No pair: further apart than {self.max_distance} bits ({listed})."
        return f"No pair: similarity {self.similarity:.3f} < {self.min_similarity}."


def compare(a: str | Path | bytes, b: str | Path | bytes, *, bits: int = 64) -> Comparison:
    """Compare two pictures, given as paths or as encoded bytes, in every way that a run would.

    Raises `SourceError` when one of them cannot be read.
    """
    settings = HashConfig()
    names, contents, pictures = [], [], []
    for side, given in (("a", a), ("b", b)):
        name = f"the bytes given as {side}" if isinstance(given, bytes) else str(given)
        data = given if isinstance(given, bytes) else read_bytes(bytes(Path(given)), None)
        picture = data if isinstance(data, Unreadable) else open_picture(data, max_pixels=settings.max_pixels)
        if isinstance(data, Unreadable) or isinstance(picture, Unreadable):
            bad = data if isinstance(data, Unreadable) else picture
            message = f"{name}: {bad.status}: {bad.detail}."  # type: ignore[union-attr]
            raise SourceError(message)
        names.append(name)
        contents.append(data)
        pictures.append(picture)
    small = np.stack([thumbnail(picture.image) for picture in pictures])
    image_a, image_b = (picture.image for picture in pictures)
    turns = np.arange(len(TRANSFORMS), dtype=np.uint8)
    alike = similarities(small, np.zeros(len(turns), np.int64), np.ones(len(turns), np.int64), turns)
    best = 1 + int(np.argmax(alike[1:]))
    return Comparison(
        a=_side(names[0], contents[0], pictures[0], small[0]),
        b=_side(names[1], contents[1], pictures[1], small[1]),
        same_bytes=file_digest(contents[0]) == file_digest(contents[1]),
        same_pixels=pictures[0].pixel_digest == pictures[1].pixel_digest,
        distances={name: _distance([image_a, image_b], name, bits) for name in ALGORITHMS},
        bits=bits,
        similarity=float(alike[0]),
        best_turn=TRANSFORMS[best],
        turned_distances={
            name: _distance([image_a, turned(image_b, TRANSFORMS[best])], name, bits) for name in ALGORITHMS
        },
        turned_similarity=float(alike[best]),
        max_distance=AUTO_CAP_PER_64_BITS * bits // 64,
        min_similarity=AUTO_MIN_SIMILARITY,
    )


def _side(name: str, data: bytes, picture: Picture, small: NDArray[np.uint8]) -> Side:
    return Side(name, len(data), picture.width, picture.height, picture.format, information(small), small)


def _distance(images: list[Image.Image], algorithm: str, bits: int) -> int:
    a, b = pack(MODES[HashConfig().mode](images, algorithm, bits))
    return int(np.bitwise_count(a ^ b).sum())
