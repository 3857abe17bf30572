"""Tables that say the splits of the images beside them, and lists of folders: videos, classes."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.formats import Source, open_source, write_splits
from tests.formats.layouts import Made

IMAGES = [f"images/{k}.png" for k in range(6)]
EXPECTED = {f"images/{k}.png": "train" if k < 4 else "test" for k in range(6)}


def opened(root: Path) -> Source:
    """The folder as it is."""
    return open_source(DatasetConfig(path=str(root)))


def splits(source: Source) -> dict[str, str | None]:
    """The split of each sample, by its id."""
    return dict(zip(source.rows["id"].to_pylist(), source.rows["split"].to_pylist(), strict=True))


def pair(made: Made, suffix: str, header: str, line: str, folder: str = "") -> None:
    """`train` and `test` with one line for each image."""
    for name, numbers in (("train", range(4)), ("test", range(4, 6))):
        rows = [line.format(k=k, zero=k % 2) for k in numbers]
        text = "\n".join([*([header] if header else []), *rows]) + "\n"
        if suffix == "json":
            text = json.dumps([json.loads(row) for row in rows])
        made.file(f"{folder}{name}.{suffix}", text)


@pytest.mark.parametrize(
    ("suffix", "header", "line"),
    [
        ("csv", "file_name,label", "{k}.png,cat"),
        ("csv", "id_code,diagnosis", "{k},{zero}"),  # the other column names images as well
        ("csv", "diagnosis,id_code", "{zero},{k}"),
        ("csv", "", "images/{k}.png,cat"),  # without a header
        ("csv", "image;label", "{k}.png;cat"),  # as Excel writes it
        ("tsv", "path\tlabel", "images/{k}.png\tcat"),
        ("jsonl", "", '{{"image": "images/{k}.png", "caption": "a"}}'),
        ("json", "", '{{"image": "{k}.png", "conversations": [{{"from": "x"}}]}}'),
        ("csv", "image,question", "C:\\data\\images\\{k}.png,why"),
    ],
)
@pytest.mark.parametrize("folder", ["", "meta/"])
def test_a_table_of_each_split(
    tmp_path: Path, suffix: str, header: str, line: str, folder: str
) -> None:
    """However the column is called and wherever the tables lie; they are read, and written with the
    rows of kept images.
    """
    made = Made(tmp_path / "in")
    made.images(*IMAGES)
    pair(made, suffix, header, line, folder)
    source = opened(made.root)
    keep = np.array([name != "images/1.png" for name in source.rows["id"].to_pylist()])
    again = open_source(write_splits(source, keep, tmp_path / "out", "same", "copy").config)

    assert EXPECTED == splits(source)
    assert 0 == len(source.not_read)
    assert source.rows.filter(keep).equals(again.rows)
    assert f"train is what '{folder}train.{suffix}' lists" in source.understood


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("column", ["split", "set", "Partition"])
def test_one_table_with_a_column_of_splits(tmp_path: Path, suffix: str, column: str) -> None:
    """The splits and the labels are those of the table, also if nothing is left of train."""
    made = Made(tmp_path / "in")
    made.images(*IMAGES)
    rows = [
        {"name": f"{k}.png", "label": "ab"[k % 2], column: "train" if k < 4 else "TEST"}
        for k in range(6)
    ]
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), made.root / "labels.parquet")
    elif suffix == "jsonl":
        made.file("labels.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(row.values()) for row in rows]
        made.file("labels.csv", "\n".join([",".join(rows[0]), *lines]) + "\n")
    source = opened(made.root)
    keep = np.array([split == "test" for split in source.rows["split"].to_pylist()])
    again = open_source(write_splits(source, keep, tmp_path / "out", "same", "copy").config)

    assert EXPECTED == splits(source)
    assert [*"ababab"] == source.rows["label"].to_pylist()
    assert source.rows.filter(keep).equals(again.rows)


@pytest.mark.parametrize(
    "text",
    [
        "image,split\n0.png,train\n1.png,test\n9.png,nothing\n",  # no usual name of a split
        "image,split\n" + "".join(f"{k}00.png,train\n" for k in range(6)),  # no images
        "image,note\n" + "".join(f"{k}.png,train\n" for k in range(6)),  # no such column
        'broken,"split\n',
    ],
)
def test_other_tables_say_no_splits(tmp_path: Path, text: str) -> None:
    """They are listed as not read."""
    made = Made(tmp_path)
    made.images(*IMAGES)
    made.file("labels.csv", text)
    source = opened(tmp_path)

    assert {None} == set(splits(source).values())
    assert ["labels.csv"] == source.not_read["path"].to_pylist()


def test_a_leak_between_tables_is_found(tmp_path: Path) -> None:
    """The gate has something to judge, and what is written is clean."""
    made = Made(tmp_path / "in")
    made.images(*IMAGES)
    pair(made, "csv", "id,label", "{k},cat")
    made.file("images/0.png", (made.root / "images/5.png").read_bytes())
    run = dedup.run(
        {
            "dataset": {"path": str(made.root)},
            "output": {"dir": str(tmp_path / "out")},
            "engine": {"workers": 0},
        }
    )

    assert 1 == run.summary["leakage"]["test"]["leaking"]
    assert run.summary["certificate"]["clean"]
    assert "id,label\n1,cat\n2,cat\n3,cat\n" == (tmp_path / "out/splits/train.csv").read_text()


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("ImageSets/2017/{split}.txt", "{video}"),
        (
            "ImageSets/480p/{split}.txt",
            "/JPEGImages/480p/{video}/00000.png /Annotations/480p/x.png",
        ),
        ("{split}list01.txt", "clips/{video}.avi 3"),
        ("splits/{split}_videos.txt", "JPEGImages/480p/{video}"),
        ("{split}.csv", "{video}.mp4,7"),
    ],
)
def test_lists_of_videos(tmp_path: Path, place: str, line: str) -> None:
    """A line names the folder of its frames (DAVIS, UCF101), or each frame."""
    made = Made(tmp_path / "in")
    for video in ("bear", "dog", "cat"):
        made.images(f"JPEGImages/480p/{video}/00000.png")
        made.images(f"Annotations/480p/{video}/00000.png")
    for split, videos in (("train", ("bear", "dog")), ("test", ("cat",))):
        text = "".join(line.format(video=video) + "\n" for video in videos)
        made.file(place.format(split=split), text)
    source = opened(made.root)
    found = {name.split("/")[2]: split for name, split in splits(source).items()}
    keep = np.array(["cat" not in name for name in source.rows["id"].to_pylist()])
    written = write_splits(source, keep, tmp_path / "out", "same", "copy")

    assert {"bear": "train", "dog": "train", "cat": "test"} == found
    assert 3 == len(source.rows)
    assert 0 == len(source.not_read)
    assert "'Annotations' go with the images" in source.understood
    assert "cat" not in (tmp_path / "out" / place.format(split="test")).read_text()
    assert ["train", "train"] == open_source(written.config).rows["split"].to_pylist()
