"""What a first run compiles, processes of their own compile while it hashes; nothing is left for
itself.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dedup import rehearsal
from dedup.config import Config
from dedup.rehearsal import rehearsed
from dedup.rehearsal.made import rehearse
from tests.pictures import photo, save

RUN = """
import json, sys
from numba.core import event

compiled = set()

class Listener(event.Listener):
    def on_start(self, event):
        compiled.add(event.data["dispatcher"].py_func.__module__)

    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
import dedup

run = dedup.run(json.loads(sys.argv[1]))
own = sorted(name for name in compiled if name.startswith(("dedup.search", "dedup.verify")))
looks = run.info["second_look"]
stages = [stage["stage"] for stage in run.info["stages"]]
framed = run.info["verification"]["framed"]
print(json.dumps({"own": own, "stages": stages, "framed": framed, "looks": looks}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, a copy with a border, a recompressed and a mirrored one: every part of a run has
    something to do.
    """
    image = photo(1)
    framed = Image.new("RGB", (180, 140))
    framed.paste(image, (10, 10))
    save(image, tmp_path / "of" / "photo.png")
    save(framed, tmp_path / "of" / "framed.png")
    save(image, tmp_path / "of" / "recompressed.jpg", quality=60)
    save(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path / "of" / "mirrored.png")
    return tmp_path / "of"


def test_nothing_is_left_for_the_run(folder: Path, tmp_path: Path) -> None:
    """The first run waits for the kernels and compiles none of them; the second finds them."""
    settings = {
        "dataset": {"path": str(folder)},
        "search": {"orientations": "mirrored"},
        "output": {"splits": "none"},
        "engine": {"workers": 1},
    }
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}

    def run() -> dict[str, Any]:
        command = [sys.executable, "-c", RUN, json.dumps(settings)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    first, second = run(), run()

    assert first["framed"] >= 1
    assert first["looks"]["compared"] >= 1
    assert first["own"] == second["own"] == []
    assert "kernels" in first["stages"]
    assert "kernels" not in second["stages"]


@pytest.mark.parametrize(
    "settings",
    [
        {"search": {"orientations": "all", "combine": "all"}},
        {"search": {"orientations": "all", "max_distance": 20, "max_candidates": 1}},
        {"hash": {"algorithms": ["pdq"], "bits": 256}},
        {
            "hash": {"algorithms": ["whash"], "bits": 1024, "mode": "compat"},
            "search": {"max_distance": 0},
        },
        {"verify": {"method": "none"}, "search": {"max_distance": 4}},
    ],
)
def test_every_setting_can_be_rehearsed(settings: dict[str, Any]) -> None:
    """No limit of the user's, and none of its own, ends a rehearsal before its end."""
    config = Config.model_validate(settings)

    rehearse("search", config)
    if config.verify.method != "none":
        rehearse("verification", config)


SLOW_PATHS = """
import sys
from numba.core import event
from dedup.config import Config

compiled = set()

class Listener(event.Listener):
    def on_start(self, event):
        compiled.add(event.data["dispatcher"].py_func.__module__)

    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
from dedup.rehearsal.lean import compile_lean
from dedup.rehearsal.made import rehearse

assert compile_lean()
for part in ("hashing", "search", "verification"):
    rehearse(part, Config())
print(*sorted(compiled))
"""


def test_kernels_keep_off_the_slow_paths_of_numba(tmp_path: Path) -> None:
    """No kernel makes numba compile texts for errors, NumPy's functions on arrays or LAPACK:
    seconds each.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SLOW_PATHS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    compiled = set(done.stdout.split())

    assert "dedup.verify.similarity" in compiled
    assert set() == compiled & {"numba.cpython.unicode", "numba.np.arraymath", "numba.np.linalg"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, subprocess.Popen[bytes]]]:
    """Nothing is compiled, so it seems; gives what is started for it: processes that wait for ever,
    or that fail.
    """
    found: list[tuple[str, subprocess.Popen[bytes]]] = []

    def started(module: str, part: str, **pipes: Any) -> subprocess.Popen[bytes]:
        waits = "import time; time.sleep(30)"
        fails = "print(); print(); raise SystemExit(1)"  # after two kernels
        code = waits if part == "verification" else fails
        found.append((part, subprocess.Popen([sys.executable, "-c", code], **pipes)))
        return found[-1][1]

    monkeypatch.setattr(rehearsal, "started", started)
    monkeypatch.setattr(rehearsal, "is_kept", lambda _: False)
    return found


def test_a_run_that_ends_early_ends_them(asked: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    """Whatever ends the run, no process goes on."""
    config = Config()
    with (
        pytest.raises(KeyboardInterrupt),
        rehearsal.compiling(config, ["search", "verification"]),
    ):
        raise KeyboardInterrupt

    assert [part for part, _ in asked] == ["search", "verification"]
    assert all(process.returncode is not None for _, process in asked)


def test_what_fails_there_is_left_to_the_run(asked: list[tuple[str, Any]]) -> None:
    """A process that fails is waited for all the same, and what it had compiled was counted;
    nothing is verified.
    """
    counts: list[tuple[int, int]] = []
    with rehearsed(Config.model_validate({"verify": {"method": "none"}})) as wait:
        assert wait is not None
        wait(lambda done, total: counts.append((done, total)))

    assert [(part, process.returncode) for part, process in asked] == [("search", 1)]
    done, total = counts[-1]
    assert done == 2
    assert total > 10
    assert counts == sorted(counts)


def test_nothing_is_started_where_all_is_there(
    asked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs have nothing to wait for."""
    monkeypatch.setattr(rehearsal, "missing", lambda _: [])

    with rehearsed(Config()) as wait:
        assert wait is None

    assert asked == []
