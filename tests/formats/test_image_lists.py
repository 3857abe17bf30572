"""Rows with several images, and images inside other values: each image is a sample of its row."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dedup
from dedup.config import DatasetConfig
from dedup.errors import SourceError
from dedup.formats import open_source
from dedup.formats.image_lists import images_in
from tests import pictures
from tests.formats.layouts import IMAGE

FEATURES = datasets.Features(
    {"images": datasets.Sequence(datasets.Image()), "name": datasets.Value("string")}
)


def image(seed: int) -> dict[str, Any]:
    """A stored photo."""
    return {"bytes": pictures.encoded(pictures.photo(seed)), "path": None}


def rows_of(*rows: tuple[str, list[int]]) -> datasets.Dataset:
    """Rows of a text and the photos of some seeds."""
    return datasets.Dataset.from_dict(
        {"images": [[image(s) for s in seeds] for _, seeds in rows], "name": [t for t, _ in rows]},
        features=FEATURES,
    )


def cleaned(rule: Any, **splits: datasets.Dataset) -> tuple[dict[str, list[str]], dedup.Run]:
    """The texts of the rows that are left, by split, and the run."""
    clean, run = dedup.deduplicate(datasets.DatasetDict(splits), row=rule, workers=0)
    return {split: rows["name"][:] for split, rows in clean.items()}, run


TRAIN = rows_of(
    ("leaks by one", [0, 1]),
    ("leaks wholly", [0, 20]),
    ("kept", [2]),
    ("shares one", [2, 3]),
    ("the same", [2, 3]),
    ("other", [4, 5]),
    ("none", []),
)
TEST = rows_of(("test", [0, 20]))


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("any", ["kept", "other", "none"]),
        ("all", ["leaks by one", "kept", "shares one", "other", "none"]),
    ],
)
def test_a_row_goes_as_the_policy_says(rule: str, left: list[str]) -> None:
    """With `any` for one image, with `all` only where every image would go; rows stay whole, and
    the samples of a row share its fate.
    """
    texts, run = cleaned(rule, train=TRAIN, test=TEST)
    actions: dict[str, set[str]] = {}
    for row in run.decisions.to_pylist():
        actions.setdefault(row["id"].rpartition("/")[0], set()).add(row["action"])

    assert {"train": left, "test": ["test"]} == texts
    assert all(len(of_row) == 1 for of_row in actions.values())
    assert (rule == "any") == run.summary["certificate"]["clean"]


def test_every_sample_that_goes_has_a_witness_that_stays() -> None:
    """Also the images that match nothing and go with their row."""
    _, run = cleaned("any", train=TRAIN, test=TEST)
    rows = run.decisions.to_pylist()
    kept = {row["id"] for row in rows if row["action"] == "keep"}
    dropped = [row for row in rows if row["action"] == "drop"]

    assert {"another image of its row goes"} < {row["reason"] for row in dropped}
    assert {row["witness_id"] for row in dropped} <= kept
    assert len(rows) == 14


def test_a_chain_of_rows_loses_no_image() -> None:
    """A row that goes covers no other one: rows are compared with rows that stay."""
    chain = rows_of(("a", [0, 1]), ("b", [1, 2]), ("c", [2, 3]), ("d", [3, 4]))
    texts, _ = cleaned("any", train=chain)

    assert {"train": ["a", "c"]} == texts or {"train": ["b", "d"]} == texts


def test_the_same_image_twice_in_a_row_is_no_duplicate() -> None:
    """A row is not compared with itself."""
    texts, run = cleaned("any", train=rows_of(("twice", [0, 0]), ("other", [1])))

    assert {"train": ["twice", "other"]} == texts
    assert ["keep"] * 3 == run.decisions["action"].to_pylist()


def test_a_broken_image_stays_with_its_row() -> None:
    """A row is written while another of its images is."""
    train = datasets.Dataset.from_dict(
        {
            "images": [[image(0), {"bytes": b"broken", "path": None}], [image(1)]],
            "name": ["a", "b"],
        },
        features=FEATURES,
    )
    texts, run = cleaned("any", train=train)

    assert {"train": ["a", "b"]} == texts
    assert 1 == run.summary["decisions"]["by_reason"]["unreadable, kept"]


def test_files_without_features_of_datasets(tmp_path: Path) -> None:
    """Images in structs in lists of plain Parquet files, written with all else that their rows
    hold.
    """
    turn = pa.struct([("image", IMAGE), ("said", pa.string())])
    turns = [
        [{"image": image(0), "said": "x"}, {"image": None, "said": "y"}],
        [{"image": image(0), "said": "z"}],
        None,
    ]
    table = pa.table({"turns": pa.array(turns, pa.list_(turn)), "id": ["a", "b", "c"]})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set/train.parquet")
    config = {
        "dataset": {"path": str(tmp_path / "set"), "id_column": "id"},
        "output": {"dir": str(tmp_path / "out")},
        "engine": {"workers": 0},
    }
    run = dedup.run(config)
    written = pq.read_table(tmp_path / "out/splits/data")

    assert ["a/0", "a/1", "b/0", "c/0"] == run.manifest["id"].to_pylist()
    assert [turns[0], turns[2]] == written["turns"].to_pylist()
    assert "'turns.image'" in run.opened().understood
    assert run.summary["certificate"]["clean"]


def test_images_stored_as_paths_are_embedded(tmp_path: Path) -> None:
    """As those of a plain column of images are."""
    for seed in range(3):
        pictures.save(pictures.photo(seed), tmp_path / "saved" / f"{seed}.png")
    paths = [
        [str(tmp_path / "saved/0.png"), str(tmp_path / "saved/1.png")],
        [str(tmp_path / "saved/2.png")],
    ]
    rows = datasets.Dataset.from_dict({"images": paths, "name": ["a", "b"]}, features=FEATURES)
    rows.save_to_disk(str(tmp_path / "saved"))
    source = open_source(DatasetConfig(path=str(tmp_path / "saved")))
    dedup.run(
        {
            "dataset": {"path": str(tmp_path / "saved")},
            "output": {"dir": str(tmp_path / "out")},
            "engine": {"workers": 0},
        }
    )
    written = pq.read_table(tmp_path / "out/splits/data")["images"].to_pylist()

    assert 3 == len(source.rows)
    assert [[image(0)["bytes"], image(1)["bytes"]], [image(2)["bytes"]]] == [
        [stored["bytes"] for stored in row] for row in written
    ]


def test_rows_are_not_moved() -> None:
    """Regrouping moves samples, which share rows here."""
    source = open_source(DatasetConfig(), datasets.DatasetDict({"train": TRAIN}))

    with pytest.raises(SourceError, match="cannot move rows with several images"):
        source.check_movable()


def test_lists_of_any_depth() -> None:
    """The row of each image; a row without one has a null."""
    column = pa.chunked_array([pa.array([[[1, 2], []], None, [[3], None, [4]], []])])
    rows, images = images_in(column, "x")

    assert [0, 0, 1, 2, 2, 3] == rows.tolist()
    assert [1, 2, None, 3, 4, None] == images.to_pylist()


def test_single_images_inside_a_struct_keep_plain_ids() -> None:
    """A row is its image there, and nothing else is asked of it."""
    features = datasets.Features({"turn": {"image": datasets.Image()}})
    rows = datasets.Dataset.from_dict(
        {"turn": [{"image": image(0)}, {"image": image(0)}]}, features=features
    )
    clean, run = dedup.deduplicate(rows, workers=0)

    assert ["train/0", "train/1"] == run.manifest["id"].to_pylist()
    assert 1 == len(clean["train"])
