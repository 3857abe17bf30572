"""The Hamming join against other tools: one table in one run.

    python -m benchmarks.search                 every row (about ten minutes; 10**8 codes need 5 GB)
    python -m benchmarks.search --quick         the same rows at a hundredth of the size
    python -m benchmarks.search --jobs a b      only these rows
    python -m benchmarks.search --scaling       seconds against N as docs/search-scaling.svg

Every row runs in a process of its own, so that the peak memory is that of the row. A number with ~
is extrapolated from a part of at least a second; what is missing is said to be missing.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import codes as sets
from benchmarks import peers
from benchmarks.codes import Codes
from benchmarks.peers import Timing, short, timed
from dedup.search import join, plan

PHOTOS = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table."""

    title: str
    rows: int
    bits: int
    max_distance: int
    goal: str
    others: int | None = None  # rows of the second side of a cross-join
    real: bool = False  # codes of photos instead of uniform ones
    keep: bool = False  # the hashed codes themselves are among them, with their near pairs
    repeats: int = 3


JOBS = {
    "1e6-t8": Job("10⁶ × 64 bit, t = 8", 10**6, 64, 8, "≤ 0.6 s, > 250 × Flat"),
    "1e6-t12": Job("10⁶ × 64 bit, t = 12", 10**6, 64, 12, "≤ 3 s"),
    "1e7-t8": Job("10⁷ × 64 bit, t = 8", 10**7, 64, 8, "≤ 12 s"),
    "1e8-t6": Job("10⁸ × 64 bit, t = 6", 10**8, 64, 6, "≤ 6 min, ≤ 8 GB", repeats=1),
    "1e6-256": Job("10⁶ × 256 bit, t = 31", 10**6, 256, 31, "≤ 3 s"),
    "cross": Job("10⁴ × 10⁶, 64 bit, t = 10", 10**4, 64, 10, "≤ 0.4 s", others=10**6),
    "real": Job("10⁶ real, 64 bit, t = 8, all flipped", 10**6, 64, 8, "≤ 2 × uniform", real=True),
    "real-kept": Job(
        "the same, hashed ones kept as they are", 10**6, 64, 8, "", real=True, keep=True
    ),
}


def measure(job: Job, threads: int, photos: Path) -> dict[str, str]:
    """The cells of one row."""
    if job.real:
        one, n_hashed = sets.photos(photos, job.rows, keep=job.keep)
        note = f" from {n_hashed:,} hashed"
    else:
        one, note = sets.uniform(job.rows, job.bits // 64), ""
    two = None if job.others is None else sets.uniform(job.others, job.bits // 64, seed=2)
    join(one[:3000], max_distance=4, finder="banded")  # the compilation has a row of its own

    def run(left: Codes = one) -> int:
        return len(join(left, two, max_distance=job.max_distance, threads=threads, limit=10**9))

    found = run() if job.repeats > 1 else 0
    seconds = [timed(run) for _ in range(job.repeats)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ours = median(seconds)
    cells = {
        "job": job.title + note,
        "goal": job.goal,
        "dedup": short(ours),
        "peak": f"{memory:.1f} GB",
    }
    chosen = plan(one, two, max_distance=job.max_distance, threads=threads)
    cells["candidates"] = (
        f"{chosen.candidates:.3g}, {ours * threads / max(1, chosen.candidates) * 1e9:.3f} ns"
    )
    cells["plan"] = (
        f"{len(chosen.bands)} bands, {short(chosen.seconds)}"
        if chosen.finder == "banded"
        else "brute"
    )
    cells["pairs"] = f"{found:,}" if found else ""
    if job.real:
        same = sets.uniform(job.rows)
        other = median([timed(lambda: run(same)) for _ in range(job.repeats)])
        uniform_plan = plan(same, max_distance=job.max_distance, threads=threads)
        each = other * threads / max(1, uniform_plan.candidates) * 1e9
        cells["dedup"] += f" (uniform {short(other)}: {ours / other:.2f} ×, {each:.3f} ns)"
    if job.rows > 10**7:
        return cells
    for name, peer in PEERS.items():
        timing = peer(one, two, job.max_distance, threads)
        cells[name] = str(timing)
        if name == "faiss Flat" and timing.seconds is not None:
            cells["ours/Flat"] = f"{timing.seconds / ours:,.0f} ×"
    return cells


def brute(one: Codes, two: Codes | None, t: int, threads: int) -> Timing:
    """The brute force of dedup itself; of a self-join only some rows against all, and half of
    that.
    """
    stored = one if two is None else two
    most = max(1, min(len(one), 2 * 10**10 // len(stored)))

    def search(part: Codes) -> object:
        return join(part, stored, max_distance=t, threads=threads, finder="brute", limit=10**9)

    if two is None and len(one) <= 10**5:
        return Timing(
            timed(lambda: join(one, max_distance=t, threads=threads, finder="brute", limit=10**9))
        )
    seconds = timed(lambda: search(one[:most])) * len(one) / most
    return Timing(seconds / (2 if two is None else 1), most / len(one))


PEERS: dict[str, Callable[[Codes, Codes | None, int, int], Timing]] = {
    "brute force": brute,
    "faiss Flat": peers.faiss_flat,
    "faiss MultiHash": peers.faiss_multihash,
    "NumPy": peers.numpy_loop,
}


def brute_rate(threads: int) -> dict[str, str]:
    """Brute force with its hits against a loop that only counts."""
    one = sets.uniform(200_000)

    def run() -> object:
        return join(one, max_distance=8, finder="brute", threads=threads)

    run()
    ours = len(one) * (len(one) - 1) / 2 / min(timed(run) for _ in range(3))
    plain, minima = peers.counting_rate(threads)
    return {
        "job": "brute force, 64 bit, 2·10⁵ codes",
        "goal": "≥ 80 % of a bare counting loop",
        "dedup": (
            f"{ours / 1e9:.1f} G pairs/s: {ours / plain:.0%} of a counting loop ({plain / 1e9:.1f}"
            f" G/s), {ours / minima:.0%} of the bare kernel ({minima / 1e9:.1f} G/s)"
        ),
    }


FIRST_CALL = """
import time
begin = time.perf_counter()
import numpy as np
from dedup.search import join
imported = time.perf_counter()
join(np.random.default_rng(0).integers(0, 2**64, (2000, 1), dtype=np.uint64), max_distance=8)
print(imported - begin, time.perf_counter() - imported)
"""


def first_call() -> dict[str, str]:
    """2,000 codes in a new process, without and with kernels from an earlier one."""
    import tempfile

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env={"NUMBA_CACHE_DIR": folder, "PATH": ""},
                capture_output=True,
                text=True,
                check=True,
            )
            lines.append([float(number) for number in done.stdout.split()])
    (_, cold), (importing, warm) = lines
    return {
        "job": "first call in a process, 2,000 codes",
        "goal": "a few seconds",
        "dedup": (
            f"{short(cold)} the first time ever, {short(warm)} later (import {short(importing)})"
        ),
    }


def small(job: Job) -> Job:
    """The same row at a hundredth of the size."""
    return Job(
        job.title + " (a hundredth)",
        job.rows // 100,
        job.bits,
        job.max_distance,
        job.goal,
        None if job.others is None else job.others // 100,
        job.real,
        job.keep,
        job.repeats,
    )


def in_own_process(name: str, arguments: argparse.Namespace) -> dict[str, str]:
    command = [sys.executable, "-m", "benchmarks.search", "--jobs", name, "--as-json"]
    command += ["--threads", str(arguments.threads), "--photos", str(arguments.photos)]
    done = subprocess.run(
        [*command, *(["--quick"] if arguments.quick else [])], stdout=subprocess.PIPE, check=True
    )
    cells: dict[str, str] = json.loads(done.stdout)
    return cells


def printed(rows: list[dict[str, str]]) -> None:
    columns = ["job", "goal", "dedup", "ours/Flat", *PEERS, "peak", "pairs", "candidates", "plan"]
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows:
        print("| " + " | ".join(row.get(column, "") for column in columns) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description="The Hamming join against other tools.")
    parser.add_argument(
        "--jobs", nargs="*", choices=[*JOBS, "brute", "first-call"], help="only these rows"
    )
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder of the real pictures")
    parser.add_argument(
        "--scaling", action="store_true", help="draw docs/search-scaling.svg instead"
    )
    parser.add_argument("--largest", type=int, default=10**8, help="the last N of the drawing")
    parser.add_argument("--as-json", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scaling:
        from benchmarks.scaling import draw

        draw(arguments.threads, arguments.largest)
        return
    names = arguments.jobs or [*JOBS, "brute", "first-call"]
    if not arguments.as_json:
        rows = []
        for name in names:
            print(f"… {name}", file=sys.stderr, flush=True)
            if name.startswith("real") and not arguments.photos.is_dir():
                rows.append(
                    {
                        "job": JOBS[name].title,
                        "dedup": f"no photos in {arguments.photos}: not measured",
                    }
                )
                continue
            rows.append(in_own_process(name, arguments))
        printed(rows)
        return
    name = names[0]
    if name == "brute":
        cells = brute_rate(arguments.threads)
    elif name == "first-call":
        cells = first_call()
    else:
        job = small(JOBS[name]) if arguments.quick else JOBS[name]
        cells = measure(job, arguments.threads, arguments.photos)
    print(json.dumps(cells))


if __name__ == "__main__":
    main()
