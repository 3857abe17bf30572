"""Engines: where work runs. They get tasks and give results, in the order of the tasks, and know nothing of images.

Work is a module, named by its import path, with two functions:

    start(setup) -> function from one record batch to one record batch
    lost(setup, batch, reason) -> the result for a batch whose worker died on it

`setup` is plain JSON and batches are Arrow, so that work can be sent to another process or machine without pickling.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa

from dedup.engines.inline import InlineEngine
from dedup.engines.processes import NO_LIMITS, Limits, ProcessEngine
from dedup.memory import usable_cores

__all__ = ["Engine", "InlineEngine", "Limits", "ProcessEngine", "Transform", "choose", "cores"]

Transform = Callable[[pa.RecordBatch], pa.RecordBatch]


class Engine(Protocol):
    """Runs work over batches."""

    def ahead(self, work: str) -> AbstractContextManager[None]:
        """Make ready for the work that will be run inside, while other things are done."""

    def kept(self) -> AbstractContextManager[None]:
        """Let what work needs stay for its next run inside."""

    def run(self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Results of the batches, one each, in their order; at most a few batches are in flight."""


def choose(workers: int | None, n_batches: int | None, limits: Limits = NO_LIMITS) -> Engine:
    """The engine for so many batches (None: it is not known): `workers` processes (None: one per core), or this process
    for 0.
    """
    wanted = usable_cores() if workers is None else workers
    if n_batches is not None:
        wanted = min(wanted, n_batches)
    return ProcessEngine(wanted, limits) if wanted else InlineEngine()
