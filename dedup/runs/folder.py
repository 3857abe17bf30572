"""The run folder: what may be in it, when it may be used again, and how files appear in it whole or not at all."""

import json
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final

from dedup import files, tables
from dedup.errors import RunError, because

RUN: Final = "run.json"
SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"
CALIBRATION: Final = "calibration.json"
CALIBRATION_PLOT: Final = "calibration.svg"
SPLITS: Final = "splits"
PARTIAL_SPLITS: Final = f"{files.OWN}/splits"

OWN_NAMES: Final = (
    RUN,
    SUMMARY,
    REPORT,
    CALIBRATION,
    CALIBRATION_PLOT,
    SPLITS,
    *(f"{name}.parquet" for name in tables.NAMES),
)


KIND: Final = "run"
"""What the marker of a run folder says that it is."""


def prepare(folder: Path, fingerprints: Mapping[str, str], *, overwrite: bool) -> None:
    """Make the folder ready for a run, or refuse.

    A folder that holds a run over the same input and config is rebuilt in place. One with another run is refused unless
    `overwrite` is set, and then only what runs made is removed. A folder that is neither empty nor marked as ours is
    always refused, whatever is in it.
    """
    if folder.exists() and not folder.is_dir():
        message = f"The output folder {str(folder)!r} is a file. Name another one with -o or output.dir."
        raise RunError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        owner = files.marked(folder, KIND)
        if owner is None:
            _refuse_strangers(folder)
        elif (folder / RUN).exists() and not overwrite:
            _refuse_another_run(folder, fingerprints)
        files.mark(folder, KIND, {} if owner is None else None)
    except OSError as error:
        message = f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
        raise RunError(message) from error
    clear(folder)
    _claim_names(folder)


def owner_of(folder: Path) -> files.Marked:
    """What may be deleted in a run folder; raises `RunError` where it has no marker."""
    owner = files.marked(folder, KIND)
    if owner is None:
        message = f"{str(folder)!r} is not marked as a run of dedup, so nothing in it is replaced. Name another folder."
        raise RunError(message)
    return owner


def clear(folder: Path, *, but: Container[str] = ()) -> None:
    """Remove what an earlier run made, all but its run.json and the names in `but`."""
    owner = owner_of(folder)
    for name in OWN_NAMES:
        if name != RUN and name not in but:
            files.remove(folder / name, owner)


def discard(folder: Path) -> None:
    """Remove a run that was refused, and its folder if nothing else is in it."""
    owner = files.marked(folder, KIND)
    if owner is None:
        return
    clear(folder)
    files.remove(folder / RUN, owner)
    files.unmark(owner)
    files.remove_if_empty(folder)


def _claim_names(folder: Path) -> None:
    """Write down what the run is about to make; something else under such a name is refused."""
    taken = [name for name in OWN_NAMES if name != RUN and os.path.lexists(folder / name)]
    if taken:
        message = (
            f"The output folder {str(folder)!r} holds {taken[0]!r}, which dedup did not make there. Move it away, or "
            f"name another folder with -o or output.dir."
        )
        raise RunError(message)
    files.mark(folder, KIND, dict.fromkeys(OWN_NAMES))


def _refuse_strangers(folder: Path) -> None:
    """Raise `RunError` for a folder that is not empty and not ours."""
    held = sorted(entry.name for entry in folder.iterdir() if not files.is_unfinished_mark(entry))
    if not held:
        return
    hint = "Name another folder with -o or output.dir."
    if RUN in held:
        message = (
            f"The output folder {str(folder)!r} holds no run of dedup: its {RUN} has no marker of this tool beside it, "
            f"so another tool made it, or a dedup from before there were markers. {hint}"
        )
    else:
        message = f"The output folder {str(folder)!r} is not empty and holds no run of dedup. {hint}"
    raise RunError(message)


def _refuse_another_run(folder: Path, fingerprints: Mapping[str, str]) -> None:
    hint = "Name another folder with -o or output.dir, or replace it with --overwrite."
    before = read_json(folder / RUN).get("fingerprints", {})
    other = [what for what in ("input", "config") if before.get(what) != fingerprints[what]]
    if other:
        message = f"The output folder {str(folder)!r} holds a run with another {' and another '.join(other)}. {hint}"
        raise RunError(message)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{str(path.parent)!r} holds no run of dedup: it has no {path.name}."
        raise RunError(message) from None
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} cannot be read: {because(error)}."
        raise RunError(message) from error
    return content


def finished(folder: Path, *, or_deciding: bool = False) -> dict[str, Any]:
    """What `run.json` says of a run that was finished; `or_deciding`: or whose candidates at least were."""
    info = read_json(folder / RUN)
    if info.get("state") != "finished" and not (or_deciding and info.get("state") == "deciding"):
        message = f"The run in {str(folder)!r} was not finished. Run it again."
        raise RunError(message)
    return info
