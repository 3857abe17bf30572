"""Work in this process: for a few tasks, for debugging, and as the reference for the other
engines.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any

import pyarrow as pa

from dedup.errors import InternalError
from dedup.memory import NOT_ENOUGH


class InlineEngine:
    """Runs every batch where it is asked to."""

    workers: int = 1
    reaches: bool = True

    def ahead(self, work: str) -> AbstractContextManager[None]:
        """There is nothing to make ready."""
        return nullcontext()

    def kept(self) -> AbstractContextManager[None]:
        """There is nothing that could stay."""
        return nullcontext()

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order."""
        transform = _as_our_bug(work, lambda: import_module(work).start(setup))
        for batch in batches:
            yield _done(work, setup, transform, batch)

    def unordered(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The same, as one batch is done after the other."""
        return self.run(work, setup, batches)


def _done(
    work: str,
    setup: Mapping[str, Any],
    transform: Callable[[pa.RecordBatch], pa.RecordBatch],
    batch: pa.RecordBatch,
) -> pa.RecordBatch:
    """The result for a batch. Rows for which there is not enough memory get what the work says of
    lost rows, as in a worker.
    """
    try:
        return _as_our_bug(work, partial(transform, batch))
    except MemoryError:
        if batch.num_rows == 1:
            lost: pa.RecordBatch = import_module(work).lost(setup, batch, NOT_ENOUGH)
            return lost

    rows = [_done(work, setup, transform, batch.slice(k, 1)) for k in range(batch.num_rows)]

    return pa.Table.from_batches(rows).combine_chunks().to_batches()[0]


def _as_our_bug(work: str, call: Callable[[], Any]) -> Any:
    """The call's result. Work turns bad data into rows, so whatever it raises is a bug, as it is in
    a worker; but for what a picture is too large for.
    """
    try:
        return call()
    except MemoryError:
        raise
    except Exception as error:
        message = f"{work} raised:\n{traceback.format_exc()}"
        raise InternalError(message) from error
