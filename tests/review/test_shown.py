"""`run.show()`: the data in pictures, with nothing hostile in it."""

import re
from collections import Counter
from pathlib import Path

import pytest

import dedup
from dedup.runs.result import Run
from tests.review.made import HOSTILE, dataset, ran


@pytest.fixture
def run(tmp_path: Path) -> Run:
    dataset(tmp_path / "data", names=HOSTILE)
    return ran(tmp_path / "data", tmp_path / "run")


def test_classes_are_counted_by_splits(run: Run) -> None:
    """Images and pairs of each class, counted again over the rows of the tables."""
    images = Counter(run.manifest["label"].to_pylist())
    pairs = Counter[tuple[str, str]]()
    for row in run.pairs.to_pylist():
        one, two = sorted((row["split_a"], row["split_b"]))
        for label in {row["label_a"], row["label_b"]}:
            pairs[label, one if one == two else f"{one} – {two}"] += 1
    sheet = run.show().html
    found = re.search(r"<table><thead><tr><th>class</th>.*?</table>", sheet)
    assert found is not None
    head = re.findall(r"<th>(.*?)</th>", found[0])
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in found[0].split("<tr>")[2:]]

    for row in rows:
        assert images[row[0]] == int(row[1])
        for place, name in enumerate(head[3:], start=3):
            assert pairs[row[0], name] == int(row[place])
    assert {row[0] for row in rows} == set(images)


def test_the_largest_groups_are_shown(run: Run) -> None:
    """A row of pictures for each group; hostile names are text."""
    sheet = run.show()
    n_groups = len(set(run.groups["group"].to_pylist()))

    assert sheet.html == sheet._repr_html_()
    assert n_groups == sheet.html.count("kept: ")
    assert len(run.groups) == sheet.html.count("data:image/jpeg")
    assert "<img src=x" not in sheet.html


def test_a_loaded_run_shows_stored_thumbnails(run: Run, tmp_path: Path) -> None:
    """The dataset is gone, and each picture is there, small and grey."""
    (tmp_path / "data").rename(tmp_path / "moved")
    loaded = dedup.load(tmp_path / "run")

    assert len(run.groups) == loaded.show().html.count("data:image/jpeg")


def test_a_run_without_pairs(tmp_path: Path) -> None:
    """It says so."""
    dataset(tmp_path / "data", n=2, n_copies=0)
    next((tmp_path / "data").rglob("small.png")).unlink()

    assert "No group was found." in ran(tmp_path / "data", tmp_path / "run").show().html
