"""What could harm people's files, or pass for a result, is refused: each test is a way in which it
once could.
"""

import json
import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import dedup
from dedup import cli, pipeline
from dedup.errors import ConfigError, RunError, SourceError
from dedup.runs import stored
from tests import pictures


def settings(dataset: Path, output: Path, **sections: Any) -> dict[str, Any]:
    return {
        "dataset": {"path": str(dataset)},
        "output": {"dir": str(output), "report": False},
        "engine": {"workers": 0},
        **sections,
    }


def rows(*seeds: int, **columns: list[Any]) -> datasets.Dataset:
    images = [{"bytes": pictures.encoded(pictures.photo(seed)), "path": None} for seed in seeds]
    made = datasets.Dataset.from_dict({"image": images, **columns})
    return made.cast_column("image", datasets.Image())


class TestHuggingFace:
    def test_a_split_name_cannot_leave_the_folder(self, tmp_path: Path) -> None:
        """A downloaded dataset whose split is called `../../x` is refused before anything is
        written.
        """
        datasets.DatasetDict({"train": rows(1)}).save_to_disk(str(tmp_path / "saved"))
        (tmp_path / "saved" / "dataset_dict.json").write_text(
            json.dumps({"splits": ["train", "../evil"]})
        )
        rows(2).save_to_disk(str(tmp_path / "evil"))
        with pytest.raises(SourceError, match=r"'\.\./evil' is no name of a split"):
            dedup.run(settings(tmp_path / "saved", tmp_path / "run"))

        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("splits", "message"),
        [
            ({"train": rows(1), "test-hard": rows(2)}, "no split called 'test-hard'.*'test_hard'"),
            ({"train": rows(1, label=["a"]), "test": rows(2, other=[1])}, "different columns"),
        ],
    )
    def test_what_could_not_be_loaded_again(
        self, tmp_path: Path, splits: dict[str, Any], message: str
    ) -> None:
        """Splits that `load_dataset` would not read are refused before hashing; an audit takes
        them.
        """
        datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
        with pytest.raises(SourceError, match=message):
            dedup.run(settings(tmp_path / "saved", tmp_path / "run"))

        assert not (tmp_path / "run").exists()
        assert len(dedup.audit(tmp_path / "saved", workers=0).manifest) == 2

    def test_files_of_this_machine_are_not_embedded(self, tmp_path: Path) -> None:
        """A Parquet file that names a path outside its folder gets a missing sample, not the file's
        content.
        """
        secret = tmp_path / "secret.txt"
        secret.write_text("the key")
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        values = [
            {"bytes": pictures.encoded(pictures.photo(1)), "path": None},
            {"bytes": None, "path": str(secret)},
        ]
        (tmp_path / "data").mkdir()
        pq.write_table(
            pa.table({"image": pa.array(values, image)}), tmp_path / "data" / "test.parquet"
        )
        run = dedup.run(
            settings(
                tmp_path / "data" / "test.parquet", tmp_path / "run", policy={"unreadable": "keep"}
            )
        )
        written = pq.read_table(next((tmp_path / "run/splits/data").glob("*.parquet")))

        assert run.hashes["status"].to_pylist() == ["ok", "outside"]
        assert b"the key" not in [row["image"]["bytes"] for row in written.to_pylist()]

    @pytest.mark.parametrize(
        "path", ["hf://datasets/org/name/x.parquet", "https://localhost/x.parquet"]
    )
    def test_a_local_folder_never_leads_to_the_network(self, tmp_path: Path, path: str) -> None:
        """A README that names remote files ends in one message."""
        (tmp_path / "x").mkdir()
        pq.write_table(pa.table({"a": [1]}), tmp_path / "x" / "a.parquet")
        header = (
            "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path:"
            f" {path}\n---\n"
        )
        (tmp_path / "x" / "README.md").write_text(header)

        with pytest.raises(SourceError, match=r"x"):
            dedup.audit(tmp_path / "x", workers=0)

    def test_parquet_of_other_writers(self, tmp_path: Path) -> None:
        """A Parquet file with image structs but without Hugging Face metadata can be deduplicated
        in Python.
        """
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        data = [pictures.encoded(pictures.photo(seed)) for seed in (1, 1, 2)]
        table = pa.table({"image": pa.array([{"bytes": one, "path": None} for one in data], image)})
        pq.write_table(table, tmp_path / "plain.parquet")
        clean, _ = dedup.deduplicate(tmp_path / "plain.parquet", workers=0)
        stored = clean["train"].cast_column("image", datasets.Image(decode=False))

        assert [data[0], data[2]] == [row["bytes"] for row in stored["image"]]

    def test_decide_on_a_reordered_dataset(self, tmp_path: Path) -> None:
        """Rows are known by their place only, so a dataset saved again in another order is noticed
        by its bytes.
        """
        datasets.DatasetDict({"train": rows(1, 2, 3, 3)}).save_to_disk(str(tmp_path / "saved"))
        dedup.run(settings(tmp_path / "saved", tmp_path / "run"))
        datasets.DatasetDict({"train": rows(3, 1, 3, 2)}).save_to_disk(str(tmp_path / "again"))
        (tmp_path / "saved").rename(tmp_path / "before")
        (tmp_path / "again").rename(tmp_path / "saved")

        with pytest.raises(SourceError, match="has changed since"):
            pipeline.decide(tmp_path / "run")


class TestFolders:
    def test_overwrite_never_touches_what_is_no_run(self, tmp_path: Path) -> None:
        """`--overwrite` replaces runs; a folder with somebody's own `splits` is refused even
        then.
        """
        pictures.folder(tmp_path / "data", ["1.png"])
        (tmp_path / "mine" / "splits").mkdir(parents=True)
        (tmp_path / "mine" / "splits" / "thesis.txt").write_text("years of work")
        with pytest.raises(RunError, match="holds no run"):
            dedup.run(settings(tmp_path / "data", tmp_path / "mine"), overwrite=True)

        assert (tmp_path / "mine" / "splits" / "thesis.txt").read_text() == "years of work"

    def test_a_row_called_readme(self, tmp_path: Path) -> None:
        """The card of the written splits takes no sample's place and writes into nobody's file."""
        pictures.folder(tmp_path, ["a.png"])
        mine = pictures.encoded(pictures.photo(9))
        for name in ("README.md", ".README.md.partial"):
            (tmp_path / name).write_bytes(mine)
        (tmp_path / "m.csv").write_text("path\na.png\nREADME.md\n.README.md.partial\n")
        dedup.run(
            settings(tmp_path / "m.csv", tmp_path / "run", policy={"duplicates": "report_only"})
        )

        assert [(tmp_path / name).read_bytes() for name in ("README.md", ".README.md.partial")] == [
            mine,
            mine,
        ]
        assert (tmp_path / "run/splits/README.md").read_bytes() == mine
        assert "Cleaned dataset" in (tmp_path / "run/splits/README.dedup.md").read_text()

    @pytest.mark.parametrize("files", ["hardlink", "copy", "symlink"])
    def test_broken_entries_in_a_held_out_split(self, tmp_path: Path, files: str) -> None:
        """A dangling link and a named pipe are listed, are not written, and do not stop the run."""
        pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
        (tmp_path / "data/test/gone.png").symlink_to(tmp_path / "nowhere.png")
        os.mkfifo(tmp_path / "data/test/pipe.png")
        config = settings(tmp_path / "data", tmp_path / "run")
        config["output"]["files"] = files
        run = dedup.run(config)
        reasons = dict(
            zip(run.decisions["id"].to_pylist(), run.decisions["reason"].to_pylist(), strict=True)
        )

        assert reasons["test/gone.png"] == reasons["test/pipe.png"] == "not there, not written"
        assert sorted(path.name for path in (tmp_path / "run/splits/test").iterdir()) == ["2.png"]

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        """A row whose path no file can have is missing, and the rest goes on."""
        pictures.folder(tmp_path, ["a.png", "b.png"])
        (tmp_path / "m.csv").write_text(
            f"path,split\na.png,train\nb.png,test\n{'x' * 300}.png,test\n"
        )
        run = dedup.run(settings(tmp_path / "m.csv", tmp_path / "run"))

        assert sorted(run.hashes["status"].to_pylist()) == ["missing", "ok", "ok"]

    def test_decide_leaves_nothing_stale(self, tmp_path: Path) -> None:
        """Splits and report of the earlier policy do not stand beside the new tables."""
        pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
        dedup.run(settings(tmp_path / "data", tmp_path / "run"))
        pipeline.decide(tmp_path / "run", ["policy.leakage=report_only", "output.splits=none"])

        assert not (tmp_path / "run/splits").exists()
        assert not (tmp_path / "run/report.html").exists()

    def test_decide_does_not_write_into_the_dataset(self, tmp_path: Path) -> None:
        """Another folder for `decide` is checked as that of a run is."""
        pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
        dedup.run(settings(tmp_path / "data", tmp_path / "run"))

        with pytest.raises(ConfigError, match="inside the dataset"):
            pipeline.decide(tmp_path / "run", output=tmp_path / "data/train/new")
        with pytest.raises(ConfigError, match="-o"):
            pipeline.decide(tmp_path / "run", ["output.dir=elsewhere"])

    def test_one_file_is_not_its_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run beside a Parquet file is not inside the dataset."""
        datasets.DatasetDict({"train": rows(1, 2)})["train"].to_parquet(tmp_path / "photos.parquet")
        monkeypatch.chdir(tmp_path)
        run = dedup.run(settings(Path("photos.parquet"), Path("runs/photos")))

        assert run.summary["decisions"]["keep"] == 2


class TestSettings:
    def test_keys_that_a_form_does_not_use(self, tmp_path: Path) -> None:
        """A key that would be ignored is refused by name."""
        pictures.folder(tmp_path / "data", ["1.png"])

        with pytest.raises(
            ConfigError, match=r"dataset\.split_column: not used by the form 'imagefolder'"
        ):
            dedup.audit(tmp_path / "data", split_column="fold", workers=0)

    def test_blanks_around_splits(self, tmp_path: Path) -> None:
        """`train, test` with blanks after the commas are train and test; a padded header is
        refused.
        """
        pictures.folder(tmp_path, ["a.png"])
        (tmp_path / "m.csv").write_text("id,path,split\n1,a.png, train\n2,a.png, test \n")
        (tmp_path / "padded.csv").write_text("path, split\na.png,train\n")

        assert set(dedup.audit(tmp_path / "m.csv", workers=0).summary["leakage"]) == {"test"}
        with pytest.raises(SourceError, match="blanks around the column name ' split'"):
            dedup.audit(tmp_path / "padded.csv", workers=0)

    def test_one_class_called_test(self, tmp_path: Path) -> None:
        """Class folders do not become splits because one has a split's name; `top_folders` says
        otherwise.
        """
        pictures.folder(tmp_path / "data", ["cat/1.png", "dog/2.png", "test/3.png"])
        found = dedup.audit(tmp_path / "data", workers=0)
        folds = dedup.audit(tmp_path / "data", workers=0, top_folders="splits", held_out=["test"])

        assert set(found.manifest["split"].to_pylist()) == {None}
        assert set(folds.manifest["split"].to_pylist()) == {"cat", "dog", "test"}
        assert set(folds.summary["leakage"]) == {"test"}

    def test_no_train_is_said(self, tmp_path: Path) -> None:
        """Splits without a train among them hold nothing out; the user is told."""
        pictures.folder(tmp_path / "data", ["test/1.png", "validation/2.png"])

        assert any(
            "No split is called train" in text
            for text in dedup.audit(tmp_path / "data").summary["warnings"]
        )

    def test_sections_are_dicts(self, tmp_path: Path) -> None:
        """A section that is given as a word is a clear error in Python, too."""
        with pytest.raises(ConfigError, match="hash: got 'phash'; a section is a dict"):
            dedup.audit(tmp_path, hash="phash", bits=64)  # type: ignore[arg-type]

    def test_like_takes_the_columns_along(self, tmp_path: Path) -> None:
        """The written splits of a run that needed `image_column` are audited with it."""
        both = rows(1, 2, mask=[{"bytes": pictures.encoded(pictures.photo(3)), "path": None}] * 2)
        made = datasets.DatasetDict({"train": both.cast_column("mask", datasets.Image())})
        made.save_to_disk(str(tmp_path / "saved"))
        config = settings(tmp_path / "saved", tmp_path / "run")
        config["dataset"]["image_column"] = "image"
        dedup.run(config)

        assert stored.like(tmp_path / "run", "huggingface")["dataset"]["image_column"] == "image"
        assert "image_column" not in stored.like(tmp_path / "run", "imagefolder")["dataset"]

    def test_oriented_searches_are_not_narrowed_afterwards(self, tmp_path: Path) -> None:
        """One transform is kept for a pair, so another search setting needs another search."""
        pictures.folder(tmp_path / "data", ["1.png", "2.png"])
        dedup.run(
            settings(tmp_path / "data", tmp_path / "run", search={"orientations": "mirrored"})
        )

        with pytest.raises(ConfigError, match="no search setting can be changed"):
            pipeline.decide(tmp_path / "run", ["search.max_distance=4"])
        assert (
            pipeline.decide(tmp_path / "run", ["verify.min_similarity=0.95"]).summary["decisions"][
                "keep"
            ]
            == 2
        )

    def test_a_run_of_a_path_below_home(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`~` in `dataset.path` is one's home, when it is run and when it is decided again."""
        monkeypatch.setenv("HOME", str(tmp_path))
        pictures.folder(tmp_path / "data", ["1.png"])
        dedup.run(settings(Path("~/data"), tmp_path / "run"))

        assert pipeline.decide(tmp_path / "run").summary["decisions"]["keep"] == 1


def test_a_file_that_kills_its_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held-out file that ends its process has a status, stays, and is not decoded again for the
    certificate.
    """
    pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
    (tmp_path / "data/test/kill.png").write_bytes(b"\xff\xd8\xffKILL")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'dedup.engines.worker' in sys.orig_argv:\n"
        "    import dedup.decoding.pictures as images\n"
        "    real = images.open_picture\n"
        "    def open_picture(data, **limits):\n"
        "        return os._exit(9) if data == b'\\xff\\xd8\\xffKILL' else real(data, **limits)\n"
        "    images.open_picture = open_picture\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = settings(tmp_path / "data", tmp_path / "run")
    config["engine"]["workers"] = 1
    run = dedup.run(config)
    found = dict(zip(run.manifest["id"].to_pylist(), run.hashes.to_pylist(), strict=True))

    assert found["test/kill.png"]["status"] == "undecodable"
    assert "died" in found["test/kill.png"]["detail"]
    assert {found[name]["status"] for name in ("train/1.png", "test/2.png")} == {"ok"}
    assert (tmp_path / "run/splits/test/kill.png").read_bytes() == b"\xff\xd8\xffKILL"
    assert run.summary["certificate"]["clean"]


def test_load_dataset_never_gives_another_run(tmp_path: Path) -> None:
    """Two runs, and a run whose policy changed, are three datasets to `load_dataset` with one
    cache.
    """
    datasets.DatasetDict({"train": rows(1, 2, 3, 3), "test": rows(9)}).save_to_disk(
        str(tmp_path / "one")
    )
    datasets.DatasetDict({"train": rows(5, 6, 7, 7), "test": rows(8)}).save_to_disk(
        str(tmp_path / "two")
    )

    def loaded(run: str) -> list[bytes]:
        found = datasets.load_dataset(
            str(tmp_path / run / "splits"), cache_dir=str(tmp_path / "cache")
        )["train"]
        return [
            row["bytes"]
            for row in found.cast_column("image", datasets.Image(decode=False))["image"]
        ]

    def encoded(*seeds: int) -> list[bytes]:
        return [pictures.encoded(pictures.photo(seed)) for seed in seeds]

    for name in ("one", "two"):
        dedup.run(settings(tmp_path / name, tmp_path / f"run_{name}"))

    assert encoded(1, 2, 3) == loaded("run_one")
    assert encoded(5, 6, 7) == loaded("run_two")
    pipeline.decide(tmp_path / "run_one", ["policy.duplicates=report_only"])
    assert encoded(1, 2, 3, 3) == loaded("run_one")


def test_a_gate_needs_something_to_look_at(tmp_path: Path) -> None:
    """A mistyped image root must not pass a leakage gate: a split of which nothing can be read
    exits with 4.
    """
    pictures.folder(tmp_path, ["a.png"])
    (tmp_path / "m.csv").write_text("path,split\na.png,train\ntypo/b.png,test\n")
    done = CliRunner().invoke(
        cli.app,
        [
            "audit",
            str(tmp_path / "m.csv"),
            "-o",
            str(tmp_path / "out"),
            "--max-leakage",
            "0",
            "--workers",
            "0",
        ],
    )

    assert done.exit_code == 4
    assert "No image of 'test' can be read" in done.stderr


def test_a_run_is_short_at_the_prompt(tmp_path: Path) -> None:
    """What a notebook shows of a run is a line, not its tables."""
    pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
    text = repr(dedup.audit(tmp_path / "data", workers=0))

    assert len(text) < 300
    assert "keep 2" in text
    assert "0 of test leak" in text


@pytest.mark.parametrize(
    ("where", "remedy"), [("", "no dataset is named"), (" ", "no dataset is named")]
)
def test_an_empty_path_is_not_the_working_folder(where: str, remedy: str) -> None:
    """An unset variable in a script does not audit whatever folder it runs in."""
    with pytest.raises(ConfigError, match=remedy):
        dedup.audit(where, workers=0)


def test_compare_says_which_setting_would_find_the_pair(tmp_path: Path) -> None:
    """A mirrored copy is no pair by default; the verdict names the setting under which it is
    one.
    """
    original = pictures.photo(5)
    a = pictures.save(original, tmp_path / "a.png")
    b = pictures.save(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path / "b.png")
    found = dedup.compare(a, b)

    assert found.kind is None
    assert "search.orientations: mirrored" in found.verdict()
    assert (
        dedup.compare(a, pictures.save(pictures.photo(6), tmp_path / "c.png")).turned_pair is False
    )
