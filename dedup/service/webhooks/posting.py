"""One POST to one checked address: no redirects, no proxies, an answer of bounded size."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dedup.service.webhooks.addresses import Place, RefusedError, check
from dedup.versions import DEDUP_VERSION

MAX_ANSWER: Final = 64_000  # bytes that are read of an answer

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""A host and a port to all of its addresses."""

Connector = Callable[
    [str, int, ssl.SSLContext | None, str | None],
    Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
]
"""Address, port, TLS and the name to be proved, to a connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a target answered."""

    status: int
    retry_after: float | None = None  # seconds


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system resolves it."""
    loop = asyncio.get_running_loop()
    found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


async def connect(
    address: str, port: int, tls: ssl.SSLContext | None, name: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to an address, whose certificate is for `name`."""
    return await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)


async def post(
    place: Place,
    headers: Mapping[str, str],
    body: bytes,
    timeout: float,
    *,
    resolver: Resolver = resolve,
    connector: Connector = connect,
) -> Reply:
    """Send it. Raises `RefusedError` for an address that is not allowed, `OSError` (also for a
    time-out) where nobody answers.
    """
    async with asyncio.timeout(timeout):
        try:
            addresses = await resolver(place.host, place.port)
        except UnicodeError as error:
            message = f"{place.host!r} is not a name of a host"
            raise RefusedError(message) from error
        address = check(place, addresses)
        tls = ssl.create_default_context() if place.scheme == "https" else None
        name = place.host if tls is not None else None
        reader, writer = await connector(address, place.port, tls, name)
        try:
            writer.write(_request(place, headers, body))
            await writer.drain()
            return await _reply(reader)
        finally:
            writer.close()


def _request(place: Place, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {place.path} HTTP/1.1",
        f"Host: {place.authority}",
        f"User-Agent: dedup/{DEDUP_VERSION}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _reply(reader: asyncio.StreamReader) -> Reply:
    """Status and Retry-After of an answer; its body is not of interest."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_ANSWER:
        chunk = await reader.read(4_096)
        if not chunk:
            break
        head += chunk

    first, *rest = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split()
    if len(words) < 2 or not words[0].startswith("HTTP/1") or not words[1].isdigit():
        message = "the answer is not one of HTTP"
        raise ConnectionError(message)

    return Reply(int(words[1]), _retry_after(rest))


def _retry_after(lines: list[str]) -> float | None:
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "retry-after" and value.strip().isdigit():
            return float(value.strip()[:9])
    return None
