"""What codes of windows would add to find crops, and cost: python -m benchmarks.windows [FOLDER]

An experiment, not a part of the package. Every picture gets the codes of a fixed set of windows
beside its own; windows are joined with whole pictures, candidates are verified as always. FOLDER
holds `images/` and `pairs.csv` with pairs of kind `crop`.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from PIL import Image

from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.search import join, pack
from dedup.tables import fixed_width
from dedup.verify import similarities

ALGORITHMS: Final = ("dhash", "phash")
SCALES: Final = (0.58, 0.67, 0.78)
POSITIONS: Final = (0.0, 0.5, 1.0)  # of what is left beside the window, in both directions
SIDE: Final = 128  # pixels
MIN_SIMILARITY: Final = 0.87


def windows(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """The boxes of all windows; the whole picture comes first."""
    yield 0, 0, width, height
    for scale in SCALES:
        for x in POSITIONS:
            for y in POSITIONS:
                left, top = x * (1 - scale) * width, y * (1 - scale) * height
                yield (
                    round(left),
                    round(top),
                    round(left + scale * width),
                    round(top + scale * height),
                )


def measured(path: Path) -> tuple[Any, Any]:
    """Codes, (windows, algorithms, 8 bytes), and thumbnails, (windows, 32 × 32), of one picture."""
    with Image.open(path) as opened:
        image = opened.convert("L")
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)  # a window of it has 70 pixels and more
    contents = []
    for box in windows(*image.size):
        sink = BytesIO()
        image.crop(box).save(sink, "BMP")
        contents.append(sink.getvalue())
    table = pa.table(measure(contents, Setup(ALGORITHMS, 64, "fast", "#ffffff", 10**8, ())))
    codes = np.stack([fixed_width(table[name]) for name in ALGORITHMS], axis=1)
    return codes, fixed_width(table["thumbnail"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data/caltech101"))
    folder = parser.parse_args().folder
    paths = sorted((folder / "images").rglob("*.jpg"))
    names = [path.relative_to(folder / "images").as_posix() for path in paths]
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        listed = {frozenset((row["a"], row["b"])): row["kind"] for row in csv.DictReader(file)}
    crops = {pair for pair, kind in listed.items() if kind == "crop"}
    began = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(measured, paths, chunksize=8))
    hashing = time.perf_counter() - began
    n, k = len(paths), len(found[0][0])
    codes = np.stack([of for of, _ in found])  # pictures, windows, algorithms, bytes
    thumbnails = np.stack([of for _, of in found])
    print(f"{n:,} pictures, {k - 1} windows each: {hashing:.1f} s")
    print(
        "| distance | windows | candidates | crops among them | join, s | verifying, s | crops"
        " found | other pairs |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for distance in (8, 12, 16):
        for inside in (False, True):
            print(row(codes, thumbnails, distance, names, crops, inside=inside), flush=True)


def row(
    codes: Any, thumbnails: Any, distance: int, names: list[str], crops: Any, *, inside: bool
) -> str:
    """One row of the table: whole pictures with each other, or with all windows."""
    n, k = codes.shape[:2]
    began = time.perf_counter()
    pairs = set[tuple[int, int]]()
    for algorithm in range(len(ALGORITHMS)):
        whole = pack(np.ascontiguousarray(codes[:, 0, algorithm]))
        if inside:
            parts = pack(np.ascontiguousarray(codes[:, :, algorithm].reshape(n * k, -1)))
            found = join(parts, whole, max_distance=distance)
            pairs |= {
                (a, b)
                for a, b in zip(found.a.tolist(), found.b.tolist(), strict=True)
                if a // k != b
            }
        else:
            found = join(whole, max_distance=distance)
            pairs |= {(a * k, b) for a, b in zip(found.a.tolist(), found.b.tolist(), strict=True)}
    joining = time.perf_counter() - began
    window = np.array([a for a, _ in sorted(pairs)], np.int64)
    other = np.array([b for _, b in sorted(pairs)], np.int64)
    began = time.perf_counter()
    alike = similarities(thumbnails.reshape(n * k, -1), window, other * k, threads=2)
    verifying = time.perf_counter() - began
    of = [frozenset((names[a // k], names[b])) for a, b in zip(window, other, strict=True)]
    near = {
        pair for pair, similarity in zip(of, alike, strict=True) if similarity >= MIN_SIMILARITY
    }
    return (
        f"| {distance} | {'yes' if inside else 'no'} | {len(window):,} | {len(crops & set(of))} |"
        f" {joining:.2f} | {verifying:.2f} | {len(crops & near)} of {len(crops)} |"
        f" {len(near - crops):,} |"
    )


if __name__ == "__main__":
    main()
