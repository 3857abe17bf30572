"""How far apart the frames of a recording may be: rendered drives at several steps, and Caltech-101
beside them.

    python -m benchmarks.recordings [--caltech DIR]

For each step between frames, in metres: how many of six drives of sixteen frames are reported as
recordings in several splits, when every fourth frame is for test, and how many test frames leak as
duplicates. Then the same of Caltech-101, whose names are numbered, too.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import dedup

STEPS: Final = (0.5, 1.0, 2.0, 3.0, 4.0)  # metres
N_DRIVES: Final = 6
N_FRAMES: Final = 16
SIZE: Final = (320, 180)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caltech", type=Path, default=Path("../shared/data/caltech101"))
    options = parser.parse_args()

    print(
        "| frames | recordings found | test frames that are duplicates of train |\n|---|---:|---:|"
    )
    for step in STEPS:
        with tempfile.TemporaryDirectory() as folder:
            rendered(Path(folder), step)
            print(f"| {step:g} m apart | {told(dedup.audit(folder).summary)} |", flush=True)

    if not (options.caltech / "manifest.csv").exists():
        sys.exit(f"Caltech-101 is not in {options.caltech}: name its folder with --caltech")
    with tempfile.TemporaryDirectory() as folder:
        linked(options.caltech, Path(folder))
        print(f"| Caltech-101 | {told(dedup.audit(folder).summary)} |")


def told(summary: dict[str, Any]) -> str:
    found, leaks = summary["recordings"], summary["leakage"]["test"]
    return f"{found['series'] if found else 0} | {leaks['leaking']} of {leaks['images']}"


def rendered(root: Path, step: float) -> None:
    """Drives through streets of boxes, each with a street of its own."""
    for drive in range(N_DRIVES):
        random = np.random.default_rng(drive)
        colours = [tuple(int(value) for value in random.integers(30, 230, 3)) for _ in range(200)]
        street = [
            (
                z + random.normal(0, 1),
                side * random.uniform(4, 10),
                random.uniform(1.5, 4),
                random.uniform(2, 8),
                k,
            )
            for k, z in enumerate(np.arange(4, 60 + N_FRAMES * step, 3.0))
            for side in (-1, 1)
        ]
        for number in range(N_FRAMES):
            frame = view(street, number * step, colours, random)
            path = (
                root / ("test" if number % 4 == 1 else "train") / f"drive{drive}_{number:05d}.png"
            )
            path.parent.mkdir(exist_ok=True)
            frame.save(path)


def view(
    street: list[Any], at: float, colours: list[Any], random: np.random.Generator
) -> Image.Image:
    """The street from a place in it, with noise."""
    width, height = SIZE
    frame = Image.new("RGB", SIZE, colours[0])
    draw = ImageDraw.Draw(frame)
    horizon = 0.45 * height
    draw.rectangle([0, horizon, width, height], fill=colours[1])
    draw.polygon(
        [(width / 2, horizon), (-0.25 * width, height), (1.25 * width, height)], fill=(90, 90, 95)
    )

    focal = width / 2
    for z, x, wide, high, number in sorted(street, reverse=True):
        ahead = z - at
        if 1.5 < ahead < 80:
            left, low = width / 2 + focal * (x - wide / 2) / ahead, horizon + focal * 1.5 / ahead
            corners = [left, low - focal * high / ahead, left + focal * wide / ahead, low]
            draw.rectangle(corners, fill=colours[number % len(colours)], outline=(0, 0, 0))
    noise = random.normal(0, 2, (height, width, 3))
    noisy = np.asarray(frame.filter(ImageFilter.GaussianBlur(0.7)), float) + noise
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def linked(source: Path, root: Path) -> None:
    """The splits of the manifest as folders of links."""
    with (source / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            link = root / row["split"] / row["path"]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((source / "images" / row["path"]).resolve())


if __name__ == "__main__":
    main()
