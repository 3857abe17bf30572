"""Work in local processes that import nothing of the user's script, so it needs no `if __name__ ==
"__main__"`.

Each worker is a fresh interpreter (`python -m dedup.engines.worker`) that is spoken to over pipes,
in Arrow. A worker that dies, or that takes longer than its limit and is ended, costs the rows of
one batch a second try, one by one, and only the row that does it again is given up.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pyarrow as pa

from dedup.engines.child import NO_LIMITS, Limits, Worker

_IN_FLIGHT_PER_WORKER = 2  # one at work, one waiting: bounds what is in memory


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
