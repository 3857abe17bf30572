"""Pascal VOC and Darknet: lists that say the splits, filtered with their images."""

from pathlib import Path

import numpy as np
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats import open_source, write_splits
from tests.formats.layouts import Made, darknet, voc

KIT = "VOCdevkit/VOC2012"


def kept(root: Path, out: Path, *names: str) -> None:
    """Write the samples of these names."""
    source = open_source(DatasetConfig(path=str(root)))
    keep = np.array([uri.rpartition("/")[2] in names for uri in source.rows["uri"].to_pylist()])
    written = write_splits(source, keep, out, "same", "copy")
    again = open_source(written.config)

    assert source.rows.filter(keep).equals(again.rows)


def test_voc_is_filtered_with_its_lists(tmp_path: Path) -> None:
    """Annotations and masks of kept images are written; each list, also of a class, has their lines
    as they were.
    """
    made = Made(tmp_path / "in")
    voc(made)
    made.images(f"{KIT}/SegmentationClass/1.png", f"{KIT}/SegmentationClass/2.png")
    kept(made.root, tmp_path / "out", "2.jpg", "3.jpg")
    out = tmp_path / "out" / KIT
    files = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.is_file() and path.suffix != ".txt"
    }
    lists = {path.name: path.read_text() for path in (out / "ImageSets/Main").iterdir()}

    assert {
        *(
            "Annotations/2.xml",
            "Annotations/3.xml",
            "JPEGImages/2.jpg",
            "JPEGImages/3.jpg",
            "SegmentationClass/2.png",
        ),
    } == files
    assert {
        "train.txt": "2\n",
        "val.txt": "3\n",
        "trainval.txt": "2\n3\n",
        "cat_train.txt": "2 -1\n",
    } == lists


def test_what_only_trainval_names_is_train(tmp_path: Path) -> None:
    """VOC2007 has lists of trainval and test alone in some copies."""
    made = Made(tmp_path)
    made.images(*(f"JPEGImages/{k}.jpg" for k in range(4)))
    made.file("ImageSets/Main/trainval.txt", "0\n1\n")
    made.file("ImageSets/Main/test.txt", "2\n3\n")
    rows = open_source(DatasetConfig(path=str(tmp_path))).rows

    assert ["test", "test", "train", "train"] == sorted(rows["split"].to_pylist())


def test_lists_of_segmentation(tmp_path: Path) -> None:
    """Without lists of the main challenge those of segmentation count."""
    made = Made(tmp_path)
    made.images(*(f"JPEGImages/{k}.jpg" for k in range(2)))
    made.file("ImageSets/Segmentation/train.txt", "0\n")
    made.file("ImageSets/Segmentation/val.txt", "1\n")

    assert ["train", "validation"] == open_source(DatasetConfig(path=str(tmp_path))).rows[
        "split"
    ].to_pylist()


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", "a/b", "..\\x"])
def test_names_that_lead_out_are_passed_over(tmp_path: Path, name: str) -> None:
    """A line of a list is the name of an image, never a path."""
    made = Made(tmp_path)
    made.images("JPEGImages/0.jpg")
    made.file("ImageSets/Main/train.txt", f"0\n{name}\n")

    assert ["JPEGImages/0.jpg"] == open_source(DatasetConfig(path=str(tmp_path))).rows[
        "id"
    ].to_pylist()


@pytest.mark.parametrize("line", ["{}.jpg", "JPEGImages/{}.jpg", "/JPEGImages/{}.jpg /x/{}.png"])
def test_lists_with_suffixes_or_paths(tmp_path: Path, line: str) -> None:
    """They name the same images, and lines of kept ones are written as they are."""
    made = Made(tmp_path / "in")
    made.images(*(f"JPEGImages/{k}.jpg" for k in range(3)))
    lines = [line.format(k, k) + "\n" for k in range(3)]
    made.file("ImageSets/Main/train.txt", "".join(lines[:2]))
    made.file("ImageSets/Main/val.txt", lines[2])
    kept(made.root, tmp_path / "out", "0.jpg", "2.jpg")
    splits = open_source(DatasetConfig(path=str(made.root))).rows["split"].to_pylist()

    assert ["train", "train", "validation"] == splits
    assert lines[0] == (tmp_path / "out/ImageSets/Main/train.txt").read_text()


def test_whatever_has_the_stem_of_an_image_goes_with_it(tmp_path: Path) -> None:
    """Captions, outlines and features, wherever they lie; those of dropped images stay behind."""
    made = Made(tmp_path / "in")
    made.images("V/JPEGImages/0.jpg", "V/JPEGImages/1.jpg")
    made.file("V/ImageSets/Main/train.txt", "0\n1\n")
    further = [
        "JPEGImages/{}.txt",
        "JPEGImages/{}.left.json",
        "features/{}.npy",
        "Annotations/{}.xml",
    ]
    for name in further:
        for k in range(2):
            made.file(f"V/{name.format(k)}", "text")
    kept(made.root, tmp_path / "out", "0.jpg")
    written = {
        path.relative_to(tmp_path / "out/V").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }

    assert {name.format(0) for name in further} <= written
    assert not {name.format(1) for name in further} & written


def test_images_that_do_not_exist(tmp_path: Path) -> None:
    """Listed images that are missing have a status; if all are, it is an error."""
    made = Made(tmp_path)
    made.images("JPEGImages/0.jpg")
    made.file("ImageSets/Main/train.txt", "0\n1\n")
    statuses = dedup.audit(tmp_path, workers=0).summary["samples"]["by_status"]
    (tmp_path / "JPEGImages/0.jpg").unlink()

    assert {"ok": 1, "missing": 1} == statuses
    with pytest.raises(SourceError, match="none of its 2 images exists"):
        open_source(DatasetConfig(path=str(tmp_path), source="voc"))


def test_a_run_over_voc(tmp_path: Path) -> None:
    """A leak between the lists is found, dropped and certified."""
    made = Made(tmp_path / "in")
    voc(made)
    root = made.root / KIT / "JPEGImages"
    (root / "1.jpg").write_bytes((root / "3.jpg").read_bytes())
    output = {"dir": str(tmp_path / "run"), "report": False}
    run = dedup.run(
        {"dataset": {"path": str(made.root)}, "output": output, "engine": {"workers": 0}}
    )

    assert 1 == run.summary["leakage"]["validation"]["leaking"]
    assert run.summary["certificate"]["clean"]
    assert "2\n3\n" == (tmp_path / "run/splits" / KIT / "ImageSets/Main/trainval.txt").read_text()


def test_darknet_is_filtered_with_its_lists(tmp_path: Path) -> None:
    """Lists, labels, names and the `.data` file are written for what is kept."""
    made = Made(tmp_path / "in")
    darknet(made)
    kept(made.root, tmp_path / "out", "1.jpg", "3.jpg")
    files = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }

    assert {
        "obj.data",
        "obj.names",
        "train.txt",
        "test.txt",
        "obj/1.jpg",
        "obj/1.txt",
        "obj/3.jpg",
    } == files
    assert "./obj/1.jpg\n" == (tmp_path / "out/train.txt").read_text()
    assert "cat\ndog\n" == (tmp_path / "out/obj.names").read_text()
    assert "backup = x/" in (tmp_path / "out/obj.data").read_text()


def test_lists_written_on_windows(tmp_path: Path) -> None:
    """Backslashes in a list of images are read as slashes."""
    made = Made(tmp_path)
    darknet(made)
    made.file("train.txt", "data\\obj\\1.jpg\r\n.\\obj\\2.jpg\r\n")

    assert ["obj/1.jpg", "obj/2.jpg", "obj/3.jpg"] == sorted(
        open_source(DatasetConfig(path=str(tmp_path))).rows["id"].to_pylist()
    )
