"""The command line: arguments → config → pipeline. Only this package prints and picks exit
codes.
"""

import os
import sys
from typing import Annotated

import typer

from dedup.cli.banks import banks
from dedup.cli.caches import caches
from dedup.cli.commands import audit, calibrate, compare, decide, demo, gate, report, run
from dedup.cli.examples import Group, attach
from dedup.cli.making import clean, init, split, warm
from dedup.cli.options import INTERRUPTED
from dedup.cli.reviewing import review
from dedup.cli.serving import serve
from dedup.cli.terminal import out
from dedup.versions import DEDUP_VERSION

app = typer.Typer(
    name="dedup",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "Find exact and near-duplicates and train/test leakage in image datasets, and write the"
        " clean splits. To begin: dedup demo, or dedup audit FOLDER."
    ),
    epilog=(
        "Exit codes: 0 done · 1 failed · 2 usage or config · 3 a held-out split leaks more than"
        " gate.max_leakage, or gate.certified is not met · 4 more is unreadable than"
        " gate.max_unreadable (3 if both) · 130 Ctrl-C. With 3 and 4 everything is written."
    ),
)
for function in (
    run,
    audit,
    clean,
    split,
    compare,
    decide,
    gate,
    calibrate,
    report,
    review,
    init,
    warm,
    serve,
    demo,
):
    attach(app, function, function.__name__)
app.add_typer(caches, name="cache")
app.add_typer(banks, name="bank")


_Version = Annotated[
    bool, typer.Option("--version", metavar="", help="Print the version and exit.")
]


@app.callback(invoke_without_command=True)
def _version(*, version: _Version = False) -> None:
    if version:
        out.print(f"dedup {DEDUP_VERSION}", highlight=False)
        raise typer.Exit


def main() -> None:
    """Entry point of the `dedup` command."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            # All is closed and removed by now; taking the compiled kernels down would take a second
            # more.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
