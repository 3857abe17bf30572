"""A finished run is replaced by a finished one: whatever interrupts it, the old run or the new one
is there, whole.
"""

import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dedup
from benchmarks import kills
from dedup import files, pipeline
from dedup.errors import RunError, TableError
from dedup.runs import finishing, locking, switching
from dedup.runs.stored import load
from dedup.tables import NAMES
from tests import pictures


def settings(dataset: Path, output: Path, **sections: Any) -> dict[str, Any]:
    return {
        "dataset": {"path": str(dataset)},
        "output": {"dir": str(output), "report": False, "files": "copy"},
        "engine": {"workers": 0},
        **sections,
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A small dataset with a leak and a duplicate."""
    root = pictures.folder(
        tmp_path / "photos", ["train/1.png", "train/2.png", "train/3.png", "test/4.png"]
    )
    pictures.save(pictures.photo(3), root / "train/leak.jpg", quality=90)
    pictures.save(pictures.photo(0), root / "train/again.jpg", quality=90)
    return root


class Killed(BaseException):
    """Stands for the end of the process: nothing that catches errors catches it."""


OTHER = ["policy.duplicates=report_only", "policy.leakage=report_only"]


def steps_of_a_switch(photos: Path, where: Path) -> int:
    """How many times a switch changes something on the disk."""
    return len(changes(photos, where, stop=10_000))


def changes(photos: Path, where: Path, stop: int) -> list[str]:
    """Decide another policy in place, and be killed at a step of the switch; the steps that were
    made.
    """
    made: list[str] = []
    real_rename, real_replace, real_remove = Path.rename, Path.replace, files.remove

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any) -> Any:
            if len(made) >= stop:
                raise Killed
            made.append(f"{name} {arguments[0]}")
            return call(*arguments)

        return step

    with pytest.MonkeyPatch.context() as patch:
        real_begin = switching.begin

        def begun(*arguments: Any) -> None:
            real_begin(*arguments)
            patch.setattr(Path, "rename", counted("rename", real_rename))
            patch.setattr(Path, "replace", counted("replace", real_replace))
            patch.setattr(files, "remove", counted("remove", real_remove))

        patch.setattr(switching, "begin", begun)
        with contextlib.suppress(Killed):
            pipeline.decide(where, OTHER)
    return made


class TestSwitch:
    def test_killed_at_every_step(self, photos: Path, tmp_path: Path) -> None:
        """From the journal on, every command finds the new run, at whichever step the switch was
        ended.
        """
        dedup.run(settings(photos, tmp_path / "old"))
        dedup.run(settings(photos, tmp_path / "new"))
        pipeline.decide(tmp_path / "new", OTHER)
        expected = kills.contents(tmp_path / "new")
        dedup.run(settings(photos, tmp_path / "counted"))
        n_steps = steps_of_a_switch(photos, tmp_path / "counted")

        assert n_steps > 15
        for stop in range(n_steps):
            where = tmp_path / f"run{stop}"
            dedup.run(settings(photos, where))
            changes(photos, where, stop)
            verdict = dedup.gate(where, max_leakage=1.0)
            run = load(where, (), NAMES)

            assert verdict.passed
            assert len(run.decisions) == 6
            assert expected == kills.contents(where), stop
            assert not (where / files.OWN / switching.JOURNAL).exists()

    def test_refused_before_the_journal(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A decide that is refused while it writes leaves the run as it was, and nothing beside
        it.
        """
        dedup.run(settings(photos, tmp_path / "run"))
        before = kills.contents(tmp_path / "run")
        pictures.save(pictures.photo(77), photos / "train/1.png")
        with pytest.raises(dedup.SourceError, match="has changed since"):
            pipeline.decide(tmp_path / "run", OTHER)

        assert before == kills.contents(tmp_path / "run")
        assert dedup.gate(tmp_path / "run", max_leakage=1.0).passed
        assert not (tmp_path / "run" / files.OWN / switching.NEXT).exists()

    def test_a_split_that_the_form_cannot_write(self, photos: Path, tmp_path: Path) -> None:
        """Another form for which a split has no name is refused, and the old splits stay."""
        (photos / "test").rename(photos / "te st")
        asked = settings(photos, tmp_path / "run")
        asked["dataset"]["top_folders"] = "splits"
        dedup.run(asked)
        before = kills.contents(tmp_path / "run")
        with pytest.raises(dedup.SourceError, match="te st"):
            pipeline.decide(tmp_path / "run", ["output.splits=parquet"])

        assert before == kills.contents(tmp_path / "run")

    def test_a_run_that_fails_over_a_finished_one(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run that cannot be ended leaves the finished one that was there."""
        dedup.run(settings(photos, tmp_path / "run"))
        before = kills.contents(tmp_path / "run")

        def full(*arguments: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(finishing, "write_certified", full)
        with pytest.raises(OSError, match="No space"):
            dedup.run(
                settings(photos, tmp_path / "run", policy={"duplicates": "report_only"}),
                overwrite=True,
            )

        assert before == kills.contents(tmp_path / "run")
        assert dedup.gate(tmp_path / "run", max_leakage=1.0).passed

    def test_the_space_is_checked(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a second run would not fit beside the first, that is said before any work."""
        dedup.run(settings(photos, tmp_path / "run"))
        before = kills.contents(tmp_path / "run")
        usage = type("Usage", (), {"free": 1000})
        monkeypatch.setattr("dedup.runs.folder.shutil.disk_usage", lambda place: usage)
        with pytest.raises(RunError, match="but only 1,000 are free"):
            pipeline.decide(tmp_path / "run", OTHER)
        with pytest.raises(RunError, match="but only 1,000 are free"):
            dedup.run(settings(photos, tmp_path / "run"))

        assert before == kills.contents(tmp_path / "run")

    def test_what_raw_readers_are_told(
        self, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While files of two runs lie side by side, `run.json` says so."""
        dedup.run(settings(photos, tmp_path / "run"))
        states = []
        real = Path.rename

        def told(self: Path, target: Path) -> Path:
            states.append(files.read_json(tmp_path / "run/run.json")["state"])
            return real(self, target)

        def begun(*arguments: Any) -> None:
            begin(*arguments)
            monkeypatch.setattr(Path, "rename", told)

        begin = switching.begin
        monkeypatch.setattr(switching, "begin", begun)
        pipeline.decide(tmp_path / "run", OTHER)

        assert {"switching"} == set(states)
        assert files.read_json(tmp_path / "run/run.json")["state"] == "finished"


class TestLock:
    def test_the_second_run(self, photos: Path, tmp_path: Path) -> None:
        """While a run holds its folder, another one ends with a message that names it; then it goes
        on.
        """
        dedup.run(settings(photos, tmp_path / "run"))
        before = kills.contents(tmp_path / "run")
        with locking.locked(tmp_path / "run"):
            message = r"in use by another run of dedup \(process \d+ on .*, since 20"
            with pytest.raises(RunError, match=message):
                dedup.run(settings(photos, tmp_path / "run"))
            with pytest.raises(RunError, match=message):
                pipeline.decide(tmp_path / "run", OTHER)
            with pytest.raises(RunError, match=message):
                pipeline.report(tmp_path / "run")

            assert dedup.gate(tmp_path / "run", max_leakage=1.0).passed  # who only reads may
        assert before == kills.contents(tmp_path / "run")
        assert dedup.run(settings(photos, tmp_path / "run")).summary["decisions"]["keep"] == 4

    def test_a_new_folder(self, photos: Path, tmp_path: Path) -> None:
        """Two threads that begin in one new folder do not both run."""
        barrier, ended = threading.Barrier(2), list[str]()

        def run() -> None:
            barrier.wait()
            try:
                dedup.run(settings(photos, tmp_path / "run"))
                ended.append("ran")
            except RunError as error:
                ended.append("refused" if "in use" in str(error) else str(error))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(ended) in (["ran", "refused"], ["ran", "ran"])
        assert dedup.gate(tmp_path / "run", max_leakage=1.0).passed

    def test_a_lock_that_was_left(self, photos: Path, tmp_path: Path) -> None:
        """The file of a lock whose process is gone locks nothing."""
        dedup.run(settings(photos, tmp_path / "run"))
        (tmp_path / "run" / files.OWN / locking.LOCK).write_text(
            '{"process": 1, "host": "x", "since": "2000"}'
        )

        assert dedup.run(settings(photos, tmp_path / "run")).summary["decisions"]["keep"] == 4


def test_real_processes(tmp_path: Path) -> None:
    """A few kills of `run` and `decide` and a pair of runs; `python -m benchmarks.kills` does
    many.
    """
    known, chance = kills.made(tmp_path), random.Random(3)
    killed = [kills.kills(tmp_path, known, 2, chance, command) for command in ("run", "decide")]
    met = kills.pairs(tmp_path, known, 1, chance)

    assert all({*found} <= {"old", "new"} for found in killed), killed
    assert {*met} <= {"first", "second", "ran", "refused"}, met


def test_what_is_read_later_is_of_the_run_that_was_loaded(photos: Path, tmp_path: Path) -> None:
    """Hashes of another run, which has taken its place meanwhile, are refused."""
    dedup.run(settings(photos, tmp_path / "run"))
    loaded = load(tmp_path / "run", (), NAMES)
    other = settings(photos, tmp_path / "run", hash={"bits": 256})
    dedup.run(other, overwrite=True)

    with pytest.raises(TableError, match="was made with"):
        loaded.store.whole_hashes()
