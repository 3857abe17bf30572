"""A manifest: columns found or named, rows read and written without a change, mistakes named with
their row.
"""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup.config import DatasetConfig
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source, payloads, read_bytes
from dedup.formats.manifest import Manifest
from tests import pictures

SUFFIXES = ["csv", "tsv", "jsonl", "ndjson", "parquet"]

every_form = pytest.mark.parametrize("suffix", SUFFIXES)

HOSTILE = [
    "com,ma",
    'quo"te',
    "it's",
    "new\nline",
    "carriage\r\nreturn",
    "tab\there",
    "fox🦊é",
    "<script>",
    " blank ",
    "\\x",
]


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    """A manifest of the records, in the form that its suffix names; made without the package."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for record in records for name in record))
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix in {".jsonl", ".ndjson"}:
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
    return path


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a manifest, read without the package."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix in {".jsonl", ".ndjson"}:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def source(path: Path, **settings: Any) -> Manifest:
    """The manifest, opened as the pipeline does."""
    opened = open_source(DatasetConfig(path=str(path), source="manifest", **settings))
    assert isinstance(opened, Manifest)
    return opened


def rows(path: Path, **settings: Any) -> list[tuple[str, str | None, str | None]]:
    """id, split and label of every row."""
    table = source(path, **settings).rows
    return list(zip(*(table[c].to_pylist() for c in ("id", "split", "label")), strict=True))


def stored(opened: Manifest, size: int = 3) -> list[bytes | Unreadable]:
    """What is read for each row."""
    return [
        read_bytes(path, data)
        for batch in payloads(opened, size)
        for path, data in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)
    ]


def refusal(path: Path, **settings: Any) -> str:
    """Why a manifest is refused."""
    with pytest.raises((ConfigError, SourceError)) as caught:
        source(path, **settings)
    return str(caught.value)


# --- columns --------------------------------------------------------------------------------------


@every_form
@pytest.mark.parametrize(
    "path", ["path", "file_name", "filename", "filepath", "file_path", "image_path", "file"]
)
@pytest.mark.parametrize("label", ["label", "class"])
def test_usual_columns_are_found(tmp_path: Path, suffix: str, path: str, label: str) -> None:
    """Every usual name of the path and label columns is found without a setting, in every form."""
    records = [{"id": "one", path: "a.png", "split": "Val", label: "cat"}]

    assert [("one", "validation", "cat")] == rows(written(tmp_path / f"m.{suffix}", records))


@every_form
def test_columns_are_named(tmp_path: Path, suffix: str) -> None:
    """Named columns win over the usual ones."""
    wrong = {"path": "wrong.png", "id": "wrong", "split": "wrong", "label": "wrong"}
    right = {"p": "a.png", "i": "one", "s": "train", "l": "cat"}
    path = written(tmp_path / f"m.{suffix}", [wrong | right])
    opened = source(path, path_column="p", id_column="i", split_column="s", label_column="l")

    assert {
        "id": ["one"],
        "split": ["train"],
        "label": ["cat"],
        "uri": ["a.png"],
    } == opened.rows.to_pydict()


@every_form
def test_only_a_path_is_needed(tmp_path: Path, suffix: str) -> None:
    """With a path alone the id is the path, and there is neither split nor label."""
    path = written(tmp_path / f"m.{suffix}", [{"path": "x/b.png"}, {"path": "a.png"}])

    assert [("x/b.png", None, None), ("a.png", None, None)] == rows(path)


@every_form
@pytest.mark.parametrize("part", ["path", "id", "split", "label"])
def test_a_named_column_that_is_not_there(tmp_path: Path, suffix: str, part: str) -> None:
    """A column that is named and missing is refused, with its setting and the columns that there
    are.
    """
    message = refusal(
        written(tmp_path / f"m.{suffix}", [{"path": "a.png", "x": "1"}]),
        **{f"{part}_column": "nope"},
    )

    for text in ("m." + suffix, "'nope'", f"dataset.{part}_column", "'path'", "'x'"):
        assert text in message


@every_form
def test_no_path_column(tmp_path: Path, suffix: str) -> None:
    """A manifest that names no file is refused, with its columns and what to set."""
    message = refusal(written(tmp_path / f"m.{suffix}", [{"picture": "a.png", "split": "train"}]))

    for text in ("m." + suffix, "'picture'", "'split'", "dataset.path_column"):
        assert text in message


@every_form
def test_numbers_are_texts(tmp_path: Path, suffix: str) -> None:
    """Ids and labels that are numbers are their texts; zero is a label, not a missing one."""
    path = written(tmp_path / f"m.{suffix}", [{"path": "a.png", "id": 7, "label": 0}])

    assert [("7", None, "0")] == rows(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_column_of_sizes_is_no_column_of_pictures(tmp_path: Path, suffix: str) -> None:
    """A manifest with paths may have a column `bytes` that holds the size of each file."""
    pictures.save(pictures.photo(1), tmp_path / "a.png")
    path = written(tmp_path / f"m.{suffix}", [{"path": "a.png", "bytes": 1234}])

    assert [(tmp_path / "a.png").read_bytes()] == stored(source(path))


# --- splits ---------------------------------------------------------------------------------------


@every_form
@pytest.mark.parametrize("empty", [None, ""])
def test_a_null_split(tmp_path: Path, suffix: str, empty: str | None) -> None:
    """A row without a split is refused with its number, or is in the default split if one is
    named.
    """
    records = [
        {"path": f"{k}.png", "split": split} for k, split in enumerate(["train", empty, "test"])
    ]
    path = written(tmp_path / f"m.{suffix}", records)
    message = refusal(path)

    assert all(text in message for text in ("row 2", "'split'", "dataset.default_split"))
    assert ["train", "validation", "test"] == [
        split for _, split, _ in rows(path, default_split="val")
    ]


@every_form
def test_two_names_of_one_split(tmp_path: Path, suffix: str) -> None:
    """`dev` beside `validation` is refused, naming both."""
    path = written(
        tmp_path / f"m.{suffix}",
        [{"path": "a", "split": "dev"}, {"path": "b", "split": "validation"}],
    )

    assert "'dev' and 'validation' both mean" in refusal(path)


@every_form
@pytest.mark.parametrize("empty", [None, ""])
def test_null_labels_and_ids(tmp_path: Path, suffix: str, empty: str | None) -> None:
    """A label may be missing; an id in a column of ids may not, and its row is named."""
    records = [{"path": "a", "label": empty, "id": "1"}, {"path": "b", "label": "x", "id": empty}]
    path = written(tmp_path / f"m.{suffix}", records)

    assert "row 2: column 'id' is null" in refusal(path)
    assert [None, "x"] == [label for _, _, label in rows(path, id_column="path")]


# --- broken files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.csv", b"path,split\na.png,train\nb.png\n", "row 2: 1 fields, the header has 2"),
        ("m.csv", b"path,split\na.png,train,more\n", "row 1: 3 fields, the header has 2"),
        ("m.tsv", b"path\tsplit\na.png\n", "row 1: 1 fields, the header has 2"),
        ("m.csv", b"path,path\na,b\n", "occurs twice"),
        ("m.csv", b'path\n"never closed\n', "m.csv"),
        ("m.csv", b"path\ncaf\xe9.png\n", "UTF-8"),
        ("m.csv", b"", "the file is empty"),
        ("m.csv", b"path,split\n", "no rows"),
        ("m.jsonl", b'{"path": "a.png"}\n{"path": \n', "line 2: not valid JSON"),
        ("m.jsonl", b'{"path": "a.png"}\n["b.png"]\n', "line 2: expected an object, got list"),
        ("m.jsonl", b'{"path": "caf\xe9.png"}\n', "UTF-8"),
        ("m.jsonl", b"", "the file is empty"),
        ("m.parquet", b"this is no Parquet file", "cannot be read"),
        ("m.parquet", b"", "cannot be read"),
        ("m.txt", b"path\na.png\n", "a manifest ends in"),
    ],
)
def test_broken_manifests(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """What is wrong with a file is said with its name and the row or line, before anything is
    searched.
    """
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)

    assert expected in message
    assert name in message


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_byte_order_mark(tmp_path: Path, suffix: str) -> None:
    """A byte order mark, as Excel and PowerShell write it, is no part of the first column or
    line.
    """
    path = written(tmp_path / f"m.{suffix}", [{"path": "a.png", "split": "train"}])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert [("a.png", "train", None)] == rows(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_line_ends_of_windows_and_blank_lines(tmp_path: Path, suffix: str) -> None:
    """Lines may end as on Windows, and blank lines are no rows."""
    path = written(tmp_path / f"m.{suffix}", [{"path": "a.png"}, {"path": "b.png"}])
    path.write_bytes(
        path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n"
    )

    assert ["a.png", "b.png"] == [name for name, _, _ in rows(path)]


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("column", ["bytes", "image_bytes", "mine"])
def test_bytes_in_parquet(tmp_path: Path, column: str, size: int) -> None:
    """Pictures in a column are read as they are, in batches of any size, also across row groups."""
    data = [pictures.encoded(pictures.photo(seed, (16, 12))) for seed in range(7)]
    table = pa.table({column: pa.array([*data, None], pa.binary()), "split": ["train"] * 8})
    pq.write_table(table, tmp_path / "m.parquet", row_group_size=3)
    opened = source(tmp_path / "m.parquet", bytes_column="mine" if column == "mine" else None)
    got = stored(opened, size)

    assert data == got[:7]
    assert isinstance(got[7], Unreadable)
    assert got[7].status == "absent"
    assert [f"train/{row}" for row in range(8)] == opened.rows["id"].to_pylist()
    (batch,) = opened.payload_of([6, 0, 3])
    assert [data[6], data[0], data[3]] == batch["data"].to_pylist()


def test_bytes_win_over_paths(tmp_path: Path) -> None:
    """Where a row has both, its bytes are the picture; where it has none, its path is."""
    other = pictures.save(pictures.photo(1), tmp_path / "a.png")
    pq.write_table(
        pa.table({"path": ["a.png", "a.png"], "bytes": [b"stored", None]}), tmp_path / "m.parquet"
    )

    assert [b"stored", other.read_bytes()] == stored(source(tmp_path / "m.parquet"))


@every_form
def test_files_that_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    """A directory, a file that is not there and an impossible name are missing, a null is
    absent.
    """
    pictures.save(pictures.photo(1), tmp_path / "a.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").write_bytes(b"")
    names = ["a.png", "folder.png", "gone.png", "a.png/b.png", "x" * 5000, "", "empty.png"]
    path = written(
        tmp_path / f"m.{suffix}", [{"path": name, "id": str(k)} for k, name in enumerate(names)]
    )
    got = stored(source(path))

    assert (tmp_path / "a.png").read_bytes() == got[0]
    assert b"" == got[6]
    for reason, status in zip(got[1:6], ["missing"] * 4 + ["absent"], strict=True):
        assert isinstance(reason, Unreadable)
        assert reason.status == status
        assert reason.detail
    assert isinstance(got[1], Unreadable)
    assert "directory" in got[1].detail


def test_a_name_with_a_null_character(tmp_path: Path) -> None:
    """A path that no file system can hold is a missing sample."""
    path = written(tmp_path / "m.jsonl", [{"path": "a\0b.png"}])
    (got,) = stored(source(path))

    assert isinstance(got, Unreadable)
    assert got.status == "missing"


# --- writing --------------------------------------------------------------------------------------


@every_form
def test_hostile_texts_survive(tmp_path: Path, suffix: str) -> None:
    """Ids, labels and further columns with separators, quotes, line ends and emoji are read and
    written unchanged.
    """
    pictures.folder(tmp_path / "in", ["a.png"])
    records = [
        {"path": "a.png", "id": f"{text}{k}", "label": text, "note": text}
        for k, text in enumerate(HOSTILE)
    ]
    path = written(tmp_path / "in" / f"m.{suffix}", records)
    opened = source(path)
    opened.write(np.ones(len(records), bool), tmp_path / "out", "copy")

    assert [(record["id"], None, record["label"]) for record in records] == rows(path)
    assert records == records_of(tmp_path / "out" / path.name)
    assert opened.rows.equals(source(tmp_path / "out" / path.name).rows)


@every_form
@pytest.mark.parametrize("files", ["hardlink", "copy", "symlink"])
def test_kept_rows_and_their_files(tmp_path: Path, suffix: str, files: str) -> None:
    """The kept rows stand in their old order, every column as it was, and only the files they name
    lie beside them.
    """
    records = [
        {"split": "train", "path": f"pictures/{k}.png", "note": f"n{k}", "rank": str(k)}
        for k in (3, 1, 2, 0)
    ]
    root = pictures.folder(tmp_path / "in", [str(record["path"]) for record in records])
    path = written(root / f"m.{suffix}", records)
    source(path).write(np.array([True, False, True, True]), tmp_path / "out", files)
    out = tmp_path / "out"

    assert [records[0], *records[2:]] == records_of(out / path.name)
    assert ["pictures/0.png", "pictures/2.png", "pictures/3.png"] == sorted(
        str(found.relative_to(out)) for found in out.rglob("*.png")
    )
    assert (root / "pictures/3.png").read_bytes() == (out / "pictures/3.png").read_bytes()
    original, copied = root / "pictures/3.png", out / "pictures/3.png"
    assert (files == "hardlink") == (original.stat().st_ino == copied.lstat().st_ino)
    assert (files == "symlink") == copied.is_symlink()


@every_form
def test_paths_out_of_the_folder(tmp_path: Path, suffix: str) -> None:
    """Absolute paths and paths that leave the folder name the same file in the output; nothing is
    put outside.
    """
    pictures.folder(tmp_path, ["in/a.png", "beside/b.png", "beside/c.png"])
    records = [
        {"path": "./a.png", "id": "1"},
        {"path": "../beside/b.png", "id": "2"},
        {"path": str(tmp_path / "beside/c.png"), "id": "3"},
        {"path": "../beside/gone.png", "id": "4"},
    ]
    path = written(tmp_path / "in" / f"m.{suffix}", records)
    opened = source(path)
    opened.write(np.ones(4, bool), tmp_path / "deep/out", "copy")
    again = source(tmp_path / "deep/out" / path.name)

    assert stored(opened)[:3] == stored(again)[:3]
    assert isinstance(stored(again)[3], Unreadable)
    assert opened.rows["id"].equals(again.rows["id"])
    assert ["a.png", path.name] == sorted(
        p.name for p in (tmp_path / "deep").rglob("*") if p.is_file()
    )


@every_form
def test_absolute_paths_inside_have_relative_ids(tmp_path: Path, suffix: str) -> None:
    """The default id of a file below the manifest is its path from there, however the manifest
    names it.
    """
    path = written(
        tmp_path / f"m.{suffix}",
        [{"path": str(tmp_path / "x/a.png")}, {"path": "/elsewhere/b.png"}],
    )

    assert ["x/a.png", "/elsewhere/b.png"] == [name for name, _, _ in rows(path)]


def test_files_named_twice_are_placed_once(tmp_path: Path) -> None:
    """Two rows may name one file; one that is kept and gone ends the writing."""
    root = pictures.folder(tmp_path / "in", ["a.png"])
    records = [
        {"path": "a.png", "id": "1"},
        {"path": "a.png", "id": "2"},
        {"path": "gone.png", "id": "3"},
    ]
    opened = source(written(root / "m.csv", records))
    opened.write(np.array([True, True, False]), tmp_path / "out", "hardlink")
    with pytest.raises(SourceError, match=r"gone\.png.*not a file"):
        opened.write(np.ones(3, bool), tmp_path / "again", "hardlink")

    assert ["a.png", "m.csv"] == sorted(entry.name for entry in (tmp_path / "out").iterdir())


def test_json_values_are_kept(tmp_path: Path) -> None:
    """Numbers, nulls, lists and objects of further keys are written as they were read, and a
    missing key stays so.
    """
    records: list[dict[str, Any]] = [
        {
            "path": "a.png",
            "box": [1, 2.5, None],
            "more": {"x": {"y": "é"}},
            "big": 2**70,
            "flag": True,
            "none": None,
        },
        {"path": "b.png"},
    ]
    path = written(pictures.folder(tmp_path / "in", ["a.png", "b.png"]) / "m.jsonl", records)
    source(path).write(np.array([True, True]), tmp_path / "out", "copy")

    assert records == records_of(tmp_path / "out/m.jsonl")


def test_half_characters_in_json_are_kept(tmp_path: Path) -> None:
    r"""JSON may escape half of a surrogate pair (`\ud83e`), as cut texts do; in a further column it
    does no harm.
    """
    pictures.folder(tmp_path, ["a.png"])
    (tmp_path / "m.jsonl").write_text(
        '{"path": "a.png", "caption": "cut \\ud83e"}\n', encoding="utf-8"
    )
    source(tmp_path / "m.jsonl").write(np.array([True]), tmp_path / "out", "copy")

    assert ["cut \ud83e"] == [record["caption"] for record in records_of(tmp_path / "out/m.jsonl")]


def test_parquet_keeps_schema_and_metadata(tmp_path: Path) -> None:
    """Types, nullability, nested columns, field and file metadata of a Parquet manifest are those
    of the output.
    """
    schema = pa.schema(
        [
            pa.field("split", pa.dictionary(pa.int8(), pa.string())),
            pa.field("path", pa.large_string(), nullable=False),
            pa.field("box", pa.list_(pa.float32()), metadata={"unit": "pixels"}),
            pa.field("seen", pa.timestamp("ms", "UTC")),
            pa.field("bytes", pa.large_binary()),
        ],
        metadata={"owner": "me", "licence": "CC0"},
    )
    records = [
        {
            "split": split,
            "path": f"../{k}.png",
            "box": [k, 1],
            "seen": 1000 * k,
            "bytes": bytes([k]) * 100,
        }
        for k, split in enumerate(["train", "test", "train", "train"])
    ]
    table = pa.Table.from_pylist(records, schema)
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in/m.parquet", row_group_size=2)
    keep = np.array([True, False, True, True])
    source(tmp_path / "in/m.parquet").write(keep, tmp_path / "out", "copy")
    got = pq.read_table(tmp_path / "out/m.parquet")
    expected = table.filter(pa.array(keep))

    assert pq.read_schema(tmp_path / "in/m.parquet").equals(
        pq.read_schema(tmp_path / "out/m.parquet"), check_metadata=True
    )
    assert expected.drop_columns(["path"]).equals(got.drop_columns(["path"]))
    assert [str(tmp_path / f"{k}.png") for k in (0, 2, 3)] == got["path"].to_pylist()


def test_dataset_dict_of_a_manifest(tmp_path: Path) -> None:
    """The kept rows as datasets: image, label and id, from files and from bytes."""
    root = pictures.folder(tmp_path, ["a.png", "b.png"])
    path = written(
        root / "m.csv", [{"path": f"{n}.png", "split": "train", "label": n} for n in "ab"]
    )
    made = source(path).dataset_dict(np.array([False, True]))

    assert [("b", "b.png")] == [(row["label"], row["id"]) for row in made["train"]]
    assert np.array_equal(np.asarray(pictures.photo(1)), np.asarray(made["train"][0]["image"]))


def test_relative_manifest_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest named by its bare file name finds the files beside it."""
    pictures.folder(tmp_path, ["a.png"])
    written(tmp_path / "m.csv", [{"path": "a.png"}])
    monkeypatch.chdir(tmp_path)

    assert [(tmp_path / "a.png").read_bytes()] == stored(source(Path("m.csv")))
    assert os.fspath(tmp_path / "a.png") in {os.fsdecode(p) for p in _paths(source(Path("m.csv")))}


def _paths(opened: Manifest) -> list[bytes]:
    return [path for batch in payloads(opened, 5) for path in batch["path"].to_pylist()]


def test_nulls_of_parquet_stay_nulls(tmp_path: Path) -> None:
    """A row without a path, which stays in a held-out split, is written as one."""
    elsewhere = str(pictures.save(pictures.photo(1), tmp_path / "elsewhere/a.png"))
    table = pa.table({"path": [elsewhere, None, elsewhere], "id": ["a", "b", "c"]})
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in/m.parquet")
    source(tmp_path / "in/m.parquet").write(np.array([True, True, False]), tmp_path / "out", "copy")
    got = pq.read_table(tmp_path / "out/m.parquet")

    assert [None] == got["path"].to_pylist()[1:]
    assert (tmp_path / "out" / got["path"][0].as_py()).is_file()
