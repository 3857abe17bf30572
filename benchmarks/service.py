"""The service: what a check and a submission cost over HTTP, and what it survives.

    python -m benchmarks.service                        every row, over an hour
    python -m benchmarks.service --rows check submit    only these
    python -m benchmarks.service --rows race --rounds 100 --entries 1e5

Rows: check, submit, race, kills, schema, files, memory, keys. A real server on loopback, in
processes of its own, and a bounded load from this process, on the same cores. Banks have
`--entries` entries with random codes; the pictures that are asked are real ones (`--data`) or made.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import bank as banks
from dedup.bank import Bank
from tests.service.made import Server, receiving, serving

WORK: Final = Path(tempfile.gettempdir()) / "dedup-service-benchmark"
SHOP: Final = "/v1/banks/shop"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for."""

    entries: int
    rounds: int
    seconds: float
    data: Path


def say(*cells: object) -> None:
    """A line of the table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


@contextmanager
def shop(asked: Asked, *options: str, **named: Any) -> Iterator[Server]:
    """A service of a copy of the large bank, so that every row begins with the same entries."""
    path = WORK / "shop.bank"
    shutil.rmtree(path, ignore_errors=True)
    with Bank(banks.large_bank(WORK, asked.entries), read_only=True) as large:
        large.copy(path)
    with serving(WORK, [path], *options, **named) as server:
        yield server


def request(path: str, body: bytes, *lines: str) -> bytes:
    """The bytes of a POST."""
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: image/jpeg"]
    head += [f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    return int(head.split()[1]), await reader.readexactly(length)


async def load(
    port: int,
    requests: Callable[[int], bytes],
    n_clients: int,
    seconds: float,
    rate: float | None = None,
) -> tuple[list[float], Counter[int], float]:
    """(seconds of each request, count by status, seconds in all) of a load of bounded length.

    `rate`: requests a second that are begun, whatever the answers; None: each client asks again as
    soon as it is answered.
    """
    taken: list[float] = []
    statuses: Counter[int] = Counter()
    clock = time.perf_counter
    begin = clock()
    due = iter(range(10**9))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            number = next(due)
            start = clock()
            if rate is not None:
                # Waiting for a client that is not free counts, too.
                start = begin + number / rate
                await asyncio.sleep(max(0.0, start - clock()))
            if start > begin + seconds:
                break
            writer.write(requests(number))
            status, _ = await answer(reader)
            taken.append(clock() - start)
            statuses[status] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(n_clients)))
    return taken, statuses, clock() - begin


def check(asked: Asked) -> None:
    """Checks a second, and how long one takes at half of that load."""
    bodies = [request(f"{SHOP}/checks", data) for data in pictures(asked, 200)]
    kb = sum(map(len, bodies)) / len(bodies) / 1e3
    with shop(asked) as server:

        def pick(number: int) -> bytes:
            return bodies[number % len(bodies)]

        asyncio.run(load(server.port, pick, 8, 3.0))
        taken, statuses, seconds = asyncio.run(load(server.port, pick, 8, asked.seconds))
        most = len(taken) / seconds
        half, _, _ = asyncio.run(load(server.port, pick, 32, asked.seconds, most / 2))
    median, worst = np.quantile(half, [0.5, 0.99]) * 1e3
    say("check", f"{kb:.0f} KB JPEG", f"{asked.entries:,} entries", dict(statuses))
    say("", f"{most:.0f} a second, 8 clients", "goal 300")
    say("", f"at half of it: median {median:.1f} ms, p99 {worst:.1f} ms", "goal 6 and 25")


def submit(asked: Asked) -> None:
    """Durable submissions of new pictures by 32 clients."""
    from tests.service.test_together import noise

    bodies = [request(f"{SHOP}/submissions", noise(k)) for k in range(6_000)]
    with shop(asked) as server:

        def pick(number: int) -> bytes:
            return bodies[number % len(bodies)]

        taken, statuses, seconds = asyncio.run(load(server.port, pick, 32, asked.seconds))
    median, worst = np.quantile(taken, [0.5, 0.99]) * 1e3
    say("submission", f"{asked.entries:,} entries", dict(statuses))
    say("", f"{len(taken) / seconds:.0f} a second, 32 clients", "goal 200")
    say("", f"median {median:.0f} ms, p99 {worst:.0f} ms")


def race(asked: Asked) -> None:
    """64 copies at once: equal bytes, recompressed, resized; four processes."""
    from tests.service.test_together import variants

    wrong: list[str] = []
    refused = 0
    begin = time.perf_counter()
    with shop(asked, "--workers", "4") as server:
        for number in range(asked.rounds):
            files = variants(5_000 + number)
            random.Random(number).shuffle(files)
            verdicts = asyncio.run(_at_once(server.port, files))
            refused += verdicts.count("503")
            if verdicts.count("approved") != 1:
                wrong.append(f"round {number}: {Counter(verdicts)}")
    seconds = time.perf_counter() - begin
    say(
        f"64 copies at once, {asked.rounds:,} rounds, 4 processes",
        f"{len(wrong)} rounds with other than one approved",
        f"{refused} answered 503",
        f"{seconds:.0f} s",
        "goal 0",
    )
    for line in wrong[:5]:
        say("", line)


async def _at_once(port: int, files: list[bytes]) -> list[str]:
    """Verdicts of files whose last bytes are sent at one moment."""
    import json

    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in files]
    requests = [request(f"{SHOP}/submissions", data) for data in files]
    for (_, writer), data in zip(connections, requests, strict=True):
        writer.write(data[:-1])
    for _, writer in connections:
        await writer.drain()
    for (_, writer), data in zip(connections, requests, strict=True):
        writer.write(data[-1:])
    verdicts = []
    for reader, writer in connections:
        status, body = await answer(reader)
        verdicts.append(json.loads(body)["verdict"] if status < 300 else str(status))
        writer.close()
    return verdicts


def kills(asked: Asked) -> None:
    """Processes killed under load; nothing acknowledged is lost, nothing is there twice."""
    from tests.service.test_together import killed_under_load

    folder = WORK / "kills"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with receiving() as receiver:
        acknowledged = killed_under_load(folder, receiver, kills=asked.rounds, seed=3)
        told = b"".join(one.body for one in receiver.received).decode()
    with Bank(folder / "shop.bank") as bank:
        ids = [entry.id for entry in bank.entries(limit=10**7)]
        kept = {one.name: one for one in bank.submissions(limit=10**7)}
        whole = bank.verify().is_whole
    lost = [key for key, (name, _) in acknowledged.items() if name not in kept]
    other = [
        key
        for key, (name, verdict) in acknowledged.items()
        if name in kept
        and (kept[name].verdict != verdict or (verdict == "approved") != (key in ids))
    ]
    names = [name for name, _ in acknowledged.values()]
    entries = Counter(one.entry for one in kept.values())
    say(
        f"{asked.rounds} kills",
        f"{len(acknowledged):,} acknowledged",
        f"{len(lost)} lost, {len(other)} changed, {len(names) - len(set(names))} answered twice",
        f"{sum(n > 1 for n in entries.values())} decided twice",
        f"{sum(name not in told for name in names)} webhooks missing",
        "whole" if whole else "NOT WHOLE",
        "goal 0",
    )


def schema(asked: Asked) -> None:
    """schemathesis over the OpenAPI document, its default checks."""
    from tests.service.schema import run

    with serving_small() as server:
        done = run(server, max_examples=asked.rounds)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    say("schemathesis", f"--max-examples {asked.rounds}", f"exit code {done.returncode}", lines[-1])


@contextmanager
def serving_small(**named: Any) -> Iterator[Server]:
    """A service of a bank with six photos."""
    from tests.bank.made import bank_of, photos

    folder = WORK / "small"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bank_of(folder / "shop.bank", photos(range(6))).close()
    with serving(folder, [folder / "shop.bank"], **named) as server:
        yield server


def files(asked: Asked) -> None:
    """Every file of the collection of broken and odd ones, and fuzzed ones."""
    paths = [path for path in sorted((asked.data / "photos").rglob("*")) if path.is_file()]
    contents = [path.read_bytes() for path in paths]
    contents = [content for content in contents if content]
    rng = random.Random(7)
    statuses: Counter[int] = Counter()
    fuzzed: Counter[int] = Counter()
    with serving_small(settings={"limits": {"body_bytes": 100_000_000}}) as server:
        for content in contents:
            statuses[server.post(f"{SHOP}/checks", content).status] += 1
        small = [content for content in contents if len(content) < 200_000]
        n = asked.rounds
        for start in range(0, n, 500):
            bodies = [_fuzzed(rng, rng.choice(small)) for _ in range(min(500, n - start))]
            sent = [request(f"{SHOP}/checks", body) for body in bodies]
            fuzzed += asyncio.run(_all(server.port, sent))
        alive = server.post(f"{SHOP}/checks", contents[0]).status
    say("files of data/photos", f"{len(contents):,} files", dict(statuses))
    say("fuzzed", f"{n:,} files", dict(fuzzed), f"5xx: {_of_5xx(statuses) + _of_5xx(fuzzed)}")
    say("", f"answers after it: {alive}", "goal: no 5xx")


async def _all(port: int, requests: list[bytes]) -> "Counter[int]":
    """Statuses of these requests, eight at a time."""
    statuses: Counter[int] = Counter()
    waiting = iter(requests)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for data in waiting:
            writer.write(data)
            status, _ = await answer(reader)
            statuses[status] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(8)))
    return statuses


def _fuzzed(rng: random.Random, content: bytes) -> bytes:
    """Bits flipped, bytes cut out, doubled or cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data))
        act = rng.random()
        if act < 0.6:
            data[at] = rng.randrange(256)
        elif act < 0.75:
            del data[at : at + rng.randint(1, 64)]
        elif act < 0.9:
            data[at:at] = data[at : at + rng.randint(1, 64)]
        else:
            del data[max(1, at) :]
        if not data:
            return b"\xff\xd8\xff"
    return bytes(data)


def _of_5xx(statuses: "Counter[int]") -> int:
    return sum(n for status, n in statuses.items() if status >= 500)


def memory(asked: Asked) -> None:
    """Memory of all processes over many requests: the last tenth against the second."""
    bodies = [request(f"{SHOP}/checks", data) for data in pictures(asked, 100)]
    tenth = asked.rounds // 10
    seen = []
    with serving_small() as server:
        for _ in range(10):
            sent = [bodies[k % len(bodies)] for k in range(tenth)]
            asyncio.run(_all(server.port, sent))
            seen.append(server.memory() / 1e6)
    say(
        f"memory over {10 * tenth:,} requests",
        f"second tenth {seen[1]:.1f} MB, last {seen[-1]:.1f} MB",
        f"{seen[-1] / seen[1]:.3f} x",
        "goal 1.05",
    )


def keys(asked: Asked) -> None:
    """Wrong keys, and a client with a right one meanwhile."""
    from tests.bank.made import bank_of, photos

    folder = WORK / "keys"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = photos(range(3))
    with bank_of(folder / "shop.bank", own) as bank:
        key = bank.keys.add("right", ["check"])
    wrong = [
        f"GET {SHOP} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dk_{k}\r\n\r\n".encode()
        for k in range(asked.rounds)
    ]
    with serving(folder, [folder / "shop.bank"], key=key) as server:
        before = server.memory()
        statuses = asyncio.run(_all(server.port, wrong))
        after = server.memory()
        right = server.post(f"{SHOP}/checks", own["001.png"]).status
    grown = (after - before) / 1e6
    say(f"{asked.rounds:,} wrong keys", dict(statuses), f"{grown:+.1f} MB", f"right key: {right}")


def pictures(asked: Asked, n: int) -> list[bytes]:
    """JPEGs of 500 × 375 of about 30 KB."""
    banks.DATA = asked.data  # type: ignore[misc]
    return banks.pictures(n)


ROWS: Final[dict[str, tuple[Callable[[Asked], None], int]]] = {
    "check": (check, 0),
    "submit": (submit, 0),
    "race": (race, 1_000),
    "kills": (kills, 200),
    "schema": (schema, 50),
    "files": (files, 10_000),
    "memory": (memory, 100_000),
    "keys": (keys, 100_000),
}
"""Each row, and how many rounds, kills, examples or requests it has."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rounds", type=float, help="in place of each row's own number")
    parser.add_argument("--entries", type=float, default=1e6)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load")
    parser.add_argument("--data", type=Path, default=banks.DATA)
    given = parser.parse_args(arguments)
    WORK.mkdir(exist_ok=True)
    for name in given.rows:
        run, rounds = ROWS[name]
        run(Asked(int(given.entries), int(given.rounds or rounds), given.seconds, given.data))


if __name__ == "__main__":
    main()
