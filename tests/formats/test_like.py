"""`dedup audit OUT --like RUN` for every form, from the command line: nothing leaks in what was
written.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import dedup
from dedup.cli import app
from dedup.formats import detect
from dedup.formats.manifest_columns import lists_files
from tests import pictures
from tests.formats import annotated, made


def invoked(*arguments: object) -> str:
    """What the command prints; it must succeed."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--workers", "0"])
    assert done.exit_code == 0, done.output
    return done.output


def cleaned(tmp_path: Path, dataset: dict[str, Any], **output: Any) -> Path:
    """The splits that a run with unusual settings writes."""
    settings = {
        "dataset": dataset,
        "search": {"max_distance": 10},
        "hash": {"algorithms": ["phash"]},
        "output": {"report": False, **output},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
    invoked("run", tmp_path / "c.yaml", "-o", tmp_path / "run")
    return tmp_path / "run/splits"


def assert_clean(tmp_path: Path, path: Path, n_samples: int) -> None:
    """An audit like the run finds all samples, the run's distance, and no leak."""
    invoked("audit", path, "--like", tmp_path / "run", "-o", tmp_path / "again")
    summary = json.loads((tmp_path / "again/summary.json").read_text(encoding="utf-8"))

    assert {"phash": 10} == summary["resolved"]["max_distance"]
    assert n_samples == summary["samples"]["total"]
    assert {"test", "validation"} == {*summary["leakage"]}
    assert 0 == pq.read_metadata(tmp_path / "again/leakage.parquet").num_rows
    assert 0 == pq.read_metadata(tmp_path / "again/pairs.parquet").num_rows


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("form", ["manifest", "metadata"])
def test_tables(tmp_path: Path, form: str, suffix: str) -> None:
    """Manifests and metadata of each kind."""
    make = made.manifest if form == "manifest" else made.metadata_folder
    splits = cleaned(tmp_path, make(tmp_path / "in", made.rows(), suffix))

    assert_clean(tmp_path, splits / f"m.{suffix}" if form == "manifest" else splits, len(made.KEPT))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_folder_of_a_manifest(tmp_path: Path, suffix: str) -> None:
    """Who names the folder in place of the manifest in it gets its splits and labels, too."""
    splits = cleaned(tmp_path, made.manifest(tmp_path / "in", made.rows(), suffix))
    asked = [
        "audit",
        str(splits),
        "--like",
        str(tmp_path / "run"),
        "-o",
        str(tmp_path / "again"),
        "--workers",
        "0",
    ]
    done = CliRunner().invoke(app, asked)

    output = " ".join(done.output.split())

    assert 0 == done.exit_code
    assert f"train is what 'm.{suffix}' lists" in output
    assert "labels: 2 ('cat', 'dog')" in output
    assert "lists pictures that lie beside it" not in output


@pytest.mark.parametrize(
    "name", ["labels.csv", "labels.jsonl", "notes.csv", "empty.jsonl", "metadata.csv", "x.parquet"]
)
def test_other_tables_in_a_folder(tmp_path: Path, name: str) -> None:
    """A table that names no pictures beside it is nothing to speak of, however broken."""
    made.imagefolder(tmp_path / "in", made.rows())
    content = {
        "labels.csv": "path,label\nno.png,cat\n",
        "labels.jsonl": '{"path": 7}\n',
        "notes.csv": "\0\n\xff",
    }
    (tmp_path / "in" / name).write_text(content.get(name, ""), encoding="latin-1")

    assert not lists_files(tmp_path / "in" / name)


@pytest.mark.parametrize("form", ["imagefolder", "saved", "parquet", "arrow", "webdataset"])
def test_folders(tmp_path: Path, form: str) -> None:
    """Every form that is a folder."""
    splits = cleaned(tmp_path, made.MAKERS[form](tmp_path / "in", made.rows()))

    assert_clean(tmp_path, splits, len(made.KEPT))


@pytest.mark.parametrize("make", [annotated.coco, annotated.yolo])
def test_annotated(tmp_path: Path, make: Any) -> None:
    """Pictures with annotations."""
    splits = cleaned(tmp_path, make(tmp_path / "in", made.rows()))

    assert_clean(tmp_path, splits, len(made.KEPT))


@pytest.mark.parametrize("form", ["imagefolder", "manifest", "parquet", "webdataset"])
def test_another_form(tmp_path: Path, form: str) -> None:
    """What was written in another form than it had."""
    splits = cleaned(tmp_path, made.imagefolder(tmp_path / "in", made.rows()), splits=form)

    assert_clean(
        tmp_path, splits / "manifest.csv" if form == "manifest" else splits, len(made.KEPT)
    )


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_slices_are_not_taken_again(tmp_path: Path, form: str) -> None:
    """Of a dataset that was read in slices the whole output is audited, in memory and on disk."""
    dataset = {
        **made.MAKERS[form](tmp_path / "in", made.rows()),
        "split": ["train[2:]", "test", "validation"],
    }
    kept = sum(row.name in made.KEPT for row in _sliced())
    splits = cleaned(tmp_path, dataset)
    run = dedup.run({"dataset": dataset, "engine": {"workers": 0}})

    assert_clean(tmp_path, splits, kept)
    assert kept == run.summary["certificate"]["samples"] == sum(map(len, run.splits().values()))


def _sliced() -> list[made.Row]:
    train = [row for row in made.rows() if row.split == "train"][2:]
    return [*train, *(row for row in made.rows() if row.split != "train")]


def test_several(tmp_path: Path) -> None:
    """A cleaned dataset beside its reference, which is looked at again."""
    rows = made.rows()
    made.imagefolder(tmp_path / "mine", [row for row in rows if row.split == "train"])
    bench = made.parquet(tmp_path / "bench", [row for row in rows if row.split != "train"])
    sources = [{"path": str(tmp_path / "mine")}, {**bench, "prefix": "bench", "reference": True}]
    splits = cleaned(tmp_path, {"sources": sources})
    invoked(
        "audit", splits, tmp_path / "bench", "--like", tmp_path / "run", "-o", tmp_path / "again"
    )
    summary = json.loads((tmp_path / "again/summary.json").read_text(encoding="utf-8"))

    assert {"bench/test", "bench/validation"} == {*summary["leakage"]}
    assert 0 == pq.read_metadata(tmp_path / "again/leakage.parquet").num_rows


def test_it_is_not_clean_of_itself(tmp_path: Path) -> None:
    """The audit that finds nothing in the output finds the leak in the input: it does look."""
    dataset = made.webdataset(tmp_path / "in", made.rows())
    cleaned(tmp_path, dataset)
    invoked("audit", dataset["path"], "--like", tmp_path / "run", "-o", tmp_path / "again")

    assert 1 == pq.read_metadata(tmp_path / "again/leakage.parquet").num_rows


def test_a_picture(tmp_path: Path) -> None:
    """A single picture is no dataset; the message says what takes two of them."""
    pictures.save(pictures.photo(1), tmp_path / "x.png")
    done = CliRunner().invoke(app, ["audit", str(tmp_path / "x.png")])

    assert 2 == done.exit_code
    assert "dedup compare" in done.output
    assert "webdataset" == detect(made.tar(tmp_path / "x.tar", []))
