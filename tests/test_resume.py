"""A run that is killed, interrupted or meets a full disk is continued, and ends as if nothing had
happened.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dedup
from dedup.errors import RunError
from dedup.hashers import canaries
from dedup.hashers import work as measuring
from tests import pictures

ROOT = Path(__file__).parents[1]
N = 60
RUN = """
import sys
import dedup
dedup.run({
    "dataset": {"path": sys.argv[1]},
    "output": {"dir": sys.argv[2], "report": False},
    "engine": {"workers": 1},
    "cache": {"folder": None if sys.argv[3] == "none" else sys.argv[3]},
})
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with duplicates and broken files, all of them a day old."""
    root = tmp_path_factory.mktemp("photos") / "data"
    names = [f"{'test' if k % 3 == 0 else 'train'}/{k:03d}.png" for k in range(N)]
    pictures.folder(root, names)
    pictures.save(pictures.photo(0), root / "train/copy.jpg", quality=80)
    (root / "train/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (root / "train/empty.jpg").write_bytes(b"")
    return aged(root)


def aged(root: Path, seconds: float = 86_400) -> Path:
    """The files as if changed so long ago."""
    for path in (one for one in root.rglob("*.*") if one.is_file()):
        os.utime(path, (time.time() - seconds, time.time() - seconds))
    return root


def settings(dataset: Path, output: Path | None, **sections: Any) -> dict[str, Any]:
    where = {"dir": str(output), "report": False} if output else {"splits": "none"}
    return {
        "dataset": {"path": str(dataset)},
        "output": where,
        "engine": {"workers": 0},
        **sections,
    }


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run by its place, but run.json (its times differ) and the marker (random)."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != "run.json" and ".dedup" not in path.parts
    }


def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the number of pictures of every batch that is measured in this process."""
    counts: list[int] = []
    real = measuring._measured

    def counting(rows: pa.Array, contents: list[Any], *rest: Any) -> pa.RecordBatch:
        counts.append(len(contents))
        return real(rows, contents, *rest)

    monkeypatch.setattr(measuring, "_measured", counting)
    return counts


@pytest.mark.parametrize("cache", ["none", "cache"])
def test_killed_at_any_moment(photos: Path, tmp_path: Path, cache: str) -> None:
    """However often a run is killed, the one that ends has written what an undisturbed run writes,
    byte for byte.
    """
    expected_run = tmp_path / "undisturbed"
    dedup.run(settings(photos, expected_run, cache={"folder": None}))
    where = cache if cache == "none" else str(tmp_path / cache)
    command = [sys.executable, "-c", RUN, str(photos), str(tmp_path / "run"), where]
    chance = random.Random(4)
    for _ in range(5):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (tmp_path / "run/run.json").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert contents(expected_run) == contents(tmp_path / "run")


def test_a_run_goes_on_where_it_stopped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cache, what was measured before the end is in the run folder, is not measured
    again, and then goes.
    """
    counts = measured(monkeypatch)
    from dedup.stages.measuring import Pass

    real = Pass.take

    def failing(self: Pass, part: pa.RecordBatch) -> None:
        real(self, part)
        if sum(counts) > N // 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Pass, "take", failing)
    with pytest.raises(KeyboardInterrupt):
        dedup.run(settings(photos, tmp_path / "run", cache={"folder": None}))
    before = sum(counts)
    counts.clear()
    monkeypatch.setattr(Pass, "take", real)
    dedup.run(settings(photos, tmp_path / "run", cache={"folder": None}))

    assert sum(counts) == N + 3 - before
    assert not [
        path.name for path in (tmp_path / "run").iterdir() if path.name.endswith(".partial")
    ]


def test_a_file_that_changed_meanwhile(photos: Path, tmp_path: Path) -> None:
    """What is kept of a file is not used once the file has another content, size and time being
    told apart.
    """
    root = tmp_path / "data"
    shutil.copytree(photos, root)
    dedup.run(settings(root, None))
    other = root / "train/001.png"
    size = other.stat().st_size
    pictures.save(pictures.photo(900), other)
    os.utime(other, (1, 1))
    again = dedup.run(settings(root, None))
    fresh = dedup.run(settings(root, None, cache={"folder": None}))

    assert size != other.stat().st_size
    assert fresh.hashes.equals(again.hashes)


def test_a_run_of_another_environment(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--like` a run whose decoders gave other codes for the canary pictures is refused, both
    environments named.
    """
    from dedup.runs import stored
    from dedup.stages import hashes as hashing

    monkeypatch.setattr(hashing, "VERSIONS", {"Pillow": "1.1.7"})
    monkeypatch.setattr(canaries, "canary", lambda setup: "0" * 64)
    dedup.run(settings(photos, tmp_path / "run"))
    monkeypatch.undo()

    with pytest.raises(
        RunError, match=r"Pillow 1\.1\.7 \(canary 000000000000\).*Here is .*Pillow \d+"
    ):
        stored.like(tmp_path / "run", "imagefolder")


class TestDisks:
    def test_a_full_disk(self, photos: Path, tmp_path: Path) -> None:
        """A run folder without room ends in one message; with room the same command goes on and
        ends as it should.
        """
        limited = (
            "import resource, signal, sys\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))\n"
            "from dedup.cli import main\n"
            "main()\n"
        )
        arguments = [
            "audit",
            str(photos),
            "-o",
            str(tmp_path / "run"),
            "--workers",
            "0",
            "--set",
            "cache.folder=null",
        ]
        full = subprocess.run(
            [sys.executable, "-c", limited, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        again = subprocess.run(
            [sys.executable, "-m", "dedup", *arguments], cwd=ROOT, capture_output=True, check=False
        )
        other = [*arguments[:3], str(tmp_path / "other"), *arguments[4:]]
        subprocess.run(
            [sys.executable, "-m", "dedup", *other], cwd=ROOT, capture_output=True, check=True
        )

        assert full.returncode == 1
        assert "File too large" in full.stderr
        assert "Traceback" not in full.stderr
        assert again.returncode == 0
        assert (tmp_path / "run/pairs.parquet").read_bytes() == (
            tmp_path / "other/pairs.parquet"
        ).read_bytes()

    def test_a_folder_that_cannot_be_written(self, photos: Path, tmp_path: Path) -> None:
        """It is one clear error before any work; below a file even root cannot write."""
        (tmp_path / "run").write_bytes(b"")

        with pytest.raises(RunError, match="cannot be written"):
            dedup.run(settings(photos, tmp_path / "run/below"))

    @pytest.mark.skipif(
        sys.platform != "linux", reason="root's right to write everywhere is taken away with capset"
    )
    def test_a_read_only_folder(self, photos: Path, tmp_path: Path) -> None:
        """A folder that exists but is read-only is the same error; when it can be written the same
        command goes on.
        """
        (tmp_path / "run").mkdir(mode=0o500)
        without_rights = (
            "import ctypes\nlibc, version, sets = ctypes.CDLL(None), (ctypes.c_uint32 *"
            " 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\nlibc.capget(version, sets)\nsets[0] &= ~2"
            "  # CAP_DAC_OVERRIDE\nlibc.capset(version, sets)\nfrom dedup.cli import main\nmain()\n"
        )
        arguments = [
            "audit",
            str(photos),
            "-o",
            str(tmp_path / "run"),
            "--workers",
            "0",
            "--set",
            "cache.folder=null",
        ]
        refused = subprocess.run(
            [sys.executable, "-c", without_rights, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        (tmp_path / "run").chmod(0o700)
        again = subprocess.run(
            [sys.executable, "-m", "dedup", *arguments], cwd=ROOT, capture_output=True, check=False
        )

        assert refused.returncode == 1
        assert "cannot be written" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert again.returncode == 0


@pytest.mark.shared_data
def test_every_hostile_file_has_a_status(shared_data: Path, tmp_path: Path) -> None:
    """Broken, fuzzed and exotic files: a status for each, the same with and without workers of
    their own.
    """
    root = tmp_path / "data"
    files = sorted(path for path in (shared_data / "photos").rglob("*") if path.is_file())
    rows = "".join(f'"{path}"\n' for path in files)
    root.mkdir()
    (root / "files.csv").write_text("path\n" + rows, encoding="utf-8")
    run = dedup.audit(
        root / "files.csv", workers=2, engine={"timeout": 30, "memory": 3_000_000_000}
    )

    assert len(files) == len(run.hashes)
    assert set(run.hashes["status"].to_pylist()) <= {
        "ok",
        "undecodable",
        "not_image",
        "truncated",
        "too_large",
        "unsupported",
    }
    assert not [
        text
        for text in run.hashes["detail"].to_pylist()
        if text and ("died" in text or "not done" in text)
    ]


def test_names_of_every_kind(tmp_path: Path) -> None:
    """Newlines, quotes, bytes that are not UTF-8, a loop of links, nothing, and a text: a row each,
    each its own id.
    """
    root = tmp_path / "data"
    root.mkdir()
    png = pictures.encoded(pictures.photo(1), "PNG")
    names = [b"new\nline.png", b'"quoted".png', b"it's.png", b"caf\xe9.png", "café.png".encode()]
    for name in names:
        (root / os.fsdecode(name)).write_bytes(png)
    (root / "nothing.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("no picture")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "above").symlink_to(root)
    aged(root)
    first = dedup.run(settings(root, tmp_path / "run"))
    second = dedup.run(settings(root, tmp_path / "again"))
    found = dict(
        zip(first.manifest["id"].to_pylist(), first.hashes["status"].to_pylist(), strict=True)
    )

    assert found == {
        "new\nline.png": "ok",
        '"quoted".png': "ok",
        "it's.png": "ok",
        "caf\\xe9.png": "ok",
        "café.png": "ok",
        "nothing.jpg": "truncated",
        "text.jpg": "not_image",
        "loop.png": "missing",
    }
    assert first.hashes.equals(second.hashes)
