"""The page's server: on this machine only, under an address that nobody can guess.

The standard library's server is enough: one person looks, and what takes time is decoding, which
is done by other processes.
"""

import json
import logging
import secrets
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from dedup.errors import DedupError, RunError
from dedup.review.album import LARGE, THUMB
from dedup.review.session import Session

logger = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
_MAX_BODY: Final = 100_000  # bytes of a request: a judgement has some hundred
_TOKEN_BYTES: Final = 24

_STATIC: Final = {
    "review.js": "text/javascript; charset=utf-8",
    "pair.js": "text/javascript; charset=utf-8",
    "review.css": "text/css; charset=utf-8",
    "pair.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

Get = Callable[[Session, Mapping[str, str]], dict[str, Any]]
Post = Callable[[Session, Mapping[str, Any]], dict[str, Any]]

_GET: Final[Mapping[str, Get]] = {
    "run": lambda session, asked: session.about(),
    "rows": Session.rows,
    "facets": Session.facets,
    "place": Session.place,
    "pair": Session.pair,
    "over": Session.laid_over,
    "precision": Session.precision,
    "limit": lambda session, asked: session.limit(),
    "between": Session.between,
    "lists": lambda session, asked: session.lists(),
}
_POST: Final[Mapping[str, Post]] = {
    "judge": Session.judge,
    "undo": Session.undo,
    "plan": Session.plan,
    "apply": Session.apply,
}


class Server(ThreadingHTTPServer):
    """Serves one session until it is closed."""

    daemon_threads = True
    allow_reuse_address = False  # two reviews never share a port

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            message = (
                f"Port {port} of {HOST} cannot be used: {error.strerror}. Name another one with"
                " --port, or leave it out for a free one."
            )
            raise RunError(message) from error

    def server_bind(self) -> None:
        """Bind without asking a name server for the machine's name."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the page is."""
        return urlunsplit(("http", f"{HOST}:{self.server_port}", f"/{self.token}/", "", ""))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds of silence on a connection
    server: Server

    def do_GET(self) -> None:  # the name that the standard library calls
        """The page, its files, pictures and data."""
        path = self._path()
        if path is None:
            return

        if path == "":
            self._send(_page(), "text/html; charset=utf-8")
        elif path.startswith("static/") and path[7:] in _STATIC:
            self._send(_file(path[7:]), _STATIC[path[7:]])
        elif path.startswith(("thumb/", "large/")):
            self._picture(path)
        elif path.startswith("api/") and path[4:] in _GET:
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            self._answer(lambda: _GET[path[4:]](self.server.session.refreshed(), asked))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """What changes something: only from the page itself."""
        path = self._path()
        if path is None:
            return

        given = self._body()
        if given is None:
            return

        if path.startswith("api/") and path[4:] in _POST:
            self._answer(lambda: _POST[path[4:]](self.server.session.refreshed(), given))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged: their addresses hold the token."""

    def _path(self) -> str | None:
        """The path behind the token; None, and an answer, for whoever must not ask.

        A page elsewhere can make a browser ask by a name that it lets point here, so the name must
        be ours; and it does not know the token.
        """
        port = self.server.server_port
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")

        if self.headers.get("Host") not in hosts or (
            origin is not None
            and origin not in {urlunsplit(("http", host, "", "", "")) for host in hosts}
        ):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None

        token, _, path = urlsplit(self.path).path[1:].partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None

        return path

    def _body(self) -> dict[str, Any] | None:
        """The request's JSON; None, and an answer, where it is not one."""
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get("Content-Type", "").split(";")[0]
        if not length.isdecimal() or int(length) > _MAX_BODY or kind != "application/json":
            self.close_connection = True
            self._refuse(HTTPStatus.BAD_REQUEST)
            return None

        try:
            given = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            given = None

        if not isinstance(given, dict):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return None

        return given

    def _picture(self, path: str) -> None:
        size, _, number = path.partition("/")
        session = self.server.session
        if not number.isdecimal() or int(number) >= session.run.n_samples:
            self._refuse(HTTPStatus.NOT_FOUND)
            return

        shown = session.album.picture(int(number), THUMB if size == "thumb" else LARGE)
        if shown.jpeg is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return

        fresh = shown.state in {"ok", "changed"}
        kept = "private, max-age=3600" if fresh else "no-store"
        self._send(shown.jpeg, "image/jpeg", {"Cache-Control": kept})

    def _answer(self, ask: Callable[[], dict[str, Any]]) -> None:
        try:
            content, status = ask(), HTTPStatus.OK
        except DedupError as error:
            content, status = {"error": str(error)}, HTTPStatus.CONFLICT
        except OSError as error:
            content, status = {"error": f"{error}"}, HTTPStatus.CONFLICT

        text = json.dumps(content, ensure_ascii=False, allow_nan=False, default=_plain)
        self._send(
            text.encode("utf-8", "replace"),
            "application/json",
            {"Cache-Control": "no-store"},
            status,
        )

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status.phrase.encode(), "text/plain", {"Cache-Control": "no-store"}, status)

    def _send(
        self,
        body: bytes,
        kind: str,
        headers: Mapping[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        try:
            self.send_response(status)
            given = {"Cache-Control": "no-cache", **_HEADERS, **(headers or {})}
            for name, value in {**given, "Content-Type": kind}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the page went on before it had the answer


def _page() -> bytes:
    return _file("page.html")


def _file(name: str) -> bytes:
    return resources.files("dedup.review").joinpath("static", name).read_bytes()


def _plain(value: object) -> Any:
    """What JSON has no form for: numbers of NumPy."""
    return getattr(value, "item", lambda: str(value))()
