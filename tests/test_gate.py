"""The gate: its checks, its exit codes, and the three documents that say what it found."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import dedup
from dedup import cli, tables
from dedup.config import GateConfig
from dedup.gating.markdown import code
from dedup.gating.verdict import Verdict, judge
from dedup.reporting.leaks import worst_first
from tests import naive, pictures

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads(
    (ROOT / "dedup" / "reporting" / "summary.schema.json").read_text(encoding="utf-8")
)
HOSTILE = (
    "a|b`c`\n| x | y |",
    "<script>alert(1)</script>",
    "\x00\x1b[31m\x07\ufffe",
    "]]> <!-- & &amp;",
    "@someone #1 :tada: http://example.com www.example.com",
    "**bold** _it_ ~~no~~ [l](x) ![i](x) \\| $x$",
    "📷 \u202egnp.exe\u2028",
)
FAST = ("--workers", "0")


def ran(*arguments: object) -> Result:
    """Call the command in this process."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dataset`, with leaks and unreadable files; `audit` and `run`, finished over it."""
    root = tmp_path_factory.mktemp("gate")
    naive.planted(root / "dataset")
    (root / "run.yaml").write_text("dataset: {path: dataset}\n")
    assert ran("audit", root / "dataset", "-o", root / "audit", "--quiet", *FAST).exit_code == 0
    assert ran("run", root / "run.yaml", "-o", root / "run", "--quiet", *FAST).exit_code == 0
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in which every id, split and label is an attack, and every picture leaks."""
    root = tmp_path_factory.mktemp("hostile")
    rows = []
    for k, text in enumerate(HOSTILE):
        for split in ("train", text):
            pictures.save(pictures.photo(k), root / f"{k}{split == 'train'}.png")
            rows.append(
                {
                    "id": f"{split == 'train'}{text}",
                    "path": f"{k}{split == 'train'}.png",
                    "split": split,
                }
            )
            rows[-1]["label"] = f"{text}{split == 'train'}"
    (root / "rows.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    assert ran("audit", root / "rows.jsonl", "-o", root / "run", "--quiet", *FAST).exit_code == 0
    return root / "run"


class TestExitCodes:
    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            (["--max-leakage", "0.5"], 0),
            (["--max-leakage", "0.49"], 3),
            (["--max-unreadable", "0.2"], 0),
            (["--max-unreadable", "0.19"], 4),
            (["--max-leakage", "0", "--max-unreadable", "0"], 3),
            (["--certified"], 3),
            ([], 2),
            (["--max-leakage", "1.5"], 2),
            (["--max-leakage", "none"], 2),
        ],
    )
    def test_of_an_audit(self, place: Path, limits: list[str], expected: int) -> None:
        """2 of 4 test images leak, 4 of 20 samples are unreadable, nothing was written; limits are
        inclusive.
        """
        assert ran("gate", place / "audit", *limits).exit_code == expected

    def test_certified(self, place: Path) -> None:
        """A written dataset without leaks passes, although its input leaked."""
        assert ran("gate", place / "run", "--certified").exit_code == 0
        assert ran("gate", place / "run", "--certified", "--max-leakage", "0").exit_code == 3

    def test_not_clean(self, place: Path, tmp_path: Path) -> None:
        """What was written with its leaks is not certified; the config asks as the option does."""
        arguments = ("--set", "policy.leakage=report_only", "--set", "gate.certified=true", *FAST)
        result = ran("run", place / "run.yaml", "-o", tmp_path / "out", *arguments)

        assert result.exit_code == 3
        assert "pairs between train and a held-out split" in " ".join(result.stderr.split())

    def test_no_run(self, tmp_path: Path) -> None:
        """A folder without a run, or with half a one, is 1."""
        assert ran("gate", tmp_path, "--max-leakage", "0").exit_code == 1
        (tmp_path / "run.json").write_text('{"state": "started"}')
        assert ran("gate", tmp_path, "--max-leakage", "0").exit_code == 1

    @pytest.mark.parametrize("limit", [["--max-leakage", "0"], ["--certified"]])
    @pytest.mark.parametrize("quiet", [[], ["--quiet"]])
    def test_nothing_is_held_out(self, tmp_path: Path, limit: list[str], quiet: list[str]) -> None:
        """Without a held-out split nothing is judged: 3, with the reason in every mode, unless that
        is allowed.
        """
        pictures.folder(tmp_path / "data", ["left/1.png", "right/2.png"])
        (tmp_path / "run.yaml").write_text("dataset: {path: data}\n")
        assert ran("run", tmp_path / "run.yaml", "-o", tmp_path / "run", "-q", *FAST).exit_code == 0
        refused = ran("gate", tmp_path / "run", *limit, *quiet)
        allowed = ran("gate", tmp_path / "run", *limit, *quiet, "--allow-nothing")

        assert refused.exit_code == 3
        assert allowed.exit_code == 0
        for result in (refused, allowed):
            assert "There is no held-out split beside train" in " ".join(result.stderr.split())

    @pytest.mark.parametrize("key", ["gate.certified=true", "gate.max_leakage=0"])
    def test_nothing_is_held_out_in_a_run(self, tmp_path: Path, key: str) -> None:
        """The command that makes the run ends the same way, and with `gate.allow_nothing` it warns
        and passes.
        """
        pictures.folder(tmp_path / "data", ["left/1.png", "right/2.png"])
        (tmp_path / "run.yaml").write_text("dataset: {path: data}\n")
        arguments = (
            "run",
            tmp_path / "run.yaml",
            "-o",
            tmp_path / "run",
            "-q",
            "--set",
            key,
            *FAST,
        )
        refused = ran(*arguments)
        allowed = ran(*arguments, "--set", "gate.allow_nothing=true")

        assert [3, 0] == [refused.exit_code, allowed.exit_code]
        for result in (refused, allowed):
            assert "There is no held-out split beside train" in " ".join(result.stderr.split())
        assert (tmp_path / "run/splits").is_dir()

    def test_a_certificate_over_unreadable_pictures(self, tmp_path: Path) -> None:
        """No pair is left where no picture of a side can be read: that certifies nothing."""
        root = pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png"])
        (root / "test").mkdir()
        (root / "test/1.png").write_bytes(pictures.encoded(pictures.photo(3))[:300])
        (tmp_path / "run.yaml").write_text("dataset: {path: data}\n")
        result = ran(
            "run",
            tmp_path / "run.yaml",
            "-o",
            tmp_path / "run",
            "-q",
            "--set",
            "gate.certified=true",
            *FAST,
        )

        assert result.exit_code == 3
        assert "the certificate is over nothing" in " ".join(result.stderr.split())

    def test_no_picture_can_be_read(self, tmp_path: Path) -> None:
        """A split in which nothing can be read passes no limit of leakage: nobody knows."""
        root = pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png"])
        (root / "test").mkdir()
        (root / "test/1.png").write_bytes(b"no picture")
        arguments = ("-o", tmp_path / "run", "--max-leakage", "0", "--junit", "-", *FAST)
        result = ran("audit", root, *arguments)

        assert result.exit_code == 4
        assert "nobody knows" in result.stdout
        assert "nobody knows" in result.stderr

    def test_the_limits_of_the_run_count(self, place: Path, tmp_path: Path) -> None:
        """Limits that the command does not name are those of the run's config; an option overrides
        one.
        """
        arguments = ("-o", tmp_path / "run", "--max-leakage", "0", *FAST)
        assert ran("audit", place / "dataset", *arguments).exit_code == 3
        assert ran("gate", tmp_path / "run").exit_code == 3
        assert ran("gate", tmp_path / "run", "--max-leakage", "1").exit_code == 0

    def test_it_reads_only(self, place: Path) -> None:
        """The run's folder is as it was, and needs no dataset."""
        before = {
            path: path.read_bytes() for path in (place / "audit").rglob("*") if path.is_file()
        }
        ran("gate", place / "audit", "--max-leakage", "0", "--junit", "-")

        assert before == {
            path: path.read_bytes() for path in (place / "audit").rglob("*") if path.is_file()
        }


class TestWorstLeaks:
    def test_the_order(self) -> None:
        """Other labels first, then the same file, the same pixels, the most similar; the rest as it
        stood.
        """
        keys = [
            ("near", 0.95, False),
            ("near", 0.99, False),
            ("pixels", 1.0, False),
            ("bytes", 1.0, False),
            ("near", 0.91, True),
            ("near", None, False),
            ("near", 0.99, False),
        ]
        rows = [
            {
                **dict.fromkeys(("split", "label", "witness_split", "witness_label")),
                "id": str(k),
                "witness_id": "w",
                "kind": kind,
                "transform": "identity",
                "distance": 3,
                "similarity": similarity,
                "label_conflict": conflict,
            }
            for k, (kind, similarity, conflict) in enumerate(keys)
        ]

        assert [4, 3, 2, 1, 6, 0, 5] == worst_first(
            pa.Table.from_pylist(rows, tables.LEAKAGE)
        ).tolist()

    def test_five_are_printed(self, place: Path) -> None:
        """The worst five, each id whole on its line, however narrow the log, and no colours without
        a terminal.
        """
        command = [
            sys.executable,
            "-m",
            "dedup",
            "gate",
            str(place / "audit"),
            "--max-leakage",
            "0",
            "--quiet",
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "20"},
            cwd=ROOT,
        )

        assert done.returncode == 3
        assert done.stdout == ""
        assert "\x1b" not in done.stderr
        lines = done.stderr.splitlines()
        assert len([line for line in lines if re.match(r"\d\. ", line)]) == 5
        assert "   train       train/cat/a_again.png  (cat)" in lines
        assert "   validation  validation/dog/a.png  (dog)" in lines

    def test_hostile_ids_are_text(self, hostile: Path) -> None:
        """Nothing in an id acts on the terminal; each stays on its line."""
        result = ran("gate", hostile, "--max-leakage", "0")

        assert result.exit_code == 3
        assert not re.search(r"[\x00-\x09\x0b-\x1f\u2028\u202e\ufffe]", result.output)
        assert r"\x00\x1b[31m\x07\ufffe" in result.output


def summaries(place: Path, hostile: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Summaries of several kinds of runs, and what --json makes of them."""
    for folder in (place / "audit", place / "run", hostile):
        yield json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        yield json.loads(ran("gate", folder, "--max-leakage", "0", "--json", "-").stdout)
    for overrides in (
        ["verify.method=none", "search.max_distance=4"],
        ["search.orientations=all", "hash.bits=256"],
    ):
        options = [part for override in overrides for part in ("--set", override)]
        arguments = ("-o", tmp_path / "out", "--overwrite", "--json", "-", *options, *FAST)
        yield json.loads(ran("audit", place / "dataset", *arguments).stdout)
    pictures.folder(tmp_path / "heap", ["a.png", "b.png"])
    yield json.loads(
        ran("audit", tmp_path / "heap", "-o", tmp_path / "heap_run", "--json", "-", *FAST).stdout
    )
    references = (place / "dataset", tmp_path / "heap")
    yield json.loads(ran("audit", *references, "-o", tmp_path / "two", "--json", "-", *FAST).stdout)


def undescribed(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Keys that a schema has no description of."""
    for one in schema.get("oneOf", [schema]):
        if isinstance(value, dict) and one.get("type") == "object":
            for key, part in value.items():
                of_key = one.get("properties", {}).get(key, one.get("additionalProperties"))
                if not of_key or "description" not in of_key:
                    yield f"{path}.{key}"
                else:
                    yield from undescribed(part, of_key, f"{path}.{key}")
        elif isinstance(value, list) and one.get("type") == "array":
            for part in value:
                yield from undescribed(part, one["items"], f"{path}[]")


class TestJson:
    def test_the_schema_is_one(self) -> None:
        """It is a schema of the draft that it names, and names its version."""
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

        assert SCHEMA["$id"].endswith(f":{SCHEMA['properties']['schema_version']['const']}")

    def test_summaries_follow_it(self, place: Path, hostile: Path, tmp_path: Path) -> None:
        """Summaries of audits, runs, heaps, references and other settings; and the schema describes
        every key.
        """
        validator = jsonschema.Draft202012Validator(SCHEMA)
        n = 0
        for summary in summaries(place, hostile, tmp_path):
            assert [] == [error.message for error in validator.iter_errors(summary)]
            assert [] == list(undescribed(summary, SCHEMA))
            n += 1
        assert n == 10

    @pytest.mark.parametrize(
        ("key", "value"),
        [("schema_version", 2), ("samples", {}), ("leakage", {"test": 1}), ("warnings", "none")],
    )
    def test_it_refuses(self, place: Path, key: str, value: object) -> None:
        """What is no summary does not pass."""
        summary = json.loads((place / "run/summary.json").read_text(encoding="utf-8"))

        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid({**summary, key: value})

    def test_the_documentation_has_every_key(self) -> None:
        """The table in docs/summary.md says what the schema says."""
        page = (ROOT / "docs" / "summary.md").read_text(encoding="utf-8")
        documented = re.findall(
            r"^\| ([a-z_.*\[\]]+) \| .*? \| (.*) \|$", page.split("| key |")[1], re.MULTILINE
        )

        assert list(described(SCHEMA)) == documented

    def test_stdout_holds_nothing_else(self, place: Path) -> None:
        """With - the document alone is on stdout, and what people read on stderr."""
        result = ran("audit", place / "dataset", "-o", place / "again", "--json", "-", *FAST)

        assert json.loads(result.stdout)["gate"]["passed"]
        assert "Samples" in result.stderr

    def test_it_says_what_was_judged(self, place: Path) -> None:
        """The checks, their limits and the worst leaks are in it."""
        gate = json.loads(ran("gate", place / "audit", "--max-leakage", "0", "--json", "-").stdout)[
            "gate"
        ]

        assert (0.0, None, False, False) == (
            gate["max_leakage"],
            gate["max_unreadable"],
            gate["certified"],
            gate["passed"],
        )
        assert ["failed", "failed", "not judged", "not judged"] == [
            check["state"] for check in gate["checks"]
        ]
        assert len(gate["worst_leaks"]) == 5


def described(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(key, description) of everything in a schema, as docs/summary.md writes it."""
    for one in schema.get("oneOf", [schema]):
        for key, part in one.get("properties", {}).items():
            yield f"{path}{key}", part["description"]
            yield from described(part, f"{path}{key}.")
        if isinstance(others := one.get("additionalProperties"), dict):
            yield from described(others, f"{path}*.")
        if "items" in one:
            yield from described(one["items"], f"{path.removesuffix('.')}[].")


COUNTS = {"name", "time", "tests", "failures", "errors"}
JUNIT_ATTRIBUTES = {
    "testsuites": COUNTS,
    "testsuite": {*COUNTS, "skipped", "timestamp", "hostname", "id", "package"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}
"""What the schema of Jenkins' xUnit plugin, the strictest, allows: no count of skipped ones on
`testsuites`.
"""


class TestJunit:
    def test_its_form(self, place: Path) -> None:
        """What readers of JUnit rely on: elements, attributes, and counts that agree with the test
        cases.
        """
        root = ET.fromstring(dedup.gate(place / "audit", max_leakage=0.3).junit())
        (suite,) = root
        cases = suite.findall("testcase")

        assert ("testsuites", "testsuite") == (root.tag, suite.tag)
        assert {"properties", "testcase"} == {child.tag for child in suite}
        for element in (root, suite):
            assert int(element.attrib["tests"]) == len(cases)
            assert int(element.attrib["failures"]) == len(suite.findall("testcase/failure"))
            assert element.attrib["errors"] == "0"
            assert float(element.attrib["time"]) > 0
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
        for element in root.iter():
            assert element.attrib.keys() <= JUNIT_ATTRIBUTES[element.tag], element.tag
        for case in cases:
            assert {"classname", "name", "time"} == set(case.attrib)
            assert [child.tag for child in case] in (["failure"], ["skipped"], ["system-out"])
        assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(
            cases
        )

    def test_its_cases(self, place: Path) -> None:
        """One for each held-out split, with its own leaks, one for unreadable samples, one for the
        certificate.
        """
        suite = ET.fromstring(dedup.gate(place / "run", max_leakage=0.4, certified=True).junit())[0]
        cases = {case.attrib["name"]: case for case in suite.findall("testcase")}

        assert [
            "leakage of 'test'",
            "leakage of 'validation'",
            "unreadable",
            "certificate",
        ] == list(cases)
        failure = cases["leakage of 'test'"].find("failure")
        assert failure is not None
        assert failure.text is not None
        assert failure.attrib["type"] == "leakage"
        assert "train/dog/c.png  =  test/cat/c.bmp  (same pixels, different labels)" in failure.text
        assert "validation/" not in failure.text
        assert cases["leakage of 'validation'"].find("system-out") is not None
        assert cases["unreadable"].find("skipped") is not None
        assert cases["certificate"].find("system-out") is not None

    def test_hostile_ids_are_xml(self, hostile: Path, tmp_path: Path) -> None:
        """Control codes, markup and emoji in ids and splits: the file parses, and says them."""
        ran("gate", hostile, "--max-leakage", "0", "--junit", tmp_path / "junit.xml")
        root = ET.fromstring((tmp_path / "junit.xml").read_bytes())
        text = "\n".join(element.text or "" for element in root.iter("failure"))

        assert len(list(root.iter("failure"))) == len(HOSTILE)
        assert r"\x00\x1b[31m\x07\ufffe" in text
        assert "<script>alert(1)</script>" in text
        assert "📷" in text
        assert r"a|b`c`\n| x | y |" in text


class TestMarkdown:
    def test_what_it_says(self, place: Path) -> None:
        """Verdict, checks, counts, matrix, worst leaks and settings."""
        page = dedup.gate(place / "audit", max_leakage=0.4).markdown()

        assert page.startswith("### dedup: ❌ 1 of 4 checks failed\n")
        assert "| <code>train</code> | 13 | 4 | 6 | 3 |  |" in page
        assert "| <code>test</code> | 4 | 3 | 0 | 1 | 2 |" in page
        assert "| <code>test</code> | 2 | 0 | 1 |" in page
        assert "<code>train/dog/c.png</code>" in page
        assert '"min_similarity": 0.8' in page
        assert (
            "✅ passed" in dedup.gate(place / "audit", max_leakage=1.0).markdown().splitlines()[0]
        )
        assert "no limit is set" in dedup.gate(place / "audit").markdown().splitlines()[0]

    def test_tables_stay_tables(self, hostile: Path) -> None:
        """Each row of a table has as many cells as its head, whatever the ids hold; no markup comes
        through.
        """
        page = dedup.gate(hostile, max_leakage=0.0).markdown()
        head, _, settings = page.partition("<details>")
        for table in re.findall(r"(?:^\|.*\n?)+", head, re.MULTILINE):
            assert len({line.count("|") for line in table.splitlines()}) == 1
        assert {"<code>", "</code>"} == set(re.findall(r"<[^>]*>", head))
        assert not re.search(r"[@*~\\\]\[]|https?://|www\.", head.replace("> **Warning:**", ""))
        assert settings.count("```") == 2
        assert "<script" not in page

    @pytest.mark.parametrize("text", HOSTILE)
    def test_code_is_inert(self, text: str) -> None:
        """Within the element stands nothing that Markdown, HTML or a forge acts on."""
        inside = code(text).removeprefix("<code>").removesuffix("</code>")

        assert not re.search(r"[\\`*_\[\]|~:@!$<>\x00-\x1f]|www\.", inside)

    def test_many_splits_are_a_short_page(self) -> None:
        """A column that was taken for the split by mistake does not make a page that no forge
        shows.
        """
        names = [f"split{k}" for k in range(500)]
        summary: dict[str, Any] = {
            "dedup_version": "0",
            "samples": {"total": 500, "unreadable": 0, "readable": 500},
            "splits": {
                name: {"images": 1, "keep": 1, "move": 0, "drop": 0, "unreadable": 0}
                for name in names
            },
            "decisions": {
                "keep": 500,
                "move": 0,
                "drop": 0,
                "unreadable": 0,
                "by_reason": {"kept": 500},
            },
            "leakage_matrix": {name: dict.fromkeys(names, 0) for name in names},
            "leakage": {},
            "warnings": [],
            "resolved": {},
        }
        page = judge(summary, tables.LEAKAGE.empty_table(), GateConfig()).markdown()

        assert len(page) < 60_000  # a comment on GitHub holds 65,536 characters
        assert "30 of 500 splits are shown" in page


def test_groups_are_judged() -> None:
    """Where the summary counts groups that are in train and held out, the limit holds for them by
    themselves.
    """
    leak = {
        **dict.fromkeys(("label", "witness_label", "transform", "distance", "similarity")),
        "id": "a",
        "split": "train",
        "witness_id": "b",
        "witness_split": "test",
        "label_conflict": False,
    }
    schema = pa.schema([field.with_nullable(True) for field in tables.LEAKAGE])
    rows = [
        {**leak, "kind": "group", "transform": "identity"},
        {**leak, "kind": "near", "transform": "identity"},
    ]
    summary: dict[str, Any] = {
        "samples": {"total": 8, "unreadable": 0},
        "splits": {name: {"images": 4, "unreadable": 0} for name in ("train", "test")},
        "leakage": {"test": {"images": 4, "leaking": 1, "share": 0.25}},
        "group_leakage": {"test": {"images": 4, "leaking": 3, "share": 0.75}},
    }
    verdict = judge(summary, pa.Table.from_pylist(rows, schema), GateConfig(max_leakage=0.5))
    (failed,) = verdict.failed()

    assert failed.message.startswith(
        "3 of 4 images of 'test' belong to a group that is in train too (75.00 %)"
    )
    assert ["group"] == [leak["kind"] for leak in verdict.worst_of(failed)]


class TestPython:
    def test_of_a_run(self, place: Path) -> None:
        """A run in memory and its folder have one verdict."""
        run = dedup.audit(str(place / "dataset"), workers=0)
        verdict = dedup.gate(run, max_leakage=0.0)

        assert isinstance(verdict, Verdict)
        assert not verdict.passed
        assert verdict.checks == dedup.gate(place / "audit", max_leakage=0.0).checks

    def test_a_limit_that_is_none(self, place: Path) -> None:
        """It is refused with its name."""
        with pytest.raises(dedup.ConfigError, match="max_leakage: got 2; give a share from 0 to 1"):
            dedup.gate(place / "audit", max_leakage=2)


class TestFiles:
    @pytest.mark.parametrize("option", ["--json", "--junit", "--markdown"])
    def test_a_place_that_is_none(self, place: Path, tmp_path: Path, option: str) -> None:
        """A folder that is not there, or a folder for a file, is told before the work begins."""
        for target, said in (
            (tmp_path / "no" / "file", "there is no folder"),
            (tmp_path, "it is a folder"),
        ):
            result = ran("audit", place / "dataset", "-o", tmp_path / "run", option, target)
            assert result.exit_code == 2
            assert said in " ".join(result.stderr.split())
            assert not (tmp_path / "run").exists()

    def test_two_on_stdout(self, place: Path) -> None:
        """Two documents do not share stdout."""
        result = ran("gate", place / "audit", "--junit", "-", "--json", "-")

        assert result.exit_code == 2
        assert "Only one of" in result.stderr

    def test_a_device_is_not_replaced(self, place: Path) -> None:
        """A pipe or a device is written to."""
        assert ran("gate", place / "audit", "--markdown", "/dev/null").exit_code == 0
        assert not Path("/dev/null").is_file()
