"""docs/adding.md is true: an algorithm, a form, a policy and an engine are added from outside the
package (`tests/toys`), and a run takes each of them from a dataset to the written splits.
"""

import runpy
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.config import names
from dedup.errors import ConfigError
from dedup.formats import forms
from dedup.formats.forms import Form
from dedup.hashers import families
from dedup.hashers.families import Algorithm
from dedup.policy import keeping
from tests import pictures
from tests.toys.threads import ThreadEngine

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it, and workers find the toys."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tables: list[Any] = [names.ALGORITHMS, names.SOURCES, names.WRITTEN, names.DUPLICATES]
    tables += [families.OWN, forms.FORMS, keeping.RULES]
    before = [table.copy() for table in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        (table.update if isinstance(table, dict) else table.extend)(old)


def registered(name: str) -> None:
    """Import a toy as if for the first time: what it registered for another test is gone."""
    sys.modules.pop(f"tests.toys.{name}", None)
    import_module(f"tests.toys.{name}")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos: one in train and, as a JPEG, in test; one in train twice; two on their own."""
    folder = tmp_path / "photos"
    pictures.folder(folder, ["train/a.png", "train/a_longer_name.png", "train/c.png", "test/d.png"])
    pictures.save(pictures.photo(0), folder / "test/copy_of_a.jpg", quality=80)
    pictures.save(pictures.photo(1), folder / "train/b.png")
    return folder


def leaks(run: dedup.Run) -> list[tuple[str, str]]:
    """Each leaking train sample with its witness."""
    found = run.leakage.select(["id", "witness_id"]).to_pylist()
    return [(row["id"], row["witness_id"]) for row in found]


def dropped(run: dedup.Run) -> dict[str, str]:
    """Reasons by id."""
    rows = run.decisions.to_pylist()
    return {row["id"]: row["reason"] for row in rows if row["action"] == "drop"}


@pytest.mark.parametrize(("workers", "mode"), [(0, "fast"), (2, "fast"), (0, "compat")])
def test_an_algorithm_from_outside(photos: Path, workers: int, mode: str) -> None:
    """Its codes are made by workers, searched in all orientations, verified, and stand in the
    tables; the run ends with a certificate.
    """
    registered("median_hash")
    mirrored = pictures.photo(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(photos / "train" / "mirrored_d.png")
    config = {
        "dataset": {"path": str(photos)},
        "hash": {"algorithms": ["median"], "mode": mode},
        "search": {"max_distance": 8, "orientations": "mirrored"},
        "engine": {"workers": workers},
        "cache": {"folder": None},
        "output": {"dir": str(photos.parent / "run")},
    }

    run = dedup.run(config)

    expected = [("train/a.png", "test/copy_of_a.jpg"), ("train/mirrored_d.png", "test/d.png")]
    assert expected == leaks(run)
    assert {"median", "median_mirror"} <= set(run.hashes.column_names)
    assert "distance_median" in run.pairs.column_names
    assert run.summary["certificate"]["clean"]


def test_codes_of_an_algorithm_from_outside() -> None:
    """They are those that its definition gives, computed here with Python's own numbers; what has
    another width, or another algorithm's name, is refused.
    """
    registered("median_hash")
    rng = np.random.default_rng(5)
    levels = rng.permutation(64).reshape(8, 8).astype(np.uint8)
    ranked = sorted(levels.ravel().tolist())
    expected = [int(level > ranked[31]) for level in levels.ravel().tolist()]

    code = dedup.hash_images([Image.fromarray(levels)], algorithm="median")

    assert expected == np.unpackbits(code[0]).tolist()
    with pytest.raises(ConfigError, match="got 1024; median has 64, 256 bits"):
        dedup.hash_images([], algorithm="median", bits=1024)
    with pytest.raises(ConfigError, match="Did you mean 'median'"):
        dedup.audit([Image.fromarray(levels)], algorithms="medan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dhash"}, "'dhash' is there already. Known: ahash, phash"),
        ({"widths": (32,)}, r"has the widths \(32,\), allowed: 64, 256, 1024 bits"),
        ({"widths": ()}, r"has the widths \(\), allowed"),
        ({"module": "__main__"}, "which workers cannot import. Put it into a module"),
    ],
)
def test_an_algorithm_that_cannot_be_added(changes: dict[str, Any], message: str) -> None:
    """The registration says why, and leaves the tables as they were."""
    given: dict[str, Any] = {
        "name": "other",
        "widths": (64,),
        "needs": lambda _: None,
        "codes": lambda *_: [],
        "module": "somebody.elses",
    }
    before = dict(names.ALGORITHMS)

    with pytest.raises(ConfigError, match=message):
        families.register(Algorithm(**{**given, **changes}))
    assert before == names.ALGORITHMS


def test_an_algorithm_that_breaks_its_promise() -> None:
    """Codes of another shape are an error that says what was promised, not a table of garbage."""
    registered("median_hash")
    short = Algorithm(
        "median",
        widths=(64,),
        needs=families.OWN["median"].needs,
        codes=lambda small, *_: [np.zeros((len(small), 4), np.uint8)],
        module="tests.toys.median_hash",
    )
    families.register(short)

    with pytest.raises(TypeError, match="'median' made codes of shape and type"):
        dedup.hash_images([pictures.photo(0)], algorithm="median")


def test_a_form_from_outside(photos: Path) -> None:
    """A folder of that form is recognised, its leaks are dropped, and what is written has the same
    form again.
    """
    registered("album")
    rows = [
        f"{path.parent.name} thing {path.relative_to(photos).as_posix()}\n"
        for path in sorted(photos.rglob("*.*"))
    ]
    (photos / "album.txt").write_text("".join(rows))
    target = photos.parent / "run"

    run = dedup.run({"dataset": {"path": str(photos)}, "output": {"dir": str(target)}})

    expected = {"train/a.png": "leaks into a held-out split"}
    assert expected == {k: v for k, v in dropped(run).items() if "leak" in v}
    left = [row for row in rows if row.split()[2] not in dropped(run)]
    assert sorted(left) == sorted((target / "splits" / "album.txt").read_text().splitlines(True))
    assert run.summary["certificate"]["clean"]
    again = dedup.audit(target / "splits")
    assert [] == leaks(again)
    assert "album" == again.info["source"]["form"]


def test_a_form_whose_name_is_taken() -> None:
    """Nobody replaces a form in silence."""
    with pytest.raises(ConfigError, match="'coco' is there already"):
        forms.register(Form("coco", lambda *_: None, lambda _: None, ()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("keep_shortest_id", {"train/a_longer_name.png"}), ("keep_first", {"train/b.png"})],
)
def test_a_policy_from_outside(photos: Path, rule: str, expected: set[str]) -> None:
    """It decides which of two copies stays; another rule keeps the other one."""
    registered("shortest_id")

    run = dedup.audit(photos, policy={"duplicates": rule})

    assert expected == {id_ for id_, why in dropped(run).items() if "duplicate" in why}
    assert rule == run.summary["resolved"]["duplicates"]


def test_a_policy_whose_name_is_taken_or_unknown(photos: Path) -> None:
    """Nobody replaces a rule in silence, and a rule that was not registered is refused."""
    with pytest.raises(ConfigError, match="'keep_best' is there already"):
        keeping.register("keep_best", lambda hashes, manifest: np.zeros(len(hashes)))
    with pytest.raises(ConfigError, match="got 'keep_shortest_id', allowed: keep_best"):
        dedup.audit(photos, policy={"duplicates": "keep_shortest_id"})


def test_an_engine_from_outside(photos: Path) -> None:
    """All pictures are decoded by it, and the tables are those of the reference engine."""
    config = {"dataset": {"path": str(photos)}, "cache": {"folder": None}}
    expected = dedup.run({**config, "engine": {"workers": 0}})
    engine = ThreadEngine(2)

    got = dedup.run(config, engine=engine)

    for table in ("hashes", "candidates", "pairs", "decisions"):
        assert getattr(expected, table).equals(getattr(got, table)), table
    assert "dedup.hashers.work" in engine.done


def test_a_script_cannot_register_an_algorithm(tmp_path: Path) -> None:
    """Workers import what they compute with; a script they would run again."""
    script = tmp_path / "script.py"
    script.write_text((ROOT / "tests" / "toys" / "median_hash.py").read_text())

    with pytest.raises(ConfigError, match="a script or notebook"):
        runpy.run_path(str(script), run_name="__main__")
