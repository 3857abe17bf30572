"""Manifests at URLs and with URLs in them: memory and local files, and nothing from the network
unasked.
"""

import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

import dedup
from dedup.formats import open_source, write_splits
from tests import pictures
from tests.formats import made

PNG = [pictures.encoded(pictures.photo(seed)) for seed in range(4)]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """An empty memory file system."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_manifest_in_memory(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, suffix: str
) -> None:
    """Paths are relative to the manifest's URL; the written manifest names them in full and is
    clean.
    """
    memory.pipe("/set/files/a.png", PNG[0])
    memory.pipe("/set/files/b.png", PNG[1])
    memory.pipe("/set/files/c.png", PNG[0])
    records = [
        {"path": "files/a.png", "split": "train", "more": "x"},
        {"path": "files/b.png", "split": "train", "more": "y"},
        {"path": "files/c.png", "split": "test", "more": "z"},
        {"path": "files/gone.png", "split": "test", "more": "z"},
    ]
    memory.pipe(f"/set/m.{suffix}", made.table(tmp_path / f"m.{suffix}", records).read_bytes())
    url = f"memory://set/m.{suffix}"
    run = dedup.run(
        {
            "dataset": {"path": url},
            "engine": {"workers": 0},
            "output": {"dir": str(tmp_path / "run"), "report": False},
        }
    )
    again = made.opened(path=str(tmp_path / f"run/splits/m.{suffix}"))

    assert ["files/a.png", "files/b.png", "files/c.png", "files/gone.png"] == run.manifest[
        "id"
    ].to_pylist()
    assert ["drop", "keep", "keep", "unreadable"] == run.decisions["action"].to_pylist()
    assert run.summary["certificate"]["clean"]
    assert [PNG[1], PNG[0]] == made.contents(again)


def test_a_file_url(tmp_path: Path) -> None:
    """`file://` is the path behind it, for a manifest and for a folder."""
    dataset = made.manifest(tmp_path / "in", made.rows())
    expected = made.described(made.opened(**dataset))

    assert expected == made.described(made.opened(path=f"file://{dataset['path']}"))
    folder = made.imagefolder(tmp_path / "folder", made.rows())["path"]
    assert made.opened(path=folder).rows.equals(made.opened(path=f"file://{folder}").rows)


def test_urls_in_a_local_manifest(
    memory: fsspec.AbstractFileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Local URLs are read; others only if their protocol is named: a manifest must not open the
    network by itself.
    """
    memory.pipe("/x/a.png", PNG[0])
    (tmp_path / "b.png").write_bytes(PNG[1])
    asked: list[str] = []

    def content(url: str) -> bytes:
        asked.append(url)
        return bytes(memory.cat(url))

    monkeypatch.setattr("dedup.formats.manifest.content", content)
    paths = ["memory://x/a.png", f"file://{tmp_path}/b.png", "https://example.com/c.png"]
    path = made.table(tmp_path / "m.csv", [{"path": p} for p in paths])
    with caplog.at_level(logging.WARNING, "dedup"):
        source = made.opened(path=str(path))

    assert [PNG[0], PNG[1], None] == made.contents(source)
    assert ["memory://x/a.png"] == asked
    assert "dataset.protocols" in caplog.text
    assert paths == source.rows["uri"].to_pylist()


def test_crossing_from_urls(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    """Pictures at URLs become files, rows or members of another form."""
    for k in range(3):
        memory.pipe(f"/set/{k}.png", PNG[k])
    memory.pipe("/set/m.csv", b"path,split\n0.png,train\n1.png,test\n2.png,train\n")
    source = made.opened(path="memory://set/m.csv")

    for form in ("imagefolder", "parquet", "webdataset"):
        again = open_source(
            write_splits(source, made.everything(source), tmp_path / form, form, "hardlink").config
        )
        assert sorted(made.described(source)) == sorted(made.described(again)), form


def test_a_manifest_at_a_web_server(tmp_path: Path) -> None:
    """`http://` is read where the extra is installed: manifest and pictures, from a server on this
    machine.
    """
    pytest.importorskip("aiohttp")
    pytest.importorskip("requests")
    made.manifest(tmp_path / "in", made.rows())
    handler = partial(_Quiet, directory=str(tmp_path / "in"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/m.csv"
        source = made.opened(path=url)
        got = made.contents(source)
        with pytest.raises(dedup.DedupError, match=r"gone\.csv"):
            made.opened(path=url.replace("m.csv", "gone.csv"))
        server.shutdown()

    assert [row.data for row in made.rows()] == got
    assert [f"files/{row.name}" for row in made.rows()] == source.rows["id"].to_pylist()


class _Quiet(SimpleHTTPRequestHandler):
    # The base class calls it that.
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.mark.parametrize(
    ("url", "extra"),
    [("s3://bucket/m.csv", "dedup-images[s3]"), ("https://localhost/m.csv", "dedup-images[http]")],
)
def test_a_file_system_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    """The message says what is missing and which extra has it."""

    def missing(*_: object, **__: object) -> None:
        message = "Install it."
        raise ImportError(message)

    monkeypatch.setattr(fsspec, "open", missing)
    with pytest.raises(dedup.errors.MissingExtraError) as caught:
        made.opened(path=url)

    assert f"{url!r}: the file system of " in str(caught.value)
    assert f"pip install '{extra}'" in str(caught.value)


@pytest.mark.parametrize("url", ["memory://set/m.csv", "nosuch://x/m.csv", "s3://bucket/m.csv"])
def test_urls_that_cannot_be_read(memory: fsspec.AbstractFileSystem, url: str) -> None:
    """A manifest that is not there, an unknown protocol and one that is not installed are named."""
    with pytest.raises(dedup.DedupError) as caught:
        made.opened(path=url)

    assert url in str(caught.value)
