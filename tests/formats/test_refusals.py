"""What cannot be read, tried as a user would: each message names the thing and what to do, with the
right exit code.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dedup.cli import app
from tests.formats import made

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
REQUEST, DATA = 2, 1
"""Exit codes: the request is wrong, the dataset cannot be read."""


def said(*arguments: object) -> tuple[int, str]:
    """Exit code of an audit, and what it prints, on one line."""
    done = CliRunner().invoke(app, ["audit", *map(str, arguments), "--workers", "0"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def saved_without_a_file(root: Path) -> Path:
    made.saved(root, made.rows())
    next((root / "train").glob("*.arrow")).unlink()
    return root


def parquet_without_a_shard(root: Path) -> Path:
    made.parquet(root, made.rows())
    (root / "data/train-00001-of-00002.parquet").unlink()
    return root


def webdataset_without_a_shard(root: Path) -> Path:
    made.webdataset(root, made.rows())
    (root / "train-000000.tar").rename(root / "train-00000-of-00002.tar")
    return root


def half(make: Callable[[Path, list[made.Row]], Any], name: str) -> Callable[[Path], Path]:
    """A dataset one file of which is half as long as it was."""

    def of(root: Path) -> Path:
        make(root, made.rows())
        [path] = root.glob(name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return root

    return of


def compressed_tar(root: Path) -> Path:
    root.mkdir()
    shutil.make_archive(str(root / "x"), "gztar", root)
    return root / "x.tar.gz"


def two_names_of_one_split(root: Path) -> Path:
    made.imagefolder(
        root, [made.Row("a.png", "val", "x", b"a"), made.Row("b.png", "dev", "x", b"b")]
    )
    return root


def metadata_without_files(root: Path) -> Path:
    made.metadata_folder(root, made.rows())
    for path in root.rglob("*.*g"):
        path.unlink()
    return root


def manifest_without_files(root: Path) -> Path:
    made.manifest(root, made.rows())
    shutil.rmtree(root / "files")
    return root / "m.csv"


def nothing_but_nulls(root: Path) -> Path:
    root.mkdir()
    image = pa.array([None, {"bytes": None, "path": None}], IMAGE)
    pq.write_table(pa.table({"image": image}), root / "train.parquet")
    return root


def not_utf8(root: Path) -> Path:
    root.mkdir()
    (root / "m.csv").write_bytes("path\ncafé.png\n".encode("latin-1"))
    return root / "m.csv"


def semicolons(root: Path) -> Path:
    root.mkdir()
    (root / "m.csv").write_text("path;split\na.png;train\n")
    return root / "m.csv"


@pytest.mark.parametrize(
    ("make", "code", "thing", "remedy"),
    [
        (saved_without_a_file, DATA, "data-00000-of-00001.arrow", "Get it again"),
        (parquet_without_a_shard, DATA, "train-00001-of-00002.parquet", "Get them again"),
        (webdataset_without_a_shard, DATA, "train-00001-of-00002.tar", "Get it again"),
        (
            half(made.parquet, "data/test-*"),
            DATA,
            "00001.parquet: cannot be read as Parquet",
            "Get the file again",
        ),
        (
            half(made.saved, "train/*.arrow"),
            DATA,
            "cannot be loaded as a save_to_disk folder",
            "Get it again",
        ),
        (
            half(made.webdataset, "test-*"),
            DATA,
            "000000.tar: the file ends inside the member",
            "Get or make the file again",
        ),
        (compressed_tar, REQUEST, "x.tar.gz: compressed archives are not read", "Unpack it"),
        (
            two_names_of_one_split,
            DATA,
            "'dev' and 'val' both mean the split 'validation'",
            "Rename or merge",
        ),
        (
            metadata_without_files,
            DATA,
            "the first is 'test/b11.png': none of them does",
            "relative to the folder",
        ),
        (
            manifest_without_files,
            DATA,
            "none of the 12 pictures is where the dataset says",
            "relative to the file",
        ),
        (nothing_but_nulls, DATA, "the row has neither bytes nor a path", "dataset.image_column"),
        (not_utf8, DATA, "m.csv: not a readable CSV file in UTF-8", "Save it as UTF-8"),
        (
            semicolons,
            DATA,
            "m.csv: none of the 1 pictures is where the dataset says",
            "Paths are relative to the file",
        ),
    ],
)
def test_a_dataset(
    tmp_path: Path, make: Callable[[Path], Path], code: int, thing: str, remedy: str
) -> None:
    """What is wrong with the files is named with its file, and what to do about it."""
    exit_code, text = said(make(tmp_path / "in"), "-o", tmp_path / "run")

    assert code == exit_code
    assert thing in text
    assert remedy in text
    assert ".." not in text.replace("../", "").replace("…", "")


@pytest.mark.parametrize(
    ("form", "setting", "thing", "remedy"),
    [
        ("saved", "image_column=note", "column 'note' holds no images", "The columns are"),
        (
            "saved",
            "image_column=picture",
            "no column 'picture' (dataset.image_column)",
            "It has 'note'",
        ),
        ("saved", "id_column=nr", "has no column 'nr'", "It has 'note'"),
        (
            "saved",
            "split=[trian]",
            "dataset.split names 'trian'",
            "The splits are 'train', 'test', 'validation'",
        ),
        (
            "saved",
            "split=[train, train]",
            "dataset.split names 'train' twice",
            "Give one range of each split",
        ),
        (
            "saved",
            "split=['train[half]']",
            "dataset.split 'train[half]'",
            "as in load_dataset, 'train[:50%]'",
        ),
        (
            "parquet",
            "name=huge",
            "BuilderConfig 'huge' not found. Available: ['default']",
            "dataset.name",
        ),
        (
            "parquet",
            "data_files=none-*",
            "No (supported) data files found",
            "dataset.data_files is 'none-*'",
        ),
        (
            "manifest",
            "path_column=picture",
            "no column 'picture' (dataset.path_column)",
            "It has 'path'",
        ),
        (
            "manifest",
            "bytes_column=more",
            "column 'more' (dataset.bytes_column) does not hold bytes",
            "more",
        ),
        (
            "metadata",
            "label_column=animal",
            "no column 'animal'",
            "It has 'file_name', 'label', 'caption'",
        ),
        (
            "imagefolder",
            "split=[train]",
            "dataset.split: not used by the form 'imagefolder'",
            "take it out",
        ),
    ],
)
def test_a_setting(tmp_path: Path, form: str, setting: str, thing: str, remedy: str) -> None:
    """A setting that does not fit the dataset is a wrong request: the dataset is named, and what
    there is.
    """
    dataset = made.MAKERS[form](tmp_path / "in", made.rows())
    exit_code, text = said(dataset["path"], "-o", tmp_path / "run", "--set", f"dataset.{setting}")

    assert exit_code == REQUEST
    assert thing in text
    assert remedy in text
    assert "the dataset in memory" not in text


def test_several_image_columns(tmp_path: Path) -> None:
    """Which of them is asked for, with their names; choosing one is all there is to do."""
    values = [{"bytes": row.data, "path": row.name} for row in made.rows()]
    image = pa.array(values, IMAGE)
    pq.write_table(pa.table({"left": image, "right": image}), tmp_path / "in.parquet")
    exit_code, text = said(tmp_path / "in.parquet", "-o", tmp_path / "run")

    assert exit_code == REQUEST
    assert "several image columns: 'left', 'right'. Choose one as dataset.image_column" in text
    assert (
        said(
            tmp_path / "in.parquet", "-o", tmp_path / "run", "--set", "dataset.image_column=right"
        )[0]
        == 0
    )


def test_unreadable_rows_do_not_stop_the_rest(tmp_path: Path) -> None:
    """Nulls, empty bytes and a path that leads elsewhere have a status each; the other rows are
    searched.
    """
    rows = made.rows()
    values: list[Any] = [{"bytes": row.data, "path": row.name} for row in rows]
    values[:4] = [
        None,
        {"bytes": None, "path": None},
        {"bytes": b"", "path": None},
        {"bytes": None, "path": "/x.png"},
    ]
    image = pa.array(values, IMAGE)
    pq.write_table(pa.table({"image": image}), tmp_path / "rows.parquet")
    exit_code, _ = said(tmp_path / "rows.parquet", "-o", tmp_path / "run")
    status = pq.read_table(tmp_path / "run/hashes.parquet")["status"].to_pylist()

    assert exit_code == 0
    assert {"absent": 2, "outside": 1, "truncated": 1, "ok": len(rows) - 4} == Counter(status)
