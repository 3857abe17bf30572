"""Work in local processes that import nothing of the user's script, so it needs no `if __name__ ==
"__main__"`.

Each worker is a fresh interpreter (`python -m dedup.engines.worker`) that is spoken to over pipes,
in Arrow. A worker that dies, or that takes longer than its limit and is ended, costs the rows of
one batch a second try, one by one, and only the row that does it again is given up.
"""

import json
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from queue import SimpleQueue
from threading import Event, Timer
from typing import Any, Final

import pyarrow as pa

from dedup.engines import wire
from dedup.engines.interpreter import started
from dedup.errors import InternalError

_IN_FLIGHT_PER_WORKER = 2  # one at work, one waiting: bounds what is in memory
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


class ProcessEngine:
    """Runs batches on `workers` processes."""

    reaches: bool = True  # its processes are on this machine

    def __init__(self, workers: int, limits: Limits = NO_LIMITS) -> None:
        self.workers = workers
        self.limits = limits
        self._waiting: list[Worker] = []  # started ahead, or kept of a run before
        self._keeping = 0  # how many blocks of `kept` are open

    @contextmanager
    def ahead(self, work: str) -> Iterator[None]:
        """Let processes import the module of the work that will be run inside, while other things
        are done.
        """
        self._waiting = self._waiting or self._staff(work)
        try:
            for worker in self._waiting:
                worker.start()
            yield
        finally:
            if not self._keeping:
                self._dismiss()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Processes of a run that was read to its end stay for the next one inside, whatever its
        work: they have most of what it imports.
        """
        self._keeping += 1
        try:
            yield
        finally:
            self._keeping -= 1
            if not self._keeping:
                self._dismiss()

    def _staff(self, work: str) -> "list[Worker]":
        return [Worker(work, self.limits) for _ in range(self.workers)]

    def _dismiss(self) -> None:
        waiting, self._waiting = self._waiting, []
        for worker in waiting:
            worker.stop()

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order; at most two per worker are in flight."""
        return self._results(work, setup, batches, lambda asked: asked[0])

    def unordered(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, each when it is there; at most two per worker are in flight."""
        return self._results(work, setup, batches, _first_done)

    def _results(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch], pick: "_Pick"
    ) -> Iterator[pa.RecordBatch]:
        idle: SimpleQueue[Worker] = SimpleQueue()
        staff, self._waiting = self._waiting or self._staff(work), []
        for worker in staff:
            worker.work, worker.setup = work, setup
            idle.put(worker)

        def one(batch: pa.RecordBatch) -> pa.RecordBatch:
            worker = idle.get()
            try:
                return worker.do(batch)
            finally:
                idle.put(worker)

        asked: list[Future[pa.RecordBatch]] = []

        def next_one() -> pa.RecordBatch:
            future = pick(asked)
            asked.remove(future)
            return future.result()

        pool = ThreadPoolExecutor(self.workers)
        try:
            for batch in batches:
                asked.append(pool.submit(one, batch))
                if len(asked) >= _IN_FLIGHT_PER_WORKER * self.workers:
                    yield next_one()
            while asked:
                yield next_one()
            if self._keeping:
                self._waiting += staff
                staff = []
        finally:
            for worker in staff:
                worker.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            for worker in staff:
                worker.stop()  # a thread may have been about to start its process


_Pick = Callable[[Sequence[Future[pa.RecordBatch]]], Future[pa.RecordBatch]]
"""Which of the batches that are asked for is waited for next."""


def _first_done(asked: Sequence[Future[pa.RecordBatch]]) -> Future[pa.RecordBatch]:
    done = wait(asked, return_when=FIRST_COMPLETED).done
    return next(future for future in asked if future in done)


class _Died(Exception):  # noqa: N818  # it never leaves this file
    """The worker's process ended while it had a batch."""


class Worker:
    """One process and the pipes to it; started when it first gets work, if not before."""

    def __init__(self, work: str, limits: Limits) -> None:
        self.work = work
        self.setup: Mapping[str, Any] = {}
        self._limits = limits
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
                str(self._limits.n_bytes or 0),
                environment=_WORKERS_OWN,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            self._task = None
        return self._process

    def _ask(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        process = self.start()
        too_late = Event()
        watch = _watch(process, self._limits.seconds, too_late)
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
                of = self._limits
                message = f"not done after {of.seconds:g} s, the limit of {of.setting}"
            raise _Died(message) from error
        finally:
            watch.cancel()
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
