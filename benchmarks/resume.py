"""What a second run costs, what the way to the workers costs, and what the parent keeps in memory.

    python -m benchmarks.resume [--photos DIR] [--n-photos 20000] [--n-small 1000000] [--work DIR]

Photos are those of the folder, as JPEG with 1,000 px on the longer side, each a little different.
Small pictures are of 32 px, PNG and JPEG in turn, in a Parquet file with image structs.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.datasets import large_photos, small_pictures
from dedup.config import DatasetConfig
from dedup.engines import ProcessEngine
from dedup.formats import open_source
from dedup.formats.references import tasks

AUDIT = """
import json, sys, time
from dedup import pipeline
from dedup.config import build

class Hashed(Exception):
    pass

class Watch:
    seconds, peaks = {}, {}
    def begin(self, stage):
        if sys.argv[2] == "hashes" in self.seconds:
            raise Hashed
        self.stage, self.start = stage, time.perf_counter()
    def advance(self, share):
        pass
    def note(self, text):
        pass
    def end(self):
        self.seconds[self.stage] = round(time.perf_counter() - self.start, 3)
        status = open("/proc/self/status")
        (peak,) = [line.split()[1] for line in status if line.startswith("VmHWM")]
        self.peaks[self.stage] = int(peak) * 1024

found = {"stages": Watch.seconds, "peaks": Watch.peaks}
try:
    run = pipeline.run(build(json.loads(sys.argv[1])), observer=Watch())
    found["samples"] = len(run.manifest)
    found["tables"] = {name: table.nbytes for name, table in run.tables.items()}
    # With the thumbnails, which the run let go after the candidates.
    found["tables"]["hashes"] = run.hashes.nbytes
except Hashed:
    pass
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101/images"))
    parser.add_argument("--n-photos", type=int, default=20_000)
    parser.add_argument("--n-small", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--max-distance", default="0", help="of the search over small pictures: bits, or auto"
    )
    parser.add_argument("--verify", default="none", help="verify.method over small pictures")
    parser.add_argument("--work", type=Path, default=Path("/tmp/dedup-benchmark-resume"))
    options = parser.parse_args()
    originals = sorted(options.photos.rglob("*.jpg"))
    if not originals:
        sys.exit(f"no photos in {options.photos}: name a folder of JPEGs with --photos")
    options.work.mkdir(parents=True, exist_ok=True)
    if options.n_photos:
        photos = large_photos(originals, options.n_photos, options.work)
        second_runs(photos, options)
        interrupts(photos, options)
    if options.n_small:
        small = small_pictures(originals, options.n_small, options.work)
        transport(small, options.workers)
        memory(small, options)


def second_runs(photos: Path, options: argparse.Namespace) -> None:
    cache = str(options.work / "cache")
    subprocess.run(["rm", "-rf", cache], check=True)
    seconds: dict[str, list[float]] = {}
    for name, trust in (
        ("first", "size_and_time"),
        ("size and time", "size_and_time"),
        ("content", "content"),
    ):
        for again in range(1 if name == "first" else 3):
            settings = settings_of(photos, options, {"folder": cache, "trust": trust})
            taken = audited(settings, "hashes")["stages"]["hashes"]
            seconds[name] = sorted([*seconds.get(name, []), taken])
            print(f"{name}, {again + 1}: {taken:.2f} s", flush=True)
    first = seconds["first"][0]
    for name in ("size and time", "content"):
        median = seconds[name][len(seconds[name]) // 2]
        print(
            f"second run, {name}: {median:.2f} s, {first / median:.1f} times faster than"
            f" {first:.1f} s"
        )


def transport(small: Path, workers: int) -> None:
    for n_workers in (1, workers):
        source = open_source(DatasetConfig(path=str(small)))
        parts = ProcessEngine(n_workers).run("benchmarks.nothing", {}, tasks(source, 1024))
        for _ in range(4):  # until the workers have started
            next(parts)
        start = time.perf_counter()
        n = sum(part.num_rows for part in parts)
        seconds = time.perf_counter() - start
        print(
            f"to {n_workers} workers and back, no work: {n:,} in {seconds:.2f} s,"
            f" {n / seconds:,.0f} a second"
        )


def memory(small: Path, options: argparse.Namespace) -> None:
    settings = settings_of(small, options, {"folder": None})
    far = options.max_distance
    settings |= {
        "search": {"max_distance": far if far == "auto" else int(far)},
        "verify": {"method": options.verify},
    }
    found = audited(settings, "to the end")
    n, seconds, tables = found["samples"], found["stages"], found["tables"]
    print(
        f"{n:,} small pictures: hashes {seconds['hashes']:.1f} s, {n / seconds['hashes']:,.0f} a"
        f" second; {seconds}"
    )
    print("tables, GB: " + ", ".join(f"{name} {size / 1e9:.2f}" for name, size in tables.items()))
    so_far = 0
    for stage, peak in found["peaks"].items():
        so_far += tables.get(stage, 0)
        print(
            f"parent after {stage}: peak {peak / 1e9:.2f} GB, {(peak - so_far) / 1e9:.2f} beyond"
            " the tables so far"
        )


def interrupts(photos: Path, options: argparse.Namespace) -> None:
    """Ctrl-C at several moments of the stage of hashes."""
    for moment in (1.0, 2.0, 3.0, 5.0, 8.0):
        run = options.work / "run"
        subprocess.run(["rm", "-rf", run], check=True)
        command = [
            sys.executable,
            "-m",
            "dedup",
            "audit",
            str(photos),
            "-o",
            str(run),
            "--set",
            "cache.folder=null",
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while not (run / "manifest.parquet").exists():
            time.sleep(0.01)
        time.sleep(moment)
        pressed = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        seconds = time.perf_counter() - pressed
        said = " ".join(errors.split("Interrupted")[-1].split())
        print(
            f"Ctrl-C {moment:g} s into the hashes: gone after {seconds:.2f} s,"
            f" {process.returncode}: Interrupted{said}"
        )


def settings_of(path: Path, options: argparse.Namespace, cache: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": {"path": str(path)},
        "output": {"dir": str(options.work / "run"), "splits": "none", "report": False},
        "engine": {"workers": options.workers},
        "search": {"max_distance": 0},
        "verify": {"method": "none"},
        "cache": cache,
    }


def audited(settings: dict[str, Any], until: str) -> dict[str, Any]:
    subprocess.run(["rm", "-rf", settings["output"]["dir"]], check=True)
    command = [sys.executable, "-c", AUDIT, json.dumps(settings), until]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
