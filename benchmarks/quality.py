"""How many of the known duplicates a run finds, and how many others.

    python -m benchmarks.quality [FOLDER] [--part pairs|copies|small|negatives] [--sheet PNG]

FOLDER holds `images/` and, where known, `pairs.csv` (kind, a, b: paths below images/). Found means:
in `pairs` of a run under default settings. Settings were tuned on 500 photos (`tuned`), which are
not edited here. What was judged by eye is in `verdicts.csv` beside this file; `--sheet` draws the
pairs that nobody has judged yet.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imagehash
import numpy as np
from PIL import Image

import dedup
from benchmarks.edits import EASY, EDITS, encoded, number_of
from benchmarks.negatives import KINDS, drawn
from benchmarks.peer_hashes import IMAGEDEDUP
from dedup.graph import representatives
from dedup.search import join

VERDICTS: Final = Path(__file__).with_name("verdicts.csv")
TILE: Final = 96  # pixels
MAX_TILES: Final = 4  # of a photo
N_TUNED: Final = 500
SEPARATOR: Final = "@"  # between the name of a photo and what was done with it
ORIGINAL, FIRST_TILE = "original", "tile"

Pair = frozenset[str]


@dataclass(frozen=True, slots=True)
class Job:
    """One photo: what is made of it."""

    path: Path
    name: str
    small: bool  # 32 px
    edited: bool
    out: Path


def tuned(names: Sequence[str]) -> frozenset[str]:
    """The photos that settings were tuned on."""
    even = sorted((name for name in names if number_of(name) % 2 == 0), key=number_of)
    return frozenset(even[:N_TUNED])


def photos(folder: Path) -> list[tuple[Path, str]]:
    found = sorted(
        path
        for path in (folder / "images").rglob("*")
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    return [(path, path.relative_to(folder / "images").as_posix()) for path in found]


def tiles(image: Image.Image) -> list[Image.Image]:
    """Up to four squares of a picture, from its upper left corner on."""
    boxes = [
        (x, y)
        for y in range(0, image.height - TILE + 1, TILE)
        for x in range(0, image.width - TILE + 1, TILE)
    ]
    return [image.crop((x, y, x + TILE, y + TILE)) for x, y in boxes[:MAX_TILES]]


def make(job: Job) -> None:
    """The original, up to four tiles of it, and its edited copies; at 32 px each is made first and
    then shrunk.
    """
    with Image.open(job.path) as opened:
        image = opened.convert("RGB")
    made = {ORIGINAL: encoded(image)} if job.small else {ORIGINAL: job.path.read_bytes()}
    made |= {f"{FIRST_TILE}{k}": encoded(tile) for k, tile in enumerate(tiles(image))}
    if job.edited:
        made |= {str(k): edit(image, number_of(job.name)) for k, edit in enumerate(EDITS.values())}
    for what, data in made.items():
        path = job.out / what / f"{job.name.replace('/', '+')}{SEPARATOR}{what}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if job.small:
            path = path.with_name(path.name + ".png")
            path.write_bytes(data)
            with Image.open(path) as opened:
                opened.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS).save(path)
        else:
            path.with_name(
                path.name + (".png" if data.startswith(b"\x89PNG") else ".jpg")
            ).write_bytes(data)


def audited(folder: Path, **sections: Any) -> dedup.Run:
    config = {
        "dataset": {"path": str(folder)},
        "output": {"splits": "none"},
        "cache": {"folder": None},
    }
    return dedup.run(config | sections)


def listed(folder: Path) -> dict[Pair, str]:
    path = folder / "pairs.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {frozenset((row["a"], row["b"])): row["kind"] for row in csv.DictReader(file)}


def verdicts() -> dict[Pair, str]:
    with VERDICTS.open(encoding="utf-8", newline="") as file:
        return {frozenset((row["a"], row["b"])): row["verdict"] for row in csv.DictReader(file)}


def known_pairs(folder: Path, sheet: Path | None) -> None:
    """Recall by kind of the listed pairs, and what was found beside them."""
    of, judged = listed(folder), verdicts()
    for orientations in ("upright", "mirrored"):
        run = audited(folder / "images", search={"orientations": orientations})
        found = [frozenset((row["id_a"], row["id_b"])) for row in run.pairs.to_pylist()]
        got = Counter(of.get(pair, "unlisted") for pair in found)
        print(
            f"\n{orientations}, within {run.resolved.search.max_distance}:"
            f" {run.info['verification']}"
        )
        print(run.info["second_look"])
        for kind, total in Counter(of.values()).items():
            print(f"{kind:16} {got[kind]:4} of {total}")
        unlisted = [pair for pair in found if pair not in of]
        print(
            f"unlisted         {len(unlisted):4}:"
            f" {dict(Counter(judged.get(pair, 'not judged') for pair in unlisted))}"
        )
        if sheet is not None:
            new = [sorted(pair) for pair in unlisted if pair not in judged]
            draw(folder / "images", new, sheet.with_stem(f"{sheet.stem}-{orientations}"))


def draw(images: Path, pairs: Sequence[Sequence[str]], path: Path) -> None:
    """A contact sheet, four pairs to a row; the names are printed."""
    side = 190
    sheet = Image.new("RGB", (8 * side + 3 * 10, max(-(-len(pairs) // 4), 1) * (side + 4)), "white")
    for k, (a, b) in enumerate(pairs):
        for which, name in enumerate((a, b)):
            with Image.open(images / name) as opened:
                picture = opened.convert("RGB").resize((side, side))
            sheet.paste(picture, ((k % 4) * (2 * side + 10) + which * side, (k // 4) * (side + 4)))
        print(f"{k // 4}.{k % 4} {a},{b}")
    sheet.save(path)


def edited_copies(
    folder: Path, n_copies: int, interpreter: Path, sheet: Path | None, *, small: bool
) -> None:
    """Recall by edit and precision of all, beside thresholds of other tools' hashes on the same
    pictures.
    """
    every = photos(folder)
    left = tuned([name for _, name in every])
    edited = {
        name for _, name in sorted(every, key=lambda photo: number_of(photo[1])) if name not in left
    }
    edited = set(sorted(edited, key=number_of)[-n_copies:])
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        with ProcessPoolExecutor(2) as pool:
            list(
                pool.map(
                    make,
                    [Job(path, name, small, name in edited, out) for path, name in every],
                    chunksize=16,
                )
            )
        run = audited(out, dataset={"path": temporary, "top_folders": "labels"})
        ids = run.manifest["id"].to_pylist()
        sources = np.array([Path(name).name.split(SEPARATOR)[0].replace("+", "/") for name in ids])
        whats = np.array([name.split("/")[0] for name in ids])
        first = representatives(run.hashes["pixel_digest"])
        ours = scored(
            *apart(*of_classes(run.pairs, first), first, sources), sources, whats, known(folder)
        )
        unjudged = scored(
            *apart(*of_classes(run.pairs, first), first, sources),
            sources,
            whats,
            of_photos(known(folder)),
        )
        print(
            f"\n{'32 px' if small else 'full size'}: {len(ids):,} pictures, {len(edited):,} photos"
            " edited"
        )
        print(
            f"within {run.resolved.search.max_distance}: {run.info['verification']},"
            f" {run.info['second_look']}"
        )
        codes = {
            f"ImageHash {name}": imagehash_codes(out, ids, name) for name in ("dhash", "phash")
        }
        if interpreter.exists():
            of_peer = {"dhash": "DHash", "phash": "PHash"}
            codes |= {
                f"imagededup {k}": imagededup_codes(out, ids, v, interpreter)
                for k, v in of_peer.items()
            }
        else:
            print(f"imagededup is missing: {interpreter} does not exist; make bench-peers")
        peers = {
            name: peer(of, first, sources, whats, known(folder), ours) for name, of in codes.items()
        }
        if sheet is not None:
            couples = {
                frozenset((judged_as(sources[x], whats[x]), judged_as(sources[y], whats[y]))): (
                    x,
                    y,
                )
                for x, y in ours.away
            }
            draw(out, [(ids[x], ids[y]) for x, y in couples.values()], sheet)
    print(f"{'edit':30}{'dedup':>8}" + "".join(f"{name:>18}" for name in peers))
    for k, edit in enumerate(EDITS):
        print(
            f"{edit:30}{100 * ours.hits[str(k)] / len(edited):8.1f}"
            + "".join(f"{100 * of.hits[str(k)] / len(edited):18.1f}" for of in peers.values())
        )
        if edit == list(EASY)[-1]:
            print()
    print(
        f"{'precision':30}{100 * ours.precision:8.2f}"
        + "".join(f"{100 * p.precision:18.2f}" for p in peers.values())
    )
    print(
        f"{'with copies against copies':30}{100 * ours.of_all:8.2f}"
        + "".join(f"{100 * p.of_all:18.2f}" for p in peers.values())
    )
    print(f"{'precision, no tile judged':30}{100 * unjudged.precision:8.2f}")
    print(
        f"{'pairs of different photos':30}{ours.wrong:8,}"
        + "".join(f"{p.wrong:18,}" for p in peers.values())
    )
    print(
        f"{'from so many two photos':30}{ours.n_photos:8,}"
        + "".join(f"{of.n_photos:18,}" for of in peers.values())
    )
    print(
        f"{'with a tile':30}{ours.with_tiles:8,}"
        + "".join(f"{of.with_tiles:18,}" for of in peers.values())
    )
    print(f"{'threshold, bits':30}{'':8}" + "".join(f"{of.bits:18}" for of in peers.values()))


@dataclass(frozen=True, slots=True)
class Score:
    """What pairs of copies with originals, and of originals and tiles, came to."""

    hits: Counter[str]  # by edit: copies found with their original
    wrong: int  # pairs of different photos
    n_photos: int = 0  # how many two photos these come from
    with_tiles: int = 0
    bits: int = -1  # the threshold
    away: tuple[tuple[int, int], ...] = ()  # the wrong ones, as samples
    of_all: float = 1.0  # precision of all pairs, those of copies with copies too

    @property
    def precision(self) -> float:
        """Of the pairs, those of one photo."""
        right = sum(self.hits.values())
        return right / max(right + self.wrong, 1)


def known(folder: Path) -> frozenset[Pair]:
    """Pairs of photos that are no false hits: all that are listed, and what was judged the same by
    eye or left open.
    """
    return frozenset(listed(folder)) | {
        pair for pair, verdict in verdicts().items() if verdict != "different"
    }


def of_photos(pairs: frozenset[Pair]) -> frozenset[Pair]:
    """Those of whole photos, not of tiles."""
    return frozenset(pair for pair in pairs if not any(SEPARATOR in name for name in pair))


def of_classes(pairs: Any, first: Any) -> tuple[Any, Any]:
    """All pairs that `pairs` stands for: identical pictures are paired with the first of them
    only.
    """
    members = defaultdict[int, list[int]](list)
    for sample, of in enumerate(first.tolist()):
        members[of].append(sample)
    found = {(a, b) for of in members.values() for k, a in enumerate(of) for b in of[k + 1 :]}
    for one, two in zip(
        first[pairs["a"].to_numpy()].tolist(), first[pairs["b"].to_numpy()].tolist(), strict=True
    ):
        if one != two:
            found |= {(min(a, b), max(a, b)) for a in members[one] for b in members[two]}
    both = np.array(sorted(found), np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def apart(a: Any, b: Any, first: Any, sources: Any) -> tuple[Any, Any]:
    """Without pairs of two photos that are pixel by pixel the same, such as blank tiles: these are
    no errors.
    """
    counted = (sources[a] == sources[b]) | (first[a] != first[b])
    return a[counted], b[counted]


def scored(
    a: Any, b: Any, sources: Any, whats: Any, right: frozenset[Pair], bits: int = -1
) -> Score:
    """Pairs of two copies, and of tiles of one photo, do not count."""
    copy = np.char.isdigit(whats)
    tile = np.char.startswith(whats, FIRST_TILE)
    same = sources[a] == sources[b]
    n_right = int(np.sum(same & ~tile[a] & ~tile[b]))
    n_wrong = sum(
        not are_one(x, y, sources, whats, right) for x, y in zip(a[~same], b[~same], strict=True)
    )
    counted = ~(copy[a] & copy[b])
    a, b, same = a[counted], b[counted], same[counted]
    of_original = same & ((whats[a] == ORIGINAL) | (whats[b] == ORIGINAL)) & (copy[a] | copy[b])
    hits = Counter(
        str(whats[x] if copy[x] else whats[y])
        for x, y in zip(a[of_original], b[of_original], strict=True)
    )
    away = [
        (x, y)
        for x, y in zip(a[~same], b[~same], strict=True)
        if not are_one(x, y, sources, whats, right)
    ]
    tiles = sum(bool(tile[x] or tile[y]) for x, y in away)
    photos = Counter(frozenset((str(sources[x]), str(sources[y]))) for x, y in away)
    precision = n_right / max(n_right + n_wrong, 1)
    return Score(hits, len(away), len(photos), tiles, bits, tuple(away), precision)


def are_one(x: int, y: int, sources: Any, whats: Any, right: frozenset[Pair]) -> bool:
    """Whether a pair of two photos, or of tiles of them, is known to be the same picture, or was
    left open.
    """
    of_tiles = frozenset((judged_as(sources[x], whats[x]), judged_as(sources[y], whats[y])))
    return frozenset((sources[x], sources[y])) in right or of_tiles in right


def judged_as(source: str, what: str) -> str:
    """The name in verdicts.csv: of a photo, which stands for its copies, or of a tile."""
    return f"{source}{SEPARATOR}{what}" if what.startswith(FIRST_TILE) else str(source)


def imagehash_codes(folder: Path, ids: Sequence[str], name: str) -> Any:
    function = getattr(imagehash, name)
    return np.array(
        [
            np.packbits(function(Image.open(folder / sample)).hash).view(np.uint64)[0]
            for sample in ids
        ]
    )


def imagededup_codes(folder: Path, ids: Sequence[str], name: str, interpreter: Path) -> Any:
    """By imagededup in its own environment."""
    script = (
        IMAGEDEDUP
        + "print(json.dumps(METHODS[sys.argv[2]](verbose=False).encode_images(sys.argv[1], True)))"
    )
    run = subprocess.run(
        [interpreter, "-c", script, folder, name],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    found = json.loads(run.stdout.splitlines()[-1])
    return np.array([int(found[sample], 16) for sample in ids], np.uint64)


def peer(
    codes: Any, first: Any, sources: Any, whats: Any, right: frozenset[Pair], ours: Score
) -> Score:
    """A code at the largest threshold at which it is as precise as we are, or as 99.5 %, else at 0
    bits.
    """
    best = Score(Counter(), 0)
    for bits in range(17):
        found_pairs = join(codes[:, None], max_distance=bits)
        found = scored(
            *apart(found_pairs.a, found_pairs.b, first, sources), sources, whats, right, bits
        )
        if bits and found.precision < min(ours.precision, 0.995):
            break
        best = found
    return best


def hard_negatives(each: int) -> None:
    """Pairs among pictures of which no two are the same."""
    with tempfile.TemporaryDirectory() as temporary:
        for kind, number, image in drawn(each):
            path = Path(temporary, kind.replace(" ", "-"), f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        run = audited(Path(temporary), dataset={"path": temporary, "top_folders": "labels"})
    wrong = Counter(row["label_a"] for row in run.pairs.to_pylist())
    names = run.manifest["label"].to_pylist()
    tried = Counter(names[a] for a in run.candidates["a"].to_pylist())
    for kind in KINDS:
        label = kind.replace(" ", "-")
        print(f"{kind:16} {each} pictures, {tried[label]} candidates, {wrong[label]} false pairs")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/caltech101"))
    parser.add_argument("--copies", type=int, default=1500, help="photos that are edited")
    parser.add_argument(
        "--part", choices=("all", "pairs", "copies", "small", "negatives"), default="all"
    )
    parser.add_argument(
        "--peers", type=Path, default=Path(".venv-peers/bin/python"), help="from make bench-peers"
    )
    parser.add_argument(
        "--sheet", type=Path, help="a PNG for the pairs that are neither listed nor judged"
    )
    options = parser.parse_args()
    if options.part in {"all", "negatives"}:
        hard_negatives(60)
    if not (options.folder / "images").is_dir():
        print(f"{options.folder} has no folder images/: only the hard negatives were measured.")
        return
    if options.part in {"all", "pairs"}:
        known_pairs(options.folder, options.sheet)
    for part, small in (("copies", False), ("small", True)):
        if options.part in {"all", part}:
            edited_copies(options.folder, options.copies, options.peers, options.sheet, small=small)


if __name__ == "__main__":
    main()
