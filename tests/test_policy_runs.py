"""Policies over whole runs: every form writes what was moved, and `decide` gives what a full run
gives.
"""

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest

from dedup import pipeline
from dedup.config import build
from dedup.errors import ConfigError, LimitError, SourceError
from dedup.formats import open_source
from dedup.gating.gate import gate
from dedup.reporting.galleries import ALLOWED
from dedup.reporting.words import counted
from dedup.runs import folder
from dedup.runs.result import Run
from dedup.tables import storage
from tests import pictures
from tests.formats import made

RESULTS = ("manifest", "pairs", "groups", "leakage", "chains", "decisions")


def ran(
    dataset: Mapping[str, Any], to: Path | None, policy: Mapping[str, Any], **output: Any
) -> Run:
    settings = {"dir": None if to is None else str(to), "report": False, "files": "copy", **output}
    return pipeline.run(
        build({"dataset": dataset, "output": settings, "engine": {"workers": 0}, "policy": policy})
    )


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A manifest with groups, labels, worth, a leak, a chain in the labels, and copies."""
    rows = []
    for i in range(14):
        name = f"photos/{i}.png"
        pictures.save(pictures.photo(i), tmp_path / name)
        split = "test" if i in {0, 1, 2, 3} else "train"
        rows.append(
            [name, split, "cat" if i % 2 else "dog", f"p{i}" if i not in {3, 9} else "p3", str(i)]
        )
    for copy, of, split in (("a", 0, "train"), ("b", 5, "train"), ("c", 1, "train")):
        name = f"photos/{copy}.jpg"
        pictures.save(pictures.photo(of), tmp_path / name, quality=70)
        rows.append([name, split, "bird", f"p{copy}", "99"])
    with (tmp_path / "scans.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "label", "patient", "score"])
        writer.writerows(rows)
    return tmp_path / "scans.csv"


def stored(run_folder: Path) -> dict[str, bytes]:
    return {name: (run_folder / f"{name}.parquet").read_bytes() for name in RESULTS}


POLICIES: list[dict[str, Any]] = [
    {"leakage": "drop_from_held_out"},
    {"leakage": "report_only", "label_conflicts": "drop"},
    {"leakage": "regroup", "max_moved": 1.0},
    {"chains": "drop"},
    {"label_conflicts": "drop_all"},
    {"label_conflicts": "drop", "duplicates": "report_only"},
    {"duplicates": "keep_first"},
    {"duplicates": "keep_by", "keep_by": "score"},
    {"duplicates": "keep_by", "keep_by": "score", "keep_order": "ascending"},
    {
        "not_duplicates_list": "not_duplicates.csv",
        "duplicates_list": "duplicates.csv",
        "prefer_list": "prefer.csv",
    },
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: "-".join(map(str, policy.values())))
def test_decide_gives_what_a_full_run_gives(
    scans: Path, tmp_path: Path, policy: dict[str, Any]
) -> None:
    """Tables and summary, byte for byte; the dataset is gone by then, so no pixel was read."""
    (tmp_path / "not_duplicates.csv").write_text("id_a,id_b\nphotos/0.png,photos/a.jpg\n")
    (tmp_path / "duplicates.csv").write_text("id_a,id_b\nphotos/2.png,photos/7.png\n")
    (tmp_path / "prefer.csv").write_text("id\nphotos/b.jpg\n")
    policy = {k: str(tmp_path / v) if k.endswith("_list") else v for k, v in policy.items()}
    dataset = {"path": str(scans), "group_column": "patient"}
    before = {"duplicates": "keep_by", "keep_by": "score"}
    ran(dataset, tmp_path / "whole", policy, splits="none")
    ran(dataset, tmp_path / "other", before, splits="none")
    for path in [*(tmp_path / "photos").iterdir(), scans]:
        path.unlink()
    asked = {"duplicates": "keep_best", "keep_by": None, **policy}
    overrides = [
        f"policy.{key}={'null' if value is None else value}" for key, value in asked.items()
    ]
    pipeline.decide(tmp_path / "other", overrides, output=tmp_path / "decided")
    pipeline.decide(tmp_path / "other", overrides)

    for where in ("decided", "other"):
        assert stored(tmp_path / "whole") == stored(tmp_path / where)
        assert (tmp_path / "whole/summary.json").read_bytes() == (
            tmp_path / where / "summary.json"
        ).read_bytes()
        fingerprints = [
            folder.read_json(tmp_path / run / folder.RUN)["fingerprints"]
            for run in ("whole", where)
        ]
        assert fingerprints[0] == fingerprints[1]


def test_lists_are_applied(scans: Path, tmp_path: Path) -> None:
    """An allowed leak stays and is certified, a listed pair goes, a preferred copy stays."""
    (tmp_path / "not_duplicates.csv").write_text("id_a,id_b\nphotos/0.png,photos/a.jpg\n")
    (tmp_path / "duplicates.csv").write_text("id_a,id_b\nphotos/2.png,photos/7.png\n")
    (tmp_path / "prefer.csv").write_text("id\nphotos/b.jpg\n")
    policy = {
        f"{name}_list": str(tmp_path / f"{name}.csv")
        for name in ("not_duplicates", "duplicates", "prefer")
    }
    result = ran({"path": str(scans)}, tmp_path / "run", policy, report=True)
    action = {row["id"]: row["action"] for row in result.decisions.to_pylist()}

    assert action["photos/a.jpg"] == "keep"
    assert action["photos/7.png"] == "drop"
    assert action["photos/b.jpg"] == "keep"
    assert action["photos/5.png"] == "drop"
    assert {"listed"} == {
        row["kind"] for row in result.leakage.to_pylist() if row["id"] == "photos/7.png"
    }
    assert result.summary["certificate"]["clean"] is True
    assert ALLOWED in (tmp_path / "run" / folder.REPORT).read_text(encoding="utf-8")
    assert {"not_duplicates_list", "duplicates_list", "prefer_list"} == result.summary["resolved"][
        "lists"
    ].keys()


def test_a_wrong_list_leaves_a_run_as_it_was(scans: Path, tmp_path: Path) -> None:
    """decide refuses the list before it replaces anything; run refuses it before it hashes."""
    ran({"path": str(scans)}, tmp_path / "run", {}, splits="none")
    before = {
        path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    }
    (tmp_path / "duplicates.csv").write_text("id_a,id_b\nphotos/2.png,gone\n")
    with pytest.raises(ConfigError, match="no sample 'gone'"):
        pipeline.decide(tmp_path / "run", [f"policy.duplicates_list={tmp_path / 'duplicates.csv'}"])
    with pytest.raises(LimitError, match="max_moved"):
        pipeline.decide(tmp_path / "run", ["policy.leakage=regroup", "policy.max_moved=0.0"])
    with pytest.raises(ConfigError, match="no sample 'gone'"):
        ran(
            {"path": str(scans)},
            tmp_path / "new",
            {"duplicates_list": str(tmp_path / "duplicates.csv")},
        )

    assert before == {
        path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    }
    assert not (tmp_path / "new").exists()


def test_what_is_refused_after_hashing_leaves_nothing(scans: Path, tmp_path: Path) -> None:
    """Copies said to be none, and a regroup beyond its limit, are seen when pictures are known: no
    folder is left.
    """
    (tmp_path / "copy.png").write_bytes((tmp_path / "photos/4.png").read_bytes())
    with scans.open("a", encoding="utf-8") as file:
        file.write("copy.png,train,cat,p99,1\n")
    (tmp_path / "not_duplicates.csv").write_text("id_a,id_b\nphotos/4.png,copy.png\n")
    for policy, problem in (
        ({"not_duplicates_list": str(tmp_path / "not_duplicates.csv")}, "show the same pixels"),
        ({"leakage": "regroup", "max_moved": 0.0}, "policy.max_moved allows"),
    ):
        settings = {
            "dataset": {"path": str(scans)},
            "output": {"dir": str(tmp_path / "run")},
            "engine": {"workers": 0},
        }
        with pytest.raises((ConfigError, LimitError), match=problem):
            pipeline.run(
                build({**settings, "policy": policy, "cache": {"folder": str(tmp_path / "cache")}})
            )

        assert not (tmp_path / "run").exists()


def test_what_was_not_read_cannot_be_decided(scans: Path, tmp_path: Path) -> None:
    """A group column or a column to keep by that the stored manifest lacks is named."""
    ran({"path": str(scans)}, tmp_path / "run", {}, splits="none")
    with pytest.raises(
        ConfigError, match=r"dataset\.group_column: the stored manifest was read with None"
    ):
        pipeline.decide(tmp_path / "run", ["dataset.group_column=patient"])
    with pytest.raises(
        ConfigError, match=r"policy\.keep_by: the stored manifest has the column None, not 'score'"
    ):
        pipeline.decide(tmp_path / "run", ["policy.duplicates=keep_by", "policy.keep_by=score"])


def test_a_group_column_with_nulls(scans: Path, tmp_path: Path) -> None:
    """The column, how many, the first sample and its row are named."""
    scans.write_text(scans.read_text().replace(",p5,", ",,"))
    with pytest.raises(
        SourceError,
        match=r"'patient' \(dataset.group_column\) is null in 1 of 17.*'photos/5.png' \(row 6\)",
    ):
        ran({"path": str(scans), "group_column": "patient"}, tmp_path / "run", {})

    assert not (tmp_path / "run").exists()


def test_groups_leak(scans: Path, tmp_path: Path) -> None:
    """Patient p3 is in test and in train: the train picture goes, and the certificate counts no
    group.
    """
    result = ran({"path": str(scans), "group_column": "patient"}, tmp_path / "run", {})
    rows = {row["id"]: row for row in result.decisions.to_pylist()}

    assert ("its group is in a held-out split", "photos/3.png") == (
        rows["photos/9.png"]["reason"],
        rows["photos/9.png"]["witness_id"],
    )
    assert {"images": 4, "leaking": 1, "share": 0.25} == result.summary["group_leakage"]["test"]
    assert result.summary["certificate"]["groups_in_train_and_held_out"] == 0
    left = ran(
        {"path": str(scans), "group_column": "patient"},
        tmp_path / "left",
        {"leakage": "report_only"},
    )
    assert left.summary["certificate"]["groups_in_train_and_held_out"] == 1
    assert left.summary["certificate"]["clean"] is False


@pytest.fixture
def unseen(tmp_path: Path) -> Path:
    """Of groups g and h a picture on one side cannot be read, of k one on both."""
    rows = [
        ("train", "g", True), ("test", "g", False),
        ("train", "h", False), ("test", "h", True),
        ("train", "k", False), ("test", "k", False),
        *((split, f"{split}{i}", True) for split in ("train", "test") for i in range(4)),
    ]  # fmt: skip
    lines = ["path,split,patient"]
    for number, (split, group, readable) in enumerate(rows):
        path = tmp_path / "photos" / f"{number}.png"
        pictures.save(pictures.photo(number), path)
        if not readable:
            path.write_bytes(path.read_bytes()[:200])
        lines.append(f"photos/{number}.png,{split},{group}")
    (tmp_path / "unseen.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "unseen.csv"


@pytest.mark.parametrize("unreadable", ["drop", "drop_from_train", "keep"])
@pytest.mark.parametrize(
    "leakage", ["drop_from_train", "drop_from_held_out", "regroup", "report_only"]
)
def test_groups_of_pictures_that_cannot_be_read(
    unseen: Path, tmp_path: Path, leakage: str, unreadable: str
) -> None:
    """A group counts where its picture is written, whoever can read it; the certificate counts what
    is there.
    """
    policy = {
        "leakage": leakage,
        "unreadable": unreadable,
        **({"max_moved": 1.0} if leakage == "regroup" else {}),
    }
    result = ran(
        {"path": str(unseen), "group_column": "patient"},
        tmp_path / "run",
        policy,
        splits="manifest",
    )
    with (tmp_path / "run/splits/unseen.csv").open(encoding="utf-8", newline="") as file:
        there = [(row["split"], row["patient"]) for row in csv.DictReader(file)]
    both = {group for split, group in there if split == "train"} & {
        g for split, g in there if split == "test"
    }

    assert len(both) == result.summary["certificate"]["groups_in_train_and_held_out"]
    if leakage != "report_only":
        assert set() == both
    if unreadable == "drop":
        assert {"g", "h"} == {group for _, group in there} & {"g", "h", "k"}


def splits_of(run: Run) -> dict[str, int]:
    rows = run.decisions.to_pylist()
    now = [row["new_split"] or row["split"] for row in rows if row["action"] in {"keep", "move"}]
    return {split: now.count(split) for split in sorted(set(now))}


@pytest.mark.parametrize("form", ["manifest", "imagefolder", "webdataset", "parquet"])
@pytest.mark.parametrize("splits", ["same", "manifest", "imagefolder", "webdataset", "parquet"])
def test_every_form_writes_what_was_moved(tmp_path: Path, form: str, splits: str) -> None:
    """Written in its own form and in every other, the splits have the sizes that were decided, and
    are clean.
    """
    path = tmp_path / "data"
    names = [
        f"{split}/{label}/{i}.png"
        for i, (split, label) in enumerate(
            [
                ("train", "cat"),
                ("train", "dog"),
                ("train", "cat"),
                ("train", "dog"),
                ("test", "cat"),
                ("test", "dog"),
                ("test", "cat"),
            ]
        )
    ]
    pictures.folder(path, names)
    for copy in (4, 5):
        pictures.save(pictures.photo(copy), path / f"train/cat/{copy}.png")
    if form != "imagefolder":
        first = ran(
            {"path": str(path)},
            tmp_path / "first",
            {"leakage": "report_only", "duplicates": "report_only"},
            splits=form,
        )
        assert first.dir is not None
        path = first.dir / "splits" / ("manifest.csv" if form == "manifest" else "")
    columns = {"split_column": "split"} if form == "manifest" else {}
    if form == "webdataset":
        columns = {"id_column": "id"}
    asked = {"leakage": "regroup", "max_moved": None, "duplicates": "report_only"}
    result = ran({"path": str(path), **columns}, tmp_path / "run", asked, splits=splits)
    certificate = result.summary["certificate"]

    assert result.summary["decisions"]["move"] == 2
    assert {"test": 3, "train": 6} == splits_of(result)
    assert certificate["clean"] is True
    assert certificate["samples"] == 9
    assert result.dir is not None
    written = open_source(
        build(
            {
                "dataset": {
                    "path": str(
                        result.dir
                        / "splits"
                        / (
                            "manifest.csv"
                            if (splits if splits != "same" else form) == "manifest"
                            else ""
                        )
                    ),
                    **({"split_column": "split"} if splits == "webdataset" else {}),
                }
            }
        ).dataset
    )
    counts = written.rows["split"].to_pylist()
    assert {"test": 3, "train": 6} == {split: counts.count(split) for split in sorted(set(counts))}


def test_counts_of_a_regroup_add_up(tmp_path: Path, scans: Path) -> None:
    """What moved has a column of its own wherever splits are counted, so that each row adds up."""
    asked = {"leakage": "regroup", "max_moved": None, "duplicates": "report_only"}
    result = ran({"path": str(scans)}, tmp_path / "run", asked)
    card = (tmp_path / "run/splits/README.md").read_text(encoding="utf-8")
    page = gate(tmp_path / "run").markdown()
    names = counted(result.summary)

    assert result.summary["decisions"]["move"] > 0
    assert all(
        n["images"] == sum(n[key] for key in names if key != "images")
        for n in result.summary["splits"].values()
    )
    assert all("| moved out |" in text for text in (card, page))
    assert "would move out" in counted(result.summary, written=False).values()


def test_the_page_says_what_would_be(tmp_path: Path, scans: Path) -> None:
    """Where nothing is written samples would stay or go; thumbnails are called so where the dataset
    is not open.
    """
    pages = []
    for output in ({"splits": "none"}, {}):
        ran({"path": str(scans)}, tmp_path / "run", {}, report=True, **output)
        pages.append((tmp_path / "run/report.html").read_text(encoding="utf-8"))
        shutil.rmtree(tmp_path / "run")
    ran({"path": str(scans)}, tmp_path / "run", {}, splits="none")
    pipeline.decide(tmp_path / "run", ["output.report=true", "policy.duplicates=report_only"])
    pages.append((tmp_path / "run/report.html").read_text(encoding="utf-8"))

    assert [True, False, True] == ["would go" in page for page in pages]
    assert [False, True, False] == [">dropped<" in page for page in pages]
    assert [False, False, True] == ["stored thumbnails" in page for page in pages]


def test_an_image_folder_with_metadata_is_refused_before_any_work(tmp_path: Path) -> None:
    """A row of metadata that would have no file to stand in; the message names the forms that can
    be written.
    """
    pictures.folder(tmp_path / "data", ["train/1.png", "train/2.png", "test/1.png"])
    made.table(tmp_path / "data/train/metadata.jsonl", [{"file_name": "1.png", "x": 1}])
    with pytest.raises(SourceError, match=r"metadata.jsonl.*output.splits: parquet, manifest"):
        ran({"path": str(tmp_path / "data")}, tmp_path / "run", {"leakage": "regroup"})

    assert not (tmp_path / "run").exists()


def test_moved_rows_in_memory(tmp_path: Path) -> None:
    """A DatasetDict comes back with its rows moved and its features kept."""
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )

    def part(*seeds: int) -> datasets.Dataset:
        images = [{"bytes": pictures.encoded(pictures.photo(seed)), "path": None} for seed in seeds]
        labels = [seed % 2 for seed in seeds]
        return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)

    data = datasets.DatasetDict({"train": part(1, 2, 3, 4, 5), "test": part(1, 2, 9)})
    config = build(
        {"policy": {"leakage": "regroup", "max_moved": None, "duplicates": "report_only"}}
    )
    result = pipeline.run(config, data)
    splits = result.splits()

    assert {"train": 5, "test": 3} == {name: len(rows) for name, rows in splits.items()}
    assert splits["train"].features == features
    assert result.summary["decisions"]["move"] == 2
    assert result.summary["certificate"]["clean"] is True


def test_tables_without_a_column(tmp_path: Path, scans: Path) -> None:
    """Some values of a stored column are read without the table."""
    ran({"path": str(scans)}, tmp_path / "run", {}, splits="none")
    whole = storage.read(tmp_path / "run", "hashes")
    part = storage.read(tmp_path / "run", "hashes", without=("thumbnail",))

    assert "thumbnail" not in part.column_names
    assert whole["thumbnail"].take([3, 0, 3]).to_pylist() == storage.values(
        tmp_path / "run", "hashes", "thumbnail", [3, 0, 3]
    )


@pytest.mark.parametrize(("short", "refused"), [(0.0, False), (0.001, True)])
def test_max_moved_is_inclusive(tmp_path: Path, short: float, refused: bool) -> None:
    """As large a share of a split as the limit says may leave it; a little more may not."""
    pictures.folder(
        tmp_path / "in", ["train/a.png", "train/b.png", "train/c.png", "test/d.png", "test/e.png"]
    )
    (tmp_path / "in/test/copy.png").write_bytes((tmp_path / "in/train/a.png").read_bytes())
    policy: dict[str, Any] = {"leakage": "regroup", "max_moved": None}
    settings = {
        "dataset": {"path": str(tmp_path / "in")},
        "output": {"splits": "none"},
        "engine": {"workers": 0},
    }
    free = pipeline.run(build({**settings, "policy": policy}))
    share = max(of["moved_out"] / of["before"] for of in free.summary["regroup"].values())
    limited = {**settings, "policy": {**policy, "max_moved": share - short}}

    assert share == 1 / 3
    if refused:
        with pytest.raises(LimitError, match="would be moved"):
            pipeline.run(build(limited))
    else:
        assert pipeline.run(build(limited)).decisions.equals(free.decisions)
