"""One process that answers: `python -m dedup.service.process`, started by `running`.

Its setup is one line of JSON on standard input, which stays open as long as its parent lives: when
it ends, so does the process.
"""

import asyncio
import json
import logging
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from dedup.service.app import made
from dedup.service.metrics import Metrics
from dedup.service.protocol import bounded
from dedup.service.settings import ServiceSettings
from dedup.service.state import Service

logger = logging.getLogger(__name__)


def main() -> None:
    """Serve until told to stop."""
    setup = json.loads(sys.stdin.buffer.readline())
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    served = socket.socket(fileno=setup["socket"])
    server = uvicorn_server(setup)

    def watch_parent() -> None:
        while sys.stdin.buffer.read(4_096):
            pass
        server.should_exit = True

    threading.Thread(target=watch_parent, daemon=True).start()
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.serve(sockets=[served]))


def uvicorn_server(setup: Mapping[str, Any]) -> uvicorn.Server:
    """The server of one process, not running yet."""
    settings = ServiceSettings.model_validate_json(setup["settings"])
    service = Service(
        [Path(path) for path in setup["banks"]],
        settings,
        Metrics(Path(setup["metrics"]), setup["row"]),
        read_only=setup["read_only"],
    )
    config = uvicorn.Config(
        made(service),
        http=bounded(settings.limits.connections),
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        backlog=2_048,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
    )

    return uvicorn.Server(config)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
