"""The process at the other end of the pipes: `python -m dedup.engines.worker WORK BYTES`."""

import json
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module

from dedup.engines import wire
from dedup.lean import never_import_pandas


def main() -> None:
    """Answer batches until the parent closes the pipe."""
    never_import_pandas()
    tasks = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library reads or prints must not come between two frames.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _limit_memory(int(sys.argv[2]))

    with suppress(
        Exception
    ):  # before there is something to do; what fails here fails again there, and is told
        import_module(sys.argv[1])

    work, setup, transform = sys.argv[1], {}, None
    while True:
        try:
            payload = wire.receive(tasks)
        except EOFError:
            return
        if payload[:1] == wire.TASK:
            (work, setup), transform = json.loads(payload[1:]), None
            continue
        try:
            transform = transform or import_module(work).start(setup)
            answer = wire.DONE + wire.batch_bytes(transform(wire.bytes_batch(payload[1:])))
        except MemoryError:  # a property of the data, under the limit of this process
            answer = wire.NO_MEMORY
        except Exception:  # noqa: BLE001  # it is raised again in the parent, with this traceback
            answer = wire.FAILED + traceback.format_exc().encode()
        wire.send(answers, answer)


def _limit_memory(n_bytes: int) -> None:
    """Let this process have so much memory of its own, mapped files not counted; 0 is no limit."""
    if n_bytes == 0:
        return

    try:
        import resource  # not on Windows
    except ImportError:
        return

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or n_bytes < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, hard))


if __name__ == "__main__":
    main()
