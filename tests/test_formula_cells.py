"""Cells that a spreadsheet would run: the report's script guards them, and who reads the lists gets
the ids back.
"""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from dedup.config import Config
from dedup.policy.judgements import read_lists

IDS = [
    *("=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\tx", "\rx"),
    *("'=1", "''=1", "'plain'", "plain", "a,b", '=say "hi"'),
]
STEPS = """
const rows = JSON.parse(require("fs").readFileSync(0, "utf8"));
const text = rows.map((row) => row.map(guarded).map(quoted).join(",") + "\\n").join("");
const back = parsed(text).map((row) => row.map(unguarded));
console.log(JSON.stringify({ text, back }));
"""


@pytest.fixture(scope="module")
def said() -> dict[str, object]:
    """What the functions of the report's script make of pairs of ids, run by Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node is installed here")
    script = files("dedup.reporting").joinpath("report.js").read_text(encoding="utf-8")
    named = re.findall(r"^  const (?:quoted|guarded|unguarded) = .*$", script, re.MULTILINE)
    reader = re.search(r"^  function parsed\(.*?^  }$", script, re.MULTILINE | re.DOTALL)

    assert len(named) == 3
    assert reader is not None
    program = "\n".join([*named, reader[0], STEPS])
    rows = [["id_a", "id_b", "note"], *([one, f"b{one}", one] for one in IDS)]
    done = subprocess.run(
        [node, "-e", program],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_no_cell_begins_as_a_formula(said: dict[str, object]) -> None:
    """Nothing that the page saves begins with one of the characters that start a formula."""
    cells = re.findall(r'(?:^|,)"?([^",\n]?)', str(said["text"]), re.MULTILINE)

    assert set("=+-@\t\r").isdisjoint(cells)
    assert "'=1+1,b=1+1,'=1+1\n" in str(said["text"])


def test_the_page_reads_its_own_lists(said: dict[str, object]) -> None:
    """An opened list has the ids that were saved, apostrophes of their own included."""
    assert [[one, f"b{one}", one] for one in IDS] == said["back"][1:]  # type: ignore[index]


def test_the_policy_reads_them_too(said: dict[str, object], tmp_path: Path) -> None:
    """`policy.not_duplicates_list` has the ids of the dataset, not those of the file."""
    path = tmp_path / "not_duplicates.csv"
    path.write_text(str(said["text"]), encoding="utf-8", newline="")
    lists = read_lists(Config.model_validate({"policy": {"not_duplicates_list": str(path)}}))

    assert [tuple(sorted((one, f"b{one}"))) for one in IDS] == [entry.ids for entry in lists.allow]
