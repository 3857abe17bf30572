"""Filter a Parquet dataset of a million rows: seconds and memory after the decisions are made.

    python -m benchmarks.filter_rows [ROWS]

The dataset is made first, in a process of its own, so that the memory is that of opening, filtering and reading back.
"""

import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dedup.config import DatasetConfig
from dedup.formats import open_source, write_splits

ROWS_PER_FILE = 100_000
SIDE = 16  # pixels: about 800 bytes a PNG
SHARE_KEPT = 0.8


def make(folder: Path, n_rows: int) -> None:
    random = np.random.default_rng(5)
    pictures = []
    for _ in range(2_000):
        sink = BytesIO()
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(sink, "PNG")
        pictures.append(sink.getvalue())
    n_files = -(-n_rows // ROWS_PER_FILE)
    for k in range(n_files):
        rows = range(k * ROWS_PER_FILE, min((k + 1) * ROWS_PER_FILE, n_rows))
        table = pa.table(
            {
                "image": [{"bytes": pictures[row % len(pictures)], "path": f"{row}.png"} for row in rows],
                "label": [row % 10 for row in rows],
                "caption": [f"the picture in row {row}" for row in rows],
            }
        )
        pq.write_table(table, folder / f"train-{k:05d}-of-{n_files:05d}.parquet", row_group_size=1_000)


def measure(folder: Path, out: Path) -> None:
    start = time.perf_counter()
    source = open_source(DatasetConfig(path=str(folder)))
    opened = time.perf_counter()
    keep = np.random.default_rng(6).random(len(source.rows)) < SHARE_KEPT
    written = write_splits(source, keep, out, "same", "hardlink")
    filtered = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(source.rows):,} rows, {keep.sum():,} kept")
    print(f"opened   {opened - start:6.1f} s")
    print(f"filtered {filtered - opened:6.1f} s")
    print(f"peak     {peak:6,.0f} MiB")
    files = sorted(Path(written.config.path or "").glob("data/*.parquet"))
    captions = pa.chunked_array([c for f in files for c in pq.read_table(f, columns=["caption"])["caption"].chunks])
    expected = pa.array([f"the picture in row {row}" for row in np.flatnonzero(keep)])
    print("rows and order as they should be:", captions.combine_chunks().equals(expected))


def main() -> None:
    if len(sys.argv) == 4:
        if sys.argv[1] == "make":
            make(Path(sys.argv[2]), int(sys.argv[3]))
        else:
            measure(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    n_rows = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        for arguments in (["make", f"{folder}/in", n_rows], ["measure", f"{folder}/in", f"{folder}/out"]):
            subprocess.run([sys.executable, "-m", "benchmarks.filter_rows", *arguments], check=True)


if __name__ == "__main__":
    main()
