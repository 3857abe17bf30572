"""Filter a Parquet dataset of a million rows: seconds and memory of writing it, alone and with its certificate.

    python -m benchmarks.filter_rows [ROWS]

The dataset is made and hashed first, in processes of their own. Then `write_splits` writes the kept rows, and
`pipeline.decide` writes them and reads, hashes and searches them again; the peak is that of the process.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dedup import pipeline, tables
from dedup.config import DatasetConfig, build
from dedup.formats import open_source, write_splits

ROWS_PER_FILE = 50_000
SIDE = 16  # pixels: about 800 bytes a picture
SHARE_OF_COPIES = 0.2
HEADER = bytes.fromhex(
    "424d36030000000000003600000028000000100000001000000001001800000000000003000000000000000000000000000000000000"
)


def make(folder: Path, n_rows: int) -> None:
    """Random pictures as BMP, four fifths of them train; a fifth of the rows are copies of the row before."""
    random = np.random.default_rng(5)
    n_files = -(-n_rows // ROWS_PER_FILE)
    for k in range(n_files):
        rows = range(k * ROWS_PER_FILE, min((k + 1) * ROWS_PER_FILE, n_rows))
        pixels = random.integers(0, 256, (len(rows), SIDE * SIDE * 3), dtype=np.uint8)
        copies = np.flatnonzero(random.random(len(rows)) < SHARE_OF_COPIES)
        pixels[copies] = pixels[np.maximum(copies - 1, 0)]
        table = pa.table(
            {
                "image": [
                    {"bytes": HEADER + one.tobytes(), "path": f"{row}.bmp"}
                    for row, one in zip(rows, pixels, strict=True)
                ],
                "label": [row % 10 for row in rows],
                "caption": [f"the picture in row {row}" for row in rows],
            }
        )
        split = "test" if k >= n_files - max(1, n_files // 5) else "train"
        pq.write_table(table, folder / f"{split}-{k:05d}.parquet", row_group_size=1_000)


def search(folder: Path, out: Path) -> None:
    """A run that writes no splits."""
    output = {"dir": str(out), "splits": "none", "report": False}
    run = pipeline.run(build({"dataset": {"path": str(folder)}, "output": output}))
    for stage in run.info["stages"]:
        print(f"  {stage['stage']:10} {stage['seconds']:6.1f} s")


def write(folder: Path, run: Path, out: Path) -> None:
    """Write the rows that the run keeps, and no more."""
    start = time.perf_counter()
    source = open_source(DatasetConfig(path=str(folder)))
    opened = time.perf_counter()
    table = tables.read(run, "decisions")
    keep_of = dict(zip(table["id"].to_pylist(), table["action"].to_pylist(), strict=True))
    keep = np.array([keep_of[name] != "drop" for name in source.rows["id"].to_pylist()])
    decided = time.perf_counter()
    write_splits(source, keep, out, "same", "hardlink")
    filtered = time.perf_counter()
    print(f"{len(source.rows):,} rows, {keep.sum():,} kept")
    print(f"opened                  {opened - start:6.1f} s")
    print(f"written                 {filtered - decided:6.1f} s, peak {peak():6,.0f} MiB")
    wanted: dict[str | None, list[int]] = {}
    for split, row, is_kept in zip(source.rows["split"].to_pylist(), range(len(keep)), keep.tolist(), strict=True):
        if is_kept:
            wanted.setdefault(split, []).append(row)
    captions = _captions(sorted(folder.glob("train-*")))
    got = _captions(sorted((out / "data").glob("train-*")))
    print("train rows and their order as they should be:", [captions[row] for row in wanted["train"]] == got)


def _captions(files: list[Path]) -> list[str]:
    return [caption for file in files for caption in pq.read_table(file, columns=["caption"])["caption"].to_pylist()]


def certify(run: Path) -> None:
    """Write and certify, from the stored tables."""
    result = pipeline.decide(run, ["output.splits=same"])
    (seconds,) = [stage["seconds"] for stage in result.info["stages"] if stage["stage"] == "splits"]
    print(f"written and certified   {seconds:6.1f} s, peak {peak():6,.0f} MiB")
    print(result.summary["certificate"]["statement"])


def peak() -> float:
    """Largest resident size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if len(sys.argv) > 2:
        what, first, *rest = sys.argv[1:]
        if what == "make":
            make(Path(first), int(rest[0]))
        elif what == "search":
            search(Path(first), Path(rest[0]))
        elif what == "write":
            write(Path(first), Path(rest[0]), Path(rest[1]))
        else:
            certify(Path(first))
        return
    n_rows = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    with tempfile.TemporaryDirectory() as folder:
        data, run = f"{folder}/in", f"{folder}/run"
        Path(data).mkdir()
        for arguments in (
            ["make", data, n_rows],
            ["search", data, run],
            ["write", data, run, f"{folder}/out"],
            ["certify", run],
        ):
            subprocess.run([sys.executable, "-m", "benchmarks.filter_rows", *arguments], check=True)


if __name__ == "__main__":
    main()
