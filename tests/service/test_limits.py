"""Hostile and slow clients: they are refused in bounded memory, and others are served meanwhile."""

import os
import signal
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bank.made import bank_of, photos
from tests.service.made import Server, serving
from tests.service.test_endpoints import assert_problem

SHOP = "/v1/banks/shop"
OWN = photos(range(4))
LIMITS = {
    "body_bytes": 1_000_000,
    "body_seconds": 8.0,
    "pictures": 4,
    "decoders": 1,
    "decode_seconds": 15.0,
    "connections": 200,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process with small limits, so that a test reaches them."""
    folder = tmp_path_factory.mktemp("service")
    bank_of(folder / "shop.bank", OWN).close()
    with serving(folder, [folder / "shop.bank"], settings={"limits": LIMITS}) as running:
        yield running


def talk(server: Server, *parts: bytes, pause: float = 0.0, wait: float = 30.0) -> bytes:
    """What the server answers to raw bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        with suppress(ConnectionError):  # it may be closed before all is sent
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
        except (ConnectionResetError, TimeoutError):
            pass
        return answer


def head(length: int | None, *lines: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    first = f"POST {SHOP}/checks HTTP/1.1"
    named = [first, "Host: localhost", "Content-Type: image/png", size, *lines, "", ""]
    return "\r\n".join(named).encode()


def assert_unharmed(server: Server) -> None:
    """Another client is answered as always."""
    reply = server.post(f"{SHOP}/checks", OWN["001.png"])

    assert (200, "001.png") == (reply.status, reply.json["matches"][0]["id"])


def test_a_body_of_2_gb_is_refused_before_it_is_read(server: Server) -> None:
    """By its length alone: not a byte of it was sent."""
    answer = talk(server, head(2_000_000_000), wait=3.0)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:dedup:problem:too-large" in answer
    assert_unharmed(server)


def test_a_body_without_a_length_is_counted_while_it_streams(server: Server) -> None:
    """Refused at a megabyte; the connection is closed after 64 more that nobody reads."""
    before = server.memory()
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head(None))
        sent = 0
        with suppress(ConnectionError):
            while sent < 10**9:
                connection.sendall(chunk)
                sent += len(chunk)

    assert sent < 100_000_000
    assert server.memory() - before < 50_000_000
    assert_unharmed(server)


def test_half_bodies_are_given_up(server: Server) -> None:
    """Many clients that stop half-way hold nobody up, and each is answered 408."""
    begin = time.monotonic()
    with ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(talk, server, head(1_000), b"half") for _ in range(50)]
        for _ in range(5):
            assert_unharmed(server)
        answers = {one.result().split(b"\r\n")[0] for one in asked}

    assert {b"HTTP/1.1 408 Request Timeout"} == answers
    assert time.monotonic() - begin < 60


def test_bytes_that_trickle_are_given_up(server: Server) -> None:
    """A byte a second is below the least rate, though no wait is long."""
    begin = time.monotonic()
    answer = talk(server, head(1_000), *[b"x"] * 30, pause=1.0)

    assert answer.startswith(b"HTTP/1.1 408 ")
    # Five seconds of grace, and five for the rest of the body; then it is cut off.
    assert time.monotonic() - begin < 30


def test_connections_without_a_request_are_closed(server: Server) -> None:
    """Neither silence nor half a head keeps a connection for ever."""
    with ThreadPoolExecutor(3) as threads:
        silent = threads.submit(talk, server)
        half = threads.submit(talk, server, b"GET /healthz HTTP/1.1\r\nHo")
        long = threads.submit(talk, server, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000)

        assert [b"", b""] == [silent.result(), half.result()]
        assert long.result().startswith(b"HTTP/1.1 400 ")
    assert_unharmed(server)


def test_more_connections_than_allowed_are_refused_at_once(server: Server) -> None:
    """And those that are let in again after it."""
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    answer = talk(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for connection in held:
        connection.close()
    time.sleep(0.5)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert_unharmed(server)


def test_who_finds_no_place_is_told_before_his_body_is_read(server: Server) -> None:
    """503 with Retry-After; the places that checks keep are not for submissions."""
    (decoder,) = server.decoders()
    body = OWN["000.png"]
    with ThreadPoolExecutor(8) as threads:
        os.kill(decoder, signal.SIGSTOP)
        at_work = [threads.submit(server.post, f"{SHOP}/submissions", body) for _ in range(3)]
        time.sleep(0.5)
        submission = talk(server, head(900_000).replace(b"/checks", b"/submissions"), wait=2.0)
        at_work.append(threads.submit(server.post, f"{SHOP}/checks", body))
        time.sleep(0.5)
        check = talk(server, head(900_000), wait=2.0)
        os.kill(decoder, signal.SIGCONT)

    for answer in (submission, check):
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer.lower()
    assert {200} == {one.result().status for one in at_work}
    assert_unharmed(server)


def test_a_decoder_that_hangs_or_dies_costs_one_answer(server: Server) -> None:
    """The picture that was being decoded is unreadable; the next one is read."""
    for signal_, said in ((signal.SIGSTOP, "limits.decode_seconds"), (signal.SIGKILL, "")):
        assert_unharmed(server)
        (decoder,) = server.decoders()
        os.kill(decoder, signal_)
        reply = server.post(f"{SHOP}/checks", OWN["000.png"])
        if signal_ == signal.SIGSTOP:
            assert_problem(reply, 422, "unreadable")
            assert said in reply.json["detail"]
        assert_unharmed(server)


def test_pictures_that_unpack_to_gigabytes_are_too_large(server: Server) -> None:
    """By their head, before they are unpacked."""
    before = server.memory()
    replies = [server.post(f"{SHOP}/checks", bomb(side)) for side in (60_000, 2**31 - 1)]

    assert {422} == {reply.status for reply in replies}
    assert "too_large" == replies[0].json["picture_status"]
    assert server.memory() - before < 200_000_000


def bomb(side: int) -> bytes:
    """A PNG of some kilobytes that says it has side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(10_000_000))
    parts = (chunk(b"IHDR", size), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/html", 415),
        ("application/json; charset=utf-16", 422),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "x" * 500, 400),
        ("image/svg+xml", 422),
        ("nonsense", 415),
        ("image/png; " + "a=b;" * 5_000, 200),
    ],
)
def test_wrong_types_of_bodies_are_refused(server: Server, kind: str, status: int) -> None:
    """With a problem document, never a mistake of the service."""
    body = b"<svg/>" if "svg" in kind else OWN["000.png"]
    reply = server.ask("POST", f"{SHOP}/checks", body, {"Content-Type": kind})

    assert status == reply.status


def test_wrong_keys_take_no_memory(tmp_path: Path) -> None:
    """2,000 of them, and the right one works as before; benchmarks/service.py has 100,000."""
    path = tmp_path / "shop.bank"
    with bank_of(path, OWN) as bank:
        key = bank.keys.add("right", ["check"])
    with serving(tmp_path, [path], key=key) as server:
        assert_unharmed(server)
        before = server.memory()
        wrong = {
            server.ask("GET", SHOP, headers={"Authorization": f"Bearer dk_{k}"}).status
            for k in range(2_000)
        }
        after = server.memory()

        assert {401} == wrong
        assert after - before < 10_000_000
        assert_unharmed(server)
