"""The small dataset of `made` as COCO and as YOLO, in the layouts that are found in the wild."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.formats.made import Row


def coco_content(rows: Sequence[Row]) -> dict[str, Any]:
    """Two annotations of every image but the first, one of them a crowd."""
    annotations = [
        {"id": 10 * k + n, "image_id": 100 + k, "category_id": [7, 3][(k + n) % 2],
         "bbox": [0.1, 2.5, 3, 4], "area": 12.0, "iscrowd": n,
         "segmentation": {"counts": "ab", "size": [1, 2]} if n else [[1, 2, 3, 4, 5, 6]]}
        for k in range(1, len(rows)) for n in range(2)
    ]  # fmt: skip
    return {
        "info": {"description": "made <b>by</b> a test, 🦊"},
        "licenses": [{"id": 1, "name": "CC BY", "url": "x"}],
        "categories": [
            {"id": 3, "name": 'ca"t', "supercategory": "animal"},
            {"id": 7, "name": "dog"},
        ],
        "images": [
            {"id": 100 + k, "file_name": row.name, "width": 24, "height": 18, "license": 1}
            for k, row in enumerate(rows)
        ],
        "annotations": annotations,
        "extra": [1, 2],
    }


LAYOUTS = ["usual", "flat", "roboflow", "one file"]


def coco(root: Path, of: Sequence[Row], layout: str = "usual") -> dict[str, Any]:
    """The layouts in which COCO datasets are found."""
    for split in ("train", "test", "validation"):
        inside = [row for row in of if row.split == split]
        short = {"validation": "val"}.get(split, split)
        images = {
            "usual": f"{short}2017",
            "flat": "images",
            "roboflow": short,
            "one file": "images",
        }[layout]
        where = (
            f"{short}/_annotations.coco.json"
            if layout == "roboflow"
            else f"annotations/instances_{short}2017.json"
        )
        for row in inside:
            (root / images).mkdir(parents=True, exist_ok=True)
            (root / images / row.name).write_bytes(row.data)
        (root / where).parent.mkdir(parents=True, exist_ok=True)
        (root / where).write_text(json.dumps(coco_content(inside)), encoding="utf-8")
    return {
        "path": str(root / "annotations/instances_train2017.json" if layout == "one file" else root)
    }


def yolo(root: Path, of: Sequence[Row], layout: str = "images/split") -> dict[str, Any]:
    """A data.yaml with folders, with lists, or as Roboflow writes it."""
    content: dict[str, Any] = {
        "path": str(root),
        "nc": 2,
        "names": {0: "dog", 1: 'ca"t'},
        "note": "🦊",
    }
    for split in ("train", "test", "validation"):
        inside = [row for row in of if row.split == split]
        short = {"validation": "val"}.get(split, split)
        folder = f"{short}/images" if layout == "roboflow" else f"images/{short}"
        for row in inside:
            (root / folder).mkdir(parents=True, exist_ok=True)
            (root / folder / row.name).write_bytes(row.data)
            labels = (root / folder / row.name).with_suffix(".txt")
            labels = Path(str(labels).replace("/images/", "/labels/"))
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(f"{int(row.label == 'cat')} 0.5 0.5 0.1 0.1\n", encoding="utf-8")
        content[short] = f"../{folder}" if layout == "roboflow" else folder
        if layout == "lists":
            (root / f"{short}.txt").write_text(
                "".join(f"./{folder}/{row.name}\n" for row in inside), encoding="utf-8"
            )
            content[short] = f"{short}.txt"
    if layout == "roboflow":
        del content["path"]
    (root / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return {"path": str(root)}
