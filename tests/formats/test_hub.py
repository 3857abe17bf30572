"""Datasets on the Hub: the real clients of `datasets` and `huggingface_hub` against a Hub on this
machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from dedup.config import DatasetConfig
from dedup.decoding.pictures import file_digest
from dedup.errors import ConfigError, SourceError
from dedup.formats import open_source
from tests import pictures
from tests.formats import hub, made

URL = "hf://datasets/org/name"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two revisions of a Parquet dataset; the old one lacks the validation split."""
    root = tmp_path_factory.mktemp("hub")
    made.parquet(root / "main", made.rows())
    made.parquet(root / "old", [row for row in made.rows() if row.split != "validation"])
    return root


@pytest.fixture
def served(repository: Path) -> Iterator[hub.Hub]:
    """The Hub, running."""
    with hub.serving(repository) as running:
        yield running


def dedup(
    served: hub.Hub | None, tmp_path: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: the clients read HF_ENDPOINT when they are imported."""
    endpoint = served.endpoint if served else "http://127.0.0.1:9"
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("HF_") or k == "HF_HUB_OFFLINE"
    }
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_TOKEN": "hf_test",
    }
    command = [sys.executable, "-m", "dedup", *arguments, "--workers", "0"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )


def audited(
    served: hub.Hub, tmp_path: Path, *settings: str, url: str = URL
) -> list[dict[str, Any]]:
    """The decisions of an audit."""
    tmp_path.mkdir(exist_ok=True)
    options = [
        option for setting in ("dataset.id_column=name", *settings) for option in ("--set", setting)
    ]
    done = dedup(served, tmp_path, "audit", url, "-o", str(tmp_path / "run"), *options)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = pq.read_table(tmp_path / "run/decisions.parquet").to_pylist()
    return rows


def names(rows: Sequence[dict[str, Any]], split: str) -> list[str]:
    """Ids in a split."""
    return sorted(row["id"] for row in rows if row["split"] == split)


def of(split: str) -> list[str]:
    """Names of the rows made for a split, in their order."""
    return [row.name for row in made.rows() if row.split == split]


def test_a_dataset_is_cleaned(served: hub.Hub, tmp_path: Path) -> None:
    """The Parquet of the Hub is read and written as it stands: same bytes, features and order,
    loadable again.
    """
    settings = {
        "dataset": {"path": URL, "id_column": "name"},
        "output": {"dir": "run", "report": False},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
    done = dedup(served, tmp_path, "run", "c.yaml")

    assert done.returncode == 0, done.stderr
    loaded = datasets.load_dataset(str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "load"))
    expected = made.dataset_dict([row for row in made.rows() if row.name in made.KEPT])
    assert {k: v.features for k, v in expected.items()} == {
        k: v.features for k, v in loaded.items()
    }
    for split, part in expected.items():
        undecoded = datasets.Image(decode=False)
        assert part["name"] == loaded[split]["name"]
        assert list(part.cast_column("image", undecoded)["image"]) == list(
            loaded[split].cast_column("image", undecoded)["image"]
        )


def test_audited_again_like_the_run(served: hub.Hub, tmp_path: Path) -> None:
    """What was written of a dataset on the Hub has no leak by the run's settings; the dataset
    itself still has one.
    """
    settings = {"dataset": {"path": URL, "id_column": "name"}, "search": {"max_distance": 10}}
    (tmp_path / "c.yaml").write_text(
        json.dumps(settings | {"output": {"dir": "run", "report": False}})
    )
    done = dedup(served, tmp_path, "run", "c.yaml")
    assert done.returncode == 0, done.stderr
    n_leaks: dict[str, int] = {}
    for path in ("run/splits", URL):
        done = dedup(served, tmp_path, "audit", path, "--like", "run", "-o", f"again{len(n_leaks)}")
        assert done.returncode == 0, done.stderr
        n_leaks[path] = pq.read_metadata(tmp_path / f"again{len(n_leaks)}/leakage.parquet").num_rows

    assert {"run/splits": 0, URL: 1} == n_leaks


def test_splits_and_slices(served: hub.Hub, tmp_path: Path) -> None:
    """`dataset.split` reads splits and slices as `load_dataset` does, and downloads no other
    split.
    """
    rows = audited(served, tmp_path, "dataset.split=['train[25%:75%]', 'test[-2:]']")

    assert sorted(of("train")[2:5]) == names(rows, "train")
    assert sorted(of("test")[-2:]) == names(rows, "test")
    assert [] == [line for line in served.asked if "validation-" in line]


def test_a_revision(served: hub.Hub, tmp_path: Path) -> None:
    """A revision is read."""
    rows = audited(served, tmp_path, "dataset.revision=old")

    assert {"train", "test"} == {row["split"] for row in rows}


def test_data_files(served: hub.Hub, tmp_path: Path) -> None:
    """`dataset.data_files` reads those files only."""
    rows = audited(served, tmp_path, "dataset.data_files=data/test-*.parquet")

    assert sorted(of("test")) == sorted(row["id"] for row in rows)


def test_streaming(served: hub.Hub, tmp_path: Path) -> None:
    """A streamed dataset gives the same decisions, and nothing of it is stored on this machine."""
    downloaded = audited(served, tmp_path / "a")
    streamed = audited(served, tmp_path / "b", "dataset.streaming=true")

    assert downloaded == streamed
    assert any((tmp_path / "a/cache").rglob("train-*.parquet"))
    assert not any((tmp_path / "b/cache").rglob("train-*.parquet"))


def test_a_configuration(tmp_path: Path) -> None:
    """`dataset.name` reads one configuration of several; without it the message lists them."""
    root = tmp_path / "hub/main"
    rows = [row for row in made.rows() if row.split != "validation"]
    for name in ("large", "small"):
        made.parquet(root / name, rows if name == "large" else rows[::2])
    lines = [f"- config_name: {name}\n  data_dir: {name}/data\n" for name in ("large", "small")]
    (root / "README.md").write_text(f"---\nconfigs:\n{''.join(lines)}---\n", encoding="utf-8")
    with hub.serving(tmp_path / "hub") as served:
        for streaming in ("false", "true"):
            rows_of = audited(
                served, tmp_path / streaming, "dataset.name=small", f"dataset.streaming={streaming}"
            )
            assert sorted(row.name for row in rows[::2]) == sorted(row["id"] for row in rows_of)
        wrong = [
            dedup(served, tmp_path, "audit", URL, "-o", "x", *more)
            for more in ([], ["--set", "dataset.name=huge"])
        ]

    for done in wrong:
        assert done.returncode == 2, "a wrong request, not a broken dataset"
        assert "['large', 'small']" in done.stderr
        assert "dataset.name" in done.stderr


@pytest.mark.parametrize("streaming", ["false", "true"])
@pytest.mark.parametrize("form", ["imagefolder", "webdataset"])
def test_other_forms_on_the_hub(tmp_path: Path, form: str, streaming: str) -> None:
    """Image folders and tar shards on the Hub, downloaded and streamed: one leak, and the stored
    bytes are hashed.
    """
    rows = [row for row in made.rows() if row.name.endswith(".png") and row.name != "broken.png"]
    leak = made.Row(
        "leak.png", "test", "cat", next(row.data for row in rows if row.name == "a1.png")
    )
    made.MAKERS[form](tmp_path / "hub/main", [*rows, leak])
    with hub.serving(tmp_path / "hub") as served:
        settings = {
            "dataset": {"path": URL, "streaming": streaming == "true"},
            "output": {"report": False},
        }
        (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
        done = dedup(served, tmp_path, "run", "c.yaml", "-o", "run")

        assert done.returncode == 0, done.stderr
    stored = pq.read_table(tmp_path / "run/hashes.parquet")
    kept = datasets.load_dataset(str(tmp_path / "run/splits"), cache_dir=str(tmp_path / "load"))
    assert sorted(file_digest(row.data) for row in [*rows, leak]) == sorted(
        stored["file_digest"].to_pylist()
    )
    assert ["bytes"] == pq.read_table(tmp_path / "run/leakage.parquet")["kind"].to_pylist()
    assert len(rows) == sum(map(len, kept.values()))


def test_a_leaking_dataset_is_not_pushed(tmp_path: Path) -> None:
    """With a policy that leaves leaks in nothing is uploaded, and the reason is said."""
    (tmp_path / "hub/main").mkdir(parents=True)
    dataset = made.imagefolder(tmp_path / "in", made.rows())
    settings = {
        "dataset": dataset,
        "policy": {"leakage": "report_only", "duplicates": "report_only"},
        "output": {"dir": "run", "splits": "parquet", "report": False, "push_to_hub": "org/name"},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
    with hub.serving(tmp_path / "hub") as served:
        done = dedup(served, tmp_path, "run", "c.yaml")

        assert [] == served.asked
    assert done.returncode == 0
    assert "Not pushed to org/name: 1 pair between train and a held-out split is left" in " ".join(
        done.stderr.split()
    )
    assert (tmp_path / "run/splits/data").is_dir()


def test_pushing(tmp_path: Path) -> None:
    """`output.push_to_hub` uploads the shards and the card; by default nothing is sent."""
    (tmp_path / "hub/main").mkdir(parents=True)
    dataset = made.imagefolder(tmp_path / "in", made.rows())
    settings = {"dataset": dataset, "output": {"dir": "run", "splits": "parquet", "report": False}}
    (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
    with hub.serving(tmp_path / "hub") as served:
        assert dedup(served, tmp_path, "run", "c.yaml").returncode == 0
        assert [] == served.asked
        done = dedup(served, tmp_path, "run", "c.yaml", "--set", "output.push_to_hub=org/name")

        assert done.returncode == 0, done.stderr
    written = {
        p.relative_to(tmp_path / "run/splits"): p.read_bytes()
        for p in (tmp_path / "run/splits").rglob("*.*")
    }
    assert written == {
        p.relative_to(tmp_path / "hub/main"): p.read_bytes()
        for p in (tmp_path / "hub/main").rglob("*.*")
    }


def test_what_is_pushed_of_unreadable_samples(tmp_path: Path) -> None:
    """Broken files whose first bytes are an image's and pictures too large go up, rows without an
    image as null; what is no image, lies outside or is missing never does, and no shard or card on
    the Hub has its bytes."""
    (tmp_path / "hub/main").mkdir(parents=True)
    root = pictures.folder(tmp_path / "in", ["1.png", "2.png", "3.png"])
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----" + bytes(range(256))
    whole = pictures.encoded(pictures.photo(7), "JPEG")
    private = pictures.encoded(pictures.photo(8))
    large = pictures.encoded(pictures.photo(9, (1200, 900)))
    (tmp_path / "private.png").write_bytes(private)
    contents = {
        "broken.png": b"\x89PNG\r\n\x1a\n" + bytes(90),
        "cut.jpg": whole[: len(whole) // 2],
        "large.png": large,
    }
    for name, data in {**contents, "key.png": key}.items():
        (root / name).write_bytes(data)
    named = [
        "broken.png",
        "cut.jpg",
        "large.png",
        "key.png",
        "gone.png",
        str(tmp_path / "private.png"),
        "",
    ]
    rows = [("1", "1.png", "train"), ("2", "2.png", "train"), ("3", "3.png", "test")]
    rows += [
        (f"{split} {Path(path).name or 'absent'}", path, split)
        for split in ("train", "test")
        for path in named
    ]
    (root / "m.csv").write_text(
        "".join(",".join(row) + "\n" for row in [("id", "path", "split"), *rows])
    )
    settings = {
        "dataset": {"path": str(root / "m.csv"), "id_column": "id", "allow_outside": False},
        "hash": {"max_pixels": 1_000_000},
        "policy": {"unreadable": "keep", "duplicates": "report_only", "leakage": "report_only"},
        "output": {"dir": "run", "splits": "parquet", "report": False, "push_to_hub": "org/name"},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings), encoding="utf-8")
    with hub.serving(tmp_path / "hub") as served:
        done = dedup(served, tmp_path, "run", "c.yaml")
    assert done.returncode == 0, done.stderr
    shards = sorted((tmp_path / "hub/main").rglob("*.parquet"))
    pushed = {
        row["id"]: row["image"] for shard in shards for row in pq.read_table(shard).to_pylist()
    }
    everything = b"".join(
        path.read_bytes() for path in (tmp_path / "hub/main").rglob("*") if path.is_file()
    )
    sides = ("train", "test")
    expected: dict[str, bytes | None] = {
        f"{side} {name}": data for side in sides for name, data in contents.items()
    }
    expected |= {f"{side} absent": None for side in sides}
    expected |= {str(k): (root / f"{k}.png").read_bytes() for k in (1, 2, 3)}

    assert expected == {name: image and image["bytes"] for name, image in pushed.items()}
    assert key not in everything
    assert private not in everything


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"path": "hf://datasets/org/nobody"}, "no such dataset on the Hub"),
    ({"path": f"{URL}@gone"}, "gone"),
    ({"path": URL, "split": "trian"}, "trian"),
    ({"path": URL, "split": ["train", "train[:1]"]}, "names 'train' twice"),
    ({"path": URL, "image_column": "note"}, "'note' holds no images"),
    ({"path": URL, "data_files": "data/none-*.parquet"}, "none-*"),
]


def test_what_is_not_there(served: hub.Hub, tmp_path: Path) -> None:
    """A wrong id, revision, split, file or column is a wrong request, and named."""
    script = """
import json, sys
from dedup.config import DatasetConfig
from dedup.errors import DedupError
from dedup.formats import open_source
from dedup.decoding.pictures import file_digest
for case in json.load(sys.stdin):
    try:
        open_source(DatasetConfig(**case))
    except DedupError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""
    environment = os.environ | {
        "HF_ENDPOINT": served.endpoint,
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": "hf_test",
    }
    cases = json.dumps([case for case, _ in WRONG])
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=environment, input=cases, capture_output=True, text=True, check=True
    )

    for (_, expected), line in zip(WRONG, done.stdout.splitlines(), strict=True):
        kind, message = json.loads(line)
        assert kind == "ConfigError"
        assert expected in message


@pytest.mark.parametrize("offline", ["0", "1"])
def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    """Without network, or when it is not to be used, it is a sentence with what to do, and nothing
    is tried again.
    """
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    done = dedup(None, tmp_path, "audit", URL, "-o", "run")

    assert "Retrying" not in done.stderr

    assert done.returncode == 1
    assert "the Hub cannot be reached" in done.stderr
    assert "or name a local copy" in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "hf://org/name",
        "hf://datasets/name",
        "hf://models/org/name",
        "org/name",
        "hf://datasets/org/name/data",
    ],
)
def test_slips_reach_no_network(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written in full is refused before anything is asked."""
    monkeypatch.setattr(
        datasets, "load_dataset_builder", lambda *_, **__: pytest.fail("the network was asked")
    )
    with pytest.raises(ConfigError) as caught:
        open_source(DatasetConfig(path=path))

    assert "hf://datasets/org/name" in str(caught.value)


def test_two_revisions() -> None:
    """A revision named twice, differently, is refused."""
    with pytest.raises(ConfigError, match="Name one"):
        open_source(DatasetConfig(path=f"{URL}@a", revision="b"))


def test_a_stream_in_memory() -> None:
    """An `IterableDataset` is read as often as needed; its rows cannot be held."""
    stream = made.dataset_dict(made.rows())["train"].to_iterable_dataset()
    source = open_source(DatasetConfig(id_column="name"), stream)

    assert [row.data for row in made.rows() if row.split == "train"] == made.contents(source)
    with pytest.raises(SourceError, match=r"output\.dir"):
        source.dataset_dict(made.everything(source))
