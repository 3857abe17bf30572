"""Filter a Parquet dataset of a million rows: seconds after the decisions, and memory stage by
stage.

    python -m benchmarks.filter_rows [--rows 1000000] [--parts run decide write] [--folder DIR]

The dataset is made first. Each part is a process of its own: `run` is a default run, from the
pixels to the certificate and the report; `decide` does all that comes after the search again, from
the stored tables; `write` opens the dataset and writes the kept rows, no more. What comes after the
decisions is to take no more than 60 s and 1 GB (954 MiB), the certificate included; and no stage is
to need more than 1 GB beyond the tables that are held then. `peak` is what is resident at the most,
pages of libraries and of mapped files included, `its own` what is left without these. With
`--folder` the dataset and the run stay and are not made again.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dedup import pipeline
from dedup.config import DatasetConfig, build
from dedup.formats import open_source, write_splits
from dedup.memory import keep_no_large_arrays
from dedup.runs.result import Run
from dedup.tables import THUMBNAIL_SIDE, storage

ROWS_PER_FILE = 50_000
SIDE = 16  # pixels: about 800 bytes a picture
SHARE_OF_COPIES = 0.2
HEADER = bytes.fromhex(
    "424d360300000000000036000000280000001000000010000000010018000000000000030000000000000000000000"
    "00000000000000"
)


def make(folder: Path, n_rows: int) -> None:
    """Random pictures as BMP, four fifths of them train.

    A fifth of the rows are copies of the row before, half of these with other pixels, a little
    brighter; every hundredth test picture is one of train.
    """
    random = np.random.default_rng(5)
    per_file = max(1, min(ROWS_PER_FILE, n_rows // 5))
    n_files = -(-n_rows // per_file)
    of_train = np.empty((0, SIDE * SIDE * 3), np.uint8)
    for k in range(n_files):
        rows = range(k * per_file, min((k + 1) * per_file, n_rows))
        pixels = random.integers(0, 256, (len(rows), SIDE * SIDE * 3), dtype=np.uint8)
        copies = np.flatnonzero(random.random(len(rows)) < SHARE_OF_COPIES)
        pixels[copies] = pixels[np.maximum(copies - 1, 0)]
        pixels[copies[::2]] = np.minimum(pixels[copies[::2]], 245) + 10
        split = "test" if k >= n_files - max(1, n_files // 5) else "train"
        if split == "train":
            of_train = np.concatenate([of_train, pixels[::100]])
        else:
            pixels[::100] = of_train[: len(pixels[::100])]
            of_train = of_train[len(pixels[::100]) :]
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
        pq.write_table(table, folder / f"{split}-{k:05d}.parquet", row_group_size=1_000)


class Memory:
    """An observer that notes how much memory each stage needs at its peak, MiB.

    The system keeps the peak of all that is resident, mapped files included. Of what is the
    process's own it keeps none, so that is asked for fifty times a second.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, float] = {}
        self.own: dict[str, float] = {}
        self._stage = "start"
        Thread(target=self._watch, daemon=True).start()

    def begin(self, stage: str) -> None:
        """A stage begins."""
        self._note(stage)

    def advance(self, share: float) -> None:
        """Share of the stage that is done."""

    def note(self, text: str) -> None:
        """Where the stage is, in words."""

    def end(self) -> None:
        """The stage is done."""
        self._note("between")

    def _note(self, stage: str) -> None:
        self.peaks[self._stage] = max(peak(), self.peaks.get(self._stage, 0.0))
        self._ask()
        self._stage = stage
        # the peak starts again from what is resident now
        Path("/proc/self/clear_refs").write_text("5")

    def _watch(self) -> None:
        while True:
            self._ask()
            time.sleep(0.02)

    def _ask(self) -> None:
        stage, (_, resident, of_files) = (
            self._stage,
            Path("/proc/self/statm").read_text().split()[:3],
        )
        own = (int(resident) - int(of_files)) * resource.getpagesize() / 2**20
        self.own[stage] = max(own, self.own.get(stage, 0.0))


def held(result: Run) -> dict[str, float]:
    """MiB of the tables that a run holds in each stage: thumbnails up to the candidates, which are
    never held.
    """
    sizes = {
        name: table.nbytes / 2**20 for name, table in result.tables.items() if name != "candidates"
    }
    sizes["hashes"] = result.hashes.drop_columns(["thumbnail"]).nbytes / 2**20
    thumbnails = len(result.manifest) * THUMBNAIL_SIDE**2 / 2**20
    stages, found, so_far = (
        [stage["stage"] for stage in result.info["stages"]],
        dict[str, float](),
        0.0,
    )
    of_run = "hashes" in stages
    for stage in stages:
        so_far += sizes.pop(stage, 0.0)
        if stage == "manifest" and not of_run:
            so_far += sizes.pop("hashes")
        found[stage] = so_far + (
            thumbnails if stage in {"hashes", "kernels", "radius", "candidates"} else 0.0
        )
    return found


def tell(result: Run, memory: Memory, seconds: float) -> None:
    """Print the stages, then what comes after the decisions."""
    after = {"splits": 0.0, "report": 0.0}
    of_tables = held(result)
    print("  stage        seconds    peak MiB   its own   tables   beyond them")
    for stage in result.info["stages"]:
        name = stage["stage"]
        sizes = (
            memory.peaks[name],
            memory.own[name],
            of_tables[name],
            memory.peaks[name] - of_tables[name],
        )
        print(
            f"  {name:12} {stage['seconds']:7.1f}   " + "".join(f"{size:9,.0f}" for size in sizes)
        )
        if name in after:
            after[name] = stage["seconds"]
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"  whole process {seconds:6.1f} s   peak {max(memory.peaks.values()):7,.0f} MiB; largest"
        f" worker {workers:,.0f}"
    )
    beyond = max(memory.peaks[name] - of_tables[name] for name in of_tables)
    print(f"  BEYOND THE TABLES at most {beyond:,.0f} MiB (goal: 954 MiB)")
    peak_after = max(memory.peaks.get(name, 0.0) for name in after)
    print(
        f"  AFTER THE DECISIONS {sum(after.values()):.1f} s, peak {peak_after:,.0f} MiB (goal: 60"
        " s, 954 MiB)"
    )
    candidates = result.info.get("verification", {}).get("candidates")
    print(
        f"  {len(result.manifest):,} samples, {len(result.pairs):,} pairs",
        candidates and f"{candidates:,} candidates",
    )
    print(f"  {result.summary['certificate']['statement']}")


def run(folder: Path, out: Path) -> None:
    """A default run: nothing is set but the two folders, and that nothing is kept in the cache."""
    memory, began = Memory(), time.perf_counter()
    config = build(
        {"dataset": {"path": str(folder)}, "output": {"dir": str(out)}, "cache": {"folder": None}}
    )
    result = pipeline.run(config, observer=memory, overwrite=True)
    tell(result, memory, time.perf_counter() - began)


def decide(out: Path) -> None:
    """Decide, write and certify again, from the stored tables."""
    memory, began = Memory(), time.perf_counter()
    result = pipeline.decide(out, observer=memory)
    tell(result, memory, time.perf_counter() - began)


def write(folder: Path, run: Path, out: Path) -> None:
    """Write the rows that the run keeps, and no more."""
    start = time.perf_counter()
    source = open_source(DatasetConfig(path=str(folder)))
    opened = time.perf_counter()
    table = storage.read(run, "decisions")
    keep_of = dict(zip(table["id"].to_pylist(), table["action"].to_pylist(), strict=True))
    keep = np.array([keep_of[name] != "drop" for name in source.rows["id"].to_pylist()])
    decided = time.perf_counter()
    write_splits(source, keep, out, "same", "hardlink")
    filtered = time.perf_counter()
    print(f"{len(source.rows):,} rows, {keep.sum():,} kept")
    print(f"opened                  {opened - start:6.1f} s")
    print(f"written                 {filtered - decided:6.1f} s, peak {peak():6,.0f} MiB")
    wanted: dict[str | None, list[int]] = {}
    for split, row, is_kept in zip(
        source.rows["split"].to_pylist(), range(len(keep)), keep.tolist(), strict=True
    ):
        if is_kept:
            wanted.setdefault(split, []).append(row)
    captions = _captions(sorted(folder.glob("train-*")))
    got = _captions(sorted((out / "data").glob("train-*")))
    print(
        "train rows and their order as they should be:",
        [captions[row] for row in wanted["train"]] == got,
    )


def _captions(files: list[Path]) -> list[str]:
    return [
        caption
        for file in files
        for caption in pq.read_table(file, columns=["caption"])["caption"].to_pylist()
    ]


def peak() -> float:
    """Largest resident size since it was last reset, MiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


PARTS = ("run", "decide", "write")
# what `dedup run` sets before Arrow is imported
AS_THE_COMMAND = {"ARROW_DEFAULT_MEMORY_POOL": "system"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, help="where the dataset and the run go, and stay")
    parser.add_argument("--here", choices=PARTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        data, out = folder / "in", folder / "run"
        if asked.here == "run":
            keep_no_large_arrays()
            run(data, out)
        elif asked.here == "decide":
            decide(out)
        elif asked.here == "write":
            write(data, out, Path(temporary) / "out")
        else:
            if not data.exists():
                data.mkdir(parents=True)
                make(data, asked.rows)
            for part in asked.parts:
                print(f"{part}:", flush=True)
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.filter_rows",
                    "--folder",
                    str(folder),
                    "--here",
                    part,
                ]
                subprocess.run(
                    command, env=os.environ | (AS_THE_COMMAND if part == "run" else {}), check=True
                )


if __name__ == "__main__":
    main()
