"""Every endpoint of a real server, asked as a client without dedup's package would ask."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dedup.bank import Bank
from tests.bank.made import bank_of, edited, photos
from tests.service.made import Reply, Server, serving

SHOP = "/v1/banks/shop"
OWN = photos(range(6))
NEW = photos(range(10, 30))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two processes over one bank of six photos."""
    folder = tmp_path_factory.mktemp("service")
    bank_of(folder / "shop.bank", OWN).close()
    with serving(folder, [folder / "shop.bank"], "--workers", "2") as running:
        yield running


def assert_problem(reply: Reply, status: int, kind: str) -> None:
    """The answer is a problem document of this kind."""
    assert "application/problem+json" == reply.headers["content-type"]
    assert (status, status) == (reply.status, reply.json["status"])
    assert f"urn:dedup:problem:{kind}" == reply.json["type"]


def test_a_check_finds_an_edited_copy(server: Server) -> None:
    """The answer to the request itself names the entry, how alike it is, and the verdict."""
    reply = server.post(f"{SHOP}/checks", edited(OWN["003.png"]))

    assert 200 == reply.status
    assert ("rejected", "003.png") == (reply.json["verdict"], reply.json["matches"][0]["id"])
    assert reply.json["matches"][0]["similarity"] > 0.8


def test_a_check_changes_nothing(server: Server) -> None:
    """Asked twice, a new picture is new both times."""
    verdicts = [server.post(f"{SHOP}/checks", NEW["010.png"]).json["verdict"] for _ in range(2)]

    assert ["approved", "approved"] == verdicts


def test_what_is_approved_joins_and_is_seen_by_the_next_request(server: Server) -> None:
    """201 with its own id; the same picture a moment later is rejected, by whichever process."""
    first = server.post(f"{SHOP}/submissions?id=u%2F11", NEW["011.png"])
    later = [server.post(f"{SHOP}/submissions", NEW["011.png"]) for _ in range(6)]

    assert (201, "approved", "u/11") == (first.status, first.json["verdict"], first.json["entry"])
    assert first.headers["location"].endswith(first.json["name"])
    assert {(200, "rejected")} == {(reply.status, reply.json["verdict"]) for reply in later}
    assert {"u/11"} == {reply.json["answer"]["matches"][0]["id"] for reply in later}


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_person_decides_what_is_pending(server: Server, decision: str) -> None:
    """Pending is 202; approving joins, rejecting does not; a second word is a conflict."""
    name = "012.png" if decision == "approve" else "013.png"
    made = server.post(f"{SHOP}/submissions?id={name}&always_review=true", NEW[name])
    path = f"{SHOP}/submissions/{made.json['name']}"
    listed = server.ask("GET", f"{SHOP}/submissions?verdict=pending").json["submissions"]
    picture = server.ask("GET", f"{path}/picture")
    said = json.dumps({"decision": decision, "note": "seen"}).encode()
    typed = {"Content-Type": "application/json"}
    stale = server.ask("POST", f"{path}/review", said, {**typed, "If-Match": '"7"'})
    reviewed = server.ask("POST", f"{path}/review", said, {**typed, "If-Match": '"1"'})
    again = server.ask("POST", f"{path}/review", said, typed)
    entry = server.ask("GET", f"{SHOP}/entries/{name}")

    assert (202, "pending") == (made.status, made.json["verdict"])
    assert made.json["name"] in {one["name"] for one in listed}
    assert (NEW[name], "image/png") == (picture.body, picture.headers["content-type"])
    assert_problem(stale, 412, "changed")
    assert (200, "local", "seen", 2) == (
        reviewed.status,
        reviewed.json["decided_by"],
        reviewed.json["note"],
        reviewed.json["version"],
    )
    assert_problem(again, 409, "conflict")
    assert (200 if decision == "approve" else 404) == entry.status
    assert_problem(server.ask("GET", f"{path}/picture"), 409, "conflict")


def test_an_idempotency_key_gets_the_first_answer_again(server: Server) -> None:
    """A retry is the same submission; the same key for another picture or id is refused."""
    path = f"{SHOP}/submissions?id=once"
    first = server.post(path, NEW["014.png"], Idempotency_Key='"k-1"')
    retried = [server.post(path, NEW["014.png"], Idempotency_Key="k-1") for _ in range(4)]
    other_picture = server.post(path, NEW["015.png"], Idempotency_Key="k-1")
    other_id = server.post(f"{SHOP}/submissions?id=x", NEW["014.png"], Idempotency_Key="k-1")

    assert 201 == first.status
    assert {(201, first.json["name"], "true")} == {
        (reply.status, reply.json["name"], reply.headers.get("idempotent-replayed"))
        for reply in retried
    }
    assert_problem(other_picture, 422, "key-reused")
    assert_problem(other_id, 422, "key-reused")


def test_an_id_that_is_taken_is_a_conflict(server: Server) -> None:
    """Nothing is decided, and the picture does not join."""
    assert_problem(server.post(f"{SHOP}/submissions?id=001.png", NEW["016.png"]), 409, "conflict")
    assert "approved" == server.post(f"{SHOP}/checks", NEW["016.png"]).json["verdict"]


@pytest.mark.parametrize("name", ["plain", "with/slash", "ünï codé ☃", "a?b#c%d", "..%2f"])
def test_entries_are_put_shown_replaced_and_removed(server: Server, name: str) -> None:
    """Ids are any text; a second PUT needs replace=true."""
    path = f"{SHOP}/entries/{quote(name, safe='')}"
    added = server.ask("PUT", f"{path}?label=l", NEW["017.png"], {"Content-Type": "image/png"})
    shown = server.ask("GET", path)
    refused = server.ask("PUT", path, NEW["018.png"])
    replaced = server.ask("PUT", f"{path}?replace=true", NEW["018.png"])
    found = server.post(f"{SHOP}/checks", NEW["018.png"])
    removed = server.ask("DELETE", path)
    gone = server.ask("GET", path)
    not_found = server.post(f"{SHOP}/checks", NEW["018.png"])

    assert (201, name, "l") == (added.status, added.json["id"], added.json["label"])
    assert name == shown.json["id"]
    assert_problem(refused, 409, "conflict")
    assert 200 == replaced.status
    assert name == found.json["matches"][0]["id"]
    assert (204, b"") == (removed.status, removed.body)
    assert_problem(gone, 404, "not-found")
    assert "approved" == not_found.json["verdict"]


def test_what_is_no_picture_has_a_status_and_no_verdict(server: Server) -> None:
    """422 for every way in; nothing is kept."""
    cut = OWN["001.png"][:2_000]
    for path in (f"{SHOP}/checks", f"{SHOP}/submissions"):
        for body, status in ((b"not a picture", "not_image"), (cut, "truncated")):
            reply = server.post(path, body)
            assert_problem(reply, 422, "unreadable")
            assert status == reply.json["picture_status"]
            assert "verdict" not in reply.json


def test_a_form_with_one_file_is_taken(server: Server) -> None:
    """As a browser or curl sends it; with no file or two it is refused."""
    typed = {"Content-Type": "multipart/form-data; boundary=XX"}

    def form(*names: str) -> bytes:
        head = b'Content-Disposition: form-data; name="picture"; filename="%s"\r\n\r\n'
        parts = [b"--XX\r\n" + head % n.encode() + OWN["002.png"] + b"\r\n" for n in names]
        return b"".join(parts) + b"--XX--\r\n"

    one = server.ask("POST", f"{SHOP}/checks", form("a.png"), typed)
    two = server.ask("POST", f"{SHOP}/checks", form("a.png", "b.png"), typed)
    none = server.ask("POST", f"{SHOP}/checks", form(), typed)
    many = server.ask("POST", f"{SHOP}/checks", form(*["a"] * 100), typed)

    assert ("bytes", "002.png") == tuple(one.json["matches"][0][k] for k in ("kind", "id"))
    for reply in (two, none, many):
        assert_problem(reply, 422, "invalid")


def test_measures_made_by_a_client_are_checked_without_the_picture(
    server: Server, tmp_path: Path
) -> None:
    """JSON with codes and signs; what is not such measures is refused, and never submitted."""
    with Bank.create(tmp_path / "own.bank") as own:
        measures = own.measure(edited(OWN["004.png"])).to_json(thumbnail=False)
    typed = {"Content-Type": "application/json"}
    found = server.ask("POST", f"{SHOP}/checks", measures.encode(), typed)
    submitted = server.ask("POST", f"{SHOP}/submissions", measures.encode(), typed)

    assert "004.png" == found.json["matches"][0]["id"]
    assert_problem(submitted, 415, "unsupported-type")
    for broken in (
        b"",
        b"[]",
        b"\xff",
        b'{"status": "ok"}',
        measures.replace('"width": 120', '"width": 1e400').encode(),
        measures.replace('"JPEG"', '"\\ud800"').encode(),
        measures.replace('"codes": {', '"codes": {"x": 1e999, "y": [').encode(),
        b"[" * 100_000,
    ):
        assert_problem(server.ask("POST", f"{SHOP}/checks", broken, typed), 422, "invalid")


def test_a_batch_gives_each_line_its_own_result(server: Server) -> None:
    """Lines that cannot be carried out have problems; the others are one transaction."""
    typed = {"Content-Type": "application/x-ndjson"}
    files = [b64encode(NEW[f"02{k}.png"]).decode() for k in range(3)]
    lines = [
        json.dumps({"id": "b/0", "data": files[0], "label": "x"}),
        json.dumps({"id": "b/1", "data": "not base 64"}),
        "not JSON",
        json.dumps({"id": "001.png", "data": files[1]}),
        json.dumps({"id": "b/2", "data": files[2], "surprise": 1}),
        json.dumps({"id": "\ud800", "data": files[2]}),
    ]
    body = "\n".join(lines).encode()
    added = server.ask("POST", f"{SHOP}/batches?act=add", body, typed).json["results"]
    checked = server.ask("POST", f"{SHOP}/batches", lines[0].encode(), typed).json["results"]
    submitted = server.ask(
        "POST",
        f"{SHOP}/batches?act=submit",
        "\n".join([json.dumps({"data": files[2]})] * 2).encode(),
        typed,
    ).json["results"]

    assert ["added", 422, 422, 409, 422, 422] == [result["status"] for result in added]
    assert "b/0" == checked[0]["matches"][0]["id"]
    assert ["approved", "rejected"] == [result["verdict"] for result in submitted]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/banks/none", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("DELETE", f"{SHOP}/checks", 405, "method-not-allowed"),
        ("POST", f"{SHOP}/checks?similarity=0.8", 422, "invalid"),
        ("POST", f"{SHOP}/checks?reject=2", 422, "invalid"),
        ("POST", f"{SHOP}/checks?reject=nan", 422, "invalid"),
        ("POST", f"{SHOP}/checks?reject=0.5&review=0.6", 422, "invalid"),
        ("GET", f"{SHOP}/submissions/sub_1", 404, "not-found"),
        ("GET", f"{SHOP}/submissions?after=sub_1", 404, "not-found"),
        ("GET", f"{SHOP}/entries/%ff", 400, "bad-request"),
        ("GET", f"{SHOP}/entries/a%00", 400, "bad-request"),
        ("POST", "/v1/deliveries/shop/77/retry", 404, "not-found"),
        ("POST", f"{SHOP}/submissions?notification_url=https://a.example/", 403, "forbidden"),
    ],
)
def test_every_refusal_is_a_problem_document(
    server: Server, method: str, path: str, status: int, kind: str
) -> None:
    """Status, type and title are those of the list in docs/service.md."""
    body = OWN["000.png"] if method == "POST" else None

    assert_problem(server.ask(method, path, body, {"Content-Type": "image/png"}), status, kind)


def test_the_state_of_the_service_can_be_watched(server: Server) -> None:
    """Health, readiness, and counters that are the same from every process."""
    before = server.ask("GET", "/metrics").body.decode()
    for _ in range(10):
        server.post(f"{SHOP}/checks", OWN["000.png"])
    after = {server.ask("GET", "/metrics").body.decode() for _ in range(6)}

    def checks(text: str) -> float:
        line = 'dedup_requests_total{route="check",status="2xx"} '
        return float(text.partition(line)[2].split()[0])

    assert "ok" == server.ask("GET", "/healthz").json["status"]
    assert {checks(before) + 10} == {checks(text) for text in after}
    assert all('dedup_entries{bank="shop"} ' in text for text in after)


def test_pages_of_entries_and_submissions_lead_through_all(server: Server) -> None:
    """`next` of one page is `after` of the next."""
    for kind in ("entries", "submissions"):
        whole = server.ask("GET", f"{SHOP}/{kind}?limit=1000").json[kind]
        seen: list[object] = []
        after: str | None = ""
        while after is not None:
            part = f"&after={quote(after, safe='')}" if after else ""
            page = server.ask("GET", f"{SHOP}/{kind}?limit=2{part}").json
            seen += page[kind]
            after = page["next"]
        assert whole == seen
