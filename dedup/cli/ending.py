"""How a command ends: what is printed of a run, the gate's documents, and the exit code."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console

from dedup.cli import views
from dedup.cli.options import Documents
from dedup.cli.terminal import err, message, out, places
from dedup.errors import ConfigError

if TYPE_CHECKING:
    from dedup.gating.verdict import Verdict
    from dedup.runs.result import Run

LEAKS: Final = 3
UNREADABLE: Final = 4

_STDOUT: Final = Path("-")
_WORST: Final = 5  # leaks printed when the gate is closed

Places = Mapping[str, Path]
"""Where the documents asked for go, by the verdict's method."""


def asked(documents: Documents) -> Places:
    """The places of the documents asked for, checked before the work begins."""
    given = {"json": documents.json, "junit": documents.junit, "markdown": documents.markdown}
    places = {name: place for name, place in given.items() if place is not None}
    problems = [
        f"--{name} {str(place)!r}: there is no folder {str(place.parent)!r} to write it to."
        if not place.parent.is_dir()
        else f"--{name} {str(place)!r}: it is a folder. Name a file in it."
        for name, place in places.items()
        if place != _STDOUT and (place.is_dir() or not place.parent.is_dir())
    ]
    if list(places.values()).count(_STDOUT) > 1:
        problems.append("Only one of --json, --junit and --markdown can go to stdout (-).")
    if problems:
        raise ConfigError(*problems)

    return places


def beside(documents: Places) -> Console:
    """Where people read: stdout, or stderr when a document goes to stdout."""
    return err if _STDOUT in documents.values() else out


def finish(result: "Run", documents: Places, *, quiet: bool) -> None:
    """Print what was found and end with the code that the gate asks for."""
    from dedup.gating.gate import gate as judged  # it imports pyarrow

    if not quiet:
        shown = beside(documents)
        shown.print(views.overview(result.summary, written=result.config.output.splits != "none"))
        places(result, shown)

    verdict = judged(result)
    if verdict.passed and not verdict.limitless and not verdict.judged_nothing and not quiet:
        beside(documents).print("[green]The gate is passed.[/]")

    conclude(verdict, documents)


def conclude(verdict: "Verdict", documents: Places) -> None:
    """Write the documents, say what failed, and pick the exit code."""
    from dedup import files  # it imports pyarrow

    for name, place in documents.items():
        text = getattr(verdict, name)()
        if place == _STDOUT:
            sys.stdout.buffer.write(text.encode())
        elif (
            place.exists() and not place.is_file()
        ):  # a pipe or a device is written to, not replaced
            place.write_text(text, encoding="utf-8")
        else:
            files.write_text(place, text)

    for check in verdict.judged_nothing:
        err.print(f"[yellow]Warning:[/] {message(check.message)}", soft_wrap=True)

    failed = verdict.failed()
    for check in failed:
        err.print(f"[red]{message(check.message)}[/]", soft_wrap=True)

    if any(check.kind == "leakage" for check in failed):
        err.print(views.worst_leaks(verdict.worst[:_WORST], verdict.n_leaks), soft_wrap=True)
    if any(check.kind in {"leakage", "certificate"} for check in failed):
        raise typer.Exit(LEAKS)
    if failed:
        raise typer.Exit(UNREADABLE)
