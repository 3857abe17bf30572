"""Text files that list the images of each split, in folders that do not say it."""

from pathlib import Path

import numpy as np
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats import Source, open_source, write_splits
from tests.formats.layouts import Made

IMAGES = ["images/pie/1.jpg", "images/pie/2.jpg", "images/cake/1.jpg", "images/cake/2.jpg"]
"""The first of each class is train."""


def opened(root: Path, train: str, test: str, places: tuple[str, str]) -> Source:
    """The images with two lists: a line is made of the class, the stem and the suffix."""
    made = Made(root)
    made.images(*IMAGES)
    for number, line, place in ((1, train, places[0]), (2, test, places[1])):
        lines = [line.format(name=name, stem=number) for name in ("pie", "cake")]
        made.file(place, "\n".join(lines) + "\n")
    return open_source(DatasetConfig(path=str(root)))


@pytest.mark.parametrize(
    "line",
    [
        "{name}/{stem}",
        "{name}/{stem}.jpg",
        "images/{name}/{stem}.jpg",
        "./images/{name}/{stem}.jpg",
        "images\\{name}\\{stem}.jpg\r",
        "/data/food/images/{name}/{stem}.jpg 7",
        "{name}/{stem}.jpg,{name}",
    ],
)
@pytest.mark.parametrize(
    "places", [("train.txt", "test.txt"), ("meta/train_list.txt", "meta/val1.txt")]
)
def test_lists_are_splits(tmp_path: Path, line: str, places: tuple[str, str]) -> None:
    """However their lines call the images, and wherever they lie."""
    source = opened(tmp_path, line, line, places)
    other = "test" if places[1] == "test.txt" else "validation"
    found = dict(zip(source.rows["id"].to_pylist(), source.rows["split"].to_pylist(), strict=True))

    assert {name: "train" if "1" in name else other for name in IMAGES} == found
    assert ["cake", "pie"] == sorted({*source.rows["label"].to_pylist()})
    assert places[0] in source.understood
    assert 0 == len(source.not_read)


def test_the_lines_of_kept_images_are_written(tmp_path: Path) -> None:
    """As they were, so that what is written is read again with the same splits."""
    source = opened(
        tmp_path / "in", "{name}/{stem}.jpg 7", "{name}/{stem}", ("train.txt", "test.txt")
    )
    keep = np.array(["cake" in name or "2" in name for name in source.rows["id"].to_pylist()])
    again = open_source(write_splits(source, keep, tmp_path / "out", "same", "copy").config)

    assert b"cake/1.jpg 7\n" == (tmp_path / "out/train.txt").read_bytes()
    assert b"pie/2\ncake/2\n" == (tmp_path / "out/test.txt").read_bytes()
    assert source.rows.filter(keep).equals(again.rows)


def test_a_leak_between_lists_is_found(tmp_path: Path) -> None:
    """The gate has something to judge, and the written lists are clean."""
    opened(tmp_path / "in", "{name}/{stem}", "{name}/{stem}", ("train.txt", "test.txt"))
    leak = (tmp_path / "in/images/cake/2.jpg").read_bytes()
    (tmp_path / "in/images/pie/1.jpg").write_bytes(leak)
    config = {
        "dataset": {"path": str(tmp_path / "in")},
        "output": {"dir": str(tmp_path / "out")},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)

    assert 1 == run.summary["leakage"]["test"]["leaking"]
    assert run.summary["certificate"]["clean"]
    assert "cake/1\n" == (tmp_path / "out/splits/train.txt").read_text()


def test_images_in_no_list_are_told_of(tmp_path: Path) -> None:
    """They are in no split, and not read."""
    made = Made(tmp_path)
    made.images("images/extra/9.jpg")
    source = opened(tmp_path, "{name}/{stem}", "{name}/{stem}", ("train.txt", "test.txt"))

    assert [
        {"path": "images/extra/9.jpg", "reason": "outside_splits"}
    ] == source.not_read.to_pylist()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("train.txt", "classes.txt"),  # one name of a split
        ("train_captions.txt", "test_captions.txt"),  # lists of something else
    ],
)
def test_other_texts_are_no_lists(tmp_path: Path, first: str, second: str) -> None:
    """A list has nothing but the word of a split in its name, and there are two."""
    source = opened(tmp_path, "{name}/{stem}", "{name}/{stem}", (first, second))

    assert {None} == {*source.rows["split"].to_pylist()}


def test_texts_that_name_no_images_are_no_lists(tmp_path: Path) -> None:
    """A log of training and one of tests say no splits."""
    source = opened(tmp_path, "epoch {stem} of {name}", "loss {stem}", ("train.txt", "test.txt"))

    assert {None} == {*source.rows["split"].to_pylist()}
    assert ["test.txt", "train.txt"] == source.not_read["path"].to_pylist()


def test_an_image_in_two_splits_decides_nothing(tmp_path: Path) -> None:
    """Ten folds beside each other: which one counts is not known, and a doubt says so."""
    source = opened(tmp_path, "{name}/{stem}", "{name}/{stem}", ("train1.txt", "test1.txt"))
    made = Made(tmp_path)
    made.file("train2.txt", "pie/2\ncake/2\n")
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert {None} == {*source.rows["split"].to_pylist()}
    assert "an image is in two of them" in source.doubts[0]


def test_images_of_lists_are_not_moved(tmp_path: Path) -> None:
    """The lists would have to be made anew."""
    source = opened(tmp_path, "{name}/{stem}", "{name}/{stem}", ("train.txt", "test.txt"))

    with pytest.raises(SourceError, match="lists of images say the splits"):
        source.check_movable()


def test_folders_come_before_lists(tmp_path: Path) -> None:
    """Where folders are splits, lists beside them say nothing more."""
    made = Made(tmp_path)
    made.images("train/1.png", "test/2.png")
    made.file("train.txt", "train/1.png\n")
    made.file("test.txt", "test/2.png\n")
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert "train is 'train'" in source.understood
    assert ["test.txt", "train.txt"] == source.not_read["path"].to_pylist()
