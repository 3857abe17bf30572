"""Hugging Face datasets on disk: Parquet and Arrow files, slices, damaged and missing shards, the
card.
"""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from blake3 import blake3

import dedup
from dedup.config import DatasetConfig
from dedup.errors import ConfigError, SourceError
from dedup.formats import check_writable, open_source, write_splits
from tests import pictures
from tests.formats import made

PNG = pictures.encoded(pictures.photo(1, (24, 18)))


def refusal(path: Path, **settings: Any) -> str:
    """What is said when the dataset is opened and read."""
    with pytest.raises((SourceError, ConfigError)) as caught:
        made.contents(made.opened(path=str(path), **settings))
    return str(caught.value)


def loaded(path: Path, cache: Path) -> datasets.DatasetDict:
    """What `load_dataset` makes of a folder, images as stored."""
    return datasets.load_dataset(str(path), cache_dir=str(cache)).cast_column(
        "image", datasets.Image(decode=False)
    )


@pytest.mark.parametrize("form", ["saved", "parquet", "arrow"])
def test_everything_survives(tmp_path: Path, form: str) -> None:
    """Features, columns, row order, struct paths and image bytes are those of the input, whatever
    it is stored in.
    """
    source = made.opened(**made.MAKERS[form](tmp_path / "in", made.rows()))
    write_splits(source, made.everything(source), tmp_path / "out", "same", "copy")
    got = loaded(tmp_path / "out", tmp_path / "cache")
    expected = made.dataset_dict(made.rows()).cast_column("image", datasets.Image(decode=False))

    assert {*expected} == {*got}
    for split in expected:
        assert expected[split].features == got[split].features
        assert expected[split].to_list() == got[split].to_list()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "file"])
def test_one_arrow_file(tmp_path: Path, stream: bool) -> None:
    """Both formats of Arrow files are read as one split, train."""
    table = made.dataset_dict(made.rows())["train"].with_format("arrow")[:]
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, make(sink, table.schema) as writer:
        writer.write_table(table)
    source = made.opened(path=str(tmp_path / "x.arrow"))

    assert [row.data for row in made.rows() if row.split == "train"] == made.contents(source)
    assert {"train"} == {*source.rows["split"].to_pylist()}


def test_a_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are taken a few at a time, as the second look does: their row group is read for the
    first of them only.
    """
    made.MAKERS["parquet"](tmp_path / "in", made.rows())
    source = made.opened(path=str(tmp_path / "in"))
    whole, reads = pq.ParquetFile.read_row_group, list[int]()

    def counted(file: pq.ParquetFile, group: int, **how: Any) -> pa.Table:
        reads.append(group)
        return whole(file, group, **how)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    n = len(source.rows)
    got = [
        data
        for row in range(n)
        for batch in source.payload_of([row])
        for data in batch["data"].to_pylist()
    ]
    files = [
        pq.ParquetFile(file).metadata.num_row_groups
        for file in (tmp_path / "in").rglob("*.parquet")
    ]

    assert made.contents(source) == got
    assert n > sum(files) == len(reads)


@pytest.mark.parametrize("form", ["saved", "parquet", "arrow"])
def test_slices(tmp_path: Path, form: str) -> None:
    """`dataset.split` takes slices of local datasets too, across the borders of files and row
    groups.
    """
    dataset = made.MAKERS[form](tmp_path / "in", made.rows())
    source = made.opened(**dataset, split=["train[1:6]", "test[50%:]"])
    train, test = ([r for r in made.rows() if r.split == split] for split in ("train", "test"))
    expected = [row.data for row in [*train[1:6], *test[2:]]]

    assert expected == made.contents(source)
    keep = np.array([True, False, True, False, True, True, False])
    written = write_splits(source, keep, tmp_path / "out", "same", "copy")
    again = made.opened(**written.config.model_dump(exclude={"sources"}))
    kept = [data for data, is_kept in zip(expected, keep.tolist(), strict=True) if is_kept]
    assert sorted(kept) == sorted(filter(None, made.contents(again)))
    assert [expected[5], expected[2]] == [
        data for batch in source.payload_of([5, 2]) for data in batch["data"].to_pylist()
    ]
    assert {"train": 3, "test": 1} == {k: len(v) for k, v in source.dataset_dict(keep).items()}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("trian", "'trian'"),
        (["train", "train[:1]"], "names 'train' twice"),
        ("train[a:b]", "'train[a:b]'"),
        ("train[:1]+train[3:]", "names 'train' twice"),
    ],
)
def test_wrong_slices(tmp_path: Path, split: object, expected: str) -> None:
    """A split that is not there, or is there twice, is named."""
    dataset = made.saved(tmp_path / "in", made.rows())

    assert expected in refusal(tmp_path / "in", split=split)
    assert dataset["path"] == str(tmp_path / "in")


def test_several_image_columns(tmp_path: Path) -> None:
    """Of several image columns one is chosen; the others are carried along."""
    features = datasets.Features({"left": datasets.Image(), "right": datasets.Image()})
    image = [{"bytes": PNG + bytes([k]), "path": None} for k in range(3)]
    datasets.Dataset.from_dict({"left": image, "right": image[::-1]}, features=features).to_parquet(
        tmp_path / "x.parquet"
    )
    said = refusal(tmp_path / "x.parquet")
    source = made.opened(path=str(tmp_path / "x.parquet"), image_column="right")
    write_splits(source, np.array([True, False, True]), tmp_path / "out", "same", "copy")
    (file,) = (tmp_path / "out/data").glob("*")

    assert "several image columns: 'left', 'right'. Choose one as dataset.image_column" in said
    assert [value["bytes"] for value in image[::-1]] == made.contents(source)
    assert [image[0]["bytes"], image[2]["bytes"]] == [
        row["left"]["bytes"] for row in pq.read_table(file).to_pylist()
    ]


def test_images_that_are_null(tmp_path: Path) -> None:
    """A null image, and one without bytes, are rows without a picture; the rest goes on and all is
    written.
    """
    images = [None, {"bytes": PNG, "path": None}, {"bytes": None, "path": None}]
    pq.write_table(pa.table({"image": images, "n": [0, 1, 2]}), tmp_path / "x.parquet")
    run = dedup.audit(tmp_path / "x.parquet", workers=0)
    source = made.opened(path=str(tmp_path / "x.parquet"))
    write_splits(source, made.everything(source), tmp_path / "out", "same", "copy")
    (file,) = (tmp_path / "out/data").glob("*")

    assert ["absent", "ok", "absent"] == run.hashes["status"].to_pylist()
    assert [0, 1, 2] == pq.read_table(file)["n"].to_pylist()


def test_hostile_texts(tmp_path: Path) -> None:
    """Ids, labels and other columns of any text survive a run."""
    texts = made.HOSTILE
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.Value("string"),
            "key": datasets.Value("string"),
        }
    )
    images = [
        {"bytes": pictures.encoded(pictures.photo(k)), "path": texts[k]} for k in range(len(texts))
    ]
    columns: dict[str, list[Any]] = {
        "image": images,
        "label": texts,
        "key": [f"{text}{k}" for k, text in enumerate(texts)],
    }
    datasets.DatasetDict(
        {"train": datasets.Dataset.from_dict(columns, features=features)}
    ).save_to_disk(tmp_path / "in")
    settings: dict[str, Any] = {
        "dataset": {"path": str(tmp_path / "in"), "id_column": "key"},
        "engine": {"workers": 0},
    }
    run = dedup.run({**settings, "output": {"dir": str(tmp_path / "run")}})
    got = loaded(tmp_path / "run/splits", tmp_path / "cache")

    assert sorted(columns["key"]) == run.decisions["id"].to_pylist()
    assert texts == list(got["train"]["label"])
    assert [image["bytes"] for image in images] == [
        image["bytes"] for image in got["train"]["image"]
    ]


def test_damaged_files(tmp_path: Path) -> None:
    """A truncated Parquet or Arrow file, a missing shard and files that do not fit together are
    named.
    """
    for name in ("cut", "gap", "mixed", "arrow"):
        (made.arrow if name == "arrow" else made.parquet)(tmp_path / name, made.rows())
    cut = tmp_path / "cut/data/train-00001-of-00002.parquet"
    cut.write_bytes(cut.read_bytes()[:-100])
    (tmp_path / "gap/data/train-00000-of-00002.parquet").unlink()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "mixed/data/train-00001-of-00002.parquet")
    (tmp_path / "arrow/test.arrow").write_bytes(b"not Arrow")

    assert f"{cut}: cannot be read as Parquet" in refusal(tmp_path / "cut")
    assert "1 of 2 shards are missing, the first is" in refusal(tmp_path / "gap")
    assert "train-00000-of-00002.parquet" in refusal(tmp_path / "gap")
    assert "its columns are ['x']" in refusal(tmp_path / "mixed")
    assert "test.arrow: cannot be read as Arrow" in refusal(tmp_path / "arrow")


def test_pages_that_are_damaged(tmp_path: Path) -> None:
    """Parquet whose footer is whole and whose pages are not is named when it is read."""
    path = tmp_path / "x.parquet"
    part = made.dataset_dict(made.rows())["train"].with_format("arrow")[:]
    pq.write_table(part, path, compression="zstd")
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    (column,) = (
        k for k in range(group.num_columns) if group.column(k).path_in_schema == "image.bytes"
    )
    chunk = group.column(column)
    start, stop = (
        chunk.data_page_offset + 60,
        chunk.data_page_offset + chunk.total_compressed_size - 60,
    )
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)

    assert "x.parquet: cannot be read as Parquet" in refusal(path)


def test_a_split_named_twice(tmp_path: Path) -> None:
    """A README that gives two meanings of one split is refused by the split's name."""
    made.parquet(tmp_path / "in", made.rows())
    (tmp_path / "in/README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        "  - split: test\n    path: data/test-*\n  - split: test\n    path: data/train-*\n---\n",
        encoding="utf-8",
    )

    assert "test" in refusal(tmp_path / "in")


def test_a_column_that_is_no_image(tmp_path: Path) -> None:
    """A column of texts is no image column, and one that is not there is refused with those that
    are.
    """
    made.saved(tmp_path / "in", made.rows())

    assert "'note' holds no images" in refusal(tmp_path / "in", image_column="note")
    assert "no column 'imgae'" in refusal(tmp_path / "in", image_column="imgae")


def test_a_split_that_the_hub_cannot_name(tmp_path: Path) -> None:
    """A split whose name no Hugging Face dataset can have is refused with another way to write
    it.
    """
    source = made.opened(**made.manifest(tmp_path / "in", [made.Row("1.png", "a/b c", "x", PNG)]))
    with pytest.raises(SourceError) as caught:
        check_writable(source, "parquet")

    assert "no split called 'a/b c'" in str(caught.value)
    assert "or manifest" in str(caught.value)


def test_the_card(tmp_path: Path) -> None:
    """The card lists the splits for `load_dataset`, and says what was removed, how and with which
    numbers.
    """
    dataset = made.saved(tmp_path / "in", made.rows())
    output = {"dir": str(tmp_path / "run"), "report": False}
    run = dedup.run({"dataset": dataset, "output": output, "engine": {"workers": 0}})
    card = (tmp_path / "run/splits/README.md").read_text(encoding="utf-8")

    said = yaml.safe_load(card.split("---")[1])["dataset_info"]
    assert {"train": 5, "test": 4, "validation": 1} == {
        s["name"]: s["num_examples"] for s in said["splits"]
    }
    for text in (
        "9 kept, 2 dropped, 1 unreadable",
        "leaks into a held-out split",
        "duplicate of a kept sample",
    ):
        assert text in card
    assert (
        run.resolved.search.max_distance
        == json.loads(card.partition("```json")[2].partition("```")[0])["max_distance"]
    )
    assert "No pair between train and a held-out split is left" in card


@pytest.mark.parametrize(
    "key", ["name=x", "revision=x", "split=train", "data_files=x", "streaming=true"]
)
def test_keys_of_the_hub_for_other_forms(tmp_path: Path, key: str) -> None:
    """Settings that a form has no use for are refused, not ignored."""
    dataset = made.imagefolder(tmp_path / "in", made.rows())
    name, _, value = key.partition("=")
    with pytest.raises(ConfigError) as caught:
        made.opened(**dataset, **{name: True if value == "true" else value})

    assert f"dataset.{name}: not used by the form 'imagefolder'" in str(caught.value)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_files_without_features_in_memory(tmp_path: Path, suffix: str) -> None:
    """Files that `datasets` did not write give images, not structs, to `deduplicate`, which
    certifies them.
    """
    images = [{"bytes": pictures.encoded(pictures.photo(seed)), "path": None} for seed in (1, 2, 1)]
    table = pa.table({"image": images, "n": [0, 1, 2]})
    path = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    clean, run = dedup.deduplicate(path, workers=0)

    assert [0, 1] == list(clean["train"]["n"])
    assert datasets.Image() == clean["train"].features["image"]
    assert clean["train"][0]["image"].size == pictures.photo(1).size
    assert run.summary["certificate"]["clean"]


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        ("saved", ["name", "data_files", "revision", "streaming"]),
        ("parquet", ["revision", "streaming"]),
    ],
)
def test_keys_without_a_use(tmp_path: Path, form: str, keys: list[str]) -> None:
    """Settings that say nothing about a dataset on this machine are refused, not ignored."""
    dataset = made.MAKERS[form](tmp_path / "in", made.rows())
    for key in keys:
        said = refusal(tmp_path / "in", **{key: True if key == "streaming" else "x"})
        assert f"dataset.{key}: not used for a " in said

    assert "dataset.name: not used for a single file" in refusal(_one_file(tmp_path), name="x")
    assert dataset["id_column"] == "name"
    with pytest.raises(ConfigError, match=r"dataset\.revision: not used for a dataset in memory"):
        dedup.audit(made.dataset_dict(made.rows()), revision="x")


def _one_file(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"image": [{"bytes": PNG, "path": None}]}), tmp_path / "one.parquet")
    return tmp_path / "one.parquet"


def rich(n: int) -> datasets.DatasetDict:
    """Rows with nested columns, several image columns, lists of images, nulls and unusual texts."""
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "mask": datasets.Image(),
            "label": datasets.ClassLabel(names=['ca"t', "dog,\n🦊"]),
            "objects": datasets.Sequence(
                {
                    "bbox": datasets.Sequence(datasets.Value("float32"), length=4),
                    "category": datasets.ClassLabel(2),
                }
            ),
            "views": datasets.Sequence(datasets.Image()),
            "more": {
                "when": datasets.Value("timestamp[ms]"),
                "deep": {"x": datasets.Value("int8")},
            },
            "grid": datasets.Array2D((2, 2), "int32"),
        }
    )

    def image(k: int) -> dict[str, Any]:
        return {"bytes": pictures.encoded(pictures.photo(k, (24, 18))), "path": f"{k}.png"}

    columns: dict[str, list[Any]] = {
        "id": [f"{k}{made.HOSTILE[k % len(made.HOSTILE)]}" for k in range(n)],
        "image": [None if k == 3 else image(k) for k in range(n)],
        "mask": [None if k % 2 else image(100 + k) for k in range(n)],
        "label": [None if k == 2 else k % 2 for k in range(n)],
        "objects": [
            {"bbox": [[1.0, 2.0, 3.0, k]] * (k % 3), "category": [k % 2] * (k % 3)}
            for k in range(n)
        ],
        "views": [[image(200 + k)] * (k % 2) for k in range(n)],
        "more": [{"when": k, "deep": {"x": k}} if k else None for k in range(n)],
        "grid": [[[k, 1], [2, 3]] for k in range(n)],
    }
    whole = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict(
        {
            "train": whole.select([*range(5, n), 0, 2, 1]).with_format("numpy"),
            "validation": whole.select([4, 3]),
        }
    )


@pytest.mark.parametrize("form", ["saved", "memory", "parquet", "arrow"])
@pytest.mark.parametrize("drops", [False, True])
def test_rich_rows_survive(tmp_path: Path, form: str, drops: bool) -> None:
    """Nested features, classes, lists, images, nulls, indices and formats: the kept rows, equal and
    in order.
    """
    dataset = rich(9)
    path = tmp_path / "in"
    if form == "saved":
        dataset.save_to_disk(str(path))
    path.mkdir(exist_ok=True)
    for split, part in dataset.items():
        table = part.with_format("arrow")[:]
        if form == "parquet":
            pq.write_table(table, path / f"{split}.parquet", row_group_size=2)
        elif form == "arrow":
            with (
                pa.OSFile(str(path / f"{split}.arrow"), "wb") as sink,
                pa.ipc.new_stream(sink, table.schema) as to,
            ):
                to.write_table(table)
    settings = DatasetConfig(
        image_column="image", id_column="id", path=None if form == "memory" else str(path)
    )
    source = open_source(settings, dataset if form == "memory" else None)
    keep = np.array([name[0] not in "157" or not drops for name in source.rows["id"].to_pylist()])
    write_splits(source, keep, tmp_path / "out", "same", "copy")
    kept = source.dataset_dict(keep)

    for split, part in dataset.items():
        plain = part.with_format("arrow")[:]
        expected = plain.filter(
            pa.array([not drops or name[0] not in "157" for name in plain["id"].to_pylist()])
        )
        files = sorted((tmp_path / "out/data").glob(f"{split}-*"))
        got = pa.concat_tables([pq.read_table(file) for file in files])
        assert (
            expected.to_pylist()
            == got.to_pylist()
            == kept[split].with_format("arrow")[:].to_pylist()
        )
        assert (
            part.features == datasets.Features.from_arrow_schema(got.schema) == kept[split].features
        )
        assert len(expected) == (part.num_rows - 3 * drops if split == "train" else 2)


@pytest.mark.parametrize(
    ("settings", "kept"), [({}, slice(None)), ({"split": ["train[2:5]", "test"]}, slice(2, 5))]
)
def test_pictures_are_found_in_arrow_files(
    tmp_path: Path, settings: dict[str, Any], kept: slice
) -> None:
    """Workers read the mapped files by themselves: each row has the digest of its own bytes, and
    null stays null.
    """
    train: list[Any] = [{"bytes": PNG + bytes([k]), "path": None} for k in range(6)]
    train[3] = None
    of = {"train": train, "test": [{"bytes": PNG + b"test", "path": None}]}
    datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict({"image": rows}).cast_column("image", datasets.Image())
            for name, rows in of.items()
        }
    ).save_to_disk(str(tmp_path / "in"))
    run = dedup.run(
        {
            "dataset": {"path": str(tmp_path / "in"), **settings},
            "cache": {"folder": None},
            "engine": {"workers": 2},
            "output": {"splits": "none"},
        }
    )
    found = dict(
        zip(run.manifest["id"].to_pylist(), run.hashes["file_digest"].to_pylist(), strict=True)
    )
    expected = [row and blake3(row["bytes"]).digest() for row in (*train[kept], *of["test"])]

    assert sorted(map(str, expected)) == sorted(map(str, found.values()))
    assert ["absent"] == [status for status in run.hashes["status"].to_pylist() if status != "ok"]
