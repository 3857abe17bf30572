"""The Python functions of DESIGN section 5."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import dedup
from tests import naive, pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, naive.Truth]:
    root = tmp_path_factory.mktemp("api") / "data"
    return root, naive.planted(root)


@pytest.fixture(scope="module")
def in_memory(folder: tuple[Path, naive.Truth]) -> datasets.DatasetDict:
    """The planted pictures as a DatasetDict with columns before and after the image."""
    root, truth = folder
    features = datasets.Features(
        {
            "name": datasets.Value("string"),
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["bad", "cat", "dog", "flat"]),
            "weights": datasets.Sequence(datasets.Value("float32")),
        }
    )
    parts = {}
    for split in ("validation", "train", "test"):
        names = [name for name in truth.ids if name.startswith(split)]
        columns = {
            "name": names,
            "image": [
                {"bytes": (root / name).read_bytes(), "path": name.split("/")[-1]} for name in names
            ],
            "label": [name.split("/")[1] for name in names],
            "weights": [[float(k)] for k in range(len(names))],
        }
        parts[split] = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict(parts)


def stored(dataset: datasets.Dataset) -> list[dict[str, object]]:
    """Rows with the bytes that are stored."""
    return list(dataset.cast_column("image", datasets.Image(decode=False)).to_list())


class TestNames:
    def test_all_is_what_there_is(self) -> None:
        """Every public name can be imported, and there is no other."""
        names = {name: getattr(dedup, name) for name in dedup.__all__}

        assert sorted(dedup.__all__) == list(dedup.__all__)
        assert all(value is not None for value in names.values())
        code = "import dedup; print(*sorted(n for n in vars(dedup) if n[0] != '_'))"
        public = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        assert {"TYPE_CHECKING", "Any", "import_module"} >= set(public) - set(dedup.__all__)
        design = {
            "run",
            "audit",
            "deduplicate",
            "find_pairs",
            "hash_images",
            "compare",
            "Run",
            "Comparison",
        }
        assert design <= set(dedup.__all__)

    def test_no_other_name(self) -> None:
        """A name that is not there is an AttributeError that names it."""
        with pytest.raises(AttributeError, match="find_dupes"):
            dedup.find_dupes  # noqa: B018

    @pytest.mark.parametrize(
        "code", ["import dedup", "import dedup.cli", "from dedup import *; dedup = 1"]
    )
    def test_a_light_import(self, code: str) -> None:
        """`import dedup` and the help of the command line wait for none of the heavy libraries."""
        heavy = "numba scipy datasets torch pandas"
        if "*" in code:
            code, heavy = (
                "import dedup; dedup.ConfigError; dedup.Config",
                "numba scipy datasets torch pandas pyarrow",
            )
        check = f"{code}\nimport sys\nprint(*[m for m in {heavy.split()} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", check], capture_output=True, text=True, check=True
        )

        assert done.stdout.split() == []

    def test_errors_have_one_base(self) -> None:
        """Every error is a DedupError; a ConfigError holds its problems."""
        errors = [getattr(dedup, name) for name in dedup.__all__ if name.endswith("Error")]

        assert all(issubclass(error, dedup.DedupError) for error in errors)
        assert dedup.ConfigError("one", "two").problems == ("one", "two")


class TestRun:
    def test_a_mapping_a_file_or_a_config(
        self, folder: tuple[Path, naive.Truth], tmp_path: Path
    ) -> None:
        """The three ways to give a config are one."""
        settings = {"dataset": {"path": str(folder[0])}, "engine": {"workers": 0}}
        (tmp_path / "config.yaml").write_text(
            f"dataset: {{path: '{folder[0]}'}}\nengine: {{workers: 0}}\n"
        )
        runs = [
            dedup.run(settings),
            dedup.run(tmp_path / "config.yaml"),
            dedup.run(str(tmp_path / "config.yaml")),
            dedup.run(dedup.Config.model_validate(settings)),
        ]

        assert all(runs[0].decisions.equals(other.decisions) for other in runs)
        assert len(runs[0].decisions) == len(folder[1].ids)
        assert not (tmp_path / "runs").exists()

    def test_overwrite(self, folder: tuple[Path, naive.Truth], tmp_path: Path) -> None:
        """Another run in the folder is refused, unless overwrite is set."""
        settings = {
            "dataset": {"path": str(folder[0])},
            "engine": {"workers": 0},
            "output": {"dir": str(tmp_path / "run"), "splits": "none", "report": False},
        }
        dedup.run(settings)
        with pytest.raises(dedup.RunError, match="another config"):
            dedup.run({**settings, "search": {"max_distance": 2}})
        result = dedup.run({**settings, "search": {"max_distance": 2}}, overwrite=True)

        assert result.summary["resolved"]["max_distance"] == {"dhash": 2, "phash": 2}

    def test_splits(self, folder: tuple[Path, naive.Truth]) -> None:
        """Run.splits() of a folder has the kept images with label and id, their bytes as stored."""
        root, truth = folder
        splits = dedup.run({"dataset": {"path": str(root)}, "engine": {"workers": 0}}).splits()
        rows = {
            row["id"]: row
            for part in splits.values()
            for row in part.cast_column("image", datasets.Image(decode=False))
        }

        assert rows.keys() == truth.kept | {"test/bad/three.jpg"}
        assert rows["train/dog/g.png"]["label"] == "dog"
        image = rows["train/dog/g.png"]["image"]
        assert (image["bytes"] or Path(image["path"]).read_bytes()) == (
            root / "train/dog/g.png"
        ).read_bytes()


class TestAudit:
    def test_a_path(self, folder: tuple[Path, naive.Truth], tmp_path: Path) -> None:
        """A path and options give the tables; with `dir` they are written, but no splits."""
        result = dedup.audit(folder[0], workers=0, dir=str(tmp_path / "run"))

        assert len(result.leakage) == len(folder[1].leaks)
        assert (tmp_path / "run/leakage.parquet").exists()
        assert not (tmp_path / "run/splits").exists()
        assert result.summary["certificate"] is None

    def test_a_dataset_dict(
        self, in_memory: datasets.DatasetDict, folder: tuple[Path, naive.Truth]
    ) -> None:
        """A DatasetDict in memory has ids `split/row` and the same leaks as the folder."""
        result = dedup.audit(in_memory, workers=0)
        names = {
            f"{split}/{row}": name
            for split, part in in_memory.items()
            for row, name in enumerate(part["name"])
        }
        leaks = {
            (names[row["id"]], names[row["witness_id"]], row["kind"])
            for row in result.leakage.to_pylist()
        }

        assert set(folder[1].leaks) == leaks

    def test_a_dataset(self, in_memory: datasets.DatasetDict) -> None:
        """A Dataset is a dataset with one split."""
        result = dedup.audit(in_memory["train"], workers=0)

        assert len(result.decisions) == in_memory["train"].num_rows
        assert len(result.leakage) == 0

    def test_what_is_no_dataset(self) -> None:
        """Anything else is refused with its type."""
        with pytest.raises(dedup.SourceError, match="list"):
            dedup.audit([1, 2])

    def test_options(self, folder: tuple[Path, naive.Truth]) -> None:
        """Options go by their own name or by section."""
        flat = dedup.audit(folder[0], workers=0, max_distance=3, held_out=["test"])
        nested = dedup.audit(
            folder[0],
            engine={"workers": 0},
            search={"max_distance": 3},
            policy={"held_out": ["test"]},
        )

        assert flat.resolved == nested.resolved
        assert flat.resolved.search.max_distance == {"dhash": 3, "phash": 3}
        assert flat.resolved.splits.held_out == ("test",)

    def test_unknown_options(self, folder: tuple[Path, naive.Truth]) -> None:
        """All unknown options are named at once, each with the nearest known one."""
        wrong = {"max_distence": 3, "heldout": ["test"], "serach": {}}

        with pytest.raises(dedup.ConfigError) as caught:
            dedup.audit(folder[0], **wrong)  # type: ignore[arg-type]

        assert len(caught.value.problems) == 3
        assert "max_distence: unknown option. Did you mean 'max_distance'?" in caught.value.problems
        assert "heldout: unknown option. Did you mean 'held_out'?" in caught.value.problems
        assert "serach: unknown option. Did you mean 'search'?" in caught.value.problems

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        """A mistyped path is named."""
        with pytest.raises(dedup.ConfigError, match="nowhere"):
            dedup.audit(tmp_path / "nowhere")


class TestDeduplicate:
    def test_rows_are_selected(
        self, in_memory: datasets.DatasetDict, folder: tuple[Path, naive.Truth]
    ) -> None:
        """Kept rows are those of the input: bytes, columns, features, order and split names as they
        were.
        """
        clean, run = dedup.deduplicate(in_memory, workers=0)
        kept = folder[1].kept | {"test/bad/three.jpg"}

        assert list(in_memory) == list(clean)
        for split, part in in_memory.items():
            assert part.features == clean[split].features
            assert [row for row in stored(part) if row["name"] in kept] == stored(clean[split])
        assert run.summary["certificate"]["clean"] is True

    def test_held_out_splits_are_untouched(self, in_memory: datasets.DatasetDict) -> None:
        """Held-out splits have every row they had."""
        clean, _ = dedup.deduplicate(in_memory, workers=0)

        assert all(
            stored(in_memory[split]) == stored(clean[split]) for split in ("validation", "test")
        )

    def test_the_input_is_untouched(self, in_memory: datasets.DatasetDict) -> None:
        """The DatasetDict that was given keeps its rows."""
        before = {split: part.num_rows for split, part in in_memory.items()}
        dedup.deduplicate(in_memory, workers=0)

        assert before == {split: part.num_rows for split, part in in_memory.items()}

    def test_twice(self, in_memory: datasets.DatasetDict) -> None:
        """What was cleaned has nothing left to drop."""
        clean, _ = dedup.deduplicate(in_memory, workers=0)
        _, run = dedup.deduplicate(clean, workers=0)

        assert run.summary["decisions"]["drop"] == 0
        assert len(run.leakage) == 0

    def test_a_folder(self, folder: tuple[Path, naive.Truth]) -> None:
        """A folder gives a DatasetDict too."""
        clean, run = dedup.deduplicate(folder[0], workers=0)

        assert {"train", "validation", "test"} == set(clean)
        assert sum(part.num_rows for part in clean.values()) == run.keep().sum()

    def test_to_a_folder(self, in_memory: datasets.DatasetDict, tmp_path: Path) -> None:
        """With `dir` the splits are written as Parquet beside the tables."""
        clean, _ = dedup.deduplicate(in_memory, workers=0, dir=str(tmp_path / "run"), report=False)
        loaded = datasets.load_dataset(
            str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "cache")
        )
        for split, part in clean.items():
            assert stored(part) == stored(loaded[split])

    def test_a_split_that_becomes_empty(self, in_memory: datasets.DatasetDict) -> None:
        """When every train row leaks, train is there, with its features and no rows."""
        train = in_memory["train"].select(range(2))
        made = datasets.DatasetDict(
            {"train": train, "test": datasets.concatenate_datasets([train, in_memory["test"]])}
        )
        names = train["name"]
        clean, _ = dedup.deduplicate(made, workers=0, unreadable="drop")

        assert [name for name in names if "/bad/" not in name] == [] or clean["train"].num_rows == 0
        assert clean["train"].features == train.features


class TestFindPairs:
    def test_equal_to_the_double_loop(self) -> None:
        """All pairs within the distance, self-join and cross-join."""
        codes = np.random.default_rng(3).integers(0, 256, (60, 8), dtype=np.uint8)
        codes[30:] = codes[:30] ^ np.array([1, 0, 0, 2, 0, 0, 0, 128], dtype=np.uint8)
        raw = [bytes(code) for code in codes]
        for limit in (2, 3, 25):
            own = dedup.find_pairs(codes, max_distance=limit)
            expected = [
                {"a": a, "b": b, "distance": d}
                for a in range(60)
                for b in range(a + 1, 60)
                if (d := naive.hamming(raw[a], raw[b])) <= limit
            ]
            assert expected == own.to_pylist()
            cross = dedup.find_pairs(codes[:30], codes[30:], max_distance=limit)
            expected = [
                {"a": a, "b": b, "distance": d}
                for a in range(30)
                for b in range(30)
                if (d := naive.hamming(raw[a], raw[30 + b])) <= limit
            ]
            assert expected == cross.to_pylist()

    @pytest.mark.parametrize(
        "bad", [np.zeros((2, 7), np.uint8), np.zeros(8, np.uint8), np.zeros((2, 8), np.int64)]
    )
    def test_codes_of_another_form(self, bad: NDArray[Any]) -> None:
        """Codes must be uint8 rows of whole words."""
        with pytest.raises(dedup.ConfigError, match="codes must be"):
            dedup.find_pairs(bad, max_distance=1)


class TestHashImages:
    @pytest.mark.parametrize(
        ("algorithm", "function"),
        [
            ("ahash", imagehash.average_hash),
            ("phash", imagehash.phash),
            ("dhash", imagehash.dhash),
            ("whash", imagehash.whash),
        ],
    )
    def test_paths_bytes_and_images(
        self, tmp_path: Path, algorithm: str, function: Callable[[Image.Image], object]
    ) -> None:
        """A path, its bytes and the opened image have ImageHash's own code."""
        path = pictures.save(pictures.photo(4), tmp_path / "a.png")
        image = Image.open(path)
        codes = dedup.hash_images(
            [path, str(path), path.read_bytes(), image], algorithm=algorithm, mode="compat"
        )
        expected = str(function(Image.open(path)))

        assert codes.shape == (4, 8)
        assert codes.dtype == np.uint8
        assert [expected] * 4 == [bytes(code).hex() for code in codes]

    def test_widths(self) -> None:
        """64, 256 and 1024 bits; none for no pictures."""
        image = pictures.photo(4)

        assert [
            dedup.hash_images([image], algorithm="dhash", bits=bits).shape
            for bits in (64, 256, 1024)
        ] == [
            (1, 8),
            (1, 32),
            (1, 128),
        ]
        assert dedup.hash_images([], algorithm="dhash").shape == (0, 8)

    def test_mistakes(self, tmp_path: Path) -> None:
        """All wrong arguments at once; a picture that cannot be read is named by its place or
        path.
        """
        with pytest.raises(dedup.ConfigError) as caught:
            dedup.hash_images([], algorithm="hash", bits=63, mode="quick")
        assert len(caught.value.problems) == 3
        with pytest.raises(dedup.SourceError, match=r"images\[1\]: not_image"):
            dedup.hash_images([pictures.encoded(pictures.photo(1)), b"nothing"], algorithm="dhash")
        with pytest.raises(dedup.SourceError, match=r"nowhere\.png.*missing"):
            dedup.hash_images([tmp_path / "nowhere.png"], algorithm="dhash")


class TestCompare:
    def test_a_near_pair(self, tmp_path: Path) -> None:
        """Distances, similarity and kind as a run would find them."""
        a = pictures.save(pictures.photo(1), tmp_path / "a.png")
        b = pictures.encoded(pictures.photo(1), "JPEG", quality=30)
        found = dedup.compare(a, b)

        assert found.kind == "near"
        assert not found.same_bytes
        assert not found.same_pixels
        expected = {
            "ahash": imagehash.average_hash,
            "phash": imagehash.phash,
            "dhash": imagehash.dhash,
            "whash": imagehash.whash,
        }
        pixels = dedup.compare(b, b)
        assert pixels.kind == "bytes"
        with (tmp_path / "b.jpg").open("wb") as file:
            file.write(b)
        for name, function in expected.items():
            assert (
                function(Image.open(a)) - function(Image.open(tmp_path / "b.jpg"))
                == found.distances[name]
            )

    def test_different_pictures(self) -> None:
        """Two different photos are no pair."""
        found = dedup.compare(*(pictures.encoded(pictures.photo(seed)) for seed in (1, 2)))

        assert found.kind is None
        assert found.verdict().startswith("No pair")
