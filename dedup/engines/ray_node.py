"""What runs on a node of a Ray cluster: one batch at a time, in a process of our own that stays for
the next batch.

Ray's worker decodes nothing itself, so that a picture that kills a codec costs its row and no task.
With each result goes a report: which node it was, what it makes of the canary pictures, and which
files it could not open.
"""

import json
import socket
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from typing import Any, Final

import pyarrow as pa
import ray

from dedup.decoding.contents import unopened
from dedup.engines import wire
from dedup.engines.child import Limits, Worker
from dedup.errors import InternalError
from dedup.versions import VERSIONS

_MAX_KEPT: Final = 2
"""Processes that a worker of Ray keeps: hashing and the second look do not end each other's."""

_kept: OrderedDict[tuple[str, str], tuple[Worker, str | None]] = OrderedDict()
"""By work and setup: the process, and what it made of the canary pictures."""


def do(
    work: str, setup: str, seconds: float | None, n_bytes: int | None, payload: bytes
) -> tuple[str, bytes]:
    """The report on a batch, as JSON, and the answer: a frame as a worker gives it over its pipe.

    `setup` is JSON, `seconds` and `n_bytes` are the limits of the process.
    """
    batch = wire.bytes_batch(payload)
    key = (work, setup)
    done = False
    try:
        child, canary = _kept[key] if key in _kept else _start(key, Limits(seconds, n_bytes))
        answer = wire.DONE + wire.batch_bytes(child.do(batch))
        done = True
    except InternalError as error:
        canary, answer = None, wire.FAILED + str(error).encode()
    finally:
        if not done:  # it failed, or the task was cancelled while the process has the batch
            _end(key)

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


def _start(key: tuple[str, str], limits: Limits) -> tuple[Worker, str | None]:
    work, setup = key
    child = Worker(work, limits)
    child.setup = json.loads(setup)
    _kept[key] = (child, None)
    while len(_kept) > _MAX_KEPT:
        _end(next(iter(_kept)))

    _kept[key] = (child, digest_of_canary(work, child.do))
    return _kept[key]


def _end(key: tuple[str, str]) -> None:
    child, _ = _kept.pop(key, (None, None))
    if child is not None:
        child.stop()


def _report(batch: pa.RecordBatch, canary: str | None) -> dict[str, Any]:
    names = unopened(batch) if "path" in batch.schema.names else []
    return {
        "node": node_name(),
        "canary": canary,
        "versions": VERSIONS,
        "unopened": [name.decode("utf-8", "surrogateescape") for name in names],
    }
