"""Several processes on one bank, and processes that are killed."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dedup.bank import Bank
from dedup.tables.entries import read_portable
from tests.bank.one_process import picture


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bank.one_process", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("n_processes", [4])
def test_of_equal_pictures_that_arrive_at_once_exactly_one_is_approved(
    tmp_path: Path, n_processes: int
) -> None:
    """64 submissions of the same 16 pictures by 4 processes; benchmarks/bank.py has 64
    processes.
    """
    rounds = 16
    Bank.create(tmp_path / "a.bank").close()
    processes = [
        started("submit", tmp_path / "a.bank", rounds, f"p{k}") for k in range(n_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    start = time.time() + 0.2
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    said = [
        line.split()
        for process in processes
        for line in process.communicate(timeout=120)[0].splitlines()
    ]

    approved = Counter(number for number, verdict in said if verdict == "approved")
    assert {str(number): 1 for number in range(rounds)} == dict(approved)
    assert n_processes * rounds == len(said)
    assert rounds == len(Bank(tmp_path / "a.bank"))


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Kills at random moments of adds, compactions and exports; benchmarks/bank.py has 200."""
    rng = random.Random(5)
    path, target = tmp_path / "a.bank", tmp_path / "x.bank.parquet"
    Bank.create(path).close()
    acknowledged: list[str] = []
    for kill in range(4):
        with started("work", path, 10_000 * kill + 1, target) as process:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
            time.sleep(rng.uniform(0.0, 0.4))
            process.kill()
            # `communicate` would leave out what `readline` has read ahead.
            acknowledged += process.stdout.read().split()

        with Bank(path) as bank:
            ids = {entry.id for entry in bank.entries(limit=10**6)}
            assert set() == set(acknowledged) - ids
            assert len(ids) - len(acknowledged) <= kill + 1
            assert bank.verify().is_whole
            assert "rejected" == bank.check(picture(int(acknowledged[-1]))).verdict
        if target.exists():
            assert len(read_portable(target)[1]) <= len(ids)
