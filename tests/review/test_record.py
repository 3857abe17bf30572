"""The record of judgements: what a person said is never lost, and holds for the pictures."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dedup import pipeline
from dedup.errors import ConfigError, RunError
from dedup.policy import record
from dedup.policy.record import Judgement
from dedup.runs import folder, judging
from dedup.runs.result import Run
from tests.review.made import HOSTILE, dataset, judge, judgement, ran

HEAD = "id_a,id_b,pixels_a,pixels_b,verdict,by,at,sample\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    dataset(tmp_path / "data")
    return ran(tmp_path / "data", tmp_path / "run")


def near(run: Run) -> list[tuple[int, int]]:
    return [(row["a"], row["b"]) for row in run.pairs.to_pylist() if row["kind"] == "near"]


def tables(out: Path) -> dict[str, bytes]:
    names = ("pairs", "groups", "leakage", "decisions")
    return {name: (out / f"{name}.parquet").read_bytes() for name in names}


def fingerprints(out: Path) -> dict[str, str]:
    found: dict[str, str] = folder.read_json(out / folder.RUN)["fingerprints"]
    return found


def test_it_is_read_back_as_it_was_written() -> None:
    """Hostile ids, further columns and the order of the rows survive; no cell is a formula."""
    rows = tuple(
        Judgement(
            name,
            f"\t{name}\r\n",
            bytes([k]) * 32,
            bytes([k + 100]) * 32,
            record.VERDICTS[k % 3],
            "@me",
            "2026",
            "random 0" if k % 2 else "",
            {"note": f"-{name}"},
        )
        for k, name in enumerate(HOSTILE)
    )
    text = record.written(rows)
    cells = [cell for line in csv.reader(text.splitlines()) for cell in line]

    assert rows == record.read(text, "here")
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a,b," + "0" * 64 + "," + "1" * 64 + ",maybe,me,now,", "the verdict is 'maybe'"),
        ("a,b,00,11,same,me,now,", "not a digest"),
        ("a,b,same", "another number of cells"),
        ("a,b," + "0" * 64 + "," + "0" * 64 + ",different,me,now,", "the same pixels"),
    ],
)
def test_a_wrong_row_is_named(line: str, expected: str) -> None:
    """The file, the row and what is wrong with it."""
    with pytest.raises(ConfigError, match=rf"here, row 1: .*{expected}"):
        record.read(HEAD + line + "\n", "here")


def test_decide_and_a_run_again_follow_the_record(run: Run, tmp_path: Path) -> None:
    """A pair judged different is no pair any more and its train sample stays; one judged the same
    becomes one. `decide` and a run again give the same tables.
    """
    out = tmp_path / "run"
    (a, b), n = near(run)[0], len(run.manifest)
    unlike = next(
        (x, y)
        for x in range(n)
        for y in range(x + 1, n)
        if run.hashes["status"][x].as_py() == run.hashes["status"][y].as_py() == "ok"
        and (x, y) not in near(run)
    )
    judge(run, out, judgement(run, a, b, "different"), judgement(run, *unlike, "same"))

    decided = pipeline.decide(out)
    of_decide = tables(out)
    again = ran(tmp_path / "data", out)

    assert (a, b) not in near(decided)
    assert "listed" in {
        row["kind"] for row in decided.pairs.to_pylist() if (row["a"], row["b"]) == unlike
    }
    assert of_decide == tables(out)
    assert again.summary["judgements"] == {
        "same": 1,
        "different": 1,
        "unsure": 0,
        "not_in_dataset": 0,
        "over_lists": 0,
    }


def test_overwriting_a_run_keeps_the_record(run: Run, tmp_path: Path) -> None:
    """Neither another config, nor an unfinished or a deleted run takes it away, byte for byte; it
    never makes the run another one.
    """
    out = tmp_path / "run"
    judge(run, out, judgement(run, *near(run)[0], "different"))
    before = (out / judging.JUDGEMENTS).read_bytes()

    ran(tmp_path / "data", out)  # as before but for the record: no --overwrite is needed
    ran(tmp_path / "data", out, overwrite=True, search={"max_distance": 6})
    pipeline.decide(out, ["policy.duplicates=keep_first"])

    assert before == (out / judging.JUDGEMENTS).read_bytes()

    for path in out.iterdir():
        if path.name != judging.JUDGEMENTS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = ran(tmp_path / "data", out)

    assert before == (out / judging.JUDGEMENTS).read_bytes()
    assert result.summary["judgements"]["different"] == 1


def test_it_goes_along_to_another_folder(run: Run, tmp_path: Path) -> None:
    """`decide -o` takes the record along and keeps what was judged there; of a pair in both the
    later row holds.
    """
    out, other = tmp_path / "run", tmp_path / "other"
    pipeline.decide(out, output=other)
    (one, two, three) = near(run)[:3]
    judge(run, out, judgement(run, *one, "different"), judgement(run, *two, "same", at="2020"))
    judge(run, other, judgement(run, *two, "different"), judgement(run, *three, "different"))
    pipeline.decide(out, output=other, overwrite=True)
    held = record.in_force(judging.judgements(other)).values()

    assert ["different"] * 3 == [row.verdict for row in held]
    assert not {one, two, three} & set(near(pipeline.decide(other)))


def test_fingerprints_cover_pairs_and_verdicts(run: Run, tmp_path: Path) -> None:
    """Who judged, when, in which order and what is unsure change no fingerprint and no table;
    another verdict does.
    """
    out = tmp_path / "run"
    one, two, three = near(run)[:3]
    judge(run, out, judgement(run, *one, "different"), judgement(run, *two, "same"))
    pipeline.decide(out)
    before = fingerprints(out), tables(out)
    (out / judging.JUDGEMENTS).unlink()
    judge(
        run,
        out,
        judgement(run, two[1], two[0], "same", by="another", at="2001"),
        judgement(run, *one, "different", sample="random 0"),
        judgement(run, *three, "unsure"),
    )
    pipeline.decide(out)
    after = fingerprints(out), tables(out)
    judge(run, out, judgement(run, *three, "different"))
    pipeline.decide(out)

    assert before == after
    assert before[0]["judgements"] != fingerprints(out)["judgements"]
    assert before[0]["config"] == fingerprints(out)["config"]
    assert before[1]["pairs"] != tables(out)["pairs"]


def test_a_judgement_is_about_pictures(run: Run, tmp_path: Path) -> None:
    """It holds under other names, and not for another picture under the old name."""
    out = tmp_path / "run"
    a, b = near(run)[0]
    judge(run, out, judgement(run, a, b, "different"))
    ids = run.manifest["id"].to_pylist()
    path = tmp_path / "data" / ids[a]
    path.rename(path.with_name("renamed" + path.suffix))
    renamed = ran(tmp_path / "data", out, overwrite=True)
    pairs_renamed = {frozenset((row["id_a"], row["id_b"])) for row in renamed.pairs.to_pylist()}

    assert not [pair for pair in pairs_renamed if ids[b] in pair]

    shutil.copy(tmp_path / "data" / ids[near(run)[1][0]], tmp_path / "data" / ids[b])
    replaced = ran(tmp_path / "data", out, overwrite=True)

    assert replaced.summary["judgements"]["not_in_dataset"] == 1
    assert [row for row in replaced.pairs.to_pylist() if ids[b] in (row["id_a"], row["id_b"])]


def test_the_review_holds_against_a_list(run: Run, tmp_path: Path) -> None:
    """A pair that a list denies and a person judges different later is no pair, and is counted."""
    out = tmp_path / "run"
    a, b = near(run)[0]
    ids = run.manifest["id"].to_pylist()
    (tmp_path / "deny.csv").write_text(f'id_a,id_b\n"{ids[a]}","{ids[b]}"\n')
    judge(run, out, judgement(run, a, b, "different"))
    decided = pipeline.decide(out, [f"policy.duplicates_list={tmp_path / 'deny.csv'}"])

    assert (a, b) not in near(decided)
    assert decided.summary["judgements"]["over_lists"] == 1


def test_a_broken_record_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    """It is neither overwritten nor passed over."""
    out = tmp_path / "run"
    (out / judging.JUDGEMENTS).write_text("half a")
    with pytest.raises(ConfigError, match="no column 'id_a'"):
        judge(run, out, judgement(run, *near(run)[0], "same"))
    with pytest.raises(ConfigError, match="no column 'id_a'"):
        pipeline.decide(out)

    assert (out / judging.JUDGEMENTS).read_text() == "half a"


WRITER = """
import sys
from pathlib import Path
from dedup.policy.record import Judgement, put
from dedup.runs.judging import change

for k in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    row = Judgement("a", "b", bytes(32), k.to_bytes(32, "big"), "same", "me", f"{k:09}")
    change(Path(sys.argv[1]), lambda there: put(there, row)[0])
"""


def test_processes_that_judge_at_a_time_lose_nothing(tmp_path: Path) -> None:
    """Three processes write 40 rows each; all 120 are there."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(1 + 1000 * k)])
        for k in range(3)
    ]

    assert [0, 0, 0] == [writer.wait(timeout=120) for writer in writers]
    assert 120 == len(judging.judgements(tmp_path))


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """The message names the record."""
    (tmp_path / ".dedup").write_text("in the way")
    with pytest.raises(RunError, match=r"judgements\.csv' cannot be written"):
        judging.change(tmp_path, lambda there: there)
