"""Both halves of a dataset with edited copies, in two sizes: what verification said of each pair,
whatever the limits.

Of each half up to 240 pictures are taken, at most four of a family, laid on white and shrunk to 400
px, every other one of them edited. One run each; what it said is kept as Parquet, and a half that
was measured is read again.
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import dedup
from benchmarks.edits import EDITS, encoded, number_of
from benchmarks.quality import (
    FIRST_TILE,
    SEPARATOR,
    Job,
    apart,
    audited,
    judged_as,
    make,
    of_classes,
    scored,
    tiles,
    tuned,
)
from dedup.config import (
    AUTO_MIN_CLOSE_SIMILARITY,
    AUTO_MIN_SIMILARITY,
    AUTO_MIN_THUMBNAIL_SIMILARITY,
    Resolved,
)
from dedup.graph import representatives
from dedup.policy import acceptance
from dedup.policy.acceptance import Evidence, accepted
from dedup.verify.second_look import LOOK_FROM

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MIN_SIDE, MAX_SIDE = 48, 400  # pixels
PER_FAMILY, PER_HALF = 4, 240  # pictures
CHOOSING, SCORING = "choosing", "scoring"
SIZES: Final = ("full", "32 px")

ALL_CELLS: Final = 256.0  # the structure of identical pictures, which need none

Limits = tuple[float, float, float]
NOW: Final = (AUTO_MIN_SIMILARITY, AUTO_MIN_CLOSE_SIMILARITY, AUTO_MIN_THUMBNAIL_SIMILARITY)


@dataclass(frozen=True, slots=True)
class Measured:
    """One half of a dataset at one size: the pairs of its run that count, and what verification
    said of them.

    A pair of a copy with its original has the place of its edit in `edit`, one of two sources -1.
    `a` and `b` are names as in `limits.csv`, of photos or of tiles.
    """

    dataset: str
    half: str
    size: str
    n_edited: int
    is_listed: bool  # its known pairs: names say nothing there
    # pair, a, b, edit, similarity, structure, close, unframed: a row for each view of a pair
    pairs: pa.Table


def is_listed(folder: Path) -> bool:
    """Whether the known pairs of a dataset are listed; its pictures are below images/ then."""
    return (folder / "pairs.csv").exists()


def pictures(folder: Path) -> dict[str, Path]:
    """The files that may be used, by name below the folder."""
    below = folder / "images" if is_listed(folder) else folder
    files = sorted(
        path for path in below.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    names = {path.relative_to(below).as_posix(): path for path in files}
    # `make` sets these
    return {name: path for name, path in names.items() if not {SEPARATOR, "+"} & set(name)}


def flattened(path: Path) -> bytes | None:
    """On white, at most 400 px; None where a side has fewer than 48 or the file cannot be read."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if min(image.size) < MIN_SIDE:
        return None
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    white.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return encoded(white.convert("RGB")) if min(white.size) >= MIN_SIDE else None


def family(name: str) -> str:
    """Frames of an animation, and pictures that are numbered, are in one half: the name without its
    digits.
    """
    return re.sub(r"\d", "", name)


def chosen(folder: Path) -> dict[str, list[str]]:
    """Names of the pictures of each half, at most so many of a family, those of a family in a
    row.
    """
    names = list(pictures(folder))
    if is_listed(folder):  # photos, and one class to a folder: each is a family of its own
        left = tuned(names)
        of: dict[str, list[list[str]]] = {
            CHOOSING: [[name] for name in names if name in left],
            SCORING: [[name] for name in names if name not in left],
        }
    else:
        families = defaultdict[str, list[str]](list)
        for name in names:
            families[family(name)].append(name)
        of = {CHOOSING: [], SCORING: []}
        for key, members in families.items():
            few = sorted(members, key=number_of)[:PER_FAMILY]
            of[SCORING if number_of(key) % 2 else CHOOSING].append(few)
    return {
        half: [
            name
            for members in sorted(groups, key=lambda names: number_of(names[0]))
            for name in members
        ]
        for half, groups in of.items()
    }


def prepared(folder: Path, work: Path) -> dict[str, list[str]]:
    """The pictures of each half that are used, each once; they are below work/pictures."""
    files, used, seen = pictures(folder), dict[str, list[str]](), set[bytes]()
    for half, names in chosen(folder).items():
        used[half] = []
        for name in names:
            if len(used[half]) == PER_HALF:
                break
            data = flattened(files[name])
            if data is not None and data not in seen:
                seen.add(data)
                used[half].append(name)
                path = kept(work, folder.name, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return used


def kept(work: Path, dataset: str, name: str) -> Path:
    return work / "pictures" / dataset / name.replace("/", "+")


def measured(folder: Path, work: Path) -> Iterable[Measured]:
    """Both halves at both sizes, read again where they are there."""
    parts = [(half, size) for half in (CHOOSING, SCORING) for size in SIZES]
    paths = {
        part: work / f"{folder.name}-{part[0]}-{part[1].replace(' ', '')}.parquet" for part in parts
    }
    if not all(path.exists() for path in paths.values()):
        used = prepared(folder, work)
        for half, size in parts:
            pairs = run_of(folder, work, used[half], small=size != "full")
            pq.write_table(
                pairs.replace_schema_metadata({"n": str(len(used[half][::2]))}), paths[half, size]
            )
    for (half, size), path in paths.items():
        pairs = pq.read_table(path)
        yield Measured(
            folder.name, half, size, int(pairs.schema.metadata[b"n"]), is_listed(folder), pairs
        )


def run_of(folder: Path, work: Path, names: Sequence[str], *, small: bool) -> pa.Table:
    """The pairs that count, of one run under default settings."""
    edited = frozenset(names[::2])
    with tempfile.TemporaryDirectory() as temporary:
        jobs = [
            Job(kept(work, folder.name, name), name, small, name in edited, Path(temporary))
            for name in names
        ]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(make, jobs, chunksize=8))
        run = audited(Path(temporary), dataset={"path": temporary, "top_folders": "labels"})
    ids = run.manifest["id"].to_pylist()
    sources = np.array([Path(name).name.split(SEPARATOR)[0].replace("+", "/") for name in ids])
    whats = np.array([name.split("/")[0] for name in ids])
    first = representatives(run.hashes["pixel_digest"])
    table = counted(run, first, sources, whats)
    check(run, table, first, sources, whats)
    print(
        f"{folder.name}, {'32 px' if small else 'full size'}: {len(ids):,} pictures,"
        f" {len(run.candidates):,} candidates"
    )
    return table


def counted(run: dedup.Run, first: Any, sources: Any, whats: Any) -> pa.Table:
    """Of the candidates that some limits may accept those that `benchmarks.quality.scored`
    counts.
    """
    candidates = run.candidates.filter(
        pa.compute.greater_equal(run.candidates["similarity"], LOOK_FROM)
    )
    members = defaultdict[int, list[int]](list)
    for sample, of in enumerate(first.tolist()):
        members[of].append(sample)
    columns = ("a", "b", "similarity", "close_similarity", "unframed", "structure")
    rows = [
        (min(x, y), max(x, y), similarity, close, view, structure)
        for a, b, similarity, close, view, structure in zip(
            *(candidates[name].to_pylist() for name in columns), strict=True
        )
        for x in members[a]
        for y in members[b]
    ]
    rows += [
        (x, y, 1.0, None, 0, ALL_CELLS)
        for of in members.values()
        for k, x in enumerate(of)
        for y in of[k + 1 :]
    ]
    a, b = (np.array([row[side] for row in rows], np.int64) for side in (0, 1))
    copy, tile = np.char.isdigit(whats), np.char.startswith(whats, FIRST_TILE)
    same = sources[a] == sources[b]
    hit = same & (copy[a] != copy[b]) & ~tile[a] & ~tile[b]
    counts = np.where(same, hit, ~(copy[a] & copy[b]) & (first[a] != first[b]))
    edits = [
        int(whats[x] if copy[x] else whats[y]) if h else -1
        for x, y, h in zip(a, b, hit, strict=True)
    ]
    table = pa.table(
        {
            "pair": a * len(first) + b,
            "a": [judged_as(sources[x], whats[x]) for x in a],
            "b": [judged_as(sources[x], whats[x]) for x in b],
            "edit": pa.array(edits, pa.int8()),
            "similarity": pa.array([row[2] for row in rows], pa.float32()),
            "structure": pa.array([row[5] for row in rows], pa.float32()),
            "close": pa.array([row[3] for row in rows], pa.float32()),
            "unframed": pa.array([row[4] for row in rows], pa.uint8()),
        }
    )
    return table.filter(pa.array(counts)).sort_by("pair").combine_chunks()


def check(run: dedup.Run, table: pa.Table, first: Any, sources: Any, whats: Any) -> None:
    """The limits of this version, tried afterwards, accept what the run has accepted."""
    score = scored(
        *apart(*of_classes(run.pairs, first), first, sources), sources, whats, frozenset()
    )
    sweep = Sweep(table, np.zeros(len(table), bool))
    there = sweep.accepted(run.resolved)
    hits, wrong = (
        np.bincount(sweep.edit[there & (sweep.edit >= 0)], minlength=len(EDITS)),
        int(sum(there & sweep.wrong)),
    )
    if hits.tolist() != [score.hits[str(k)] for k in range(len(EDITS))] or wrong != score.wrong:
        message = f"{hits} and {wrong} instead of {score.hits} and {score.wrong}"
        raise AssertionError(message)


class Sweep:
    """The columns of a half as arrays, for many limits."""

    def __init__(self, table: pa.Table, open_or_same: Any) -> None:
        """`open_or_same`: for each row whether its two sources are no false hit."""
        pair = table["pair"].to_numpy()
        self.starts = (
            np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]])
            if len(pair)
            else np.zeros(0, np.int64)
        )
        self.edit = table["edit"].to_numpy()[self.starts]
        self.wrong = (self.edit < 0) & ~open_or_same[self.starts]
        columns = (
            table[name].to_numpy() for name in ("similarity", "structure", "close", "unframed")
        )
        self.evidence = Evidence(*columns)

    def at(self, limits: Limits) -> Any:
        """For each pair whether one of its views keeps plain limits."""
        return self._of_views(accepted(self.evidence, acceptance.Limits(1.0, *limits)))

    def accepted(self, resolved: Resolved) -> Any:
        """For each pair whether a run with these settings accepts one of its views."""
        return self._of_views(accepted(self.evidence, acceptance.Limits.of(resolved.settings())))

    def _of_views(self, keeps: Any) -> Any:
        return np.logical_or.reduceat(keeps, self.starts) if len(self.starts) else np.zeros(0, bool)


def counts_at(sweep: Sweep, limits: Limits) -> tuple[Any, int]:
    """Copies found by edit, and wrong pairs."""
    there = sweep.at(limits)
    hits = np.bincount(sweep.edit[there & (sweep.edit >= 0)], minlength=len(EDITS))
    return hits, int(np.sum(there & sweep.wrong))


def seen(work: Path, dataset: str, name: str) -> Image.Image:
    """A picture, or the tile of it that `benchmarks.quality.make` cuts."""
    photo, _, what = name.partition(SEPARATOR)
    with Image.open(kept(work, dataset, photo)) as opened:
        image = opened.convert("RGB")
    if not what:
        return image
    return tiles(image)[int(what.removeprefix(FIRST_TILE))]
