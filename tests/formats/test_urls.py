"""Datasets and outputs at URLs, tried against a local S3 server and fsspec's memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from dedup import pipeline
from dedup.config import build
from dedup.decoding.contents import Reader, unopened
from dedup.decoding.remote import fetched, to_fetch
from dedup.errors import RunError, SourceError
from dedup.formats import open_source
from dedup.formats.references import Named, tasks
from dedup.runs import opening
from tests import pictures

s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

N_PHOTOS = 12


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two splits with copies across them, and files that are no pictures."""
    root = tmp_path_factory.mktemp("photos")
    for seed in range(N_PHOTOS):
        picture = pictures.photo(seed, (120, 90))
        pictures.save(picture, root / "train" / "x" / f"{seed}.png")
        if seed % 4 == 0:
            small = picture.resize((100, 75), Image.Resampling.LANCZOS)
            pictures.save(small, root / "test" / "y" / f"{seed} å+again.jpg", quality=80)
    (root / "README.txt").write_text("photos")
    (root / "train" / "x" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    return root


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An S3 server on the loopback address, where AWS's libraries look for one."""
    running = server.ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield
        s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.fixture(scope="module")
def at_s3(s3: None, photos: Path) -> str:
    """The URL of the same folder in a bucket."""
    s3fs.S3FileSystem().put(f"{photos}/", "bucket/photos", recursive=True)
    return "s3://bucket/photos"


def settings(path: str, out: str | None, **more: Any) -> dict[str, Any]:
    """Of a run without a cache."""
    output = {"dir": out, "report": False, "splits": "none" if out is None else "same"}
    return {
        "dataset": {"path": path},
        "output": output,
        "engine": {"workers": 1},
        "cache": {"folder": None},
        **more,
    }


def ran(path: str, out: str | None, **more: Any) -> Any:
    return pipeline.run(build(settings(path, out, **more)))


# --- datasets -------------------------------------------------------------------------------------


def test_a_folder_in_a_bucket_is_the_folder(at_s3: str, photos: Path) -> None:
    """Ids, splits, labels, every hash and every decision are those of the same folder here."""
    here, there = ran(str(photos), None), ran(at_s3, None)
    for name in ("manifest", "hashes", "pairs", "leakage", "decisions"):
        columns = [name for name in here.tables[name].column_names if name != "uri"]
        one, two = (run.tables[name].select(columns).to_pylist() for run in (here, there))

        assert one == two
    assert len(here.pairs) >= 3
    assert ["README.txt"] == there.opened().not_read["path"].to_pylist()


def test_tasks_name_urls(at_s3: str) -> None:
    """Workers fetch pictures by themselves: no task has bytes, in order or out of it."""
    source = open_source(build({"dataset": {"path": at_s3}}).dataset)
    for batch in [*tasks(source, 5), *Named(source).of([3, 1])]:
        assert 0 == batch["data"].null_count - len(batch)
        assert [] == unopened(batch)
        for path, content in zip(batch["path"].to_pylist(), Reader().contents(batch), strict=True):
            assert path == to_fetch(path.decode().removeprefix("\0fetch "))
            assert isinstance(content, bytes)


def test_a_list_of_urls(at_s3: str, tmp_path: Path) -> None:
    """A manifest on this machine reads URLs only if the config names their protocol."""
    listing = tmp_path / "photos.csv"
    listing.write_text(f"path,split\n{at_s3}/train/x/1.png,train\n{at_s3}/train/x/none.png,train\n")
    asked = ran(str(listing), None, dataset={"path": str(listing), "protocols": ["s3"]})

    assert ["ok", "missing"] == asked.tables["hashes"]["status"].to_pylist()
    with pytest.raises(SourceError, match="none of the 2 pictures"):
        ran(str(listing), None)


def test_what_is_not_there_has_a_reason(s3: None) -> None:
    """A missing object is a row with a status, and no retry."""
    found = fetched(to_fetch("s3://bucket/photos/none.png"))

    assert not isinstance(found, bytes)
    assert "missing" == found.status


@pytest.mark.parametrize("url", ["s3://bucket/nothing", "s3://no-such-bucket/photos"])
def test_nothing_below_a_url(s3: None, url: str) -> None:
    """An empty place and a bucket that does not exist are told apart from a dataset."""
    with pytest.raises(SourceError, match=r"no image files below this URL|cannot be listed"):
        open_source(build({"dataset": {"path": url}}).dataset)


# --- outputs --------------------------------------------------------------------------------------


@pytest.fixture(params=["s3", "memory"])
def place(request: pytest.FixtureRequest, s3: None, tmp_path: Path) -> str:
    """A place for a run, at URLs of two file systems."""
    name = tmp_path.name.replace("[", "-").replace("]", "")
    return f"s3://bucket/{name}" if request.param == "s3" else f"memory://{name}"


def objects(url: str) -> dict[str, bytes]:
    """What is below a URL."""
    system, root = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    names = system.find(root)
    return {name.split(root.strip("/") + "/", 1)[1]: system.cat_file(name) for name in names}


def test_a_run_at_a_url_is_the_run(place: str, photos: Path, tmp_path: Path) -> None:
    """Tables and splits there are those of a run here, byte for byte, and nothing else is left."""
    ran(str(photos), str(tmp_path / "here"))
    ran(str(photos), place)
    there = objects(place)
    here = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_bytes()
        for path in (tmp_path / "here").rglob("*")
        if path.is_file() and ".dedup" not in path.parts
    }

    assert sorted(here) == sorted(name for name in there if not name.startswith(".dedup/"))
    for name in here:
        if name not in {"run.json", "summary.json"}:
            assert here[name] == there[name], name
    assert place == json.loads(there["run.json"])["config"]["output"]["dir"]
    assert ".dedup/lock" not in there


def test_another_run_is_not_replaced(place: str, photos: Path) -> None:
    """Another config is refused, the same one takes its place, and what it has no more goes."""
    ran(str(photos), place)
    with pytest.raises(RunError, match="holds a run with another config"):
        ran(str(photos), place, search={"max_distance": 3})
    before = objects(place)
    config = build(settings(str(photos), place, search={"max_distance": 3}))
    none = config.output.model_copy(update={"splits": "none"})
    pipeline.run(config.model_copy(update={"output": none}), overwrite=True)
    after = objects(place)

    assert any(name.startswith("splits/") for name in before)
    assert not any(name.startswith("splits/") for name in after)
    assert 3 == json.loads(after["run.json"])["config"]["search"]["max_distance"]


def test_objects_of_others_are_left_alone(place: str, photos: Path) -> None:
    """A place with something that dedup has not put there is refused before any work."""
    system, root = fsspec.core.url_to_fs(place)
    system.pipe_file(f"{root}/mine.txt", b"mine")
    with pytest.raises(RunError, match=r"holds 'mine.txt', which was not made by dedup"):
        ran(str(photos), place)

    assert {"mine.txt": b"mine"} == objects(place)


def test_two_drivers_on_one_place(place: str, photos: Path) -> None:
    """Whoever comes second is refused with who is there; a lock of a dead process is taken."""
    system, root = fsspec.core.url_to_fs(place)
    lock = {"process": 1, "host": "another", "since": "2026-11-30 12:00:00"}
    system.pipe_file(f"{root}/.dedup/lock", json.dumps(lock).encode())
    with pytest.raises(RunError, match=r"in use by another run .*process 1 on another"):
        ran(str(photos), place)
    assert [".dedup/lock"] == list(objects(place))

    import platform

    dead = lock | {"process": 2**22 - 7, "host": platform.node()}
    system.pipe_file(f"{root}/.dedup/lock", json.dumps(dead).encode())
    ran(str(photos), place)
    assert "run.json" in objects(place)


def test_a_bucket_that_cannot_be_written(
    s3: None, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission the run ends before anything is hashed."""

    def refused(*_: Any, **__: Any) -> None:
        message = "Access Denied"
        raise PermissionError(message)

    monkeypatch.setattr(fsspec.core.url_to_fs("s3://bucket/out")[0], "pipe_file", refused)
    monkeypatch.setattr(opening, "open_source", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(RunError, match=r"s3://bucket/out cannot be written: Access Denied"):
        ran(str(photos), "s3://bucket/out")


def test_no_such_bucket(s3: None, photos: Path) -> None:
    """A bucket that does not exist is a message, too."""
    with pytest.raises(RunError, match=r"s3://no-such-bucket/out cannot be"):
        ran(str(photos), "s3://no-such-bucket/out")


def test_a_run_that_cannot_be_sent_is_none(
    place: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sending ends half way, nothing there can be taken for a run; the next one is whole."""
    ran(str(photos), place)
    system, _ = fsspec.core.url_to_fs(place)
    sent: list[str] = []

    def fails(here: str, there: str) -> None:
        sent.append(there)
        if len(sent) > 3:
            message = "the line is down"
            raise OSError(message)
        system.pipe_file(there, Path(here).read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(system, "put_file", fails)
        with pytest.raises(RunError, match="cannot be sent: the line is down"):
            ran(str(photos), place)
    assert "run.json" not in objects(place)
    ran(str(photos), place)

    assert "finished" == json.loads(objects(place)["run.json"])["state"]


def test_a_file_url_is_a_folder(photos: Path, tmp_path: Path) -> None:
    """`file://` is another way to write a path."""
    ran(f"file://{photos}", f"file://{tmp_path}/out")

    assert (tmp_path / "out" / "run.json").is_file()
