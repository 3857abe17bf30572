"""Disks that take two names for one: nothing is written into a file that has a name already."""

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dedup
from dedup.errors import SourceError
from dedup.formats import imagefolder, placing
from dedup.formats.source import Names, Sample
from tests import pictures

FILES = ["hardlink", "copy", "symlink"]
PAIRS = {
    "capitals": ("a.png", "A.png"),
    "Unicode": (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
}


def on_another_disk(put: Callable[..., Any]) -> Callable[..., Any]:
    """What puts a file somewhere, on a disk that folds capitals and composes Unicode."""

    def folded(original: bytes | Path, target: Path, files: str) -> Any:
        name = unicodedata.normalize("NFC", target.name).casefold()
        return put(original, target.with_name(name), files)

    return folded


def as_folder(root: Path, names: tuple[str, str]) -> Path:
    """An image folder."""
    return pictures.folder(root, [f"train/{name}" for name in names])


def as_manifest(root: Path, names: tuple[str, str]) -> Path:
    """A manifest of the same files."""
    as_folder(root, names)
    with (root / "m.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["path", "split"], *([f"train/{name}", "train"] for name in names)]
        )
    return root / "m.csv"


@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("made", [as_folder, as_manifest])
def test_names_that_a_disk_takes_for_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: str,
    names: str,
    made: Callable[..., Path],
) -> None:
    """The run ends with a message, and the user's two pictures have the bytes that they had."""
    path = made(tmp_path / "data", PAIRS[names])
    before = {file: file.read_bytes() for file in (tmp_path / "data").rglob("*.png")}
    for module in (placing, imagefolder):
        monkeypatch.setattr(module, "place_kept", on_another_disk(placing.place_kept))
    monkeypatch.setattr("dedup.formats.manifest.put_once", on_another_disk(placing.put_once))
    output = {"dir": str(tmp_path / "run"), "files": files, "report": False}
    with pytest.raises(SourceError, match="is there already"):
        dedup.run(
            {
                "dataset": {"path": str(path)},
                "output": output,
                "engine": {"workers": 0},
                "cache": {"folder": None},
            }
        )

    assert before == {file: file.read_bytes() for file in (tmp_path / "data").rglob("*.png")}
    assert len(before) == 2


@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize("there", ["a hard link", "a symbolic link", "a link to nowhere"])
def test_no_writer_writes_through_a_link(tmp_path: Path, files: str, there: str) -> None:
    """Whatever has the name, and whichever way a file or a text would come to it, it stays and is
    named.
    """
    mine, other, target = tmp_path / "mine", tmp_path / "other", tmp_path / "out"
    mine.write_bytes(b"mine")
    other.write_bytes(b"other")
    if there == "a hard link":
        target.hardlink_to(mine)
    else:
        target.symlink_to(mine if there == "a symbolic link" else tmp_path / "nowhere")
    writes: list[Callable[[], object]] = [
        lambda: placing.place_kept(bytes(other), target, files),
        lambda: placing.put_once(other, target, files),
        lambda: placing.put(sample("a", b"other"), target, files),
        lambda: placing.write_new(target, "other"),
        lambda: placing.new_file(target),
        lambda: placing.refuse_taken(target),
    ]
    for write in writes:
        with pytest.raises(SourceError, match="is there already"):
            write()

    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_one_picture_twice_is_put_once(tmp_path: Path) -> None:
    """The same file under the same name is no clash."""
    (tmp_path / "a").write_bytes(b"a")

    assert placing.put_once(tmp_path / "a", tmp_path / "out", "copy")
    assert placing.put_once(tmp_path / "a", tmp_path / "out", "copy")
    assert (tmp_path / "out").read_bytes() == b"a"


def test_names_that_are_given_differ_on_every_disk() -> None:
    """File names made from ids differ by more than capitals and forms of Unicode."""
    ids = [
        "a",
        "A",
        "straße",
        "STRASSE",
        "ſ",
        "s",
        "S",
        *(unicodedata.normalize(form, "é") for form in ("NFC", "NFD")),
    ]
    names = Names()
    given = ["/".join(names.of(sample(one, b"", row), "train")) for row, one in enumerate(ids)]

    assert len(ids) == len({unicodedata.normalize("NFC", name).casefold() for name in given})


def test_every_writer_of_a_form_opens_new_files() -> None:
    """No module of the forms opens a file for writing by itself, but for those whose name is looked
    at first.
    """
    own = {"placing.py"}
    words = ('open("w', ".write_text(", ".write_bytes(", "shutil.copy", "os.link(", ', "w"')
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(Path(placing.__file__).parent.glob("*.py"))
        if path.name not in own
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(word in line for word in words)
    ]

    assert [] == found


def sample(name: str, data: bytes, row: int = 0) -> Sample:
    """A sample with the bytes of its picture."""
    return Sample(row=row, id=name, split="train", label=None, path=None, data=data)
