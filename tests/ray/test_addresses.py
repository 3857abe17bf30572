"""Addresses that lead to no cluster: each a message within ten seconds."""

import socket
import threading
import time
from typing import Any

import pytest

from dedup.config import build
from dedup.engines import made
from dedup.engines.ray import RayEngine
from dedup.errors import EngineError


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def test_nobody_listens() -> None:
    """An address without a cluster is refused within ten seconds, not in Ray's five minutes."""
    begin = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=f"no Ray cluster at '{address}'.*Connection refused"):
        made(build({"engine": {"kind": "ray", "address": address}}).engine)

    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", None])
def test_something_else_listens(answer: bytes | None) -> None:
    """A server that closes, says something else, or nothing at all, is not a cluster."""
    with socket.create_server(("", 0)) as server:  # Ray takes localhost for this machine's name
        server.settimeout(20)
        taken: list[socket.socket] = []

        def serve() -> None:
            peer, _ = server.accept()
            taken.append(peer)
            if answer is not None:
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        begin = time.monotonic()
        with pytest.raises(EngineError, match="no Ray cluster at"):
            RayEngine.at(f"127.0.0.1:{server.getsockname()[1]}", None)
        thread.join()
        for peer in taken:
            peer.close()

    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("address", ["here", "host:", ":6379", "host:port"])
def test_what_is_not_an_address(address: str) -> None:
    """The message says how an address is written."""
    with pytest.raises(EngineError, match="it is host:port of a Ray cluster"):
        RayEngine.at(address, None)


def test_auto_without_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Where no cluster runs, "auto" says how to get one."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(EngineError, match="finds no Ray cluster on this machine"):
        RayEngine.at("auto", None)
