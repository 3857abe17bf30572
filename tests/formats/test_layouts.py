"""The table of layouts in docs/datasets.md: each is made, opened, and understood as the table
says.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from dedup.config import DatasetConfig
from dedup.formats import Source, open_source
from tests.formats.layouts import LAYOUTS, Made

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"


def table() -> dict[str, list[str]]:
    """The cells of each row after the first, by layout."""
    part = PAGE.read_text(encoding="utf-8").split("| layout |")[1].split("\n\n")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in part.splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def told(source: Source) -> list[str]:
    """Form, splits with their sizes, labels, and the kinds of files that were not read, as the
    table writes them.
    """
    splits = Counter(source.rows["split"].to_pylist())
    ordered = sorted(splits, key=lambda name: (name != "train", name or ""))
    named = ", ".join(f"{name or 'none'} {splits[name]}" for name in ordered)
    labels = ", ".join(sorted({label for label in source.rows["label"].to_pylist() if label}))
    files = ", ".join(sorted(source.not_read["path"].to_pylist()))
    return [source.form, named, labels or "–", files or "–"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout(tmp_path: Path, layout: str) -> None:
    """What is understood is what the table says."""
    made = Made(tmp_path / "set")
    made.root.mkdir()
    LAYOUTS[layout](made)
    got = told(open_source(DatasetConfig(path=str(made.root))))

    assert table()[layout] == got


def test_every_layout_of_the_table_is_made() -> None:
    """The table has at least thirty rows, and each is one of those above."""
    assert [*table()] == [*LAYOUTS]
    assert len(table()) >= 30
