"""From the old run in a folder to the new one: a journal says what moves, so that a switch always
ends.

A new run is made whole in `DIR/.dedup/next`. Then its files take the places of the old ones, which
go to `DIR/.dedup/old` first. Nothing but names changes, so it needs no space. A process that is
killed in between leaves the journal, and the next command that looks at the folder completes the
switch.
"""

import os
from pathlib import Path
from typing import Final

from dedup import files
from dedup.errors import RunError
from dedup.runs.locking import alone, is_locked, locked

RUN: Final = "run.json"
KIND: Final = "run"
"""What the marker of a run folder says that it is."""

NEXT: Final = "next"
OLD: Final = "old"
JOURNAL: Final = "journal.json"
SWITCHING: Final = "switching"
"""The state in `run.json` while files of two runs may lie beside each other."""


def begin(folder: Path, owner: files.Marked) -> None:
    """Write the journal of the switch to what is in `next`; raises `RunError` for what is not ours
    to replace.
    """
    new = sorted(entry.name for entry in (folder / files.OWN / NEXT).iterdir())
    old = sorted(
        name for name in {*owner.made, *new} if name != RUN and os.path.lexists(folder / name)
    )
    for name in old:
        if not owner.owns(folder / name):
            message = (
                f"{str(folder / name)!r} was not made by dedup, or was replaced since, so the run"
                f" in {str(folder)!r} is left as it was. Move it away, or name another folder."
            )
            raise RunError(message)

    # of an earlier switch that was ended behind its last step
    files.remove(folder / files.OWN / OLD, owner)
    made = {name: _proof(folder / files.OWN / NEXT / name) for name in new}
    files.write_json(folder / files.OWN / JOURNAL, {"new": new, "old": old, "made": made})


def complete(folder: Path) -> None:
    """Do what the journal says, from wherever it was left."""
    own = folder / files.OWN
    journal = files.read_json(own / JOURNAL)
    with alone(folder):
        _say_switching(folder)
        (own / OLD).mkdir(exist_ok=True)
        for name in journal["old"]:
            if not os.path.lexists(own / OLD / name) and os.path.lexists(folder / name):
                (folder / name).rename(own / OLD / name)
        for name in journal["new"]:
            if name != RUN and os.path.lexists(own / NEXT / name):
                (own / NEXT / name).rename(folder / name)
        owner = files.mark(folder, KIND, journal["made"])
        if (own / NEXT / RUN).exists():
            (own / NEXT / RUN).replace(folder / RUN)
        files.remove(own / JOURNAL, owner)

    for left in (own / OLD, own / NEXT, *own.glob(".*.partial")):
        files.remove(left, owner)


def settle(folder: Path) -> None:
    """Complete a switch that was interrupted; raises `RunError` where that cannot be done here."""
    if (
        not (folder / files.OWN / JOURNAL).exists()
        or files.marked(folder, KIND) is None
        or is_locked(folder)
    ):
        return  # whoever holds the lock is about to complete it

    try:
        with locked(folder):
            if (folder / files.OWN / JOURNAL).exists():
                complete(folder)
    except OSError as error:
        message = (
            f"The run in {str(folder)!r} was interrupted while it was replaced, and the folder"
            f" cannot be written ({error.strerror}). Run the command again where it can."
        )
        raise RunError(message) from error


def is_whole(folder: Path) -> bool:
    """Whether the files in the folder are those of one run; to be asked while nobody can begin to
    switch it.
    """
    if not (folder / files.OWN / JOURNAL).exists():
        return True

    return (folder / RUN).exists() and files.read_json(folder / RUN).get("state") != SWITCHING


def _say_switching(folder: Path) -> None:
    """Let whoever reads the files without asking know that they may be of two runs."""
    path = folder / RUN
    if not path.exists():
        return

    info = files.read_json(path)
    if info.get("state") != SWITCHING and (folder / files.OWN / NEXT / RUN).exists():
        files.write_json(path, info | {"state": SWITCHING}, workplace=folder / files.OWN)


def _proof(path: Path) -> str | None:
    """By what a folder of splits is known again; of tables and pages the name is enough."""
    return files.proof_of(path) if path.is_dir() and not path.name.endswith(".parquet") else None
