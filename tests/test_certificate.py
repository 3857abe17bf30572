"""The certificate is made of what was written, not of what was meant to be written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dedup import pipeline
from dedup.certificate import search as second_search
from dedup.certificate.readback import NO_BYTES, UNKNOWN, KnownBytes
from dedup.config import build
from dedup.errors import SourceError
from dedup.formats import imagefolder
from dedup.runs import folder
from dedup.runs.result import Run
from tests import naive, pictures

Write = Callable[..., NDArray[np.bool_]]


def ran(dataset: Path, output: Path, **policy: str) -> Run:
    return pipeline.run(
        build(
            {
                "dataset": {"path": str(dataset)},
                "output": {"dir": str(output), "report": False, "files": "copy"},
                "policy": policy,
                "engine": {"workers": 0},
            }
        )
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    naive.planted(tmp_path / "dataset")
    return tmp_path / "dataset"


def after_writing(monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], None]) -> None:
    """Let the writer do its work, then change what it wrote."""
    write: Write = imagefolder.ImageFolder.write

    def tampered(
        self: imagefolder.ImageFolder, keep: NDArray[np.bool_], where: Path, files: str, *moves: Any
    ) -> NDArray[np.bool_]:
        written = write(self, keep, where, files, *moves)
        tamper(where)
        return written

    monkeypatch.setattr(imagefolder.ImageFolder, "write", tampered)


def test_a_clean_output_is_certified(dataset: Path, tmp_path: Path) -> None:
    """No pair between train and a held-out split is left; the one between two held-out splits is
    listed.
    """
    certificate = ran(dataset, tmp_path / "run").summary["certificate"]

    assert certificate["clean"] is True
    assert certificate["statement"].startswith("No pair between train and a held-out split is left")
    assert "dhash ≤ 14 of 64 bits" in certificate["statement"]
    assert certificate["samples"] == 11
    assert certificate["readable"] == 10
    assert certificate["train_held_out_pairs"] == 0
    assert certificate["held_out_pairs"] == 1
    assert certificate["held_out_first"][0]["id_a"] == "test/dog/h.png"
    assert certificate == folder.read_json(tmp_path / "run/summary.json")["certificate"]


def framed(seed: int, width: int) -> Image.Image:
    """A photo within a black frame."""
    return ImageOps.expand(pictures.photo(seed), width, "black")


def test_a_pair_with_and_without_its_frame_is_one(tmp_path: Path) -> None:
    """Pairs that are found both with their frames and without are counted once, as the table of
    leaks counts them.
    """
    for seed in range(6):
        pictures.save(framed(seed, 20), tmp_path / f"data/train/{seed}.png")
        pictures.save(framed(seed, 18), tmp_path / f"data/test/{seed}.jpg", quality=90)
    run = ran(tmp_path / "data", tmp_path / "run", leakage="report_only")
    views = (
        run.candidates.group_by(["a", "b"]).aggregate([([], "count_all")])["count_all"].to_pylist()
    )

    assert max(views) > 1  # or there would be nothing to count twice
    assert len(run.leakage) == 6
    assert run.summary["certificate"]["train_held_out_pairs"] == 6


@pytest.mark.parametrize("leakage", ["drop_from_train", "report_only"])
def test_it_does_not_depend_on_what_the_run_verified(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leakage: str
) -> None:
    """Without the similarities of the run, every pair is verified from the thumbnails: the same is
    certified.
    """
    expected = ran(dataset, tmp_path / "one", leakage=leakage).summary["certificate"]
    without = second_search.Searched
    monkeypatch.setattr(
        second_search,
        "Searched",
        lambda hashes, candidates, *columns: without(
            hashes, lambda: (part.slice(0, 0) for part in candidates()), *columns
        ),
    )
    got = ran(dataset, tmp_path / "two", leakage=leakage).summary["certificate"]

    assert expected == got


@pytest.mark.parametrize("orientations", ["upright", "mirrored"])
def test_decide_certifies_the_same(dataset: Path, tmp_path: Path, orientations: str) -> None:
    """From the stored tables, whose thumbnails are read where they are needed, the same is
    certified.
    """
    settings = {
        "dataset": {"path": str(dataset)},
        "search": {"orientations": orientations},
        "output": {"dir": str(tmp_path / "run"), "report": False, "files": "copy"},
        "policy": {"leakage": "report_only"},
        "engine": {"workers": 0},
    }
    expected = pipeline.run(build(settings)).summary["certificate"]
    again = pipeline.decide(tmp_path / "run").summary["certificate"]

    assert expected["train_held_out_pairs"] > 0
    assert expected == again


def test_a_writer_that_drops_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every row is written the certificate counts and names the leaks."""
    write: Write = imagefolder.ImageFolder.write
    monkeypatch.setattr(
        imagefolder.ImageFolder,
        "write",
        lambda self, keep, where, files, *moves: write(self, keep | True, where, files, *moves),
    )
    certificate = ran(dataset, tmp_path / "run").summary["certificate"]

    assert certificate["clean"] is False
    assert certificate["train_held_out_pairs"] == 5
    assert {"train/cat/a.png", "train/dog/b.jpg"} <= {
        row["id"] for row in certificate["train_held_out_first"]
    }
    assert certificate["statement"].startswith("5 pairs between train and a held-out split")


def added(where: Path) -> None:
    (where / "train/dog/new.jpg").write_bytes(
        pictures.encoded(pictures.photo(6), "JPEG", quality=70)
    )


def swapped(where: Path) -> None:
    (where / "train/dog/g.png").write_bytes((where / "test/dog/h.png").read_bytes())


def lost(where: Path) -> None:
    (where / "test/dog/h.png").unlink()


@pytest.mark.parametrize("tamper", [added, swapped, lost])
def test_what_was_not_searched_is_not_put_in_place(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], None]
) -> None:
    """A file too many, a kept name with other bytes, a lost file: the run says so and leaves no
    splits.
    """
    after_writing(monkeypatch, tamper)
    with pytest.raises(SourceError, match="not what was hashed"):
        ran(dataset, tmp_path / "run")

    assert not (tmp_path / "run/splits").exists()
    assert "finished" != folder.read_json(tmp_path / "run/run.json")["state"]


def test_report_only_leaves_leaks_and_says_which(dataset: Path, tmp_path: Path) -> None:
    """Under report_only nothing is clean: the certificate names the pairs that are left."""
    certificate = ran(dataset, tmp_path / "run", leakage="report_only").summary["certificate"]

    assert certificate["clean"] is False
    left = {row["id"] for row in certificate["train_held_out_first"]}
    assert {"train/dog/b_small.jpg", "train/dog/c.png"} <= left
    assert (
        len(left) == len(certificate["train_held_out_first"]) == certificate["train_held_out_pairs"]
    )


def test_drop_from_held_out_is_certified_too(dataset: Path, tmp_path: Path) -> None:
    """Leaks that go from the held-out side leave none either."""
    certificate = ran(dataset, tmp_path / "run", leakage="drop_from_held_out").summary[
        "certificate"
    ]

    assert certificate["clean"] is True
    assert (tmp_path / "run/splits/train/dog/c.png").exists()
    assert not (tmp_path / "run/splits/test/cat/c.bmp").exists()


def test_without_held_out_there_is_nothing_to_certify(tmp_path: Path) -> None:
    """A dataset without splits says that nothing can leak, rather than that nothing did."""
    pictures.folder(tmp_path / "data", ["1.png", "2.png"])
    certificate = ran(tmp_path / "data", tmp_path / "run").summary["certificate"]

    assert "no held-out split" in certificate["statement"]


def test_pictures_that_changed_places(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one split with each other's bytes are not what was to be written."""

    def swap(where: Path) -> None:
        one, two, *_ = sorted(path for path in (where / "train").rglob("*") if path.is_file())
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)

    after_writing(monkeypatch, swap)
    with pytest.raises(SourceError, match="2 of 11 samples to be written are not what was hashed"):
        ran(dataset, tmp_path / "run")


def test_a_group_on_both_sides_is_not_clean(tmp_path: Path) -> None:
    """Pictures that look nothing alike and are of one patient leak where leaks are only
    reported.
    """
    pictures.folder(tmp_path / "in", ["a.png", "b.png", "c.png"])
    rows = ["path,split,patient", "a.png,train,p1", "b.png,test,p1", "c.png,train,p2"]
    (tmp_path / "in/rows.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    settings = {
        "dataset": {"path": str(tmp_path / "in/rows.csv"), "group_column": "patient"},
        "output": {"dir": str(tmp_path / "run"), "report": False},
        "policy": {"leakage": "report_only"},
        "engine": {"workers": 0},
    }
    certificate = pipeline.run(build(settings)).summary["certificate"]

    assert certificate["groups_in_train_and_held_out"] == 1
    assert certificate["clean"] is False


def test_bytes_are_known_by_the_whole_digest() -> None:
    """Digests that begin alike are told apart; of equal ones the first sample counts."""
    begin = bytes(8)
    digests = [begin + bytes([k]) * 24 for k in (3, 1, 2, 1)]
    known = KnownBytes(pa.chunked_array([[*digests, None]], pa.binary(32)))

    assert [0, 1, 2, 1, UNKNOWN, NO_BYTES] == known.find(
        [*digests, begin + bytes([9]) * 24, None]
    ).tolist()
