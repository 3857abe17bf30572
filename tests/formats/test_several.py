"""Several datasets at once: what is cleaned, and reference sets that are never altered."""

from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup.errors import ConfigError, SourceError
from tests import pictures
from tests.formats import made


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A training set without splits; 1 and 2 are in the benchmark, 3 is there twice."""
    root = pictures.folder(tmp_path / "mine", ["1.png", "2.png", "3.png", "4.png"], first_seed=1)
    pictures.save(pictures.photo(3), root / "3 again.jpg", quality=50)
    return root


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A benchmark with two splits of its own, a pair of duplicates and a broken file in it."""
    root = pictures.folder(tmp_path / "bench", ["test/x.png", "train/y.png"], first_seed=1)
    pictures.save(pictures.photo(1), root / "test/x again.jpg", quality=60)
    (root / "test/broken.png").write_bytes(b"broken")
    return root


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file."""
    return {
        str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in root.rglob("*")
        if p.is_file()
    }


def cleaned(mine: Path, bench: Path, out: Path, **policy: Any) -> dedup.Run:
    """A run that cleans the first of the reference."""
    sources = [{"path": str(mine)}, {"path": str(bench), "reference": True}]
    settings = {"dataset": {"sources": sources}, "policy": policy, "engine": {"workers": 0}}
    return dedup.run({**settings, "output": {"dir": str(out), "report": False}})


def actions(run: dedup.Run) -> dict[str, str]:
    """What is done with each id."""
    return dict(
        zip(run.decisions["id"].to_pylist(), run.decisions["action"].to_pylist(), strict=True)
    )


def test_is_it_clean_of_that_benchmark(mine: Path, bench: Path) -> None:
    """Every split of a reference is held out; ids and splits say which dataset a sample is of."""
    run = dedup.audit([mine, bench], workers=0)

    assert (
        ("bench/test", "bench/train")
        == run.resolved.splits.held_out
        == run.resolved.splits.references
    )
    leaks = set(
        zip(run.leakage["id"].to_pylist(), run.leakage["witness_id"].to_pylist(), strict=True)
    )
    assert {
        ("mine/1.png", "bench/test/x again.jpg"),
        ("mine/1.png", "bench/test/x.png"),
        ("mine/2.png", "bench/train/y.png"),
    } >= leaks
    assert {"mine/1.png", "mine/2.png"} == {name for name, _ in leaks}
    assert {"bench/test": 2, "bench/train": 1} == {
        k: v["leaking"] for k, v in run.summary["leakage"].items()
    }


def test_no_split_but_a_reference(tmp_path: Path, bench: Path) -> None:
    """A heap beside a reference needs no split; one with splits of other names than train is told
    what is held out.
    """
    pictures.folder(tmp_path / "heap", ["1.png", "2.png"])
    pictures.folder(tmp_path / "odd", ["val/1.png", "val/2.png", "test/1.png", "test/2.png"])
    heap, odd = (dedup.audit([tmp_path / name, bench], workers=0) for name in ("heap", "odd"))

    assert not any("called train" in text for text in heap.summary["warnings"])
    (told,) = (text for text in odd.summary["warnings"] if "called train" in text)
    assert told.endswith("nothing is held out but reference sets.")
    assert "bench" not in told


@pytest.mark.parametrize("leakage", ["drop_from_train", "drop_from_held_out"])
@pytest.mark.parametrize("unreadable", ["drop", "drop_from_train", "keep"])
def test_references_are_never_altered(
    mine: Path, bench: Path, tmp_path: Path, leakage: str, unreadable: str
) -> None:
    """Whatever the policy, all of the reference stays, nothing of it is written, and what matches
    it goes.
    """
    before = snapshot(bench)
    run = cleaned(mine, bench, tmp_path / "run", leakage=leakage, unreadable=unreadable)

    assert before == snapshot(bench)
    assert {"keep", "unreadable"} == {
        action for name, action in actions(run).items() if name.startswith("bench/")
    }
    assert (
        run.keep()[[name.startswith("bench/") for name in run.source.rows["id"].to_pylist()]].all()
        if run.source
        else False
    )
    assert {"mine/1.png", "mine/2.png", "mine/3 again.jpg"} == {
        n for n, action in actions(run).items() if action == "drop"
    }
    assert ["3.png", "4.png"] == sorted(
        p.name for p in (tmp_path / "run/splits").iterdir() if p.name != "README.md"
    )
    assert run.summary["certificate"]["clean"]


def test_the_output_is_clean_of_the_reference(mine: Path, bench: Path, tmp_path: Path) -> None:
    """What was written has no pair with the benchmark left."""
    cleaned(mine, bench, tmp_path / "run")

    assert len(dedup.audit([tmp_path / "run/splits", bench], workers=0).leakage) == 0


@pytest.mark.parametrize("splits", ["same", "parquet", "manifest", "none"])
def test_all_of_it_is_in_the_reference(bench: Path, tmp_path: Path, splits: str) -> None:
    """Where every own sample matches a reference, all of it is dropped, and nothing is
    certified.
    """
    pictures.folder(tmp_path / "mine", ["1.png", "2.png"], first_seed=1)
    sources = [{"path": str(tmp_path / "mine")}, {"path": str(bench), "reference": True}]
    settings: dict[str, Any] = {"dataset": {"sources": sources}, "engine": {"workers": 0}}
    output = {"dir": str(tmp_path / "run"), "report": False, "splits": splits}
    run = dedup.run({**settings, "output": output})

    assert {"mine/1.png": "drop", "mine/2.png": "drop"} == {
        name: action for name, action in actions(run).items() if name.startswith("mine/")
    }
    assert run.summary["certificate"] is None
    assert not dedup.gate(run, certified=True).passed
    assert dedup.gate(run, certified=True, allow_nothing=True).passed
    assert splits == "none" or (tmp_path / "run/splits/README.md").exists()


def test_several_are_cleaned_together(mine: Path, bench: Path, tmp_path: Path) -> None:
    """Datasets of different forms: of a copy in two of them one stays; each is written in its form
    below its prefix.
    """
    other = made.manifest(
        tmp_path / "other",
        [
            made.Row(
                "4 again.jpg",
                "train",
                "cat",
                pictures.encoded(pictures.photo(4), "JPEG", quality=40),
            ),
            made.Row("9.png", "train", "dog", pictures.encoded(pictures.photo(9))),
        ],
    )
    entries = [
        {"path": str(mine), "prefix": "first"},
        {**other, "prefix": "second"},
        {"path": str(bench), "reference": True},
    ]
    run = dedup.run(
        {
            "dataset": {"sources": entries},
            "engine": {"workers": 0},
            "output": {"dir": str(tmp_path / "run"), "report": False},
        }
    )

    assert {"first/1.png", "first/2.png", "first/3 again.jpg", "second/files/4 again.jpg"} == {
        n for n, a in actions(run).items() if a == "drop"
    }
    assert ["3.png", "4.png"] == sorted(p.name for p in (tmp_path / "run/splits/first").iterdir())
    assert ["9.png"] == sorted(p.name for p in (tmp_path / "run/splits/second/files").iterdir())
    assert run.summary["certificate"]["clean"]


def test_decide_reads_several_again(mine: Path, bench: Path, tmp_path: Path) -> None:
    """`decide` opens all datasets again and gives what a run with its settings gives."""
    from dedup import pipeline

    cleaned(mine, bench, tmp_path / "run")
    again = pipeline.decide(tmp_path / "run", ["policy.duplicates=report_only"])

    assert {"mine/1.png", "mine/2.png"} == {
        name for name, action in actions(again).items() if action == "drop"
    }


def test_the_order_of_references_changes_nothing(mine: Path, bench: Path, tmp_path: Path) -> None:
    """Tables depend on the datasets and their prefixes, not on the order in which they are
    named.
    """
    third = pictures.folder(tmp_path / "third", ["a.png", "b.png"], first_seed=3)
    runs = [
        dedup.audit([mine, *references], workers=0)
        for references in ([bench, third], [third, bench])
    ]

    for name in ("manifest", "pairs", "decisions"):
        assert (
            runs[0]
            .tables[name]
            .replace_schema_metadata(None)
            .equals(runs[1].tables[name].replace_schema_metadata(None))
        )


def test_equal_names_get_numbers(mine: Path, tmp_path: Path) -> None:
    """Two folders of one name are told apart."""
    twin = pictures.folder(tmp_path / "elsewhere/mine", ["1.png"], first_seed=50)
    run = dedup.audit([mine, twin], workers=0)

    assert {"mine-2"} == {*run.resolved.splits.references}


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ({"path": "x", "sources": [{"path": "y"}]}, "dataset.sources is given beside path"),
        ({"sources": [{"path": "y", "reference": True}]}, "one must be cleaned"),
        (
            {"sources": [{"path": "y", "prefix": "a"}, {"path": "z", "prefix": "a"}]},
            "two entries have the prefix 'a'",
        ),
        ({"sources": [{"prefix": "a"}]}, "dataset.sources.0.path"),
        ({"sources": [{"path": "y", "prefix": "a/b"}]}, "dataset.sources.0.prefix"),
        ({"sources": [{"path": "y", "referenc": True}]}, "dataset.sources.0.referenc"),
    ],
)
def test_wrong_lists(dataset: dict[str, Any], expected: str) -> None:
    """What cannot be meant is refused with its key."""
    with pytest.raises(ConfigError) as caught:
        dedup.run({"dataset": dataset})

    assert expected in str(caught.value)


def test_a_split_called_like_a_reference(bench: Path, tmp_path: Path) -> None:
    """A split of what is cleaned cannot pass for one of a reference set."""
    rows = [made.Row("1.png", "bench/test", "cat", pictures.encoded(pictures.photo(1)))]
    own = made.manifest(tmp_path / "own", rows)
    with pytest.raises(SourceError) as caught:
        dedup.audit([own["path"], bench], workers=0)

    assert "'bench/test' is called like a reference set" in str(caught.value)


def test_a_split_that_is_called_like_none(tmp_path: Path) -> None:
    """A held-out split called `(no split)` and samples without a split are two, and the leak
    between them counts.
    """
    pictures.folder(tmp_path / "heap", ["1.png", "2.png"], first_seed=1)
    pictures.save(pictures.photo(1), tmp_path / "named/1.png")
    pictures.save(pictures.photo(7), tmp_path / "named/7.png")
    (tmp_path / "named.csv").write_text(
        "path,split\nnamed/1.png,(no split)\nnamed/7.png,((no split))\n"
    )
    sources = [{"path": str(tmp_path / "heap")}, {"path": str(tmp_path / "named.csv")}]
    settings: dict[str, Any] = {
        "dataset": {"sources": sources},
        "policy": {"held_out": ["(no split)"]},
    }
    run = dedup.run({**settings, "output": {"splits": "none"}, "engine": {"workers": 0}})
    counted = {name: of["images"] for name, of in run.summary["splits"].items()}

    assert {"(no split)": 1, "((no split))": 1, "(((no split)))": 2} == counted
    assert run.summary["samples_without_split_as"] == "(((no split)))"
    assert {"images": 1, "leaking": 1, "share": 1.0} == run.summary["leakage"]["(no split)"]
    assert not dedup.gate(run, max_leakage=0.0).passed
