"""Tries to break dedup: mutated files, whole runs against an oracle, and kills at random moments.

    python -m benchmarks.fuzz files [--kind png]… [--count 10000]     mutated PNG, JPEG, tar,
    Parquet, YAML, JSON python -m benchmarks.fuzz runs [--count 200]                      whole runs
    with random settings python -m benchmarks.fuzz kills [--count 50]                      `run` and
    `decide` ended at random moments

Each ends with exit code 1 if there was a fault, and prints the number that makes it again (`--first
N --count 1`). `--log FILE` appends all that is printed to a file. Not part of `make check`; `make
soak LOG=FILE` runs all of it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any, Final

KINDS: Final = ("png", "jpeg", "tar", "parquet", "yaml", "json")
_BATCH: Final = 2_500  # files of one process: a crash costs a start of two seconds
_SECONDS: Final = 1_800  # of one batch, on a machine that does other things as well

_MEMORY: Final = 1_500_000_000
"""Bytes that the process of a batch may take. It holds the package and its libraries, some 300
MB.
"""


class Printer:
    """Prints, and appends the same to a file."""

    def __init__(self, log: Path | None) -> None:
        self._log = log

    def __call__(self, text: str) -> None:
        """One line."""
        print(text, flush=True)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("files", "runs", "kills"))
    parser.add_argument("--kind", choices=KINDS, action="append", help="of files; all by default")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    say = Printer(options.log)
    say(f"$ python -m benchmarks.fuzz {' '.join(sys.argv[1:])}")
    if options.what == "files":
        kinds = options.kind or KINDS
        faults = sum(
            _files(kind, options.first, options.count or 10_000, options.seed, say)
            for kind in kinds
        )
    else:
        module = import_module(f"benchmarks.fuzz_{options.what}")
        fuzz, usual = module.fuzz, {"runs": 200, "kills": 50}[options.what]
        faults = fuzz(options.first, options.count or usual, options.seed, say)
    return 1 if faults else 0


def _files(kind: str, first: int, count: int, seed: int, say: Printer) -> int:
    """Mutated files of one kind, in processes of a batch each; the number of faults."""
    outcomes: Counter[str] = Counter()
    n_faults = peak = 0
    begin = time.monotonic()
    at, stop = first, first + count
    with tempfile.TemporaryDirectory() as folder:
        under_way = Path(folder) / "number"
        while at < stop:
            n = min(_BATCH, stop - at)
            found = _batch(kind, at, n, seed, under_way)
            if isinstance(found, str):
                number = int(under_way.read_text(encoding="ascii")) if under_way.exists() else at
                say(f"  FAULT {kind} {number}: the process ended: {found}")
                n_faults, at = n_faults + 1, number + 1
                continue
            outcomes += Counter(found["outcomes"])
            peak = max(peak, found["peak"])
            for fault in found["faults"]:
                say(f"  {fault}")
            n_faults, at = n_faults + len(found["faults"]), at + n
    if peak > _MEMORY:
        say(f"  FAULT memory: a process took {peak / 1e6:,.0f} MB")
        n_faults += 1
    ends = ", ".join(f"{name} {n:,}" for name, n in sorted(outcomes.items()))
    seconds = time.monotonic() - begin
    say(
        f"{kind}: {count:,} files, {n_faults} faults, {seconds:,.0f} s, {peak / 1e6:,.0f} MB at"
        f" most: {ends}"
    )
    return n_faults


def _batch(kind: str, first: int, count: int, seed: int, under_way: Path) -> dict[str, Any] | str:
    """What the process of a batch found, or how it ended otherwise."""
    numbers = [
        "--first",
        str(first),
        "--count",
        str(count),
        "--seed",
        str(seed),
        "--at",
        str(under_way),
    ]
    command = [sys.executable, "-m", "benchmarks.fuzz_files", "--kind", kind, *numbers]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_SECONDS} s"
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
