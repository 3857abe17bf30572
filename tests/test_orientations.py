"""Mirrored and turned copies, from the codes to the report."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.tables import TRANSFORMS
from dedup.verify import similarities
from tests import pictures

PILLOW = {
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "rotate180": Image.Transpose.ROTATE_180,
    "transpose": Image.Transpose.TRANSPOSE,
    "rotate90": Image.Transpose.ROTATE_90,
    "transverse": Image.Transpose.TRANSVERSE,
    "rotate270": Image.Transpose.ROTATE_270,
}
INVERSE = {**{name: name for name in PILLOW}, "rotate90": "rotate270", "rotate270": "rotate90"}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_similarity_turns_the_second_thumbnail(name: str) -> None:
    """Turning b as Pillow does and comparing upright gives what comparing under the transform
    gives.
    """
    random = np.random.default_rng(5)
    a, b = random.integers(0, 256, (2, 32, 32), dtype=np.uint8)
    turned = b if name == "identity" else np.asarray(Image.fromarray(b).transpose(PILLOW[name]))
    first, second = np.array([0]), np.array([1])
    expected = similarities(np.stack([a, turned]), first, second)
    transform = np.array([TRANSFORMS.index(name)], dtype=np.uint8)
    got = similarities(np.stack([a, b]), first, second, transform)

    assert expected.tolist() == got.tolist()


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("copy_first", [False, True])
def test_the_transform_applied_to_b_gives_a(tmp_path: Path, name: str, copy_first: bool) -> None:
    """Whichever of the two has the lower id, `transform` in the pair turns b into a."""
    original = pictures.photo(11, (128, 128))
    turned = original.transpose(PILLOW[name])
    names = ("b.png", "a.jpg") if copy_first else ("a.png", "b.jpg")
    pictures.save(original, tmp_path / names[0])
    pictures.save(turned, tmp_path / names[1], quality=92)
    pictures.save(pictures.photo(12, (128, 128)), tmp_path / "c.png")
    run = dedup.audit(tmp_path, orientations="all", workers=0)
    (pair,) = run.pairs.to_pylist()
    a, b = (Image.open(tmp_path / pair[key]).convert("RGB") for key in ("id_a", "id_b"))
    again = b.transpose(PILLOW[pair["transform"]])

    assert (INVERSE[name] if not copy_first else name) == pair["transform"]
    assert np.abs(np.asarray(again, dtype=int) - np.asarray(a, dtype=int)).mean() < 6
    assert pair["kind"] == "near"


def test_only_what_is_asked_for_is_searched(tmp_path: Path) -> None:
    """`upright` finds no mirrored copy, `mirrored` no rotated one, and no wider search loses a
    pair.
    """
    original = pictures.photo(3, (128, 128))
    for name, image in {
        "a.png": original,
        "b.jpg": original,
        "c.png": original.transpose(PILLOW["mirror"]),
        "d.png": original.transpose(PILLOW["rotate90"]),
    }.items():
        pictures.save(image, tmp_path / name)
    found = {}
    for orientations in ("upright", "mirrored", "all"):
        run = dedup.audit(tmp_path, orientations=orientations, workers=0)
        found[orientations] = {
            (r["id_a"][0] + r["id_b"][0], r["transform"]) for r in run.pairs.to_pylist()
        }

    assert found["upright"] == {("ab", "identity")}
    assert found["mirrored"] == {("ab", "identity"), ("ac", "mirror"), ("bc", "mirror")}
    assert found["all"] > found["mirrored"]
    assert {pair for pair, _ in found["all"]} == {"ab", "ac", "ad", "bc", "bd", "cd"}


def test_a_symmetrical_picture_is_compared_as_it_stands(tmp_path: Path) -> None:
    """A brighter copy of a picture that equals its own mirror image is a pair as it stands, not a
    mirrored one.
    """
    half = np.asarray(pictures.photo(4, (64, 128)))
    whole = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))
    pictures.save(whole, tmp_path / "a.png")
    pictures.save(whole.point(lambda value: min(255, int(value * 1.1))), tmp_path / "b.png")
    (pair,) = dedup.audit(tmp_path, orientations="all", workers=0).pairs.to_pylist()

    assert pair["transform"] == "identity"


def test_mirrored_leaks_leave_train(tmp_path: Path) -> None:
    """A mirrored copy of a test picture is dropped from train, says so, and the certificate
    searches mirrored, too.
    """
    original = pictures.photo(8)
    pictures.save(original, tmp_path / "data" / "test" / "a.png")
    pictures.save(original.transpose(PILLOW["mirror"]), tmp_path / "data" / "train" / "b.png")
    pictures.save(pictures.photo(9), tmp_path / "data" / "train" / "c.png")
    settings = {
        "dataset": {"path": str(tmp_path / "data")},
        "search": {"orientations": "mirrored"},
        "output": {"dir": str(tmp_path / "run")},
        "engine": {"workers": 0},
    }
    run = dedup.run(settings)
    (leak,) = run.leakage.to_pylist()

    assert (leak["id"], leak["witness_id"], leak["transform"]) == (
        "train/b.png",
        "test/a.png",
        "mirror",
    )
    assert not (tmp_path / "run/splits/train/b.png").exists()
    assert (tmp_path / "run/splits/train/c.png").exists()
    assert run.summary["certificate"]["clean"]
