"""What belongs to an image goes with it; what only shares its name does not."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.config import DatasetConfig
from dedup.formats import open_source
from dedup.formats.companions import Sidecars, parallel
from tests import pictures
from tests.formats.layouts import Made


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

    @pytest.mark.parametrize(
        ("images", "masks"),
        [
            (["train/a.jpg", "test/b.jpg"], ["train_masks/a_mask.gif"]),
            (["train/1.png", "test/1.png"], ["trainannot/1.png", "testannot/1.png"]),
            (["train/a.png", "val/b.png"], ["train_labels/a_L.png", "val_labels/b_L.png"]),
            (["Task1-2_Training_Input/I1.jpg"], ["Task1_Training_GroundTruth/I1_segmentation.png"]),
            (
                ["leftImg8bit/val/ulm/ulm_3_leftImg8bit.png"],
                [
                    "gtFine/val/ulm/ulm_3_gtFine_color.png",
                    "gtFine/val/ulm/ulm_3_gtFine_labelIds.png",
                ],
            ),
            (
                ["bottle/train/good/000.png", "bottle/test/cut/000.png"],
                ["bottle/ground_truth/cut/000_mask.png"],
            ),
            (
                ["DRIVE/training/images/21_training.tif"],
                [
                    "DRIVE/training/mask/21_training_mask.gif",
                    "DRIVE/training/1st_manual/21_manual1.gif",
                ],
            ),
            (
                ["benign/benign (1).png"],
                ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png"],
            ),
        ],
        ids=["Carvana", "SegNet", "CamVid", "ISIC", "Cityscapes", "MVTec", "DRIVE", "BUSI"],
    )
    def test_names_of_masks_in_the_wild(self, images: list[str], masks: list[str]) -> None:
        """Masks with a word behind the stem of their image, in folders of a split's name or beside
        it.
        """
        files = sorted(tuple(name.split("/")) for name in images + masks)
        found = parallel(files, [], [])
        of_images = {"/".join(other) for others in found.of_image.values() for other in others}

        assert set(masks) == {"/".join(parts) for parts in found.images} == of_images

    def test_each_mask_goes_with_the_image_of_its_split(self) -> None:
        """Two splits share the stems of their images."""
        names = ["train/1.png", "test/1.png", "train_masks/1_mask.png", "test_masks/1_mask.png"]
        found = parallel([tuple(name.split("/")) for name in names], [], [])

        assert {
            ("train", "1.png"): [("train_masks", "1_mask.png")],
            ("test", "1.png"): [("test_masks", "1_mask.png")],
        } == found.of_image

    def test_polygons_beside_masks(self) -> None:
        """Files of another kind follow the same names."""
        image = ("leftImg8bit", "ulm", "ulm_3_leftImg8bit.png")
        polygons = ("gtFine", "ulm", "ulm_3_gtFine_polygons.json")
        masks = ("gtFine", "ulm", "ulm_3_gtFine_color.png")
        found = parallel([masks, image], [polygons], [])

        assert [masks, polygons] == found.of_image[image]

    def test_a_mask_is_moved_to_the_folder_of_its_new_split(self, tmp_path: Path) -> None:
        """It keeps its word, and the image and the mask keep their names together."""
        root = tmp_path / "set"
        names = [f"train/{k}.png" for k in range(6)] + [f"test/t{k}.png" for k in range(6)]
        pictures.folder(root, names)
        (root / "test/t9.png").write_bytes((root / "train/0.png").read_bytes())
        for split, stem in [
            *(("train", k) for k in range(6)),
            *(("test", f"t{k}") for k in range(6)),
            ("test", "t9"),
        ]:
            mask(root / f"{split}_masks/{stem}_mask.png")
        config = {
            "dataset": {"path": str(root)},
            "policy": {"leakage": "regroup", "duplicates": "report_only"},
            "output": {"dir": str(tmp_path / "out")},
            "engine": {"workers": 0},
        }
        dedup.run(config)
        splits = tmp_path / "out/splits"
        found = {
            (split, kind): {
                path.stem.removesuffix("_mask") for path in (splits / f"{split}{kind}").iterdir()
            }
            for split in ("train", "test")
            for kind in ("", "_masks")
        }

        assert {"0", "t9"} <= found["train", ""] or {"0", "t9"} <= found["test", ""]
        assert found["train", ""] == found["train", "_masks"]
        assert found["test", ""] == found["test", "_masks"]

    def test_a_name_that_is_taken_is_told_of(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A second file for one place is not written, and not in silence."""
        for name in ("a", "b"):
            put(tmp_path, f"{name}/1.txt")
        sidecars = Sidecars(tmp_path)
        for name in ("a", "a", "b"):
            sidecars.carry(os.fsencode(tmp_path / name / "1.txt"), tmp_path / "out/1.txt", "copy")
        told = [record.getMessage() for record in caplog.records]

        assert 1 == len(told)
        assert "b/1.txt' goes with an image and is not written" in told[0]

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
            ("with_mask", "without_mask"),
            ("depth", "height"),
            ("label_a", "train", "test"),
            ("images", "photos"),
        ],
    )
    def test_equal_stems_alone_say_nothing(self, folders: tuple[str, ...]) -> None:
        """Classes, cameras, the two sides of a translation and splits share theirs."""
        images = [(folder, f"image_{k:04d}.jpg") for folder in folders for k in range(5)]
        found = parallel(images, [], [])

        assert frozenset() == found.images

    def test_words_beside_few_partners(self) -> None:
        """A person with a mask is an image: most of that word have no image beside them."""
        images = [("faces", f"{k}_mask.jpg") for k in range(9)] + [("faces", "0.jpg")]

        assert frozenset() == parallel(images, [], []).images

    def test_without_partners(self) -> None:
        """A folder of masks that few images have is one of images."""
        images = [("images", f"{k}.jpg") for k in range(8)] + [
            ("masks", f"{k}.png") for k in range(10)
        ]

        assert frozenset() == parallel(images, [], []).images


def test_several_folders_of_annotations(tmp_path: Path) -> None:
    """Depth and semantic maps, as pictures and as arrays, go with the only folder of images."""
    made = Made(tmp_path)
    for split in ("train", "test"):
        for k in range(2):
            made.images(*(f"{kind}/{split}/{k}.png" for kind in ("rgb", "depth_png", "semantic")))
            made.file(f"depth/{split}/{k}.npy")
            made.file(f"pose/{split}/{k}.txt", "1 2 3")
    source = open_source(DatasetConfig(path=str(tmp_path)))

    assert {f"rgb/{split}/{k}.png" for split in ("train", "test") for k in range(2)} == {
        *source.rows["id"].to_pylist()
    }
    assert 0 == len(source.not_read)
