"""Files that appear whole or not at all, and the only place in the package where anything is
deleted.

Nothing is deleted because of its name. `remove` asks an `Owner`, which knows what this tool made:

- a `Marked` folder holds `.dedup/marker.json` with a random id, and in it the names of what was
  made there. A name is written down before the thing appears, and nothing else in the folder is
  touched;
- whoever wrote files of a kind that can be recognised by their content, such as the rooms of the
  cache, has an owner of its own.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from dedup.errors import RunError, because

OWN: Final = ".dedup"
"""The folder in a marked folder that holds the marker and whatever is under way."""

MARKER: Final = "marker.json"


REVIEW: Final = "review"
"""The folder in `.dedup` in which the record of judgements is written, which is never ours to
delete.
"""


class Owner(Protocol):
    """Knows what this tool made."""

    def owns(self, path: Path) -> bool:
        """Whether the thing at `path` was made by this tool."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A folder with a marker of ours."""

    folder: Path
    kind: str  # what the folder is: "run" or "demo"
    id: str  # random, never another one while the folder is ours
    # names of what was made in it, with their proofs; None: the name is enough
    made: Mapping[str, str | None]

    def owns(self, path: Path) -> bool:
        """Whether `path` is in the folder under a name that was made here, and is still that thing.

        Everything below `.dedup` is ours as well.
        """
        if self.folder / OWN in (path, *path.parents):
            return True
        if path.parent != self.folder or path.name not in self.made:
            return False

        proof = self.made[path.name]

        return proof is None or _proves(proof, proof_of(path))

    def strangers(self) -> list[str]:
        """Names of what is in the folder and was not made by this tool, sorted."""
        return sorted(
            entry.name
            for entry in self.folder.iterdir()
            if entry.name != OWN and not self.owns(entry)
        )


CARDS: Final = ("README.dedup.md", "README.md")
"""Files of ours in a folder of splits: the folder is known by one of them, and by how many files
are beside it.
"""

_OF_PROGRAMS: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that systems put into folders which somebody has looked at. They are not counted; nor are
those whose names end in `.cache`, which Ultralytics writes beside labels.
"""


def proof_of(path: Path) -> str | None:
    """A digest by which something that was made is known again; None where it is not there.

    Of a file its content; of a folder its card and the number of its files or, without a card, the
    places and sizes of all its files. So a folder that somebody put in the place of ours, or added
    files to, is not taken for ours.
    """
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        return None

    for name in CARDS:
        if (path / name).is_file():
            card = hashlib.sha256((path / name).read_bytes()).hexdigest()
            return f"{card} {_count_of_files(path)}"

    listing = sorted(
        (os.fsencode(os.path.relpath(entry.path, path)), entry.stat(follow_symlinks=False).st_size)
        for entry in _below(path)
        if not entry.is_dir()
    )

    return hashlib.sha256(repr(listing).encode()).hexdigest()


def _count_of_files(folder: Path) -> int:
    """Files and links below a folder, without those that other programs leave."""
    return sum(
        entry.name not in _OF_PROGRAMS and not entry.name.endswith(".cache")
        for entry in _below(folder)
        if entry.is_symlink() or not entry.is_dir()
    )


def _below(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """All that is below a folder; links are not followed.

    A stack and not a recursion, as that of `os.walk` and `rglob` ends at a thousand folders.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                yield entry


def _proves(proof: str, now: str | None) -> bool:
    """Whether it is that thing. Runs of before files were counted have the digest of a card
    alone.
    """
    return now is not None and proof == (now if " " in proof else now.split(" ")[0])


def proof_of_text(text: str) -> str:
    """The proof of a text file with that content."""
    return hashlib.sha256(text.encode()).hexdigest()


def marked(folder: Path, kind: str) -> Marked | None:
    """The marker of a folder, or None where there is none of this kind."""
    try:
        content = json.loads((folder / OWN / MARKER).read_text(encoding="utf-8"))
        if content["tool"] != "dedup" or content["kind"] != kind:
            return None
        made = {
            str(name): None if proof is None else str(proof)
            for name, proof in content["made"].items()
        }
        return Marked(folder, kind, str(content["id"]), made)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def mark(folder: Path, kind: str, made: Mapping[str, str | None] | None = None) -> Marked:
    """Mark a folder as ours, or write down what else was made in it. A folder that is marked keeps
    its id.

    Whether the folder may be marked is for the caller to know.
    """
    known = marked(folder, kind)
    new = Marked(
        folder,
        kind,
        uuid4().hex if known is None else known.id,
        {**({} if known is None else known.made)} if made is None else dict(made),
    )
    (folder / OWN).mkdir(parents=True, exist_ok=True)
    content = {"tool": "dedup", "kind": kind, "id": new.id, "made": dict(new.made)}
    write_json(folder / OWN / MARKER, content)

    return new


def unmark(owner: Marked) -> None:
    """Delete the marker of a folder and whatever was under way in it: the folder is not ours any
    more.
    """
    remove(owner.folder / OWN, owner)


def is_unfinished_mark(path: Path) -> bool:
    """Whether it is what a process leaves that was ended while it marked a folder, or judged pairs
    in it: `.dedup` with locks at most.
    """
    if path.name != OWN or not path.is_dir() or path.is_symlink():
        return False
    return all(
        entry.name.startswith(f".{MARKER}.") or entry.name.endswith("lock") or entry.name == REVIEW
        for entry in path.iterdir()
    )


def remove(path: Path, owner: Owner) -> None:
    """Delete a file or a folder, if it is there and the owner says that it is ours; else raise
    `RunError`.

    A link is deleted, never what it leads to. This is the only function of the package that
    deletes.
    """
    if not os.path.lexists(path):
        return

    if not owner.owns(path):
        message = (
            f"{str(path)!r} was not made by dedup, so it is not deleted. Move it away, or name"
            " another folder."
        )
        raise RunError(message)

    if path.is_dir() and not path.is_symlink():
        _remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Delete a folder with all that is in it. `shutil.rmtree` calls itself for each folder in a
    folder.
    """
    found = [folder]
    for path in found:  # it grows meanwhile: every folder comes behind the one that it is in
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                found.append(Path(entry.path))
            else:
                Path(entry.path).unlink()

    for path in reversed(found):
        path.rmdir()


def remove_if_empty(folder: Path) -> None:
    """Delete a folder in which nothing is; leave any other."""
    try:
        folder.rmdir()
    except OSError:
        return


@dataclass(frozen=True, slots=True)
class _Partial:
    """The file that is being written under a name that nobody else has."""

    path: Path

    def owns(self, path: Path) -> bool:
        """Whether it is this very file."""
        return path == self.path


@contextmanager
def appearing(path: Path, workplace: Path | None = None) -> Iterator[Path]:
    """A place to write a file to, which gets its name at the end, or is deleted when that fails.

    The place has a random name beside the file, or in a `workplace` on the same disk, so that no
    file of anybody is written into or deleted.
    """
    partial = (workplace or path.parent) / f".{path.name}.{uuid4().hex[:8]}.partial"
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        remove(partial, _Partial(partial))
        raise


def write_text(path: Path, text: str, workplace: Path | None = None) -> None:
    """Write a text file, whole or not at all."""
    with appearing(path, workplace) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: Mapping[str, Any], workplace: Path | None = None) -> None:
    """Write a JSON file for people and machines, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", workplace)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{str(path.parent)!r} holds no run of dedup: it has no {path.name}."
        raise RunError(message) from None
    except (OSError, ValueError, RecursionError) as error:
        message = f"{str(path)!r} cannot be read: {because(error)}."
        raise RunError(message) from error
    return content


def inside(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or lies below it, links resolved."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # no path has such a name
        return False
