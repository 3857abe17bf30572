"""Masses of pictures that look alike: whether a run ends, what it costs, and what it finds.

    python -m benchmarks.crowds WORK [--clipart DIR] [--diagrams DIR] [--part NAME]…

Parts: `frames` (k = 500 … 8,000), `static`, `recompressed`, `flat`, `clipart`, `diagrams`, `full`
(against all pairs), `interrupt`. Seconds of the clock and of the processors are both printed, as
the machine may be busy.

WORK is a folder for the datasets and the runs; a dataset that was made before is used again.
`--clipart` and `--diagrams` are unpacked packages of Debian 12 (`dpkg-deb -x`): `openclipart-png`
and `opencv-doc`.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.edits import EASY, number_of
from dedup import pipeline
from dedup.config import build
from dedup.runs.result import Run
from dedup.runs.stored import load
from dedup.stages import crowds as crowding

HELD_OUT_EVERY: Final = 10  # one picture in ten is in the test split
NOISE_LEVELS: Final = 4.0  # grey levels, standard deviation: a camera indoors
SCENE_SIZE: Final = (256, 192)  # pixels, width and height
COPIED_BY: Final = (
    *("JPEG, quality 20", "resized to half", "brightness - 30 %", "greyscale"),
    "crop of 5 % on each side",
)
N_DRAWINGS: Final = 4_598
# larger ones are posters of up to 200 megapixels, which take minutes to shrink
MAX_DRAWING_BYTES: Final = 60_000
COPIES_EVERY: Final = 10  # one clip-art picture in ten has a planted copy


def still_frames(work: Path, n_frames: int) -> Path:
    """Frames of one still camera with noise, JPEG; one in ten is a test frame."""
    return _made(work / f"frames-{n_frames}", _frame, range(n_frames))


def static_frames(work: Path, n_frames: int) -> Path:
    """Frames of one still camera that differ in a few pixels of one colour channel, PNG."""
    return _made(work / f"static-{n_frames}", _static_frame, range(n_frames))


def recompressed(work: Path, n_copies: int) -> Path:
    """One picture saved in many sizes and qualities."""
    return _made(work / f"recompressed-{n_copies}", _recompressed, range(n_copies))


def flat_pictures(work: Path, n_pictures: int) -> Path:
    """Pictures of one colour each."""
    return _made(work / f"flat-{n_pictures}", _flat, range(n_pictures))


def clip_art(work: Path, package: Path) -> Path:
    """Drawings of `openclipart-png`, spread over the package; one in ten has an edited copy in the
    test split.
    """
    small = sorted(
        path for path in package.rglob("*.png") if path.stat().st_size < MAX_DRAWING_BYTES
    )
    chosen = [small[k * len(small) // N_DRAWINGS] for k in range(N_DRAWINGS)]
    jobs = [(k, path, k % COPIES_EVERY == 0) for k, path in enumerate(chosen)]
    return _made(work / "clipart", _drawing, jobs)


def class_diagrams(work: Path, package: Path) -> Path:
    """The diagrams of classes of `opencv-doc`: two boxes with a word each and an arrow."""
    diagrams = sorted(
        path
        for path in package.rglob("*.png")
        if "__" in path.name or path.name.startswith(("class", "struct", "graph_"))
    )
    return _made(work / "diagrams", _diagram, list(enumerate(diagrams)))


def scene(seed: int, size: tuple[int, int] = SCENE_SIZE) -> Image.Image:
    """A drawn scene that no other seed has: soft colours and sharp boxes."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    for _ in range(12):
        x, y = rng.integers(0, size[0] - 40), rng.integers(0, size[1] - 40)
        wide, high = rng.integers(12, 60, 2)
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        soft.paste(colour, (int(x), int(y), int(x + wide), int(y + high)))
    return soft


def _split(k: int) -> str:
    return "test" if k % HELD_OUT_EVERY == 0 else "train"


def _frame(folder: Path, k: int) -> None:
    rng = np.random.default_rng([1, k])
    levels = np.asarray(scene(1), np.float32) + rng.normal(
        0, NOISE_LEVELS, (SCENE_SIZE[1], SCENE_SIZE[0], 3)
    )
    frame = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    frame.save(folder / _split(k) / f"{k:06d}.jpg", quality=90)


def _static_frame(folder: Path, k: int) -> None:
    levels = np.array(scene(2, (96, 72)))
    levels[60:62, 80:92, 0] ^= np.array([(k >> bit & 1) * 8 for bit in range(12)], np.uint8)
    Image.fromarray(levels).save(folder / _split(k) / f"{k:06d}.png")


def _recompressed(folder: Path, k: int) -> None:
    rng = np.random.default_rng([2, k])
    scale, quality = rng.uniform(0.5, 1.0), int(rng.integers(30, 96))
    size = (round(SCENE_SIZE[0] * scale), round(SCENE_SIZE[1] * scale))
    scene(3).resize(size, Image.Resampling.LANCZOS).save(
        folder / _split(k) / f"{k:06d}.jpg", quality=quality
    )


def _flat(folder: Path, k: int) -> None:
    rng = np.random.default_rng([3, k])
    colour = tuple(int(level) for level in rng.integers(0, 256, 3))
    Image.new("RGB", (64 + k % 64, 64), colour).save(folder / _split(k) / f"{k:06d}.png")


def _drawing(folder: Path, job: tuple[int, Path, bool]) -> None:
    k, path, copied = job
    picture = _on_white(path)
    name = f"{k:05d}-{path.stem}"
    picture.save(folder / "train" / f"{name}.png")
    if copied:
        edit = COPIED_BY[k // COPIES_EVERY % len(COPIED_BY)]
        (folder / "test" / f"{name}@copy.jpg").write_bytes(EASY[edit](picture, number_of(name)))


def _diagram(folder: Path, job: tuple[int, Path]) -> None:
    k, path = job
    _on_white(path).save(folder / _split(k) / f"{k:05d}-{path.stem}.png")


def _on_white(path: Path) -> Image.Image:
    picture = Image.open(path).convert("RGBA")
    picture.thumbnail((400, 400))
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _made(folder: Path, make: Callable[[Path, Any], None], jobs: Sequence[Any]) -> Path:
    if folder.exists():
        return folder
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(make, folder), jobs, chunksize=50))
    return folder


def audited(data: Path, out: Path) -> dict[str, Any]:
    """What a run in a process of its own needed and found."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "dedup",
        "audit",
        str(data),
        "-o",
        str(out),
        "--overwrite",
        "--quiet",
    ]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    info = json.loads((out / "run.json").read_text(encoding="utf-8"))
    processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(processors, 1),
        "peak_gb": round(info["peak_memory_bytes"] / 1e9, 2),
        "candidates": info["verification"]["candidates"],
        "looked_at": info["second_look"]["pairs"],
        "crowds": summary["crowds"]["number"],
        "in_crowds": summary["crowds"]["images"],
        "uncompared": summary["uncompared"],
        "dropped": summary["decisions"]["drop"],
        "leaking": sum(found["leaking"] for found in summary["leakage"].values()),
    }


def planted_found(out: Path) -> tuple[int, int]:
    """Planted copies of clip art that are leaks, and all of them."""
    run = load(out, (), ("manifest", "hashes", "pairs"))
    ids = [Path(name).stem for name in run.manifest["id"].to_pylist() if "@copy" in name]
    exact = {
        frozenset((a, b))
        for a, b in zip(run.pairs["id_a"].to_pylist(), run.pairs["id_b"].to_pylist(), strict=True)
    }
    stems = {frozenset(Path(one).stem for one in pair) for pair in exact}
    found = [name for name in ids if frozenset((name, name.split("@")[0])) in stems]
    return len(found), len(ids)


def against_all_pairs(work: Path, n_frames: int) -> Mapping[str, int]:
    """What a run without crowds drops, and what of it a run with crowds neither drops nor lists;
    thumbnails alone.
    """
    data = still_frames(work, n_frames)
    with_crowds = _in_memory(data)
    before = crowding.MIN_CROWD
    crowding.MIN_CROWD = n_frames + 1  # type: ignore[misc]
    full = _in_memory(data)
    crowding.MIN_CROWD = before  # type: ignore[misc]

    dropped = _dropped(full)
    listed = set(with_crowds.uncompared["id"].to_pylist())
    return {
        "frames": n_frames,
        "pairs without crowds": len(full.pairs),
        "pairs with crowds": len(with_crowds.pairs),
        "dropped without": len(dropped),
        "dropped with": len(_dropped(with_crowds)),
        "missed": len(dropped - _dropped(with_crowds) - listed),
        "uncompared": len(listed),
    }


def _dropped(run: Run) -> set[str]:
    return {row["id"] for row in run.decisions.to_pylist() if row["action"] == "drop"}


def _in_memory(data: Path) -> Run:
    settings = {
        "dataset": {"path": str(data)},
        "output": {"splits": "none"},
        "verify": {"second_look": False},
        "search": {"max_candidates": 100_000_000},
    }
    return pipeline.run(build(settings))


def interrupted(data: Path, out: Path, after: str, moments: Sequence[float]) -> list[float]:
    """Seconds from Ctrl-C to the end of the process, at moments after a stage was reported."""
    found = []
    for moment in moments:
        command = [sys.executable, "-m", "dedup", "audit", str(data), "-o", str(out), "--overwrite"]
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        if process.stderr is not None:
            next((line for line in process.stderr if f"{after}:" in line), None)
        time.sleep(moment)
        began = time.perf_counter()
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        found.append(round(time.perf_counter() - began, 2))
    return found


def main() -> None:
    """Print what is asked for, one line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--clipart", type=Path)
    parser.add_argument("--diagrams", type=Path)
    parser.add_argument("--part", action="append")
    asked = parser.parse_args()
    work: Path = asked.work
    work.mkdir(parents=True, exist_ok=True)
    parts = asked.part or [
        "frames",
        "static",
        "recompressed",
        "flat",
        "clipart",
        "diagrams",
        "full",
        "interrupt",
    ]

    made: dict[str, Callable[[], list[Path]]] = {
        "frames": lambda: [still_frames(work, n) for n in (500, 1000, 2000, 4000, 8000)],
        "static": lambda: [static_frames(work, 3300)],
        "recompressed": lambda: [recompressed(work, 10_000)],
        "flat": lambda: [flat_pictures(work, 3000)],
        "clipart": lambda: [clip_art(work, asked.clipart)] if asked.clipart else [],
        "diagrams": lambda: [class_diagrams(work, asked.diagrams)] if asked.diagrams else [],
    }
    for part in parts:
        for data in made.get(part, list)():
            print(data.name, json.dumps(audited(data, work / f"run-{data.name}")), flush=True)
            if part == "clipart":
                print("planted copies found", *planted_found(work / f"run-{data.name}"), flush=True)
    if "full" in parts:
        for n_frames in (500, 2000):
            print(json.dumps(against_all_pairs(work, n_frames)), flush=True)
    if "interrupt" in parts:
        moments = [0.3 + 0.7 * k for k in range(10)]
        print(
            "Ctrl-C in crowds",
            interrupted(still_frames(work, 2000), work / "stopped", "hashes", moments),
        )
        if asked.diagrams:
            diagrams = class_diagrams(work, asked.diagrams)
            print(
                "Ctrl-C in candidates", interrupted(diagrams, work / "stopped", "radius", moments)
            )


if __name__ == "__main__":
    main()
