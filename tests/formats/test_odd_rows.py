"""One odd row never ends a run: it has a row with a status, and all others are judged and
written.
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.config import load
from dedup.errors import ConfigError, SourceError
from dedup.formats.nested import MAX_DEPTH, parsed
from tests import pictures
from tests.formats import made

DEEP: Final = "[" * 5_000 + "]" * 5_000
"""Valid JSON and YAML, far deeper than Python's own limit of calls within calls."""

ODD_NAMES: Final = (
    "n" * 300 + ".png",
    "/".join(["d" * 200] * 25) + ".png",
    "nul\0.png",
    "  ",
    "\ud800.png",
)
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
    return [
        {"path": named(index), "split": named(index)[:-5], "label": "a", "more": None}
        for index in range(4)
    ]


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
    """Every row has a status, the four pictures are kept, and the odd ones are what they are
    expected to be.
    """
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
@pytest.mark.parametrize("splits", ["same", "parquet"])
def test_odd_paths_in_a_manifest(tmp_path: Path, suffix: str, splits: str) -> None:
    """Names that no file can have and URLs that name nothing are samples that are missing."""
    rows = ordinary(tmp_path / "data")
    odd = [*ODD_NAMES, *ODD_URLS]
    if suffix != "jsonl":
        odd.remove("\ud800.png")
    rows += [{"path": path, "split": "train", "label": "b", "more": None} for path in odd]
    path = made.table(tmp_path / "data" / f"m.{suffix}", rows)

    check(written(tmp_path, {"path": str(path)}, splits=splits), len(rows), MISSING)


def test_urls_that_may_be_fetched(tmp_path: Path) -> None:
    """URLs of a protocol that may be used, of which no client makes sense."""
    rows = ordinary(tmp_path / "data")
    odd = ["http://[::1", "http://\0/x.png", "http://", "memory://\0"]
    rows += [{"path": path, "split": "train", "label": "b", "more": None} for path in odd]
    path = made.table(tmp_path / "data/m.csv", rows)

    check(written(tmp_path, {"path": str(path), "protocols": ["http"]}), len(rows), MISSING)


@pytest.mark.parametrize("splits", ["same", "manifest", "webdataset"])
def test_nested_values_in_a_jsonl(tmp_path: Path, splits: str) -> None:
    """A value that is nested too deep for Python, or a number too long for it, is one row's and
    does no harm.
    """
    rows = ordinary(tmp_path / "data")
    lines = [json.dumps(row) for row in rows]
    lines[0] = lines[0].replace('"more": null', f'"more": {DEEP}')
    lines[1] = lines[1].replace('"more": null', f'"more": {"9" * 10_000}')
    path = tmp_path / "data" / "m.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    check(written(tmp_path, {"path": str(path)}, splits=splits), 4, set())


def test_an_odd_key_in_a_jsonl(tmp_path: Path) -> None:
    """A key that is half a surrogate pair names no column in another form; its row is written
    without it.
    """
    rows = ordinary(tmp_path / "data")
    rows[0]["\ud800"] = 1
    path = made.table(tmp_path / "data" / "m.jsonl", rows)

    check(written(tmp_path, {"path": str(path)}, splits="parquet"), 4, set())


def test_a_long_cell_in_a_csv(tmp_path: Path) -> None:
    """A caption of 300,000 characters is longer than Python's own limit for cells."""
    rows = ordinary(tmp_path / "data")
    rows[0]["more"] = "x" * 300_000
    path = made.table(tmp_path / "data" / "m.csv", rows)

    check(written(tmp_path, {"path": str(path)}), 4, set())


def test_odd_names_in_the_metadata_of_an_image_folder(tmp_path: Path) -> None:
    """A file_name that no file can have is a sample that is missing."""
    rows = ordinary(tmp_path / "data")
    said = [{"file_name": row["path"], "split": row["split"]} for row in rows]
    said += [{"file_name": name, "split": "train"} for name in ODD_NAMES]
    made.table(tmp_path / "data/metadata.jsonl", said)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), len(said), MISSING)


def test_nested_values_in_metadata(tmp_path: Path) -> None:
    """The same in the metadata of an image folder."""
    rows = ordinary(tmp_path / "data")
    lines = [json.dumps({"file_name": row["path"], "split": row["split"]}) for row in rows]
    lines[0] = lines[0][:-1] + f', "more": {DEEP}}}'
    (tmp_path / "data/metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 4, set())


def test_odd_names_in_coco(tmp_path: Path) -> None:
    """A file_name that no file can have is a sample that is missing."""
    _coco(tmp_path / "data", ODD_NAMES)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 4 + len(ODD_NAMES), MISSING)


def test_nested_values_in_coco(tmp_path: Path) -> None:
    """A segmentation that is nested too deep is one annotation's and does no harm."""
    _coco(tmp_path / "data", ["no such.png"], DEEP)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 5, MISSING)


def _coco(folder: Path, odd: Sequence[str], segmentation: str = "[]") -> None:
    rows = ordinary(folder)
    for split in ("train", "test"):
        names = [row["path"] for row in rows if row["split"] == split]
        names += odd if split == "train" else []
        content = {
            "images": [{"id": k, "file_name": f"../{name}"[3:]} for k, name in enumerate(names)],
            "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "segmentation": "HERE"}],
            "categories": [{"id": 1, "name": "a"}],
        }
        path = folder / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content).replace('"HERE"', segmentation), encoding="utf-8")


def test_odd_names_in_the_lists_of_yolo(tmp_path: Path) -> None:
    """A line that no file can have as its name is a sample that is missing."""
    folder = tmp_path / "data"
    rows = ordinary(folder)
    for split in ("train", "test"):
        lines = [f"./{row['path']}" for row in rows if row["split"] == split]
        lines += [f"./{name}" for name in ODD_NAMES] if split == "train" else []
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
        (folder / f"{split}.txt").write_bytes(text)
    (folder / "data.yaml").write_text(
        "train: train.txt\ntest: test.txt\nnames: [a]\n", encoding="utf-8"
    )

    check(written(tmp_path, {"path": str(folder)}), 4 + len(ODD_NAMES), MISSING)


def test_odd_paths_in_a_parquet_dataset(tmp_path: Path) -> None:
    """An image struct whose path no file can have is a sample without bytes."""
    rows = ordinary(tmp_path / "pictures")
    odd = [*(name for name in ODD_NAMES if name.isprintable() or "\0" in name), *ODD_URLS]
    for split in ("train", "test"):
        images: list[dict[str, Any]] = [
            {"bytes": (tmp_path / "pictures" / row["path"]).read_bytes(), "path": None}
            for row in rows
            if row["split"] == split
        ]
        images += [{"bytes": None, "path": path} for path in odd] if split == "train" else []
        target = tmp_path / "data" / f"{split}-00000-of-00001.parquet"
        target.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"image": images}), target)

    check(written(tmp_path, {"path": str(tmp_path / "data")}), 4 + len(odd), {*MISSING, "absent"})


def _shard(folder: Path, change: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
    """Shards of the ordinary pictures; `change` is applied to the name and content of each member,
    as stored.
    """
    rows = ordinary(folder / "pictures")
    for split in ("train", "test"):
        out = io.BytesIO()
        with tarfile.open(
            fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1"
        ) as tar:
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
def test_odd_member_names(tmp_path: Path, splits: str) -> None:
    """Names of members that are not UTF-8, look as if they were escaped, or are longer than a
    file's may be.
    """
    before = {
        b"train0": b"\xff\xfe",
        b"train1": b"n" * 300,
        b"test2": b"\xc3\x28",
        b"test3": b"e\\xff",
    }

    def change(name: bytes, content: bytes) -> tuple[bytes, bytes]:
        return before[name.partition(b".")[0]] + name, content

    _shard(tmp_path, change)

    check(written(tmp_path, {"path": str(tmp_path / "shards")}, splits=splits), 4, set())


def test_member_names_that_look_alike(tmp_path: Path) -> None:
    """A name with a byte that is not UTF-8, and one with the four characters that stand for it, are
    two samples.
    """

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
        return name, (
            b'{"label": "a", "x": ' + DEEP.encode() + b"}" if name == b"train0.json" else content
        )

    _shard(tmp_path, change)
    result = written(tmp_path, {"path": str(tmp_path / "shards")})

    check(result, 4, set())
    assert {"a"} == set(result.manifest["label"].to_pylist())


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed again, as pytest cannot remove what is that deep."""
    yield tmp_path / "deep"
    subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


@pytest.mark.skipif(os.name == "nt", reason="folders are made relative to open ones")
@pytest.mark.parametrize("n_folders", [1_100, 3_000])
@pytest.mark.parametrize("splits", ["same", "manifest"])
def test_folders_within_folders(deep: Path, n_folders: int, splits: str) -> None:
    """A picture below 1,100 folders is one of the dataset; below 3,000 its path is too long for the
    system to open.
    """
    ordinary(deep / "data/train")
    here = os.open(deep / "data/train", os.O_RDONLY)
    for _ in range(n_folders):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    with open(
        "deep.png", "wb", opener=lambda name, flags: os.open(name, flags, dir_fd=here)
    ) as file:
        file.write(pictures.encoded(pictures.photo(99)))
    os.close(here)
    result = written(deep, {"path": str(deep / "data")}, splits=splits)

    assert (5 if n_folders < 1_500 else 4) == len(result.manifest)


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("splits", ["parquet", "webdataset"])
def test_what_is_nested_as_deep_as_may_be(tmp_path: Path, splits: str, depth: int) -> None:
    """The deepest value that is kept can be written in every form; one level more is null."""
    rows = ordinary(tmp_path / "data")
    nested = "[" * (depth - 1) + "1" + "]" * (depth - 1)  # inside the object that a line is
    lines = [json.dumps(row).replace('"more": null', f'"more": {nested}') for row in rows]
    (tmp_path / "data/m.jsonl").write_text("\n".join(lines), encoding="utf-8")

    check(written(tmp_path, {"path": str(tmp_path / "data/m.jsonl")}, splits=splits), 4, set())


def test_brackets_in_strings() -> None:
    """Only brackets outside strings count, whatever is escaped in them."""
    texts = ["[" * 99, "]" * 99, '"[', "\\", '\\"[[' * 60, "{" * 60]
    content = json.dumps({text: [text] for text in texts})

    assert (json.loads(content), False) == parsed(content)
    kept: Any = None
    for _ in range(MAX_DEPTH - 2):  # the object and the first list are two more
        kept = ["]]]", kept]

    assert ({"a": [kept]}, True) == parsed('{"a": [' + '["]]]", ' * 60 + "1" + "]" * 60 + "]}")


@pytest.mark.parametrize("bracket", ["[", "]", '{"a":', "[[", '"'])
def test_what_never_ends_is_not_json(bracket: str) -> None:
    """Brackets and strings that are not closed are an error as in any JSON, and soon."""
    with pytest.raises(json.JSONDecodeError):
        parsed(bracket * 100_000)


def test_a_config_that_is_nested_too_deep(tmp_path: Path) -> None:
    """It is refused in one sentence, and so are an option and a `data.yaml`."""
    path = tmp_path / "deep.yaml"
    path.write_text(f"dataset: {DEEP}\n", encoding="utf-8")
    (tmp_path / "data.yaml").write_text(f"train: .\nnames: {DEEP}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="nested too deeply"):
        dedup.run(path)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load(_config(tmp_path), [f"dataset.path={DEEP}"])
    with pytest.raises(SourceError, match="nested too deeply"):
        dedup.audit(tmp_path)


def _config(folder: Path) -> Path:
    path = folder / "config.yaml"
    path.write_text("dataset: {path: .}\n", encoding="utf-8")
    return path


def test_a_list_with_an_odd_name(tmp_path: Path) -> None:
    """NUL in the name of a list and in an id of one is a problem with the request, named as
    such.
    """
    ordinary(tmp_path / "data")
    path = tmp_path / "list.csv"
    path.write_text("id_a,id_b\na\0,b\n", encoding="utf-8")

    for name in ("nul\0.csv", str(path)):
        with pytest.raises(ConfigError):
            dedup.audit(tmp_path / "data", not_duplicates_list=name)
