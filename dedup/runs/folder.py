"""The run folder: what may be in it, when it may be used again, and how files appear in it whole or not at all."""

import json
from collections.abc import Container, Mapping
from contextlib import suppress
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
PARTIAL_SPLITS: Final = ".splits.partial"

_OWN: Final = (
    RUN,
    SUMMARY,
    REPORT,
    CALIBRATION,
    CALIBRATION_PLOT,
    SPLITS,
    PARTIAL_SPLITS,
    *(f"{name}.parquet" for name in tables.NAMES),
)


def prepare(folder: Path, fingerprints: Mapping[str, str], *, overwrite: bool) -> None:
    """Make the folder ready for a run, or refuse.

    A folder that holds a run over the same input and config is rebuilt in place. One with another run is refused unless
    `overwrite` is set, and then only what runs write is removed; one with files that are no run is always refused.
    """
    if folder.exists() and not folder.is_dir():
        message = f"The output folder {str(folder)!r} is a file. Name another one with -o or output.dir."
        raise RunError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = [entry for entry in folder.iterdir() if not entry.name.endswith(".partial")]
        probe = folder / ".writable.partial"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        message = f"The output folder {str(folder)!r} cannot be written: {error.strerror}."
        raise RunError(message) from error
    if held:
        _refuse_another_run(folder, fingerprints, overwrite=overwrite)
    clear(folder)


def clear(folder: Path, *, but: Container[str] = ()) -> None:
    """Remove what an earlier run wrote, all but its run.json and the names in `but`."""
    for name in _OWN:
        if name != RUN and name not in but:
            files.remove(folder / name)


def discard(folder: Path) -> None:
    """Remove a run that was refused, and its folder if nothing else is in it."""
    clear(folder)
    files.remove(folder / RUN)
    with suppress(OSError):
        folder.rmdir()


def _refuse_another_run(folder: Path, fingerprints: Mapping[str, str], *, overwrite: bool) -> None:
    path = folder / RUN
    if not path.exists():
        message = (
            f"The output folder {str(folder)!r} is not empty and holds no run of dedup. "
            f"Name another folder with -o or output.dir."
        )
        raise RunError(message)
    if overwrite:
        return
    hint = "Name another folder with -o or output.dir, or replace it with --overwrite."
    before = read_json(path).get("fingerprints", {})
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
