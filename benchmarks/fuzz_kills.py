"""`dedup run` and `dedup decide` ended at random moments: afterwards there is the old run or the
new one, whole.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import dedup
from dedup.errors import RunError
from dedup.pipeline import report
from tests import pictures

_LIMIT_SECONDS: Final = 300
_POLICIES: Final = ("leakage=drop_from_held_out", "duplicates=report_only")
"""What is decided anew: each drops other pictures than the defaults, and than the other one."""


def fuzz(first: int, count: int, seed: int, say: Callable[[str], None]) -> int:
    """`count` kills of each command; the number of faults."""
    outcomes: Counter[str] = Counter()
    n_faults, begin = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = _dataset(root / "data")
        whole = _timed(_run(data, root / "out"))
        states, decided = {_state(root / "out")}, 0.0
        for policy in _POLICIES:
            decided = _timed(_decide(root / "out", policy))
            states.add(_state(root / "out"))
            _timed(_run(data, root / "out"))  # what is decided is added to what was decided before
        if len(states) != 1 + len(_POLICIES):
            message = "two of the runs that are expected are the same, so a mixture may look whole"
            raise RuntimeError(message)
        for number in range(first, first + count):
            chance = random.Random(f"{seed} kills {number}")  # not a secret
            for name, command, seconds in (
                ("run", _run(data, root / "out"), whole),
                ("decide", _decide(root / "out", chance.choice(_POLICIES)), decided),
            ):
                _killed(command, chance.uniform(0.05, 1.1) * seconds)
                outcome = _judged(root / "out", states)
                outcomes[f"{name} {outcome}".split(":")[0]] += 1
                if outcome.startswith("FAULT"):
                    say(f"  kill {number} of {name}: {outcome}")
                    n_faults += 1
            _timed(_run(data, root / "out"))  # whatever was left, the next run finishes
    ends = ", ".join(f"{name} {n:,}" for name, n in sorted(outcomes.items()))
    say(f"kills: {2 * count:,}, {n_faults} faults, {time.monotonic() - begin:,.0f} s: {ends}")
    return n_faults


def _dataset(root: Path) -> Path:
    """Photos with leaks and duplicates, enough that every stage takes a while."""
    for number in range(60):
        split = "test" if number % 4 == 0 else "train"
        pictures.save(pictures.photo(number), root / split / f"{number}.png")
        if number % 5 == 0:
            pictures.save(pictures.photo(number), root / "train" / f"copy{number}.jpg", quality=85)
    return root


def _run(data: Path, out: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "dedup",
        "clean",
        str(data),
        "-o",
        str(out),
        "--quiet",
        "--overwrite",
    ]


def _decide(out: Path, policy: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "dedup",
        "decide",
        str(out),
        "--quiet",
        "--set",
        f"policy.{policy}",
    ]


def _timed(command: Sequence[str]) -> float:
    """Seconds that a whole run of a command takes."""
    begin = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
    )
    if done.returncode:
        message = f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}"
        raise RuntimeError(message)
    return time.monotonic() - begin


def _killed(command: Sequence[str], seconds: float) -> None:
    """Start a command, and end it with all its workers after some seconds."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)


def _judged(out: Path, states: set[str]) -> str:
    """What is there now: a whole run, before or after the command, or a fault."""
    limits = ["--max-leakage", "1", "--max-unreadable", "1"]  # a gate without any judges nothing
    gate = [sys.executable, "-m", "dedup", "gate", str(out), *limits]
    done = subprocess.run(gate, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    if "Traceback" in done.stderr:
        return f"FAULT traceback: {done.stderr[-400:]}"
    if done.returncode:
        return f"FAULT no run: gate says {done.stderr.strip()[-300:]}"
    try:
        report(out)
    except RunError as error:
        return f"FAULT not loaded: {error}"
    return "whole" if _state(out) in states else "FAULT neither the old run nor a new one"


def _state(out: Path) -> str:
    """What a run decided and wrote: the actions, and the names of the written files."""
    result = dedup.load(out)
    names = sorted(
        str(path.relative_to(out)) for path in (out / "splits").rglob("*") if path.is_file()
    )
    return repr((result.decisions["action"].to_pylist(), names))
