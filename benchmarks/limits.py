"""Which limits `verify` has from several datasets: chosen on one half of each, scored on the other.

    python -m benchmarks.limits FOLDER... [--work FOLDER] [--sheet PNG]

Each FOLDER is one dataset: any pictures, or `images/` with the `pairs.csv` of `benchmarks.quality`. Of each half up to
240 pictures are taken, laid on white and shrunk to 400 px, every other one of them edited, in full size and at 32 px.
One run each keeps what verification said about every candidate (below --work; a half that was measured is read again),
so that limits are tried without another run. Two rules are printed, both on the choosing halves:

    1. Written down before anything was measured: of the limits whose precision, the mean over the datasets, is 99.5 %
       at each size, those with the highest recall, the mean over datasets, sizes and both groups of edits.
    2. Made when the first had led to limits that lose a third of the hard edits of small photos: of the limits that
       keep, edit by edit, the recall promised for photos (`PROMISED`), the most precise over all datasets. The limits
       in force stay as long as none is better by more than 0.1 point.

Two sources that nobody judged by eye (`limits.csv` beside this file, `verdicts.csv` for caltech101) are different ones;
what was left open as `unsure` does not count, nor do two of one family: frames of an animation, steps of a lesson, a
drawing in two colours. `--sheet` draws those that nobody has judged yet.
"""

import argparse
import csv
import itertools
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
from PIL import Image, ImageDraw

import dedup
from benchmarks.edits import EASY, EDITS, encoded, number_of
from benchmarks.quality import (
    FIRST_TILE,
    MAX_TILES,
    SEPARATOR,
    TILE,
    Job,
    Pair,
    apart,
    audited,
    judged_as,
    listed,
    make,
    of_classes,
    scored,
    tuned,
)
from benchmarks.quality import verdicts as of_photos_listed
from dedup.acceptance import accepted
from dedup.config.resolved import AUTO_MIN_CLOSE_SIMILARITY, AUTO_MIN_SIMILARITY, AUTO_MIN_THUMBNAIL_SIMILARITY
from dedup.graph import representatives
from dedup.second_look import LOOK_FROM

VERDICTS: Final = Path(__file__).with_name("limits.csv")
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MIN_SIDE, MAX_SIDE = 48, 400  # pixels
PER_FAMILY, PER_HALF = 4, 240  # pictures
CHOOSING, SCORING = "choosing", "scoring"
SIZES: Final = ("full", "32 px")
MIN_PRECISION: Final = 0.995
PROMISED: Final = {"full": (0.99, 0.95), "32 px": (0.95, 0.85)}  # recall of each of the first edits, of the others
PER_SHEET: Final = 72  # couples

Limits = tuple[float, float, float]
NOW: Final = (AUTO_MIN_SIMILARITY, AUTO_MIN_CLOSE_SIMILARITY, AUTO_MIN_THUMBNAIL_SIMILARITY)
GRID: Final = tuple(
    (round(both / 100, 2), round(close / 100, 2), round(alone / 100, 2))
    for both, close, alone in itertools.product(range(80, 96), range(84, 97), range(88, 99))
    if both <= alone
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One half of a dataset at one size: the pairs of its run that count, and what verification said of them.

    A pair of a copy with its original has the place of its edit in `edit`, one of two sources -1. `a` and `b` are names
    as in `limits.csv`, of photos or of tiles.
    """

    dataset: str
    half: str
    size: str
    n_edited: int
    has_list: bool  # of known pairs: names say nothing there
    pairs: pa.Table  # pair, a, b, edit, similarity, close, unframed: a row for each view of a pair


@dataclass(frozen=True, slots=True)
class Found:
    """What a half shows at some limits."""

    easy: float  # mean recall of the first edits
    hard: float
    precision: float


def pictures(folder: Path) -> dict[str, Path]:
    """The files that may be used, by name below the folder."""
    below = folder / "images" if (folder / "pairs.csv").exists() else folder
    files = sorted(path for path in below.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    names = {path.relative_to(below).as_posix(): path for path in files}
    return {name: path for name, path in names.items() if not {SEPARATOR, "+"} & set(name)}  # `make` sets these


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
    """Frames of an animation, and pictures that are numbered, are in one half: the name without its digits."""
    return re.sub(r"\d", "", name)


def chosen(folder: Path) -> dict[str, list[str]]:
    """Names of the pictures of each half, at most so many of a family, those of a family in a row."""
    names = list(pictures(folder))
    if (folder / "pairs.csv").exists():  # photos, and one class to a folder: each is a family of its own
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
        half: [name for members in sorted(groups, key=lambda names: number_of(names[0])) for name in members]
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
    paths = {part: work / f"{folder.name}-{part[0]}-{part[1].replace(' ', '')}.parquet" for part in parts}
    if not all(path.exists() for path in paths.values()):
        used = prepared(folder, work)
        for half, size in parts:
            pairs = run_of(folder, work, used[half], small=size != "full")
            pq.write_table(pairs.replace_schema_metadata({"n": str(len(used[half][::2]))}), paths[half, size])
    for (half, size), path in paths.items():
        pairs = pq.read_table(path)
        has_list = (folder / "pairs.csv").exists()
        yield Measured(folder.name, half, size, int(pairs.schema.metadata[b"n"]), has_list, pairs)


def run_of(folder: Path, work: Path, names: Sequence[str], *, small: bool) -> pa.Table:
    """The pairs that count, of one run under default settings."""
    edited = frozenset(names[::2])
    with tempfile.TemporaryDirectory() as temporary:
        jobs = [Job(kept(work, folder.name, name), name, small, name in edited, Path(temporary)) for name in names]
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(make, jobs, chunksize=8))
        run = audited(Path(temporary), dataset={"path": temporary, "top_folders": "labels"})
    ids = run.manifest["id"].to_pylist()
    sources = np.array([Path(name).name.split(SEPARATOR)[0].replace("+", "/") for name in ids])
    whats = np.array([name.split("/")[0] for name in ids])
    first = representatives(run.hashes["pixel_digest"])
    table = counted(run, first, sources, whats)
    check(run, table, first, sources, whats, len(edited))
    print(
        f"{folder.name}, {'32 px' if small else 'full size'}: {len(ids):,} pictures, {len(run.candidates):,} candidates"
    )
    return table


def counted(run: dedup.Run, first: Any, sources: Any, whats: Any) -> pa.Table:
    """Of the candidates that some limits may accept those that `benchmarks.quality.scored` counts."""
    candidates = run.candidates.filter(pa.compute.greater_equal(run.candidates["similarity"], LOOK_FROM))
    members = defaultdict[int, list[int]](list)
    for sample, of in enumerate(first.tolist()):
        members[of].append(sample)
    columns = ("a", "b", "similarity", "close_similarity", "unframed")
    rows = [
        (min(x, y), max(x, y), similarity, close, view)
        for a, b, similarity, close, view in zip(*(candidates[name].to_pylist() for name in columns), strict=True)
        for x in members[a]
        for y in members[b]
    ]
    rows += [(x, y, 1.0, None, 0) for of in members.values() for k, x in enumerate(of) for y in of[k + 1 :]]
    a, b = (np.array([row[side] for row in rows], np.int64) for side in (0, 1))
    copy, tile = np.char.isdigit(whats), np.char.startswith(whats, FIRST_TILE)
    same = sources[a] == sources[b]
    hit = same & (copy[a] != copy[b]) & ~tile[a] & ~tile[b]
    counts = np.where(same, hit, ~(copy[a] & copy[b]) & (first[a] != first[b]))
    edits = [int(whats[x] if copy[x] else whats[y]) if h else -1 for x, y, h in zip(a, b, hit, strict=True)]
    table = pa.table(
        {
            "pair": a * len(first) + b,
            "a": [judged_as(sources[x], whats[x]) for x in a],
            "b": [judged_as(sources[x], whats[x]) for x in b],
            "edit": pa.array(edits, pa.int8()),
            "similarity": pa.array([row[2] for row in rows], pa.float32()),
            "close": pa.array([row[3] for row in rows], pa.float32()),
            "unframed": pa.array([row[4] for row in rows], pa.uint8()),
        }
    )
    return table.filter(pa.array(counts)).sort_by("pair").combine_chunks()


def check(run: dedup.Run, table: pa.Table, first: Any, sources: Any, whats: Any, n_edited: int) -> None:
    """The limits of this version, tried afterwards, accept what the run has accepted."""
    score = scored(*apart(*of_classes(run.pairs, first), first, sources), sources, whats, frozenset())
    hits, wrong = counts_at(Sweep(table, np.zeros(len(table), bool)), NOW)
    if hits.tolist() != [score.hits[str(k)] for k in range(len(EDITS))] or wrong != score.wrong:
        message = f"{hits} and {wrong} instead of {score.hits} and {score.wrong} of {n_edited}"
        raise AssertionError(message)


class Sweep:
    """The columns of a half as arrays, for many limits."""

    def __init__(self, table: pa.Table, open_or_same: Any) -> None:
        """`open_or_same`: for each row whether its two sources are no false hit."""
        pair = table["pair"].to_numpy()
        self.starts = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]]) if len(pair) else np.zeros(0, np.int64)
        self.edit = table["edit"].to_numpy()[self.starts]
        self.wrong = (self.edit < 0) & ~open_or_same[self.starts]
        self.similarity, self.views = table["similarity"].to_numpy(), table["unframed"].to_numpy()
        self.close = table["close"].to_numpy()

    def at(self, limits: Limits) -> Any:
        """For each pair whether one of its views is accepted."""
        if not len(self.starts):
            return np.zeros(0, bool)
        return np.logical_or.reduceat(accepted(self.similarity, self.close, self.views, *limits), self.starts)


def counts_at(sweep: Sweep, limits: Limits) -> tuple[Any, int]:
    """Copies found by edit, and wrong pairs."""
    there = sweep.at(limits)
    hits = np.bincount(sweep.edit[there & (sweep.edit >= 0)], minlength=len(EDITS))
    return hits, int(np.sum(there & sweep.wrong))


def found(part: Measured, sweep: Sweep, limits: Limits) -> Found:
    hits, wrong = counts_at(sweep, limits)
    recall = hits / max(part.n_edited, 1)
    precision = hits.sum() / max(hits.sum() + wrong, 1)
    return Found(float(recall[: len(EASY)].mean()), float(recall[len(EASY) :].mean()), float(precision))


def verdicts() -> dict[tuple[str, Pair], str]:
    with VERDICTS.open(encoding="utf-8", newline="") as file:
        return {(row["dataset"], frozenset((row["a"], row["b"]))): row["verdict"] for row in csv.DictReader(file)}


def no_false_hits(part: Measured, right: frozenset[Pair]) -> Any:
    """For each row whether its photos, or its tiles, are known to be the same, were left open or are of one family."""
    couples = [(a, b) for a, b in zip(part.pairs["a"].to_pylist(), part.pairs["b"].to_pylist(), strict=True)]
    sources = [tuple(name.split(SEPARATOR)[0] for name in couple) for couple in couples]
    known = [{frozenset(one), frozenset(of)} & right for one, of in zip(couples, sources, strict=True)]
    related = [not part.has_list and family(a) == family(b) for a, b in sources]
    return np.array([bool(one) or two for one, two in zip(known, related, strict=True)], bool)


def means(shown: Iterable[tuple[Measured, Found]]) -> tuple[float, dict[str, float]]:
    """Recall over sizes, datasets and groups, and precision by size over datasets."""
    every = list(shown)
    recall = float(np.mean([(one.easy + one.hard) / 2 for _, one in every]))
    return recall, {size: float(np.mean([one.precision for part, one in every if part.size == size])) for size in SIZES}


def keeps_promise(part: Measured, sweep: Sweep, limits: Limits) -> bool:
    """Whether each edit of these photos is found as often as was promised."""
    easy, hard = PROMISED[part.size]
    recall = counts_at(sweep, limits)[0] / max(part.n_edited, 1)
    return bool((recall[: len(EASY)] >= easy).all() and (recall[len(EASY) :] >= hard).all())


def show_choices(choosing: Sequence[tuple[Measured, Sweep]], scoring: Sequence[tuple[Measured, Sweep]]) -> None:
    """What each rule comes to, and how far the limits in force are from it."""
    tried = {limits: means((part, found(part, sweep, limits)) for part, sweep in choosing) for limits in GRID}

    def line(limits: Limits) -> str:
        halves = [tried[limits], means((part, found(part, sweep, limits)) for part, sweep in scoring)]
        return f"{limits}  " + "   ".join(
            f"recall {100 * recall:.2f} precision {100 * precision['full']:.2f} / {100 * precision['32 px']:.2f}"
            for recall, precision in halves
        )

    print("\nhighest recall at a mean precision, choosing and scoring halves (full size / 32 px)")
    for wanted in (0.975, 0.98, 0.985, 0.99, MIN_PRECISION):
        precise = [limits for limits, (_, precision) in tried.items() if min(precision.values()) >= wanted]
        if precise:
            print(f"{100 * wanted:.1f} %  {line(max(precise, key=lambda limits: tried[limits][0]))}")
    photos = [(part, sweep) for part, sweep in choosing if part.has_list]
    kept = [limits for limits in GRID if all(keeps_promise(part, sweep, limits) for part, sweep in photos)]
    kept.sort(key=lambda limits: -float(np.mean(list(tried[limits][1].values()))))
    print(f"\n{len(kept)} of {len(GRID)} keep what was promised for photos; the most precise, and those in force")
    for limits in dict.fromkeys([*kept[:5], *(limits for limits in kept if limits == NOW)]):
        print(line(limits))


def show(title: str, sweeps: Sequence[tuple[Measured, Sweep]], limits: Limits) -> None:
    print(f"\n{title}, at {limits}: recall of the first edits / of the others, precision, wrong pairs")
    for part, sweep in sweeps:
        one, (_, wrong) = found(part, sweep, limits), counts_at(sweep, limits)
        print(
            f"{part.dataset:24}{part.size:6}{part.n_edited:5}"
            f"{100 * one.easy:8.1f}{100 * one.hard:8.1f}{100 * one.precision:8.2f}{wrong:6}"
        )
    recall, precision = means((part, found(part, sweep, limits)) for part, sweep in sweeps)
    print(f"{'mean':35}{100 * recall:16.2f}  " + ", ".join(f"{k} {100 * v:.2f}" for k, v in precision.items()))


def draw(couples: Sequence[tuple[str, str, str, int]], work: Path, path: Path) -> None:
    """Contact sheets of couples, four to a row, largest number of pairs first."""
    side = 200
    for k in range(0, len(couples), PER_SHEET):
        few = couples[k : k + PER_SHEET]
        sheet = Image.new("RGB", (4 * (2 * side + 14), -(-len(few) // 4) * (side + 18)), "white")
        for j, (dataset, a, b, n) in enumerate(few):
            x, y = j % 4 * (2 * side + 14), j // 4 * (side + 18)
            for which, name in enumerate((a, b)):
                sheet.paste(seen(work, dataset, name).resize((side, side)), (x + which * side, y + 16))
            ImageDraw.Draw(sheet).text((x, y + 2), f"{k + j} {dataset} ({n})", fill="black")
            print(f"{k + j} {n} {dataset},{a},{b}")
        sheet.save(path.with_stem(f"{path.stem}-{k // PER_SHEET}"))


def seen(work: Path, dataset: str, name: str) -> Image.Image:
    """A picture, or the tile of it that `benchmarks.quality.make` cuts."""
    photo, _, what = name.partition(SEPARATOR)
    with Image.open(kept(work, dataset, photo)) as opened:
        image = opened.convert("RGB")
    if not what:
        return image
    boxes = [(x, y) for y in range(0, image.height - TILE + 1, TILE) for x in range(0, image.width - TILE + 1, TILE)]
    x, y = boxes[:MAX_TILES][int(what.removeprefix(FIRST_TILE))]
    return image.crop((x, y, x + TILE, y + TILE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "dedup-limits"))
    parser.add_argument("--sheet", type=Path, help="PNGs of the sources of pairs that nobody has judged")
    parser.add_argument("--at", type=float, nargs=3, default=NOW, help="the limits whose unjudged pairs are drawn")
    parser.add_argument("--half", choices=(CHOOSING, SCORING), help="draw those of one half only")
    options = parser.parse_args()
    by_eye = verdicts()
    sweeps, unjudged = [], defaultdict[tuple[str, str, str], int](int)
    for folder in options.folders:
        judged = {pair: verdict for (dataset, pair), verdict in by_eye.items() if dataset == folder.name}
        if (folder / "pairs.csv").exists():
            judged |= of_photos_listed() | dict.fromkeys(listed(folder), "same")
        right = frozenset(pair for pair, verdict in judged.items() if verdict != "different")
        for part in measured(folder, options.work):
            sweep = Sweep(part.pairs, no_false_hits(part, right))
            sweeps.append((part, sweep))
            if options.half in {None, part.half}:
                for row in part.pairs.take(sweep.starts[sweep.at(tuple(options.at)) & sweep.wrong]).to_pylist():
                    a, b = sorted((row["a"], row["b"]))
                    photos = frozenset(name.split(SEPARATOR)[0] for name in (a, b))
                    if not {frozenset((a, b)), photos} & judged.keys():
                        unjudged[folder.name, a, b] += 1
    choosing = [(part, sweep) for part, sweep in sweeps if part.half == CHOOSING]
    scoring = [(part, sweep) for part, sweep in sweeps if part.half == SCORING]
    show_choices(choosing, scoring)
    show(CHOOSING, choosing, NOW)
    show(SCORING, scoring, NOW)
    print(f"\n{sum(unjudged.values())} pairs of {len(unjudged)} couples that nobody judged")
    if options.sheet is not None:
        couples = sorted(((*key, n) for key, n in unjudged.items()), key=lambda row: (row[0], -row[3], row[1]))
        draw(couples, options.work, options.sheet)


if __name__ == "__main__":
    main()
