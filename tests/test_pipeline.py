"""The whole run over small folders: counts, reproducibility, refusals, decide, and what is
written.
"""

import csv
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from dedup import pipeline, tables
from dedup.certificate import certificate
from dedup.config import build
from dedup.errors import ConfigError, RunError
from dedup.runs import fingerprints, folder
from dedup.runs.result import Run
from dedup.tables import storage
from tests import listing, naive, pictures

RESULTS = ("pairs", "groups", "leakage", "decisions")


def settings(
    dataset: Path, to: Path | None = None, **sections: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings that run in this process and write no report unless `sections` say so."""
    return {
        **sections,
        "dataset": {"path": str(dataset), **sections.get("dataset", {})},
        "output": {
            "dir": None if to is None else str(to),
            "report": False,
            **sections.get("output", {}),
        },
        "engine": {"workers": 0, **sections.get("engine", {})},
    }


def ran(
    dataset: Path, to: Path | None = None, *, overwrite: bool = False, **sections: Mapping[str, Any]
) -> Run:
    return pipeline.run(build(settings(dataset, to, **sections)), overwrite=overwrite)


def stored(run_folder: Path, names: tuple[str, ...] = tables.NAMES) -> dict[str, bytes]:
    """The bytes of the tables' files."""
    return {name: (run_folder / f"{name}.parquet").read_bytes() for name in names}


def below(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def as_manifest(root: Path, target: Path, truth: naive.Truth, *, backwards: bool = False) -> Path:
    """A CSV over the planted folder, with absolute paths and explicit ids."""
    ids = sorted(truth.ids, reverse=backwards)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "split", "label"])
        writer.writerows([name, str(root / name), *name.split("/")[:2]] for name in ids)
    return target


class Planted:
    """A planted folder and one finished run over it."""

    def __init__(self, root: Path) -> None:
        self.dataset = root / "dataset"
        self.truth = naive.planted(self.dataset)
        self.before = below(self.dataset)
        self.run = root / "run"
        self.result = ran(self.dataset, self.run)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted"))


class TestFindings:
    def test_every_planted_pair_and_no_other(self, planted: Planted) -> None:
        """The pairs are those that were planted, with their kinds; broken and blank files are
        none.
        """
        rows = planted.result.pairs.to_pylist()

        assert set(planted.truth.pairs) == {(row["id_a"], row["id_b"], row["kind"]) for row in rows}

    def test_every_planted_leak_and_no_other(self, planted: Planted) -> None:
        """The leaks are those that were planted."""
        rows = planted.result.leakage.to_pylist()

        assert set(planted.truth.leaks) == {
            (row["id"], row["witness_id"], row["kind"]) for row in rows
        }

    def test_every_drop_names_its_witness(self, planted: Planted) -> None:
        """Dropped is what was planted to be dropped, because of what it was planted on."""
        dropped = {
            row["id"]: row["witness_id"]
            for row in planted.result.decisions.to_pylist()
            if row["action"] == "drop"
        }

        assert planted.truth.dropped.keys() == dropped.keys()
        assert all(witness in planted.truth.dropped[name] for name, witness in dropped.items())

    def test_the_summary_adds_up(self, planted: Planted) -> None:
        """Samples in = kept + dropped + unreadable, in all, by status, by reason and by split."""
        summary = folder.read_json(planted.run / folder.SUMMARY)
        truth, counts, done = planted.truth, summary["samples"], summary["decisions"]

        assert len(truth.ids) == counts["total"] == done["keep"] + done["drop"] + done["unreadable"]
        assert (len(truth.kept), len(truth.dropped), len(truth.unreadable)) == (
            done["keep"],
            done["drop"],
            done["unreadable"],
        )
        assert (
            counts["total"]
            == sum(counts["by_status"].values())
            == counts["readable"] + counts["unreadable"]
        )
        assert counts["total"] == sum(done["by_reason"].values())
        for name, split in summary["splits"].items():
            assert split["images"] == sum(one.startswith(name) for one in truth.ids)
            assert split["images"] == split["keep"] + split["drop"] + split["unreadable"]

    def test_leaks_are_counted_in_images(self, planted: Planted) -> None:
        """Two train copies of one test image are one leaking test image, and the share is of all
        its images.
        """
        leakage = planted.result.summary["leakage"]

        assert {"images": 4, "leaking": 2, "share": 0.5} == leakage["test"]
        assert {"images": 3, "leaking": 1, "share": 1 / 3} == leakage["validation"]
        matrix = planted.result.summary["leakage_matrix"]
        assert matrix["train"]["test"] == 3
        assert matrix["test"]["train"] == 2
        assert matrix["test"]["validation"] == matrix["validation"]["test"] == 1
        assert matrix["train"]["train"] == 6
        assert planted.result.summary["held_out_images_in_another_held_out_split"] == 2

    def test_run_json(self, planted: Planted) -> None:
        """run.json has config, versions, fingerprints, the stages with samples and seconds, and
        peak memory.
        """
        info = folder.read_json(planted.run / folder.RUN)

        assert info["state"] == "finished"
        assert {"python", "Pillow", "dedup-images"} <= info["versions"].keys()
        assert {"input", "config"} == info["fingerprints"].keys()
        names = ["manifest", "hashes", "crowds", "radius", *tables.NAMES[3:], "splits"]
        # of a first run
        stages = [stage for stage in info["stages"] if stage["stage"] != "kernels"]
        assert names == [stage["stage"] for stage in stages]
        assert all(stage["seconds"] >= 0 and stage["samples"] > 0 for stage in stages)
        assert info["peak_memory_bytes"] > 1_000_000

    def test_every_table_is_stored(self, planted: Planted) -> None:
        """The stored tables are those of the result, and each reads with its own spec."""
        specs = fingerprints.specs(planted.result.config, planted.result.resolved)
        for name in tables.NAMES:
            read = storage.read(planted.run, name, spec=specs[name])
            assert getattr(planted.result, name).equals(read, check_metadata=True)

    def test_the_dataset_is_untouched(self, planted: Planted) -> None:
        """Not one byte of the input changes."""
        assert planted.before == below(planted.dataset)


class TestReproducible:
    def test_a_second_run_rebuilds_in_place(self, planted: Planted) -> None:
        """The same input and config in the same folder is allowed and gives identical bytes, splits
        too.
        """
        before, written = stored(planted.run), below(planted.run / "splits")
        ran(planted.dataset, planted.run)

        assert before == stored(planted.run)
        assert written == below(planted.run / "splits")

    @pytest.mark.parametrize("workers", [1, 2])
    def test_any_number_of_workers(self, planted: Planted, tmp_path: Path, workers: int) -> None:
        """One process, two and this one give identical bytes."""
        ran(planted.dataset, tmp_path / "run", engine={"workers": workers})

        assert stored(planted.run) == stored(tmp_path / "run")

    def test_any_order_of_rows(self, planted: Planted, tmp_path: Path) -> None:
        """A manifest read forwards and backwards gives identical bytes."""
        for name, backwards in (("forwards", False), ("backwards", True)):
            path = as_manifest(
                planted.dataset, tmp_path / name / "rows.csv", planted.truth, backwards=backwards
            )
            ran(path, tmp_path / name / "run", output={"splits": "none"})

        assert stored(tmp_path / "forwards" / "run") == stored(tmp_path / "backwards" / "run")

    def test_a_manifest_finds_what_the_folder_finds(self, planted: Planted, tmp_path: Path) -> None:
        """The form of the dataset changes nothing in what is found."""
        ran(as_manifest(planted.dataset, tmp_path / "rows.csv", planted.truth), tmp_path / "run")
        for name in RESULTS:
            assert (
                getattr(planted.result, name).to_pylist()
                == storage.read(tmp_path / "run", name).to_pylist()
            )

    def test_any_order_of_files(
        self, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Files that the file system lists in another order give identical bytes."""
        with monkeypatch.context() as patched:
            patched.setattr(os, "scandir", listing.backwards(os.scandir))
            ran(planted.dataset, tmp_path / "run", output={"splits": "none"})

        assert stored(planted.run) == stored(tmp_path / "run")

    def test_the_place_of_the_dataset_is_no_part_of_it(
        self, planted: Planted, tmp_path: Path
    ) -> None:
        """A copy of the dataset somewhere else gives identical tables and may be rebuilt in the
        same folder.
        """
        naive.planted(tmp_path / "elsewhere")
        ran(tmp_path / "elsewhere", tmp_path / "run", output={"splits": "none"})
        ran(planted.dataset, tmp_path / "run", output={"splits": "none"})

        assert stored(planted.run) == stored(tmp_path / "run")

    def test_a_run_in_memory(self, planted: Planted) -> None:
        """Without a folder the tables are the same, and nothing is written."""
        result = ran(planted.dataset)

        assert result.dir is None
        for name in tables.NAMES:
            assert getattr(planted.result, name).equals(getattr(result, name), check_metadata=True)
        splits = result.splits()
        assert set(planted.truth.kept) | {"test/bad/three.jpg"} == {
            name for part in splits.values() for name in part["id"]
        }

    def test_a_killed_run_is_rebuilt(
        self, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run that died after any table is not taken for finished, and running it again gives
        identical bytes.
        """
        write = storage.write_parts
        for last in tables.NAMES:

            def die(parts: Any, where: Path, name: str, spec: Any, last: str = last) -> Any:
                if name == last:
                    raise KeyboardInterrupt
                return write(parts, where, name, spec)

            monkeypatch.setattr(storage, "write_parts", die)
            with pytest.raises(KeyboardInterrupt):
                ran(planted.dataset, tmp_path / "run", output={"splits": "none"})
            with pytest.raises(RunError, match="not finished"):
                pipeline.decide(tmp_path / "run")
        monkeypatch.undo()
        ran(planted.dataset, tmp_path / "run", output={"splits": "none"})

        assert stored(planted.run) == stored(tmp_path / "run")


class TestOutputFolder:
    @pytest.fixture
    def small(self, tmp_path: Path) -> Path:
        return pictures.folder(
            tmp_path / "small", ["train/x/1.png", "train/x/2.png", "test/x/3.png"]
        )

    def test_another_config_is_refused(self, small: Path, tmp_path: Path) -> None:
        """Another config in a folder with a run is an error that says so, and nothing is
        changed.
        """
        ran(small, tmp_path / "run")
        before = below(tmp_path / "run")
        with pytest.raises(RunError, match=r"another config.*--overwrite"):
            ran(small, tmp_path / "run", search={"max_distance": 3})

        assert before == below(tmp_path / "run")

    def test_another_input_is_refused(self, small: Path, tmp_path: Path) -> None:
        """Another input in a folder with a run is an error that says so."""
        ran(small, tmp_path / "run")
        pictures.save(pictures.photo(9), small / "train/x/9.png")
        with pytest.raises(RunError, match="another input"):
            ran(small, tmp_path / "run")

    def test_overwrite(self, small: Path, tmp_path: Path) -> None:
        """With overwrite the new run takes the place of the old one; foreign files stay."""
        ran(small, tmp_path / "run")
        (tmp_path / "run" / "notes.txt").write_text("mine")
        result = ran(small, tmp_path / "run", overwrite=True, search={"max_distance": 3})

        assert {"dhash": 3, "phash": 3} == result.resolved.search.max_distance
        assert {"dhash": 3, "phash": 3} == folder.read_json(tmp_path / "run/summary.json")[
            "resolved"
        ]["max_distance"]
        assert (tmp_path / "run" / "notes.txt").read_text() == "mine"

    def test_what_is_no_part_of_the_config(self, small: Path, tmp_path: Path) -> None:
        """Workers, gate and output keys may change between runs in one folder."""
        ran(small, tmp_path / "run")
        ran(
            small,
            tmp_path / "run",
            engine={"workers": None},
            gate={"max_leakage": 1.0},
            output={"splits": "none"},
        )

        assert not (tmp_path / "run" / "splits").exists()

    def test_a_folder_with_other_files_is_refused(self, small: Path, tmp_path: Path) -> None:
        """A folder that holds no run but files is left alone."""
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("precious")
        with pytest.raises(RunError, match="holds no run"):
            ran(small, tmp_path / "mine")

        assert {"thesis.txt": b"precious"} == below(tmp_path / "mine")

    def test_an_output_inside_the_dataset_is_refused(self, small: Path) -> None:
        """The output would be part of the next input."""
        with pytest.raises(ConfigError, match="inside the dataset"):
            ran(small, small / "train" / "out")

        assert not (small / "train" / "out").exists()

    def test_a_dataset_inside_the_output_is_refused(self, small: Path) -> None:
        """Overwriting the output must never reach the dataset."""
        with pytest.raises(ConfigError, match="inside the output"):
            ran(small, small.parent)

    def test_a_manifest_inside_the_output_is_refused(self, small: Path, tmp_path: Path) -> None:
        """The pictures that a manifest names lie in its folder: that is no place for an output
        either.
        """
        (small / "rows.csv").write_text("path,split\ntrain/x/1.png,train\n")
        with pytest.raises(ConfigError, match="inside the output"):
            ran(small / "rows.csv", small)

    def test_an_unwritable_output_is_refused(self, small: Path, tmp_path: Path) -> None:
        """A folder that cannot be made, because a part of its path is a file, is one clear
        error.
        """
        (tmp_path / "file").write_text("")
        with pytest.raises(RunError, match="cannot be written"):
            ran(small, tmp_path / "file" / "run")
        with pytest.raises(RunError, match="is a file"):
            ran(small, tmp_path / "file")

    def test_held_out_that_is_not_there(self, small: Path, tmp_path: Path) -> None:
        """A held-out split that no sample is in is refused before anything is written."""
        with pytest.raises(ConfigError, match=r"'tset'.*'test', 'train'"):
            ran(small, tmp_path / "run", policy={"held_out": ["tset"]})

        assert not (tmp_path / "run").exists()


class TestDecide:
    @pytest.mark.parametrize(
        "overrides",
        [
            [],
            ["search.max_distance=4"],
            ["search.max_distance={dhash: 2, phash: 8}"],
            ["search.combine=all", "search.max_distance=14"],
            ["verify.min_similarity=0.97"],
            ["verify.min_similarity=0.0"],
            ["policy.held_out=[test]"],
            *(
                [
                    f"policy.leakage={leakage}",
                    f"policy.duplicates={duplicates}",
                    f"policy.unreadable={unreadable}",
                ]
                for leakage, duplicates, unreadable in itertools.product(
                    ("drop_from_train", "drop_from_held_out", "report_only"),
                    ("keep_best", "keep_first", "report_only"),
                    ("drop_from_train", "drop", "keep"),
                )
            ),
        ],
        ids=" ".join,
    )
    def test_equal_to_a_full_run(
        self, planted: Planted, tmp_path: Path, overrides: list[str]
    ) -> None:
        """New settings on stored tables give, byte for byte, what a full run with these settings
        gives.
        """
        pipeline.run(
            build(
                settings(planted.dataset, tmp_path / "full", output={"splits": "none"}), overrides
            )
        )
        result = pipeline.decide(
            planted.run,
            [*overrides, "output.splits=none", "output.report=false"],
            output=tmp_path / "decided",
        )

        assert stored(tmp_path / "full", RESULTS) == stored(tmp_path / "decided", RESULTS)
        full = folder.read_json(tmp_path / "full" / folder.SUMMARY)
        assert full == json.loads(json.dumps(result.summary))

    def test_the_splits_too(self, planted: Planted, tmp_path: Path) -> None:
        """With splits, decide writes and certifies what a full run writes."""
        ran(planted.dataset, tmp_path / "full", policy={"leakage": "drop_from_held_out"})
        pipeline.decide(
            planted.run, ["policy.leakage=drop_from_held_out"], output=tmp_path / "decided"
        )

        assert below(tmp_path / "full" / "splits") == below(tmp_path / "decided" / "splits")
        assert (tmp_path / "full/summary.json").read_bytes() == (
            tmp_path / "decided/summary.json"
        ).read_bytes()

    def test_in_place(self, planted: Planted, tmp_path: Path) -> None:
        """Without an output folder the result takes the place of the old one, and can be decided on
        again.
        """
        ran(planted.dataset, tmp_path / "run")
        pipeline.decide(tmp_path / "run", ["search.max_distance=2"])
        result = pipeline.decide(
            tmp_path / "run", ["search.max_distance={dhash: 14, phash: 14, total: 41}"]
        )

        assert planted.result.pairs.equals(result.pairs, check_metadata=True)
        assert stored(planted.run, RESULTS) == stored(tmp_path / "run", RESULTS)

    @pytest.mark.parametrize(
        ("override", "said"),
        [
            ("search.max_distance=17", "searched up to 14 bits, not to 17"),
            (
                "search.max_distance={dhash: 1, phash: 20}",
                "phash was searched up to 14 bits, not to 20",
            ),
            ("hash.algorithms=[ahash]", "hash.algorithms"),
            ("hash.bits=256", "hash.bits"),
            ("hash.max_pixels=50", "hash.max_pixels"),
            ("verify.method=none", "verify.method"),
        ],
    )
    def test_what_was_not_searched_is_refused(
        self, planted: Planted, tmp_path: Path, override: str, said: str
    ) -> None:
        """Looser settings than the search's are an error that names the limit; nothing is
        changed.
        """
        before = below(planted.run)
        with pytest.raises(ConfigError, match=said):
            pipeline.decide(planted.run, [override])

        assert before == below(planted.run)

    def test_similarities_of_another_version_are_refused(
        self, planted: Planted, tmp_path: Path
    ) -> None:
        """Limits say nothing about what an earlier version has measured."""
        ran(planted.dataset, tmp_path / "run", output={"splits": "none"})
        path = tmp_path / "run" / "candidates.parquet"
        table = pq.read_table(path)
        kept = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        spec = json.loads(kept["dedup.spec"])
        del spec["verify"]["similarity_rule"]
        kept["dedup.spec"] = json.dumps(spec)
        pq.write_table(table.replace_schema_metadata(kept), path)

        with pytest.raises(ConfigError, match=r"similarity_rule.*None, not 2"):
            pipeline.decide(tmp_path / "run", ["verify.max_false_probability=0.1"])

    def test_any_after_all_is_refused(self, planted: Planted, tmp_path: Path) -> None:
        """A search for all distances does not hold what a search for any of them finds."""
        ran(planted.dataset, tmp_path / "run", search={"combine": "all"}, output={"splits": "none"})
        with pytest.raises(ConfigError, match="combine"):
            pipeline.decide(tmp_path / "run", ["search.combine=any"])

    def test_a_dataset_that_is_gone(self, planted: Planted, tmp_path: Path) -> None:
        """Without splits to write decide needs no dataset; with splits it is one clear error and
        nothing changes.
        """
        dataset = tmp_path / "dataset"
        naive.planted(dataset)
        ran(dataset, tmp_path / "run")
        dataset.rename(tmp_path / "moved")
        before = below(tmp_path / "run")
        with pytest.raises(ConfigError, match="does not exist"):
            pipeline.decide(tmp_path / "run", ["search.max_distance=4"])
        assert before == below(tmp_path / "run")
        result = pipeline.decide(tmp_path / "run", ["search.max_distance=4", "output.splits=none"])

        assert len(result.decisions) == len(planted.truth.ids)

    def test_a_dataset_that_has_changed(self, planted: Planted, tmp_path: Path) -> None:
        """Splits are not written from a dataset other than the one that was searched."""
        naive.planted(tmp_path / "dataset")
        ran(tmp_path / "dataset", tmp_path / "run")
        (tmp_path / "dataset/train/dog/g.png").unlink()
        with pytest.raises(RunError, match="has changed"):
            pipeline.decide(tmp_path / "run")

    def test_another_output_with_a_run_is_refused(self, planted: Planted, tmp_path: Path) -> None:
        """The output of decide is guarded as that of a run is."""
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("precious")
        with pytest.raises(RunError, match="holds no run"):
            pipeline.decide(planted.run, ["output.splits=none"], output=tmp_path / "mine")

    def test_no_run(self, tmp_path: Path) -> None:
        """A folder without a run is refused by name."""
        with pytest.raises(RunError, match=r"holds no run of dedup"):
            pipeline.decide(tmp_path)


class TestReport:
    def test_again(self, planted: Planted, tmp_path: Path) -> None:
        """The report of a finished run can be written again, the same."""
        ran(planted.dataset, tmp_path / "run", output={"report": True})
        before = (tmp_path / "run/report.html").read_bytes()
        (tmp_path / "run/report.html").unlink()
        pipeline.report(tmp_path / "run")

        assert before == (tmp_path / "run/report.html").read_bytes()

    def test_without_the_dataset(
        self, planted: Planted, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """When the dataset is gone the report shows the stored thumbnails and says so in the
        log.
        """
        naive.planted(tmp_path / "dataset")
        ran(tmp_path / "dataset", tmp_path / "run")
        (tmp_path / "dataset").rename(tmp_path / "moved")
        pipeline.report(tmp_path / "run")

        assert (tmp_path / "run/report.html").read_text().count("data:image/jpeg;base64,") > 5
        assert "thumbnails only" in caplog.text


class TestPolicies:
    @pytest.mark.parametrize(
        ("unreadable", "written"),
        [
            ("drop", set()),
            ("drop_from_train", {"test/bad/three.jpg"}),
            (
                "keep",
                {
                    "test/bad/three.jpg",
                    "train/bad/one.jpg",
                    "train/bad/two.jpg",
                    "train/bad/cut.jpg",
                },
            ),
        ],
    )
    def test_unreadable(
        self, planted: Planted, tmp_path: Path, unreadable: str, written: set[str]
    ) -> None:
        """Unreadable files are written where the policy says so, with the bytes they have."""
        result = ran(planted.dataset, tmp_path / "run", policy={"unreadable": unreadable})
        files = {
            name: data for name, data in below(tmp_path / "run/splits").items() if "/bad/" in name
        }

        assert {name: planted.before[name] for name in written} == files
        assert result.summary["decisions"]["unreadable"] == 4

    def test_two_broken_files_are_no_pair(self, planted: Planted) -> None:
        """Three files with the same broken bytes, one of them in test, are three unreadable samples
        and no pair.
        """
        for row in planted.result.pairs.to_pylist():
            assert "/bad/" not in row["id_a"] + row["id_b"]
        for row in planted.result.leakage.to_pylist():
            assert "/bad/" not in row["id"]

    def test_every_sample_has_a_status(self, planted: Planted) -> None:
        """Broken files have a status and a reason, the others are ok."""
        statuses = dict(
            zip(
                planted.truth.ids,
                planted.result.hashes.select(["status", "detail"]).to_pylist(),
                strict=True,
            )
        )

        assert {
            name for name, row in statuses.items() if row["status"] != "ok"
        } == planted.truth.unreadable
        assert statuses["train/bad/cut.jpg"]["status"] == "truncated"
        assert statuses["train/bad/one.jpg"]["status"] == "undecodable"
        assert all(row["detail"] for row in statuses.values() if row["status"] != "ok")

    def test_held_out_named(self, planted: Planted, tmp_path: Path) -> None:
        """Only the named splits are held out: leaks go from all others, validation too."""
        result = ran(planted.dataset, tmp_path / "run", policy={"held_out": ["test"]})
        dropped = {row["id"] for row in result.decisions.to_pylist() if row["action"] == "drop"}

        assert "validation/cat/h.jpg" in dropped
        assert not any(name.startswith("test/") for name in dropped)

    def test_no_train_no_leaks(self, tmp_path: Path) -> None:
        """Without a train split there are duplicates only, and they are dropped in every split."""
        pictures.folder(tmp_path / "data", ["test/1.png", "validation/2.png"])
        (tmp_path / "data/validation/1.png").write_bytes(
            (tmp_path / "data/test/1.png").read_bytes()
        )
        result = ran(tmp_path / "data")

        assert len(result.leakage) == 0
        assert result.resolved.splits.held_out == ()
        assert ["keep", "drop", "keep"] == result.decisions["action"].to_pylist()

    def test_no_splits_at_all(self, tmp_path: Path) -> None:
        """A folder of files without splits has duplicates only, and is written back as it was."""
        pictures.folder(tmp_path / "data", ["1.png", "2.png"])
        (tmp_path / "data/3.png").write_bytes((tmp_path / "data/1.png").read_bytes())
        result = ran(tmp_path / "data", tmp_path / "run")

        assert {"1.png", "2.png", "README.md"} == below(tmp_path / "run/splits").keys()
        assert {} == result.summary["leakage"]


class TestSplits:
    def test_a_folder(self, planted: Planted) -> None:
        """The kept files lie at their places with their bytes; held-out splits are whole."""
        written = below(planted.run / "splits")
        written.pop("README.md")
        expected = {
            name: planted.before[name] for name in [*planted.truth.kept, "test/bad/three.jpg"]
        }

        assert expected == written
        held_out = {name for name in planted.before if not name.startswith("train/")}
        assert held_out <= written.keys()

    def test_the_readme_says_what_was_done(self, planted: Planted) -> None:
        """Counts, resolved settings and certificate stand beside the data."""
        text = (planted.run / "splits/README.md").read_text()

        assert "20 samples" in text
        assert "10 kept, 6 dropped, 4 unreadable" in text
        assert '"dhash": 14' in text
        assert "No pair between train and a held-out split is left" in text

    def test_a_manifest(self, planted: Planted, tmp_path: Path) -> None:
        """The kept rows, with every column, in their order."""
        path = as_manifest(planted.dataset, tmp_path / "in/rows.csv", planted.truth, backwards=True)
        ran(path, tmp_path / "run")
        header, *lines = path.read_text().splitlines()
        expected = [
            header,
            *(
                line
                for line in lines
                if line.split(",")[0] in planted.truth.kept | {"test/bad/three.jpg"}
            ),
        ]

        assert expected == (tmp_path / "run/splits/rows.csv").read_text().splitlines()

    def test_a_hugging_face_dataset(self, planted: Planted, tmp_path: Path) -> None:
        """The kept rows with the same features and, byte for byte, the same images; `load_dataset`
        reads them.
        """
        features = datasets.Features(
            {
                "note": datasets.Value("string"),
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=["bad", "cat", "dog", "flat"]),
            }
        )
        names = {
            split: [name for name in planted.truth.ids if name.startswith(split)]
            for split in ("train", "validation", "test")
        }
        parts = {
            split: datasets.Dataset.from_dict(
                {
                    "note": those,
                    "image": [{"bytes": planted.before[name], "path": None} for name in those],
                    "label": [name.split("/")[1] for name in those],
                },
                features=features,
            )
            for split, those in names.items()
        }
        datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
        ran(tmp_path / "saved", tmp_path / "run")
        for split, those in names.items():
            (file,) = (tmp_path / "run/splits/data").glob(f"{split}-*.parquet")
            assert file.name == f"{split}-00000-of-00001.parquet"
            table = pq.read_table(file)
            kept = [name for name in those if name in planted.truth.kept | {"test/bad/three.jpg"}]
            assert features == datasets.Features.from_arrow_schema(table.schema)
            assert kept == table["note"].to_pylist()
            assert [planted.before[name] for name in kept] == [
                image["bytes"] for image in table["image"].to_pylist()
            ]
        loaded = datasets.load_dataset(
            str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "cache")
        )
        assert {"train", "validation", "test"} == set(loaded)
        assert features == loaded["train"].features

    def test_files_may_be_copied_or_linked(self, tmp_path: Path) -> None:
        """Hard links share the data, copies do not, symbolic links point to it."""
        dataset = pictures.folder(tmp_path / "data", ["train/1.png", "test/2.png"])
        for kind in ("hardlink", "copy", "symlink"):
            ran(dataset, tmp_path / kind, output={"files": kind})
            path = tmp_path / kind / "splits/train/1.png"
            assert (kind == "symlink") == path.is_symlink()
            assert (kind != "copy") == path.samefile(dataset / "train/1.png")

    def test_none(self, planted: Planted, tmp_path: Path) -> None:
        """`output.splits: none` writes no splits and gives no certificate."""
        result = ran(planted.dataset, tmp_path / "run", output={"splits": "none"})

        assert result.summary["certificate"] is None
        assert not (tmp_path / "run/splits").exists()

    def test_a_crash_while_writing_leaves_no_splits(
        self, planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Splits appear whole and certified, or not at all."""

        def full(*args: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(certificate, "certificate", full)
        with pytest.raises(OSError, match="No space"):
            ran(planted.dataset, tmp_path / "run")

        assert not (tmp_path / "run/splits").exists()
        assert folder.read_json(tmp_path / "run/run.json")["state"] == "started"
