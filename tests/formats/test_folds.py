"""Folds of a cross-validation, parts of train, and classes called like splits: what folders with
such names are.
"""

from pathlib import Path

import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.formats import Source, open_source
from tests.formats.layouts import Made


def opened(root: Path, *names: str) -> Source:
    """A folder of images with those names, read."""
    made = Made(root)
    made.root.mkdir()
    made.images(*names)
    return open_source(DatasetConfig(path=str(root)))


def splits(source: Source) -> dict[str, str | None]:
    """The split of each sample, by its id."""
    return dict(zip(source.rows["id"].to_pylist(), source.rows["split"].to_pylist(), strict=True))


def labels(source: Source) -> set[str | None]:
    """All labels."""
    return set(source.rows["label"].to_pylist())


@pytest.mark.parametrize("pattern", ["fold_{}", "fold{}", "Fold {}", "cv{}", "5fold/fold-{}"])
def test_folds_are_neither_labels_nor_held_out(tmp_path: Path, pattern: str) -> None:
    """Each fold is a split of its own name, and a warning says that none of them is held out."""
    names = [f"{pattern.format(k)}/{label}/{k}.png" for k in range(3) for label in ("cat", "dog")]
    source = opened(tmp_path / "set", *names)
    folds = [pattern.format(k).rpartition("/")[2] for k in range(3)]

    assert {name: folds[int(name[-5])] for name in names} == splits(source)
    assert {"cat", "dog"} == labels(source)
    assert "none of them is held out" in source.doubts[0]


def test_a_fold_can_be_held_out(tmp_path: Path) -> None:
    """What the warning advises works: one fold is held out, and its leak is found."""
    root = tmp_path / "set"
    opened(root, *(f"fold_{k}/{k}.png" for k in range(3)))
    (root / "fold_0/copy.png").write_bytes((root / "fold_2/2.png").read_bytes())
    free = dedup.audit(str(root))
    run = dedup.audit(str(root), policy={"held_out": ["fold_2"]})

    assert [] == free.leakage["id"].to_pylist()
    assert ["fold_0/copy.png"] == run.leakage["id"].to_pylist()


def test_folds_with_splits_of_their_own(tmp_path: Path) -> None:
    """Folders inside folds are splits, folds are no part of the label, and a warning says
    what reading them together means.
    """
    names = [f"fold_{k}/{split}/cat/0.png" for k in (1, 2) for split in ("train", "test")]
    source = opened(tmp_path / "set", *names)

    assert {name: name.split("/")[1] for name in names} == splits(source)
    assert {"cat"} == labels(source)
    assert "folds with splits of their own" in source.doubts[0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train_a/1.png", "train_b/2.png", "test_a/3.png"], ["train", "train", "test"]),
        (
            ["train_clean/1.png", "train_noisy/2.png", "val_clean/3.png"],
            ["train", "train", "validation"],
        ),
        (
            ["train_labeled/1.png", "train_unlabeled/2.png", "test/3.png"],
            ["train", "train", "test"],
        ),
        (["train/1.png", "train extra/2.png", "test/3.png"], ["train", "train", "test"]),
        (["train_1/1.png", "train_2/2.png", "test/3.png"], ["train", "train", "test"]),
        # The held-out ones of a set keep their names: each is judged by itself.
        (["train/1.png", "test/2.png", "test_hard/3.png"], ["train", "test", "test_hard"]),
    ],
)
def test_parts_of_train_are_train(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    """A folder with the word of train is never held out because of what else is in its name."""
    assert dict(zip(names, expected, strict=True)) == splits(opened(tmp_path / "set", *names))


def test_classes_called_train_and_test(tmp_path: Path) -> None:
    """Among more folders without names of splits, equally large and without folders below, `train`
    and `test` are classes; a warning says how to say otherwise.
    """
    classes = ("boat", "bus", "car", "test", "train")
    names = [f"{name}/{k}.png" for name in classes for k in range(2)]
    source = opened(tmp_path / "set", *names)

    assert {None} == set(splits(source).values())
    assert set(classes) == labels(source)
    assert "all of them are taken for labels" in source.doubts[0]


@pytest.mark.parametrize(
    "names",
    [
        # Train is larger than all that lies beside it.
        [*(f"train/{k}.png" for k in range(5)), "test/1.png", "a/1.png", "b/1.png", "c/1.png"],
        # Labels below train.
        ["train/x/1.png", "train/y/1.png", "test/x/1.png", "a/1.png", "b/1.png", "c/1.png"],
        # Names of parts of a dataset beside them.
        ["train/1.png", "test/1.png", "query/1.png", "gallery/1.png", "extra/1.png"],
        # Other words in their names: no class is called like that.
        ["train2017/1.png", "test2017/1.png", "a/1.png", "b/1.png", "c/1.png"],
    ],
)
def test_splits_beside_other_folders(tmp_path: Path, names: list[str]) -> None:
    """What tells splits from classes: size, labels below, the names of the others."""
    found = splits(opened(tmp_path / "set", *names))

    assert {"train", "test"} <= set(found.values())


def test_a_folder_called_images_is_no_label(tmp_path: Path) -> None:
    """A single folder that holds all images is no label if its name says nothing."""
    assert {None} == labels(opened(tmp_path / "set", "images/1.png", "images/2.png"))
    assert {None} == labels(opened(tmp_path / "more", "data/1.png", "data/2.png"))
    assert {"cat"} == labels(opened(tmp_path / "other", "cat/1.png", "cat/2.png"))
