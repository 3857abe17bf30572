"""Further columns: what a dataset says of its samples goes with them into another form."""

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.formats import write_splits
from dedup.formats.further import inferred, written_names
from tests.formats import made

CAPTIONS = ["a, cat", 'quo"te', "new\nline", "fox🦊é", "<b>html</b>", ""]
BOXES = [[1.5, 2.0], [], [3.0], [4.0], [5.0], [6.0]]


OWN = {
    "jsonl": "manifest",
    "parquet": "manifest",
    "metadata": "imagefolder",
    "webdataset": "webdataset",
    "saved": "parquet",
}


def some() -> list[made.Row]:
    return [row for row in made.rows() if row.split == "train"][:6]


def records(path: str) -> list[dict[str, Any]]:
    """One for each picture, with values of several types."""
    return [
        {
            "path": path.format(row.name),
            "split": row.split,
            "label": row.label,
            "caption": text,
            "box": box,
            "nr": k,
        }
        for k, (row, text, box) in enumerate(zip(some(), CAPTIONS, BOXES, strict=True))
    ]


def source(root: Path, form: str) -> dict[str, Any]:
    """The pictures with their further columns in one of the forms that have such."""
    made.manifest(root, some())
    if form in {"csv", "jsonl", "parquet"}:
        return {"path": str(made.table(root / f"n.{form}", records("files/{}")))}
    if form == "metadata":
        rows = [
            {"file_name" if k == "path" else k: v for k, v in row.items()} for row in records("{}")
        ]
        made.table(root / "files/metadata.jsonl", rows)
        return {"path": str(root / "files")}
    if form == "webdataset":
        members = []
        for row, record in zip(some(), records("{}"), strict=True):
            stem, _, suffix = row.name.rpartition(".")
            said = {key: value for key, value in record.items() if key not in {"path", "split"}}
            members += [(f"{stem}.{suffix}", row.data), (f"{stem}.json", json.dumps(said).encode())]
        made.tar(root / "shards/train-000000.tar", members)
        return {"path": str(root / "shards")}
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "caption": datasets.Value("string"),
            "box": datasets.Sequence(datasets.Value("float32")),
            "nr": datasets.Value("int32"),
        }
    )
    columns = {key: [row[key] for row in records("")] for key in ("label", "caption", "box", "nr")}
    images = [{"bytes": row.data, "path": row.name} for row in some()]
    rows = datasets.Dataset.from_dict({"image": images, **columns}, features=features)
    datasets.DatasetDict({"train": rows}).save_to_disk(str(root / "saved"))
    return {"path": str(root / "saved")}


def crossed(root: Path, form: str, target: str) -> Path:
    """The folder with the dataset of one form written in another."""
    opened = made.opened(**source(root, form))
    write_splits(opened, made.everything(opened), root / "out", target, "hardlink")
    return root / "out"


def written(out: Path, target: str) -> list[dict[str, Any]]:
    """What lies there, read without the package."""
    if target == "manifest":
        with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return [
                {**row, "box": json.loads(row["box"]), "nr": int(row["nr"])}
                for row in csv.DictReader(file)
            ]
    if target == "imagefolder":
        lines = (out / "train/metadata.jsonl").read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines if line]
    if target == "webdataset":
        with tarfile.open(out / "train-000000.tar") as tar:
            members = [m for m in tar if m.name.endswith(".json")]
            return [json.loads(file.read()) for file in map(tar.extractfile, members) if file]
    rows: list[dict[str, Any]] = pq.read_table(next((out / "data").glob("*.parquet"))).to_pylist()
    return rows


@pytest.mark.parametrize("target", ["manifest", "imagefolder", "webdataset", "parquet"])
@pytest.mark.parametrize("form", ["jsonl", "parquet", "metadata", "webdataset", "saved"])
def test_columns_go_along(tmp_path: Path, form: str, target: str) -> None:
    """Texts, lists and numbers are in every form what they were, in the order of the rows."""
    if target == OWN.get(form):
        pytest.skip("its own form keeps the files as they are")
    rows = sorted(written(crossed(tmp_path, form, target), target), key=lambda row: row["nr"])

    assert [text or "" for text in CAPTIONS] == [row["caption"] or "" for row in rows]
    assert BOXES == [row["box"] for row in rows]
    assert [0, 1, 2, 3, 4, 5] == [row["nr"] for row in rows]
    if form != "saved":
        assert [row.name.partition(".")[0] for row in some()] == [
            row["id"].rpartition("/")[2].partition(".")[0] for row in rows
        ]


@pytest.mark.parametrize("target", ["imagefolder", "webdataset", "parquet"])
def test_a_csv_has_texts(tmp_path: Path, target: str) -> None:
    """What stands in a CSV file stays text, whatever it looks like."""
    rows = written(crossed(tmp_path, "csv", target), target)

    assert ["0", "1", "2", "3", "4", "5"] == [row["nr"] for row in rows]


@pytest.mark.parametrize("target", ["imagefolder", "parquet"])
def test_datasets_loads_it(tmp_path: Path, target: str) -> None:
    """`load_dataset` reads the columns beside the pictures."""
    out = crossed(tmp_path, "jsonl", target)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]

    assert BOXES == loaded["box"][:]
    assert (24, 32) != loaded[0]["image"].size
    assert {"image", "id", "label", "caption", "box", "nr"} <= {*loaded.features}


def test_types_of_parquet_stay(tmp_path: Path) -> None:
    """A Parquet manifest's small integers, times and nested lists have these types in the Parquet
    shards.
    """
    made.manifest(tmp_path, some())
    n = len(some())
    table = pa.table(
        {
            "path": [f"files/{row.name}" for row in some()],
            "small": pa.array(range(n), pa.int8()),
            "when": pa.array(range(n), pa.timestamp("us", tz="UTC")),
            "kind": pa.array(["x"] * n).dictionary_encode(),
            "deep": pa.array([[[k]] for k in range(n)], pa.list_(pa.list_(pa.int16()))),
            "mask": pa.array([b"\0"] * n),
        }
    )
    pq.write_table(table, tmp_path / "n.parquet")
    opened = made.opened(path=str(tmp_path / "n.parquet"))
    write_splits(opened, made.everything(opened), tmp_path / "out", "parquet", "hardlink")
    got = pq.read_table(next((tmp_path / "out/data").glob("*")))

    for name in ("small", "when", "deep"):
        assert table[name].to_pylist() == got[name].to_pylist()
        assert table.schema.field(name).type == got.schema.field(name).type
    assert ["x"] * n == got["kind"].to_pylist()
    assert "mask" not in got.column_names


def test_what_stays_behind_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A second column of images has no place in a manifest; the user is told."""
    images = [{"bytes": row.data, "path": row.name} for row in some()]
    rows = datasets.Dataset.from_dict({"image": images, "mask": images})
    rows = rows.cast_column("image", datasets.Image()).cast_column("mask", datasets.Image())
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "saved"))
    opened = made.opened(path=str(tmp_path / "saved"), image_column="image")
    write_splits(opened, made.everything(opened), tmp_path / "out", "manifest", "hardlink")

    assert "column 'mask' cannot be written in the form manifest" in caplog.text


def test_only_the_kept_rows(tmp_path: Path) -> None:
    """After a run each kept picture has its own caption, beside those that were dropped."""
    dataset = made.webdataset(tmp_path / "in", made.rows())
    output = {"dir": str(tmp_path / "run"), "splits": "manifest", "report": False}
    run = dedup.run({"dataset": dataset, "output": output, "engine": {"workers": 0}})
    with (tmp_path / "run/splits/manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    assert run.summary["certificate"]["clean"]
    assert {*made.KEPT} == {row["id"] for row in rows}
    assert all(row["txt"] == f"a caption of {row['id'].rpartition('.')[0]}" for row in rows)


def test_values_of_several_types_are_texts() -> None:
    """JSON that has a number here and a list there is told as text, and so is an empty object."""
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": {}, "c": None},
        {"a": [2], "b": {}},
        {"a": "x\ud83e", "b": None},
    ]
    found = inferred(["a", "b", "c"], lambda: iter(rows))

    assert [pa.string()] * 3 == found.schema.types
    assert ["1", "[2]", "x\\ud83e"] == [row["a"] for row in found.rows()]
    assert ["{}", "{}", None] == [row["b"] for row in found.rows()]


def test_names_that_are_taken() -> None:
    """A column called like one of dedup's gets another name, and no two get the same."""
    names = written_names(
        ["id", "source_id", "own_file_name", "text"], {"id", "label"}, no_files=True
    )

    assert {
        "id": "source_source_id",
        "source_id": "source_id",
        "own_file_name": "own_filename",
        "text": "text",
    } == names
