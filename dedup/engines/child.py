"""One process that works on batches, and the pipes to it: a fresh interpreter that imports nothing
of the user's script.

A process that dies, that needs more memory than its limit, or that takes longer than its limit and
is ended, costs the rows of one batch a second try, one by one, and only the row that does it again
is given up.
"""

import json
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from threading import Event, Timer
from typing import Any, Final

import pyarrow as pa

from dedup.engines import wire
from dedup.engines.interpreter import started
from dedup.errors import InternalError
from dedup.memory import NOT_ENOUGH

_STOPPED = "the run was stopped"
_WORKERS_OWN: Final = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")},
    "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
}
"""There is a worker for each core: threads of its own would be in the way of the others. And glibc
keeps the memory of a batch for the next one: for small pictures a sixth of the time went into
getting it anew.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may take; None: no limit."""

    # for a batch, and for each of its rows when they are tried one by one
    seconds: float | None = None
    n_bytes: int | None = (
        # memory of its own, mapped files not counted; only where the system keeps to it (Linux)
        None
    )
    setting: str = "engine.timeout"  # what `seconds` is called where it is set


NO_LIMITS: Final = Limits()


class _Died(Exception):  # noqa: N818  # it never leaves this file
    """The worker's process ended while it had a batch, or had too little memory for it."""


class Worker:
    """One process and the pipes to it; started when it first gets work, if not before."""

    def __init__(self, work: str, limits: Limits) -> None:
        self.work = work
        self.setup: Mapping[str, Any] = {}
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._task: tuple[str, Mapping[str, Any]] | None = None  # what its process works on
        self._stopped = False

    def do(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The result for the batch; rows that kill the process get what the work says of lost
        rows.
        """
        try:
            return self._ask(batch)
        except _Died as death:
            if batch.num_rows == 1:
                return import_module(self.work).lost(self.setup, batch, str(death))

        parts = [self.do(batch.slice(row, 1)) for row in range(batch.num_rows)]

        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    def stop(self) -> None:
        """End the process, whatever it does, and start no other."""
        self._stopped = True
        self._end()

    def start(self) -> subprocess.Popen[bytes]:
        """The process, which imports the module of the work and waits."""
        if self._process is None:
            if self._stopped:
                raise _Died(_STOPPED)
            self._process = started(
                "dedup.engines.worker",
                self.work,
                str(self.limits.n_bytes or 0),
                environment=_WORKERS_OWN,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._task = None
        return self._process

    def _ask(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        process = self.start()
        too_late = Event()
        watch = _watch(process, self.limits.seconds, too_late)

        try:
            task = self.work, self.setup
            if self._task != task:
                wire.send(process.stdin, wire.TASK + json.dumps(task).encode())
                self._task = task
            wire.send(process.stdin, wire.BATCH + wire.batch_bytes(batch))
            answer = wire.receive(process.stdout)
        except (EOFError, BrokenPipeError) as error:
            if self._stopped:
                raise _Died(_STOPPED) from error
            code = process.wait()
            reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._end()
            message = f"the decoding process died ({reason})"
            if too_late.is_set():
                of = self.limits
                message = f"not done after {of.seconds:g} s, the limit of {of.setting}"
            raise _Died(message) from error
        finally:
            watch.cancel()

        if answer == wire.NO_MEMORY:
            self._end()  # a fresh one has all of its memory
            raise _Died(_no_memory(self.limits))
        if answer[:1] == wire.FAILED:
            message = f"{self.work} raised in a worker:\n{answer[1:].decode()}"
            raise InternalError(message)

        return wire.bytes_batch(answer[1:])

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return

        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what was still buffered for a dead process
                    pipe.close()


def _no_memory(limits: Limits) -> str:
    limit = "" if limits.n_bytes is None else f" within {limits.n_bytes:,} bytes, engine.memory"
    return NOT_ENOUGH + limit


def _watch(process: subprocess.Popen[bytes], seconds: float | None, too_late: Event) -> Timer:
    """A timer that ends the process after so many seconds and says that it did."""

    def end() -> None:
        too_late.set()
        process.kill()

    timer = Timer(seconds or 0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()

    return timer
