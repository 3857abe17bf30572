"""The options that several commands share, and what every command has: clear errors and an exit
code.
"""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from dedup.cli.terminal import err, message
from dedup.errors import ConfigError, DedupError

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder for what comes out: the tables, the report, a run's splits."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one setting, e.g. search.max_distance=8. Repeatable.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Replace another run in the output folder.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=0, help="Processes that hash; one per core by default."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print errors only.")]


def as_given(path: Path) -> str:
    """A path as it was typed: of the two slashes of a URL a path keeps one."""
    return re.sub(r"^([A-Za-z][\w+.-]+):/(?!/)", r"\1://", str(path))


@dataclass(frozen=True, slots=True)
class Work:
    """Options of the commands that hash."""

    output: Output = None
    set_: Set = None
    overwrite: Overwrite = False
    workers: Workers = None

    def settings(self) -> dict[str, Any]:
        """Those that were given, by the dotted keys that they stand for."""
        given = {
            "output.dir": None if self.output is None else as_given(self.output),
            "engine.workers": self.workers,
        }
        return {key: value for key, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """Options that set the gate's limits."""

    max_leakage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Exit with 3 when a larger share (0 to 1) of a held-out split is in train.",
        ),
    ] = None
    max_unreadable: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Exit with 4 when a larger share (0 to 1) of the samples is unreadable.",
        ),
    ] = None
    allow_nothing: Annotated[
        bool | None,
        typer.Option(
            "--allow-nothing",
            metavar="",
            help="Pass where there is nothing to judge, such as no held-out split.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Documents:
    """Options that say where the gate's documents go."""

    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the summary and the gate's verdict as JSON; - is stdout.",
        ),
    ] = None
    junit: Annotated[
        Path | None,
        typer.Option(
            "--junit", metavar="FILE", help="Write the gate's checks as a JUnit file; - is stdout."
        ),
    ] = None
    markdown: Annotated[
        Path | None,
        typer.Option(
            "--markdown", metavar="FILE", help="Write a page for a pull request; - is stdout."
        ),
    ] = None


def command(function: Callable[..., None]) -> Callable[..., None]:
    """What typer can call: groups of options spread out, dedup's errors as one clear message and an
    exit code.
    """
    return _guarded(_spread(function))


def _spread(function: Callable[..., None]) -> Callable[..., None]:
    """The function with a parameter for each field of its parameters that are dataclasses."""
    own = inspect.signature(function, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: of.annotation for name, of in own.items() if is_dataclass(of.annotation)
    }
    parameters: list[inspect.Parameter] = []

    for name, parameter in own.items():
        if name not in groups:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        hints = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                of.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=of.default,
                annotation=hints[of.name],
            )
            for of in fields(groups[name])
        ]

    @functools.wraps(function)
    def spread(**given: Any) -> None:
        made = {
            name: group(**{of.name: given.pop(of.name) for of in fields(group)})
            for name, group in groups.items()
        }
        function(**given, **made)

    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}

    return spread


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def guarded(**given: Any) -> None:
        try:
            function(**given)
        except ConfigError as error:
            for problem in error.problems:
                err.print(f"[red]Error:[/] {message(problem)}", soft_wrap=True)
            raise typer.Exit(USAGE) from error
        except DedupError as error:
            err.print(f"[red]Error:[/] {message(str(error))}", soft_wrap=True)
            raise typer.Exit(FAILED) from error
        except OSError as error:
            where = f" ({error.filename!r})" if error.filename else ""
            err.print(
                f"[red]Error:[/] {message(str(error.strerror or error) + where)}.", soft_wrap=True
            )
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            err.print("Interrupted. Run the same command again: it goes on with what was hashed.")
            raise typer.Exit(INTERRUPTED) from None

    return guarded
