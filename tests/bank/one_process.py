"""One process at work on a bank, for tests of races and kills: `python -m tests.bank.one_process
ACT BANK …`.

Prints one line for each thing that was acknowledged.
"""

import sys
import time
from pathlib import Path

from dedup.bank import Bank, MeasuredPicture, Submission
from tests.bank.made import measures


def picture(number: int) -> MeasuredPicture:
    """Pictures of different numbers are far apart in both codes."""
    code = (number * 0x9E3779B97F4A7C15) & (2**64 - 1)
    return measures(code, code ^ 0x5555_AAAA_5555_AAAA, signs=1)


def acknowledge(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def submit(bank: Bank, start: float, rounds: int, name: str) -> None:
    """In each round the same picture as all other processes, at the same moment."""
    for number in range(rounds):
        time.sleep(max(0.0, start + 0.05 * number - time.time()))
        said = bank.submit(picture(number), f"{name}/{number}")
        acknowledge(number, said.verdict if isinstance(said, Submission) else "?")


def work(bank: Bank, first: int, target: Path) -> None:
    """Adds, compactions and exports until it is killed."""
    for number in range(first, first + 1_000_000):
        bank.add(picture(number), str(number))
        acknowledge(number)
        if number % 7 == 0:
            bank.compact(everything=number % 14 == 0)
        if number % 11 == 0:
            bank.export(target, overwrite=True)


if __name__ == "__main__":
    act, path, *rest = sys.argv[1:]
    opened = Bank(path, timeout=120)
    opened.check(picture(0))  # kernels are loaded before the clock runs
    if act == "submit":
        acknowledge("ready")
        submit(opened, float(sys.stdin.readline()), int(rest[0]), rest[1])
    else:
        work(opened, int(rest[0]), Path(rest[1]))
