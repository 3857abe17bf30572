"""What runs on a node of a Ray cluster: one batch at a time, in a process of our own that stays for
the next batch.

Ray's worker decodes nothing itself, so that a picture that kills a codec costs its row and no task.
With each result goes a report: which node it was, what it makes of the canary pictures, and which
files it could not open.
"""

import json
import socket
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any

import pyarrow as pa
import ray

from dedup.decoding.contents import unopened
from dedup.engines import wire
from dedup.engines.child import Limits, Worker
from dedup.errors import InternalError
from dedup.versions import VERSIONS

_kept: list[Worker] = []
"""The process that this worker of Ray keeps, for whatever work comes next: none or one."""

_canaries: dict[tuple[str, str], str | None] = {}
"""By work and setup, what the process made of the canary pictures."""


def do(
    work: str, setup: str, seconds: float | None, n_bytes: int | None, payload: bytes
) -> tuple[str, bytes]:
    """The report on a batch, as JSON, and the answer: a frame as a worker gives it over its pipe.

    `setup` is JSON, `seconds` and `n_bytes` are the limits of the process.
    """
    batch = wire.bytes_batch(payload)
    done, canary = False, None
    try:
        worker = _worker(work, json.loads(setup), Limits(seconds, n_bytes))
        key = work, setup
        if key not in _canaries:
            _canaries[key] = digest_of_canary(work, worker.do)
        canary, answer = _canaries[key], wire.DONE + wire.batch_bytes(worker.do(batch))
        done = True
    except InternalError as error:
        answer = wire.FAILED + str(error).encode()
    finally:
        if not done:  # it failed, or the task was cancelled while the process has the batch
            _end()

    return json.dumps(_report(batch, canary)), answer


def digest_of_canary(work: str, run: Callable[[pa.RecordBatch], pa.RecordBatch]) -> str | None:
    """What a worker makes of the canary pictures, as hex digits; None for work that has none."""
    canary_task = getattr(import_module(work), "canary_task", None)
    if canary_task is None:
        return None
    return sha256(repr(run(canary_task()).to_pylist()).encode()).hexdigest()


def node_name() -> str:
    """This node, for people: several can be on one machine."""
    return f"{socket.gethostname()}/{ray.get_runtime_context().get_node_id()[:8]}"


def _worker(work: str, setup: Mapping[str, Any], limits: Limits) -> Worker:
    if _kept and _kept[0].limits != limits:
        _end()
    if not _kept:
        _kept.append(Worker(work, limits))

    _kept[0].work, _kept[0].setup = work, setup

    return _kept[0]


def _end() -> None:
    _canaries.clear()
    while _kept:
        _kept.pop().stop()


def _report(batch: pa.RecordBatch, canary: str | None) -> dict[str, Any]:
    names = unopened(batch) if "path" in batch.schema.names else []
    return {
        "node": node_name(),
        "canary": canary,
        "versions": VERSIONS,
        "unopened": [name.decode("utf-8", "surrogateescape") for name in names],
    }
