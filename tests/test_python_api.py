"""Datasets in memory in every form that Python programs hold them in, the keyword options, and runs
from folders.
"""

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import dedup
from dedup.api import progress
from tests import option_types, pictures

SEEDS = [1, 2, 3, 1, 4]  # the fourth picture is the first again


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five pictures, two of them the same."""
    root = tmp_path_factory.mktemp("files")
    paths = [root / f"{k}.png" for k in range(len(SEEDS))]
    for path, seed in zip(paths, SEEDS, strict=True):
        pictures.save(pictures.photo(seed), path)
    return paths


def dataset(files: list[Path]) -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image()})
    return datasets.Dataset.from_dict({"image": [str(path) for path in files]}, features=features)


FORMS: dict[str, Callable[[list[Path]], Any]] = {
    "paths": lambda files: files,
    "texts": lambda files: [str(path) for path in files],
    "bytes": lambda files: [path.read_bytes() for path in files],
    "PIL": lambda files: [Image.open(path) for path in files],
    "Dataset": dataset,
    "IterableDataset": lambda files: dataset(files).to_iterable_dataset(),
    "dict": lambda files: {"train": dataset(files)},
    "DatasetDict": lambda files: datasets.DatasetDict(train=dataset(files)),
    "DataFrame of paths": lambda files: pd.DataFrame(
        {"file": map(str, files), "weight": range(len(files))}
    ),
    "DataFrame of bytes": lambda files: pd.DataFrame(
        {"data": [path.read_bytes() for path in files]}
    ),
    "DataFrame of PIL": lambda files: pd.DataFrame(
        {"picture": [Image.open(path) for path in files]}
    ),
    "Arrow of paths": lambda files: pa.table({"file": [str(path) for path in files]}),
    "Arrow of structs": lambda files: pa.table(
        {"image": [{"bytes": path.read_bytes(), "path": path.name} for path in files]}
    ),
    "ImageFolder": lambda files: SimpleNamespace(
        samples=[(str(path), 0) for path in files], classes=["cat"]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pairs(form: str, files: list[Path]) -> None:
    """One pair of identical pictures, the first and the fourth, whatever holds them."""
    run = dedup.audit(FORMS[form](files), workers=0, progress=False)

    assert [(0, 3)] == list(
        zip(run.pairs["a"].to_pylist(), run.pairs["b"].to_pylist(), strict=True)
    )
    assert len(SEEDS) == len(run.manifest)


@pytest.mark.parametrize(
    "form",
    [
        "paths",
        "Dataset",
        "IterableDataset",
        "dict",
        "DatasetDict",
        "DataFrame of paths",
        "Arrow of paths",
    ],
)
def test_filter_keeps_the_form(form: str, files: list[Path]) -> None:
    """Four rows of the same form stay: one of the two that are the same goes."""
    given = FORMS[form](files)
    run = dedup.audit(given, workers=0)

    got = run.filter(given)

    kept = got["train"] if isinstance(got, dict) else got
    assert type(got) is type(given)
    assert len(SEEDS) - 1 == len(
        list(kept) if not isinstance(kept, pd.DataFrame | pa.Table) else kept
    )
    assert [0, 1, 2, 4] == np.flatnonzero(run.keep()).tolist() or [1, 2, 3, 4] == np.flatnonzero(
        run.keep()
    ).tolist()


def test_filter_refuses_another_dataset(files: list[Path]) -> None:
    """Rows are told by their places, so another number of them is another dataset."""
    run = dedup.audit(files, workers=0)

    with pytest.raises(dedup.RunError, match=r"has 2 rows, and the run judged 5"):
        run.filter(files[:2])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.DataFrame({"x": [1], "y": ["a"]}), r"no column of images.*'x' \(int64\), 'y'"),
        (
            pd.DataFrame({"one": ["a.png"], "two": ["b.jpg"]}),
            r"Several columns hold paths of images: 'one', 'two'",
        ),
        ([Image.new("RGB", (0, 4))], r"images\[0\]: the picture has no pixels \(0 × 4\)"),
        ([b"x", 3], r"images\[1\]: expected a path, encoded bytes or a PIL picture, got int"),
        ({"train": 3}, "this one has int"),
        ({}, "this one has nothing"),
    ],
)
def test_what_is_no_dataset_is_named(given: Any, said: str) -> None:
    """What was given, what is needed, and which columns look like it."""
    with pytest.raises(dedup.DedupError, match=said):
        dedup.audit(given, workers=0)


def test_a_named_column_that_is_not_there(files: list[Path]) -> None:
    """The columns are listed."""
    with pytest.raises(dedup.ConfigError, match=r"no column 'picture'\. It has 'file'"):
        dedup.audit(pa.table({"file": [str(path) for path in files]}), image_column="picture")


def test_an_unknown_keyword_is_a_type_error(files: list[Path]) -> None:
    """As of any Python function, with the nearest known one; and an error of dedup's own."""
    with pytest.raises(
        TypeError, match=r"max_distence: unknown option\. Did you mean 'max_distance'"
    ) as caught:
        dedup.audit(files, max_distence=3)  # type: ignore[call-arg]

    assert isinstance(caught.value, dedup.ConfigError)


def test_num_proc_are_the_workers(files: list[Path]) -> None:
    """The word of `datasets`; both at once are refused."""
    assert 0 == dedup.audit(files, num_proc=0).config.engine.workers

    with pytest.raises(TypeError, match="num_proc: it is the same as 'workers'"):
        dedup.audit(files, num_proc=1, workers=2)


def test_types_of_options_are_those_of_the_config() -> None:
    """The module for type checkers is what the models make; `python -m tests.option_types` writes
    it.
    """
    expected = ast.dump(ast.parse(option_types.module()))  # lines are broken by the formatter
    got = ast.dump(ast.parse(option_types.MODULE.read_text()))

    assert expected == got


@pytest.mark.parametrize("name", ["audit", "deduplicate", "calibrate", "decide"])
def test_signatures_name_every_option(name: str) -> None:
    """Completion and `help` read them; each has the default of the config."""
    found = inspect.signature(getattr(dedup, name)).parameters

    assert "auto" == found["max_distance"].default
    assert "num_proc" in found
    assert inspect.Parameter.VAR_KEYWORD not in {parameter.kind for parameter in found.values()}


def test_names_for_completion() -> None:
    """`dedup.<TAB>` shows what there is to use, and nothing that the module itself uses."""
    code = "import dedup; print(*[name for name in dir(dedup) if name[0] != '_'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert sorted(dedup.__all__) == sorted(done.stdout.split())


def test_a_run_is_loaded_decided_and_reported(files: list[Path], tmp_path: Path) -> None:
    """From its folder it is what it was; another threshold goes to another folder; the report is
    written again.
    """
    run = dedup.audit(files[0].parent, workers=0, dir=str(tmp_path / "run"))

    loaded = dedup.load(tmp_path / "run")
    assert loaded.summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert loaded.pairs.equals(run.pairs)

    decided = dedup.decide(loaded, duplicates="report_only", dir=str(tmp_path / "other"))
    assert len(SEEDS) == decided.summary["decisions"]["keep"]

    (tmp_path / "run" / "report.html").unlink()
    assert tmp_path / "run" / "report.html" == dedup.report(run)
    assert (tmp_path / "run" / "report.html").exists()


def test_what_is_no_run(files: list[Path], tmp_path: Path) -> None:
    """A folder without a run is named, and a run that has no folder says how to give it one."""
    with pytest.raises(dedup.RunError, match=tmp_path.name):
        dedup.load(tmp_path)
    with pytest.raises(dedup.RunError, match="in memory only"):
        dedup.report(dedup.audit(files, workers=0))


def test_only_compat_needs_imagehash() -> None:
    """PDQ and wavelets of the fast mode work without ImageHash, SciPy and PyWavelets, which are not
    imported.
    """
    code = """
import sys
import numpy as np
from PIL import Image
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"imagehash", "scipy", "pywt"}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
import dedup
picture = Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))
for algorithm, bits in (("whash", 64), ("phash", 64), ("dhash", 256), ("pdq", 256)):
    print(dedup.hash_images([picture], algorithm=algorithm, bits=bits).shape)
run = dedup.audit([picture, picture.rotate(90)], workers=0)
print(len(run.manifest))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert ["(1, 8)", "(1, 8)", "(1, 32)", "(1, 32)", "2"] == done.stdout.replace(
        ")\n(", ")|("
    ).replace(")\n2", ")|2").strip().split("|")


def test_many_pictures_are_hashed_in_their_order(files: list[Path]) -> None:
    """Threads take parts; each code is in the place of its picture."""
    many = [files[k % len(files)] for k in range(333)]
    own = dedup.hash_images(files, algorithm="phash")

    got = dedup.hash_images(many, algorithm="phash")

    assert own[np.arange(333) % len(files)].tolist() == got.tolist()


class _Handle:
    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, html: Any) -> None:
        self.shown.append(html.data)


def test_a_bar_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the stage, moves, says what is counted, and is empty at the end."""
    import IPython.display

    shown: list[str] = []

    def display(html: Any, **_: Any) -> _Handle:
        shown.append(html.data)
        return _Handle(shown)

    monkeypatch.setattr(IPython.display, "display", display)
    bar = progress.NotebookBar()
    bar.begin("kernels")
    bar.advance(0.5)
    bar.advance(0.501)  # too little to be seen
    bar.note("7 of 38")
    bar.end()

    assert 4 == len(shown)
    assert "kernels" in shown[0]
    assert "50%" in shown[1]
    assert "7 of 38" in shown[2]
    assert "" == shown[3]


def test_no_bar_where_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """None where output goes to a file, unless it is asked for; never with `progress=False`."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)

    assert progress.observer(None) is None
    assert progress.observer(False) is None
    assert isinstance(progress.observer(True), progress.TerminalBar)
