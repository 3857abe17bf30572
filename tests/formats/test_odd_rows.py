"""One odd row never ends a run: it has a row with a status, and all others are judged and written."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from tests import pictures
from tests.formats import made

DEEP: Final = "[" * 5_000 + "]" * 5_000
"""Valid JSON and YAML, far deeper than Python's own limit of calls within calls."""

ODD_NAMES: Final = {
    "a name of 300 bytes": "n" * 300 + ".png",
    "a path of 5,000 bytes": "/".join(["d" * 200] * 25) + ".png",
    "NUL": "nul\0.png",
    "blanks": "  ",
    "a lone surrogate": "\ud800.png",
}
"""Names that no file can have, or hardly any."""

ODD_URLS: Final = (
    "http://[::1",
    "http://\0/x.png",
    "file://[",
    "file://\0",
    "memory://\0",
    "memory://",
    "s3://",
    "://x.png",
    "hf://",
    "nosuch://x.png",
    "http://" + "a" * 100_000,
)


def named(index: int) -> str:
    """The name of one of the four ordinary pictures: two in train, two in test."""
    return f"{'train' if index < 2 else 'test'}{index}.png"


def ordinary(folder: Path) -> list[dict[str, Any]]:
    """Four different pictures, and the rows that name them."""
    pictures.folder(folder, [named(index) for index in range(4)])
    return [{"path": named(index), "split": named(index)[:-5], "label": "a", "more": None} for index in range(4)]


def written(root: Path, settings: dict[str, Any], **output: Any) -> dedup.Run:
    """A whole run over a dataset, written below `root`."""
    return dedup.run(
        {
            "dataset": settings,
            "output": {"dir": str(root / "out"), **output},
            "engine": {"workers": 1},
            "policy": {"unreadable": "keep"},
        }
    )


def check(result: dedup.Run, n_samples: int, statuses: set[str]) -> None:
    """Every row has a status, the four pictures are kept, and the odd ones are what they are expected to be."""
    found = result.tables["hashes"]["status"].to_pylist()
    kept = result.tables["decisions"]["action"].to_pylist().count("keep")
    odd = sorted(found)
    for _ in range(4):
        odd.remove("ok")

    assert n_samples == len(found)
    assert set(odd) <= statuses
    assert kept >= 4


MISSING: Final = {"missing", "outside"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["names", "urls"])
@pytest.mark.parametrize("splits", ["same", "parquet"])
def test_odd_paths_in_a_manifest(tmp_path: Path, suffix: str, kind: str, splits: str) -> None:
    """Names that no file can have and URLs that name nothing are samples that are missing."""
    rows = ordinary(tmp_path / "data")
    odd = [name for name in ODD_NAMES.values() if suffix == "jsonl" or name.isprintable() or "\0" in name]
    odd = [name for name in odd if suffix != "parquet" or "\ud800" not in name]
    if suffix == "csv":
        odd = [name for name in odd if "\ud800" not in name]
    rows += [
        {"path": path, "split": "train", "label": "b", "more": None} for path in (odd if kind == "names" else ODD_URLS)
    ]
    path = made.table(tmp_path / "data" / f"m.{suffix}", rows)

    check(written(tmp_path, {"path": str(path)}, splits=splits), len(rows), MISSING)


@pytest.mark.parametrize("splits", ["same", "manifest", "webdataset"])
def test_nested_values_in_a_jsonl(tmp_path: Path, splits: str) -> None:
    """A value that is nested too deep for Python, or a number too long for it, is one row's and does no harm."""
    rows = ordinary(tmp_path / "data")
    lines = [json.dumps(row) for row in rows]
    lines[0] = lines[0].replace('"more": null', f'"more": {DEEP}')
    lines[1] = lines[1].replace('"more": null', f'"more": {"9" * 10_000}')
    path = tmp_path / "data" / "m.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    check(written(tmp_path, {"path": str(path)}, splits=splits), 4, set())


def test_a_long_cell_in_a_csv(tmp_path: Path) -> None:
    """A caption of 300,000 characters is longer than Python's own limit for cells."""
    rows = ordinary(tmp_path / "data")
    rows[0]["more"] = "x" * 300_000
    path = made.table(tmp_path / "data" / "m.csv", rows)

    check(written(tmp_path, {"path": str(path)}), 4, set())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_the_metadata_of_an_image_folder(tmp_path: Path, name: str) -> None:
    """A file_name that no file can have is a sample that is missing."""
    rows = ordinary(tmp_path / "data")
    said = [{"file_name": row["path"], "split": row["split"]} for row in rows]
    made.table(tmp_path / "data/metadata.jsonl", [*said, {"file_name": ODD_NAMES[name], "split": "train"}])

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 5, MISSING)


def test_nested_values_in_metadata(tmp_path: Path) -> None:
    """The same in the metadata of an image folder."""
    rows = ordinary(tmp_path / "data")
    lines = [json.dumps({"file_name": row["path"], "split": row["split"]}) for row in rows]
    lines[0] = lines[0][:-1] + f', "more": {DEEP}}}'
    (tmp_path / "data/metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 4, set())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_coco(tmp_path: Path, name: str) -> None:
    """A file_name that no file can have is a sample that is missing."""
    odd = ODD_NAMES[name].strip() or "no such.png"
    _coco(tmp_path / "data", odd)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 5, MISSING)


def test_nested_values_in_coco(tmp_path: Path) -> None:
    """A segmentation that is nested too deep is one annotation's and does no harm."""
    _coco(tmp_path / "data", "no such.png", DEEP)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 5, MISSING)


def _coco(folder: Path, odd: str, segmentation: str = "[]") -> None:
    rows = ordinary(folder)
    for split in ("train", "test"):
        names = [row["path"] for row in rows if row["split"] == split]
        names += [odd] if split == "train" else []
        content = {
            "images": [{"id": k, "file_name": f"../{name}"[3:]} for k, name in enumerate(names)],
            "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "segmentation": "HERE"}],
            "categories": [{"id": 1, "name": "a"}],
        }
        path = folder / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content).replace('"HERE"', segmentation), encoding="utf-8")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_in_the_lists_of_yolo(tmp_path: Path, name: str) -> None:
    """A line that no file can have as its name is a sample that is missing."""
    folder = tmp_path / "data"
    rows = ordinary(folder)
    for split in ("train", "test"):
        lines = [f"./{row['path']}" for row in rows if row["split"] == split]
        lines += [f"./{ODD_NAMES[name].strip() or 'no such.png'}"] if split == "train" else []
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
        (folder / f"{split}.txt").write_bytes(text)
    (folder / "data.yaml").write_text("train: train.txt\ntest: test.txt\nnames: [a]\n", encoding="utf-8")

    check(written(tmp_path, {"path": str(folder)}), 5, MISSING)


@pytest.mark.parametrize("name", [*ODD_NAMES, "file://"])
def test_odd_paths_in_a_parquet_dataset(tmp_path: Path, name: str) -> None:
    """An image struct whose path no file can have is a sample without bytes."""
    rows = ordinary(tmp_path / "pictures")
    path = ODD_NAMES.get(name, name).encode("utf-8", "replace").decode()
    for split in ("train", "test"):
        images: list[dict[str, Any]] = [
            {"bytes": (tmp_path / "pictures" / row["path"]).read_bytes(), "path": None}
            for row in rows
            if row["split"] == split
        ]
        images += [{"bytes": None, "path": path}] if split == "train" else []
        target = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"image": images}), target)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 5, {*MISSING, "absent"})


def _shard(folder: Path, change: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
    """Shards of the ordinary pictures; `change` is applied to the name and content of each member, as stored."""
    rows = ordinary(folder / "pictures")
    for split in ("train", "test"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
            for row in rows:
                if row["split"] != split:
                    continue
                for suffix, data in (
                    (".png", (folder / "pictures" / row["path"]).read_bytes()),
                    (".json", b'{"label": "a"}'),
                ):
                    name, content = change(row["path"][:-4].encode() + suffix.encode(), data)
                    info = tarfile.TarInfo(name.decode("latin-1"))
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        path = folder / "shards" / f"{split}-000000.tar"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(out.getvalue())


@pytest.mark.parametrize("splits", ["same", "parquet", "imagefolder"])
@pytest.mark.parametrize(
    "before", [b"\xff\xfe", b"\xc3\x28", b"\\xff", b"n" * 300], ids=["bytes", "halves", "escaped", "long"]
)
def test_odd_member_names(tmp_path: Path, before: bytes, splits: str) -> None:
    """Names of members that are not UTF-8, look as if they were escaped, or are longer than a file's may be."""

    def change(name: bytes, content: bytes) -> tuple[bytes, bytes]:
        return (before + name if name.startswith(b"train") else name), content

    _shard(tmp_path, change)

    check(written(tmp_path, {"path": str(tmp_path / "shards")}, splits=splits), 4, set())


def test_member_names_that_look_alike(tmp_path: Path) -> None:
    """A name with a byte that is not UTF-8, and one with the four characters that stand for it, are two samples."""

    def change(name: bytes, content: bytes) -> tuple[bytes, bytes]:
        same = {b"train0": b"a\xff", b"train1": b"a\\xff"}
        stem, _, suffix = name.partition(b".")
        return same.get(stem, stem) + b"." + suffix, content

    _shard(tmp_path, change)
    result = written(tmp_path, {"path": str(tmp_path / "shards")})
    ids = result.manifest["id"].to_pylist()

    check(result, 4, set())
    assert 4 == len(set(ids))


def test_nested_values_in_a_webdataset(tmp_path: Path) -> None:
    """The JSON member of one sample is nested too deep."""

    def change(name: bytes, content: bytes) -> tuple[bytes, bytes]:
        return name, (b'{"label": "a", "x": ' + DEEP.encode() + b"}" if name == b"train0.json" else content)

    _shard(tmp_path, change)
    result = written(tmp_path, {"path": str(tmp_path / "shards")})

    check(result, 4, set())
    assert {"a"} == set(result.manifest["label"].to_pylist())


@pytest.mark.parametrize("n_folders", [1_100, 3_000])
@pytest.mark.parametrize("splits", ["same", "manifest"])
def test_folders_within_folders(tmp_path: Path, n_folders: int, splits: str) -> None:
    """A picture below 1,100 folders is one of the dataset; below 3,000 its path is too long for the system to open."""
    ordinary(tmp_path / "data/train")
    here = os.open(tmp_path / "data/train", os.O_RDONLY)
    for _ in range(n_folders):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    with open("deep.png", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=here)) as file:
        file.write(pictures.encoded(pictures.photo(99)))
    os.close(here)
    result = written(tmp_path, {"path": str(tmp_path / "data")}, splits=splits)

    assert (5 if n_folders < 1_500 else 4) == len(result.manifest)
