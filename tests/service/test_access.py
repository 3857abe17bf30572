"""Keys and scopes, and what is refused where there are none."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dedup.bank import Bank
from tests.bank.made import bank_of, photos
from tests.service.made import Server, serving
from tests.service.test_endpoints import assert_problem

SHOP = "/v1/banks/shop"
OWN = photos(range(3))
SCOPES = ("check", "submit", "review", "admin")

ASKED = {
    "checks": ("POST", f"{SHOP}/checks", {"check", "submit", "review", "admin"}),
    "info": ("GET", SHOP, {"check", "submit", "review", "admin"}),
    "entry": ("GET", f"{SHOP}/entries/000.png", {"check", "submit", "review", "admin"}),
    "submissions": ("POST", f"{SHOP}/submissions", {"submit", "admin"}),
    "list": ("GET", f"{SHOP}/submissions", {"review", "admin"}),
    "review": ("POST", f"{SHOP}/submissions/sub_0/review", {"review", "admin"}),
    "picture": ("GET", f"{SHOP}/submissions/sub_0/picture", {"review", "admin"}),
    "put": ("PUT", f"{SHOP}/entries/000.png", {"admin"}),
    "delete": ("DELETE", f"{SHOP}/entries/none", {"admin"}),
    "deliveries": ("GET", "/v1/deliveries", {"admin"}),
    "retry": ("POST", "/v1/deliveries/shop/99/retry", {"admin"}),
    "metrics": ("GET", "/metrics", {"admin"}),
    "batch check": ("POST", f"{SHOP}/batches", {"check", "submit", "review", "admin"}),
    "batch submit": ("POST", f"{SHOP}/batches?act=submit", {"submit", "admin"}),
    "batch add": ("POST", f"{SHOP}/batches?act=add", {"admin"}),
}
"""Who may do what, written down a second time."""


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str]) -> Iterator[Server]:
    """A service whose bank has a key of each scope, listening on all addresses."""
    folder = tmp_path_factory.mktemp("service")
    with bank_of(folder / "shop.bank", OWN) as bank:
        keys |= {scope: bank.keys.add(scope, [scope]) for scope in SCOPES}
    settings = {"limits": {"requests_per_second": 1000.0}}
    path = folder / "shop.bank"
    with serving(folder, [path], "--host", "0.0.0.0", settings=settings) as running:
        yield running


def asked(server: Server, key: str | None, name: str) -> int:
    method, path, _ = ASKED[name]
    kind = "application/x-ndjson" if "batch" in name else "image/png"
    if name == "review":
        kind = "application/json"
    body = {"review": b'{"decision": "approve"}'}.get(name, OWN["000.png"])
    headers = {"Content-Type": kind}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    reply = server.ask(method, path, None if method in {"GET", "DELETE"} else body, headers)
    if reply.status in {401, 403}:
        assert_problem(reply, reply.status, "unauthorized" if reply.status == 401 else "forbidden")
    return reply.status


@pytest.mark.parametrize("name", ASKED)
def test_a_key_does_what_its_scope_allows_and_nothing_else(
    server: Server, keys: dict[str, str], name: str
) -> None:
    """Every endpoint with a key of every scope, with none, and with a wrong one."""
    allowed = {scope for scope in SCOPES if asked(server, keys[scope], name) not in {401, 403}}

    assert ASKED[name][2] == allowed
    assert {401} == {asked(server, key, name) for key in (None, "dk_wrong", "", keys["admin"][:-1])}


def test_a_revoked_key_is_refused_at_once_and_opens_nothing(tmp_path: Path) -> None:
    """Also when it was the only one: a bank that ever had a key needs one."""
    path = tmp_path / "shop.bank"
    with bank_of(path, OWN) as bank, serving(tmp_path, [path]) as server:
        without = server.ask("GET", SHOP).status
        key = bank.keys.add("only", ["admin"])
        typed = {"Authorization": f"Bearer {key}"}
        before = [server.ask("GET", SHOP, headers=h).status for h in ({}, typed)]
        bank.keys.revoke("only")
        after = [server.ask("GET", SHOP, headers=h).status for h in ({}, typed)]

    assert 200 == without
    assert [401, 200] == before
    assert [401, 401] == after


def test_the_use_of_a_key_is_written_down(server: Server, keys: dict[str, str]) -> None:
    """So that keys that nobody uses can be found and revoked."""
    server.ask("GET", SHOP, headers={"Authorization": f"Bearer {keys['check']}"})
    path = server.log.parent / "shop.bank"
    for _ in range(100):
        with Bank(path, read_only=True) as bank:
            used = {key.name: key.used for key in bank.keys.list()}
        if used["check"]:
            break

    assert used["check"] is not None


def test_without_keys_pages_of_other_sites_are_refused(tmp_path: Path) -> None:
    """A name that was made to lead to this machine, and an origin that is not ours."""
    bank_of(tmp_path / "shop.bank", OWN).close()
    with serving(tmp_path, [tmp_path / "shop.bank"]) as server:
        rebound = server.ask("GET", SHOP, headers={"Host": "evil.example"})
        foreign = server.post(f"{SHOP}/checks", OWN["000.png"], Origin="https://evil.example")
        null = server.post(f"{SHOP}/checks", OWN["000.png"], Origin="null")
        own = server.post(f"{SHOP}/checks", OWN["000.png"], Origin=server.url)

    assert_problem(rebound, 421, "wrong-host")
    assert_problem(foreign, 403, "forbidden")
    assert_problem(null, 403, "forbidden")
    assert 200 == own.status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_it_listens_for_others_only_with_keys(tmp_path: Path, host: str) -> None:
    """The refusal names the bank and the command that makes a key; nothing was listened on."""
    bank_of(tmp_path / "shop.bank", OWN).close()
    done = subprocess.run(
        [sys.executable, "-m", "dedup", "serve", str(tmp_path / "shop.bank"), "--host", host],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 2 == done.returncode
    assert "dedup bank keys add" in done.stderr
    assert "shop.bank" in done.stderr


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    """And nothing of it is imported by anything else."""
    blocked = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'fastapi', 'starlette', 'uvicorn', 'httptools'}:\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "import dedup\n"
        "[getattr(dedup, name) for name in dedup.__all__]\n"
        "from dedup.cli import main\n"
        f"sys.argv = ['dedup', 'serve', {str(tmp_path)!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, timeout=120, check=False
    )

    assert (1, True) == (done.returncode, "dedup-images[service]" in done.stderr), done.stderr


def test_settings_are_checked_all_at_once(tmp_path: Path) -> None:
    """Every problem with its key; a wrong secret is not repeated."""
    bank_of(tmp_path / "shop.bank", OWN).close()
    wrong = {
        "limits": {"pictures": 0, "picture": 3},
        "policy": {"reject": 2.0},
        "webhooks": {"targets": [{"url": "ftp://a", "secret": "hunter2"}]},
    }
    with (
        pytest.raises(RuntimeError) as caught,
        serving(tmp_path, [tmp_path / "shop.bank"], settings=wrong),
    ):
        pass
    said = str(caught.value)

    for key in ("limits.pictures", "limits.picture:", "policy.reject", "targets.0.secret"):
        assert key in said
    assert "hunter2" not in said


def test_a_key_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    """429 with Retry-After; another key is not affected."""
    path = tmp_path / "shop.bank"
    with bank_of(path, OWN) as bank:
        keys = [bank.keys.add(name, ["check"]) for name in "ab"]
    settings = {"limits": {"requests_per_second": 2.0}}
    with serving(tmp_path, [path], settings=settings) as server:
        first, second = ({"Authorization": f"Bearer {key}"} for key in keys)
        replies = [server.ask("GET", SHOP, headers=first) for _ in range(8)]
        other = server.ask("GET", SHOP, headers=second)

    refused = [reply for reply in replies if reply.status != 200]
    assert refused
    for reply in refused:
        assert_problem(reply, 429, "slow-down")
        assert int(reply.headers["retry-after"]) >= 1
    assert 200 == other.status
