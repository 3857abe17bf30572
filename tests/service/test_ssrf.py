"""Webhooks go nowhere but where they may: with a resolver and a connector that only record."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any

import pytest

from dedup.service.settings import WebhookSettings
from dedup.service.webhooks.addresses import RefusedError, place_of
from dedup.service.webhooks.posting import post

SECRET = "whsec_" + "A" * 43 + "="
GLOBAL = "93.184.215.14"

PRIVATE = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.170", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1",
)  # fmt: skip
"""Addresses that a name may lead to, in every spelling that hides one; the last Teredo address has
127.0.0.1 inside."""

URLS = (
    "http://hooks.example/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://localhost/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://hooks.example.evil.example/",
    "https://evil.example/?hooks.example",
    "https://hooks.example@evil.example/",
    "https://evil.example#@hooks.example/",
    "https://evil.example\\@hooks.example/",
    "https://hooks.example:22/",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "gopher://hooks.example/",
    "https:///hook",
    "https://hooks.example/ HTTP/1.1\r\nX: y",
    "https://hooks.example/\n",
    "https://ｈooks.example/",
    "//hooks.example/",
    "https://hooks.example:99999/",
)
"""Addresses that a client names: not on the list, or not what they look like."""


@dataclass
class Recorder:
    """A resolver and a connector: neither leaves this process."""

    answers: list[list[str]]
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"
    resolved: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    written: bytes = b""

    async def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.answers[min(len(self.resolved), len(self.answers)) - 1]

    async def connect(
        self, address: str, port: int, tls: ssl.SSLContext | None, name: str | None
    ) -> Any:
        self.connected.append((address, port))
        reader = asyncio.StreamReader()
        reader.feed_data(self.answer)
        reader.feed_eof()
        return reader, self

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        pass

    def close(self) -> None:
        pass


def sent(recorder: Recorder, url: str, settings: WebhookSettings) -> Any:
    """What comes of one delivery."""

    async def run() -> Any:
        place = place_of(url, settings)
        return await post(
            place, {}, b"{}", 5.0, resolver=recorder.resolve, connector=recorder.connect
        )

    return asyncio.run(run())


def listed(*hosts: str, **more: Any) -> WebhookSettings:
    return WebhookSettings.model_validate({"hosts": hosts, **more})


@pytest.mark.parametrize("address", PRIVATE)
def test_a_listed_name_that_leads_inside_is_never_connected_to(address: str) -> None:
    """Neither alone nor beside a good address, in either order."""
    for answers in ([address], [GLOBAL, address], [address, GLOBAL]):
        recorder = Recorder([answers])
        with pytest.raises(RefusedError):
            sent(recorder, "https://hooks.example/hook", listed("hooks.example"))
        assert [] == recorder.connected


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_is_not_listed_is_not_even_resolved(url: str) -> None:
    """Also where its spelling has the listed name in it."""
    recorder = Recorder([[GLOBAL]])
    with pytest.raises(RefusedError):
        sent(recorder, url, listed("hooks.example"))

    assert ([], []) == (recorder.resolved, recorder.connected)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost", "[::1]"])
def test_a_host_that_is_this_machine_is_refused_even_if_it_is_listed(host: str) -> None:
    """The system's own resolver says what these mean."""
    from dedup.service.webhooks.posting import resolve

    recorder = Recorder([])

    async def run() -> None:
        place = place_of(f"https://{host}/", listed(host))
        await post(place, {}, b"{}", 5.0, resolver=resolve, connector=recorder.connect)

    with pytest.raises((RefusedError, OSError)):
        asyncio.run(run())
    assert [] == recorder.connected


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A name that leads elsewhere at the second look (rebinding) is looked up once."""
    recorder = Recorder([[GLOBAL], ["127.0.0.1"]])
    reply = sent(recorder, "https://hooks.example/hook?a=b", listed("hooks.example"))

    assert 204 == reply.status
    assert (["hooks.example"], [(GLOBAL, 443)]) == (recorder.resolved, recorder.connected)
    assert recorder.written.startswith(b"POST /hook?a=b HTTP/1.1\r\nHost: hooks.example\r\n")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """Wherever they lead: there is one connection, and its answer is no success."""
    answer = f"HTTP/1.1 {status} Moved\r\nLocation: https://127.0.0.1/\r\n\r\n".encode()
    recorder = Recorder([[GLOBAL]], answer)
    reply = sent(recorder, "https://hooks.example/hook", listed("hooks.example"))

    assert status == reply.status
    assert 1 == len(recorder.connected)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    """64 KB of headers are enough."""
    recorder = Recorder([[GLOBAL]], b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000_000)
    reply = sent(recorder, "https://hooks.example/", listed("hooks.example"))

    assert 200 == reply.status


def test_the_operators_targets_may_be_private_where_that_is_listed() -> None:
    """Only in the listed networks; notification_url never."""
    target = {"url": "http://receiver.lan:9000/hook", "secret": SECRET}
    settings = listed("receiver.lan:9000", targets=[target], allow_private=["10.1.0.0/16"])
    allowed, other = Recorder([["10.1.2.3"]]), Recorder([["10.2.0.1"]])

    assert 204 == sent(allowed, "http://receiver.lan:9000/hook", settings).status
    assert [("10.1.2.3", 9000)] == allowed.connected
    with pytest.raises(RefusedError):
        sent(other, "http://receiver.lan:9000/hook", settings)
    with pytest.raises(RefusedError):
        sent(Recorder([["10.1.2.3"]]), "https://receiver.lan:9000/other", settings)
    assert [] == other.connected
