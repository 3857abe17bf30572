"""Where things are printed, and what is shown while a run goes on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.logging import RichHandler

from dedup.cli import bars, views

if TYPE_CHECKING:
    from dedup.clock import Observer
    from dedup.runs.result import Run

out = Console(emoji=False)  # `:smile:` in a file's name is that name
err = Console(stderr=True, emoji=False)


def message(text: str) -> str:
    """A message for rich; its lines stay lines."""
    return "\n".join(map(views.literal, text.split("\n")))


@contextmanager
def observed(*, quiet: bool) -> "Iterator[Observer | None]":
    """Log lines and progress bars while a run goes on; bars on a terminal only."""
    logger = logging.getLogger("dedup")
    with bars.progress(err) as shown:
        handler = RichHandler(
            console=shown.console, show_path=False, show_level=False, log_time_format="%H:%M:%S"
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.ERROR if quiet else logging.INFO)
        try:
            yield None if quiet else bars.Bars(shown)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def explained(plan: str) -> None:
    """Say how the codes will be searched."""
    err.print(plan, markup=False, highlight=False, soft_wrap=True)


def places(result: "Run", shown: Console = out) -> None:
    """Say where a run's files are."""
    if result.dir is None:
        return
    for what, name in {
        "Report": "report.html",
        "Tables": "*.parquet",
        "Clean splits": "splits",
    }.items():
        if "*" in name or (result.dir / name).exists():
            shown.print(
                f"{what}: {result.dir / name}", highlight=False, markup=False, soft_wrap=True
            )
