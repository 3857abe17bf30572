"""Engines: where work runs. They get tasks and give results, in the order of the tasks, and know
nothing of images.

Work is a module, named by its import path, with two functions,

    start(setup) -> function from one record batch to one record batch
    lost(setup, batch, reason) -> the result for a batch whose worker died on it

and, where results depend on what is installed, a third:

    canary_task() -> a batch of which all machines must make the same

`setup` is plain JSON and batches are Arrow, so that work can be sent to another process or machine
without pickling.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa

from dedup.engines.child import NO_LIMITS, Limits, Worker
from dedup.engines.inline import InlineEngine
from dedup.engines.processes import ProcessEngine
from dedup.memory import usable_cores

if TYPE_CHECKING:
    # a worker needs none, and it takes a tenth of a second
    from dedup.config.sections import (
        EngineConfig,
    )

__all__ = [
    "Distributed",
    "Engine",
    "InlineEngine",
    "Limits",
    "ProcessEngine",
    "Transform",
    "Worker",
    "choose",
    "local",
    "made",
]

Transform = Callable[[pa.RecordBatch], pa.RecordBatch]


class Engine(Protocol):
    """Runs work over batches. One is made for a run, and handed to whoever has pictures to
    decode.
    """

    @property
    def workers(self) -> int:
        """How many batches are worked on at a time."""

    @property
    def reaches(self) -> bool:
        """Whether work finds the files of this machine: else batches hold the bytes that they are
        about.
        """

    def ahead(self, work: str) -> AbstractContextManager[None]:
        """Make ready for the work that will be run inside, while other things are done."""

    def kept(self) -> AbstractContextManager[None]:
        """Let what work needs stay for its next run inside."""

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, one each, in their order; at most a few batches are in flight."""

    def unordered(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The same results, each as soon as it is there: nobody waits for a slow batch in front of
        others.
        """


@runtime_checkable
class Distributed(Protocol):
    """What an engine has beside, if its work is done on other machines: tasks should name files
    wherever they can, as bytes would travel far.
    """

    @property
    def tasks_by_node(self) -> Mapping[str, int]:
        """How many batches each machine has done."""

    def close(self) -> None:
        """Leave the machines; nothing is run after it."""


def made(config: "EngineConfig") -> Engine:
    """The engine that a config asks for, with its limits of time and memory: they hold for all that
    it decodes.

    Raises `EngineError` where the cluster cannot be reached.
    """
    if config.kind == "processes":
        return local(config)

    from dedup.engines.ray import RayEngine

    return RayEngine.at(config.address, config.workers, Limits(config.timeout, config.memory))


def local(config: "EngineConfig") -> Engine:
    """The same on this machine, for what is too little for a cluster."""
    workers = config.workers if config.kind == "processes" else None
    return choose(workers, Limits(config.timeout, config.memory))


def choose(workers: int | None, limits: Limits = NO_LIMITS) -> Engine:
    """`workers` processes (None: one per core), or this process, without limits, for 0."""
    wanted = usable_cores() if workers is None else workers
    return ProcessEngine(wanted, limits) if wanted else InlineEngine()
