"""Connections with limits: on their number, on heads that do not end, on bodies nobody wants."""

import asyncio
import json
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dedup.service.problems import MEDIA_TYPE, Problem

HEAD_SECONDS: Final = 10.0
"""Until the head of a request is there: an honest one comes in one piece."""

MAX_HEAD: Final = 64_000
"""Bytes of an address and headers together."""

DRAIN_SECONDS: Final = 5.0
"""For the rest of such a body: who goes on sending slowly must not keep a connection for ever."""

MAX_DRAINED: Final = 64_000_000
"""Bytes of a body that are read and dropped after its request was answered.

A client that sends without listening would see a broken connection, and not the answer, if it were
closed at once.
"""


def bounded(max_connections: int) -> type[HttpToolsProtocol]:
    """The protocol with a limit on the connections of one process."""

    class Bounded(BoundedProtocol):
        limit = max_connections

    return Bounded


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits of its own."""

    limit: int = 2_000

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._drained = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        if len(self.connections) > self.limit:
            self._end_with(Problem("busy", "There are too many connections. Try again."))
            return

        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head_is_there()
        self._body_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = self._drained = 0
        self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        """Some of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_is_there()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body; dropped where the request is answered already."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._drained += len(body)
            if self._drained > MAX_DRAINED:
                self.transport.abort()

    def on_message_complete(self) -> None:
        """The whole body came."""
        self._body_is_there()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is sent, maybe before the body was."""
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            self._drain_timer = self.loop.call_later(DRAIN_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem as well."""
        self._end_with(Problem("bad-request", msg))

    def _count(self, n: int) -> None:
        self._head_bytes += n
        if self._head_bytes > MAX_HEAD:
            message = "the head of the request is too large"
            raise ValueError(message)  # the parser ends the connection with a 400

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _body_is_there(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None

    def _end_with(self, problem: Problem) -> None:
        body = json.dumps(problem.document()).encode()
        phrase = "Bad Request" if problem.status == 400 else "Service Unavailable"
        head = (
            f"HTTP/1.1 {problem.status} {phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
