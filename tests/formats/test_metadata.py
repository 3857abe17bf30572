"""Image folders with metadata: read as `datasets` reads them, filtered with the images."""

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.errors import ConfigError, SourceError
from dedup.formats import write_splits
from tests import pictures
from tests.formats import made

PNG = [pictures.encoded(pictures.photo(seed, (24, 18))) for seed in range(6)]

every_suffix = pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])


def files(root: Path, *names: str) -> Path:
    """Small pictures under the names."""
    for name, data in zip(names, PNG, strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def refusal(root: Path, **settings: Any) -> str:
    """What is said when the folder is opened."""
    with pytest.raises((ConfigError, SourceError)) as caught:
        made.opened(path=str(root), **settings)
    return str(caught.value)


@every_suffix
def test_metadata_is_filtered_with_the_images(tmp_path: Path, suffix: str) -> None:
    """Of each metadata file the rows of the kept images stay, every column as it was."""
    source = made.opened(**made.metadata_folder(tmp_path / "in", made.rows(), suffix))
    keep = np.arange(len(source.rows)) % 3 != 0
    write_splits(source, keep, tmp_path / "out", "same", "hardlink")
    kept = {
        name for name, is_kept in zip(source.rows["id"].to_pylist(), keep, strict=True) if is_kept
    }

    for split in ("train", "test", "validation"):
        records = {}
        for where in ("in", "out"):
            path = tmp_path / where / split / f"metadata.{suffix}"
            if suffix == "parquet":
                records[where] = pq.read_table(path).to_pylist()
            elif suffix == "jsonl":
                records[where] = [
                    json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
                ]
            else:
                records[where] = [
                    line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]
                ]
        expected = [
            r
            for r in records["in"]
            if f"{split}/{r['file_name'] if isinstance(r, dict) else r[0]}" in kept
        ]
        assert expected == records["out"]


# `datasets` leaves the metadata open when it reads it
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@every_suffix
def test_load_dataset_reads_the_output(tmp_path: Path, suffix: str) -> None:
    """`load_dataset` gives the kept rows with their columns."""
    rows = [row for row in made.rows() if row.name != "broken.png"]
    source = made.opened(**made.metadata_folder(tmp_path / "in", rows, suffix))
    keep = np.array(
        [name not in {"train/a2.png", "test/b0.jpg"} for name in source.rows["id"].to_pylist()]
    )
    write_splits(source, keep, tmp_path / "out", "same", "hardlink")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

    for split in ("train", "test", "validation"):
        expected = [
            f"{r.name}, a {r.label}"
            for r in rows
            if r.split == split and r.name not in {"a2.png", "b0.jpg"}
        ]
        assert sorted(expected) == sorted(loaded[split]["caption"])


def test_metadata_at_the_root(tmp_path: Path) -> None:
    """Metadata of the whole folder names files by their paths; it gives splits, labels and ids;
    others keep theirs.
    """
    root = files(tmp_path, "a/1.png", "a/2.png", "b/3.png")
    records: list[dict[str, Any]] = [
        {"file_name": "a/1.png", "split": "train", "label": "x,\n🦊", "key": "k1"},
        {"file_name": "b/3.png", "split": "val", "label": None, "key": "k3"},
    ]
    made.table(root / "metadata.jsonl", records)
    rows = made.opened(path=str(root)).rows.to_pylist()
    named = made.opened(path=str(root), id_column="key", label_column="key").rows.to_pylist()

    assert [
        ("a/1.png", "train", "x,\n🦊"),
        ("a/2.png", None, "a"),
        ("b/3.png", "validation", None),
    ] == [(row["id"], row["split"], row["label"]) for row in rows]
    assert [("k1", "k1"), ("a/2.png", "a"), ("k3", "k3")] == [
        (row["id"], row["label"]) for row in named
    ]


def test_several_image_columns(tmp_path: Path) -> None:
    """Of `left_file_name` and `right_file_name` one is chosen; the files of the other go with
    it.
    """
    root = files(tmp_path / "in", "l1.png", "r1.png", "l2.png", "r2.png", "more.png")
    records = [{"left_file_name": f"l{k}.png", "right_file_name": f"r{k}.png"} for k in (1, 2)]
    made.table(root / "metadata.csv", records)
    said = refusal(root)
    source = made.opened(path=str(root), image_column="left")
    write_splits(source, np.array([True, False, False]), tmp_path / "out", "same", "hardlink")

    assert "several image columns: 'left', 'right'. Choose one as dataset.image_column" in said
    assert ["l1.png", "l2.png", "more.png"] == source.rows["id"].to_pylist()
    assert {"l1.png", "r1.png", "metadata.csv"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_files_that_do_not_exist(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that only the metadata knows is a row without bytes and a warning; if none exists it
    is an error.
    """
    root = files(tmp_path / "some", "1.png")
    made.table(root / "metadata.csv", [{"file_name": "1.png"}, {"file_name": "gone.png"}])
    with caplog.at_level(logging.WARNING, "dedup"):
        source = made.opened(path=str(root))
    made.table(files(tmp_path / "none", "1.png") / "metadata.csv", [{"file_name": "x/1.png"}])

    assert [PNG[0], None] == made.contents(source)
    assert "'gone.png', 1 in all" in caplog.text
    assert "none of them does" in refusal(tmp_path / "none")


@pytest.mark.parametrize(
    "name", ["../1.png", "/etc/passwd", "https://example.com/1.png", "", "x/../../1.png"]
)
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    """Metadata names files below its folder; anything else is refused with its row."""
    made.table(
        files(tmp_path, "1.png") / "metadata.jsonl", [{"file_name": "1.png"}, {"file_name": name}]
    )

    assert "metadata.jsonl, row 2: file_name is" in refusal(tmp_path)


def test_metadata_of_another_sort(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A metadata.csv that names no files is left alone, with a warning; a broken one is an
    error.
    """
    made.table(files(tmp_path / "other", "1.png") / "metadata.csv", [{"author": "me"}])
    with caplog.at_level(logging.WARNING, "dedup"):
        source = made.opened(path=str(tmp_path / "other"))
    (files(tmp_path / "broken", "1.png") / "metadata.parquet").write_bytes(b"PAR1 cut")

    assert {"not_an_image": 1} == dict(source.skipped)
    assert "no column 'file_name'" in caplog.text
    assert "metadata.parquet: cannot be read" in refusal(tmp_path / "broken")


def test_several_rows_of_one_image(tmp_path: Path) -> None:
    """Rows that name one image, such as captions, stay or go together."""
    root = files(tmp_path / "in", "1.png", "2.png")
    records = [
        {"file_name": n, "caption": c} for n, c in (("1.png", "a"), ("2.png", "b"), ("1.png", "c"))
    ]
    made.table(root / "metadata.jsonl", records)
    source = made.opened(path=str(root))
    write_splits(source, np.array([True, False]), tmp_path / "out", "same", "hardlink")

    assert 2 == len(source.rows)
    lines = (tmp_path / "out/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [records[0], records[2]] == [json.loads(line) for line in lines]


def test_rows_of_files_that_do_not_exist_are_not_written(tmp_path: Path) -> None:
    """A row goes with its picture: what is written loads, also where a kept picture was missing
    from the start.
    """
    root = files(tmp_path / "in", "test/1.png", "train/2.png")
    made.table(root / "test/metadata.csv", [{"file_name": "1.png"}, {"file_name": "gone.png"}])
    run = dedup.run(
        {
            "dataset": {"path": str(root)},
            "engine": {"workers": 0},
            "output": {"dir": str(tmp_path / "run")},
        }
    )
    lines = (tmp_path / "run/splits/test/metadata.csv").read_text(encoding="utf-8").splitlines()

    assert "unreadable" in run.decisions["action"].to_pylist()
    assert ["file_name", "1.png"] == lines
    assert 2 == run.summary["certificate"]["samples"]


def test_no_kept_picture_exists(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where all that could be kept is missing the run ends in order: no certificate, the tables say
    why.
    """
    root = files(tmp_path / "in", "1.png")
    made.table(
        root / "metadata.csv",
        [{"file_name": "1.png", "split": "train"}, {"file_name": "x", "split": "test"}],
    )
    (root / "1.png").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING, "dedup"):
        run = dedup.run(
            {
                "dataset": {"path": str(root)},
                "engine": {"workers": 0},
                "policy": {"unreadable": "drop"},  # else a split that becomes empty ends the run
                "output": {"dir": str(tmp_path / "run")},
            }
        )

    assert ["unreadable"] * 2 == run.decisions["action"].to_pylist()
    assert run.summary["certificate"] is None
    assert "They are listed as missing" in caplog.text
    assert (tmp_path / "run/splits/README.md").exists()
