"""A small dataset with leaks, copies and hard names, and runs over it."""

from pathlib import Path
from typing import Any

from dedup import pipeline
from dedup.config import build
from dedup.policy.record import Judgement
from dedup.runs.judging import change
from dedup.runs.result import Run
from tests import pictures

HOSTILE = (
    "=1+1",
    "<img src=x onerror=alert(1)>",
    "a,b",
    'say "hi"',
    "'x'",
    "käse 📷",
    " spaces ",
    "&amp;",
)
"""File names that are hard to show, to write as CSV and to put into an address."""


def dataset(root: Path, n: int = 8, n_copies: int = 6, names: tuple[str, ...] = ()) -> Path:
    """Folders train and test; the first `n_copies` photos of test have a JPEG copy in train, and
    the first of train has a smaller copy in train.
    """
    for k in range(n):
        split = "test" if k < n_copies else "train"
        label = "cat" if k % 2 else "dog"
        pictures.save(pictures.photo(k), root / split / label / f"{name_of(k, names)}.png")
    for k in range(n_copies):
        label = "cat" if k % 2 or k == 0 else "dog"  # the first one under another label
        path = root / "train" / label / f"copy of {name_of(k, names)}.jpg"
        pictures.save(pictures.photo(k), path, quality=60)
    small = pictures.photo(n_copies).resize((120, 96))
    pictures.save(small, root / "train" / "dog" / "small.png")
    (root / "train" / "dog" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (root / "train" / "notes.txt").write_text("not an image")
    return root


def name_of(k: int, names: tuple[str, ...]) -> str:
    """The name of a photo, one of `names` as long as there are some."""
    return names[k].replace("/", "_") if k < len(names) else f"photo {k}"


def ran(root: Path, out: Path, *, overwrite: bool = False, **settings: Any) -> Run:
    """A run in this process, without splits unless they are asked for."""
    asked: dict[str, dict[str, Any]] = {
        "dataset": {"path": str(root)},
        "output": {"dir": str(out), "report": False, "splits": "none"},
        "engine": {"workers": 0},
    }
    for section, values in settings.items():
        asked[section] = {**asked.get(section, {}), **values}
    return pipeline.run(build(asked), overwrite=overwrite)


def judgement(
    run: Run,
    a: int,
    b: int,
    verdict: str,
    by: str = "somebody",
    at: str = "2026-11-30T12:00:00+00:00",
    sample: str = "",
) -> Judgement:
    """What somebody says of two samples of a run."""
    ids, pixels = run.manifest["id"].to_pylist(), run.hashes["pixel_digest"].to_pylist()
    return Judgement(ids[a], ids[b], pixels[a], pixels[b], verdict, by, at, sample)


def judge(run: Run, out: Path, *rows: Judgement) -> None:
    """Put rows at the end of the record of a run's folder."""
    change(out, lambda there: (*there, *rows))
