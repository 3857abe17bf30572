"""Starts the service: one socket, and processes that answer on it, started again if they die."""

import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from dedup.bank import Bank
from dedup.errors import BankError, ConfigError, MissingExtraError
from dedup.service.settings import ServiceSettings
from dedup.tables.entries import DATABASE, PORTABLE

logger = logging.getLogger(__name__)

NEEDED: Final = ("fastapi", "uvicorn", "httptools")

_RESTART_SECONDS: Final = 0.5  # between two starts of a process that dies at once
_EARLY_SECONDS: Final = 5.0
_MAX_EARLY_DEATHS: Final = 5
_STOP_SECONDS: Final = 15.0  # for requests under way, when the service is stopped


def require_extra() -> None:
    """Raises `MissingExtraError` where the packages that serve are not installed."""
    missing = [name for name in NEEDED if _is_missing(name)]
    if missing:
        message = (
            "The service needs an extra: pip install 'dedup-images[service]'."
            f" Missing: {', '.join(missing)}."
        )
        raise MissingExtraError(message)


def _is_missing(name: str) -> bool:
    try:
        return find_spec(name) is None
    except ModuleNotFoundError:
        return True


def serve(
    banks: Sequence[Path],
    settings: ServiceSettings,
    *,
    read_only: bool = False,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C. `announce` receives the address once it is listened on.

    Raises `ConfigError` for an address that others can reach while a bank has no keys.
    """
    require_extra()
    refuse_open_banks(banks, settings)
    listening = _listening(settings)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    with tempfile.TemporaryDirectory(prefix="dedup-service-") as folder:
        counted = Path(folder) / "metrics"
        _create_metrics(counted, settings.server.workers)
        supervisor = _Supervisor(banks, settings, listening, counted, read_only=read_only)
        try:
            supervisor.start()
            announce(f"http://{shown}:{port}")
            supervisor.watch()
        finally:
            supervisor.stop()
            listening.close()


def refuse_open_banks(banks: Sequence[Path], settings: ServiceSettings) -> None:
    """Raises `ConfigError` where others could use a bank without a key."""
    for path in banks:
        if not path.name.endswith(PORTABLE) and not (path / DATABASE).is_file():
            message = (
                f"{str(path)!r} is not a bank. Build one with 'dedup bank build {path} SOURCE'."
            )
            raise ConfigError(message)

    if _is_loopback(settings.server.host):
        return

    for path in banks:
        if path.name.endswith(PORTABLE):
            message = (
                f"{str(path)!r} has no keys, so it is served on 127.0.0.1 only. Build a bank of it"
                " to serve others."
            )
            raise ConfigError(message)
        with Bank(path, read_only=True) as bank:
            if not bank.keys.any():
                message = (
                    f"{str(path)!r} has no keys, and others can reach {settings.server.host!r}."
                    f" Make one: dedup bank keys add {path} NAME --scope submit"
                )
                raise ConfigError(message)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True

    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback

    return False


def _listening(settings: ServiceSettings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        message = f"server.host {host!r}, port {port}: {error.strerror or error}."
        raise ConfigError(message) from error

    made.listen(2_048)
    made.set_inheritable(True)

    return made


def _create_metrics(path: Path, n: int) -> None:
    from dedup.service.metrics import Metrics

    Metrics.create(path, n)


@dataclass
class _Supervisor:
    """The processes."""

    banks: Sequence[Path]
    settings: ServiceSettings
    listening: socket.socket
    metrics: Path
    read_only: bool
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started_at: dict[int, float] = field(default_factory=dict)  # by row
    early_deaths: int = 0  # in a row

    def start(self) -> None:
        """Start all."""
        self.processes = [self._started(row) for row in range(self.settings.server.workers)]

    def watch(self) -> None:
        """Start again what dies, until this process is told to stop."""
        while True:
            for row, process in enumerate(self.processes):
                if process.poll() is not None:
                    self._note_death(row, process.poll())
                    self.processes[row] = self._started(row)
            time.sleep(_RESTART_SECONDS)

    def _note_death(self, row: int, code: int | None) -> None:
        """Raises `BankError` where processes die before they can have served anybody."""
        logger.warning("Process %d ended (%s); it is started again.", row, code)
        early = time.monotonic() - self.started_at[row] < _EARLY_SECONDS and code != -signal.SIGKILL
        self.early_deaths = self.early_deaths + 1 if early else 0

        if self.early_deaths >= _MAX_EARLY_DEATHS:
            message = (
                f"The processes that answer end as soon as they are started (exit code {code})."
                " What they printed before this says why."
            )
            raise BankError(message)

    def stop(self) -> None:
        """Let requests under way end, then end what is left."""
        for process in self.processes:
            process.terminate()

        end = time.monotonic() + _STOP_SECONDS
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()

    def _started(self, row: int) -> subprocess.Popen[bytes]:
        setup: dict[str, Any] = {
            "socket": self.listening.fileno(),
            "banks": [str(path) for path in self.banks],
            "settings": self.settings.model_dump_json(),
            "metrics": str(self.metrics),
            "row": row,
            "read_only": self.read_only,
        }
        self.started_at[row] = time.monotonic()
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dedup.service.process"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            pass_fds=[self.listening.fileno()],
            start_new_session=True,
        )
        if process.stdin is not None:
            with suppress(OSError):  # it died at once: it is started again, and says why
                process.stdin.write(json.dumps(setup).encode() + b"\n")
                process.stdin.flush()

        return process
