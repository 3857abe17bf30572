"""`dedup review A B`, and the command itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dedup.cli import app
from dedup.review.differing import differences
from tests.review.made import dataset, judge, judgement, ran


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    dataset(tmp_path / "data")
    run = ran(tmp_path / "data", tmp_path / "one")
    pair = next(row for row in run.pairs.to_pylist() if row["kind"] == "near")
    judge(run, tmp_path / "two", judgement(run, pair["a"], pair["b"], "different"))
    ran(tmp_path / "data", tmp_path / "two", policy={"duplicates": "keep_first"})
    return tmp_path / "one", tmp_path / "two"


def test_settings_counts_and_pairs_that_differ(runs: tuple[Path, Path]) -> None:
    """The setting, the judgements and the pair that only the first has; nothing else."""
    found = differences(*runs)
    names = [name for name, _, _ in found.settings]

    assert ("policy.duplicates", "keep_best", "keep_first") in found.settings
    assert not [name for name in names if name.startswith(("output", "engine", "dataset"))]
    assert found.same_input
    assert () == found.versions
    assert (1, 0) == (found.only_first, found.only_second)
    assert ("pairs, near", 7, 6) in found.counts


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path]) -> None:
    """No line of any kind."""
    found = differences(runs[0], runs[0])

    assert ((), (), (), 0, 0) == (
        found.settings,
        found.versions,
        found.counts,
        found.only_first,
        found.only_second,
    )


def test_the_command_prints_them(runs: tuple[Path, Path]) -> None:
    """With the names of the settings, and the ids of the pair."""
    result = CliRunner().invoke(app, ["review", *map(str, runs)])

    assert 0 == result.exit_code
    assert "policy.duplicates" in result.output
    assert "only in the first" in result.output


def test_the_command_prints_the_address(runs: tuple[Path, Path]) -> None:
    """Without a browser the address is all that there is; Ctrl-C ends it in peace."""
    command = [sys.executable, "-u", "-m", "dedup", "review", str(runs[0]), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.readline()
        process.send_signal(2)

        assert 0 == process.wait(timeout=30)
    assert "http://127.0.0.1:" in line


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    """It is a message and an exit code, not a traceback."""
    result = CliRunner().invoke(app, ["review", str(tmp_path), "--no-browser"])

    assert 1 == result.exit_code
    assert "holds no run" in result.output
