"""A folder of image files: splits, labels, ids, what is skipped, and how the kept files are
written.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dedup.config import DatasetConfig
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source, payloads, read_bytes
from dedup.formats.imagefolder import ImageFolder
from tests import pictures


def source(root: Path, **settings: Any) -> ImageFolder:
    """The folder, opened as the pipeline does."""
    opened = open_source(DatasetConfig(path=str(root), **settings))
    assert isinstance(opened, ImageFolder)
    return opened


def rows(root: Path, **settings: Any) -> list[tuple[str, str | None, str | None]]:
    """id, split and label of every row."""
    table = source(root, **settings).rows
    return list(zip(*(table[c].to_pylist() for c in ("id", "split", "label")), strict=True))


def stored(opened: ImageFolder) -> dict[str, bytes | Unreadable]:
    """What is read for each id."""
    ids = opened.rows["id"].to_pylist()
    found = {}
    for batch in payloads(opened, 2):
        for row, path, data in zip(
            *(batch[c].to_pylist() for c in ("row", "path", "data")), strict=True
        ):
            found[ids[row]] = read_bytes(path, data)
    return found


def below(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def empty_files(root: Path, names: Sequence[str]) -> Path:
    """Files without content: rows are known before any byte is read."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


# --- layout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["train/cat/a.png", "train/dog/b.JPG", "test/cat/a.png"],
            [
                ("test/cat/a.png", "test", "cat"),
                ("train/cat/a.png", "train", "cat"),
                ("train/dog/b.JPG", "train", "dog"),
            ],
        ),
        (
            ["train/a.png", "validation/b.png"],
            [("train/a.png", "train", None), ("validation/b.png", "validation", None)],
        ),
        (["cat/a.png", "dog/b.png"], [("cat/a.png", None, "cat"), ("dog/b.png", None, "dog")]),
        (["a.png", "b.webp"], [("a.png", None, None), ("b.webp", None, None)]),
        (
            ["train/cat/2020/may/a.png", "test/b.png", "extra/x/y.png"],
            [
                ("extra/x/y.png", "extra", "x"),
                ("test/b.png", "test", None),
                ("train/cat/2020/may/a.png", "train", "cat"),
            ],
        ),
        (
            ["left/cat/a.png", "right/b.png"],
            [("left/cat/a.png", None, "left"), ("right/b.png", None, "right")],
        ),
    ],
    ids=["split/label/file", "split/file", "label/file", "file", "any depth", "no usual split"],
)
def test_layouts(
    tmp_path: Path, names: list[str], expected: list[tuple[str, str | None, str | None]]
) -> None:
    """Splits are the top folders if one of them has a usual name, the next folder is the label, the
    path is the id.
    """
    assert expected == rows(empty_files(tmp_path, names))


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Train", "train"),
        ("training", "train"),
        ("val", "validation"),
        ("VALID", "validation"),
        ("dev", "validation"),
        ("eval", "validation"),
        ("Validation", "validation"),
        ("TEST", "test"),
        ("testing", "test"),
    ],
)
def test_other_names_of_splits(tmp_path: Path, folder: str, split: str) -> None:
    """Usual names in any case mean the usual split; the id keeps the name of the folder."""
    assert [(f"{folder}/cat/a.png", split, "cat")] == rows(
        empty_files(tmp_path, [f"{folder}/cat/a.png"])
    )


def test_two_names_of_one_split_are_refused(tmp_path: Path) -> None:
    """`val` beside `validation` is refused, naming both, not merged in silence."""
    empty_files(tmp_path, ["train/a.png", "val/a.png", "validation/a.png"])
    with pytest.raises(
        SourceError, match=r"'val' and 'validation' both mean the split 'validation'"
    ):
        source(tmp_path)


def test_rows_do_not_depend_on_the_order_of_the_folder(tmp_path: Path) -> None:
    """Two folders with the same files, made in opposite orders, have equal rows, sorted by path."""
    names = [
        f"{split}/{label}/{k}.png"
        for split in ("train", "test")
        for label in "zab"
        for k in (10, 9, 1)
    ]
    first, second = empty_files(tmp_path / "1", names), empty_files(tmp_path / "2", names[::-1])

    assert source(first).rows.equals(source(second).rows)
    assert sorted(names) == [name for name, _, _ in rows(first)]


def test_default_split(tmp_path: Path) -> None:
    """Without it a folder of no splits has none; with it all files are in it, under its usual
    name.
    """
    empty_files(tmp_path, ["cat/a.png", "b.png"])

    assert [None, None] == [split for _, split, _ in rows(tmp_path)]
    assert ["validation"] * 2 == [split for _, split, _ in rows(tmp_path, default_split="val")]


# --- what is skipped ------------------------------------------------------------------------------


def test_what_is_no_sample_is_counted(tmp_path: Path) -> None:
    """Hidden files and folders and files that are no images are skipped, and each is counted
    once.
    """
    names = [
        "train/a.png",
        "train/.hidden.png",
        "train/notes.txt",
        "README.md",
        "train/.DS_Store",
        "train/Thumbs.db",
    ]
    empty_files(tmp_path, [*names, ".git/x.png", "train/no_suffix"])
    opened = source(tmp_path)

    assert ["train/a.png"] == opened.rows["id"].to_pylist()
    assert {"hidden": 3, "not_an_image": 4} == dict(opened.skipped)


def test_images_outside_the_splits_are_counted(tmp_path: Path) -> None:
    """An image beside the split folders belongs to no split: skipped and counted, or in the default
    split if named.
    """
    empty_files(tmp_path, ["train/a.png", "test/b.png", "overview.png"])
    opened = source(tmp_path)

    assert ["test/b.png", "train/a.png"] == opened.rows["id"].to_pylist()
    assert {"outside_splits": 1} == dict(opened.skipped)
    assert ("overview.png", "train", None) in rows(tmp_path, default_split="train")


def test_every_file_is_counted_once(tmp_path: Path) -> None:
    """Rows and skipped files add up to what lies in the folder."""
    names = [
        "train/a.png",
        "train/b.txt",
        "c.png",
        ".d",
        "test/e.gif",
        "test/deep/er/f.tiff",
        "test/deep/er/g.csv",
    ]
    opened = source(empty_files(tmp_path, names))

    assert len(names) == opened.rows.num_rows + sum(opened.skipped.values())


@pytest.mark.parametrize("names", [[], ["notes.txt", ".hidden.png"], ["train/notes.txt"]])
def test_no_image_at_all(tmp_path: Path, names: list[str]) -> None:
    """A folder without an image is refused, with its name and what was found instead."""
    with pytest.raises(SourceError, match="no image files") as caught:
        source(empty_files(tmp_path, names))

    assert str(tmp_path) in str(caught.value)
    assert ("not an image" in str(caught.value)) == bool(names)


def test_not_a_folder(tmp_path: Path) -> None:
    """A file, and a path that is not there, are refused as requests."""
    path = pictures.save(pictures.photo(1), tmp_path / "a.png")
    with pytest.raises(ConfigError, match="is a file"):
        source(path, source="imagefolder")
    with pytest.raises(ConfigError, match="does not exist"):
        source(tmp_path / "none")


# --- links ----------------------------------------------------------------------------------------


def test_loops_of_links_end(tmp_path: Path) -> None:
    """Links to a folder above are not followed again, and are counted."""
    empty_files(tmp_path, ["train/cat/a.png", "test/b.png"])
    (tmp_path / "train/cat/up").symlink_to(tmp_path / "train")
    (tmp_path / "test/self").symlink_to(tmp_path / "test")
    opened = source(tmp_path)

    assert ["test/b.png", "train/cat/a.png"] == opened.rows["id"].to_pylist()
    assert {"link_to_a_folder_above": 2} == dict(opened.skipped)


@pytest.mark.parametrize("name", ["loop", "loop.png"])
def test_a_link_to_itself_does_not_stop_the_run(tmp_path: Path, name: str) -> None:
    """A link that points to itself leads nowhere: it costs its own row at most."""
    empty_files(tmp_path, ["train/a.png"])
    (tmp_path / "train" / name).symlink_to(name)
    opened = source(tmp_path)

    assert "train/a.png" in opened.rows["id"].to_pylist()


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    """Pictures behind a link belong to the folder that the link is in; a dangling link is a missing
    sample.
    """
    elsewhere = pictures.folder(tmp_path / "elsewhere", ["cat/a.png", "b.png"])
    root = tmp_path / "photos"
    (root / "train").mkdir(parents=True)
    (root / "train/cat").symlink_to(elsewhere / "cat")
    (root / "train/b.png").symlink_to(elsewhere / "b.png")
    (root / "train/gone.png").symlink_to(elsewhere / "gone.png")
    opened = source(root)
    got = stored(opened)

    assert ["train/b.png", "train/cat/a.png", "train/gone.png"] == opened.rows["id"].to_pylist()
    assert (elsewhere / "cat/a.png").read_bytes() == got["train/cat/a.png"]
    assert (elsewhere / "b.png").read_bytes() == got["train/b.png"]
    gone = got["train/gone.png"]
    assert isinstance(gone, Unreadable)
    assert gone.status == "missing"


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    """A named pipe with the name of a picture is not waited for: it is a missing sample."""
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    got: list[bytes | Unreadable] = []
    reader = threading.Thread(
        target=lambda: got.append(read_bytes(os.fsencode(path), None)), daemon=True
    )
    reader.start()
    reader.join(timeout=3)
    blocked = reader.is_alive()
    if blocked:
        path.write_bytes(b"")  # lets it go
        reader.join()

    assert not blocked
    assert isinstance(got[0], Unreadable)
    assert got[0].status == "missing"


def test_folders_named_like_pictures(tmp_path: Path) -> None:
    """A folder whose name ends in .png is a folder."""
    assert [("cat.png/a.png", None, "cat.png")] == rows(empty_files(tmp_path, ["cat.png/a.png"]))


# --- names ----------------------------------------------------------------------------------------

HOSTILE = [
    b"new\nline.png",
    b"quo\"te's.png",
    b"com,ma;tab\t.png",
    "fox🦊é.png".encode(),
    "e\u0301.png".encode(),
    "é.png".encode(),
    b"<script>alert(1)<.png",
    b"caf\xe9.png",
    b"caf\xe8.png",
    b"\xff\xfe.png",
    b" leading and trailing .png",
    b"per%20cent.png",
    b"back\\slash.png",
    b"-o.png",
    b"\x1b[31mred.png",
]


def hostile_folder(root: Path) -> dict[bytes, bytes]:
    """Pictures under every hostile name, as file and as label; content by relative path."""
    made = {}
    for k, name in enumerate(HOSTILE):
        for relative in (b"train/" + name, b"test/" + name.removesuffix(b".png") + b"/" + name):
            path = os.path.join(os.fsencode(root), relative)  # noqa: PTH118
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
            made[relative] = pictures.encoded(
                pictures.photo(100 * (relative[:2] == b"tr") + k, (16, 12))
            )
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(made[relative])
    return made


def test_hostile_names_are_read(tmp_path: Path) -> None:
    """Every name, UTF-8 or not, has an id that is valid Unicode and its own, and its file is
    read.
    """
    made = hostile_folder(tmp_path)
    opened = source(tmp_path)
    ids = opened.rows["id"].to_pylist()

    assert len(made) == len(ids) == len(set(ids))
    for text in (*ids, *filter(None, opened.rows["label"].to_pylist())):
        assert text == text.encode("utf-8").decode("utf-8")
    assert sorted(made.values()) == sorted(
        data for data in stored(opened).values() if isinstance(data, bytes)
    )
    assert {"train/fox🦊é.png", "train/caf\\xe9.png", "train/new\nline.png"} <= set(ids)


def test_ids_stay_unique_whatever_the_names(tmp_path: Path) -> None:
    r"""A name that is not UTF-8 and one that looks like the id made for it (`\xe9`) are two samples
    with two ids.
    """
    for name in (b"caf\xe9.png", b"caf\\xe9.png"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):  # noqa: PTH118, PTH123
            pass
    ids = source(tmp_path).rows["id"].to_pylist()

    assert 2 == len(set(ids)), ids


def test_splits_and_labels_that_are_not_utf8(tmp_path: Path) -> None:
    """Folder names that are not UTF-8 are printable splits and labels."""
    for parts in ((b"train", b"caf\xe9", b"a.png"), (b"set\xff", b"b.png"), (b"test", b"c.png")):
        path = os.path.join(os.fsencode(tmp_path), *parts)  # noqa: PTH118
        os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120
        with open(path, "wb"):  # noqa: PTH123
            pass

    assert [
        ("set\\xff/b.png", "set\\xff", None),
        ("test/c.png", "test", None),
        ("train/caf\\xe9/a.png", "train", "caf\\xe9"),
    ] == sorted(rows(tmp_path))


# --- payload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_payloads_cover_every_row_once(tmp_path: Path, size: int) -> None:
    """Batches of any size hold every row once, in order, and none is larger than asked for."""
    opened = source(empty_files(tmp_path, [f"{k}.png" for k in range(7)]))
    parts = list(payloads(opened, size))

    assert list(range(7)) == [row for part in parts for row in part["row"].to_pylist()]
    assert max(part.num_rows for part in parts) <= size


def test_payload_of_named_rows(tmp_path: Path) -> None:
    """Named rows come in the order in which they are asked for."""
    opened = source(pictures.folder(tmp_path, ["a.png", "b.png", "c.png"]))
    (part,) = opened.payload_of([2, 0])

    assert [2, 0] == part["row"].to_pylist()
    assert [os.fsencode(tmp_path / "c.png"), os.fsencode(tmp_path / "a.png")] == part[
        "path"
    ].to_pylist()


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", ["hardlink", "copy", "symlink"])
def test_only_kept_files_are_written(tmp_path: Path, files: str) -> None:
    """The kept files, and nothing else, lie at their old places with their old bytes; the source is
    untouched.
    """
    root = pictures.folder(
        tmp_path / "in", ["Val/cat/a.png", "Val/cat/b.png", "train/c.png", "train/d.png"]
    )
    before = below(root)
    source(root).write(np.array([True, False, False, True]), tmp_path / "out", files)

    assert {name: before[name] for name in ("Val/cat/a.png", "train/d.png")} == below(
        tmp_path / "out"
    )
    assert before == below(root)
    original, written = root / "train/d.png", tmp_path / "out/train/d.png"
    assert (files == "hardlink") == (original.stat().st_ino == written.lstat().st_ino)
    assert (files == "symlink") == written.is_symlink()


@pytest.mark.parametrize("files", ["hardlink", "copy", "symlink"])
def test_links_in_the_source(tmp_path: Path, files: str) -> None:
    """Files and folders that are links in the source are written as pictures that can be read."""
    elsewhere = pictures.folder(tmp_path / "elsewhere", ["cat/a.png", "b.png"])
    root = tmp_path / "in"
    root.mkdir()
    (root / "cat").symlink_to(elsewhere / "cat")
    (root / "b.png").symlink_to("../elsewhere/b.png")
    source(root).write(np.array([True, True]), tmp_path / "out", files)

    assert below(elsewhere) == below(tmp_path / "out")


@pytest.mark.parametrize("files", ["hardlink", "copy", "symlink"])
def test_relative_roots_and_hostile_names_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str
) -> None:
    """What is written can be read again with the same rows, also from a relative path and under any
    name.
    """
    made = hostile_folder(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    opened = source(Path("in"))
    opened.write(np.ones(len(made), bool), Path("out"), files)
    again = source(Path("out"))

    assert opened.rows.equals(again.rows)
    assert stored(opened) == stored(again)


def test_dataset_dict_of_a_folder(tmp_path: Path) -> None:
    """The kept files as datasets: image with the stored bytes behind it, label and id."""
    root = pictures.folder(tmp_path, ["train/cat/a.png", "train/dog/b.png", "val/c.png"])
    made = source(root).dataset_dict(np.array([True, False, True]))

    assert {"train": 1, "validation": 1} == {name: part.num_rows for name, part in made.items()}
    assert ("cat", "train/cat/a.png") == (made["train"][0]["label"], made["train"][0]["id"])
    assert np.array_equal(np.asarray(pictures.photo(0)), np.asarray(made["train"][0]["image"]))
