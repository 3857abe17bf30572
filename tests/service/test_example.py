"""docs/examples/upload_handler.py, as a user would run it."""

import os
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

from tests.bank.made import bank_of, edited, photos
from tests.service.made import free_port, serving

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OWN = photos(range(3))
NEW = photos(range(50, 52))


def put(port: int, name: str, data: bytes) -> int:
    """The status of an upload; waits until somebody listens."""
    for _ in range(300):
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("PUT", f"/uploads/{name}", data)
            return connection.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError


def test_the_upload_handler_stores_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    """New is stored; its edited copy, a file that is no picture, and no service are refused."""
    bank_of(tmp_path / "shop.bank", OWN).close()
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "upload_handler:app", "--port", str(port)]
    with serving(tmp_path, [tmp_path / "shop.bank"]) as server:
        environment = {**os.environ, "DEDUP_URL": server.url, "STORE": str(tmp_path / "stored")}
        with (tmp_path / "log").open("w") as log:
            application = subprocess.Popen(
                command, cwd=EXAMPLES, env=environment, stdout=log, stderr=log
            )
        try:
            new = put(port, "a", NEW["050.png"])
            sent_again = put(port, "a", NEW["050.png"])
            copy = put(port, "b", edited(NEW["050.png"]))
            known = put(port, "c", edited(OWN["001.png"]))
            broken = put(port, "d", b"no picture")
            server.process.terminate()
            server.process.wait(30)
            without_service = put(port, "e", NEW["051.png"])
        finally:
            application.terminate()
            application.wait(30)

    expected = (200, 200, 409, 409, 422, 503)
    assert expected == (new, sent_again, copy, known, broken, without_service)
    assert [NEW["050.png"]] == [path.read_bytes() for path in (tmp_path / "stored").iterdir()]
