"""Hugging Face datasets: in memory, saved to disk or as Parquet files; the stored bytes are read
and written back.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from numpy.typing import NDArray

import dedup
from dedup.config import DatasetConfig
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats import Source, detect, open_source, payloads, read_bytes
from tests import pictures

FEATURES = Features(
    {
        "name": Value("string"),
        "image": ImageFeature(),
        "label": ClassLabel(names=["cat", "dog"]),
        "box": datasets.List(Value("float32")),
    }
)
SIZES = {"train": 5, "val": 3, "test": 2}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to reach the network fails the test."""

    def refuse(*_: object) -> None:
        message = "a test tried to reach the network"
        raise AssertionError(message)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    datasets.disable_progress_bars()


def encoded(seed: int) -> bytes:
    """A picture as a JPEG: whoever decodes and encodes it again changes it."""
    return pictures.encoded(pictures.photo(seed, (24, 18)), "JPEG", quality=70)


def record(seed: int) -> dict[str, Any]:
    """One row with every column."""
    image = {"bytes": encoded(seed), "path": f"{seed}.jpg"}
    return {"name": f"n{seed}", "image": image, "label": seed % 2, "box": [seed / 2, 1.0]}


def part(seeds: Sequence[int]) -> Dataset:
    """One split."""
    return Dataset.from_list([record(seed) for seed in seeds], features=FEATURES)


@pytest.fixture
def splits() -> DatasetDict:
    """Three splits with ten different pictures."""
    seeds = iter(range(10))
    return DatasetDict({name: part([next(seeds) for _ in range(n)]) for name, n in SIZES.items()})


def source(dataset: Any, **settings: Any) -> Source:
    """A source from an object or a path, opened as the pipeline does."""
    if isinstance(dataset, Path):
        return open_source(DatasetConfig(path=str(dataset), **settings))
    return open_source(DatasetConfig(**settings), dataset)


def stored(opened: Source, size: int = 4) -> list[bytes | Unreadable]:
    """What is read for each row."""
    return [
        read_bytes(path, data)
        for batch in payloads(opened, size)
        for path, data in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True)
    ]


def contents(dataset: Any) -> dict[str, list[dict[str, Any]]]:
    """Every row of every split, images as they are stored."""
    raw = {name: table.with_format("arrow")[:].to_pylist() for name, table in dataset.items()}
    for rows in raw.values():
        for row in rows:
            for value in row.values():
                if isinstance(value, dict):
                    value.pop("path", None)  # a hint for people: bytes are what counts
    return raw


def loaded(folder: Path, cache: Path) -> DatasetDict:
    """A folder as a user would load it."""
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def refusal(dataset: Any, **settings: Any) -> str:
    """Why a dataset is refused."""
    with pytest.raises((ConfigError, SourceError)) as caught:
        source(dataset, **settings)
    return str(caught.value)


def parquet_folder(root: Path, dataset: DatasetDict, shards: int = 2) -> Path:
    """A dataset as the Hub lays it out: data/<split>-00000-of-0000N.parquet and a README."""
    (root / "data").mkdir(parents=True)
    for name, table in dataset.items():
        for k in range(shards):
            shard = table.shard(shards, k, contiguous=True)
            shard.to_parquet(str(root / f"data/{name}-{k:05d}-of-{shards:05d}.parquet"))
    (root / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# Pictures\n", encoding="utf-8")
    return root


def forms(tmp_path: Path, dataset: DatasetDict) -> dict[str, Any]:
    """One dataset in every form."""
    dataset.save_to_disk(str(tmp_path / "saved"))
    return {
        "memory": dataset,
        "saved": tmp_path / "saved",
        "parquet": parquet_folder(tmp_path / "parquet", dataset),
    }


FORMS = ["memory", "saved", "parquet"]
every_form = pytest.mark.parametrize("form", FORMS)

KEEP = np.array([True, False, True, True, False, False, True, True, True, False])


# --- reading --------------------------------------------------------------------------------------


@every_form
def test_rows_and_bytes(tmp_path: Path, splits: DatasetDict, form: str) -> None:
    """Ids are `split/row`, splits are normalised, class labels are names, and the bytes are the
    stored ones.
    """
    opened = source(forms(tmp_path, splits)[form])
    rows = {row["id"]: (row["split"], row["label"]) for row in opened.rows.to_pylist()}
    at = dict(zip(opened.rows["id"].to_pylist(), stored(opened), strict=True))

    expected = {f"train/{k}": ("train", "cd"[k % 2]) for k in range(5)}
    expected |= {f"validation/{k}": ("validation", "cd"[(k + 5) % 2]) for k in range(3)}
    expected |= {f"test/{k}": ("test", "cd"[(k + 8) % 2]) for k in range(2)}
    names = {"c": "cat", "d": "dog"}
    assert {key: (split, names[label]) for key, (split, label) in expected.items()} == rows
    ids = (
        [f"train/{k}" for k in range(5)]
        + [f"validation/{k}" for k in range(3)]
        + [f"test/{k}" for k in range(2)]
    )
    assert [encoded(seed) for seed in range(10)] == [at[name] for name in ids]


@every_form
def test_payload_of_named_rows(tmp_path: Path, splits: DatasetDict, form: str) -> None:
    """Rows of several splits come in the order in which they are asked for."""
    opened = source(forms(tmp_path, splits)[form])
    everything = stored(opened)
    got = [
        (row, data)
        for batch in opened.payload_of([9, 0, 6, 5, 4])
        for row, data in zip(batch["row"].to_pylist(), batch["data"].to_pylist(), strict=True)
    ]

    assert [(row, everything[row]) for row in (9, 0, 6, 5, 4)] == got


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_payloads_of_any_size(splits: DatasetDict, size: int) -> None:
    """Batches hold every row once, in order, and never more than asked for."""
    batches = list(payloads(source(splits), size))

    assert list(range(10)) == [row for batch in batches for row in batch["row"].to_pylist()]
    assert max(batch.num_rows for batch in batches) <= size


def test_forms_are_detected(tmp_path: Path, splits: DatasetDict) -> None:
    """A saved folder, a single saved split, a Parquet folder and a file with an image struct are
    told apart.
    """
    made = forms(tmp_path, splits)
    splits["train"].save_to_disk(str(tmp_path / "single"))
    pq.write_table(pa.table({"path": ["a.png"]}), tmp_path / "manifest.parquet")
    file = tmp_path / "parquet/data/train-00000-of-00002.parquet"

    for path in (made["saved"], made["parquet"], tmp_path / "single", file):
        assert detect(path) == "huggingface", path
    assert detect(tmp_path / "manifest.parquet") == "manifest"


def test_a_single_split(tmp_path: Path) -> None:
    """A `Dataset` alone is a train split, in memory and on disk, and so is a single Parquet
    file.
    """
    part([0, 1]).save_to_disk(str(tmp_path / "single"))
    part([0, 1]).to_parquet(str(tmp_path / "single.parquet"))

    for form in (part([0, 1]), tmp_path / "single", tmp_path / "single.parquet"):
        opened = source(form)
        assert ["train/0", "train/1"] == opened.rows["id"].to_pylist()
        assert [encoded(0), encoded(1)] == stored(opened)


@pytest.mark.parametrize("with_path", [True, False])
def test_parquet_that_datasets_did_not_write(tmp_path: Path, with_path: bool) -> None:
    """A struct of bytes and path is an image column, also in a file without the library's
    metadata.
    """
    names = ["0.jpg", "1.jpg"] if with_path else [None, None]
    images = [{"bytes": encoded(k), "path": name} for k, name in enumerate(names)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(
        pa.table({"image": pa.array(images, kind), "label": [3, 4]}), tmp_path / "m.parquet"
    )
    opened = source(tmp_path / "m.parquet")

    assert [encoded(0), encoded(1)] == stored(opened)
    assert ["3", "4"] == opened.rows["label"].to_pylist()


def test_withheld_and_null_labels() -> None:
    """-1, which the Hub uses for a label that is not told, and null are no label; texts and numbers
    are texts.
    """
    rows = [record(k) | {"label": label} for k, label in enumerate([-1, None, 0, 1])]
    withheld = Dataset.from_list(rows, features=FEATURES)
    texts = Dataset.from_list(
        [{"image": record(0)["image"], "label": text} for text in ("0", "x")],
        features=Features({"image": ImageFeature(), "label": Value("string")}),
    )

    assert [None, None, "cat", "dog"] == source(withheld).rows["label"].to_pylist()
    assert ["0", "x"] == source(texts).rows["label"].to_pylist()


def test_label_columns(splits: DatasetDict) -> None:
    """A named column wins; one single class label is found under any name; with two of them there
    is no label.
    """
    renamed = splits.rename_column("label", "species")
    two = DatasetDict(
        {name: table.add_column("k", [0] * len(table)) for name, table in renamed.items()}
    )
    two = two.cast_column("k", ClassLabel(names=["a"]))

    assert "n0" == source(splits, label_column="name").rows["label"][0].as_py()
    assert "cat" == source(renamed).rows["label"][0].as_py()
    assert source(two).rows["label"][0].as_py() is None
    assert "a" == source(two, label_column="k").rows["label"][0].as_py()


def test_id_columns(splits: DatasetDict) -> None:
    """Ids come from a named column, numbers as texts; a null among them is refused with its row."""
    numbered = part([0, 1]).add_column("n", [7, 8])
    holed = part([0, 1]).add_column("n", ["x", None])

    assert [f"n{k}" for k in range(10)] == source(splits, id_column="name").rows["id"].to_pylist()
    assert ["7", "8"] == source(numbered, id_column="n").rows["id"].to_pylist()
    assert "row 1: column 'n' is null" in refusal(holed, id_column="n")


# --- which column holds the images ----------------------------------------------------------------


def test_image_column_cannot_be_told() -> None:
    """Without an image column, or with two, the columns are named together with the setting that
    chooses.
    """
    two = part([0, 1]).add_column("mask", [None, None]).cast_column("mask", ImageFeature())
    none = part([0]).remove_columns("image")

    message = refusal(two)
    assert all(text in message for text in ("'image'", "'mask'", "dataset.image_column"))
    message = refusal(none)
    assert all(
        text in message for text in ("no image column", "'name'", "'label'", "dataset.image_column")
    )
    assert [encoded(0), encoded(1)] == stored(source(two, image_column="image"))


def test_image_column_is_named_wrongly(splits: DatasetDict) -> None:
    """A named column that is missing, or holds no images, is refused with the columns that there
    are.
    """
    message = refusal(splits, image_column="picture")
    assert all(text in message for text in ("'picture'", "dataset.image_column", "'image' (Image)"))
    message = refusal(splits, image_column="name")
    assert all(text in message for text in ("'name' holds no images", "'image' (Image)"))


def test_a_split_without_the_image_column(splits: DatasetDict) -> None:
    """A split that lacks the column of the others is named."""
    splits["test"] = splits["test"].remove_columns("image")

    assert "split 'test' has no column 'image'" in refusal(splits)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    """A column of plain bytes is read if it is named, and written as it was."""
    table = pa.table({"picture": pa.array([encoded(0), None, encoded(2)], kind), "x": [1, 2, 3]})
    pq.write_table(table, tmp_path / "m.parquet")
    opened = source(tmp_path / "m.parquet", source="huggingface", image_column="picture")
    got = stored(opened)
    opened.write(np.array([True, False, True]), tmp_path / "out", "copy")

    assert [encoded(0), encoded(2)] == [got[0], got[2]]
    assert isinstance(got[1], Unreadable)
    assert got[1].status == "absent"
    written = pq.read_table(tmp_path / "out/data/train-00000-of-00001.parquet")
    assert table.filter(pa.array([True, False, True])).equals(written.cast(table.schema))


# --- columns of paths -----------------------------------------------------------------------------


def with_paths(folder: Path, texts: Sequence[str | None]) -> Path:
    """A dataset folder with pictures below `p`, and a Parquet file that names pictures as texts."""
    (folder / "p").mkdir(parents=True)
    for seed in range(3):
        (folder / f"p/{seed}.jpg").write_bytes(encoded(seed))
    pq.write_table(
        pa.table({"x": range(len(texts)), "picture": pa.array(texts, pa.string())}),
        folder / "rows.parquet",
    )
    return folder


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_a_column_of_paths(tmp_path: Path, *, folder: bool) -> None:
    """Paths as texts are read if the column is named, and written as images that `load_dataset`
    decodes.
    """
    root = with_paths(tmp_path / "in", ["p/0.jpg", None, "p/2.jpg", "p/gone.jpg", ""])
    opened = source(
        root if folder else root / "rows.parquet", source="huggingface", image_column="picture"
    )
    got = stored(opened)
    opened.write(np.array([True, True, True, False, False]), tmp_path / "out", "copy")
    written = pq.read_table(tmp_path / "out/data/train-00000-of-00001.parquet")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]

    assert [encoded(0), encoded(2)] == [got[0], got[2]]
    assert ["absent", "missing", "absent"] == [
        one.status for one in got if isinstance(one, Unreadable)
    ]
    assert ["x", "picture"] == written.column_names
    assert [encoded(0), None, encoded(2)] == [
        value and value["bytes"] for value in written["picture"].to_pylist()
    ]
    assert (24, 18) == loaded[0]["picture"].size
    if folder:
        assert ["p/1.jpg"] == opened.not_read["path"].to_pylist()


def test_paths_in_memory_come_back_as_images(tmp_path: Path) -> None:
    """Rows that `save_to_disk` wrote name files below their folder; the filtered dataset has them
    as images.
    """
    with_paths(tmp_path / "in", ["p/0.jpg"])
    Dataset.from_dict({"picture": ["p/2.jpg", "p/0.jpg"], "y": [1, 2]}).save_to_disk(
        tmp_path / "in"
    )
    opened: Any = source(tmp_path / "in", image_column="picture")
    got = opened.dataset_dict(np.array([False, True]))["train"]

    assert ["picture", "y"] == got.column_names
    assert (24, 18) == got[0]["picture"].size
    assert [encoded(2), encoded(0)] == stored(opened)


def test_paths_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    """They are not read: rows that came from elsewhere must not name files of this machine."""
    root = with_paths(tmp_path / "in", ["p/0.jpg", "../secret.jpg", str(tmp_path / "secret.jpg")])
    (tmp_path / "secret.jpg").write_bytes(encoded(7))
    got = stored(source(root, source="huggingface", image_column="picture"))

    assert encoded(0) == got[0]
    assert ["outside", "outside"] == [one.status for one in got[1:] if isinstance(one, Unreadable)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["p/0.jpg", "https://example.org/1.jpg"],
            ("holds URLs", "'https://example.org/1.jpg'", "not fetched"),
        ),
        (
            ["a cat", "a dog"],
            ("'picture' holds no images", "none names a file below", "'x' (Value)"),
        ),
        (["../secret.jpg"], ("'picture' holds no images", "none names a file below")),
    ],
)
def test_texts_that_are_no_paths(tmp_path: Path, texts: list[str], said: tuple[str, ...]) -> None:
    """URLs and texts of another kind are refused, with what they are."""
    root = with_paths(tmp_path / "in", texts)
    (tmp_path / "secret.jpg").write_bytes(encoded(7))
    message = refusal(root, source="huggingface", image_column="picture")

    assert [] == [part for part in said if part not in message]


def test_a_column_of_paths_is_offered(tmp_path: Path) -> None:
    """Where no column has images, one with the name of paths is offered with the setting that reads
    it.
    """
    message = refusal(with_paths(tmp_path / "in", ["p/0.jpg"]), source="huggingface")

    assert "dataset.image_column: picture reads them" in message


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [[1, 2], {"train": [1]}, 5, pa.table({"a": [1]})], ids=["list", "dict", "int", "table"]
)
def test_what_is_no_dataset(wrong: object) -> None:
    """Another object is refused by the name of its type."""
    assert type(wrong).__name__ in refusal(wrong)


def test_two_names_of_one_split(splits: DatasetDict) -> None:
    """`val` beside `validation` is refused, naming both."""
    splits["validation"] = splits["val"]

    assert "'val' and 'validation' both mean" in refusal(splits)


def test_no_rows() -> None:
    """A dataset without a row is refused; an empty split beside others is not."""
    assert "no rows" in refusal(DatasetDict({"train": part([0]).select([])}))
    assert ["train/0"] == source(
        DatasetDict({"train": part([0]), "test": part([0]).select([])})
    ).rows["id"].to_pylist()


def test_broken_folders(tmp_path: Path, splits: DatasetDict) -> None:
    """A saved folder without its files, and a Parquet file that is none, are refused with their
    names.
    """
    splits.save_to_disk(str(tmp_path / "saved"))
    for arrow in (tmp_path / "saved").rglob("*.arrow"):
        arrow.unlink()
    assert str(tmp_path / "saved") in refusal(tmp_path / "saved")

    folder = parquet_folder(tmp_path / "parquet", splits)
    broken = folder / "data/train-00001-of-00002.parquet"
    broken.write_bytes(b"PAR1 nothing PAR1")
    assert "train-00001-of-00002.parquet" in refusal(folder)


# --- nothing is decoded, nothing is lost ----------------------------------------------------------


@every_form
def test_nothing_is_decoded(
    tmp_path: Path, splits: DatasetDict, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and writing never decode or encode a picture, so that broken ones do not stop
    either.
    """
    made = forms(tmp_path, splits)[form]

    def refuse(*_: object, **__: object) -> None:
        message = "a picture was decoded or encoded"
        raise AssertionError(message)

    monkeypatch.setattr(ImageFeature, "decode_example", refuse)
    monkeypatch.setattr(ImageFeature, "encode_example", refuse)
    opened = source(made)
    opened.write(KEEP, tmp_path / "out", "copy")

    assert 10 == len(stored(opened))
    assert list(opened.payload_of([3, 8]))


@every_form
def test_written_splits_load_again(tmp_path: Path, splits: DatasetDict, form: str) -> None:
    """`load_dataset` on the output gives the kept rows in order, with features, columns, split
    names and bytes.
    """
    opened = source(forms(tmp_path, splits)[form])
    keep_of = dict(zip(opened.rows["id"].to_pylist(), KEEP.tolist(), strict=True))
    opened.write(KEEP, tmp_path / "out", "copy")
    got = loaded(tmp_path / "out", tmp_path / "cache")
    normal = {"val": "validation"}
    expected = {
        name: [row for k, row in enumerate(rows) if keep_of[f"{normal.get(name, name)}/{k}"]]
        for name, rows in contents(splits).items()
    }

    assert expected == contents(got)
    for name, table in got.items():
        assert FEATURES == table.features, name
        assert list(FEATURES) == table.column_names
    assert {"train", "val", "test"} == set(got)


@every_form
def test_filtered_dataset_dict(tmp_path: Path, splits: DatasetDict, form: str) -> None:
    """The kept rows in memory are those on disk, in order and with the features of the dataset."""
    opened = source(forms(tmp_path, splits)[form])
    made = opened.dataset_dict(KEEP)
    opened.write(KEEP, tmp_path / "out", "copy")

    assert contents(loaded(tmp_path / "out", tmp_path / "cache")) == contents(made)
    assert all(FEATURES == table.features for table in made.values())


def test_written_output_is_read_again(tmp_path: Path, splits: DatasetDict) -> None:
    """The output is a dataset of the same form: opened again, it has the kept pictures."""
    opened = source(splits)
    everything = stored(opened)
    opened.write(KEEP, tmp_path / "out", "copy")
    again = source(tmp_path / "out")
    splits_of = zip(again.rows["split"].to_pylist(), stored(again), strict=True)

    assert {
        (s, d)
        for s, d, k in zip(opened.rows["split"].to_pylist(), everything, KEEP, strict=True)
        if k
    } == set(splits_of)
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_split_of_which_nothing_is_kept(tmp_path: Path, splits: DatasetDict) -> None:
    """A split without a kept row does not keep `load_dataset` from loading the others."""
    keep = KEEP.copy()
    keep[8:] = False
    source(splits).write(keep, tmp_path / "out", "copy")
    got = loaded(tmp_path / "out", tmp_path / "cache")

    assert {"train": 3, "val": 2} == {
        name: table.num_rows for name, table in got.items() if table.num_rows
    }


@pytest.mark.parametrize("how", ["select", "shuffle", "concatenate", "formatted"])
def test_views_of_a_dataset(tmp_path: Path, how: str) -> None:
    """Rows are those that the user sees, not those that lie in the file: selected, shuffled, joined
    or formatted.
    """
    base = part(range(6))
    view, seeds = {
        "select": (base.select([4, 1, 3]), [4, 1, 3]),
        "shuffle": (base.shuffle(seed=3), None),
        "concatenate": (
            datasets.concatenate_datasets([base.select([5]), base.select([0, 2])]),
            [5, 0, 2],
        ),
        "formatted": (base.with_format("numpy"), list(range(6))),
    }[how]
    if seeds is None:
        seeds = [int(name[1:]) for name in view["name"]]
        assert seeds != list(range(6))
    opened = source(DatasetDict({"train": view}))
    opened.write(np.arange(len(seeds)) != 1, tmp_path / "out", "copy")
    (batch,) = opened.payload_of([2, 0])

    assert [encoded(seed) for seed in seeds] == stored(opened)
    assert [encoded(seeds[2]), encoded(seeds[0])] == batch["data"].to_pylist()
    got = loaded(tmp_path / "out", tmp_path / "cache")["train"]
    assert [f"n{seed}" for k, seed in enumerate(seeds) if k != 1] == list(got["name"])


def with_files(root: Path) -> tuple[Dataset, NDArray[np.bool_]]:
    """A dataset that stores paths only: two files, one of them missing, and a row without an
    image.
    """
    (root / "a.jpg").write_bytes(encoded(0))
    images = [str(root / "a.jpg"), str(root / "gone.jpg"), None]
    made = Dataset.from_dict(
        {
            "image": [{"bytes": None, "path": path} if path else None for path in images],
            "x": [1, 2, 3],
        },
        features=Features({"image": ImageFeature(), "x": Value("int64")}),
    )
    return made, np.ones(3, bool)


@pytest.mark.parametrize("form", ["memory", "saved"])
def test_images_stored_as_paths(tmp_path: Path, form: str) -> None:
    """A path is read as a file, a missing file is missing and a null absent, and the output holds
    the bytes.
    """
    made, keep = with_files(tmp_path)
    if form == "saved":
        made = made.select([0, 2])  # the library embeds files when it saves, so none can be missing
        made.save_to_disk(str(tmp_path / "saved"))
    opened = source(made if form == "memory" else tmp_path / "saved")
    got = stored(opened)
    opened.write(keep[: len(made)], tmp_path / "out", "copy")
    (tmp_path / "a.jpg").unlink()

    assert encoded(0) == got[0]
    for reason in got[1:]:
        assert isinstance(reason, Unreadable)
        assert reason.status in {"missing", "absent"}
    written = pq.read_table(tmp_path / "out/data/train-00000-of-00001.parquet").to_pylist()
    assert {"bytes": encoded(0), "path": "a.jpg"} == written[0]["image"]
    assert list(made["x"]) == [row["x"] for row in written]
    assert written[-1]["image"] is None or written[-1]["image"]["bytes"] is None


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    """Rows beyond one batch of the library are read and written in order."""
    table = Dataset.from_dict(
        {
            "image": [{"bytes": k.to_bytes(2), "path": None} for k in range(2500)],
            "k": list(range(2500)),
        },
        features=Features({"image": ImageFeature(), "k": Value("int64")}),
    )
    opened = source(DatasetDict({"train": table}))
    keep = np.random.default_rng(9).random(2500) < 0.5
    opened.write(keep, tmp_path / "out", "copy")

    assert [k.to_bytes(2) for k in range(2500)] == stored(opened, 700)
    (file,) = (tmp_path / "out/data").iterdir()
    assert np.flatnonzero(keep).tolist() == pq.read_table(file)["k"].to_pylist()


def test_nothing_is_written_outside_the_output(tmp_path: Path, splits: DatasetDict) -> None:
    """Reading and writing leave the folder of the dataset as it was."""
    folder = parquet_folder(tmp_path / "parquet", splits)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    source(folder).write(KEEP, tmp_path / "out", "copy")

    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert {"out", "parquet"} == set(os.listdir(tmp_path))  # noqa: PTH208


@pytest.mark.parametrize(
    ("feature", "value", "words", "words_if_named"),
    [
        (
            datasets.Value("string"),
            "a.jpg",
            "cast_column('image', datasets.Image())",
            "none names a file",
        ),
        (
            datasets.Sequence(datasets.Value("string")),
            [],
            *["give each image a row of its own"] * 2,
        ),
    ],
)
def test_columns_that_are_no_images_yet(
    feature: Any, value: Any, words: str, words_if_named: str
) -> None:
    """Lists of texts are refused with a way to images, named or not; so are paths, named only where
    there is no file.
    """
    made = datasets.Dataset.from_dict(
        {"image": [value]}, features=datasets.Features({"image": feature})
    )
    for column, expected in ((None, words), ("image", words_if_named)):
        with pytest.raises(ConfigError) as raised:
            dedup.audit(made, workers=0, image_column=column)

        assert expected in str(raised.value)
        assert column or isinstance(value, list) or "URLs are not fetched" in str(raised.value)


ODD_JSON = ("[" * 5_000, '{"a":' * 5_000, "[]", "null", '{"features": 5}', '{"_data_files": 5}')


@pytest.mark.parametrize("name", ["dataset_info.json", "state.json"])
@pytest.mark.parametrize("text", ODD_JSON)
def test_odd_descriptions_of_a_saved_dataset(tmp_path: Path, name: str, text: str) -> None:
    """JSON that is not what `datasets` writes is one message, or does no harm."""
    rows = {"image": [pictures.encoded(pictures.photo(k)) for k in range(2)]}
    saved = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    datasets.DatasetDict({"train": saved}).save_to_disk(str(tmp_path))
    (tmp_path / "train" / name).write_text(text)
    with suppress(SourceError):
        open_source(DatasetConfig(path=str(tmp_path)))


@pytest.mark.parametrize("text", [*ODD_JSON, '{"info": 5}', '{"info": {"features": ' * 2_000])
def test_odd_metadata_of_a_parquet_file(tmp_path: Path, text: str) -> None:
    """As above, of what `datasets` writes into the footer."""
    rows = [{"bytes": pictures.encoded(pictures.photo(k)), "path": None} for k in range(2)]
    table = pa.table({"image": rows}).replace_schema_metadata({"huggingface": text})
    pq.write_table(table, tmp_path / "train-0.parquet")
    with suppress(SourceError):
        open_source(DatasetConfig(path=str(tmp_path)))
