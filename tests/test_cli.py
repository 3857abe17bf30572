"""The command line: exit codes, messages, and what is printed where."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from dedup import cli, tables
from dedup.cli.terminal import err, out
from dedup.tables import storage
from tests import naive, pictures

COMMANDS = ("run", "audit", "compare", "decide", "gate", "report", "demo")
FAST = ("--workers", "0")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are not wrapped."""
    monkeypatch.setenv("COLUMNS", "200")
    for console in (out, err):
        monkeypatch.setattr(console, "width", 200)


def dedup(*arguments: object) -> Result:
    """Call the command in this process."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def said(result: Result) -> str:
    """What was printed, without line breaks, that paths may be found in it."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", result.output).split())


def config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return pictures.folder(
        tmp_path / "clean", ["train/x/1.png", "train/x/2.png", "test/x/3.png", "test/x/4.png"]
    )


@pytest.fixture
def leaky(clean: Path) -> Path:
    (clean / "test/x/leak.png").write_bytes((clean / "train/x/1.png").read_bytes())
    return clean


@pytest.fixture
def broken(clean: Path) -> Path:
    (clean / "train/x/broken.png").write_bytes(b"no picture")
    return clean


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run over the planted dataset, `dataset` beside it."""
    root = tmp_path_factory.mktemp("finished")
    naive.planted(root / "dataset")
    assert dedup("audit", root / "dataset", "-o", root / "run", "--quiet", *FAST).exit_code == 0
    return root / "run"


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_each_command(self, command: str) -> None:
        """--help ends with 0 and explains every argument."""
        result = dedup(command, "--help")

        assert result.exit_code == 0
        assert "Usage" in result.output
        for line in result.output.splitlines():
            assert not re.search(r"--[a-z-]+(\s+[A-Z=]+)?\s*│?$", line), (
                f"an option without help: {line}"
            )

    def test_all_commands_are_listed(self) -> None:
        """The main help names the commands and the exit codes."""
        output = said(dedup("--help"))

        assert all(command in output for command in COMMANDS)
        assert "130 Ctrl-C" in output

    def test_no_arguments(self) -> None:
        """`dedup` alone shows the help and is a usage error."""
        result = dedup()

        assert result.exit_code == 2
        assert "Usage" in result.output

    def test_version(self) -> None:
        """--version names the version."""
        result = dedup("--version")

        assert result.exit_code == 0
        assert re.fullmatch(r"dedup \d+\.\d+\.\d+\S*\n", result.output)

    @pytest.mark.parametrize(
        "arguments", [["unknown"], ["run"], ["audit", "x", "--no-such-option"]]
    )
    def test_usage(self, arguments: list[str]) -> None:
        """Unknown commands, missing arguments and unknown options are usage errors."""
        assert dedup(*arguments).exit_code == 2


class TestExitCodes:
    def test_done(self, clean: Path, tmp_path: Path) -> None:
        """A run that does its work ends with 0."""
        path = config(tmp_path, "dataset: {path: clean}\n")
        result = dedup("run", path, "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 0
        assert "Certificate: No pair" in said(result)
        assert str(tmp_path / "out/report.html") in said(result).replace(" ", "")

    def test_leaks_without_a_gate(self, leaky: Path, tmp_path: Path) -> None:
        """Finding leaks is the work: without a gate it is 0."""
        assert dedup("audit", leaky, "-o", tmp_path / "out", *FAST).exit_code == 0

    def test_leaks(self, leaky: Path, tmp_path: Path) -> None:
        """Above the limit it is 3, the reason and the worst leaks are printed, and everything is
        written.
        """
        result = dedup("audit", leaky, "-o", tmp_path / "out", "--max-leakage", "0.3", *FAST)

        assert result.exit_code == 3
        assert (
            "1 of 3 images of 'test' are in train (33.33 %); gate.max_leakage allows 30.00 %"
            in said(result)
        )
        assert "train/x/1.png" in said(result)
        assert {"report.html", "summary.json", "leakage.parquet"} <= {
            p.name for p in (tmp_path / "out").iterdir()
        }

    def test_the_limit_is_inclusive(self, leaky: Path, tmp_path: Path) -> None:
        """A share that equals the limit passes."""
        arguments = ["--max-leakage", str(1 / 3), "--max-unreadable", "0", *FAST]

        assert dedup("audit", leaky, "-o", tmp_path / "out", *arguments).exit_code == 0

    def test_unreadable(self, broken: Path, tmp_path: Path) -> None:
        """Above the limit of unreadable samples it is 4, and the reason is printed."""
        result = dedup("audit", broken, "-o", tmp_path / "out", "--max-unreadable", "0.1", *FAST)

        assert result.exit_code == 4
        assert (
            "1 of 5 samples are unreadable (20.00 %); gate.max_unreadable allows 10.00 %"
            in said(result)
        )
        assert (tmp_path / "out/decisions.parquet").exists()

    def test_both(self, leaky: Path, tmp_path: Path) -> None:
        """3 goes before 4, and both are printed; the config's gate counts as the options do."""
        (leaky / "train/x/broken.png").write_bytes(b"no picture")
        path = config(
            tmp_path, "dataset: {path: clean}\ngate: {max_leakage: 0.0, max_unreadable: 0.0}\n"
        )
        result = dedup("run", path, "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 3
        assert "are unreadable" in said(result)
        assert "are in train" in said(result)
        assert (tmp_path / "out/splits/test/x/3.png").exists()

    def test_failed(self, tmp_path: Path) -> None:
        """A dataset that cannot be read is 1."""
        (tmp_path / "rows.csv").write_text("path,split\n")
        result = dedup("audit", tmp_path / "rows.csv", "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 1
        assert "has no rows" in said(result)

    def test_a_full_disk(
        self, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error of the operating system is 1 and one message, no traceback."""

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device", "pairs.parquet")

        monkeypatch.setattr(storage, "write_parts", full)
        result = dedup("audit", clean, "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 1
        assert "No space left on device ('pairs.parquet')" in said(result)
        assert "Traceback" not in result.output

    def test_interrupted(self, tmp_path: Path) -> None:
        """Ctrl-C in the middle of the work is 130, at once, with no traceback, and the same command
        works after it.
        """
        dataset = pictures.folder(tmp_path / "data", [f"train/x/{k}.png" for k in range(3)])
        (dataset / "train/x/big.png").write_bytes(
            pictures.encoded(pictures.photo(99, (900, 700)), "PNG")
        )
        for k in range(400):
            (dataset / f"train/x/big{k:03d}.png").hardlink_to(dataset / "train/x/big.png")
        command = [
            sys.executable,
            "-m",
            "dedup",
            "audit",
            str(dataset),
            "-o",
            str(tmp_path / "out"),
            "--workers",
            "1",
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 60
        while not (tmp_path / "out/manifest.parquet").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

        # While a library runs code that it made of text, Python ends itself with the signal: 130 as
        # well in a shell.
        assert process.returncode in {130, -signal.SIGINT}
        assert "Interrupted" in errors
        assert "goes on" in errors
        assert "Traceback" not in errors
        assert json.loads((tmp_path / "out/run.json").read_text())["state"] == "started"
        assert not (tmp_path / "out/report.html").exists()


class TestBadInput:
    def test_three_mistakes_at_once(self, tmp_path: Path) -> None:
        """All three are named, with file and dotted key, and the nearest known key where there is
        one.
        """
        text = (
            "dataset: {path: x, pth: y}\nsearch: {max_distnace: 8}\npolicy: {leakage:"
            " drop_from_trian}\n"
        )
        result = dedup("run", config(tmp_path, text))
        output = said(result)

        assert result.exit_code == 2
        assert output.count("Error:") == 3
        assert "dataset.pth: unknown key. Did you mean 'dataset.path'?" in output
        assert "search.max_distnace: unknown key. Did you mean 'search.max_distance'?" in output
        assert "policy.leakage: got 'drop_from_trian'" in output
        assert "Did you mean 'drop_from_train'?" in output
        assert str(tmp_path / "config.yaml") in output

    def test_pdq_has_one_width(self, clean: Path, tmp_path: Path) -> None:
        """PDQ with other than its 256 bits is refused with what to set."""
        result = dedup(
            "audit", clean, "-o", tmp_path / "out", "--set", "hash.algorithms=[pdq]", *FAST
        )

        assert result.exit_code == 2
        assert "pdq has 256 bits only" in said(result)

    def test_no_such_config(self, tmp_path: Path) -> None:
        """A missing config file is named."""
        result = dedup("run", tmp_path / "nowhere.yaml")

        assert result.exit_code == 2
        assert "nowhere.yaml: no such config file" in said(result)

    @pytest.mark.parametrize("text", ["dataset: [", "- a\n- b\n", "just words\n"])
    def test_a_config_that_is_none(self, tmp_path: Path, text: str) -> None:
        """What is no YAML, or no sections, is one clear message."""
        result = dedup("run", config(tmp_path, text))

        assert result.exit_code == 2
        assert "config.yaml" in said(result)

    @pytest.mark.parametrize(
        "override", ["search.max_distance", "max_distance=8", "search.max_distance=[", "=", "a.=3"]
    )
    def test_an_override_that_is_none(self, clean: Path, tmp_path: Path, override: str) -> None:
        """--set wants section.key=value and says so."""
        result = dedup("audit", clean, "-o", tmp_path / "out", "--set", override)

        assert result.exit_code == 2
        assert "--set" in said(result)
        assert not (tmp_path / "out").exists()

    def test_no_such_folder(self, tmp_path: Path) -> None:
        """A mistyped path is named and nothing is written."""
        result = dedup("audit", tmp_path / "phtos", "-o", tmp_path / "out")

        assert result.exit_code == 2
        assert "phtos' does not exist" in said(result)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("url", ["hf://org/name", "https://example.com/x.zip"])
    def test_a_url(self, url: str, tmp_path: Path) -> None:
        """What is neither a dataset on the Hub nor a manifest is refused by name, not looked
        for.
        """
        result = dedup("audit", url, "-o", tmp_path / "out")

        assert result.exit_code == 2
        assert url in said(result)

    def test_a_store_that_cannot_be_listed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a key for it a bucket is named with the reason, in one line."""
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        result = dedup("audit", "s3://bucket/x", "-o", tmp_path / "out")

        assert result.exit_code == 1
        assert "s3://bucket/x: cannot be listed" in said(result)
        assert "credentials" in said(result)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        """A folder without images is 1, says what was skipped, and writes nothing."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty/notes.txt").write_text("x")
        result = dedup("audit", tmp_path / "empty", "-o", tmp_path / "out")

        assert result.exit_code == 1
        assert "no image files in this folder or below it (skipped: 1 not an image)" in said(result)
        assert not (tmp_path / "out").exists()

    def test_a_manifest_without_paths(self, tmp_path: Path) -> None:
        """The columns that are there are named, and the setting to name one."""
        (tmp_path / "rows.csv").write_text("picture,split\nx.png,train\n")
        result = dedup("audit", tmp_path / "rows.csv", "-o", tmp_path / "out")

        assert result.exit_code == 2
        assert "'picture', 'split'" in said(result)
        assert "dataset.path_column" in said(result)

    def test_duplicated_ids(self, tmp_path: Path) -> None:
        """The id and both rows are named."""
        (tmp_path / "rows.csv").write_text(
            "id,path,split\na,x.png,train\nb,y.png,train\na,z.png,test\n"
        )
        result = dedup("audit", tmp_path / "rows.csv", "-o", tmp_path / "out")

        assert result.exit_code == 1
        assert "'a' in rows 1 and 3" in said(result)

    def test_a_split_with_a_single_sample(self, clean: Path, tmp_path: Path) -> None:
        """It is a warning that names the split and the sample, and the run is done."""
        pictures.save(pictures.photo(77), clean / "tset/x/5.png")
        result = dedup("audit", clean, "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 0
        assert "Warning: Split 'tset' has a single sample, 'tset/x/5.png'" in said(result)

    def test_a_file_that_is_a_directory(self, clean: Path, tmp_path: Path) -> None:
        """A folder named like a picture is a folder; a manifest row that names one is a missing
        sample.
        """
        (clean / "train/x/folder.png").mkdir()
        assert dedup("audit", clean, "-o", tmp_path / "out", *FAST).exit_code == 0
        (clean / "rows.csv").write_text(
            "path,split\ntrain/x/1.png,train\ntrain/x/folder.png,train\n"
        )
        result = dedup("audit", clean / "rows.csv", "-o", tmp_path / "out2", *FAST)
        statuses = (
            storage.read(tmp_path / "out2", "hashes").select(["status", "detail"]).to_pylist()
        )

        assert result.exit_code == 0
        assert statuses[1] == {"status": "missing", "detail": "it is a directory, not a file"}
        assert "Unreadable: 1 missing; what is wrong with each is in hashes.parquet." in said(
            result
        )

    def test_a_source_that_is_a_picture(self, clean: Path, tmp_path: Path) -> None:
        """One picture is refused, and the command that takes pictures is named."""
        result = dedup("audit", clean / "train/x/1.png", "-o", tmp_path / "out")

        assert result.exit_code == 2
        assert "dedup compare" in said(result)

    def test_an_unwritable_output(self, clean: Path, tmp_path: Path) -> None:
        """An output below a file is one message and 1."""
        (tmp_path / "file").write_text("")
        result = dedup("audit", clean, "-o", tmp_path / "file/run")

        assert result.exit_code == 1
        assert "cannot be written" in said(result)

    def test_an_output_with_another_run(self, clean: Path, finished: Path) -> None:
        """Refused with the way out; nothing in it changes."""
        before = (finished / "run.json").read_bytes()
        result = dedup("audit", clean, "-o", finished, *FAST)

        assert result.exit_code == 1
        assert "--overwrite" in said(result)
        assert before == (finished / "run.json").read_bytes()

    def test_two_sources(self, clean: Path, tmp_path: Path) -> None:
        """The second source is a reference set: whatever it shares with the first is a leak."""
        result = dedup("audit", clean, clean, "-o", tmp_path / "out", "--max-leakage", "0", *FAST)

        assert result.exit_code == 3
        assert "is in train" in said(result) or "are in train" in said(result)

    @pytest.mark.parametrize("command", ["decide", "report"])
    def test_no_run(self, command: str, tmp_path: Path) -> None:
        """A folder without a run is 1 and named."""
        result = dedup(command, tmp_path)

        assert result.exit_code == 1
        assert "holds no run of dedup" in said(result)

    def test_a_source_of_another_form(self, clean: Path, tmp_path: Path) -> None:
        """--source that does not fit what is there is said so."""
        result = dedup("audit", clean, "--source", "manifest", "-o", tmp_path / "out")

        assert result.exit_code == 2
        assert "is a folder" in said(result)

    def test_a_demo_in_a_folder_with_other_files(self, clean: Path) -> None:
        """The demo deletes nothing that is not its own."""
        result = dedup("demo", clean)

        assert result.exit_code == 1
        assert "holds other files" in said(result)
        assert (clean / "train/x/1.png").exists()


class TestCommands:
    def test_run_with_a_path_relative_to_the_config(
        self, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """dataset.path is relative to the file, output.dir to the working directory; -o and --set
        override.
        """
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        path = config(tmp_path, "dataset: {path: clean}\noutput: {dir: out}\n")
        assert dedup("run", path, *FAST).exit_code == 0
        assert (tmp_path / "elsewhere/out/summary.json").exists()
        assert (
            dedup("run", path, "-o", "other", "--set", "search.max_distance=7", *FAST).exit_code
            == 0
        )

        resolved = json.loads((tmp_path / "elsewhere/other/summary.json").read_text())["resolved"]
        assert {"dhash": 7, "phash": 7} == resolved["max_distance"]

    def test_audit_like_a_run(self, clean: Path, finished: Path, tmp_path: Path) -> None:
        """The hash, search, verify and policy settings are those that the run resolved to."""
        assert (
            dedup(
                "decide", finished, "-o", tmp_path / "strict", "--set", "search.max_distance=5"
            ).exit_code
            == 0
        )
        result = dedup("audit", clean, "--like", tmp_path / "strict", "-o", tmp_path / "out", *FAST)
        like, got = (
            json.loads((folder / "summary.json").read_text())["resolved"]
            for folder in (tmp_path / "strict", tmp_path / "out")
        )

        assert result.exit_code == 0
        assert {**like, "held_out": ["test"]} == got

    def test_audit_of_a_clean_output(self, finished: Path, tmp_path: Path) -> None:
        """What a run wrote passes an audit with the run's settings at a limit of no leak at all."""
        path = config(tmp_path, f"dataset: {{path: {finished.parent / 'dataset'}}}\n")
        assert dedup("run", path, "-o", tmp_path / "run", *FAST).exit_code == 0
        arguments = [
            "--like",
            tmp_path / "run",
            "--max-leakage",
            "0",
            "-o",
            tmp_path / "audit",
            *FAST,
        ]
        result = dedup("audit", tmp_path / "run/splits", *arguments)

        assert result.exit_code == 0, said(result)

    def test_decide(self, finished: Path, tmp_path: Path) -> None:
        """--set changes thresholds and policy from the stored tables; what was not searched is
        2.
        """
        arguments = ["-o", tmp_path / "decided", "--set", "policy.leakage=report_only"]
        result = dedup("decide", finished, *arguments, "--set", "search.max_distance=3")
        summary = json.loads((tmp_path / "decided/summary.json").read_text())

        assert result.exit_code == 0
        assert summary["resolved"]["max_distance"] == {"dhash": 3, "phash": 3}
        assert summary["resolved"]["leakage"] == "report_only"
        assert dedup("decide", finished, "--set", "search.max_distance=30").exit_code == 2

    def test_decide_over_another_run(self, finished: Path, tmp_path: Path) -> None:
        """Another result in the folder asked for is replaced only with --overwrite, as the message
        says.
        """
        place = ["-o", tmp_path / "decided"]
        assert dedup("decide", finished, *place).exit_code == 0
        refused = dedup("decide", finished, *place, "--set", "policy.leakage=report_only")
        replaced = dedup(
            "decide", finished, *place, "--set", "policy.leakage=report_only", "--overwrite"
        )
        summary = json.loads((tmp_path / "decided/summary.json").read_text())

        assert (1, 0) == (refused.exit_code, replaced.exit_code)
        assert "--overwrite" in said(refused)
        assert summary["resolved"]["leakage"] == "report_only"

    def test_decide_gate(self, finished: Path, tmp_path: Path) -> None:
        """The gate counts in decide too."""
        assert (
            dedup(
                "decide", finished, "-o", tmp_path / "out", "--set", "gate.max_leakage=0.0"
            ).exit_code
            == 3
        )

    def test_report(self, finished: Path) -> None:
        """The report is written again and its place printed."""
        (finished / "report.html").unlink()
        result = dedup("report", finished)

        assert result.exit_code == 0
        assert str(finished / "report.html") in said(result)
        assert (finished / "report.html").exists()

    def test_compare(self, tmp_path: Path) -> None:
        """Bytes, pixels, every hash with its distance, similarity and the verdict are printed."""
        a = pictures.save(pictures.photo(1), tmp_path / "a.png")
        b = pictures.save(pictures.photo(1), tmp_path / "b.jpg", quality=70)
        result = dedup("compare", a, b)
        output = said(result)

        assert result.exit_code == 0
        assert all(f"{name} distance" in output for name in ("ahash", "phash", "dhash", "whash"))
        assert "of 64 bits" in output
        assert re.search(r"same bytes .* no", output)
        assert re.search(r"same pixels .* no", output)
        assert re.search(
            r"Near-duplicates: similarity (0\.9\d\d|1\.000).* false probability 0\.0\d\d ≤ 0\.2",
            output,
        )
        assert "160 × 120" in output
        assert "▀" in output

    @pytest.mark.parametrize(
        ("second", "verdict"), [("a.png", "The same file."), ("a.bmp", "The same pixels")]
    )
    def test_compare_identical(self, tmp_path: Path, second: str, verdict: str) -> None:
        """The same file and the same pixels are called so."""
        for name in ("a.png", "a.bmp"):
            pictures.save(pictures.photo(1), tmp_path / name)

        assert verdict in said(dedup("compare", tmp_path / "a.png", tmp_path / second))

    def test_compare_blanks(self, tmp_path: Path) -> None:
        """Two blank pictures have equal codes and are no pair, with the reason."""
        for name, grey in (("a.png", 10), ("b.png", 200)):
            pictures.save(Image.new("L", (50, 50), grey), tmp_path / name)

        assert "No pair: one of them is blank" in said(
            dedup("compare", tmp_path / "a.png", tmp_path / "b.png")
        )

    def test_compare_what_cannot_be_read(self, tmp_path: Path) -> None:
        """The file and its status are named, with exit code 1."""
        a = pictures.save(pictures.photo(1), tmp_path / "a.png")
        (tmp_path / "b.png").write_bytes(a.read_bytes()[:300])
        result = dedup("compare", a, tmp_path / "b.png")

        assert result.exit_code == 1
        assert "b.png: truncated" in said(result)
        assert dedup("compare", a, tmp_path / "nowhere.png").exit_code == 1
        assert dedup("compare", a, a, "--bits", "65").exit_code == 2

    def test_quiet(self, leaky: Path, tmp_path: Path) -> None:
        """--quiet prints nothing on stdout, errors and a closed gate on stderr."""
        done = CliRunner().invoke(
            cli.app, ["audit", str(leaky), "-o", str(tmp_path / "out"), "--quiet", *FAST]
        )
        closed = CliRunner().invoke(
            cli.app,
            [
                "audit",
                str(leaky),
                "-o",
                str(tmp_path / "out"),
                "--quiet",
                "--max-leakage",
                "0",
                *FAST,
            ],
        )

        assert ("", "") == (done.stdout, done.stderr)
        assert closed.stdout == ""
        assert "are in train" in closed.stderr

    def test_a_line_for_each_stage(self, clean: Path, tmp_path: Path) -> None:
        """Each stage is logged once on stderr, with counts, seconds and rate."""
        result = CliRunner().invoke(
            cli.app, ["audit", str(clean), "-o", str(tmp_path / "out"), *FAST]
        )
        for stage in tables.NAMES:
            assert (
                len(
                    re.findall(
                        rf"\b{stage}: 4 samples in [\d.]+ s \([\d,]+ a second\)", result.stderr
                    )
                )
                == 1
            )


class TestHostileNames:
    NAMES = ("[red]x[/]", "[/]", "[link=http://x]y", "a\\[b", "\x1b[31mred", ":smile:")

    def test_markup_is_printed_literally(self, tmp_path: Path) -> None:
        """Ids, splits and labels that look like rich markup or control codes neither vanish, colour
        nor crash.
        """
        root = tmp_path / "data"
        one = pictures.encoded(pictures.photo(1))
        rows = []
        for k, name in enumerate(self.NAMES):
            (root / f"{k}").mkdir(parents=True)
            (root / f"{k}/train.png").write_bytes(one)
            (root / f"{k}/held.png").write_bytes(one)
            rows += [
                {"id": f"{name} train", "path": f"{k}/train.png", "split": "train", "label": name},
                {"id": f"{name} held", "path": f"{k}/held.png", "split": name, "label": "x"},
            ]
        (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        arguments = [
            "audit",
            str(root / "rows.jsonl"),
            "-o",
            str(tmp_path / "out"),
            "--max-leakage",
            "0",
            *FAST,
        ]
        result = CliRunner().invoke(cli.app, arguments)

        assert result.exit_code == 3
        assert "[red]x[/]" in result.stdout
        assert "[link=http://x]y" in result.stdout
        assert ":smile:" in result.stdout
        assert "\x1b[31m" not in result.stdout + result.stderr

    @pytest.mark.parametrize("name", ["[red]x[/].png", "[/].png", "[bold.png"])
    def test_paths_with_markup(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Paths in messages and tables are printed literally."""
        monkeypatch.chdir(tmp_path)  # short names are not folded in the table
        a = pictures.save(pictures.photo(1), Path(name.replace("/", "∕")))
        assert a.name in dedup("compare", a, a).output.replace("\n", "")
        missing = dedup("compare", a, tmp_path / "[red]nowhere[∕].png")

        assert missing.exit_code == 1
        assert "[red]nowhere[∕].png" in said(missing)
        audit = dedup("audit", tmp_path / "[/]" / name)
        assert audit.exit_code == 2
        assert name in said(audit)

    def test_names_that_are_not_utf_8(self, tmp_path: Path) -> None:
        """A file name of other bytes is a sample with a printable id."""
        root = pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png"])
        odd = os.fsencode(root / "train") + b"/\xff\xfe.png"
        os.rename(root / "train/2.png", odd)  # noqa: PTH104
        result = dedup("audit", root, "-o", tmp_path / "out", *FAST)

        assert result.exit_code == 0
        assert (
            "train/\\xff\\xfe.png" in storage.read(tmp_path / "out", "manifest")["id"].to_pylist()
        )
