"""Slow twins of the stages, and data whose truth is known by construction. Nothing here imports the
package.

An oracle is written to be read: double loops over Python integers, sets, breadth-first search.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from PIL import Image

from tests import pictures

CODES = {"dhash": 8, "phash": 8}  # bytes of each code in the tables made here


def hamming(a: bytes, b: bytes) -> int:
    """Bits in which two codes differ."""
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def components(n: int, edges: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Connected components by breadth-first search, in the order of their lowest node."""
    neighbours: dict[int, set[int]] = {node: set() for node in range(n)}
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    found: list[set[int]] = []
    for start in range(n):
        if any(start in component for component in found):
            continue
        component, frontier = {start}, [start]
        while frontier:
            frontier = [
                other for node in frontier for other in neighbours[node] if other not in component
            ]
            component |= set(frontier)
        found.append(component)
    return found


@dataclass(frozen=True)
class Sample:
    """One sample of a made-up dataset."""

    split: str | None
    picture: int | None  # which decoded picture it shows; None: it cannot be read
    file: int = 0  # which of the files with that picture it is
    compression: float | None = 1.0
    label: str | None = None
    group: str | None = None
    worth: str | None = None


@dataclass(frozen=True)
class Match:
    """Why two samples are a pair."""

    kind: str
    distances: tuple[int, int]  # dhash, phash
    similarity: float | None

    @property
    def distance(self) -> int:
        return min(self.distances)

    def rank(self) -> tuple[int, float, int]:
        """The better match first: identical, then more similar, then nearer."""
        return (self.kind == "near", -(self.similarity or 0.0), self.distance)


@dataclass(frozen=True)
class World:
    """A dataset of which everything is known: what each sample shows, and which pictures are near
    to each other.
    """

    samples: tuple[Sample, ...]
    # (picture, picture) → dhash, phash, similarity
    near: Mapping[tuple[int, int], tuple[int, int, float | None]]
    area: Mapping[int, int]  # picture → number of pixels

    def __len__(self) -> int:
        return len(self.samples)

    def match(self, i: int, j: int) -> Match | None:
        """Why samples i and j are a pair, or None."""
        a, b = self.samples[i], self.samples[j]
        if i == j or a.picture is None or b.picture is None:
            return None
        if a.picture == b.picture:
            return Match("bytes" if a.file == b.file else "pixels", (0, 0), 1.0)
        found = self.near.get((a.picture, b.picture)) or self.near.get((b.picture, a.picture))
        return None if found is None else Match("near", found[:2], found[2])

    def members(self, picture: int) -> list[int]:
        """Samples that show the picture, in order."""
        return [i for i, sample in enumerate(self.samples) if sample.picture == picture]

    def readable(self) -> set[int]:
        return {i for i, sample in enumerate(self.samples) if sample.picture is not None}

    def held_out(self) -> tuple[str, ...]:
        """The default: every split but train, if there is a train."""
        splits = {sample.split for sample in self.samples if sample.split is not None}
        return tuple(sorted(splits - {"train"})) if "train" in splits else ()

    def manifest(self) -> pa.Table:
        """The manifest of this world. Ids are as long as each other, so that their order is that of
        the samples.
        """
        n = len(self.samples)
        return pa.table(
            {
                "sample": pa.array(range(n), pa.int64()),
                "id": pa.array([f"id{i:06d}" for i in range(n)], pa.string()),
                "split": pa.array([sample.split for sample in self.samples], pa.string()),
                "label": pa.array([sample.label for sample in self.samples], pa.string()),
                "uri": pa.nulls(n, pa.string()),
                "group": pa.array([sample.group for sample in self.samples], pa.string()),
                "keep_by": pa.array([sample.worth for sample in self.samples], pa.string()),
                "distinct": pa.nulls(n, pa.string()),
            }
        )

    def hashes(self) -> pa.Table:
        """The hashes of this world, with codes of zeros: the candidates are known without them."""
        rows = [
            {
                "sample": i,
                "status": "ok" if sample.picture is not None else "undecodable",
                "width": None if sample.picture is None else self.area[sample.picture],
                "height": None if sample.picture is None else 1,
                "file_digest": f"{sample.picture} {sample.file}".encode().ljust(32),
                "pixel_digest": None
                if sample.picture is None
                else str(sample.picture).encode().ljust(32),
                "compression": None if sample.picture is None else sample.compression,
                "information": None if sample.picture is None else 50.0,
                **(
                    {}
                    if sample.picture is None
                    else {name: bytes(n_bytes) for name, n_bytes in CODES.items()}
                ),
            }
            for i, sample in enumerate(self.samples)
        ]
        return hashes_table(rows)

    def candidates(self) -> pa.Table:
        """Near pairs between the lowest samples of two pictures, sorted."""
        rows = []
        for (p, q), (dhash, phash, similarity) in self.near.items():
            if self.members(p) and self.members(q):
                a, b = sorted((self.members(p)[0], self.members(q)[0]))
                rows.append((a, b, dhash, phash, similarity))
        rows.sort()
        return pa.table(
            {
                "a": pa.array([row[0] for row in rows], pa.int64()),
                "b": pa.array([row[1] for row in rows], pa.int64()),
                "transform": pa.array([0] * len(rows), pa.uint8()),
                "distance_dhash": pa.array([row[2] for row in rows], pa.uint16()),
                "distance_phash": pa.array([row[3] for row in rows], pa.uint16()),
                "similarity": pa.array([row[4] for row in rows], pa.float32()),
                "unframed": pa.array([0] * len(rows), pa.uint8()),
                "structure": pa.nulls(len(rows), pa.float32()),
                "close_similarity": pa.nulls(len(rows), pa.float32()),
                "colour_differs": pa.nulls(len(rows), pa.bool_()),
                "better": pa.nulls(len(rows), pa.int8()),
            }
        )


def hashes_table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """A table of hashes from rows that name only what matters."""
    kinds: dict[str, pa.DataType] = {
        "sample": pa.int64(),
        "status": pa.string(),
        "detail": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "format": pa.string(),
        "n_frames": pa.int32(),
        "file_digest": pa.binary(32),
        "pixel_digest": pa.binary(32),
        "information": pa.float32(),
        "compression": pa.float32(),
        **{name: pa.binary(n_bytes) for name, n_bytes in CODES.items()},
        "thumbnail": pa.binary(1024),
    }
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    )


def pair_rows(world: World) -> list[tuple[int, int, str, tuple[int, int], float | None]]:
    """(a, b, kind, distances, similarity): classes give k - 1 rows, all other pairs are between
    lowest samples.
    """
    rows = []
    for i in range(len(world)):
        for j in range(i + 1, len(world)):
            match = world.match(i, j)
            if match is None:
                continue
            lowest_i = world.members(world.samples[i].picture or 0)[0]
            lowest_j = world.members(world.samples[j].picture or 0)[0]
            identical = match.kind != "near" and i == lowest_i
            if identical or (match.kind == "near" and (i, j) == (lowest_i, lowest_j)):
                rows.append((i, j, match.kind, match.distances, match.similarity))
    return rows


def leak_rows(
    world: World, held_out: Sequence[str]
) -> list[tuple[int, int, str, int, float | None]]:
    """(train sample, lowest held-out sample of a picture it matches, kind, distance, similarity),
    sorted.
    """
    rows = []
    for i, sample in enumerate(world.samples):
        if sample.split in held_out or not held_out:
            continue
        for picture in {other.picture for other in world.samples if other.picture is not None}:
            there = [j for j in world.members(picture) if world.samples[j].split in held_out]
            match = world.match(i, there[0]) if there else None
            if match is not None:
                rows.append((i, there[0], match.kind, match.distance, match.similarity))
    return sorted(rows)


def by_quality(world: World) -> list[int]:
    """Samples from best to worst: more pixels, then less compression, then lower sample.

    Compression is that of the worst file with the same picture, unknown is worst.
    """

    def key(i: int) -> tuple[float, float, int]:
        picture = world.samples[i].picture
        if picture is None:
            return (0.0, float("inf"), i)
        known = [
            c for j in world.members(picture) if (c := world.samples[j].compression) is not None
        ]
        return (-world.area[picture], max(known) if known else float("inf"), i)

    return sorted(range(len(world)), key=key)


@dataclass(frozen=True)
class Decision:
    """What is done with a sample."""

    action: str
    why: str  # kept, leak, duplicate, leaked, written, not written (the last two: unreadable)
    witness: int | None = None
    distance: int | None = None
    similarity: float | None = None


def decide(
    world: World, held_out: Sequence[str], leakage: str, duplicates: str, unreadable: str
) -> list[Decision]:
    """DESIGN section 3: first the leaks, then a leader cover by quality over what remains in
    train.
    """
    readable = world.readable()
    outside = {i for i in range(len(world)) if world.samples[i].split in held_out}
    train = readable - outside
    decided: dict[int, Decision] = {}

    def drop_matches_of(those: set[int], because_of: set[int], why: str) -> None:
        for i in sorted(those):
            found = [
                (match.rank(), j, match)
                for j in because_of
                if (match := world.match(i, j)) is not None
            ]
            if found:
                _, j, match = min(found, key=lambda one: one[:2])
                decided[i] = Decision("drop", why, j, match.distance, match.similarity)

    if leakage == "drop_from_train":
        drop_matches_of(train, readable & outside, "leak")
    if duplicates != "report_only":
        order = by_quality(world) if duplicates == "keep_best" else list(range(len(world)))
        open_ = train - set(decided)
        for leader in order:
            if leader not in open_:
                continue
            open_.remove(leader)
            for i in sorted(open_):
                match = world.match(i, leader)
                if match is not None:
                    decided[i] = Decision(
                        "drop", "duplicate", leader, match.distance, match.similarity
                    )
                    open_.remove(i)
    if leakage == "drop_from_held_out":
        drop_matches_of(readable & outside, train - set(decided), "leaked")
    for i in set(range(len(world))) - readable:
        written = unreadable == "keep" or (unreadable == "drop_from_train" and i in outside)
        decided[i] = Decision("unreadable", "written" if written else "not written")
    return [decided.get(i, Decision("keep", "kept")) for i in range(len(world))]


def group_rows(
    world: World, held_out: Sequence[str]
) -> list[tuple[int, int, bool, int | None, float | None]]:
    """(group, sample, keeper, distance, similarity): leaders by split then quality, the keeper
    first in its group.
    """
    order = sorted(by_quality(world), key=lambda i: world.samples[i].split not in held_out)
    open_ = world.readable()
    led: dict[int, list[int]] = {}
    for leader in order:
        if leader not in open_:
            continue
        members = [i for i in sorted(open_) if world.match(i, leader) is not None]
        open_ -= {leader, *members}
        if members:
            led[leader] = members
    rows: list[tuple[int, int, bool, int | None, float | None]] = []
    for number, leader in enumerate(sorted(led)):
        rows.append((number, leader, True, None, None))
        for i in led[leader]:
            match = world.match(i, leader)
            if match is not None:
                rows.append((number, i, False, match.distance, match.similarity))
    return rows


@dataclass(frozen=True)
class Truth:
    """What a folder written by `planted` holds."""

    ids: tuple[str, ...]
    dropped: dict[str, frozenset[str]]  # dropped id → the ids that may be its witness
    unreadable: frozenset[str]
    pairs: frozenset[tuple[str, str, str]]  # id, id, kind
    leaks: frozenset[tuple[str, str, str]]  # train id, held-out id, kind

    @property
    def kept(self) -> frozenset[str]:
        return frozenset(self.ids) - self.dropped.keys() - self.unreadable


def planted(root: Path) -> Truth:
    """A folder `split/label/file` with every kind of pair, broken files and blanks, and what a
    default run finds.
    """
    photo = {name: pictures.photo(seed) for seed, name in enumerate("abceghi", start=1)}
    lossless = {name: pictures.encoded(image) for name, image in photo.items()}
    smaller = photo["b"].resize((96, 72), Image.Resampling.LANCZOS)
    whole = pictures.encoded(photo["g"], "JPEG")
    files = {
        "train/cat/a.png": lossless["a"],
        "train/cat/a_again.png": lossless["a"],
        "train/cat/e.png": lossless["e"],
        "train/cat/e_again.jpg": pictures.encoded(photo["e"], "JPEG", quality=60),
        "train/dog/b.jpg": pictures.encoded(photo["b"], "JPEG", quality=95),
        "train/dog/b_small.jpg": pictures.encoded(smaller, "JPEG", quality=95),
        "train/dog/c.png": lossless["c"],
        "train/dog/g.png": lossless["g"],
        "train/flat/black.png": pictures.encoded(Image.new("L", (64, 64), 0)),
        "train/flat/white.png": pictures.encoded(Image.new("L", (64, 64), 255)),
        "train/bad/one.jpg": b"\xff\xd8 no picture",
        "train/bad/two.jpg": b"\xff\xd8 no picture",
        "train/bad/cut.jpg": whole[: len(whole) // 2],
        "test/cat/c.bmp": pictures.encoded(photo["c"], "BMP"),
        "test/cat/b.jpg": pictures.encoded(photo["b"], "JPEG", quality=60),
        "test/dog/h.png": lossless["h"],
        "test/bad/three.jpg": b"\xff\xd8 no picture",
        "validation/cat/h.jpg": pictures.encoded(photo["h"], "JPEG", quality=80),
        "validation/cat/i.png": lossless["i"],
        "validation/dog/a.png": lossless["a"],
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    leaks = {
        ("train/cat/a.png", "validation/dog/a.png", "bytes"),
        ("train/cat/a_again.png", "validation/dog/a.png", "bytes"),
        ("train/dog/b.jpg", "test/cat/b.jpg", "near"),
        ("train/dog/b_small.jpg", "test/cat/b.jpg", "near"),
        ("train/dog/c.png", "test/cat/c.bmp", "pixels"),
    }
    within = {
        ("train/cat/a.png", "train/cat/a_again.png", "bytes"),
        ("train/cat/e.png", "train/cat/e_again.jpg", "near"),
        ("train/dog/b.jpg", "train/dog/b_small.jpg", "near"),
        ("test/dog/h.png", "validation/cat/h.jpg", "near"),
    }
    # a class has k - 1 pairs
    represented = leaks - {("train/cat/a_again.png", "validation/dog/a.png", "bytes")}
    pairs = {(min(a, b), max(a, b), kind) for a, b, kind in represented | within}
    dropped = {train: frozenset({other}) for train, other, _ in leaks}
    dropped["train/cat/e_again.jpg"] = frozenset({"train/cat/e.png"})
    bad = frozenset(name for name in files if "/bad/" in name)
    return Truth(tuple(sorted(files)), dropped, bad, frozenset(pairs), frozenset(leaks))
