"""The process at the other end of the pipes: `python -m dedup.engines.worker WORK`."""

import json
import os
import sys
import traceback
from importlib import import_module

from dedup.engines import wire


def main() -> None:
    """Answer batches until the parent closes the pipe."""
    tasks = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library reads or prints must not come between two frames.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    setup = json.loads(wire.receive(tasks))
    transform = None
    while True:
        try:
            payload = wire.receive(tasks)
        except EOFError:
            return
        try:
            transform = transform or import_module(sys.argv[1]).start(setup)
            answer = wire.DONE + wire.batch_bytes(transform(wire.bytes_batch(payload)))
        except Exception:  # noqa: BLE001  # it is raised again in the parent, with this traceback
            answer = wire.FAILED + traceback.format_exc().encode()
        wire.send(answers, answer)


if __name__ == "__main__":
    main()
