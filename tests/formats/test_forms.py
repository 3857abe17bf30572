"""All forms of datasets against one another: what goes in comes out, in the same form and in every
other.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

import dedup
from dedup.formats import open_source, write_splits
from tests import pictures
from tests.formats import made

OUTPUTS = ["same", "imagefolder", "manifest", "parquet", "huggingface", "webdataset"]

every_form = pytest.mark.parametrize("form", list(made.MAKERS))
every_output = pytest.mark.parametrize("output", OUTPUTS)


def expected_rows(rows: list[made.Row]) -> list[tuple[str, str, str, bytes]]:
    """Name, split, label and bytes, sorted."""
    return sorted((row.name, row.split, row.label, row.data) for row in rows)


@every_form
def test_every_form_says_the_same(tmp_path: Path, form: str) -> None:
    """Names, splits, labels and stored bytes are those that the dataset was made of."""
    source = made.opened(**made.MAKERS[form](tmp_path / "in", made.rows()))

    assert expected_rows(made.rows()) == sorted(made.described(source))


@every_form
@every_output
def test_nothing_filtered(tmp_path: Path, form: str, output: str) -> None:
    """Read → filter nothing → write → read gives equal ids, splits, labels and bytes, in the order
    of the source.
    """
    source = made.opened(**made.MAKERS[form](tmp_path / "in", made.rows()))
    written = write_splits(source, made.everything(source), tmp_path / "out", output, "hardlink")
    again = open_source(written.config)

    if output == "same":
        for split in ("train", "test", "validation"):
            inside = pc.equal(source.rows["split"], split), pc.equal(again.rows["split"], split)
            assert source.rows.filter(inside[0]).equals(again.rows.filter(inside[1]))
        assert made.described(source) == sorted(
            made.described(again), key=made.described(source).index
        )
    else:
        assert sorted(made.described(source)) == sorted(made.described(again))


@every_form
@every_output
def test_kept_rows_only(tmp_path: Path, form: str, output: str) -> None:
    """With drops exactly the kept rows are written; in a form with an order of its own they keep
    theirs.
    """
    source = made.opened(**made.MAKERS[form](tmp_path / "in", made.rows()))
    keep = np.random.default_rng(3).random(len(source.rows)) < 0.6
    written = write_splits(source, keep, tmp_path / "out", output, "copy")
    kept = [row for row, is_kept in zip(made.described(source), keep, strict=True) if is_kept]
    got = made.described(open_source(written.config))

    assert sorted(kept) == sorted(got)
    if output != "imagefolder":
        for split in {split for _, split, _, _ in kept}:
            assert [row for row in kept if row[1] == split] == [
                row for row in got if row[1] == split
            ]


@every_form
def test_the_written_dataset_is_clean(tmp_path: Path, form: str) -> None:
    """A run drops what it must, and an audit of its output with the same settings finds no leak
    left.
    """
    dataset = made.MAKERS[form](tmp_path / "in", made.rows())
    result = dedup.run(
        {
            "dataset": dataset,
            "output": {"dir": str(tmp_path / "run"), "report": False},
            "engine": {"workers": 0},
        }
    )
    kept = {
        name.rpartition("/")[2]
        for name, action in zip(
            *(result.decisions[c].to_pylist() for c in ("id", "action")), strict=True
        )
        if action != "drop"
    }

    assert kept == made.KEPT
    assert result.summary["certificate"]["clean"]
    place = tmp_path / "run/splits"
    path = place / "m.csv" if form == "manifest" else place
    audit = dedup.audit(path, **{k: v for k, v in dataset.items() if k != "path"}, workers=0)
    assert 0 == len(audit.leakage) == len(audit.pairs)
    assert sorted(made.KEPT) == sorted(
        name.rpartition("/")[2] for name in audit.manifest["id"].to_pylist()
    )


@every_output
def test_a_run_writes_every_form(tmp_path: Path, output: str) -> None:
    """`output.splits` names the form; the certificate is of what was written, and a README stands
    beside it.
    """
    dataset = made.imagefolder(tmp_path / "in", made.rows())
    settings: dict[str, Any] = {"dir": str(tmp_path / "run"), "splits": output, "report": False}
    result = dedup.run({"dataset": dataset, "output": settings, "engine": {"workers": 0}})

    assert result.summary["certificate"]["clean"]
    assert len(made.KEPT) == result.summary["certificate"]["samples"]
    assert "# Cleaned dataset" in (tmp_path / "run/splits/README.md").read_text(encoding="utf-8")


def test_forms_give_the_same_pairs(tmp_path: Path) -> None:
    """The same pictures in all forms give the same pairs, with the same distances and
    similarities.
    """
    found = {}
    for form, maker in made.MAKERS.items():
        id_column = "name" if form in {"saved", "parquet", "arrow", "webdataset"} else None
        result = dedup.audit(
            maker(tmp_path / form, made.rows())["path"], workers=0, id_column=id_column
        )
        table = result.pairs.to_pylist()
        found[form] = sorted(
            (
                *sorted((row["id_a"].rpartition("/")[2], row["id_b"].rpartition("/")[2])),
                row["kind"],
                row["distance_dhash"],
                row["similarity"],
            )
            for row in table
        )

    assert [pair[:2] for pair in found["imagefolder"]] == [
        ("a2.png", "b0.jpg"),
        ("a4.png", "copy.jpg"),
    ]
    for form, pairs in found.items():
        assert found["imagefolder"] == pairs, form


@pytest.mark.parametrize("output", OUTPUTS)
def test_hostile_texts_in_a_whole_run(tmp_path: Path, output: str) -> None:
    """Ids, labels and splits of any text survive in tables and splits, and do no harm in the report
    and the README.
    """
    texts = [*made.HOSTILE, "<script>alert(1)</script>", "a|b `c` *d*", "</td></script><img src=x>"]
    for k in range(2 * len(texts)):
        path = tmp_path / f"in/{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pictures.encoded(pictures.photo(k // 2)))
    splits = [
        "train" if k % 2 else "test" if output in {"parquet", "huggingface"} else f"s{t}"
        for t in texts
        for k in (0, 1)
    ]
    records = [
        {
            "path": f"{k}.png",
            "id": f"{k}{texts[k // 2]}",
            "label": texts[k // 2],
            "split": splits[k],
        }
        for k in range(2 * len(texts))
    ]
    path = made.table(tmp_path / "in/m.jsonl", records)
    settings = {"dataset": {"path": str(path)}, "engine": {"workers": 0}}
    run = dedup.run({**settings, "output": {"dir": str(tmp_path / "run"), "splits": output}})
    html = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    readme = (tmp_path / "run/splits/README.md").read_text(encoding="utf-8")

    assert run.summary["certificate"]["clean"]
    assert sorted(str(r["id"]) for r in records if r["split"] == "train") == sorted(
        run.leakage["id"].to_pylist()
    )
    assert {text.strip() for text in texts} == {
        text.strip() for text in run.leakage["label"].to_pylist()
    }
    for text in ("<script>alert(1)", "<img src=x>", "<b>html"):
        assert text not in html
        assert text not in readme.partition("```json")[0]
    cells = [
        line.replace("\\|", "").count("|") for line in readme.splitlines() if line.startswith("| ")
    ]
    assert {6, 3} == {*cells}
