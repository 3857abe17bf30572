"""Image folders with metadata whose files are moved from split to split: what is said of a file
goes with it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dedup
from dedup.errors import SourceError
from dedup.formats import open_source, write_splits
from dedup.formats.records import open_records
from tests import pictures
from tests.formats import made

PNG = [pictures.encoded(pictures.photo(seed, (24, 18))) for seed in range(9)]

every_suffix = pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])


def records(path: Path) -> list[dict[str, str | None]]:
    """The rows of a metadata file as texts."""
    found = open_records(str(path))
    return [
        dict(zip(found.names, row, strict=True))
        for row in zip(*(found.texts(name) for name in found.names), strict=True)
    ]


def put(root: Path, names: Sequence[str]) -> None:
    """Small pictures, each another one, under the names."""
    for name, data in zip(names, PNG, strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def content(
    root: Path, where: str, rows: Sequence[dict[str, Any]], *columns: str
) -> set[tuple[Any, ...]]:
    """What the rows of a file in the folder `where` say, with the bytes of the files in place of
    their names.
    """
    return {
        (
            *((root / where / row[c]).read_bytes() for c in columns),
            *(v for c, v in row.items() if c not in columns),
        )
        for row in rows
    }


@every_suffix
def test_a_file_for_each_split(tmp_path: Path, suffix: str) -> None:
    """Rows go to the metadata of the new split and name the file as it is called there; masks go
    too.
    """
    root = tmp_path / "in"
    put(root, ["train/1.png", "train/2.png", "train/3.png", "test/1.png", "test/5.png"])
    put(
        root,
        [
            f"{split}/masks/{k}.png"
            for split, k in (("test", 9), ("train", 1), ("train", 2), ("test", 1))
        ],
    )
    rows = {
        "train": [
            {"file_name": f"{k}.png", "mask_file_name": f"masks/{1 + k % 2}.png", "x": f"t{k}"}
            for k in (1, 2, 3)
        ],
        "test": [
            {"file_name": f"{k}.png", "mask_file_name": f"masks/{m}.png", "x": f"e{k}"}
            for k, m in ((1, 1), (5, 9))
        ],
    }
    for split, of in rows.items():
        made.table(root / split / f"metadata.{suffix}", of)
    source = made.opened(path=str(root), image_column="image")
    row_of = {name: row for row, name in enumerate(source.rows["id"].to_pylist())}
    source.check_movable()
    moves = {
        row_of["train/1.png"]: "test",
        row_of["train/2.png"]: "test",
        row_of["test/5.png"]: "train",
    }
    keep = np.array([name != "train/2.png" for name in row_of])
    written = write_splits(source, keep, tmp_path / "out", "same", "copy", moves)
    before: dict[str | None, set[tuple[Any, ...]]] = {
        x: content(root, s, [r], "file_name", "mask_file_name")
        for s, of in rows.items()
        for r in of
        for x in [r["x"]]
    }
    after = {split: records(tmp_path / "out" / split / f"metadata.{suffix}") for split in rows}

    assert {"train": ["t3", "e5"], "test": ["e1", "t1"]} == {
        s: [row["x"] for row in moved] for s, moved in after.items()
    }
    for split, moved in after.items():
        for row in moved:
            assert before[row["x"]] == content(
                tmp_path / "out", split, [row], "file_name", "mask_file_name"
            )
    again = open_source(written.config)
    assert written.rows.tolist() == keep.tolist()
    assert ["test", "test", "train", "train"] == sorted(again.rows["split"].to_pylist())


@every_suffix
def test_one_file_at_the_root(tmp_path: Path, suffix: str) -> None:
    """The row stays where it stands and names the new place; with a column of splits that is set
    too.
    """
    root = tmp_path / "in"
    put(root, ["train/1.png", "train/2.png", "test/3.png"])
    rows = [
        {"file_name": n, "split": n.partition("/")[0], "x": n}
        for n in ("train/1.png", "train/2.png", "test/3.png")
    ]
    made.table(root / f"metadata.{suffix}", rows)
    source = made.opened(path=str(root))
    source.check_movable()
    # sorted: test/3 is first
    write_splits(source, np.ones(3, bool), tmp_path / "out", "same", "copy", {1: "test"})

    assert ["test/1.png", "train/2.png", "test/3.png"] == [
        row["file_name"] for row in records(tmp_path / "out" / f"metadata.{suffix}")
    ]
    assert ["test", "train", "test"] == [
        row["split"] for row in records(tmp_path / "out" / f"metadata.{suffix}")
    ]
    assert (root / "train/1.png").read_bytes() == (tmp_path / "out/test/1.png").read_bytes()


@every_suffix
def test_splits_that_metadata_says(tmp_path: Path, suffix: str) -> None:
    """Files stay; the column says the new split, in the word that it has for it."""
    root = tmp_path / "in"
    put(root, ["a/1.png", "a/2.png", "b/3.png"])
    rows = [
        {"file_name": f"{f}/{k}.png", "fold": s}
        for f, k, s in (("a", 1, "train"), ("a", 2, "VAL"), ("b", 3, "VAL"))
    ]
    made.table(root / f"metadata.{suffix}", rows)
    source = made.opened(path=str(root), split_column="fold")
    source.check_movable()
    written = write_splits(
        source, np.ones(3, bool), tmp_path / "out", "same", "copy", {0: "validation", 2: "train"}
    )

    assert ["VAL", "VAL", "train"] == [
        row["fold"] for row in records(tmp_path / "out" / f"metadata.{suffix}")
    ]
    assert ["validation", "validation", "train"] == open_source(written.config).rows[
        "split"
    ].to_pylist()


def test_a_regrouped_run_is_certified(tmp_path: Path) -> None:
    """The small dataset with metadata in each split: one picture moves, and the captions of all are
    right.
    """
    dataset = made.metadata_folder(tmp_path / "in", made.rows(), "csv")
    run = dedup.run(
        {
            "dataset": dataset,
            "engine": {"workers": 0},
            "policy": {"leakage": "regroup", "max_moved": None, "duplicates": "report_only"},
            "output": {"dir": str(tmp_path / "run"), "report": False},
        }
    )
    said = [
        row
        for split in ("train", "test", "validation")
        for row in records(tmp_path / f"run/splits/{split}/metadata.csv")
    ]

    assert run.summary["decisions"]["move"] == 1
    assert run.summary["certificate"]["clean"] is True
    assert run.summary["certificate"]["samples"] == 12
    assert len(said) == 12
    assert all(row["caption"] == f"{row['file_name']}, a {row['label']}" for row in said)


def test_what_cannot_be_moved(tmp_path: Path) -> None:
    """Metadata without a counterpart, with other columns, and splits that are said of some files
    only.
    """
    put(tmp_path / "a", ["train/1.png", "test/2.png"])
    made.table(tmp_path / "a/train/metadata.csv", [{"file_name": "1.png", "x": "y"}])
    with pytest.raises(
        SourceError, match=r"'test' has no file with the same columns as train/metadata\.csv\."
    ):
        made.opened(path=str(tmp_path / "a")).check_movable()
    made.table(tmp_path / "a/test/metadata.csv", [{"file_name": "2.png", "z": "y"}])
    with pytest.raises(SourceError, match="has no file with the same columns"):
        made.opened(path=str(tmp_path / "a")).check_movable()
    put(tmp_path / "b", ["1.png", "2.png"])
    with pytest.raises(SourceError, match="no folder is a split"):
        made.opened(path=str(tmp_path / "b")).check_movable()
    made.table(tmp_path / "b/metadata.csv", [{"file_name": "1.png", "split": "test"}])
    with pytest.raises(SourceError, match=r"no column 'split' says the split of '2\.png'"):
        made.opened(path=str(tmp_path / "b"), default_split="train").check_movable()


def test_a_mask_whose_place_is_taken(tmp_path: Path) -> None:
    """A mask that moves beside another one of its name is called otherwise, and both are what they
    were.
    """
    root = tmp_path / "in"
    put(root, ["train/1.png", "test/2.png", "train/masks/1.png", "test/masks/1.png"])
    for split, k in (("train", 1), ("test", 2)):
        row = {"file_name": f"{k}.png", "mask_file_name": "masks/1.png", "x": split}
        made.table(root / split / "metadata.csv", [row])
    source = made.opened(path=str(root), image_column="image")
    row_of = {name: row for row, name in enumerate(source.rows["id"].to_pylist())}
    write_splits(
        source, np.ones(2, bool), tmp_path / "out", "same", "copy", {row_of["train/1.png"]: "test"}
    )
    found = records(tmp_path / "out/test/metadata.csv")

    assert {
        row["x"]: (tmp_path / "out/test" / str(row["mask_file_name"])).read_bytes() for row in found
    } == {
        "train": PNG[2],
        "test": PNG[3],
    }
