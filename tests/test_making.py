"""Clean splits, splits of a pool and a config, without writing one by hand."""

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import dedup
from dedup.api.splitting import assigned, read_shares
from dedup.cli import app
from dedup.cli.examples import EXAMPLES
from tests import pictures

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool of 40 pictures with two labels, in four of them copies of others."""
    for k in range(36):
        pictures.save(
            pictures.photo(k), tmp_path / "pool" / ("cat" if k % 3 else "dog") / f"{k}.png"
        )
    for k in range(4):
        pictures.save(pictures.photo(k), tmp_path / "pool" / "copies" / f"{k}.jpg", quality=70)
    return tmp_path / "pool"


def invoked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_pool_becomes_splits_that_do_not_leak(pool: Path, tmp_path: Path) -> None:
    """Every picture that is kept is in a split, shares are about those asked for, no copy is in
    another split.
    """
    out = tmp_path / "out"
    code, said = invoked(
        "split",
        str(pool),
        "-o",
        str(out),
        "--to",
        "train=0.6,validation=0.2,test=0.2",
        "--workers=0",
    )
    assert code == 0, said

    again = dedup.audit(out / "splits", workers=0)
    assert {"train", "validation", "test"} == set(again.manifest["split"].to_pylist())
    assert 0 == len(again.leakage)
    assert dedup.load(out).summary["certificate"]["clean"]
    counts = Counter(again.manifest["split"].to_pylist())
    assert 18 <= counts["train"] <= 28


def test_the_seed_decides_which(pool: Path, tmp_path: Path) -> None:
    """The same seed gives the same splits, another one others."""

    def splits(name: str, seed: int) -> set[str]:
        out = tmp_path / name
        code, said = invoked("split", str(pool), "-o", str(out), "--seed", str(seed), "--workers=0")
        assert code == 0, said
        return {path.relative_to(out).as_posix() for path in (out / "splits").rglob("*.*")}

    first = splits("one", 0)
    assert first == splits("two", 0)
    assert first != splits("three", 1)


def test_labels_are_spread_evenly() -> None:
    """Of each label each split has its share, off by less than two; the sum by less than one."""
    labels = [f"label{k % 7}" for k in range(700)]
    ids = [f"{k}" for k in range(700)]

    found = assigned(ids, labels, SHARES, 0)

    assert all(abs(found.count(name) - 700 * share) < 1 for name, share in SHARES.items())
    for label in set(labels):
        of_label = Counter(split for split, of in zip(found, labels, strict=True) if of == label)
        assert all(abs(of_label[name] - 100 * share) < 2 for name, share in SHARES.items())


def test_the_order_of_samples_decides_nothing() -> None:
    """A sample goes where its id and the seed say."""
    ids, labels = [f"{k}" for k in range(50)], [f"{k % 3}" for k in range(50)]
    turned = assigned(ids[::-1], labels[::-1], SHARES, 3)

    assert assigned(ids, labels, SHARES, 3) == turned[::-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train", "'train' is not a split and its share"),
        ("train=x,test=0.5", "'train=x' is not a split and its share"),
        ("train=0.5,test=0.2", "add up to 0.7"),
        ("train=0.5,Train=0.5", "named twice"),
        ("a=0.5,b=0.5", "name train and at least one other"),
    ],
)
def test_shares_that_are_none(text: str, said: str) -> None:
    """What is wrong with them, and how they are written."""
    with pytest.raises(dedup.ConfigError, match=said):
        read_shares(text)


def test_what_has_splits_is_not_split(tmp_path: Path) -> None:
    """The splits there are, are named."""
    for split in ("train", "test"):
        pictures.save(pictures.photo(1), tmp_path / "data" / split / "a.png")

    code, said = invoked("split", str(tmp_path / "data"), "-o", str(tmp_path / "out"))

    assert code == 1
    assert "has splits already: test, train" in said


def test_clean_needs_no_config(tmp_path: Path) -> None:
    """A leak is out of train, and the folder is required."""
    for split, seeds in {"train": [1, 2, 3], "test": [1, 5]}.items():
        for seed in seeds:
            pictures.save(pictures.photo(seed), tmp_path / "data" / split / f"{seed}.png")

    code, said = invoked(
        "clean", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--workers=0"
    )
    assert code == 0, said
    assert {"2.png", "3.png"} == {
        path.name for path in (tmp_path / "out" / "splits" / "train").iterdir()
    }

    code, said = invoked("clean", str(tmp_path / "data"))
    assert code == 2
    assert "dedup clean SOURCE -o DIR" in said


def test_the_config_of_init_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names what was found, runs as it is, and does not replace another file."""
    monkeypatch.chdir(tmp_path)
    for split, seeds in {"train": [1, 2], "val": [3], "test": [1, 5]}.items():
        for seed in seeds:
            pictures.save(pictures.photo(seed), tmp_path / "my data" / split / f"{seed}.png")

    code, said = invoked("init", "my data")
    assert code == 0, said
    text = Path("dedup.yaml").read_text()
    assert "source: imagefolder" in text
    assert "every split but train: test, validation" in text

    code, said = invoked("run", "dedup.yaml", "--set", "engine.workers=0")
    assert code == 0, said
    assert "is there already" in invoked("init", "my data")[1]


def test_a_config_for_no_dataset(tmp_path: Path) -> None:
    """Without a dataset it has the defaults, and every key in it is known."""
    code, said = invoked("init", "-o", str(tmp_path / "some.yaml"))

    assert code == 0, said
    from dedup.config import load

    assert load(tmp_path / "some.yaml").search.max_distance == "auto"


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_help_has_an_example(name: str) -> None:
    """And no word that only a program understands."""
    code, said = invoked(*name.split(), "--help")

    assert code == 0
    assert f"dedup {name}" in said
    assert "range>" not in said


def test_every_command_has_an_example() -> None:
    """No command is left out."""
    assert set(_commands(typer.main.get_command(app))) == set(EXAMPLES)


def _commands(command: Any, name: str = "") -> Iterator[str]:
    """The names of all commands below one, as they are typed after `dedup`."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name
        return

    for own, one in below.items():
        yield from _commands(one, f"{name} {own}".strip())


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_are_understood(line: str) -> None:
    """Every option in an example is one that the command has."""
    words = [word for word in shlex.split(line) if "=" not in word or word.startswith("-")]
    words = words[words.index("dedup") + 1 :]
    name = next(known for known in EXAMPLES if words[: len(known.split())] == known.split())
    _, said = invoked(*name.split(), "--help")

    assert all(word in said for word in words if word.startswith("-")), said
