"""One contract for every engine, and what is true only of those with processes of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dedup
from dedup.config import build
from dedup.engines import Engine, InlineEngine, Limits, ProcessEngine, choose, made
from dedup.errors import ConfigError, InternalError, MissingExtraError
from dedup.memory import usable_cores
from tests import pictures

WORK = "tests.engine_work"
ROOT = Path(__file__).parents[1]

ENGINES = {
    "inline": InlineEngine(),
    "one process": ProcessEngine(1),
    "two processes": ProcessEngine(2),
}

every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
with_processes = pytest.mark.parametrize(
    "engine", [ProcessEngine(1), ProcessEngine(2)], ids=["one", "two"]
)


def batches(n: int, rows: int = 3) -> Iterator[pa.RecordBatch]:
    """`n` batches with the numbers from 0 on."""
    for k in range(n):
        numbers = range(rows * k, rows * (k + 1))
        yield pa.record_batch([pa.array(numbers, pa.int64())], names=["number"])


def numbers_of(results: Iterator[pa.RecordBatch]) -> list[list[int]]:
    """The numbers of each result."""
    return [batch["number"].to_pylist() for batch in results]


def _kill_all(processes: Callable[[], set[int]]) -> None:
    for process in processes():
        os.kill(process, signal.SIGKILL)


def doubled(n: int, rows: int = 3) -> list[list[int]]:
    """What the work should make of `batches(n, rows)`."""
    return [[2 * number for number in range(rows * k, rows * (k + 1))] for k in range(n)]


def children() -> set[int]:
    """Processes that this one started and that are not gone, dead ones included."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it ended meanwhile
                continue
            if int(parent) == os.getpid():
                found.add(int(entry.name))
    return found


# --- the contract ---------------------------------------------------------------------------------


@every_engine
def test_results_in_the_order_of_the_tasks(engine: Engine) -> None:
    """Every batch has its result, in its place, even when some take longer than those after
    them.
    """
    got = numbers_of(engine.run(WORK, {"do": "wait"}, batches(9)))

    assert doubled(9) == got


@every_engine
def test_results_as_they_come(engine: Engine) -> None:
    """Without an order there are the same results, each once."""
    got = numbers_of(engine.unordered(WORK, {"do": "wait"}, batches(9)))

    assert sorted(doubled(9)) == sorted(got)


@with_processes
def test_nobody_waits_for_a_slow_batch(engine: Engine) -> None:
    """With two workers, what comes after a batch that takes long is there before it."""
    got = numbers_of(engine.unordered(WORK, {"do": "hang a while", "at": 0}, batches(6)))

    assert sorted(doubled(6)) == sorted(got)
    assert engine.workers == 1 or got[0] != doubled(1)[0]


@every_engine
def test_nothing_to_do(engine: Engine) -> None:
    """No batches give no results."""
    assert [] == list(engine.run(WORK, {}, batches(0)))


@every_engine
def test_schema_and_values_survive(engine: Engine) -> None:
    """Results have the schema that the work gave them."""
    (got,) = engine.run(WORK, {}, batches(1))

    assert pa.schema([("number", pa.int64()), ("note", pa.string())]) == got.schema


@every_engine
def test_an_exception_in_the_work_is_our_bug(engine: Engine) -> None:
    """Work that raises ends the run with `InternalError`, which tells what was raised and where."""
    with pytest.raises(InternalError, match=r"(?s)engine_work.*no such thing as 4") as caught:
        list(engine.run(WORK, {"do": "raise", "at": 4}, batches(5)))

    assert "ZeroDivisionError" in str(caught.value)


@every_engine
def test_results_before_an_exception_are_given(engine: Engine) -> None:
    """What was done before the exception comes out before it."""
    results = engine.run(WORK, {"do": "raise", "at": 4}, batches(5))

    assert doubled(1)[0] == next(results)["number"].to_pylist()
    with pytest.raises(Exception, match="no such thing as 4"):
        next(results)


@every_engine
def test_work_that_cannot_start_is_our_bug(engine: Engine) -> None:
    """A failure before the first row is nobody's bad data: it ends the run and is no status of
    every sample.
    """
    with pytest.raises(InternalError, match="the model is not there"):
        list(engine.run(WORK, {"do": "fail at start"}, batches(1, rows=2)))


@every_engine
def test_an_exception_in_the_input_is_passed_on(engine: Engine) -> None:
    """When the tasks cannot be read any further, the caller learns why."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(2)
        message = "the disk is gone"
        raise OSError(message)

    before = children()
    with pytest.raises(OSError, match="the disk is gone"):
        list(engine.run(WORK, {}, broken()))

    assert set() == children() - before


@every_engine
def test_input_is_read_as_it_is_needed(engine: Engine) -> None:
    """Of a thousand batches only a few are read before the first result is taken, and a few more
    after each.
    """
    taken = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal taken
        for batch in batches(1000):
            taken += 1
            yield batch

    results = engine.run(WORK, {}, counted())
    for done in range(1, 6):
        next(results)
        assert taken <= done + 4
    results.close()  # type: ignore[attr-defined]

    assert taken <= 9


@every_engine
def test_setup_reaches_the_work(engine: Engine) -> None:
    """The setup is what the caller gave, whatever characters are in it."""
    setup = {"name": "é🦊\n\"'", "do": "raise", "at": -1, "more": [1, None, {"x": 2.5}]}

    assert doubled(2) == numbers_of(engine.run(WORK, setup, batches(2)))


@every_engine
def test_printing_does_no_harm(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """What work, C code or a child process prints never gets between the results."""
    got = numbers_of(engine.run(WORK, {"do": "print", "at": 4}, batches(4)))

    assert doubled(4) == got
    capfd.readouterr()


# --- engines with processes -----------------------------------------------------------------------


@with_processes
@pytest.mark.parametrize(("what", "reason"), [("kill", "SIGKILL"), ("exit", "exit code 7")])
def test_a_row_that_kills_its_process_is_lost_alone(engine: Engine, what: str, reason: str) -> None:
    """The row that kills gets the work's word for a lost row, with the reason; every other row gets
    its result.
    """
    results = list(engine.run(WORK, {"do": what, "at": 4, "name": "gone"}, batches(5)))
    expected = doubled(5)
    expected[1][1] = -1

    assert expected == [batch["number"].to_pylist() for batch in results]
    note = results[1]["note"].to_pylist()[1]
    assert note.startswith("gone: ")
    assert reason in note


def test_a_row_that_takes_too_long_is_lost_alone() -> None:
    """A hung row ends after the limit, alone: the rows of its batch and those after it get their
    results.
    """
    engine = ProcessEngine(1, Limits(seconds=3))
    results = list(engine.run(WORK, {"do": "sleep", "at": 4, "name": "gone"}, batches(3)))
    expected = doubled(3)
    expected[1][1] = -1

    assert expected == [batch["number"].to_pylist() for batch in results]
    assert (
        results[1]["note"].to_pylist()[1] == "gone: not done after 3 s, the limit of engine.timeout"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit")
def test_a_worker_has_no_more_memory_than_its_limit() -> None:
    """A row that asks for more is lost alone, while the parent has no such limit."""
    engine = ProcessEngine(1, Limits(n_bytes=2_000_000_000))
    results = list(engine.run(WORK, {"do": "fill", "at": 4, "name": "gone"}, batches(2)))
    expected = doubled(2)
    expected[1][1] = -1

    assert expected == [batch["number"].to_pylist() for batch in results]
    note = results[1]["note"].to_pylist()[1]
    assert note == "gone: not enough memory within 2,000,000,000 bytes, engine.memory"


@every_engine
def test_a_row_for_which_there_is_no_memory_is_lost_alone(engine: Engine) -> None:
    """It is a property of the row, so no engine takes it for a bug."""
    setup = {"do": "no memory", "at": 4, "name": "gone"}
    results = list(engine.run(WORK, setup, batches(3)))
    expected = doubled(3)
    expected[1][1] = -1

    assert expected == [batch["number"].to_pylist() for batch in results]
    assert results[1]["note"].to_pylist()[1] == "gone: not enough memory"


def test_every_row_kills() -> None:
    """Even when no row can be done, each is lost by itself and the run ends."""
    got = numbers_of(ProcessEngine(2).run(WORK, {"do": "exit"}, batches(2, rows=1)))

    assert [[-1], [-1]] == got


def test_a_cluster_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray the message names what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dedup-images\[ray\]'"):
        made(build({"engine": {"kind": "ray"}}).engine)


def test_an_address_without_a_cluster_is_refused() -> None:
    """An address that would be ignored is a mistake of the config."""
    with pytest.raises(ConfigError, match="set kind: ray"):
        build({"engine": {"address": "localhost:6379"}})


def test_standard_input_is_not_the_pipe() -> None:
    """Work that reads the standard input does not eat the tasks that are waiting in the pipe."""
    before = children()
    unblock = threading.Timer(5, _kill_all, [lambda: children() - before])
    unblock.start()
    got = numbers_of(ProcessEngine(1).run(WORK, {"do": "read", "at": 0}, batches(3, rows=1)))
    unblock.cancel()

    assert doubled(3, rows=1) == got


def test_work_runs_in_other_processes() -> None:
    """Two workers are two processes, neither of them this one."""
    notes = {
        note
        for batch in ProcessEngine(2).run(WORK, {"do": "wait"}, batches(8))
        for note in batch[1].to_pylist()
    }

    assert 2 == len(notes)
    assert str(os.getpid()) not in notes


@with_processes
@pytest.mark.parametrize(
    "how", ["to the end", "closed early", "after an exception", "input broken"]
)
def test_no_process_is_left(engine: Engine, how: str) -> None:
    """However a run ends, its processes have ended and are waited for: no zombies."""
    before = children()
    setup = {"do": "raise", "at": 4} if how == "after an exception" else {"do": "wait"}

    def tasks() -> Iterator[pa.RecordBatch]:
        yield from batches(5)
        if how == "input broken":
            raise OSError

    results = engine.run(WORK, setup, tasks())
    next(results)
    assert children() - before
    if how == "closed early":
        results.close()  # type: ignore[attr-defined]
    elif how == "to the end":
        list(results)
    else:
        with pytest.raises((InternalError, OSError)):
            list(results)

    assert set() == children() - before


@with_processes
def test_closing_does_not_wait_for_the_work(engine: Engine) -> None:
    """A run that is stopped ends at once, also while its workers are busy: this is what Ctrl-C
    does.
    """
    results = engine.run(WORK, {"do": "sleep", "at": 5}, batches(5))
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]

    assert time.monotonic() - start < 30  # of the sixty that the work sleeps


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("work", [WORK, "no.such.work"])
def test_started_ahead(engine: Engine, work: str) -> None:
    """What is made ready ahead changes no result, be it for this work or another one, and nothing
    is left of it.
    """
    before = children()
    with engine.ahead(work):
        started = children() - before
        got = numbers_of(engine.run(WORK, {}, batches(4)))
        again = numbers_of(engine.run(WORK, {}, batches(4)))
    with pytest.raises(OSError, match="no picture"), engine.ahead(work):
        raise OSError("no picture")

    assert (engine.workers if isinstance(engine, ProcessEngine) else 0) == len(started)
    assert numbers_of(InlineEngine().run(WORK, {}, batches(4))) == got == again
    assert set() == children() - before


@with_processes
def test_kept_processes(engine: Engine) -> None:
    """Inside `kept` the next run has the same processes, whatever its work; one that was not read
    to its end leaves none, and at the end none is left.
    """
    before = children()

    def workers_of(setup: dict[str, int]) -> set[str]:
        return {
            note
            for batch in engine.run(WORK, setup, batches(4))
            for note in batch["note"].to_pylist()
        }

    with engine.kept():
        first, second, other = workers_of({}), workers_of({}), workers_of({"at": 3})
        stopped = engine.run(WORK, {"at": 3}, batches(4))
        next(stopped)
        stopped.close()  # type: ignore[attr-defined]
        after = workers_of({"at": 3})
        alive = children() - before
    apart = workers_of({})

    assert len(alive) == engine.workers
    assert len(first | second | other) <= engine.workers
    assert after <= {str(pid) for pid in alive}
    assert not after & (first | second | other)
    assert not apart & {str(pid) for pid in alive}
    assert set() == children() - before


def test_workers_do_without_pandas() -> None:
    """Arrow would import it with the first array, which takes longer than all that a worker
    needs.
    """
    (batch,) = ProcessEngine(1).run(WORK, {"do": "import pandas"}, batches(1, rows=1))

    assert ["no pandas"] == batch["note"].to_pylist()


def test_numba_loads_without_linear_algebra() -> None:
    """Kernels load without SciPy's, and those of others that multiply matrices find it as ever."""
    code = (
        "import sys, numpy, numba, dedup.search.kernels\n"
        "print('scipy.linalg' in sys.modules)\n"
        "print(numba.njit(lambda a: numpy.dot(a, a))(numpy.eye(2)).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ["False", "[[1.0, 0.0], [0.0, 1.0]]"] == done.stdout.splitlines()


def test_choice_of_engine() -> None:
    """No workers run here; else there is a process even for a single batch, so that a decoder
    cannot kill the run.
    """
    assert isinstance(choose(0), InlineEngine)
    for workers, expected in ((1, 1), (3, 3), (8, 8), (None, usable_cores())):
        engine = choose(workers)
        assert isinstance(engine, ProcessEngine)
        assert expected == engine.workers
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_limits_of_the_config() -> None:
    """The engine of a config has its limits, whoever it is handed to."""
    engine = made(build({"engine": {"workers": 2, "timeout": 7, "memory": 1_000}}).engine)

    assert isinstance(engine, ProcessEngine)
    assert Limits(7, 1_000) == engine.limits


class Recording(InlineEngine):
    """Runs everything here, notes what, and does as if it were on another machine."""

    reaches = False

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def run(
        self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The results, and for each batch the work and whether the batch names files."""
        for batch in batches:
            self.seen.append((work, batch["path"].null_count < len(batch)))
            yield from super().run(work, setup, iter([batch]))


def test_one_engine_decodes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing, the second look and the report go through the engine that is made of the config, and
    no other.
    """
    for name, split in (("1", "train"), ("2", "test")):
        pictures.save(
            pictures.photo(5, (400, 300)),
            tmp_path / f"data/{split}/{name}.jpg",
            quality=70 + int(name),
        )
    engine = Recording()
    monkeypatch.setattr("dedup.pipeline.made", lambda config: engine)
    settings = {
        "dataset": {"path": str(tmp_path / "data")},
        "output": {"dir": str(tmp_path / "run")},
    }
    run = dedup.run({**settings, "cache": {"folder": None}})
    works = {work for work, _ in engine.seen}

    assert run.summary["samples"]["readable"] == 2
    assert {"dedup.hashers.work", "dedup.hashers.look_work", "dedup.reporting.pictures"} == works
    assert not any(names_files for work, names_files in engine.seen if work == "dedup.hashers.work")


# --- scripts --------------------------------------------------------------------------------------


def script_output(
    script: Path, *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> str:
    """What a script of the user prints; fails when it fails."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


AUDIT = """
import sys
import dedup

print("top level")
run = dedup.audit(sys.argv[1], workers=2, report=False)
print([run.hashes["status"].to_pylist().count("ok"), len(run.pairs)])
print(dedup.hash_images([sys.argv[1] + "/train/a.png"], algorithm="dhash").shape)
"""


def test_script_without_a_main_guard_beside_hostile_names(tmp_path: Path) -> None:
    """A script that calls dedup at its top level runs once, with workers, also in a folder with a
    `datasets.py`.
    """
    names = [f"train/{name}.png" for name in "abcde"] + [f"test/{k}.png" for k in range(40)]
    root = pictures.folder(tmp_path / "photos", names)
    pictures.save(pictures.photo(0), root / "test/copy.png")
    script = tmp_path / "scripts" / "mine.py"
    script.parent.mkdir()
    script.write_text(AUDIT, encoding="utf-8")
    here = tmp_path / "here"
    here.mkdir()
    for shadow in ("datasets", "json", "PIL", "dedup", "numpy"):
        (here / f"{shadow}.py").write_text("raise RuntimeError('shadowed')\n", encoding="utf-8")
    lines = script_output(script, str(root), cwd=here).splitlines()

    assert ["top level", "[46, 1]", "(1, 8)"] == lines
