"""The connection to a Ray cluster: made within seconds or refused, and left as it was found."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from dedup.errors import EngineError, MissingExtraError, because

_SECONDS: Final = 4.0
"""To reach a cluster, and to hear that it speaks gRPC: Ray itself would try for five minutes."""

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What every client of HTTP/2 says first, with empty settings (RFC 9113, section 3.4)."""

_SETTINGS: Final = 4  # type of the frame that a server answers with


class Cluster:
    """A cluster that this process is connected to."""

    def __init__(self, ray: Any, *, ours: bool) -> None:
        self._ray = ray
        self._ours = ours  # the connection was made here, so it ends here

    def n_cpus(self) -> int:
        """CPUs of all nodes that are alive."""
        with _translated(self._ray):
            return int(self._ray.cluster_resources().get("CPU", 0))

    def task(self, function: Callable[..., Any], *, tries: int) -> Callable[..., Any]:
        """A function that asks for a call on any node and returns what stands for its result.

        The call is repeated where its node or its result is lost.
        """
        remote = self._ray.remote(function).options(num_cpus=1, max_retries=tries)
        submit: Callable[..., Any] = remote.remote
        return submit

    def wait(self, tasks: list[Any], seconds: float) -> Any:
        """The first of some tasks that is done; None if none is after so many seconds."""
        with _translated(self._ray):
            done, _ = self._ray.wait(tasks, num_returns=1, timeout=seconds, fetch_local=False)
        return done[0] if done else None

    def get(self, task: Any) -> Any:
        """The result of a task."""
        with _translated(self._ray):
            return self._ray.get(task)

    def cancel(self, task: Any) -> None:
        """End a task, whether it runs or waits."""
        with _translated(self._ray):
            self._ray.cancel(task)

    def leave(self) -> None:
        """End the connection, if it was made here."""
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()


def connected(address: str | None, workers: int | None) -> Cluster:
    """The cluster at `host:port` or `ray://host:port`, the running one for "auto"; None starts one.

    A connection that the process has already is used as it is. `workers`: CPUs of a cluster that is
    started. Raises `EngineError` within seconds where there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reads it when it is imported
    try:
        import ray
    except ImportError as error:
        message = "The Ray engine needs an extra: pip install 'dedup-images[ray]'."
        raise MissingExtraError(message) from error

    if ray.is_initialized():
        return Cluster(ray, ours=False)

    found = None if address is None else _resolved(address)
    if found is not None:
        _refuse_unreachable(address or found, found)

    local = {} if found is not None else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(found, log_to_driver=False, logging_level="error", **local)
    except (Exception, SystemExit) as error:  # it is raised again, with the address
        message = f"engine.address: no Ray cluster at {address!r}: {because(error)[:500]}."
        raise EngineError(message) from error

    return Cluster(ray, ours=True)


def _resolved(address: str) -> str:
    """The address as Ray will use it: it takes "localhost" for this machine's name in the network.

    Raises `EngineError` for "auto" where no cluster runs, and for what is not an address.
    """
    if address.startswith("ray://"):
        return address
    if address != "auto" and not _is_host_and_port(address):
        raise _no_address(address)

    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address(address)
    except (ConnectionError, ValueError, OSError) as error:
        if address != "auto":
            _no_cluster(address, because(error), error)
        found = None

    if found is None:
        message = (
            "engine.address: 'auto' finds no Ray cluster on this machine. Start one (ray start"
            " --head), give host:port, or leave engine.address out: then one is started for the"
            " run."
        )
        raise EngineError(message)

    return str(found)


def _is_host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdigit()


def _no_address(name: str) -> EngineError:
    return EngineError(
        f"engine.address: got {name!r}; it is host:port of a Ray cluster, ray://host:port, or"
        " 'auto' for the one on this machine."
    )


def _refuse_unreachable(name: str, address: str) -> None:
    """Raise `EngineError` unless a server that speaks gRPC answers at the address."""
    place = address.removeprefix("ray://")
    if not _is_host_and_port(place):
        raise _no_address(name)

    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as peer:
            peer.sendall(_PREFACE)
            header = peer.recv(9)
    except (OSError, OverflowError) as error:
        _no_cluster(name, because(error), error)

    if len(header) < 4 or header[3] != _SETTINGS:
        _no_cluster(name, "what listens there is not Ray", None)


def _no_cluster(name: str, why: str, error: Exception | None) -> NoReturn:
    message = (
        f"engine.address: no Ray cluster at {name!r}: {why}. Start one (ray start --head), or name"
        " the address that it printed."
    )
    raise EngineError(message) from error


@contextmanager
def _translated(ray: Any) -> Iterator[None]:
    """Turn what Ray raises into errors of ours."""
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError) as error:
        message = (
            f"The Ray cluster failed: {type(error).__name__}: {because(error)[:500]}. What was"
            " hashed is in the cache: the same command goes on from there."
        )
        raise EngineError(message) from error
