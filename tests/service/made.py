"""A real server process, and requests that nothing of the package makes."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A service that runs."""

    port: int
    process: subprocess.Popen[str]
    log: Path
    headers: dict[str, str] = field(default_factory=dict)  # of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Reply:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        """A picture, as a client without dedup's package sends it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body, {"Content-Type": "image/png", **named})

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            try:
                if self.ask("GET", "/readyz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise TimeoutError(self.log.read_text())

    def children(self) -> list[int]:
        """The processes that answer."""
        return _children(self.process.pid)

    def decoders(self) -> list[int]:
        """The processes that decode."""
        return [pid for child in self.children() for pid in _children(child)]

    def memory(self) -> int:
        """Bytes of memory of the processes that answer and decode, their own pages only."""
        return sum(_own_bytes(pid) for pid in [*self.children(), *self.decoders()])


@contextmanager
def serving(
    folder: Path,
    banks: Sequence[Path],
    *options: str,
    settings: Mapping[str, Any] | None = None,
    key: str | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """A service of these banks until the block ends."""
    config = folder / "serve.yaml"
    config.write_text(yaml.safe_dump(dict(settings or {})))
    log = folder / "serve.log"
    command = [sys.executable, "-m", "dedup", "serve", *map(str, banks), "--config", str(config)]
    with log.open("w") as sink:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Listening on "):
            process.communicate(timeout=10)
            raise RuntimeError(line + log.read_text())
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        server = Server(int(line.strip().rpartition(":")[2]), process, log, headers)
        try:
            server.wait_until_ready()
            yield server
        finally:
            process.terminate()
            process.communicate(timeout=30)


@dataclass
class Received:
    """A webhook that came."""

    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Receiver:
    """A receiver of webhooks that answers what it is told to."""

    port: int
    received: list[Received] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # the next ones

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, n: int, seconds: float = 20.0) -> list[Received]:
        """The first n that come."""
        end = time.monotonic() + seconds
        while len(self.received) < n and time.monotonic() < end:
            time.sleep(0.02)
        return self.received[:]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on this machine."""
    receiver = Receiver(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            named = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(named, body, time.time()))
            status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    found = [int(child) for child in text.split()]
    threads = Path(f"/proc/{pid}/task")
    for task in threads.iterdir() if threads.exists() else []:
        if task.name != str(pid):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _own_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
