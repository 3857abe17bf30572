"""Recordings across splits: all of a rendered driving set are found, none in folders of numbered
photos.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import dedup
from tests import pictures

SIZE = (160, 90)
N_FRAMES = 16


def drive(seed: int, n_frames: int = N_FRAMES, step: float = 1.0) -> list[Image.Image]:
    """Frames of a camera that moves along a street of boxes and trees, `step` metres from frame to
    frame.
    """
    random = np.random.default_rng(seed)
    colours = [tuple(int(value) for value in random.integers(30, 230, 3)) for _ in range(200)]
    things = [
        (
            z + random.normal(0, 1),
            side * random.uniform(4, 10),
            random.uniform(1.5, 4),
            random.uniform(2, 8),
            k % 200,
        )
        for k, z in enumerate(np.arange(4, 60 + n_frames * step, 3.0))
        for side in (-1, 1)
    ]
    frames = []
    for number in range(n_frames):
        frame = Image.new("RGB", SIZE, colours[0])
        draw = ImageDraw.Draw(frame)
        draw.rectangle([0, 40, *SIZE], fill=colours[1])
        draw.polygon([(80, 40), (-40, 90), (200, 90)], fill=(90, 90, 95))
        for z, x, width, height, colour in sorted(things, reverse=True):
            ahead = z - number * step
            if 1.5 < ahead < 80:
                left, low = 80 + 80 * (x - width / 2) / ahead, 40 + 120 / ahead
                draw.rectangle(
                    [left, low - 80 * height / ahead, left + 80 * width / ahead, low],
                    fill=colours[colour],
                    outline=(0, 0, 0),
                )
        noisy = np.asarray(frame.filter(ImageFilter.GaussianBlur(0.6)), float) + random.normal(
            0, 2, (90, 160, 3)
        )
        frames.append(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)))
    return frames


def frame_by_frame(number: int) -> str:
    """Every fourth frame is for test: the split that leaks most."""
    return "test" if number % 4 == 1 else "train"


NAMES: dict[str, tuple[Callable[[str, int, int], str], str | None]] = {
    "in the name": (lambda split, clip, k: f"{split}/clip{clip}_{k:05d}.png", "clip0"),
    "in the folder": (lambda split, clip, k: f"{split}/seq_{clip}/{k:05d}.png", "seq_0"),
    "above the folder": (lambda split, clip, k: f"{split}/seq_{clip}/left/{k}.png", "seq_0"),
    "below another folder": (
        lambda split, clip, k: f"images/{split}/drive-{clip}-frame-{k}.png",
        "drive-0-frame",
    ),
    "in no name": (lambda split, clip, k: f"{split}/{clip * 100 + k:06d}.png", None),
}


def driving_set(
    root: Path, name: Callable[[str, int, int], str], split: Callable[[int], str] = frame_by_frame
) -> Path:
    """Three drives."""
    for clip in range(3):
        for k, frame in enumerate(drive(clip)):
            pictures.save(frame, root / name(split(k), clip, k))
    return root


@pytest.mark.parametrize("where", NAMES)
def test_all_of_a_driving_set_are_found(tmp_path: Path, where: str) -> None:
    """Each drive is found wherever its name stands, and the pattern that is printed makes it one
    group.
    """
    name, group = NAMES[where]
    root = driving_set(tmp_path / "set", name)
    found = dedup.audit(root, workers=0).summary["recordings"]

    if group is None:
        assert (1, None) == (found["series"], found["group_pattern"])
        return
    assert (3, 3 * N_FRAMES) == (found["series"], found["images"])
    again = dedup.audit(root, workers=0, group_pattern=found["group_pattern"])
    groups = again.manifest["group"].to_pylist()
    assert 3 == len(set(groups))
    assert group in groups
    assert 12 == again.summary["group_leakage"]["test"]["leaking"]


def test_one_recording_cut_in_two(tmp_path: Path) -> None:
    """Where train ends and test begins, the scene is the same."""
    name, _ = NAMES["in the folder"]
    root = driving_set(tmp_path, name, lambda number: "train" if number < 10 else "test")

    assert 3 == dedup.audit(root, workers=0).summary["recordings"]["series"]


def test_recordings_of_one_split_each(tmp_path: Path) -> None:
    """Whole recordings in one split are what everybody should have."""
    for clip, split in enumerate(("train", "train", "test")):
        for k, frame in enumerate(drive(clip)):
            pictures.save(frame, tmp_path / f"{split}/clip{clip}_{k:04d}.png")

    assert dedup.audit(tmp_path, workers=0).summary["recordings"] is None


@pytest.mark.parametrize("copies", [0, 3])
def test_numbered_photos_are_no_recording(tmp_path: Path, copies: int) -> None:
    """Photos with numbers in a row are none, nor are they with a few copies among them, which are
    leaks.
    """
    for label in ("cat", "dog"):
        for k in range(20):
            seed = k + 100 * (label == "dog")
            if label == "cat" and 0 < k <= copies:
                seed = 0
            pictures.save(
                pictures.photo(seed), tmp_path / frame_by_frame(k) / label / f"image_{k:04d}.png"
            )

    assert dedup.audit(tmp_path, workers=0).summary["recordings"] is None


def test_a_still_camera(tmp_path: Path) -> None:
    """Frames that are the same picture are a recording, too; their numbers are told apart from ids
    of rows.
    """
    for k in range(12):
        pictures.save(pictures.photo(1), tmp_path / frame_by_frame(k) / f"cam_{k}.png")
    found = dedup.audit(tmp_path, workers=0).summary["recordings"]

    assert (1, 12, {"test": 3}) == (found["series"], found["images"], found["held_out_images"])


def test_groups_that_are_given_are_not_guessed(tmp_path: Path) -> None:
    """Whoever names groups has said what belongs together."""
    root = driving_set(tmp_path, NAMES["in the name"][0])

    assert "recordings" not in dedup.audit(root, workers=0, group_pattern=r"clip\d").summary


def test_regrouping_by_the_pattern(tmp_path: Path) -> None:
    """With the pattern and regrouping each recording is in one split afterwards."""
    root = driving_set(tmp_path / "set", NAMES["in the name"][0])
    pattern = dedup.audit(root, workers=0).summary["recordings"]["group_pattern"]
    run = dedup.run(
        {
            "dataset": {"path": str(root), "group_pattern": pattern},
            "policy": {"leakage": "regroup", "max_moved": 1.0},
            "output": {"dir": str(tmp_path / "run"), "report": False},
            "engine": {"workers": 0},
        }
    )
    splits: dict[str, set[str]] = {}
    for path in (tmp_path / "run/splits").rglob("*.png"):
        splits.setdefault(path.name.partition("_")[0], set()).add(path.parent.name)

    assert all(len(of) == 1 for of in splits.values()), splits
    assert run.summary["certificate"]["clean"]


@pytest.mark.shared_data
def test_none_in_caltech(shared_data: Path, tmp_path: Path) -> None:
    """Caltech-101's names are numbered, and it has duplicates; none of its classes is a
    recording.
    """
    with (shared_data / "caltech101/manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            link = tmp_path / "set" / row["split"] / row["path"]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(shared_data / "caltech101/images" / row["path"])
    run = dedup.audit(tmp_path / "set")

    assert run.summary["leakage"]["test"]["leaking"] > 0
    assert run.summary["recordings"] is None
