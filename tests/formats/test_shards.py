"""Parquet and Arrow shards that are alike but not the same: order of columns, columns of nulls,
types that differ.
"""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats import open_source, write_splits
from tests import pictures
from tests.formats import made
from tests.formats.layouts import IMAGE


def images(*seeds: int) -> pa.Array:
    """Images of their own."""
    return pa.array(
        [{"bytes": pictures.encoded(pictures.photo(seed)), "path": None} for seed in seeds], IMAGE
    )


def shard(root: Path, number: int, columns: dict[str, Any], suffix: str = "parquet") -> None:
    """One of two shards of train."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    path = root / f"data/train-0000{number}-of-00002.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def cleaned(root: Path, tmp_path: Path) -> tuple[dedup.Run, datasets.Dataset]:
    """A run, and what `load_dataset` reads of its output."""
    run = dedup.run(
        {
            "dataset": {"path": str(root)},
            "output": {"dir": str(tmp_path / "run"), "report": False},
            "engine": {"workers": 0},
        }
    )
    return run, datasets.load_dataset(
        str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "cache")
    )["train"]


every_suffix = pytest.mark.parametrize("suffix", ["parquet", "arrow"])


@every_suffix
def test_columns_in_another_order(tmp_path: Path, suffix: str) -> None:
    """They are read in the order of the first file, with their own values."""
    shard(tmp_path / "in", 0, {"image": images(1, 2), "a": [1, 2], "b": ["x", "y"]}, suffix)
    shard(tmp_path / "in", 1, {"b": ["z", "w"], "image": images(1, 3), "a": [3, 4]}, suffix)
    run, written = cleaned(tmp_path / "in", tmp_path)

    assert ["image", "a", "b"] == written.column_names
    assert ([1, 2, 4], ["x", "y", "w"]) == (written["a"][:], written["b"][:])
    assert run.summary["certificate"]["clean"]


@every_suffix
@pytest.mark.parametrize("empty", [0, 1])
def test_a_column_without_values_in_one_shard(tmp_path: Path, suffix: str, empty: int) -> None:
    """The type is that of the shard with values, whichever comes first."""
    for number in (0, 1):
        note = pa.nulls(2) if number == empty else pa.array(["x", "y"])
        shard(
            tmp_path / "in",
            number,
            {"image": images(2 * number, 2 * number + 1), "note": note},
            suffix,
        )
    run, written = cleaned(tmp_path / "in", tmp_path)
    notes = [None, None, "x", "y"] if empty == 0 else ["x", "y", None, None]

    assert notes == written["note"][:]
    assert datasets.Value("string") == written.features["note"]
    assert 4 == run.summary["samples"]["readable"]


def test_a_shard_without_an_image(tmp_path: Path) -> None:
    """An image column of nulls in one shard is one of images without any; its rows stay."""
    shard(tmp_path / "in", 0, {"image": pa.nulls(2), "text": ["a", "b"]})
    shard(tmp_path / "in", 1, {"image": images(1, 2), "text": ["c", "d"]})
    source = open_source(DatasetConfig(path=str(tmp_path / "in")))

    assert [True, True, False, False] == [data is None for data in made.contents(source)]


def test_numbers_of_another_width(tmp_path: Path) -> None:
    """Whole numbers of 32 bits are read where 64 are in the first file."""
    shard(tmp_path / "in", 0, {"image": images(1), "n": pa.array([1], pa.int64())})
    shard(tmp_path / "in", 1, {"image": images(2), "n": pa.array([2], pa.int32())})
    _, written = cleaned(tmp_path / "in", tmp_path)

    assert [1, 2] == written["n"][:]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            {"n": [1]},
            {"n": ["one"]},
            "its column 'n' is Value('string'), in other files it is Value('int64')",
        ),
        ({"n": [1]}, {"m": [1]}, "its columns are ['image', 'm']"),
        ({"n": [1]}, {"n": [[1]]}, "its column 'n' is List(Value('int64'))"),
    ],
)
def test_shards_that_do_not_fit(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], expected: str
) -> None:
    """The file and the column are named when the dataset is opened, before anything is hashed."""
    shard(tmp_path / "in", 0, {"image": images(1), **first})
    shard(tmp_path / "in", 1, {"image": images(2), **second})
    with pytest.raises(SourceError) as caught:
        open_source(DatasetConfig(path=str(tmp_path / "in")))

    assert "train-00001-of-00002.parquet" in str(caught.value)
    assert expected in str(caught.value)


@every_suffix
def test_a_dict_in_memory(tmp_path: Path, suffix: str) -> None:
    """`deduplicate` returns the rows of shards that differ, in one dataset."""
    shard(tmp_path / "in", 0, {"image": images(1, 2), "a": pa.nulls(2)}, suffix)
    shard(tmp_path / "in", 1, {"a": [3, 4], "image": images(1, 3)}, suffix)
    clean, _ = dedup.deduplicate(tmp_path / "in", workers=0)

    assert [None, None, 4] == clean["train"]["a"][:]


def test_other_forms_get_every_row(tmp_path: Path) -> None:
    """A writer of another form gets the columns of all shards."""
    shard(tmp_path / "in", 0, {"image": images(1, 2), "a": pa.nulls(2)})
    shard(tmp_path / "in", 1, {"a": ["x", "y"], "image": images(3, 4)})
    source = open_source(DatasetConfig(path=str(tmp_path / "in")))
    written = write_splits(source, np.ones(4, bool), tmp_path / "out", "manifest", "copy")

    assert [None, None, "x", "y"] == open_source(written.config).texts("a")
