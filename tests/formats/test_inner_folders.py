"""What the folders and members inside tar files tell: splits, labels, images without a suffix, and
what belongs to no sample.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dedup.errors import SourceError
from dedup.formats import write_splits
from tests import pictures
from tests.formats import made

PNG = pictures.encoded(pictures.photo(1, (24, 18)))
JPEG = pictures.encoded(pictures.photo(2, (24, 18)), "JPEG")


@pytest.mark.parametrize(
    ("names", "splits", "labels"),
    [
        (["train/0.png", "test/0.png"], ["train", "test"], [None, None]),
        (
            ["set/train/cat/0.png", "set/val/dog/0.png"],
            ["train", "validation"],
            ["cat", "dog"],
        ),
        (["cat/train/0.png", "dog/test/0.png"], ["train", "test"], ["cat", "dog"]),
        (["images/train2017/0.png", "images/val2017/0.png"], ["train", "validation"], [None] * 2),
        (["seg_train/seg_train/sea/0.png", "seg_test/seg_test/sea/1.png"], ["train", "test"],
         ["sea", "sea"]),
        (["cat/0.png", "dog/0.png"], [None, None], ["cat", "dog"]),
        (["images/0.png", "images/1.png"], [None, None], [None, None]),
        (["0.png", "1.png"], [None, None], [None, None]),
        # A class may be called train: what is beside it has no name of a split.
        (["bus/0.png", "train/0.png"], [None, None], ["bus", "train"]),
    ],
)  # fmt: skip
def test_folders_inside_one_tar(
    tmp_path: Path, names: list[str], splits: list[str | None], labels: list[str | None]
) -> None:
    """One archive of a whole dataset is read as the folder that it was made of."""
    made.tar(tmp_path / "all.tar", [(name, PNG) for name in names])
    source = made.opened(path=str(tmp_path / "all.tar"))

    assert splits == source.rows["split"].to_pylist()
    assert labels == source.rows["label"].to_pylist()


def test_names_of_shards_say_more_than_folders_inside(tmp_path: Path) -> None:
    """Where the shards have names of splits, folders inside give the labels alone; labels that the
    samples state count alone.
    """
    made.tar(tmp_path / "a/train-0.tar", [("x/cat/0.png", PNG), ("x/dog/0.png", PNG)])
    made.tar(tmp_path / "a/test-0.tar", [("test/cat/0.png", PNG)])
    made.tar(tmp_path / "b.tar", [("cat/0.png", PNG), ("cat/0.cls", b"7")])
    source = made.opened(path=str(tmp_path / "a"))

    assert ["test", "train", "train"] == source.rows["split"].to_pylist()
    assert ["7"] == made.opened(path=str(tmp_path / "b.tar")).rows["label"].to_pylist()


def test_what_is_left_has_the_same_splits(tmp_path: Path) -> None:
    """The written archive is understood as before, also where nothing is left of a split."""
    members = [("train/0.png", PNG), ("train/1.png", PNG), ("val/0.png", PNG)]
    made.tar(tmp_path / "in/all.tar", members)
    source = made.opened(path=str(tmp_path / "in"))
    keep = np.array([False, False, True])
    written = write_splits(source, keep, tmp_path / "out", "same", "hardlink")

    assert ["validation"] == made.opened(path=written.config.path).rows["split"].to_pylist()
    with pytest.raises(SourceError, match="names do not say the splits"):
        source.check_movable()


def test_images_without_a_suffix_inside_a_tar(tmp_path: Path) -> None:
    """Members are told by their content where their name tells nothing, and written as they
    were.
    """
    shard = [("test/a1b2", JPEG), ("test/c3d4", PNG), ("test/e5.bin", PNG), ("test/README", b"hi")]
    made.tar(tmp_path / "in/test.tar", shard)
    source = made.opened(path=str(tmp_path / "in"))
    stored = [batch["data"].to_pylist() for batch in source.payload_of([0, 1, 2])]
    write_splits(source, made.everything(source), tmp_path / "out", "same", "hardlink")
    again = made.opened(path=str(tmp_path / "out"))

    assert [[JPEG, PNG, PNG]] == stored
    assert source.rows.equals(again.rows)


def test_members_of_no_sample_are_named(tmp_path: Path) -> None:
    """What is not written of a tar file is counted and named; folders are not counted."""
    shard = [("0.png", PNG), ("README", b"text"), ("set/._0.png", b"of a Mac"), ("1.png", PNG)]
    made.tar(tmp_path / "all.tar", shard)
    source = made.opened(path=str(tmp_path / "all.tar"))

    expected = (
        "2 members of tar files belong to no sample and are not written: 'all.tar: README',"
        " 'all.tar: set/._0.png'."
    )

    assert [expected] == list(source.doubts)


def test_archives_inside_an_archive(tmp_path: Path) -> None:
    """A tar file of tar files is refused with what to do."""
    made.tar(tmp_path / "all.tar", [("train.tar", b"x" * 600), ("x/test.tar", b"x" * 600)])
    with pytest.raises(SourceError, match=r"archives inside \(tar\): unpack the outer ones"):
        made.opened(path=str(tmp_path / "all.tar"))


def test_shards_in_capitals(tmp_path: Path) -> None:
    """Suffixes in capitals are suffixes, of shards and of members."""
    made.tar(tmp_path / "TRAIN-0.TAR", [("0.PNG", PNG), ("0.CLS", b"3")])
    made.tar(tmp_path / "TEST-0.TAR", [("0.Jpg", JPEG)])
    source = made.opened(path=str(tmp_path))

    assert Counter({"train": 1, "test": 1}) == Counter(source.rows["split"].to_pylist())
    assert [None, "3"] == source.rows["label"].to_pylist()
