"""Whole runs, from a folder of pictures to what was found, beside our parent commit and peers.

    python -m benchmarks.end_to_end WORK [--data ../shared/data] [--before CHECKOUT]
        [--immaculate COMMAND] [--only NAME] [--runs 5]

Each run is a process of its own, with its caches of compiled kernels warm and dedup's own cache
off. Runs of all tools take turns, so that what else the machine does meets all of them. Wall
seconds depend on that; processor seconds, those of the process and all its children, hardly do. The
medians are printed, and beside them recall and precision over the pairs that the set was made
with: two copies of one photo are a pair, also where one of them is turned by 25 degrees.

CHECKOUT is a git worktree with an environment in `.venv`. Peers are left out where they cannot be
started.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image, ImageOps

N_PHOTOS = 900
N_SMALL = 60_000
TEN = 10
DEGREES = 25

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Job:
    """A set of pictures and how ours is asked to search it."""

    name: str
    folder: Path
    options: tuple[str, ...]
    copies: Callable[[Path], Pairs]  # of the folder
    write: Callable[[Path], None]  # makes the folder, if it is not there


@dataclass
class Measured:
    """What the runs of one tool took, and what the last of them found."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    found: Pairs = frozenset()


def copies_of(image: Image.Image) -> dict[str, Image.Image]:
    """A photo as it is, cropped by a twentieth on each side, flipped both ways, turned, square."""
    width, height = image.size
    side = min(width, height)
    box = (width // 20, height // 20, width - width // 20, height - height // 20)
    return {
        "original": image,
        "crop": image.crop(box),
        "mirror": ImageOps.mirror(image),
        "flip": ImageOps.flip(image),
        "turned": image.rotate(DEGREES, resample=Image.Resampling.BICUBIC, expand=True),
        "square": image.resize((side, side)),
    }


def write_photos(data: Path, folder: Path, n: int = N_PHOTOS) -> None:
    """So many photos of caltech101, from all classes, six files each."""
    files = sorted((data / "caltech101/images").rglob("*.jpg"))
    folder.mkdir(parents=True)
    for number, file in enumerate(files[:: len(files) // N_PHOTOS][:n]):
        with Image.open(file) as image:
            for name, copy in copies_of(image.convert("RGB")).items():
                copy.save(folder / f"{number:04d}_{name}.jpg", quality=90)


def write_small(data: Path, folder: Path) -> None:
    """The pictures of cifar10 of 32 pixels as PNG, and as many shifted copies as make 60,000."""
    images = [
        row["bytes"]
        for split in ("train", "test")
        for row in pq.read_table(data / f"cifar10/{split}.parquet")["image"].to_pylist()
    ]
    for number, content in enumerate(images):
        part = folder / f"{number % 100:02d}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{number:05d}_original.png").write_bytes(content)
        if number < N_SMALL - len(images):
            with Image.open(part / f"{number:05d}_original.png") as image:
                shifted = image.convert("RGB").crop((1, 1, 33, 33)).resize((32, 32))
                shifted.save(part / f"{number:05d}_shifted.png")


def pairs_of(groups: Iterable[Sequence[str]]) -> Pairs:
    """All pairs within groups of files, each by its folder and name."""
    named = (sorted("/".join(Path(file).parts[-2:]) for file in group) for group in groups)
    return frozenset(pair for group in named for pair in combinations(group, 2))


def made_pairs(folder: Path) -> Pairs:
    """Two files whose names begin with the same number are a pair."""
    groups: dict[str, list[str]] = {}
    for file in folder.rglob("*.*"):
        groups.setdefault(file.name.split("_")[0], []).append(str(file))
    return pairs_of(groups.values())


def ours(checkout: Path, job: Job, out: Path) -> Callable[[], list[str]]:
    """The command of one of our commits."""
    settings = [
        part for option in ("cache.folder=null", *job.options) for part in ("--set", option)
    ]
    command = [str(checkout / ".venv/bin/dedup"), "audit", str(job.folder), "-o", str(out)]
    return lambda: [*command, "--overwrite", "--quiet", *settings]


def found_by_ours(out: Path, folder: Path) -> Pairs:
    """Pairs of representatives, and those within classes of identical pictures."""
    table = pq.read_table(out / "pairs.parquet", columns=["id_a", "id_b"])
    ids = zip(table["id_a"].to_pylist(), table["id_b"].to_pylist(), strict=True)
    return pairs_of([(str(folder / a), str(folder / b)) for a, b in ids])


def found_by_immaculate(printed: str) -> Pairs:
    """Each group of near and of exact duplicates as all its pairs."""
    groups = json.loads(printed)
    return pairs_of([*groups["exact"], *groups["near"]])


def run(command: list[str]) -> tuple[float, float, str]:
    """Wall and processor seconds of a process and its children, and what it printed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # A finding is not a failure: exit codes 3 and 4 of ours, 11 of czkawka's.
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode in {1, 2}:
        message = f"{command[0]} ended with {done.returncode}: run it alone to see why."
        raise SystemExit(message)
    return wall, processor, done.stdout.decode()


def score(found: Pairs, copies: Pairs) -> str:
    """Recall and precision over the pairs that were made."""
    right = len(found & copies)
    precision = f"{right / len(found):.3f}" if found else "-"
    return f"{len(found):,} pairs, recall {right / len(copies):.3f}, precision {precision}"


def measure(job: Job, tools: dict[str, Path], work: Path, arguments: argparse.Namespace) -> None:
    """Runs of all tools in turns; a first one of each warms what is compiled and read."""
    if not job.folder.exists():
        job.write(job.folder)
    copies = job.copies(job.folder)
    results = {name: Measured() for name in tools}
    for turn in range(arguments.runs + 1):
        for name, place in tools.items():
            out = work / f"out-{name}"
            peer = name == "immaculate"
            command = [str(place), "--json", str(job.folder)] if peer else ours(place, job, out)()
            wall, processor, printed = run(command)
            result = results[name]
            result.found = found_by_immaculate(printed) if peer else found_by_ours(out, job.folder)
            if turn:
                result.wall.append(wall)
                result.processor.append(processor)
    for name, result in results.items():
        wall, processor = map(statistics.median, (result.wall, result.processor))
        seconds = f"wall {wall:7.2f} s  processor {processor:7.2f} s"
        print(f"{job.name:24} {name:12} {seconds}  {score(result.found, copies)}", flush=True)


def jobs(data: Path, work: Path) -> list[Job]:
    """What is measured."""
    photos, caltech101 = work / "photos", data / "caltech101/images"
    write, write_all = partial(write_photos, data), partial(write_small, data)
    known = partial(listed, data / "caltech101/pairs.csv")
    every, mirrored = "search.orientations=all", ("search.orientations=mirrored",)
    bare = (
        every,
        "hash.algorithms=[pdq]",
        "hash.bits=256",
        "search.max_distance=31",
        "verify.method=none",
        "output.report=false",
    )
    return [
        Job("photos", photos, (), made_pairs, write),
        Job("photos, all turns", photos, (every,), made_pairs, write),
        Job("photos, bare PDQ", photos, bare, made_pairs, write),
        Job("cifar10", work / "small", (), made_pairs, write_all),
        Job("caltech101, mirrored", caltech101, mirrored, known, Path.mkdir),
        Job("ten pictures", work / "ten", (), made_pairs, partial(write_ten, data)),
    ]


def write_ten(data: Path, folder: Path) -> None:
    """The copies of a photo, and some of the next one."""
    write_photos(data, folder, 2)
    for file in sorted(folder.iterdir())[TEN:]:
        file.unlink()


def listed(file: Path, _: Path) -> Pairs:
    """Pairs of a list that are copies, by the names that the others have, too."""
    with file.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] in {"mirror", "crop"}]
    return pairs_of([(row["a"], row["b"]) for row in rows])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("work", type=Path, help="a folder for the pictures and what runs write")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--before", type=Path, help="a worktree of the parent commit")
    parser.add_argument("--immaculate", type=Path, help="its command")
    parser.add_argument("--only", help="jobs whose names contain this")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"--data: {arguments.data} is not a folder. Name the folder with caltech101.")
    here = Path(__file__).resolve().parents[1]
    named = {"now": here, "before": arguments.before, "immaculate": arguments.immaculate}
    tools = {name: place for name, place in named.items() if place is not None}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for job in jobs(arguments.data, arguments.work):
        if arguments.only is None or arguments.only in job.name:
            measure(job, tools, arguments.work, arguments)


if __name__ == "__main__":
    main()
