"""Work for the tests of the engines: small, and able to do everything that work should not do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa


def start(setup: Mapping[str, Any]) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Doubles `number`; `setup["do"]` says what happens at the number `setup["at"]`."""
    if setup.get("do") == "fail at start":
        message = "the model is not there"
        raise ValueError(message)

    if setup.get("do") == "import pandas":
        return lambda batch: result([0], ["pandas" if pandas_is_there() else "no pandas"])

    def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
        for number in batch["number"].to_pylist():
            if number == setup.get("at", number):
                _misbehave(setup.get("do", ""), number)
        return result(
            [2 * number for number in batch["number"].to_pylist()], [str(os.getpid())] * len(batch)
        )

    return transform


def lost(setup: Mapping[str, Any], batch: pa.RecordBatch, reason: str) -> pa.RecordBatch:
    """-1 for each row, with the reason and what the setup calls it."""
    return result([-1] * len(batch), [f"{setup.get('name', 'lost')}: {reason}"] * len(batch))


def pandas_is_there() -> bool:
    """Whether it can be imported, or was with an array."""
    pa.array([1, 2])
    with suppress(ImportError):
        import pandas as pd  # noqa: F401
    return "pandas" in sys.modules


def result(numbers: list[int], notes: list[str]) -> pa.RecordBatch:
    """A batch of results."""
    return pa.record_batch(
        [pa.array(numbers, pa.int64()), pa.array(notes, pa.string())], names=["number", "note"]
    )


def _misbehave(what: str, number: int) -> None:
    if what == "raise":
        message = f"no such thing as {number}"
        raise ZeroDivisionError(message)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang a while":
        time.sleep(1)
    if what == "exit":
        os._exit(7)
    if what == "system exit":
        sys.exit(3)
    if what == "print":
        sys.stdout.write("noise\n" * 5000)
        sys.stdout.flush()
        os.write(1, b"more noise, without Python knowing\n")
        subprocess.run(["echo", "noise of a child"], check=True)
        sys.stderr.write("and complaints " * 20_000)
        sys.stderr.flush()
    if what == "read":
        sys.stdin.read(10)
    if what == "sleep":
        time.sleep(60)
    if what == "fill":
        sys.stdout.write(str(len(bytearray(3_000_000_000))))
    if what == "no memory":
        raise MemoryError
    if what == "wait":
        time.sleep(0.05 * (number % 3))
