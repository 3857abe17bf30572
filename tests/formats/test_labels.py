"""Labels: sets in any order, names in any Unicode form, background, and one image under two ids."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import datasets
import pytest

import dedup
from tests import pictures

NFC, NFD = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))


def pairs_of(dataset: Any, **options: Any) -> list[tuple[str | None, str | None, bool]]:
    """Labels of each pair, and whether they are in conflict."""
    rows = dedup.audit(dataset, workers=0, **options).pairs.to_pylist()
    return [(row["label_a"], row["label_b"], row["label_conflict"]) for row in rows]


def rows_of(labels: list[Any], feature: Any) -> datasets.Dataset:
    """The same photo with these labels."""
    image = {"bytes": pictures.encoded(pictures.photo(0)), "path": None}
    features = datasets.Features({"image": datasets.Image(), "label": feature})

    return datasets.Dataset.from_dict(
        {"image": [image] * len(labels), "label": labels}, features=features
    )


CLASSES = datasets.ClassLabel(names=["dog", "cat"])


class TestSets:
    """A list of labels says which there are, not in which order."""

    @pytest.mark.parametrize(
        ("feature", "one", "two", "text"),
        [
            (datasets.Sequence(CLASSES), [0, 1], [1, 0], "cat, dog"),
            (datasets.Sequence(datasets.Value("string")), ["b", "a"], ["a", "b"], "a, b"),
            (datasets.Sequence(datasets.Value("int64")), [7, 3], [3, 7], "3, 7"),
        ],
    )
    def test_in_a_column(self, feature: Any, one: Any, two: Any, text: str) -> None:
        """Classes have their names."""
        assert [(text, text, False)] == pairs_of(rows_of([one, two], feature))

    def test_other_sets_are_a_conflict(self) -> None:
        """A label more or less is one."""
        assert [("cat, dog", "cat", True)] == pairs_of(
            rows_of([[0, 1], [1]], datasets.Sequence(CLASSES))
        )

    def test_a_place_for_each_class(self) -> None:
        """Where values repeat, the list is no set: its order says which class is meant."""
        found = pairs_of(
            rows_of([[1, 0, 0], [0, 0, 1]], datasets.Sequence(datasets.Value("int64")))
        )

        assert [("[1, 0, 0]", "[0, 0, 1]", True)] == found

    @pytest.mark.parametrize(
        ("one", "two"),
        [('["x", "y"]', '["y", "x"]'), ("['x', 'y']", "['y', 'x']"), ("('x', 'y')", "{'y', 'x'}")],
    )
    def test_lists_written_as_texts(self, tmp_path: Path, one: str, two: str) -> None:
        """In a CSV as JSON or Python writes them."""
        pictures.folder(tmp_path, ["a.png"])
        cells = [text.replace('"', '""') for text in (one, two)]
        (tmp_path / "m.csv").write_text(
            f'path,id,label\na.png,1,"{cells[0]}"\na.png,2,"{cells[1]}"\n'
        )

        assert [("x, y", "x, y", False)] == pairs_of(str(tmp_path / "m.csv"))

    def test_lists_in_json_lines(self, tmp_path: Path) -> None:
        """In metadata and manifests."""
        pictures.folder(tmp_path, ["a.png"])
        lines = [
            {"path": "a.png", "id": str(k), "label": of}
            for k, of in enumerate((["x", "y"], ["y", "x"]))
        ]
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

        assert [("x, y", "x, y", False)] == pairs_of(str(tmp_path / "m.jsonl"))


class TestUnicode:
    """The composed and the decomposed form are one name."""

    def test_class_folders(self, tmp_path: Path) -> None:
        """Two folders that look alike are one class."""
        pictures.save(pictures.photo(0), tmp_path / NFC / "1.png")
        pictures.save(pictures.photo(0), tmp_path / NFD / "2.png")

        assert [(NFC, NFC, False)] == pairs_of(str(tmp_path))

    def test_columns(self) -> None:
        """Also in columns and in lists."""
        assert [(NFC, NFC, False)] == pairs_of(rows_of([NFC, NFD], datasets.Value("string")))
        assert [(NFC, NFC, False)] == pairs_of(
            rows_of([[NFC], [NFD]], datasets.Sequence(datasets.Value("string")))
        )

    @pytest.mark.parametrize(("on_disk", "listed"), [(NFC, NFD), (NFD, NFC)])
    @pytest.mark.parametrize("form", ["coco", "yolo", "manifest", "metadata"])
    def test_names_of_files(self, tmp_path: Path, form: str, on_disk: str, listed: str) -> None:
        """A list made on another system names the same file."""
        pictures.save(pictures.photo(0), tmp_path / "images/train" / f"{on_disk}.png")
        name = f"{listed}.png"
        if form == "coco":
            content = {
                "images": [{"id": 1, "file_name": name}],
                "annotations": [],
                "categories": [],
            }
            (tmp_path / "annotations").mkdir()
            (tmp_path / "annotations/train.json").write_text(json.dumps(content))
        elif form == "yolo":
            (tmp_path / "train.txt").write_text(f"./images/train/{name}\n", encoding="utf-8")
            (tmp_path / "data.yaml").write_text("train: train.txt\nnames: [a]\n")
        elif form == "manifest":
            (tmp_path / "m.csv").write_text(f"path\nimages/train/{name}\n", encoding="utf-8")
        else:
            (tmp_path / "images/train/metadata.csv").write_text(
                f"file_name,label\n{name},x\n", encoding="utf-8"
            )
        path = (
            tmp_path / "m.csv"
            if form == "manifest"
            else tmp_path / "images"
            if form == "metadata"
            else tmp_path
        )
        run = dedup.run(
            {
                "dataset": {"path": str(path)},
                "output": {"dir": str(tmp_path / "out")}
                | ({"dir": str(tmp_path.parent / f"{tmp_path.name}-out")}),
                "engine": {"workers": 0},
            }
        )

        assert ["ok"] == run.hashes["status"].to_pylist()
        assert run.summary["certificate"]["samples"] == 1


def coco(
    root: Path, name: str, images: list[tuple[Any, str]], boxes: list[tuple[Any, list[float]]]
) -> None:
    """An annotation file of one category."""
    content = {
        "images": [
            {"id": number, "file_name": file, "width": 160, "height": 120}
            for number, file in images
        ],
        "annotations": [
            {"id": k, "image_id": number, "category_id": 1, "bbox": box}
            for k, (number, box) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / f"annotations/{name}.json").write_text(json.dumps(content))


class TestCocoIds:
    """One file under several image ids is one image."""

    def test_it_is_written_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Under its first id, with the annotations of all; those that say the same once. The ids
        are told.
        """
        pictures.folder(tmp_path / "set/images", ["0.png", "1.png", "2.png"])
        images = [(1, "0.png"), (2, "1.png"), (77, "0.png"), (78, "0.png")]
        coco(
            tmp_path / "set",
            "train",
            images,
            [(1, [0, 0, 5, 5]), (77, [0, 0, 5, 5]), (78, [9, 9, 5, 5]), (2, [1, 1, 2, 2])],
        )
        coco(tmp_path / "set", "val", [(1, "2.png")], [])
        run = dedup.run(
            {
                "dataset": {"path": str(tmp_path / "set")},
                "output": {"dir": str(tmp_path / "out")},
                "engine": {"workers": 0},
            }
        )
        written = json.loads((tmp_path / "out/splits/annotations/train.json").read_text())

        assert [(1, "0.png"), (2, "1.png")] == [
            (one["id"], one["file_name"]) for one in written["images"]
        ]
        assert [(1, [0, 0, 5, 5]), (1, [9, 9, 5, 5]), (2, [1, 1, 2, 2])] == [
            (one["image_id"], one["bbox"]) for one in written["annotations"]
        ]
        assert "2 images are listed again under another id" in caplog.text
        assert 3 == run.summary["samples"]["total"]

    def test_when_it_is_moved(self, tmp_path: Path) -> None:
        """Regrouping carries it once, with the annotations of all ids."""
        pictures.folder(
            tmp_path / "set/images", ["0.png", "1.png", "3.png", "4.png", "5.png", "6.png", "7.png"]
        )
        (tmp_path / "set/images/2.png").write_bytes((tmp_path / "set/images/0.png").read_bytes())
        more = [(k, f"{k}.png") for k in (1, 3, 4, 5, 6, 7)]
        coco(
            tmp_path / "set",
            "train",
            [(100, "0.png"), (101, "0.png"), *more],
            [(100, [0, 0, 5, 5]), (101, [9, 9, 5, 5])],
        )
        pictures.save(pictures.photo(50), tmp_path / "set/images/8.png")
        coco(tmp_path / "set", "val", [(1, "2.png"), (2, "8.png")], [])
        dedup.run(
            {
                "dataset": {"path": str(tmp_path / "set")},
                "policy": {"leakage": "regroup", "max_moved": 1.0, "duplicates": "report_only"},
                "output": {"dir": str(tmp_path / "out")},
                "engine": {"workers": 0},
            }
        )
        splits = [
            json.loads((tmp_path / f"out/splits/annotations/{name}.json").read_text())
            for name in ("train", "val")
        ]
        files = [one["file_name"] for split in splits for one in split["images"]]
        boxes = sorted(one["bbox"] for split in splits for one in split["annotations"])

        assert 1 == files.count("0.png")
        assert [[0, 0, 5, 5], [9, 9, 5, 5]] == boxes


class TestBackground:
    """A copy that is annotated against one in which nothing was found."""

    def test_coco(self, tmp_path: Path) -> None:
        """An image without annotations is background where others have some."""
        pictures.folder(tmp_path / "images", ["0.png", "1.png"])
        (tmp_path / "images/2.png").write_bytes((tmp_path / "images/0.png").read_bytes())
        coco(tmp_path, "train", [(1, "0.png"), (2, "1.png"), (3, "2.png")], [(1, [0, 0, 5, 5])])

        assert [("cat", "(background)", True)] == pairs_of(str(tmp_path))

    def test_coco_without_truth(self, tmp_path: Path) -> None:
        """A file without any annotations says nothing of its images."""
        pictures.folder(tmp_path / "images", ["0.png"])
        (tmp_path / "images/2.png").write_bytes((tmp_path / "images/0.png").read_bytes())
        coco(tmp_path, "train", [(1, "0.png")], [(1, [0, 0, 5, 5])])
        coco(tmp_path, "test", [(3, "2.png")], [])

        assert [("cat", None, False)] == pairs_of(str(tmp_path))

    @pytest.mark.parametrize("labels", [None, "", "\n"])
    def test_yolo(self, tmp_path: Path, labels: str | None) -> None:
        """No label file, or an empty one, is background where other images of the split have
        labels.
        """
        pictures.folder(tmp_path / "images/train", ["0.png", "1.png"])
        (tmp_path / "images/train/2.png").write_bytes(
            (tmp_path / "images/train/0.png").read_bytes()
        )
        (tmp_path / "labels/train").mkdir(parents=True)
        (tmp_path / "labels/train/0.txt").write_text("0 0.5 0.5 0.1 0.1\n")
        if labels is not None:
            (tmp_path / "labels/train/2.txt").write_text(labels)
        (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]\n")

        assert [("cat", "(background)", True)] == pairs_of(str(tmp_path))


@pytest.mark.parametrize(
    ("first", "second", "is_conflict"),
    [
        ("cat|dog", "dog|cat", False),
        ("cat|dog", "cat; dog", False),
        ("Effusion, Mass", "Mass, Effusion", False),
        ("cat|dog", "cat", True),
        ("1,0", "0,1", True),
        ("cat,cat,dog", "cat,dog,dog", True),
        ("tench, Tinca tinca", "cock", True),
    ],
)
def test_several_labels_in_one_text(
    tmp_path: Path, first: str, second: str, *, is_conflict: bool
) -> None:
    """In another order they are the same labels; places of classes and repeated names are not."""
    for k, label in enumerate((first, second)):
        (tmp_path / str(k)).mkdir()
        (tmp_path / str(k) / "1.png").write_bytes(pictures.encoded(pictures.photo(0)))
        line = f'{{"file_name": "1.png", "label": "{label}"}}\n'
        (tmp_path / str(k) / "metadata.jsonl").write_text(line)

    assert [is_conflict] == [conflict for _, _, conflict in pairs_of(tmp_path)]
