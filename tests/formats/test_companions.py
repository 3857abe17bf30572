"""What belongs to an image goes with it; what only shares its name does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.formats.companions import parallel
from tests import pictures


def ran(dataset: Path, out: Path, **settings: Any) -> tuple[dedup.Run, set[str]]:
    """A run without workers, and the files that it wrote."""
    config = {
        "dataset": {"path": str(dataset), **settings},
        "output": {"dir": str(out)},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    splits = out / "splits"
    written = {path.relative_to(splits).as_posix() for path in splits.rglob("*") if path.is_file()}
    return run, written - {"README.md"}


def put(root: Path, *names: str) -> None:
    """Small texts."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def mask(path: Path) -> None:
    """A mask: equal masks are no duplicates of anything."""
    pictures.save(Image.fromarray(np.eye(32, dtype=np.uint8) * 255), path)


class TestBeside:
    """Files with an image's stem in its folder."""

    def test_they_stay_and_go_with_it(self, tmp_path: Path) -> None:
        """Captions, boxes and arrays of kept images are written, those of dropped ones are not,
        others are named.
        """
        pictures.folder(tmp_path / "set", ["train/0.png", "train/1.b.png", "test/2.png"])
        (tmp_path / "set/train/copy.png").write_bytes((tmp_path / "set/train/0.png").read_bytes())
        put(
            tmp_path / "set",
            "train/0.txt",
            "train/0.npy",
            "train/1.b.xml",
            "train/1.b.left.json",
            "test/2.caption",
        )
        put(tmp_path / "set", "train/copy.txt", "train/other.txt", "train/0.tar")
        run, written = ran(tmp_path / "set", tmp_path / "out")

        assert written == {
            *(
                "train/0.png",
                "train/0.txt",
                "train/0.npy",
                "train/1.b.png",
                "train/1.b.xml",
                "train/1.b.left.json",
            ),
            *("test/2.png", "test/2.caption"),
        }
        assert {"train/other.txt", "train/0.tar"} == {*run.opened().not_read["path"].to_pylist()}

    def test_when_an_image_is_moved(self, tmp_path: Path) -> None:
        """They go to its new split, under its new name."""
        names = [f"train/{k}.png" for k in range(6)] + ["test/9.png", "test/0.png"]
        pictures.folder(tmp_path / "set", names)
        (tmp_path / "set/test/5.png").write_bytes((tmp_path / "set/train/0.png").read_bytes())
        put(tmp_path / "set", "train/0.txt", "test/5.txt")
        config = {
            "dataset": {"path": str(tmp_path / "set")},
            "output": {"dir": str(tmp_path / "out")},
            "policy": {"leakage": "regroup", "max_moved": 1.0, "duplicates": "report_only"},
            "engine": {"workers": 0},
        }
        dedup.run(config)
        splits = tmp_path / "out/splits"
        texts = {p.relative_to(splits).with_suffix("").as_posix() for p in splits.rglob("*.txt")}
        images = {p.relative_to(splits).with_suffix("").as_posix() for p in splits.rglob("*.png")}

        assert 2 == len(texts)
        assert texts <= images

    @pytest.mark.parametrize("form", ["coco", "yolo", "manifest"])
    def test_in_other_forms_with_files(self, tmp_path: Path, form: str) -> None:
        """Where lists name the images, what lies beside these goes with them."""
        root = tmp_path / "set"
        pictures.folder(root / "images/train", ["0.png", "1.png"])
        put(root, "images/train/0.npy")
        if form == "coco":
            content = {
                "images": [{"id": k, "file_name": f"{k}.png"} for k in range(2)],
                "annotations": [],
                "categories": [],
            }
            put(root, "annotations/train.json")
            (root / "annotations/train.json").write_text(json.dumps(content))
        elif form == "yolo":
            (root / "data.yaml").write_text("train: images/train\nnames: [a]\n")
        else:
            (root / "m.csv").write_text("path\nimages/train/0.png\nimages/train/1.png\n")
        _, written = ran(root / "m.csv" if form == "manifest" else root, tmp_path / "out")

        assert "images/train/0.npy" in written


class TestParallel:
    """Folders that differ from those of the images in one name."""

    @pytest.mark.parametrize(
        ("images", "masks"),
        [
            ("images/train", "masks/train"),
            ("train/images", "train/labels"),
            ("JPEGImages", "SegmentationClass"),
            ("rgb", "depth"),
            ("ISIC_images", "ISIC_GroundTruth"),
        ],
    )
    def test_masks(self, tmp_path: Path, images: str, masks: str) -> None:
        """They are no samples, and those of kept images are written."""
        for name in ("0", "1", "2"):
            pictures.save(pictures.photo(int(name)), tmp_path / "set" / images / f"{name}.jpg")
            mask(tmp_path / "set" / masks / f"{name}.png")
        (tmp_path / "set" / images / "copy.jpg").write_bytes(
            (tmp_path / "set" / images / "0.jpg").read_bytes()
        )
        mask(tmp_path / "set" / masks / "copy.png")
        run, written = ran(tmp_path / "set", tmp_path / "out")

        assert 4 == run.summary["samples"]["total"]
        assert {f"{images}/{k}.jpg" for k in range(3)} | {
            f"{masks}/{k}.png" for k in range(3)
        } == written

    def test_annotations_that_are_no_images(self, tmp_path: Path) -> None:
        """Whatever their folder is called."""
        pictures.folder(tmp_path / "set", ["pictures/a.png", "pictures/b.png"])
        put(tmp_path / "set", "notes/a.xml", "notes/z.xml")
        run, written = ran(tmp_path / "set", tmp_path / "out")

        assert {"pictures/a.png", "pictures/b.png", "notes/a.xml"} == written
        assert ["notes/z.xml"] == run.opened().not_read["path"].to_pylist()

    def test_named_folders(self, tmp_path: Path) -> None:
        """`dataset.companions` names any folder."""
        for name in ("0", "1"):
            pictures.save(pictures.photo(int(name)), tmp_path / "set/left" / f"{name}.png")
            pictures.save(pictures.photo(int(name) + 5), tmp_path / "set/right" / f"{name}.png")
        run, written = ran(tmp_path / "set", tmp_path / "out", companions=["right"])

        assert 2 == run.summary["samples"]["total"]
        assert 4 == len(written)

    @pytest.mark.parametrize(
        "folders",
        [
            ("dog", "cat"),
            ("left", "right"),
            ("A", "B"),
            ("train", "test"),
            ("masks", "hats"),
            ("masks", "hats", "images"),
            ("images", "photos"),
        ],
    )
    def test_equal_stems_alone_say_nothing(self, folders: tuple[str, ...]) -> None:
        """Classes, cameras, the two sides of a translation and splits share theirs."""
        images = [(folder, f"image_{k:04d}.jpg") for folder in folders for k in range(5)]
        found = parallel(images, [], [])

        assert frozenset() == found.images

    def test_without_partners(self) -> None:
        """A folder of masks that few images have is one of images."""
        images = [("images", f"{k}.jpg") for k in range(8)] + [
            ("masks", f"{k}.png") for k in range(10)
        ]

        assert frozenset() == parallel(images, [], []).images
