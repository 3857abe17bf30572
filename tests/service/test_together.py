"""Many at once and processes that are killed: at most one of equals, and nothing is lost."""

import io
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.bank import Bank
from dedup.errors import ServiceError
from tests.pictures import encoded, photo
from tests.service.made import Receiver, Server, free_port, receiving, serving

N_COPIES = 64


def variants(seed: int) -> list[bytes]:
    """64 files of one picture: equal bytes, recompressed, resized."""
    image = photo(seed, (400, 300))
    equal = encoded(image, "JPEG", quality=90)
    recompressed = [encoded(image, "JPEG", quality=60 + k) for k in range(24)]
    resized = [
        encoded(image.resize((400 - 4 * k, 300 - 3 * k)), "JPEG", quality=85) for k in range(16)
    ]
    return [equal] * (N_COPIES - len(recompressed) - len(resized)) + recompressed + resized


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Four processes over one empty bank."""
    folder = tmp_path_factory.mktemp("service")
    Bank.create(folder / "shop.bank").close()
    with serving(folder, [folder / "shop.bank"], "--workers", "4") as running:
        yield running


def submitted(server: Server, files: list[bytes]) -> list[str]:
    """The verdicts of files that are submitted at the same moment, each on its own connection."""
    gate = threading.Barrier(len(files))

    def one(data: bytes) -> str:
        with dedup.Client(server.url, tries=10) as client:
            gate.wait()
            return str(client.submit(data).verdict)

    with ThreadPoolExecutor(len(files)) as threads:
        return list(threads.map(one, files))


@pytest.mark.parametrize("seed", range(4))
def test_of_64_copies_at_once_exactly_one_is_approved(server: Server, seed: int) -> None:
    """Over four processes; benchmarks/service.py has 1,000 rounds."""
    files = variants(1_000 + seed)
    random.Random(seed).shuffle(files)
    verdicts = submitted(server, files)

    assert (N_COPIES, 1) == (len(verdicts), verdicts.count("approved"))


def test_killed_processes_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    """Server processes, decoders and the whole service, at random moments under load.

    Every acknowledged submission is there, once; its retry has the same name; and its webhook came.
    benchmarks/service.py has 200 kills.
    """
    with receiving() as receiver:
        acknowledged = killed_under_load(tmp_path, receiver, kills=6, seed=1)
        names = [name for name, _ in acknowledged.values()]
        path = tmp_path / "shop.bank"
        with Bank(path) as bank:
            ids = [entry.id for entry in bank.entries(limit=10**6)]
            kept = {one.name: one for one in bank.submissions(limit=10**6)}
            whole = bank.verify().is_whole
        told = [one.headers["webhook-id"] for one in receiver.received]
        bodies = b"".join(one.body for one in receiver.received).decode()

    assert len(acknowledged) >= 10
    assert whole
    assert len(names) == len(set(names))
    assert set(names) <= set(kept)
    assert len(ids) == len(set(ids))
    for key, (name, verdict) in acknowledged.items():
        assert verdict == kept[name].verdict
        assert (verdict == "approved") == (key in ids)
    assert all(name in bodies for name in names)
    assert len(set(told)) >= len(names)


def killed_under_load(
    folder: Path, receiver: Receiver, kills: int, seed: int
) -> dict[str, tuple[str, str]]:
    """What was acknowledged, by id, while processes of a service were killed."""
    path, port, rng = folder / "shop.bank", free_port(), random.Random(seed)
    Bank.create(path).close()
    secret = "whsec_" + "A" * 43 + "="
    settings = {
        "webhooks": {
            "targets": [{"url": receiver.url, "secret": secret}],
            "allow_private": ["127.0.0.1/32"],
            "back_off": [0.2] * 50,
        }
    }
    acknowledged: dict[str, tuple[str, str]] = {}
    stopped = threading.Event()

    def load(worker: int) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            entry = f"{worker}/{number}"
            data = noise(worker * 100_000 + number)
            while not stopped.is_set():
                # A key of its own for each picture: what is sent again is not decided again.
                with suppress(ServiceError), dedup.Client(f"http://127.0.0.1:{port}") as client:
                    said = client.submit(data, entry, idempotency_key=entry)
                    acknowledged[entry] = (said.name, str(said.verdict))  # type: ignore[union-attr]
                    break

    threads = [threading.Thread(target=load, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    done = 0
    while done < kills:
        with serving(folder, [path], "--workers", "2", settings=settings, port=port) as server:
            for _ in range(3):
                time.sleep(rng.uniform(0.1, 0.8))
                done += 1
                victims = [*server.children(), *server.decoders()]
                os.kill(rng.choice(victims), signal.SIGKILL)
            if rng.random() < 0.5:
                for pid in [server.process.pid, *server.children()]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
    with serving(folder, [path], settings=settings, port=port) as server:
        stopped.set()
        for thread in threads:
            thread.join(60)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if not server.ask("GET", "/v1/deliveries?state=waiting").json["deliveries"]:
                break
            time.sleep(0.1)
    return acknowledged


def noise(seed: int) -> bytes:
    """A picture that is like no other."""
    levels = np.random.default_rng(seed).integers(0, 256, (12, 16), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(levels).resize((160, 120), Image.Resampling.BICUBIC).save(sink, "PNG")
    return sink.getvalue()
