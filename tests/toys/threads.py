"""An engine: work runs on threads of this process."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import pyarrow as pa


class ThreadEngine:
    """Runs a few batches at a time."""

    reaches: bool = True  # threads find the files of this machine

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.done: list[str] = []  # the work of each batch, for whoever asks

    def ahead(self, work: str) -> AbstractContextManager[None]:
        """Nothing has to be started."""
        return nullcontext()

    def kept(self) -> AbstractContextManager[None]:
        """Nothing stays."""
        return nullcontext()

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order."""
        transform = import_module(work).start(setup)

        def one(batch: pa.RecordBatch) -> pa.RecordBatch:
            self.done.append(work)
            return transform(batch)

        with ThreadPoolExecutor(self.workers) as pool:
            yield from pool.map(one, batches)

    def unordered(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The same: their order is as good as any."""
        return self.run(work, setup, batches)
