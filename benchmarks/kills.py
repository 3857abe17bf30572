"""Runs that are killed at random moments, and runs that meet on one folder: what is left is one
run, whole.

    python -m benchmarks.kills [--pairs 20] [--kills 50] [--seed 1]

A small dataset is run once with each of two configs, undisturbed: only these results may ever be
found. Then `dedup run --overwrite` and `dedup decide` over a finished run are killed (SIGKILL) at
random moments, half of them aimed at the end, where the switch is; and pairs of `dedup run` are
started on one folder at the same time. After each, `dedup gate` must pass over the folder, the run
must load in Python, and every file must be that of one of the results.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

import dedup
from dedup.runs.stored import load
from dedup.tables import NAMES

IN_USE: Final = "in use by another run of dedup"
ANOTHER: Final = "holds a run with another config"

Contents = Mapping[str, bytes]
"""Every file of a run by its place, but `run.json`, which has times in it, and what marks the
folder.
"""


@dataclass(frozen=True, slots=True)
class Commands:
    """The two configs as commands over one folder, and what each leaves when nothing disturbs
    it.
    """

    dataset: Path
    first: Contents
    second: Contents
    decided: Contents


def made(root: Path, seed: int = 1) -> Commands:
    """A dataset with copies in it, and its undisturbed results."""
    dataset = _dataset(root / "dataset", seed)
    results = {}
    for name, options in (("first", FIRST), ("second", SECOND)):
        _call("run", *_config(root, dataset), "-o", root / name, *options)
        results[name] = contents(root / name)
    shutil.copytree(root / "first", root / "decided")
    _call("decide", root / "decided", *DECIDED)
    return Commands(dataset, results["first"], results["second"], contents(root / "decided"))


FIRST: Final = ("--workers", "0")
SECOND: Final = ("--workers", "0", "--set", "policy.duplicates=report_only")
DECIDED: Final = ("--set", "policy.leakage=report_only")


def kills(root: Path, known: Commands, n: int, chance: random.Random, command: str) -> Counter[str]:
    """Kill `n` commands (`run` or `decide`) over a finished run at random moments; what was found
    after each.
    """
    folder = root / f"killed_{command}"
    other = known.second if command == "run" else known.decided
    arguments = (
        ("run", *_config(root, known.dataset), "-o", folder, "--overwrite", *SECOND)
        if command == "run"
        else ("decide", folder, *DECIDED)
    )
    whole = _seconds(lambda: _restored(root, folder), lambda: _call(*arguments))
    found: Counter[str] = Counter()
    for k in range(n):
        _restored(root, folder)
        low, high = (0.0, 1.1) if k % 2 else (0.7, 1.0)
        process = _start(*arguments)
        time.sleep(chance.uniform(low, high) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found[judged(folder, {"old": known.first, "new": other})] += 1
    return found


def pairs(root: Path, known: Commands, n: int, chance: random.Random) -> Counter[str]:
    """Start two runs with different configs on one folder, `n` times; what was found after each."""
    found: Counter[str] = Counter()
    for k in range(n):
        folder = root / "shared"
        if folder.exists():
            shutil.rmtree(folder)
        both = []
        for options in (FIRST, SECOND):
            overwrite = ("--overwrite",) if k % 2 else ()
            both.append(
                _start("run", *_config(root, known.dataset), "-o", folder, *overwrite, *options)
            )
            time.sleep(chance.uniform(0, 0.3))
        for process in both:
            _, errors = process.communicate()
            text = " ".join(errors.split())
            refused = IN_USE in text or ANOTHER in text
            if process.returncode not in {0, 1} or (process.returncode == 1) != refused:
                found[f"exit code {process.returncode}: {text[-200:]}"] += 1
            found["refused" if refused else "ran"] += 1
        found[judged(folder, {"first": known.first, "second": known.second})] += 1
    return found


def judged(folder: Path, results: Mapping[str, Contents]) -> str:
    """Which of the results is in the folder, as `dedup gate` and Python see it; what is wrong, if
    it is none.
    """
    done = _start("gate", folder, "--max-leakage", "1")
    _, errors = done.communicate()
    if done.returncode != 0:
        return f"the gate ended with {done.returncode}: {errors[-200:]}"
    run = load(folder, (), NAMES)
    if len(run.decisions) != len(run.manifest) or not dedup.gate(folder, max_leakage=1.0).passed:
        return "the run does not load whole"
    there = contents(folder)
    return next((name for name, expected in results.items() if expected == there), "a mixture")


def contents(run: Path) -> Contents:
    """Every file of a run by its place, but `run.json` and what marks the folder."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != "run.json" and ".dedup" not in path.parts
    }


def _dataset(root: Path, seed: int) -> Path:
    """Forty pictures in train and test, with copies within and across."""
    rng = np.random.default_rng(seed)
    for k in range(40):
        cells = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        picture = cells.resize((120, 96), Image.Resampling.BICUBIC)
        places = [f"{'test' if k % 4 == 0 else 'train'}/{k}.png"]
        places += [f"train/{k}_copy.jpg"] if k % 3 == 0 else []
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / place)
    return root


def _config(root: Path, dataset: Path) -> tuple[Path]:
    path = root / "config.yaml"
    text = (
        f"dataset: {{path: {dataset}}}\noutput: {{report: false, files: copy}}\ncache: {{folder:"
        f" {root / 'cache'}}}\n"
    )
    path.write_text(text, encoding="utf-8")
    return (path,)


def _restored(root: Path, folder: Path) -> None:
    """The finished first run, copied to the folder."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(root / "first", folder)


def _start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "dedup", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _call(*arguments: object) -> None:
    process = _start(*arguments)
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(errors)


def _seconds(before: Callable[[], None], call: Callable[[], None]) -> float:
    before()
    began = time.monotonic()
    call()
    return time.monotonic() - began


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root, chance = Path(place), random.Random(asked.seed)
        known = made(root)
        for command in ("run", "decide"):
            print(
                f"{asked.kills} kills of {command}:"
                f" {dict(kills(root, known, asked.kills, chance, command))}"
            )
        print(
            f"{asked.pairs} pairs of runs on one folder:"
            f" {dict(pairs(root, known, asked.pairs, chance))}"
        )


if __name__ == "__main__":
    main()
