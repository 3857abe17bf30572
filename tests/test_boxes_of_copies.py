"""Copies that are annotated with other boxes: counted and named, whatever else is the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import dedup
from tests import pictures

CAR, WIDER, SHIFTED = (10, 10, 40, 30), (10, 10, 90, 30), (10.4, 10, 40, 30)


def yolo(
    root: Path, boxes: dict[str, list[tuple[float, ...]]], images: dict[str, Image.Image]
) -> Path:
    """One split with one class."""
    for name, image in images.items():
        (root / "images/train").mkdir(parents=True, exist_ok=True)
        (root / "labels/train").mkdir(parents=True, exist_ok=True)
        image.save(root / f"images/train/{name}.png")
        lines = [
            f"0 {(x + w / 2) / 160} {(y + h / 2) / 120} {w / 160} {h / 120}"
            for x, y, w, h in boxes[name]
        ]
        (root / f"labels/train/{name}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("train: images/train\nnames: [car]\n")
    return root


def coco(
    root: Path, boxes: dict[str, list[tuple[float, ...]]], images: dict[str, Image.Image]
) -> Path:
    """One file of annotations. A picture of another size has its boxes in its own pixels."""
    (root / "train").mkdir(parents=True)
    (root / "annotations").mkdir()
    listed: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    for number, (name, image) in enumerate(images.items()):
        image.save(root / f"train/{name}.png")
        size = {"width": image.width, "height": image.height}
        listed.append({"id": number, "file_name": f"{name}.png", **size})
        for box in boxes[name]:
            scaled = [edge * image.width / 160 for edge in box]
            drawn.append({"id": len(drawn), "image_id": number, "category_id": 3, "bbox": scaled})
    content = {"images": listed, "annotations": drawn, "categories": [{"id": 3, "name": "car"}]}
    (root / "annotations/instances_train.json").write_text(json.dumps(content))
    return root


def conflicts(root: Path) -> tuple[int, list[str]]:
    """What the summary counts, and the warnings that name it."""
    run = dedup.run(
        {"dataset": {"path": str(root)}, "engine": {"workers": 0}, "cache": {"folder": None}}
    )
    warnings: list[Any] = run.summary["warnings"]
    return run.summary["pairs"]["box_conflicts"], [one for one in warnings if "other boxes" in one]


@pytest.mark.parametrize("make", [yolo, coco])
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([CAR], [WIDER], 1),
        ([CAR], [CAR, WIDER], 1),
        ([CAR], [SHIFTED], 0),
        ([CAR, WIDER], [WIDER, CAR], 0),
    ],
    ids=["wider", "one more", "rounded", "another order"],
)
def test_boxes_of_copies(
    tmp_path: Path, make: Any, one: list[Any], other: list[Any], expected: int
) -> None:
    """Equal files: boxes in other places are told of with both names; rounding and order are no
    difference.
    """
    photo = pictures.photo(1, (160, 120))
    images = {"a": photo, "b": photo, "c": pictures.photo(2, (160, 120))}
    root = make(tmp_path / "in", {"a": one, "b": other, "c": [CAR]}, images)
    n, warnings = conflicts(root)

    assert expected == n
    assert expected == len(warnings)
    assert all("a.png" in text and "b.png" in text for text in warnings)


def test_a_copy_of_another_size(tmp_path: Path) -> None:
    """Boxes are compared as parts of the picture, so that a smaller copy with the same boxes is no
    conflict.
    """
    photo = pictures.photo(1, (160, 120))
    images = {"a": photo, "b": photo.resize((80, 60)), "c": photo.resize((120, 90))}
    n, _ = conflicts(coco(tmp_path / "in", {"a": [CAR], "b": [CAR], "c": [WIDER]}, images))

    assert 2 == n


def test_annotations_without_boxes(tmp_path: Path) -> None:
    """Where an annotation has no box that can be compared, nothing is said of its picture."""
    photo = pictures.photo(1, (160, 120))
    root = coco(tmp_path / "in", {"a": [CAR], "b": [WIDER]}, {"a": photo, "b": photo})
    file = root / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    del content["annotations"][1]["bbox"]
    file.write_text(json.dumps(content))

    assert (0, []) == conflicts(root)
