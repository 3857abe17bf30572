"""Webhooks of a real server to a receiver on this machine."""

import hmac
import json
import os
import signal
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bank.made import bank_of, photos
from tests.service.made import Received, Receiver, Server, receiving, serving

SHOP = "/v1/banks/shop"
NEW = photos(range(20, 44))
NEW_ONES = iter(NEW.values())
SECRETS = ["whsec_" + b64encode(letter * 32).decode() for letter in (b"n", b"o")]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Server]:
    """Two processes; the waits between tries are short, everything else is as in earnest."""
    folder = tmp_path_factory.mktemp("service")
    bank_of(folder / "shop.bank", photos(range(2))).close()
    with serving(
        folder, [folder / "shop.bank"], "--workers", "2", settings=settings_for(receiver)
    ) as running:
        yield running


def settings_for(receiver: Receiver) -> dict[str, Any]:
    target = {"url": receiver.url, "secret": SECRETS[0], "old_secret": SECRETS[1]}
    return {
        "webhooks": {
            "targets": [target],
            "allow_private": ["127.0.0.1/32"],
            "back_off": [0.3, 0.3, 0.3],
            "timeout": 2.0,
        }
    }


@pytest.fixture
def fresh(receiver: Receiver) -> Receiver:
    """The receiver, with nothing received and nothing told to it."""
    receiver.answers.clear()
    receiver.received.clear()
    return receiver


def is_signed(received: Received, secret: str) -> bool:
    """Standard Webhooks 1.0, written down a second time."""
    names = ("webhook-id", "webhook-timestamp")
    signed = b".".join([*(received.headers[n].encode() for n in names), received.body])
    key = b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    return expected in received.headers["webhook-signature"].split(" ")


def deliveries(server: Server, name: str, state: str, seconds: float = 10.0) -> list[Any]:
    """Those of a submission, once they have this state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        page = server.ask("GET", f"/v1/deliveries?state={state}&limit=1000").json["deliveries"]
        found = [one for one in page if name in one["payload"]]
        if found:
            return found
        time.sleep(0.05)
    return []


def test_an_outcome_is_told_and_signed_with_both_secrets(server: Server, fresh: Receiver) -> None:
    """Type, thin payload, id, a time that is now, and signatures for the new and the old secret."""
    made = server.post(f"{SHOP}/submissions?id=u", next(NEW_ONES)).json
    (received,) = fresh.wait_for(1)
    said = json.loads(received.body)

    assert "submission.approved" == said["type"]
    assert ("shop", made["name"], "u", "approved") == tuple(
        said["data"][key] for key in ("bank", "submission", "entry", "verdict")
    )
    assert [True, True] == [is_signed(received, secret) for secret in SECRETS]
    assert abs(time.time() - int(received.headers["webhook-timestamp"])) < 60
    assert deliveries(server, made["name"], "delivered")


def test_a_review_is_told_as_well(server: Server, fresh: Receiver) -> None:
    """Pending first, then what the person said."""
    made = server.post(f"{SHOP}/submissions?always_review=true", next(NEW_ONES)).json
    fresh.wait_for(1)
    path = f"{SHOP}/submissions/{made['name']}/review"
    server.ask("POST", path, b'{"decision": "reject"}', {"Content-Type": "application/json"})
    types = [json.loads(one.body)["type"] for one in fresh.wait_for(2)]

    assert ["submission.pending", "submission.reviewed"] == types


@pytest.mark.parametrize("answer", [(500, {}), (302, {"Location": "/elsewhere"}), (404, {})])
def test_what_fails_is_tried_again_with_the_same_id(
    server: Server, fresh: Receiver, answer: tuple[int, dict[str, str]]
) -> None:
    """Twice refused, then taken: three requests, one id, each signed for its own time."""
    fresh.answers += [answer, answer]
    made = server.post(f"{SHOP}/submissions", next(NEW_ONES)).json
    received = fresh.wait_for(3)
    (delivered,) = deliveries(server, made["name"], "delivered")

    assert [1, 3] == [len({one.headers["webhook-id"] for one in received}), len(received)]
    assert all(is_signed(one, SECRETS[0]) for one in received)
    assert 3 == delivered["attempts"]


def test_after_the_last_try_it_has_failed_and_can_be_sent_again(
    server: Server, fresh: Receiver
) -> None:
    """Four tries by this schedule; then it is listed, and a person sends it again."""
    fresh.answers += [(500, {})] * 4
    made = server.post(f"{SHOP}/submissions", next(NEW_ONES)).json
    (failed,) = deliveries(server, made["name"], "failed")
    n_tried = len(fresh.received)
    retried = server.ask("POST", f"/v1/deliveries/shop/{failed['number']}/retry")
    (delivered,) = deliveries(server, made["name"], "delivered")

    assert (4, 202) == (n_tried, retried.status)
    assert "given up" in failed["said"]
    assert failed["event"] == delivered["event"]


def test_retry_after_is_heard(server: Server, fresh: Receiver) -> None:
    """A target that asks for a pause gets it."""
    fresh.answers.append((503, {"Retry-After": "2"}))
    server.post(f"{SHOP}/submissions", next(NEW_ONES))
    first, second = fresh.wait_for(2)

    # back_off caps what a target may ask for: 0.3 s here
    assert 0.2 < second.at - first.at < 2.0


def test_a_target_that_is_gone_is_switched_off_until_a_replay(
    server: Server, fresh: Receiver
) -> None:
    """410: nothing more goes there; sending one again by hand switches it on."""
    fresh.answers.append((410, {}))
    gone = server.post(f"{SHOP}/submissions", next(NEW_ONES)).json
    (failed,) = deliveries(server, gone["name"], "failed")
    later = server.post(f"{SHOP}/submissions", next(NEW_ONES)).json
    (unsent,) = deliveries(server, later["name"], "failed")
    n_received = len(fresh.received)
    server.ask("POST", f"/v1/deliveries/shop/{unsent['number']}/retry")
    (delivered,) = deliveries(server, later["name"], "delivered")

    assert "410" in failed["said"]
    assert ("switched off" in unsent["said"], 1) == (True, n_received)
    assert unsent["event"] == delivered["event"]


def test_every_outcome_is_told_though_processes_are_killed(
    tmp_path: Path, receiver: Receiver
) -> None:
    """At least once: what was acknowledged is told after all processes were killed."""
    with receiving() as fresh:
        path = tmp_path / "shop.bank"
        bank_of(path, photos(range(2))).close()
        names: list[str] = []
        fresh.answers += [(500, {})] * 6
        for _ in range(2):
            with serving(tmp_path, [path], "--workers", "2", settings=settings_for(fresh)) as one:
                some = [next(NEW_ONES) for _ in range(3)]
                names += [one.post(f"{SHOP}/submissions", data).json["name"] for data in some]
                for pid in one.children():
                    os.kill(pid, signal.SIGKILL)
                one.process.kill()
        with serving(tmp_path, [path], settings=settings_for(fresh)) as one:
            for name in names:
                assert deliveries(one, name, "delivered"), one.log.read_text()
        told = {json.loads(received.body)["data"]["submission"] for received in fresh.received}

    assert set(names) <= told
