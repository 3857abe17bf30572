"""The run folder: what may be in it, when it may be used again, and how a run is made beside the
one that is there.
"""

import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dedup import files, tables
from dedup.errors import RunError
from dedup.files import read_json
from dedup.runs import switching
from dedup.runs.judging import JUDGEMENTS
from dedup.runs.locking import locked, together
from dedup.runs.switching import KIND, RUN

__all__ = ["KIND", "RUN", "read_json"]

SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"
CALIBRATION: Final = "calibration.json"
CALIBRATION_PLOT: Final = "calibration.svg"
NOT_READ: Final = "not_read"
"""The table of files that are not part of the dataset."""
SPLITS: Final = "splits"

_FILES: Final = (
    SUMMARY,
    REPORT,
    *(f"{name}.parquet" for name in (*tables.NAMES, *tables.NAMES_OF_PARTS, NOT_READ)),
)
"""What a run writes beside `run.json` and the splits."""

_TRIES: Final = 20  # to read a run while others replace it; each waits until the others are done
_SPARE: Final = 1_000_000  # bytes of a disk that must stay free beside what is written


@dataclass(frozen=True, slots=True)
class Staged:
    """A run that is being made: beside the finished one in its folder, whose place it takes, or in
    an empty folder.
    """

    home: Path  # where the run will be
    is_first: bool  # there is no finished run in the folder

    @property
    def folder(self) -> Path:
        """Where its files are now."""
        return self.home if self.is_first else self.home / files.OWN / switching.NEXT

    def commit(self, info: Mapping[str, Any]) -> None:
        """Finish the run with its `run.json`, in the place of the old one if there is one.

        Raises `RunError` where something else is in its way.
        """
        files.write_json(self.folder / RUN, info, workplace=self.home / files.OWN)
        if not self.is_first:
            switching.begin(self.home, owner_of(self.home))
            switching.complete(self.home)


@contextmanager
def staged(
    folder: Path, fingerprints: Mapping[str, str], info: Mapping[str, Any], *, overwrite: bool
) -> Iterator[Staged]:
    """A place for a run beside the one that is in the folder, or a refusal. The folder is locked
    meanwhile.

    A folder that holds a run over the same input and config is rebuilt. One with another run is
    refused unless `overwrite` is set. A folder that is neither empty nor marked as ours is always
    refused, whatever is in it. Where no run was finished yet, `info` says in its `run.json` that
    one was begun.
    """
    if folder.exists() and not folder.is_dir():
        message = (
            f"The output folder {str(folder)!r} is a file. Name another one with -o or output.dir."
        )
        raise RunError(message)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if files.marked(folder, KIND) is None:
                _refuse_strangers(folder)
            stack.enter_context(locked(folder))
            _claim(folder, fingerprints, overwrite=overwrite)
            place = Staged(folder, not _is_finished(folder))
            _make_room(place)
            if place.is_first:
                files.write_json(folder / RUN, info, workplace=folder / files.OWN)
        except OSError as error:
            message = f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
            raise RunError(message) from error

        try:
            yield place
        finally:
            owner = files.marked(folder, KIND)
            if owner is not None and not (folder / files.OWN / switching.JOURNAL).exists():
                files.remove(folder / files.OWN / switching.NEXT, owner)
                files.remove(folder / files.OWN / SPLITS, owner)


def owner_of(folder: Path) -> files.Marked:
    """What may be deleted in a run folder; raises `RunError` where it has no marker."""
    owner = files.marked(folder, KIND)
    if owner is None:
        message = (
            f"{str(folder)!r} is not marked as a run of dedup, so nothing in it is replaced. Name"
            " another folder."
        )
        raise RunError(message)

    return owner


def put_splits(written: Path, place: Path, home: Path) -> None:
    """Move splits that were written whole to their place, and write down by what they are known
    again.
    """
    owner = owner_of(home)
    if place == home:
        files.remove(home / SPLITS, owner)
        files.mark(home, KIND, {**owner.made, SPLITS: files.proof_of(written)})

    written.rename(place / SPLITS)


def discard(folder: Path) -> None:
    """Remove what a run left that was refused: with no finished run beside it, the folder too, if
    it is empty then.
    """
    owner = files.marked(folder, KIND)
    if owner is None or _is_finished(folder):
        return

    for name in owner.made:
        files.remove(folder / name, owner)

    files.unmark(owner)
    files.remove_if_empty(folder)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Read a run whole: the old one or the new one, never files of both. An interrupted switch is
    completed first.
    """
    for _ in range(_TRIES):
        switching.settle(folder)
        with together(folder):
            if switching.is_whole(folder):
                yield
                return

    message = f"The run in {str(folder)!r} is being replaced. Try again when that is done."
    raise RunError(message)


@contextmanager
def adding(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Write files beside those of a finished run; raises `RunError` where others have such
    names.
    """
    switching.settle(folder)
    owner = files.marked(folder, KIND)
    for name in names:
        if os.path.lexists(folder / name) and (owner is None or not owner.owns(folder / name)):
            message = (
                f"{str(folder / name)!r} is in the way, and {str(folder)!r} is not marked as a run"
                " of this dedup. Move it away, or run it again in another folder."
            )
            raise RunError(message)

    if owner is None:
        yield
        return

    with locked(folder):
        files.mark(folder, KIND, {**owner.made, **dict.fromkeys(names)})
        yield


def refuse_without_space(folder: Path, *, but: Container[str] = ()) -> None:
    """Raise `RunError` where a second run of the size of the one in the folder would not fit beside
    it.

    Files that are links to a dataset take no space and are not counted, nor are the names in `but`.
    """
    if not _is_finished(folder):
        return

    tops = (path for path in folder.iterdir() if path.name != files.OWN and path.name not in but)
    sizes = (path.lstat() for top in tops for path in (top, *top.rglob("*")) if not path.is_dir())
    needed = sum(status.st_size for status in sizes if status.st_nlink == 1)
    free = shutil.disk_usage(folder).free

    if free < needed + _SPARE:
        message = (
            f"The run in {str(folder)!r} takes {needed:,} bytes, and the new one is made beside it,"
            f" but only {free:,} are free. Free some, or name a folder elsewhere with -o or"
            " output.dir."
        )
        raise RunError(message)


def finished(folder: Path) -> dict[str, Any]:
    """What `run.json` says of a run that was finished."""
    info = read_json(folder / RUN)
    if info.get("state") != "finished":
        message = f"The run in {str(folder)!r} was not finished. Run it again."
        raise RunError(message)

    return info


def _claim(folder: Path, fingerprints: Mapping[str, str], *, overwrite: bool) -> None:
    """Mark the folder as one of ours, or refuse it; to be called by whoever holds its lock."""
    if (folder / files.OWN / switching.JOURNAL).exists():
        switching.complete(folder)
    if files.marked(folder, KIND) is None:
        _refuse_strangers(folder)
        files.mark(folder, KIND, {RUN: None})
    elif (folder / RUN).exists() and not overwrite:
        _refuse_another_run(folder, fingerprints)


def _make_room(place: Staged) -> None:
    """Remove what an unfinished run left; a first run writes down what it will make before it
    does.
    """
    owner = owner_of(place.home)
    if not place.is_first:
        files.remove(place.folder, owner)
        place.folder.mkdir()
        return

    for name in owner.made:
        if name != RUN:
            files.remove(place.home / name, owner)

    for name in (*_FILES, SPLITS):
        if os.path.lexists(place.home / name):
            message = (
                f"The output folder {str(place.home)!r} holds {name!r}, which was not made by"
                " dedup. Move it away, or name another folder with -o or output.dir."
            )
            raise RunError(message)

    files.mark(place.home, KIND, dict.fromkeys((RUN, *_FILES)))


def _is_finished(folder: Path) -> bool:
    return (folder / RUN).exists() and read_json(folder / RUN).get("state") == "finished"


def _refuse_strangers(folder: Path) -> None:
    """Raise `RunError` for a folder that is not empty and not ours; the record of a review alone
    may be there, as it is never replaced.
    """
    held = sorted(
        entry.name
        for entry in folder.iterdir()
        if not files.is_unfinished_mark(entry) and entry.name != JUDGEMENTS
    )
    if not held:
        return

    hint = "Name another folder with -o or output.dir."
    if RUN in held:
        message = (
            f"The output folder {str(folder)!r} holds no run of dedup: its {RUN} has no marker of"
            " this tool beside it, so another tool made it, or a dedup from before there were"
            f" markers. {hint}"
        )
    else:
        message = (
            f"The output folder {str(folder)!r} is not empty and holds no run of dedup. {hint}"
        )

    raise RunError(message)


def _refuse_another_run(folder: Path, fingerprints: Mapping[str, str]) -> None:
    hint = "Name another folder with -o or output.dir, or replace it with --overwrite."
    before = read_json(folder / RUN).get("fingerprints", {})
    other = [what for what in ("input", "config") if before.get(what) != fingerprints[what]]

    if other:
        message = (
            f"The output folder {str(folder)!r} holds a run with another"
            f" {' and another '.join(other)}. {hint}"
        )
        raise RunError(message)
