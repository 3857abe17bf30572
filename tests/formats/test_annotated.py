"""COCO and YOLO: annotations are filtered with their images, and what was written loads with the
usual readers.
"""

import contextlib
import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

import dedup
from dedup.config import DatasetConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats import detect, open_source, payloads, write_splits
from tests import pictures
from tests.formats import made
from tests.formats.annotated import LAYOUTS, coco, yolo

PNG = [pictures.encoded(pictures.photo(seed, (24, 18))) for seed in range(6)]


def refusal(path: Path, **settings: Any) -> str:
    """What is said when the dataset is opened."""
    with pytest.raises((SourceError, ConfigError)) as caught:
        made.opened(path=str(path), **settings)
    return str(caught.value)


def ran(dataset: dict[str, Any], out: Path, **output: Any) -> dedup.Run:
    """A run with default settings."""
    settings = {
        "dataset": dataset,
        "engine": {"workers": 0},
        "output": {"dir": str(out), "report": False, **output},
    }
    return dedup.run(settings)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("drops", [False, True])
def test_coco_is_filtered_with_its_images(tmp_path: Path, layout: str, drops: bool) -> None:
    """Images and annotations of the kept stay as they were, in order; categories, licences and all
    else too.
    """
    dataset = coco(tmp_path / "in", made.rows(), layout)
    source = made.opened(**dataset)
    keep = np.array([not drops or k % 3 != 0 for k in range(len(source.rows))])
    written = write_splits(source, keep, tmp_path / "out", "same", "hardlink")
    kept = {
        uri.rpartition("/")[2]
        for uri, is_kept in zip(source.rows["uri"].to_pylist(), keep, strict=True)
        if is_kept
    }

    assert "coco" == source.form == detect(Path(dataset["path"]))
    for path in (tmp_path / "out").rglob("*.json"):
        before = json.loads(
            (tmp_path / "in" / path.relative_to(tmp_path / "out")).read_text(encoding="utf-8")
        )
        after = json.loads(path.read_text(encoding="utf-8"))
        images = [image for image in before["images"] if image["file_name"] in kept]
        numbers = {image["id"] for image in images}
        expected = before | {
            "images": images,
            "annotations": [one for one in before["annotations"] if one["image_id"] in numbers],
        }
        assert expected == after
        with contextlib.redirect_stdout(io.StringIO()):
            loaded = COCO(str(path))
        assert numbers == {*loaded.getImgIds()}
        assert {3, 7} == {*loaded.getCatIds()}
    assert kept == {
        p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".json"
    }
    again = open_source(written.config)
    assert [
        row for row, is_kept in zip(made.described(source), keep, strict=True) if is_kept
    ] == made.described(again)
    assert (1 if layout == "one file" else 3) == len(list((tmp_path / "out").rglob("*.json")))


@pytest.mark.parametrize("layout", ["images/split", "roboflow", "lists"])
@pytest.mark.parametrize("drops", [False, True])
def test_yolo_is_filtered_with_its_labels(tmp_path: Path, layout: str, drops: bool) -> None:
    """Kept images have their label files; data.yaml keeps names, and its paths hold in the new
    place.
    """
    source = made.opened(**yolo(tmp_path / "in", made.rows(), layout))
    keep = np.array([not drops or k % 3 != 0 for k in range(len(source.rows))])
    written = write_splits(source, keep, tmp_path / "out", "same", "hardlink")
    (tmp_path / "in").rename(tmp_path / "gone")
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    again = open_source(written.config)

    assert {0: "dog", 1: 'ca"t'} == content["names"]
    assert (2, "🦊") == (content["nc"], content["note"])
    assert "path" not in content
    for key in ("train", "val", "test"):
        assert (tmp_path / "out" / content[key]).exists()
    (tmp_path / "gone").rename(tmp_path / "in")
    assert [
        row for row, is_kept in zip(made.described(source), keep, strict=True) if is_kept
    ] == made.described(again)
    labels = {p.stem for p in (tmp_path / "out").rglob("labels/**/*.txt")}
    assert {name.rpartition(".")[0] for name, *_ in made.described(again)} == labels
    assert {"dog", 'ca"t'} == {*again.rows["label"].to_pylist()}


@pytest.mark.parametrize("make", [coco, yolo])
def test_a_run_is_clean(tmp_path: Path, make: Any) -> None:
    """A run drops the leak and the copy with what is said of them; an audit of the output finds
    none.
    """
    dataset = make(tmp_path / "in", made.rows())
    run = ran(dataset, tmp_path / "run")
    audit = dedup.audit(tmp_path / "run/splits", workers=0)

    assert run.summary["certificate"]["clean"]
    assert {
        p.name for p in (tmp_path / "run/splits").rglob("*") if p.suffix in {".png", ".jpg"}
    } == made.KEPT
    assert 0 == len(audit.leakage) == len(audit.pairs)
    assert {"train", "test", "validation"} == {*audit.manifest["split"].to_pylist()}


@pytest.mark.parametrize("output", ["manifest", "parquet", "imagefolder", "webdataset"])
@pytest.mark.parametrize("make", [coco, yolo])
def test_crossing(tmp_path: Path, make: Any, output: str) -> None:
    """In other forms the pictures have ids, splits and labels."""
    source = made.opened(**make(tmp_path / "in", made.rows()))
    again = open_source(
        write_splits(source, made.everything(source), tmp_path / "out", output, "copy").config
    )

    for column in ("id", "split", "label"):
        expected = sorted(map(str, source.rows[column].to_pylist()))
        if output == "webdataset" or column != "id":
            assert expected == sorted(map(str, again.rows[column].to_pylist()))
    assert sorted(map(str, made.contents(source))) == sorted(map(str, made.contents(again)))


def test_labels_of_coco(tmp_path: Path) -> None:
    """The label is the set of categories, or what label_column names; an image without annotations
    is background.
    """
    source = made.opened(**coco(tmp_path / "in", made.rows()))
    named = made.opened(
        **coco(tmp_path / "in", made.rows()), label_column="license", id_column="file_name"
    )

    assert {None, "(background)", 'ca"t, dog'} == {*source.rows["label"].to_pylist()}
    assert 1 == source.rows["label"].null_count
    assert {"1"} == {*named.rows["label"].to_pylist()}
    assert "a0.png" in named.rows["id"].to_pylist()
    assert "no image has the key 'x'" in refusal(tmp_path / "in", label_column="x")


def small(root: Path, **changes: Any) -> Path:
    """Two images in one file, changed in places."""
    (root / "images").mkdir(parents=True)
    for k in range(2):
        (root / f"images/{k}.png").write_bytes(PNG[k])
    content = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(2)],
        "annotations": [],
        "categories": [],
    }
    (root / "annotations").mkdir()
    (root / "annotations/all.json").write_text(json.dumps(content | changes), encoding="utf-8")
    return root


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_hostile_texts(tmp_path: Path, form: str) -> None:
    """File names and classes of any text go through a whole run: tables, annotations, report and
    what is written.
    """
    root, texts = tmp_path / "in", made.HOSTILE
    for split in ("train", "val"):
        images = [
            {"id": k, "file_name": f"{k}{text.replace('/', '|')}.png", "width": 9, "height": 9}
            for k, text in enumerate(texts)
        ]
        for k, image in enumerate(images):
            seed = k if split == "train" or k < 2 else 100 + k  # the first two leak
            pictures.save(pictures.photo(seed), root / "images" / split / str(image["file_name"]))
            labels = (root / "labels" / split / str(image["file_name"])).with_suffix(".txt")
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(f"{k} 0.5 0.5 0.1 0.1\n", encoding="utf-8")
        if form == "coco":
            content = {
                "images": images,
                "annotations": [
                    {"id": k, "image_id": k, "category_id": k} for k in range(len(texts))
                ],
                "categories": [{"id": k, "name": text} for k, text in enumerate(texts)],
            }
            (root / "annotations").mkdir(exist_ok=True)
            (root / f"annotations/instances_{split}.json").write_text(
                json.dumps(content), encoding="utf-8"
            )
    if form == "yolo":
        of_splits = {"train": "images/train", "val": "images/val", "names": dict(enumerate(texts))}
        (root / "data.yaml").write_text(yaml.safe_dump(of_splits), encoding="utf-8")
    run = ran({"path": str(root)}, tmp_path / "run", report=True)
    again = made.opened(path=str(tmp_path / "run/splits"))
    before = [(row["id"], row["split"], row["label"]) for row in run.manifest.to_pylist()]
    after = [(row["id"], row["split"], row["label"]) for row in again.rows.to_pylist()]

    assert {*texts} == {label for _, _, label in before}
    assert sorted(
        row for row in before if row[1:] not in {("train", texts[0]), ("train", texts[1])}
    ) == sorted(after)
    assert texts[:2] == sorted(run.leakage["label"].to_pylist())
    assert "<b>html" not in (tmp_path / "run/report.html").read_text(encoding="utf-8")


def test_images_that_are_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing images are named and listed, and not written, nor what is said of them; if all are,
    that is an error.
    """
    listed = [{"id": 0, "file_name": "0.png"}, {"id": 5, "file_name": "gone.png"}]
    said = [{"id": 1, "image_id": 5, "category_id": 1}]
    root = small(tmp_path / "some", images=listed, annotations=said)
    with caplog.at_level(logging.WARNING, "dedup"):
        run = ran({"path": str(root), "default_split": "test"}, tmp_path / "run")
    content = json.loads((tmp_path / "run/splits/annotations/all.json").read_text(encoding="utf-8"))

    assert "1 of 2 images do not exist: 'images/gone.png'" in caplog.text
    assert ["ok", "missing"] == run.hashes["status"].to_pylist()
    assert [listed[0]] == content["images"]
    assert [] == content["annotations"]
    assert "none of its 1 images exists: 'annotations/gone.png'" in refusal(
        small(tmp_path / "none", images=listed[1:])
    )
    assert "dataset.image_folder" in refusal(tmp_path / "none")


WRONG_COCO = [
    ({"images": None}, "no list 'images'"),
    ({"images": [{"id": 1}]}, "images[0]: an image needs 'id' and 'file_name'"),
    (
        {"images": [{"id": 1, "file_name": "0.png"}, {"id": 1, "file_name": "1.png"}]},
        "the image id 1 is there twice",
    ),
    ({"images": [{"id": 1, "file_name": "../0.png"}]}, "not below the folder of the images"),
    ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "not below the folder of the images"),
    ({"images": []}, "list no images"),
    ({"annotations": [{"id": 1}]}, "annotations[0]: an annotation needs 'image_id'"),
    ({"annotations": 5}, "no COCO annotations"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG_COCO)
def test_wrong_coco(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """What cannot be meant is refused, naming the file and the entry."""
    said = refusal(small(tmp_path / "in", **changes), source="coco")

    assert expected in said
    assert str(tmp_path / "in") in said


def test_broken_json(tmp_path: Path) -> None:
    """A file that is cut short is named."""
    (small(tmp_path / "in") / "annotations/all.json").write_text('{"images": [', encoding="utf-8")

    assert "all.json: cannot be read as JSON" in refusal(tmp_path / "in")


def test_annotations_of_strangers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Annotations of images that are not listed are told of and not written."""
    root = small(tmp_path / "in", annotations=[{"id": 1, "image_id": 99, "category_id": 1}])
    with caplog.at_level(logging.WARNING, "dedup"):
        source = made.opened(path=str(root))
    write_splits(source, made.everything(source), tmp_path / "out", "same", "copy")

    assert "1 annotations are of images that it does not list, the first of image 99" in caplog.text
    assert (
        []
        == json.loads((tmp_path / "out/annotations/all.json").read_text(encoding="utf-8"))[
            "annotations"
        ]
    )


def test_one_picture_in_two_files(tmp_path: Path) -> None:
    """Files of one split that name a picture say of one sample; a picture that two splits name is a
    leak.
    """
    root = small(tmp_path / "in")
    for name in ("captions_train", "instances_train", "instances_test"):
        (root / f"annotations/{name}.json").write_text(
            (root / "annotations/all.json").read_text(encoding="utf-8")
        )
    (root / "annotations/all.json").unlink()
    run = ran({"path": str(root)}, tmp_path / "run")
    images = {
        p.stem: [image["id"] for image in json.loads(p.read_text(encoding="utf-8"))["images"]]
        for p in (tmp_path / "run/splits/annotations").iterdir()
    }

    assert [
        "test:images/0.png",
        "test:images/1.png",
        "train:images/0.png",
        "train:images/1.png",
    ] == run.manifest["id"].to_pylist()
    assert {"captions_train": [], "instances_train": [], "instances_test": [0, 1]} == images
    assert run.summary["certificate"]["clean"]


def test_images_elsewhere(tmp_path: Path) -> None:
    """Images that lie elsewhere are found as dataset.image_folder and put beside the
    annotations.
    """
    root = small(tmp_path / "in")
    (root / "images").rename(tmp_path / "photos")
    said = refusal(root)
    source = made.opened(path=str(root), image_folder=str(tmp_path / "photos"))
    written = write_splits(source, made.everything(source), tmp_path / "out", "same", "copy")

    assert "dataset.image_folder" in said
    assert PNG[:2] == made.contents(source) == made.contents(open_source(written.config))
    assert PNG[:2] == made.contents(made.opened(path=str(tmp_path / "out")))
    assert ["0.png", "1.png"] == source.rows["id"].to_pylist()


WRONG_YOLO = [
    ("train: [", "cannot be read as YAML"),
    ("- a", "expected keys such as 'train' and 'names'"),
    ("names: [a]", "none of its splits has images"),
    ("train: images/gone\nnames: [a]", "train: 'images/gone' does not exist below"),
    ("train: /etc\nnames: [a]", "train: '/etc' does not exist below"),
    ("train: 5\nnames: [a]", "train: expected a folder or a list of images, got 5"),
    ("train: images/train\nnames: 5", "names: expected a list, or numbers with names, got 5"),
    (
        "train: images/train\nval: images/val\nvalid: images/val\nnames: [a]",
        "both mean the split 'validation'",
    ),
    ("train: list.txt\nnames: [a]", "line 1: '/etc/passwd.png' is not below"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG_YOLO)
def test_wrong_yolo(tmp_path: Path, text: str, expected: str) -> None:
    """What cannot be meant is refused, naming the file and the key."""
    yolo(tmp_path / "in", made.rows())
    (tmp_path / "in/list.txt").write_text("/etc/passwd.png\n" * len(made.rows()), encoding="utf-8")
    (tmp_path / "in/data.yaml").write_text(text, encoding="utf-8")

    assert expected in refusal(tmp_path / "in")


def test_an_emptied_split_stays(tmp_path: Path) -> None:
    """A split of which nothing is kept has a folder, so that data.yaml holds; images without labels
    are written.
    """
    yolo(tmp_path / "in", made.rows())
    (tmp_path / "in/labels/test/b0.txt").unlink()
    source = made.opened(path=str(tmp_path / "in/data.yaml"))
    keep = np.array([split == "test" for split in source.rows["split"].to_pylist()])
    write_splits(source, keep, tmp_path / "out", "same", "symlink")

    assert [] == list((tmp_path / "out/images/train").iterdir())
    assert (tmp_path / "out/images/test/b0.jpg").is_symlink()
    assert not (tmp_path / "out/labels/test/b0.txt").exists()
    assert "(background)" in source.rows["label"].to_pylist()


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_keys_without_a_use(tmp_path: Path, form: str) -> None:
    """Settings that say nothing about the form are refused."""
    path = Path((coco if form == "coco" else yolo)(tmp_path / "in", made.rows())["path"])

    assert f"dataset.split_column: not used by the form {form!r}" in refusal(path, split_column="x")
    assert "dataset.image_folder: not used by the form 'yolo'" in refusal(
        tmp_path, source="yolo", image_folder="x"
    )


def sharing_names(layout: str) -> list[made.Row]:
    """The small dataset; where splits have folders of their own, two of its pictures are called
    `a0.png`.
    """
    own = layout not in {"flat", "one file"}
    return [
        replace(row, name="a0.png") if own and row.name == "b11.png" else row for row in made.rows()
    ]


def of_coco(root: Path) -> dict[tuple[str, bytes], tuple[Any, Any]]:
    """By split and bytes: what is said of an image, its annotations with the names of their
    categories, no ids.
    """
    found = {}
    for path in sorted(root.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        name = {one["id"]: one["name"] for one in content["categories"]}
        licence = {one["id"]: one["name"] for one in content["licenses"]}
        split = next(
            word for word in ("train", "test", "val") if word in str(path.relative_to(root))
        )
        for image in content["images"]:
            places = [
                p for p in (root / split, root / "images", root / f"{split}2017") if p.is_dir()
            ]
            (data,) = {(p / image["file_name"]).read_bytes() for p in places}
            said = [one for one in content["annotations"] if one["image_id"] == image["id"]]
            annotations = [
                {k: v for k, v in one.items() if k not in {"id", "image_id", "category_id"}}
                for one in said
            ]
            named = [name[one["category_id"]] for one in said]
            rest = {k: v for k, v in image.items() if k not in {"id", "file_name", "license"}}
            found[split, data] = (
                rest | {"licence": licence[image["license"]]},
                [*zip(named, annotations, strict=True)],
            )
    return found


@pytest.mark.parametrize("layout", ["usual", "flat", "roboflow"])
def test_coco_moves_images_with_their_annotations(tmp_path: Path, layout: str) -> None:
    """Each image lies with all that is said of it in its new split, whatever ids and names are
    taken there.
    """
    dataset = coco(tmp_path / "in", sharing_names(layout), layout)
    for path in (tmp_path / "in").rglob("*.json"):
        if (
            "val" in path.name or "val" in path.parent.name
        ):  # the other files number categories and licences otherwise
            content = json.loads(path.read_text(encoding="utf-8"))
            content["categories"] = [{"id": 7, "name": 'ca"t'}, {"id": 4, "name": "owl"}]
            content["licenses"] = [{"id": 1, "name": "MIT", "url": "x"}]
            content["annotations"] = [one | {"category_id": 7} for one in content["annotations"]]
            path.write_text(json.dumps(content), encoding="utf-8")
    before = of_coco(tmp_path / "in")
    source = made.opened(**dataset)
    splits = source.rows["split"].to_pylist()
    to = {"train": "test", "test": "validation", "validation": "train"}
    moves = {row: to[split] for row, split in enumerate(splits) if row % 3 != 1}
    keep = np.array([row != 0 for row in range(len(splits))])
    data = [
        Path(p.as_py().decode()).read_bytes()
        for batch in payloads(source, 9)
        for p in batch["path"]
    ]
    written = write_splits(
        source, keep, tmp_path / "out", "same", "hardlink", {r: s for r, s in moves.items() if r}
    )
    short = {"validation": "val"}
    expected = {}
    for row, split in enumerate(splits):
        now = moves.get(row, split)
        if row:
            expected[short.get(now, now), data[row]] = before[short.get(split, split), data[row]]

    assert written.rows.tolist() == keep.tolist()
    assert expected == of_coco(tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for key in ("images", "annotations", "categories", "licenses"):
            numbers = [one["id"] for one in content[key]]
            assert len(numbers) == len(set(numbers)), key
        with contextlib.redirect_stdout(io.StringIO()):
            loaded = COCO(str(path))
        assert len(loaded.loadAnns(loaded.getAnnIds())) == len(content["annotations"])
    again = open_source(written.config)
    assert sorted(moves.get(row, split) for row, split in enumerate(splits) if row) == sorted(
        again.rows["split"].to_pylist()
    )


@pytest.mark.parametrize("layout", ["images/split", "roboflow", "lists"])
def test_yolo_moves_images_with_their_labels(tmp_path: Path, layout: str) -> None:
    """Each image lies, or is listed, in its new split with its own label file, whatever names are
    taken there.
    """
    source = made.opened(**yolo(tmp_path / "in", sharing_names(layout), layout))
    splits, labels = source.rows["split"].to_pylist(), source.rows["label"].to_pylist()
    to = {"train": "test", "test": "validation", "validation": "train"}
    moves = {row: to[split] for row, split in enumerate(splits) if row % 3 != 1}
    keep = np.array([row != 1 for row in range(len(splits))])
    data = [
        Path(p.as_py().decode()).read_bytes()
        for batch in payloads(source, 9)
        for p in batch["path"]
    ]
    written = write_splits(source, keep, tmp_path / "out", "same", "hardlink", moves)
    expected = sorted(
        (moves.get(r, splits[r]), labels[r], data[r]) for r in np.flatnonzero(keep).tolist()
    )
    again = open_source(written.config)
    found = [
        Path(p.as_py().decode()).read_bytes() for batch in payloads(again, 9) for p in batch["path"]
    ]

    assert written.rows.tolist() == keep.tolist()
    assert expected == sorted(
        zip(again.rows["split"].to_pylist(), again.rows["label"].to_pylist(), found, strict=True)
    )
    assert len(list((tmp_path / "out").rglob("labels/**/*.txt"))) == len(expected)


@pytest.mark.parametrize("make", [coco, yolo])
def test_a_regrouped_run_is_certified(tmp_path: Path, make: Any) -> None:
    """Nothing leaks, nothing but copies is dropped, and the certificate says so."""
    run = dedup.run(
        {
            "dataset": make(tmp_path / "in", made.rows()),
            "engine": {"workers": 0},
            "policy": {"leakage": "regroup", "max_moved": None, "duplicates": "report_only"},
            "output": {"dir": str(tmp_path / "run"), "report": False},
        }
    )

    assert run.summary["decisions"]["move"] == 1
    assert run.summary["decisions"]["drop"] == 0
    assert run.summary["certificate"]["clean"] is True
    assert run.summary["certificate"]["samples"] == 12


def test_a_picture_of_two_splits_is_moved_to_one(tmp_path: Path) -> None:
    """Listed in train and in test: both rows are in one split then, the moved one as a file of
    another name.
    """
    rows = made.rows()
    twice = next(row for row in rows if row.split == "train")
    coco(tmp_path / "in", [*rows, replace(twice, split="test")], "flat")
    source = made.opened(path=str(tmp_path / "in"))
    row = source.rows["id"].to_pylist().index(f"train:images/{twice.name}")
    written = write_splits(
        source, np.ones(13, bool), tmp_path / "out", "same", "hardlink", {row: "test"}
    )
    again = open_source(written.config)
    stem, _, suffix = twice.name.rpartition(".")

    assert {f"images/{twice.name}", f"images/{stem}_train.{suffix}"} < {
        *again.rows["id"].to_pylist()
    }
    assert again.rows["split"].to_pylist().count("test") == 6
    assert len(again.rows) == 13


def test_what_cannot_be_moved(tmp_path: Path) -> None:
    """Refused before any work: files without a counterpart, panoptic masks, folders mixed with
    lists.
    """
    coco(tmp_path / "coco", made.rows())
    path = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.with_name("captions_train2017.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        SourceError,
        match=r"captions_train2017.json, .* do not stand in the same places in all splits",
    ):
        made.opened(path=str(tmp_path / "coco")).check_movable()
    path.with_name("captions_train2017.json").unlink()
    content["annotations"][0]["segments_info"] = []
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SourceError, match=r"instances_train2017\.json has panoptic annotations"):
        made.opened(path=str(tmp_path / "coco")).check_movable()
    yolo(tmp_path / "yolo", made.rows(), "lists")
    said = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text(encoding="utf-8"))
    (tmp_path / "yolo/data.yaml").write_text(
        yaml.safe_dump(said | {"val": "images/val"}), encoding="utf-8"
    )
    with pytest.raises(SourceError, match="some of its splits are folders and some are lists"):
        made.opened(path=str(tmp_path / "yolo")).check_movable()


def test_names_written_on_windows(tmp_path: Path) -> None:
    """A backslash in a file's name leads into a folder where there is no file of that name."""
    coco(tmp_path, made.rows(), "flat")
    path = tmp_path / "annotations/instances_train2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for image in content["images"]:
        (tmp_path / "images/sub/deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / image["file_name"]).rename(
            tmp_path / "images/sub/deep" / image["file_name"]
        )
        image["file_name"] = f"sub\\deep\\{image['file_name']}"
    path.write_text(json.dumps(content), encoding="utf-8")
    found = made.opened(path=str(tmp_path))

    train = {f"images/sub/deep/{row.name}" for row in made.rows() if row.split == "train"}
    assert train <= {*found.rows["uri"].to_pylist()}
    assert sorted(row.data for row in made.rows()) == sorted(
        d for d in made.contents(found) if isinstance(d, bytes)
    )


def test_yolo_images_that_would_share_their_labels(tmp_path: Path) -> None:
    """`1.jpg` does not move beside `1.png`: both would have the labels `1.txt`."""
    rows = [made.Row("1.jpg", "train", "cat", PNG[0]), made.Row("2.png", "train", "dog", PNG[1])]
    rows += [
        made.Row("1.png", "test", "dog", PNG[2]),
        made.Row("3.png", "validation", "cat", PNG[3]),
    ]
    source = made.opened(**yolo(tmp_path / "in", rows))
    row = made.contents(source).index(PNG[0])
    written = write_splits(
        source, np.ones(4, bool), tmp_path / "out", "same", "copy", {row: "test"}
    )
    again = open_source(written.config)
    found = dict(
        zip(made.contents(again), again.rows.select(["split", "label"]).to_pylist(), strict=True)
    )

    assert {"split": "test", "label": 'ca"t'} == found[PNG[0]]
    assert {"split": "test", "label": "dog"} == found[PNG[2]]


def test_yolo_labels_of_nested_folders_of_images(tmp_path: Path) -> None:
    """Of several folders called `images` the innermost has its labels beside it."""
    for name, number in (("train", 0), ("test", 1)):
        folder = tmp_path / "images" / name / "images"
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(PNG[number])
        labels = tmp_path / "images" / name / "labels"
        labels.mkdir()
        (labels / "x.txt").write_text(f"{number} 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    content = {
        "train": "images/train/images",
        "test": "images/test/images",
        "names": ["dog", "cat"],
    }
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    rows = made.opened(path=str(tmp_path)).rows

    assert {"train": "dog", "test": "cat"} == dict(
        zip(rows["split"].to_pylist(), rows["label"].to_pylist(), strict=True)
    )


def test_a_yaml_bomb(tmp_path: Path) -> None:
    """A `data.yaml` of 600 bytes whose aliases stand for billions of names is one message, at
    once.
    """
    pictures.folder(tmp_path, ["train/1.png"])
    names = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    names += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    (tmp_path / "data.yaml").write_text("train: train\n" + "\n".join(names) + "\nnames: *a11\n")
    with pytest.raises(
        SourceError, match=r"data\.yaml: cannot be read as YAML: its aliases expand"
    ):
        open_source(DatasetConfig(path=str(tmp_path)))
