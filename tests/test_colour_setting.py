"""`verify.colour`: pictures that differ in colour only are pairs, unless colours must agree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup import pipeline
from tests import pictures

RED, BLUE = np.array([1.0, 0.55, 0.4]), np.array([0.4, 0.75, 1.0])


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo in a red tint in train; the same in a blue tint, and a recompressed copy, in test."""
    root = tmp_path_factory.mktemp("lights")
    grey = np.asarray(pictures.photo(7).convert("L").resize((160, 160)), float)
    red, blue = (Image.fromarray((grey[..., None] * tint).astype(np.uint8)) for tint in (RED, BLUE))
    for name, image in (
        ("train/a/red.png", red),
        ("test/b/blue.png", blue),
        ("test/a/jpeg.jpg", red),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return root


def ran(root: Path, out: Path | None = None, **verify: Any) -> dedup.Run:
    output = {"dir": None if out is None else str(out), "splits": "none"}
    return dedup.run(
        {
            "dataset": {"path": str(root)},
            "output": output,
            "cache": {"folder": None},
            "verify": verify,
        }
    )


def names(run: dedup.Run) -> set[frozenset[str]]:
    return {
        frozenset((Path(row["id_a"]).stem, Path(row["id_b"]).stem)) for row in run.pairs.to_pylist()
    }


def test_colours_are_ignored_unless_they_must_agree(lights: Path) -> None:
    """The recoloured picture is a pair by default and none otherwise; the recompressed one is a
    pair in both.
    """
    ignored, agreeing = names(ran(lights)), names(ran(lights, colour="must_agree"))

    assert {frozenset(("red", "blue")), frozenset(("red", "jpeg"))} <= ignored
    assert {frozenset(("red", "jpeg"))} == agreeing


def test_decide_takes_the_setting_from_the_stored_tables(lights: Path, tmp_path: Path) -> None:
    """No pixels are needed: what the second look saw is stored."""
    ran(lights, tmp_path / "run")
    again = pipeline.decide(tmp_path / "run", ["verify.colour=must_agree"])

    assert names(ran(lights, colour="must_agree")) == names(again)
    assert again.summary["resolved"]["colour"] == "must_agree"


def test_without_a_second_look_colours_cannot_agree() -> None:
    """Thumbnails are grey, so the two settings contradict each other."""
    with pytest.raises(dedup.DedupError, match=r"verify\.colour: must_agree needs"):
        dedup.run({"verify": {"colour": "must_agree", "second_look": False}})
