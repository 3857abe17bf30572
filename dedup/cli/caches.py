"""`dedup cache`: what is kept of earlier runs."""

from pathlib import Path
from typing import Annotated

import typer

from dedup.cli import views
from dedup.cli.examples import Group, attach
from dedup.cli.terminal import out
from dedup.errors import ConfigError

caches = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="What is kept of earlier runs, so that nothing is hashed twice.",
)

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="DIR", help="The cache.folder of the runs; else its default place."
    ),
]


def info(folder: Folder = None) -> None:
    """Say where the cache is and what it holds."""
    from dedup import cache

    held = cache.usage(folder or cache.default_folder())
    out.print(str(held.folder), highlight=False, markup=False, soft_wrap=True)
    out.print(
        f"{views.size(held.n_bytes)} in {held.files:,} files, for {held.rooms:,} kinds of hashes"
    )


def prune(
    folder: Folder = None,
    days: Annotated[
        float | None,
        typer.Option(metavar="N", min=0, help="Delete what was not used for so many days."),
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Delete the longest unused until the rest fits."),
    ] = None,
) -> None:
    """Delete what was not used for long. Runs that are at work are not disturbed."""
    if days is None and max_bytes is None:
        message = "dedup cache prune: say what may go, with --days or --max-bytes."
        raise ConfigError(message)

    from dedup import cache

    freed = cache.prune(folder or cache.default_folder(), max_bytes=max_bytes, max_days=days)
    out.print(f"{views.size(freed)} are free now")


def clear(folder: Folder = None) -> None:
    """Delete all that is kept."""
    from dedup import cache

    out.print(f"{views.size(cache.clear(folder or cache.default_folder()))} are free now")


for function in (info, prune, clear):
    attach(caches, function, function.__name__, "cache")
