"""Whole runs with `search.parts: on`, over pictures that the tests draw."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dedup import pipeline
from dedup.config import build
from dedup.errors import ConfigError, MissingExtraError
from dedup.hashers import keypoints, parts_work
from dedup.runs import parting

pytest.importorskip("cv2")


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with corners everywhere: rectangles and discs of random greys on a soft ground."""
    random = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    levels = (
        120
        + 40 * np.sin(x / random.uniform(30, 60) + seed)
        + 30 * np.cos(y / random.uniform(25, 50))
    )

    for _ in range(70):
        cx, cy = random.uniform(0, width), random.uniform(0, height)
        w, h, grey = random.uniform(6, 40), random.uniform(6, 40), random.uniform(0, 255)
        if random.random() < 0.5:
            levels[(abs(x - cx) < w / 2) & (abs(y - cy) < h / 2)] = grey
        else:
            levels[(x - cx) ** 2 + (y - cy) ** 2 < (w / 2) ** 2] = grey

    noise = random.normal(0, 3, levels.shape)
    return Image.fromarray((levels + noise).clip(0, 255).astype(np.uint8)).convert("RGB")


def saved(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes in test; in train four others, and crops, a turned crop and a mirrored one of test
    pictures.
    """
    root = tmp_path_factory.mktemp("parts")
    for k in range(6):
        saved(scene(k), root / "test" / f"{k}.jpg")
    for k in range(10, 14):
        saved(scene(k), root / "train" / f"other{k}.jpg")
    saved(scene(0).crop((60, 40, 260, 200)), root / "train" / "crop0.jpg")
    saved(
        scene(1).crop((20, 10, 230, 190)).rotate(20, Image.Resampling.BICUBIC, expand=True),
        root / "train" / "turned1.jpg",
    )
    mirrored = scene(2).crop((50, 30, 290, 220)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    saved(mirrored, root / "train" / "mirrored2.jpg")
    saved(scene(10).crop((70, 50, 270, 210)), root / "train" / "inside10.jpg")
    saved(Image.new("RGB", (200, 150), "white"), root / "train" / "blank.jpg")
    return root


def run(dataset: Path, place: Path | None, **settings: Any) -> Any:
    search = {"parts": "on", **settings.pop("search", {})}
    output = {"dir": None if place is None else str(place), "report": False}
    return pipeline.run(
        build(
            {
                "dataset": {"path": str(dataset)},
                "search": search,
                "output": output,
                "cache": {"folder": None},
                **settings,
            }
        )
    )


def dropped(result: Any) -> dict[str, tuple[str, str]]:
    """What goes from the dataset: id → (reason, witness)."""
    return {
        row["id"]: (row["reason"], row["witness_id"])
        for row in result.decisions.to_pylist()
        if row["action"] == "drop"
    }


def test_a_crop_of_a_test_picture_goes_from_train(dataset: Path, tmp_path: Path) -> None:
    """Crops, also turned ones, leak; a crop within train stays; the certificate searches parts
    again and is clean.
    """
    result = run(dataset, tmp_path / "run")

    leak = "leaks into a held-out split"
    assert {
        "train/crop0.jpg": (leak, "test/0.jpg"),
        "train/turned1.jpg": (leak, "test/1.jpg"),
    } == dropped(result)
    kinds = {(row["id_a"], row["id_b"]): row["kind"] for row in result.pairs.to_pylist()}
    assert "crop" == kinds["train/inside10.jpg", "train/other10.jpg"]
    assert 0 == result.summary["certificate"]["crops"]
    assert result.summary["certificate"]["clean"]
    assert ", and for parts)" in result.summary["certificate"]["statement"]
    assert 1 == result.summary["samples"]["without_key_points"]
    boxes = {
        row["id_b"]: row["box_a"] for row in result.pairs.to_pylist() if row["id_a"] == "test/0.jpg"
    }
    assert [60, 40, 260, 200] == pytest.approx(boxes["train/crop0.jpg"], abs=2)


def test_mirrored_parts_are_found_where_orientations_ask(dataset: Path) -> None:
    """With mirrored copies searched the mirrored crop goes, too; its transform is named."""
    result = run(dataset, None, search={"orientations": "mirrored"})

    assert "train/mirrored2.jpg" in dropped(result)
    rows = [
        row
        for row in result.pairs.to_pylist()
        if "train/mirrored2.jpg" in (row["id_a"], row["id_b"])
    ]
    assert ["mirror"] == [row["transform"] for row in rows]


def test_reported_crops_touch_nothing(dataset: Path) -> None:
    """With `policy.crops: report` nothing goes, and the crops are in `overlaps`."""
    result = run(dataset, None, policy={"crops": "report"})

    assert {} == dropped(result)
    kinds = {
        (row["id_a"], row["id_b"]): row["kind"] for row in result.tables["overlaps"].to_pylist()
    }
    assert "crop" == kinds["test/0.jpg", "train/crop0.jpg"]


def test_crops_as_duplicates_are_dropped_within_train(dataset: Path) -> None:
    """With `policy.crops: duplicate` a crop of a train picture goes, its witness the whole one."""
    result = run(dataset, None, policy={"crops": "duplicate"})

    assert ("duplicate of a kept sample", "train/other10.jpg") == dropped(result)[
        "train/inside10.jpg"
    ]


def test_decide_needs_no_pixels(dataset: Path, tmp_path: Path) -> None:
    """Another policy from the stored tables gives what a run with it gives."""
    first = run(dataset, tmp_path / "run")
    again = pipeline.decide(tmp_path / "run", ["policy.crops=report"])

    assert dropped(first)
    assert {} == dropped(again)


def test_workers_change_nothing(dataset: Path, tmp_path: Path) -> None:
    """Tables are equal with the work in this process and in two others."""
    tables = [
        run(dataset, tmp_path / str(workers), engine={"workers": workers}).pairs.to_pylist()
        for workers in (0, 2)
    ]

    assert tables[0] == tables[1]


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cv2 cannot be imported, the error has the line that installs it."""

    def gone(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(keypoints, "import_module", gone)

    with pytest.raises(MissingExtraError, match=r"dedup-images\[parts\]"):
        keypoints.opencv()


def test_parts_that_were_not_searched_cannot_be_decided(dataset: Path, tmp_path: Path) -> None:
    """`decide` cannot turn the search of parts on afterwards, and says so."""
    run(dataset, tmp_path / "plain", search={"parts": "off"})

    with pytest.raises(ConfigError, match=r"search\.parts"):
        pipeline.decide(tmp_path / "plain", ["search.parts=on"])


class Counted:
    """An engine that counts the rows that its workers get."""

    def __init__(self, engine: Any) -> None:
        self._engine, self.n_rows = engine, 0

    def run(self, work: str, setup: Any, tasks: Any) -> Any:
        def counted() -> Any:
            for batch in tasks:
                self.n_rows += batch.num_rows
                yield batch

        return self._engine.run(work, setup, counted())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def test_key_points_are_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run takes all of them from the cache; a new file is the only one that is read,
    besides the blank one, which has none to be kept; with another canary nothing is taken. The
    tables are equal.
    """
    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    settings = {
        "dataset": {"path": str(copy)},
        "search": {"parts": "on"},
        "output": {"dir": None, "report": False},
        "cache": {"folder": str(tmp_path / "cache")},
        "engine": {"workers": 0},
    }
    counted: list[Counted] = []
    plain = vars(parting)["parts"]

    def parts_counted(
        places: Any, rows: Any, digests: Any, setup: Any, engine: Any, *rest: Any
    ) -> Any:
        counted.append(Counted(engine))
        return plain(places, rows, digests, setup, counted[-1], *rest)

    monkeypatch.setattr(parting, "parts", parts_counted)
    first = pipeline.run(build(settings))
    again = pipeline.run(build(settings))
    saved(scene(77), copy / "train" / "new.jpg")
    more = pipeline.run(build(settings))
    monkeypatch.setattr(parts_work, "canary", lambda _: "other")
    elsewhere = pipeline.run(build(settings))

    n = len(first.manifest)
    assert [n, 1, 2, n + 1] == [each.n_rows for each in counted]
    assert first.store["parts"].equals(again.store["parts"])
    assert first.pairs.equals(again.pairs)
    assert more.store["parts"].equals(elsewhere.store["parts"])


def test_without_parts_opencv_is_not_imported(dataset: Path) -> None:
    """A run with `search.parts: off` has no use for it."""
    script = (
        "import sys, dedup\n"
        f"dedup.audit({str(dataset)!r}, workers=0)\n"
        "assert 'cv2' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
