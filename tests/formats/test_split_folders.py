"""Which folders are splits: words in names at any depth, decided only where that is unambiguous."""

from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source
from tests import pictures
from tests.formats.layouts import Made

ONE_SPLIT = [
    *(
        ("train", name)
        for name in ("train", "Train2017", "seg_train", "train_images", "training_set", "TrainData")
    ),
    *(
        ("train", name)
        for name in ("X_train", "trainset", "stage1_train", "train-2", "imagesTr", "trainval")
    ),
    *(
        ("test", name)
        for name in ("test1", "Test_Set", "testing", "testimages", "imagesTs", "x_test")
    ),
    *(
        ("validation", name)
        for name in ("val", "valid", "val2017", "dev", "evaluation", "Validation_Images")
    ),
]


def splits_of(
    root: Path, names: list[str], **settings: Any
) -> dict[str, tuple[str | None, str | None]]:
    """Split and label by id, of files without content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    rows = open_source(DatasetConfig(path=str(root), **settings)).rows
    columns = (rows[column].to_pylist() for column in ("id", "split", "label"))
    return {name: (split, label) for name, split, label in zip(*columns, strict=True)}


@pytest.mark.parametrize(("split", "folder"), ONE_SPLIT)
def test_names_of_splits(tmp_path: Path, split: str, folder: str) -> None:
    """Each name is that of its split, beside a folder of another one."""
    other = "test" if split == "train" else "train"
    got = splits_of(tmp_path, [f"{folder}/cat/1.png", f"{other}/cat/2.png"])

    assert {f"{folder}/cat/1.png": (split, "cat"), f"{other}/cat/2.png": (other, "cat")} == got


@pytest.mark.parametrize(
    "name", ["trains", "contest", "testament", "latest", "bus train", "trained", "devices"]
)
def test_names_that_only_look_like_it(tmp_path: Path, name: str) -> None:
    """A word inside a longer one, or beside another word that nothing else shares, is no split."""
    got = splits_of(tmp_path, [f"{name}/1.png", "cat/2.png"])

    assert {f"{name}/1.png": (None, name), "cat/2.png": (None, "cat")} == got


@pytest.mark.parametrize("above", ["", "images/", "set/vehicles/"])
@pytest.mark.parametrize("name", ["train", "Train", "test", "val"])
def test_a_class_called_like_a_split(tmp_path: Path, name: str, above: str) -> None:
    """Classes of which one is called like a split are labels, at any depth, and a doubt names them
    and the remedy.
    """
    names = [f"{above}{folder}/{k}.png" for folder in (name, "bus", "car") for k in range(2)]
    got = splits_of(tmp_path, names)
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert {(None, name), (None, "bus"), (None, "car")} == set(got.values())
    assert [True] * 4 == [
        text in source.doubts[0] for text in (repr(name), "'bus'", "'car'", "dataset.split_folders")
    ]


def test_a_class_called_train_below_real_splits(tmp_path: Path) -> None:
    """Below train and test a class may be called train, too."""
    names = [
        f"{split}/{label}/1.png"
        for split in ("train", "test")
        for label in ("bus", "train", "test")
    ]
    got = splits_of(tmp_path, names)

    assert {
        (split, label) for split in ("train", "test") for label in ("bus", "train", "test")
    } == {*got.values()}


def test_the_same_labels_below_make_splits(tmp_path: Path) -> None:
    """Where only one folder has the name of a split, those with the same sub-folders are splits of
    their own names.
    """
    names = [f"{split}/{label}/1.png" for split in ("train", "unseen") for label in ("cat", "dog")]

    assert {"train", "unseen"} == {split for split, _ in splits_of(tmp_path, names).values()}


def test_labels_below_train_alone_make_it_a_split(tmp_path: Path) -> None:
    """Train with folders of labels beside a folder of mere images is a split, and so is that: it
    has no labels.
    """
    got = splits_of(tmp_path, ["train/cat/1.png", "train/dog/2.png", "unlabeled/3.png"])

    assert [("train", "cat"), ("train", "dog"), ("unlabeled", None)] == [*got.values()]


def test_held_out_names_without_train_decide_nothing(tmp_path: Path) -> None:
    """Test and validation beside other folders leave open what train is: it could be any of them,
    or none.
    """
    got = splits_of(tmp_path, ["test/1.png", "validation/2.png", "weather/3.png"])

    assert {None} == {split for split, _ in got.values()}


def test_few_images_in_splits_decide_nothing(tmp_path: Path) -> None:
    """A class tree in a corner of which lie folders called train and test is no set of splits; it
    says so.
    """
    names = ["a/train/1.png", "a/test/2.png", *(f"b/{k}/3.png" for k in "xyz")]
    got = splits_of(tmp_path, names)

    assert {None} == {split for split, _ in got.values()}
    assert "only 2 of 5 images" in open_source(DatasetConfig(path=str(tmp_path))).doubts[0]


def test_folders_named_by_hand(tmp_path: Path) -> None:
    """`split_folders` says it all: other folders are in no split, and are listed."""
    names = ["p/a/1.png", "p/b/2.png", "train/3.png", "test/4.png"]
    got = splits_of(tmp_path, names, split_folders={"p/a": "train", "p/b/": "val"})
    source = open_source(
        DatasetConfig(path=str(tmp_path), split_folders={"p/a": "train", "p/b": "val"})
    )

    assert {"p/a/1.png": ("train", None), "p/b/2.png": ("validation", None)} == got
    assert ["test/4.png", "train/3.png"] == source.not_read["path"].to_pylist()


def test_two_words_of_one_split(tmp_path: Path) -> None:
    """`val` beside `validation` is refused at any depth; `train_1` beside `train_2` is train in two
    parts.
    """
    with pytest.raises(SourceError, match=r"'val' and 'validation' both mean"):
        splits_of(tmp_path / "1", ["data/train/1.png", "data/val/2.png", "data/validation/3.png"])
    got = splits_of(tmp_path / "2", ["train_1/1.png", "train_2/2.png", "test_1/3.png"])

    assert ["test", "train", "train"] == [split for split, _ in got.values()]


@pytest.mark.parametrize(
    "layout", ["{split}_set/{label}", "data/{split}/{label}", "{label}/{split}", "x/{split}"]
)
def test_a_run_over_a_deep_layout(tmp_path: Path, layout: str) -> None:
    """The leak is found, what is written is certified with the same layout, and a second audit
    finds nothing.
    """
    root = tmp_path / "set"
    for k, (split, label) in enumerate(
        [("train", "cat"), ("test", "cat"), ("train", "dog"), ("test", "dog")]
    ):
        folder = root / layout.format(split=split, label=label)
        for n in range(2):
            pictures.save(pictures.photo(10 * k + n), folder / f"{label}{split}{n}.png")
    pictures.save(pictures.photo(10), root / layout.format(split="train", label="cat") / "leak.png")
    run = dedup.run(
        {
            "dataset": {"path": str(root)},
            "output": {"dir": str(tmp_path / "run")},
            "engine": {"workers": 0},
        }
    )
    again = dedup.audit(tmp_path / "run/splits", workers=0)

    assert (1, 4) == (
        run.summary["leakage"]["test"]["leaking"],
        run.summary["leakage"]["test"]["images"],
    )
    assert run.summary["certificate"]["clean"]
    assert {"train": 4, "test": 4} == {
        name: n["images"] for name, n in again.summary["splits"].items()
    }
    assert 0 == again.summary["leakage"]["test"]["leaking"]


def test_regrouping_a_deep_layout(tmp_path: Path) -> None:
    """What is moved goes to the folder of its new split beside its own: bottle to bottle, cable to
    cable.
    """
    made = Made(tmp_path / "set")
    for thing in ("bottle", "cable"):
        made.images(
            *(f"{thing}/{split}/good/{k}.png" for split in ("train", "test") for k in range(3))
        )
        leak = made.root / f"{thing}/test/good/0.png"
        (made.root / f"{thing}/train/good/0.png").write_bytes(leak.read_bytes())
    config = {
        "dataset": {"path": str(made.root)},
        "policy": {"leakage": "regroup", "max_moved": 1.0},
        "output": {"dir": str(tmp_path / "run"), "report": False},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    written = {
        path.relative_to(tmp_path / "run/splits").as_posix()
        for path in (tmp_path / "run/splits").rglob("*.png")
    }

    assert run.summary["certificate"]["clean"]
    assert {"bottle", "cable"} == {name.split("/")[0] for name in written}
    assert all(
        name.split("/")[1] in {"train", "test"} and name.split("/")[2] == "good" for name in written
    )


def test_the_line_names_folders(tmp_path: Path) -> None:
    """What was understood is one line with the folder of each split and the labels."""
    splits_of(tmp_path, ["seg_train/sea/1.png", "seg_test/sea/2.png", "seg_train/ice/3.png"])
    told = open_source(DatasetConfig(path=str(tmp_path))).understood

    assert (
        "train is 'seg_train' (2 images); test is 'seg_test' (1 images); labels: 2 ('ice', 'sea')"
        == told
    )


def test_two_words_of_one_split_can_be_named(tmp_path: Path) -> None:
    """The way that the message offers is one."""
    pictures.folder(tmp_path, ["train/1.png", "dev/2.png", "eval/3.png"])
    with pytest.raises(SourceError, match=r"dataset\.split_folders"):
        open_source(DatasetConfig(path=str(tmp_path)))
    folders = {"train": "train", "dev": "validation", "eval": "test"}
    source = open_source(DatasetConfig(path=str(tmp_path), split_folders=folders))

    assert {"train", "validation", "test"} == {*source.rows["split"].to_pylist()}


def test_unknown_keys_beside_each_other() -> None:
    """Values of a column need the column, and groups are said in one way."""
    with pytest.raises(ConfigError, match="split_column"):
        dedup.run({"dataset": {"path": "x", "splits": {"train": [0]}}})
    with pytest.raises(ConfigError, match="group_pattern"):
        dedup.run({"dataset": {"path": "x", "group_column": "a", "group_pattern": "b"}})
    with pytest.raises(ConfigError, match="not a regular expression"):
        dedup.run({"dataset": {"path": "x", "group_pattern": "("}})
