"""dedup.Client against a real server, and against one that fails."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup.bank import Answer, Submission
from dedup.errors import ServiceError
from tests.bank.made import bank_of, edited, photos
from tests.service.made import Server, serving

OWN = photos(range(4))
NEW = photos(range(30, 36))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("service")
    with bank_of(folder / "shop.bank", OWN) as bank:
        key = bank.keys.add("client", ["submit", "review"])
    with serving(folder, [folder / "shop.bank"], key=key) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[dedup.Client]:
    key = server.headers["Authorization"].removeprefix("Bearer ")
    with dedup.Client(server.url, key) as made:
        yield made


def test_a_check_is_what_the_bank_itself_answers(server: Server, client: dedup.Client) -> None:
    """The same `Answer`, from a path, from bytes, and from measures that leave the picture here."""
    path = server.log.parent / "asked.jpg"
    path.write_bytes(edited(OWN["002.png"]))
    with dedup.Bank(server.log.parent / "shop.bank", read_only=True) as bank:
        expected = bank.check(path)

    assert expected == client.check(path)
    assert expected == client.check(path.read_bytes())
    assert expected.verdict == client.check(client.measure(path)).verdict
    assert [m.id for m in expected.matches] == [
        m.id for m in client.check(client.measure(path)).matches
    ]


def test_submissions_join_and_can_be_reviewed(client: dedup.Client) -> None:
    """Verdicts, policies, and a version that changed."""
    approved = client.submit(NEW["030.png"], "a")
    rejected = client.submit(NEW["030.png"], "b")
    pending = client.submit(NEW["031.png"], "c", dedup.BankPolicy(always_review=True))
    assert isinstance(pending, Submission)
    with pytest.raises(ServiceError, match="changed"):
        client.review(pending.name, "approve", version=9)
    decided = client.review(pending.name, "approve", note="fine", version=pending.version)

    assert ["approved", "rejected", "pending"] == [
        one.verdict for one in (approved, rejected, pending)
    ]
    assert ("approved", "client") == (decided.verdict, decided.decided_by)
    assert decided == client.submission(pending.name)


def test_what_is_no_picture_is_an_answer_without_a_verdict(client: dedup.Client) -> None:
    """As of a bank: a status, no exception."""
    for said in (client.check(b"nothing"), client.submit(b"nothing")):
        assert isinstance(said, Answer)
        assert ("not_image", None) == (said.status, said.verdict)


def test_a_refusal_is_an_error_with_its_problem(server: Server, client: dedup.Client) -> None:
    """Status and document are at hand; nothing is tried again."""
    with pytest.raises(ServiceError) as caught:
        client.submit(NEW["032.png"], "000.png")
    with (
        dedup.Client(server.url, "dk_wrong", bank="shop") as stranger,
        pytest.raises(ServiceError) as unauthorized,
    ):
        stranger.check(OWN["000.png"])

    assert (409, "urn:dedup:problem:conflict") == (
        caught.value.status,
        caught.value.problem["type"],
    )
    assert 401 == unauthorized.value.status


@contextmanager
def failing(answers: list[int | None]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers with these statuses in turn; None breaks the connection off."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(dict(self.headers.items()))
            status = answers.pop(0)
            if status is None:
                self.close_connection = True
                return
            body = json.dumps(SUBMISSION if status == 201 else {"title": "t", "detail": "d"})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


SUBMISSION: dict[str, Any] = {
    "name": "sub_1",
    "entry": "a",
    "verdict": "approved",
    "answer": {"status": "ok", "matches": [], "policy": {}},
    "decided_by": "policy",
    "note": None,
    "version": 1,
    "created": 0.0,
}


def test_retries_keep_the_idempotency_key() -> None:
    """A full service and a broken connection: asked again, with one key over all tries."""
    with (
        failing([503, None, 502, 201]) as (url, asked),
        dedup.Client(url, bank="shop") as client,
    ):
        said = client.submit(NEW["033.png"], "a")

    assert "approved" == said.verdict
    assert (4, 1) == (len(asked), len({one["Idempotency-Key"] for one in asked}))


def test_what_cannot_succeed_is_not_tried_again() -> None:
    """And what never answers is given up after the tries."""
    with (
        failing([422, 503, 503]) as (url, asked),
        dedup.Client(url, bank="shop", tries=2) as client,
    ):
        with pytest.raises(ServiceError):
            client.submit(NEW["033.png"])
        n_first = len(asked)
        with pytest.raises(ServiceError):
            client.submit(NEW["033.png"])

    assert (1, 3) == (n_first, len(asked))


def test_a_service_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Its address stands in the message."""
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9"):
        dedup.Client("http://127.0.0.1:9", bank="shop", tries=1).check(OWN["000.png"])
