"""The stage of hashes beside the decoder alone and beside other tools: one run, same files, same
cores, medians.

    make bench-hashing                     # or: python -m benchmarks.hashing [--photos DIR]
    [--rounds 3]

Photos are those of the folder, scaled up to 1,000 px, and as JPEG of about 15 KB each; small
pictures are of 32 px, as PNG and as JPEG, in Parquet files with image structs. The stage is the one
of `dedup.run`: its own processes, the rows sent back and put together as the table, without a
cache. Every contender starts warm: a first round is not counted. `--peers` names the interpreter of
`make bench-peers`, where imagededup is installed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image

from benchmarks.datasets import large_photos, medium_photos, small_pictures
from benchmarks.peer_hashes import IMAGEDEDUP
from dedup.config import DatasetConfig
from dedup.decoding import png
from dedup.engines import ProcessEngine
from dedup.formats import open_source
from dedup.hashers.setup import Setup
from dedup.stages.hashes import hashed
from dedup.stages.measuring import Place

GOALS = {"decoder": {"1,000 px": 0.85, "15 KB": 0.65}, "imagehash": {"1,000 px": 4.0, "15 KB": 3.0}}
GOALS |= {"imagededup": {"1,000 px": 6.0, "15 KB": 3.5}}
CHUNK = 20  # files that a peer's process gets at once

Sample = tuple[int, float]  # pictures and the seconds that they took

ENCODE = """
import sys, time
from statistics import median
folder, workers, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rates = []
for _ in range(rounds + 1):
    begin = time.perf_counter()
    found = METHODS["PHash"](verbose=False).encode_images(image_dir=folder, num_enc_workers=workers)
    rates.append(len(found) / (time.perf_counter() - begin))
print(median(rates[1:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101/images"))
    parser.add_argument("--n-large", type=int, default=3000)
    parser.add_argument("--n-medium", type=int, default=10_000)
    parser.add_argument("--n-small", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "dedup-benchmark-hashing"
    )
    options = parser.parse_args()
    originals = sorted(options.photos.rglob("*.jpg"))
    if not originals:
        sys.exit(f"no photos in {options.photos}: name a folder of JPEGs with --photos")
    options.work.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.workers) as pool:
        photos(pool, "1,000 px", large_photos(originals, options.n_large, options.work), options)
        photos(pool, "15 KB", medium_photos(originals, options.n_medium, options.work), options)
        for form in ("PNG", "JPEG"):
            small(pool, form, small_pictures(originals, 2 * options.n_small, options.work), options)


def photos(pool: ProcessPoolExecutor, name: str, folder: Path, options: argparse.Namespace) -> None:
    """The rows of one size of photos; the contenders take turns, so that all see the same
    machine.
    """
    files = sorted(folder.glob("*.jpg"))
    contenders: dict[str, Callable[[], Sample]] = {
        "read and decode": by_pool(pool, _decoded, files, CHUNK),
        "dhash+phash": stage(folder, ("dhash", "phash"), options.workers),
        "phash": stage(folder, ("phash",), options.workers),
        "ImageHash dhash+phash": by_pool(pool, _imagehash, files, CHUNK),
    }
    rates = in_turns(contenders, options.rounds)
    print(
        f"{name}, {len(files):,} files, mean"
        f" {np.mean([f.stat().st_size for f in files]) / 1000:.0f} KB"
    )
    for contender, rate in rates.items():
        print(f"  {contender:24} {rate:10,.0f} a second")
    ours = rates["dhash+phash"]
    said("of the decoder's rate", ours / rates["read and decode"], GOALS["decoder"][name])
    said("times ImageHash", ours / rates["ImageHash dhash+phash"], GOALS["imagehash"][name])
    peer = imagededup(folder, options)
    if isinstance(peer, str):
        print(f"  imagededup is missing: {peer}")
    else:
        print(f"  {'imagededup pHash':24} {peer:10,.0f} a second")
        said("times imagededup", rates["phash"] / peer, GOALS["imagededup"][name])


def small(pool: ProcessPoolExecutor, form: str, both: Path, options: argparse.Namespace) -> None:
    """The rows of one form of small pictures."""
    path, files = one_form(both, form)
    decode = _png if form == "PNG" else _jpeg
    contenders: dict[str, Callable[[], Sample]] = {
        "decode alone": by_pool(pool, decode, files, 1000),
        "dhash": stage(path, ("dhash",), options.workers),
    }
    rates = in_turns(contenders, options.rounds)
    begin = time.perf_counter()
    for data in files:
        decode(data)
    inside = (time.perf_counter() - begin) / len(files)
    print(f"32 px {form}, {len(files):,} in a Parquet file")
    print(f"  {'decode alone, by a pool':24} {rates['decode alone']:10,.0f} a second")
    print(f"  {'dhash':24} {rates['dhash']:10,.0f} a second", end="")
    print(
        f"; decoding, {1e6 * inside:.0f} µs each, is"
        f" {inside * rates['dhash'] / options.workers:.0%} of it"
    )
    said("a second", rates["dhash"], 25_000)


def stage(path: Path, algorithms: Sequence[str], workers: int) -> Callable[[], Sample]:
    """The stage of hashes over a dataset."""
    setup = Setup(tuple(algorithms), 64, "fast", "#ffffff", 100_000_000)
    source = open_source(DatasetConfig(path=str(path)))
    rows = np.arange(len(source.rows))

    def run() -> Sample:
        engine = Steady(workers)
        hashed(
            source, rows, setup, engine, Place(None, trust_time=False, scratch=None), lambda _: None
        )
        return len(rows) - engine.before, time.perf_counter() - engine.began

    return run


class Steady(ProcessEngine):
    """The engine of a run, that notes when every worker has given its first result: they start in
    about a second.
    """

    began = 0.0
    before = 0

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order."""
        for count, part in enumerate(super().run(work, setup, batches)):
            if count < self.workers:
                self.before += part.num_rows
                self.began = time.perf_counter()
            yield part


def by_pool(
    pool: ProcessPoolExecutor, work: Callable[[Any], object], items: Sequence[Any], chunk: int
) -> Callable[[], Sample]:
    """The same work in a process pool that is warm."""

    def run() -> Sample:
        begin = time.perf_counter()
        for _ in pool.map(work, items, chunksize=chunk):
            pass
        return len(items), time.perf_counter() - begin

    return run


def in_turns(contenders: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, float]:
    """Median rate of each, after one round that is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            n, seconds = run()
            rates[name].append(n / seconds)
    return {name: median(of[1:]) for name, of in rates.items()}


def _decoded(path: Path) -> None:
    simplejpeg.decode_jpeg(path.read_bytes(), "GRAY", fastdct=False, min_height=128, min_width=128)


def _imagehash(path: Path) -> None:
    with Image.open(path) as image:
        imagehash.dhash(image)
        imagehash.phash(image)


def _png(data: bytes) -> None:
    png.pixels(data, 1 << 20)


def _jpeg(data: bytes) -> None:
    simplejpeg.decode_jpeg(data, "GRAY", fastdct=False)


def imagededup(folder: Path, options: argparse.Namespace) -> float | str:
    """Images a second of its `encode_images`, or why that is not known."""
    if not options.peers.exists():
        return f"no {options.peers}: run `make bench-peers`"
    command = [
        str(options.peers),
        "-W",
        "ignore",
        "-c",
        IMAGEDEDUP + ENCODE,
        str(folder),
        str(options.workers),
    ]
    done = subprocess.run(
        [*command, str(options.rounds)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return float(done.stdout.split()[-1])


def one_form(both: Path, form: str) -> tuple[Path, list[bytes]]:
    """The pictures of one form, in a Parquet file of their own."""
    path = both.with_name(f"{both.stem}-{form}.parquet")
    table = pq.read_table(both)
    chosen = table.take(np.arange(0 if form == "PNG" else 1, len(table), 2))
    pq.write_table(chosen, path, row_group_size=10_000)
    return path, pc.struct_field(chosen["image"], "bytes").to_pylist()


def said(what: str, got: float, goal: float) -> None:
    word = "met" if got >= goal else "MISSED"
    print(f"    {got:,.2f} {what}, goal {goal:,g}: {word}", flush=True)


if __name__ == "__main__":
    main()
