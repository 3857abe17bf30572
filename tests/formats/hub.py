"""A Hub on 127.0.0.1 that serves one dataset repository, as much of its interface as the real
clients ask for.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

COMMITS: Final = {"main": "a" * 40, "old": "b" * 40}


class Hub(ThreadingHTTPServer):
    """Serves `root/<revision>/…` as the repository `org/name`."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []  # "METHOD path" of every request
        self.n_bytes = 0  # of files, sent
        super().__init__(("127.0.0.1", 0), _Answer)

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """A Hub that runs while the block does."""
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    # The base class calls it that.
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.server.asked.append(f"{self.command} {self.path}")
        parts = path.strip("/").split("/")
        if parts[:4] == ["api", "datasets", "org", "name"]:
            self._api(parts[4:], body, parse_qs(url.query))
        elif parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts == ["api", "repos", "create"]:
            self._json(
                {
                    "url": f"{self.server.endpoint}/datasets/org/name",
                    "name": "org/name",
                    "id": "org/name",
                }
            )
        elif parts[:4] == ["datasets", "org", "name", "resolve"] and len(parts) > 5:
            self._file(parts[4], "/".join(parts[5:]))
        else:
            self._missing("RepoNotFound")

    def _api(self, rest: list[str], body: bytes, query: dict[str, list[str]]) -> None:
        what = rest[0] if rest else "revision"
        revision = rest[1] if len(rest) > 1 else "main"
        folder = self._folder(revision)
        if folder is None:
            self._missing("RevisionNotFound")
        elif what == "revision":
            files = sorted(
                p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
            )
            self._json({
                "_id": "1", "id": "org/name", "sha": self._commit(revision), "private": False,
                "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0,
                "cardData": None, "siblings": [{"rfilename": name} for name in files],
                "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
            })  # fmt: skip
        elif what == "tree":
            inside = folder.joinpath(*rest[2:])
            if not inside.is_dir():
                self._missing("EntryNotFound")
                return
            found = (
                inside.rglob("*")
                if query.get("recursive", ["false"])[0].lower() == "true"
                else inside.iterdir()
            )
            self._json([_entry(folder, path) for path in sorted(found)])
        elif what == "paths-info":
            asked = parse_qs(body.decode()) if b"=" in body else json.loads(body)
            names = asked["paths"] if isinstance(asked["paths"], list) else [asked["paths"]]
            self._json(
                [_entry(folder, folder / name) for name in names if (folder / name).exists()]
            )
        elif what == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            self._json(
                {
                    "files": [
                        {"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names
                    ]
                }
            )
        elif what == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    path = folder / line["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            url = f"{self.server.endpoint}/datasets/org/name/commit/{COMMITS['main']}"
            self._json(
                {"success": True, "commitOid": COMMITS["main"], "commitUrl": url, "hookOutput": ""}
            )
        else:
            self._missing("EntryNotFound")

    def _file(self, revision: str, name: str) -> None:
        folder = self._folder(revision)
        if folder is None or not (folder / name).is_file():
            self._missing("RevisionNotFound" if folder is None else "EntryNotFound")
            return
        data = (folder / name).read_bytes()
        start, stop, status = 0, len(data), 200
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop, status = (
                int(first),
                min(len(data), int(last) + 1 if last else len(data)),
                206,
            )
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", self._commit(revision))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if self.command == "GET":
            self.server.n_bytes += stop - start
            self.wfile.write(data[start:stop])

    def _folder(self, revision: str) -> Path | None:
        name = next((name for name, commit in COMMITS.items() if revision in {name, commit}), None)
        folder = self.server.root / (name or "")
        return folder if name and folder.is_dir() else None

    def _commit(self, revision: str) -> str:
        return COMMITS.get(revision, revision)

    def _json(self, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": "c" * 40, "size": 0, "path": name}
    data = path.read_bytes()
    return {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}
