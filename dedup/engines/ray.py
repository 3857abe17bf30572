"""Work on a Ray cluster that exists, or on one that is started here for the run.

Tasks carry the names of files and results are small, so nothing is in Ray's object store that
could not be made again: Ray repeats the tasks of a node that is gone. What a node sends is used
only if it makes the same of the canary pictures as this machine does.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import pyarrow as pa

from dedup.decoding.contents import can_open
from dedup.engines import wire
from dedup.engines.child import NO_LIMITS, Limits
from dedup.engines.cluster import Cluster, connected
from dedup.engines.inline import InlineEngine
from dedup.errors import EngineError, InternalError
from dedup.versions import VERSIONS

logger = logging.getLogger(__name__)

_IN_FLIGHT_PER_WORKER: Final = 2  # one at work, one waiting: bounds what is in memory
_TRIES: Final = 100
"""Times that a task is repeated: nodes may go again and again, but not without end."""

_OWN: Final = "dedup-images"  # its version decides the protocol, too

_PATIENCE: Final = 60  # seconds without any result, after which the user is told what is missing


class RayEngine:
    """Runs batches as tasks of one CPU each, on the nodes of a cluster."""

    reaches: bool = True  # shared storage is asked for; a node that lacks it is refused

    def __init__(self, cluster: Cluster, workers: int | None, limits: Limits = NO_LIMITS) -> None:
        self._cluster = cluster
        self._most = workers
        self._limits = limits
        self._tasks: Counter[str] = Counter()

    @classmethod
    def at(
        cls, address: str | None, workers: int | None, limits: Limits = NO_LIMITS
    ) -> "RayEngine":
        """On the cluster at an address; None starts one on this machine.

        Raises `EngineError` within seconds where there is none, `MissingExtraError` without Ray.
        """
        return cls(connected(address, workers), workers, limits)

    @property
    def workers(self) -> int:
        """The CPUs of the cluster at this moment, or fewer where the config says so."""
        n_cpus = max(1, self._cluster.n_cpus())
        return n_cpus if self._most is None else max(1, min(self._most, n_cpus))

    @property
    def tasks_by_node(self) -> Mapping[str, int]:
        """How many results each node sent."""
        return dict(sorted(self._tasks.items()))

    def ahead(self, work: str) -> AbstractContextManager[None]:
        """Nodes start their processes with their first task."""
        return nullcontext()

    def kept(self) -> AbstractContextManager[None]:
        """Nodes keep their processes by themselves."""
        return nullcontext()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._tasks:
            per_node = ", ".join(f"{name}: {n:,}" for name, n in self.tasks_by_node.items())
            logger.info("Ray: tasks done by %s nodes: %s", len(self._tasks), per_node)
        self._cluster.leave()

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order; at most two per CPU are in flight."""
        return self._results(work, setup, batches, n_waited_for=1)

    def unordered(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Results of the batches, each when it is there; at most two per CPU are in flight."""
        return self._results(work, setup, batches, n_waited_for=None)

    def _results(
        self,
        work: str,
        setup: Mapping[str, Any],
        batches: Iterable[pa.RecordBatch],
        n_waited_for: int | None,
    ) -> Iterator[pa.RecordBatch]:
        """`n_waited_for`: the oldest tasks, of which the first to end is taken; None: of all."""
        from dedup.engines import ray_node

        submit = self._cluster.task(ray_node.do, tries=_TRIES)
        text, limits = json.dumps(setup), (self._limits.seconds, self._limits.n_bytes)
        expected = ray_node.digest_of_canary(
            work, lambda batch: next(InlineEngine().run(work, setup, [batch]))
        )
        asked: list[Any] = []

        def next_one() -> pa.RecordBatch:
            task = self._first_done(asked[:n_waited_for])
            asked.remove(task)
            report, answer = self._cluster.get(task)
            return self._checked(work, report, answer, expected)

        try:
            for batch in batches:
                asked.append(submit(work, text, *limits, wire.batch_bytes(batch)))
                while len(asked) >= _IN_FLIGHT_PER_WORKER * self.workers:
                    yield next_one()
            while asked:
                yield next_one()
        finally:
            for task in asked:
                self._cluster.cancel(task)

    def _first_done(self, tasks: list[Any]) -> Any:
        waited = 0
        while (done := self._cluster.wait(tasks, _PATIENCE)) is None:
            waited += _PATIENCE
            logger.warning(
                "Ray: no result for %s s. The cluster has %s CPUs; other jobs may hold them, or"
                " nodes are starting.",
                waited,
                self._cluster.n_cpus(),
            )

        return done

    def _checked(
        self, work: str, report: str, answer: bytes, expected: str | None
    ) -> pa.RecordBatch:
        """The result of a task; raises `EngineError` where its node cannot be trusted with it."""
        said = json.loads(report)
        self._tasks[said["node"]] += 1
        if answer[:1] == wire.FAILED:
            message = f"{work} failed on the node {said['node']!r}:\n{answer[1:].decode()}"
            raise InternalError(message)

        _refuse_other_environment(said, expected)
        _refuse_paths_of_this_machine(said)

        return wire.bytes_batch(answer[1:])


def _refuse_other_environment(report: Mapping[str, Any], expected: str | None) -> None:
    there, here = report["versions"], dict(VERSIONS)
    if report["canary"] == expected and there[_OWN] == here[_OWN]:
        return

    other = [
        f"{name} {there.get(name, 'missing')} there, {here.get(name, 'missing')} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    why = "; ".join(other) or "the versions are the same, so its libraries were built otherwise"
    message = (
        f"The node {report['node']!r} makes something else of the canary pictures than this"
        f" machine ({why}): its codes cannot be compared with the others. Install the same"
        " versions on all nodes."
    )
    raise EngineError(message)


def _refuse_paths_of_this_machine(report: Mapping[str, Any]) -> None:
    for name in report["unopened"]:
        if can_open(name.encode("utf-8", "surrogateescape")):
            message = (
                f"The node {report['node']!r} cannot open {name!r}, which can be opened on this"
                " machine. Put the dataset where all nodes find it under the same name: a shared"
                " file system, or URLs (s3://…)."
            )
            raise EngineError(message)
