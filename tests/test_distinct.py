"""One image with several texts: what makes rows distinct, and what is said of those that go."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as s

import dedup
from dedup import graph, pipeline, tables
from dedup.errors import ConfigError
from dedup.policy.covering import leader_cover
from dedup.policy.distinct import by_row
from tests import pictures


def rows_of(seeds: list[int], **columns: list[Any]) -> datasets.Dataset:
    """Rows with the photos of these seeds, as bytes, and texts."""
    values = [{"bytes": pictures.encoded(pictures.photo(seed)), "path": None} for seed in seeds]
    features = {"image": datasets.Image(), **{name: datasets.Value("string") for name in columns}}

    return datasets.Dataset.from_dict(
        {"image": values, **columns}, features=datasets.Features(features)
    )


def cleaned(made: Any, column: str = "question", **options: Any) -> tuple[list[str], dedup.Run]:
    """What is left in train."""
    clean, run = dedup.deduplicate(made, workers=0, **options)
    return clean["train"][column][:], run


FEW = {"seeds": [0, 0, *range(1, 31)], "question": [f"q{k}" for k in range(32)]}
"""2 of 32 rows share an image: a mistake, not a set of questions."""


class TestAuto:
    """What the data say."""

    def test_a_set_of_questions(self) -> None:
        """Where many rows share their image and differ, they are rows of texts: all are kept, and
        it is said.
        """
        left, run = cleaned(rows_of([0, 0, 0, 1], question=["a", "b", "c", "d"]))

        assert ["a", "b", "c", "d"] == left
        assert "row" == run.summary["resolved"]["distinct"]
        assert any(
            "3 rows (75.0 %)" in text and "'question'" in text for text in run.summary["warnings"]
        )

    def test_a_set_of_images(self) -> None:
        """Where few do, one row of each image is kept; the warning has the count, the column and
        the remedy.
        """
        left, run = cleaned(rows_of(FEW["seeds"], question=FEW["question"]))
        warning = next(text for text in run.summary["warnings"] if "'question'" in text)

        assert 31 == len(left)
        assert "image" == run.summary["resolved"]["distinct"]
        assert "1 row is dropped" in warning
        assert "policy.distinct: row" in warning

    @pytest.mark.parametrize("column", ["url", "path", "id", "index"])
    def test_names_are_no_annotations(self, column: str) -> None:
        """A crawl has one image under many addresses: these are duplicates."""
        left, run = cleaned(rows_of([0, 0, 0, 1], **{column: list("abcd")}), column)

        assert 2 == len(left)
        assert not [text for text in run.summary["warnings"] if column in text]

    def test_the_same_text_is_a_duplicate(self) -> None:
        """Of rows that say the same of one image, one is kept."""
        left, _ = cleaned(rows_of([0, 0, 0, 1], question=["a", "a", "b", "c"]))

        assert ["a", "b", "c"] == sorted(left)

    def test_other_splits_do_not_count(self) -> None:
        """Rows of another split with the same image are leaks, whatever they ask."""
        made = datasets.DatasetDict(
            {
                "train": rows_of([0, 0, 1, 1], question=list("abcd")),
                "test": rows_of([0], question=["e"]),
            }
        )
        left, run = cleaned(made)

        assert ["c", "d"] == left
        assert "row" == run.summary["resolved"]["distinct"]

    def test_exactly_a_tenth_is_not_more(self) -> None:
        """2 of 20 rows are not more than a tenth, 2 of 19 are."""
        rules = [
            cleaned(rows_of([0, 0, *range(1, n)], question=[f"q{k}" for k in range(n + 1)]))[1]
            for n in (19, 18)
        ]

        assert ["image", "row"] == [run.summary["resolved"]["distinct"] for run in rules]


class TestSet:
    """What the config says."""

    def test_row(self) -> None:
        """All rows that differ are kept, be they few."""
        left, _ = cleaned(rows_of(FEW["seeds"], question=FEW["question"]), distinct="row")

        assert 32 == len(left)

    def test_image(self) -> None:
        """One row of each image is kept, and that is said."""
        left, run = cleaned(rows_of([0, 0, 0, 1], question=list("abcd")), distinct="image")

        assert 2 == len(left)
        assert any("2 rows are dropped" in text for text in run.summary["warnings"])

    def test_named_columns(self) -> None:
        """Any column can make a row distinct."""
        made = rows_of([0, 0, 0, 1], question=["q"] * 4, region=["left", "right", "left", "left"])
        left, _ = cleaned(made, "region", distinct_columns=["region"])

        assert ["left", "left", "right"] == sorted(left)

    def test_a_column_that_is_not_there(self) -> None:
        """It is named, with those that there are."""
        with pytest.raises(
            ConfigError, match=r"distinct_columns: .* no column 'colour'.*'question'"
        ):
            cleaned(rows_of([0], question=["a"]), distinct_columns=["colour"])

    def test_near_copies(self) -> None:
        """A copy of another quality with another question is a row of its own, with the same one it
        is not.
        """
        photo = pictures.photo(3, (300, 200))
        images = [pictures.encoded(photo, "JPEG", quality=quality) for quality in (95, 60, 50)]
        made = datasets.Dataset.from_dict(
            {
                "image": [{"bytes": data, "path": None} for data in images],
                "question": ["a", "b", "a"],
            },
            features=datasets.Features(
                {"image": datasets.Image(), "question": datasets.Value("string")}
            ),
        )
        left, _ = cleaned(made, distinct="row")

        assert ["a", "b"] == left


def manifest(root: Path) -> dict[str, Any]:
    """A list of images with captions."""
    pictures.folder(root, ["a.png", "b.png"])
    (root / "m.csv").write_text("path,caption\na.png,one\na.png,two\nb.png,three\n")
    return {"path": str(root / "m.csv"), "id_column": "caption"}


def metadata(root: Path) -> dict[str, Any]:
    """An image folder with a JSON of each file."""
    pictures.folder(root, ["a.png", "b.png"])
    (root / "c.png").write_bytes((root / "a.png").read_bytes())
    lines = [{"file_name": f"{name}.png", "text": name} for name in "abc"]
    (root / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"path": str(root)}


@pytest.mark.parametrize("make", [manifest, metadata])
def test_in_every_form_with_columns(tmp_path: Path, make: Any) -> None:
    """Columns of manifests and metadata count as those of Parquet do; `decide` knows them without
    the dataset.
    """
    config = {
        "dataset": make(tmp_path / "set"),
        "output": {"dir": str(tmp_path / "out")},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    decided = pipeline.decide(tmp_path / "out", ["policy.distinct=image"])

    assert 3 == run.summary["decisions"]["keep"]
    assert 2 == decided.summary["decisions"]["keep"]


def test_members_of_a_webdataset(tmp_path: Path) -> None:
    """The caption beside an image in a shard."""
    rows_of([0, 0, 1], caption=["a", "b", "c"]).to_parquet(tmp_path / "rows.parquet")
    config: dict[str, Any] = {
        "dataset": {"path": str(tmp_path / "rows.parquet")},
        "engine": {"workers": 0},
    }
    dedup.run({**config, "output": {"dir": str(tmp_path / "out"), "splits": "webdataset"}})
    again = dedup.audit(str(tmp_path / "out/splits"), workers=0)

    assert 3 == again.summary["decisions"]["keep"]


@given(data=s.data())
def test_the_graph_of_rows(data: s.DataObject) -> None:
    """A cover of the divided graph leads only samples that say the same and match, as a double loop
    finds them.
    """
    n = data.draw(s.integers(1, 12))
    picture = data.draw(s.lists(s.integers(0, 4), min_size=n, max_size=n))
    text = data.draw(s.lists(s.sampled_from(["x", "y", None]), min_size=n, max_size=n))
    lowest = [picture.index(one) for one in picture]
    reps = sorted({*lowest})
    near = [(a, b) for a in reps for b in reps if a < b and data.draw(s.booleans())]
    pairs = [(a, b, "near") for a, b in near] + [
        (lowest[i], i, "pixels") for i in range(n) if lowest[i] != i
    ]
    pairs.sort()
    table = pa.table(
        {
            "a": pa.array([p[0] for p in pairs], pa.int64()),
            "b": pa.array([p[1] for p in pairs], pa.int64()),
            "kind": pa.array([p[2] for p in pairs], pa.string()),
            "distance_dhash": pa.array([1] * len(pairs), pa.uint16()),
            "similarity": pa.array([0.9] * len(pairs), pa.float32()),
            "better": pa.nulls(len(pairs), pa.string()),
        }
    )
    whole = graph.from_pairs(table, n)
    divided = by_row(whole, pa.table({"distinct": pa.array(text, pa.string())}))
    order = np.array(data.draw(s.permutations(range(n))), np.int64)
    cover = leader_cover(divided, order, np.ones(n, bool)).sample.tolist()

    matches = defaultdict(set)
    for i in range(n):
        for j in range(n):
            same = lowest[i] == lowest[j] or tuple(sorted((lowest[i], lowest[j]))) in near
            if i != j and same and text[i] == text[j]:
                matches[i].add(j)
    expected: dict[int, int] = {}
    for i in order.tolist():
        if i not in expected:
            expected |= {i: i} | {j: i for j in matches[i] if j not in expected}

    assert expected == dict(enumerate(cover))
    assert tables.algorithms_of(table) == ("dhash",)
