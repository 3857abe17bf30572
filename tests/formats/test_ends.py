"""COCO files whose names of images are URLs or paths of another machine."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats import Source, open_source, write_splits
from tests.formats.layouts import Made

NAMES = [
    "http://images.cocodataset.org/{split}2017/{k}.jpg",
    "https://host/a%20b/{split}2017/sub/../{k}.jpg",
    "s3://bucket/{k}.jpg?versionId=3",
    "/pictures/data/{split}2017/{k}.jpg",
    "C:\\data\\{split}2017\\{k}.jpg",
    "D:/{k}.jpg",
]


def coco(root: Path, name: str, k: dict[str, tuple[int, ...]]) -> Source:
    """Images in a folder of each split, listed under such names."""
    made = Made(root)
    for split, numbers in k.items():
        made.images(f"{split}2017/{numbers[0]}.jpg")
        made.coco(
            f"annotations/instances_{split}2017.json",
            *(name.format(split=split, k=number) for number in numbers),
            category="cat",
        )
    return open_source(DatasetConfig(path=str(root)))


@pytest.mark.parametrize("name", [name for name in NAMES if ".." not in name])
def test_the_longest_end_that_is_here(tmp_path: Path, name: str) -> None:
    """Images are found by the end of their names, which are written as they were."""
    source = coco(tmp_path / "in", name, {"train": (1,), "val": (2,)})
    keep = np.array([True, True])
    written = write_splits(source, keep, tmp_path / "out", "same", "copy")
    content = json.loads((tmp_path / "out/annotations/instances_val2017.json").read_text())

    assert ["train2017/1.jpg", "val2017/2.jpg"] == source.rows["id"].to_pylist()
    assert [name.format(split="val", k=2)] == [image["file_name"] for image in content["images"]]
    assert source.rows.equals(open_source(written.config).rows)


@pytest.mark.parametrize("name", [NAMES[1], "/etc/passwd", "/../{k}.jpg", "..\\{k}.jpg"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    """What has no end here, or leads up, is refused."""
    with pytest.raises(SourceError, match="not below the folder of the images"):
        coco(tmp_path / "in", name, {"train": (1,)})


def test_one_that_is_gone_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where others are found, one that is not is no reason to stop."""
    with caplog.at_level(logging.WARNING, "dedup"):
        coco(tmp_path / "in", NAMES[0], {"train": (1, 9), "val": (2,)})
    run = dedup.audit(str(tmp_path / "in"))

    assert "1 of 3 images do not exist: 'train2017/9.jpg'" in caplog.text
    assert ["ok", "missing", "ok"] == run.hashes["status"].to_pylist()
