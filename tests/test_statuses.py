"""What follows from a status: broken files, pictures that are not decoded here, and rows without a
picture.
"""

import struct
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

import dedup
from dedup import pipeline
from dedup.errors import SourceError
from tests import pictures

BROKEN = b"\x89PNG\r\n\x1a\n" + bytes(40)


def tiff(seed: int, bands: int = 13, side: int = 16) -> bytes:
    """A well-formed TIFF with more bands than Pillow reads, as satellites make them: 16 bits
    each.
    """
    values = (
        np.random.default_rng(seed).integers(0, 4000, (side, side, bands)).astype("<u2").tobytes()
    )
    at = 8 + 2 + 12 * 9 + 4
    tags = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, bands, at),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, at + 2 * bands),
        (277, 3, 1, bands),
        (278, 4, 1, side),
        (279, 4, 1, len(values)),
    ]
    directory = (
        struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        + bytes(4)
    )

    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<H", 16) * bands + values


def put(root: Path, files: dict[str, bytes]) -> Path:
    """The files below `root`."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def settings(dataset: Path, out: Path, **policy: Any) -> dict[str, Any]:
    """A run of a folder, without workers and cache."""
    return {
        "dataset": {"path": str(dataset)},
        "output": {"dir": str(out)},
        "policy": policy,
        "engine": {"workers": 0},
        "cache": {"folder": None},
    }


def photo(seed: int) -> bytes:
    """A good picture."""
    return pictures.encoded(pictures.photo(seed))


def rows_of(images: list[bytes | None]) -> datasets.Dataset:
    """A dataset of images, some of them null, with a text each."""
    values = [None if image is None else {"bytes": image, "path": None} for image in images]
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})

    return datasets.Dataset.from_dict(
        {"image": values, "text": [f"t{k}" for k in range(len(values))]}, features
    )


class TestBroken:
    """Files that nobody can decode."""

    @pytest.mark.parametrize(
        ("rule", "written"),
        [
            ("drop_from_train", {"train/a.png", "test/b.png", "test/y.png"}),
            ("drop", {"train/a.png", "test/b.png"}),
            ("keep", {"train/a.png", "train/x.png", "test/b.png", "test/y.png"}),
        ],
    )
    def test_the_rule_is_about_them(self, tmp_path: Path, rule: str, written: set[str]) -> None:
        """`policy.unreadable` decides, for train and held-out splits."""
        files = {
            "train/a.png": photo(0),
            "train/x.png": BROKEN,
            "test/b.png": photo(1),
            "test/y.png": BROKEN,
        }
        dedup.run(settings(put(tmp_path / "set", files), tmp_path / "out", unreadable=rule))
        splits = tmp_path / "out/splits"

        assert written == {path.relative_to(splits).as_posix() for path in splits.glob("*/*")}

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_a_split_is_not_emptied_in_silence(self, tmp_path: Path, split: str) -> None:
        """Where every sample of a split is broken or gone, the run ends and names the split, a
        sample and a setting.
        """
        other = {"train": "test", "test": "train"}[split]
        put(tmp_path, {"a.png": photo(0), "x.png": BROKEN})
        rows = (
            f"path,split\na.png,{other}\nx.png,train\n"
            if split == "train"
            else "path,split\na.png,train\ngone.png,test\n"
        )
        (tmp_path / "m.csv").write_text(rows)

        with pytest.raises(
            SourceError, match=rf"split '{split}' \(1\) can be read.*policy\.unreadable: drop"
        ):
            dedup.run(settings(tmp_path / "m.csv", tmp_path / "out"))
        assert not (tmp_path / "out/splits").exists()

    def test_unless_it_was_asked_for(self, tmp_path: Path) -> None:
        """`policy.unreadable: drop` empties it; `audit`, which writes nothing, warns."""
        files = {"train/x.png": BROKEN, "test/a.png": photo(0)}
        put(tmp_path / "set", files)
        run = dedup.run(settings(tmp_path / "set", tmp_path / "out", unreadable="drop"))
        audit = dedup.audit(str(tmp_path / "set"), workers=0)

        assert ["test/a.png"] == [
            p.relative_to(tmp_path / "out/splits").as_posix()
            for p in (tmp_path / "out/splits").glob("*/*")
        ]
        assert not any("nothing would be left" in text for text in run.summary["warnings"])
        assert any("split 'train' (1) can be read" in text for text in audit.summary["warnings"])

    def test_decide_refuses_it_too(self, tmp_path: Path) -> None:
        """What a run refuses, `decide` refuses before anything is replaced."""
        put(tmp_path / "set", {"train/x.png": BROKEN, "test/a.png": photo(0)})
        dedup.run(settings(tmp_path / "set", tmp_path / "out", unreadable="drop"))

        with pytest.raises(SourceError, match="can be read"):
            pipeline.decide(tmp_path / "out", ["policy.unreadable=drop_from_train"])
        assert (tmp_path / "out/splits/test/a.png").exists()


class TestNotDecoded:
    """Good pictures that this decoder does not know, or finds too large."""

    @pytest.mark.parametrize("rule", ["drop_from_train", "drop", "keep"])
    def test_they_stay(self, tmp_path: Path, rule: str) -> None:
        """Whatever `policy.unreadable` says: nobody knows that they are broken."""
        files = {f"train/{k}.tif": tiff(k) for k in range(3)} | {
            "test/a.png": photo(0),
            "test/b.tif": tiff(9),
        }
        run = dedup.run(settings(put(tmp_path / "set", files), tmp_path / "out", unreadable=rule))
        splits = tmp_path / "out/splits"

        assert files.keys() == {path.relative_to(splits).as_posix() for path in splits.glob("*/*")}
        assert {"kept": 1, "not decoded here, kept": 4} == run.summary["decisions"]["by_reason"]
        assert any(
            "13 samples per pixel are not decoded here" in text for text in run.summary["warnings"]
        )

    def test_too_large(self, tmp_path: Path) -> None:
        """A picture above `hash.max_pixels` is kept, and the warning names the setting."""
        large = pictures.encoded(pictures.photo(1, (400, 300)))
        config = settings(
            put(tmp_path / "set", {"train/a.png": photo(0), "train/b.png": large}), tmp_path / "out"
        )
        run = dedup.run({**config, "hash": {"max_pixels": 30_000}})

        assert (tmp_path / "out/splits/train/b.png").read_bytes() == large
        assert any("hash.max_pixels" in text for text in run.summary["warnings"])


class TestAbsent:
    """Rows without an image."""

    def test_they_stay_in_every_split(self) -> None:
        """Text-only rows of a multimodal set are no broken pictures: kept in train and in test, and
        counted apart.
        """
        made = datasets.DatasetDict(
            {"train": rows_of([photo(0), None, photo(1), None]), "test": rows_of([None, photo(2)])}
        )
        clean, run = dedup.deduplicate(made, workers=0, unreadable="drop")

        assert ["t0", "t1", "t2", "t3"] == clean["train"]["text"][:]
        assert ["t0", "t1"] == clean["test"]["text"][:]
        assert (3, 3, 0) == tuple(
            run.summary["samples"][key] for key in ("readable", "without_image", "unreadable")
        )

    @pytest.mark.parametrize("form", ["parquet", "manifest", "webdataset"])
    def test_in_another_form(self, tmp_path: Path, form: str) -> None:
        """Where samples are written in another form, such a row goes with them, as null."""
        rows_of([photo(0), None, photo(1)]).to_parquet(tmp_path / "rows.parquet")
        config = settings(tmp_path / "rows.parquet", tmp_path / "out")
        run = dedup.run({**config, "output": {**config["output"], "splits": form}})
        again = {
            "source": "auto",
            "path": str(
                next((tmp_path / "out/splits").glob("manifest.csv"), tmp_path / "out/splits")
            ),
        }
        read = dedup.run({**config, "dataset": again, "output": {"splits": "none"}})

        assert run.summary["certificate"]["samples"] == 3
        assert ["absent", "ok", "ok"] == sorted(read.hashes["status"].to_pylist())

    def test_an_image_folder_cannot_hold_it(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It stays behind, with a word; what is written is certified without it."""
        rows_of([photo(0), None, photo(1)]).to_parquet(tmp_path / "rows.parquet")
        config = settings(tmp_path / "rows.parquet", tmp_path / "out")
        run = dedup.run({**config, "output": {**config["output"], "splits": "imagefolder"}})

        assert run.summary["certificate"]["samples"] == 2
        assert "1 rows have no image" in caplog.text

    def test_the_gate_is_blind_without_pictures(self) -> None:
        """A split of which the pictures that there are cannot be read passes no limit."""
        made = datasets.DatasetDict({"train": rows_of([photo(0)]), "test": rows_of([None, BROKEN])})
        verdict = dedup.gate(dedup.audit(made, workers=0), max_leakage=1.0)

        assert not verdict.passed
