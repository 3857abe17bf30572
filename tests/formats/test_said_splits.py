"""Splits and groups that columns and names say: folds, columns of 0 and 1, split columns in rows,
patterns of ids.
"""

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import ConfigError, DedupError, SourceError
from dedup.formats import Source, open_source
from tests import pictures
from tests.formats import made
from tests.formats.layouts import IMAGE, Made

FOLDS = {"train": [0, 1, "2"], "test": [3]}
VALUES = ["0", "1", "2", "3"]


def opened(**settings: Any) -> Source:
    """The dataset."""
    return open_source(DatasetConfig.model_validate(settings))


def as_csv(root: Path, values: list[Any]) -> str:
    lines = [f"{k}.png,{value}" for k, value in enumerate(values)]
    for k in range(len(values)):
        pictures.save(pictures.photo(k, (32, 24)), root / f"{k}.png")
    (root / "m.csv").write_text("\n".join(["path,fold", *lines]), encoding="utf-8")
    return str(root / "m.csv")


def as_jsonl(root: Path, values: list[Any]) -> str:
    as_csv(root, values)
    lines = [json.dumps({"path": f"{k}.png", "fold": value}) for k, value in enumerate(values)]
    (root / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(root / "m.jsonl")


def as_rows(root: Path, values: list[Any]) -> str:
    images = [
        {"bytes": pictures.encoded(pictures.photo(k, (32, 24))), "path": None}
        for k in range(len(values))
    ]
    root.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"image": pa.array(images, IMAGE), "fold": values}), root / "all.parquet"
    )
    return str(root)


def as_metadata(root: Path, values: list[Any]) -> str:
    as_csv(root, values)
    (root / "m.csv").unlink()
    lines = [f"{k}.png,{value}" for k, value in enumerate(values)]
    (root / "metadata.csv").write_text("\n".join(["file_name,fold", *lines]), encoding="utf-8")
    return str(root)


def as_tar(root: Path, values: list[Any]) -> str:
    members = []
    for k, value in enumerate(values):
        members += [(f"{k}.png", pictures.encoded(pictures.photo(k, (32, 24))))]
        members += [(f"{k}.json", json.dumps({"fold": value}).encode())]
    return str(made.tar(root / "all.tar", members))


FORMS = {"csv": as_csv, "jsonl": as_jsonl, "rows": as_rows, "metadata": as_metadata, "tar": as_tar}


@pytest.mark.parametrize("form", FORMS)
def test_folds(tmp_path: Path, form: str) -> None:
    """Values of a column, numbers or texts, are the splits that the config says, in every form with
    columns.
    """
    values: list[Any] = [0, 1, 2, 3, 3] if form in {"jsonl", "rows", "tar"} else [*VALUES, "3"]
    source = opened(path=FORMS[form](tmp_path / "in", values), split_column="fold", splits=FOLDS)

    assert ["train", "train", "train", "test", "test"] == source.rows["split"].to_pylist()


@pytest.mark.parametrize(
    "values", [["0", "1"], ["0.0", "1.0"], ["False", "True"], [False, True], [0, 1]]
)
def test_columns_of_yes_and_no(tmp_path: Path, values: list[Any]) -> None:
    """0 and 1 are found as whole numbers, as decimals and as yes and no."""
    path = as_jsonl(tmp_path, values)
    source = opened(path=path, split_column="fold", splits={"train": 0, "val": 1})

    assert ["train", "validation"] == source.rows["split"].to_pylist()


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_no_split_has(tmp_path: Path, form: str) -> None:
    """It is named with its row and the column; nothing is guessed."""
    path = FORMS[form](tmp_path / "in", ["0", "3", "4"])
    with pytest.raises(
        ConfigError, match=r"'fold' has the value '4', which dataset.splits does not name"
    ):
        opened(path=path, split_column="fold", splits=FOLDS)


def test_a_value_in_two_splits() -> None:
    """It could be either."""
    with pytest.raises(ConfigError, match="the value '1' is in two splits"):
        dedup.run(
            {
                "dataset": {
                    "path": "x",
                    "split_column": "fold",
                    "splits": {"train": [0, 1], "test": [1]},
                }
            }
        )


@pytest.mark.parametrize("form", FORMS)
def test_a_run_over_folds(tmp_path: Path, form: str) -> None:
    """The leak between folds goes, and what is written is read and certified with the same
    folds.
    """
    path = FORMS[form](tmp_path / "in", ["0", "1", "3", "3"])
    root = Path(path) if Path(path).is_dir() else Path(path).parent
    if form in {"csv", "jsonl", "metadata"}:
        (root / "0.png").write_bytes((root / "3.png").read_bytes())
        n_leaks = 1
    else:
        n_leaks = 0
    run = dedup.run(
        {
            "dataset": {"path": path, "split_column": "fold", "splits": FOLDS},
            "output": {"dir": str(tmp_path / "run"), "report": False},
            "engine": {"workers": 0},
        }
    )

    assert n_leaks == run.summary["leakage"]["test"]["leaking"]
    assert run.summary["certificate"]["clean"]
    assert 4 - n_leaks == run.summary["decisions"]["keep"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["train", "train", "test"], ["train", "train", "test"]),
        (["Training", "val", "dev"], None),
        (["train", "train", "train"], ["train"] * 3),
        (["train", "test", "weather"], ["train"] * 3),
        (["train", "test", None], ["train"] * 3),
    ],
)
def test_a_split_column_in_rows(
    tmp_path: Path, values: list[str | None], expected: list[str] | None
) -> None:
    """A column `split` says the splits if it holds usual names and nothing else, two at least."""
    images = [
        {"bytes": pictures.encoded(pictures.photo(k, (32, 24))), "path": None}
        for k in range(len(values))
    ]
    pq.write_table(
        pa.table({"image": pa.array(images, IMAGE), "split": values}), tmp_path / "all.parquet"
    )
    if expected is None:
        with pytest.raises(SourceError, match="both mean the split 'validation'"):
            opened(path=str(tmp_path))
        return

    assert expected == opened(path=str(tmp_path)).rows["split"].to_pylist()


def test_a_written_split_column(tmp_path: Path) -> None:
    """Rows with a split column are filtered by it; `load_dataset` reads the result with the
    column.
    """
    of = Made(tmp_path / "in")
    of.rows("all.parquet", 3, split=["train", "train", "test"])
    table = pq.read_table(of.root / "all.parquet")
    images = table["image"].to_pylist()
    images[0] = images[2]
    pq.write_table(table.set_column(0, "image", pa.array(images, IMAGE)), of.root / "all.parquet")
    run = dedup.run(
        {
            "dataset": {"path": str(of.root)},
            "output": {"dir": str(tmp_path / "run"), "report": False},
        }
    )
    written = datasets.load_dataset(str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "cache"))

    assert ["train", "test"] == written["train"]["split"][:]
    assert run.summary["certificate"]["clean"]


def test_splits_in_rows_are_not_moved(tmp_path: Path) -> None:
    """Where a column says the splits, regrouping in the same form is refused before any work is
    done.
    """
    of = Made(tmp_path / "in")
    of.rows("all.parquet", 4, split=["train", "train", "test", "test"])
    with pytest.raises(DedupError, match="the column 'split' says the splits"):
        dedup.run(
            {
                "dataset": {"path": str(of.root)},
                "policy": {"leakage": "regroup"},
                "output": {"dir": str(tmp_path / "run")},
                "engine": {"workers": 0},
            }
        )


# --- groups by a pattern --------------------------------------------------------------------------


def test_groups_of_names(tmp_path: Path) -> None:
    """What the pattern finds is the group; ids in which it finds nothing belong to no other."""
    Made(tmp_path).images(
        "train/clip1_01.png", "test/clip1_02.png", "train/clip2_01.png", "test/other.png"
    )
    run = dedup.audit(tmp_path, workers=0, group_pattern=r"(clip\d+)_")
    groups = dict(
        zip(run.manifest["id"].to_pylist(), run.manifest["group"].to_pylist(), strict=True)
    )

    assert "clip1" == groups["train/clip1_01.png"] == groups["test/clip1_02.png"]
    assert ("clip2", "test/other.png") == (groups["train/clip2_01.png"], groups["test/other.png"])
    assert 1 == run.summary["group_leakage"]["test"]["leaking"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"clip\d+", {"clip1", "clip2"}),
        (r"(c)lip(\d+)", {"c/1", "c/2"}),
        (r"(x)?clip(\d)", {"1", "2"}),
    ],
)
def test_what_of_a_pattern_counts(tmp_path: Path, pattern: str, expected: set[str]) -> None:
    """Its groups, joined where there are several; all that it finds where it has none."""
    Made(tmp_path).images("train/clip1_01.png", "test/clip1_02.png", "train/clip2_01.png")

    assert expected == set(
        dedup.audit(tmp_path, workers=0, group_pattern=pattern).manifest["group"].to_pylist()
    )


def test_a_pattern_that_finds_nothing(tmp_path: Path) -> None:
    """It would make every sample a group of its own, which cannot be meant; the first id is
    named.
    """
    Made(tmp_path).images("train/1.png", "test/2.png")
    with pytest.raises(
        ConfigError, match=r"every sample into a group of its own. The first id is 'test/2.png'"
    ):
        dedup.audit(tmp_path, workers=0, group_pattern="clip")


# --- what load_dataset puts together --------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "name", "n_rows"),
    [
        ("train[:3]", "train", 3),
        ("train[50%:]", "train", 2),
        ("test[:1]", "test", 1),
        ("train+test", "train", 6),
    ],
)
def test_slices_in_memory(tmp_path: Path, split: str, name: str, n_rows: int) -> None:
    """A slice has the name of its split, and several splits in one are one pool called train."""
    of = Made(tmp_path / "in")
    of.rows("train.parquet", 4)
    of.rows("test.parquet", 2)
    features = datasets.Features({"image": datasets.Image()})
    part = datasets.load_dataset(
        str(of.root), split=split, features=features, cache_dir=str(tmp_path / "cache")
    )
    clean, _ = dedup.deduplicate(part, workers=0)

    assert {name: n_rows} == {split: len(rows) for split, rows in clean.items()}


def test_a_list_of_slices(tmp_path: Path) -> None:
    """`load_dataset(split=["train[:50%]", "test"])` gives a list: each is the split that it is
    of.
    """
    of = Made(tmp_path / "in")
    of.rows("train.parquet", 4)
    of.rows("test.parquet", 2)
    features = datasets.Features({"image": datasets.Image()})
    where = {"features": features, "cache_dir": str(tmp_path / "cache")}
    parts = datasets.load_dataset(str(of.root), split=["train[:50%]", "test"], **where)
    clean, _ = dedup.deduplicate(parts, workers=0)

    assert {"train": 2, "test": 2} == {split: len(rows) for split, rows in clean.items()}
    with pytest.raises(SourceError, match="Two of the datasets are of the split 'train'"):
        dedup.audit([parts[0], parts[0]], workers=0)


# --- one picture in several rows ------------------------------------------------------------------


def test_one_row_for_each_box(tmp_path: Path) -> None:
    """Rows of one picture are one sample with all their labels; they stay or go together, every
    column as it was.
    """
    of = Made(tmp_path / "in")
    of.images("a.png", "b.png", "c.png")
    (of.root / "d.png").write_bytes((of.root / "a.png").read_bytes())
    rows = [
        "a.png,train,1,cat",
        "a.png,train,2,dog",
        "b.png,train,3,cat",
        "d.png,test,4,cat",
        "c.png,train,5,",
        "a.png,train,6,cat",
    ]
    of.file("boxes.csv", "\n".join(["path,split,x,label", *rows]))
    config = {
        "dataset": {"path": str(of.root / "boxes.csv")},
        "output": {"dir": str(tmp_path / "run"), "report": False},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    manifest = dict(
        zip(run.manifest["id"].to_pylist(), run.manifest["label"].to_pylist(), strict=True)
    )

    assert {"a.png": "cat, dog", "b.png": "cat", "c.png": None, "d.png": "cat"} == manifest
    assert "6 rows are of 4 pictures" in run.summary["understood"]
    assert ["path,split,x,label", *rows[2:5]] == (
        tmp_path / "run/splits/boxes.csv"
    ).read_text().splitlines()
    assert run.summary["certificate"]["clean"]


def test_boxes_of_one_picture_in_two_splits(tmp_path: Path) -> None:
    """Then it is a sample of each, and a leak."""
    of = Made(tmp_path / "in")
    of.images("a.png", "b.png")
    of.file("boxes.csv", "path,split,label\na.png,train,cat\na.png,test,cat\nb.png,train,dog\n")
    run = dedup.audit(of.root / "boxes.csv", workers=0)

    assert ["b.png", "test:a.png", "train:a.png"] == run.manifest["id"].to_pylist()
    assert 1 == run.summary["leakage"]["test"]["leaking"]


@pytest.mark.parametrize("column", ["path", "file_name"])
def test_backslashes_of_windows(tmp_path: Path, column: str) -> None:
    r"""`train\cat\1.png` is a file in folders, unless there is a file of that very name."""
    of = Made(tmp_path / "in")
    of.images("train/cat/1.png", "train/cat/2.png")
    of.file("odd\\name.png", of.picture())
    of.file("m.csv", f"{column}\ntrain\\cat\\1.png\ntrain\\cat\\2.png\nodd\\name.png\n")
    config = {
        "dataset": {"path": str(of.root / "m.csv")},
        "output": {"dir": str(tmp_path / "run"), "report": False},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)

    assert 3 == run.summary["samples"]["readable"]
    assert ["odd\\name.png", "train/cat/1.png", "train/cat/2.png"] == run.manifest["id"].to_pylist()
    assert (tmp_path / "run/splits/train/cat/2.png").is_file()
    assert (tmp_path / "run/splits/odd\\name.png").is_file()


def test_splits_as_an_option_of_python(tmp_path: Path) -> None:
    """A mapping says which values are which split, also beside the text that says what is
    written.
    """
    path = as_csv(tmp_path, VALUES)
    options: dict[str, Any] = {"split_column": "fold", "splits": FOLDS, "workers": 0}
    run = dedup.audit(path, **options)

    assert ["train", "train", "train", "test"] == run.manifest["split"].to_pylist()
    assert "none" == run.config.output.splits
