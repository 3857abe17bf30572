"""What the first run costs: 100 pictures of the demo, nothing compiled, nothing measured; and the
second one.

    python -m benchmarks.first_run [--before CHECKOUT] [--runs 5]

Each run has folders of its own for numba's cache and for dedup's. Processor seconds are those of
the run and all its processes; wall seconds depend on what else the machine does.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dedup.demo import build_dataset

N_PICTURES = 100
N_PLANTED = 24  # copies that come with their originals: every part of a run has something to do
PYTHON = "import sys, dedup; dedup.audit(sys.argv[1])"


@dataclass(frozen=True)
class Seconds:
    """What one run took."""

    wall: float
    processor: float


def write_pictures(folder: Path) -> None:
    """100 pictures of the demo below `folder`: some planted copies, their originals, and others."""
    with tempfile.TemporaryDirectory() as whole:
        plants = build_dataset(Path(whole))
        names = dict.fromkeys(
            name
            for plant in plants[:: len(plants) // N_PLANTED]
            for name in (plant.original, plant.copy)
        )
        others = sorted(
            file.relative_to(whole).as_posix() for file in Path(whole).rglob("*") if file.is_file()
        )
        chosen = list(
            dict.fromkeys([*list(names)[: 2 * N_PLANTED], *others[:: len(others) // N_PICTURES]])
        )
        for name in chosen[:N_PICTURES]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(whole) / name, folder / name)


@contextmanager
def environment(checkout: Path) -> Iterator[Mapping[str, str]]:
    """Variables for a process of the package in a checkout that finds nothing of an earlier one."""
    with tempfile.TemporaryDirectory() as empty:
        own = {
            "NUMBA_CACHE_DIR": f"{empty}/numba",
            "XDG_CACHE_HOME": f"{empty}/cache",
            "PYTHONPATH": str(checkout),
        }
        yield os.environ | own


def measured(command: list[str], variables: Mapping[str, str]) -> Seconds:
    """Run a command to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    checkouts = {"before": arguments.before.resolve()} if arguments.before else {}
    checkouts["now"] = here

    with tempfile.TemporaryDirectory() as work:
        pictures = Path(work) / "pictures"
        write_pictures(pictures)
        commands = {
            "command": [
                sys.executable,
                "-P",
                "-m",
                "dedup",
                "audit",
                str(pictures),
                "-o",
                f"{work}/run",
                "--overwrite",
            ],
            "Python": [sys.executable, "-P", "-c", PYTHON, str(pictures)],
        }
        found: dict[tuple[str, str, str], list[Seconds]] = {}
        for _ in range(
            arguments.runs
        ):  # one after the other, so that what else the machine does hits all alike
            for version, checkout in checkouts.items():
                for name, command in commands.items():
                    with environment(checkout) as variables:
                        for which in ("first", "second"):
                            shutil.rmtree(f"{work}/run", ignore_errors=True)
                            found.setdefault((version, name, which), []).append(
                                measured(command, variables)
                            )

    print(f"{N_PICTURES} pictures, {os.cpu_count()} cores, medians of {arguments.runs}")
    print(f"{'':>8} {'':>8} {'run':>7} {'processor s':>12} {'wall s':>8}")
    for (version, name, which), seconds in found.items():
        processor, wall = (
            statistics.median(getattr(one, key) for one in seconds) for key in ("processor", "wall")
        )
        print(f"{version:>8} {name:>8} {which:>7} {processor:12.1f} {wall:8.1f}")


if __name__ == "__main__":
    main()
