"""`dedup review`: a local page on a run, or what differs between two."""

import webbrowser
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import typer
from rich.table import Table

from dedup.cli import views
from dedup.cli.terminal import out


def review(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")
    ],
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN2]", help="Another one: print what differs between the two, no page."
        ),
    ] = None,
    *,
    port: Annotated[
        int,
        typer.Option(
            metavar="N", help="Port on 127.0.0.1; a free one by default.", min=0, max=65_535
        ),
    ] = 0,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the page, or only print its address."),
    ] = True,
) -> None:
    """Look at the pairs of a run, judge them, and apply the judgement, on a local page."""
    if other is not None:
        _print_differences(run_folder, other)
        return

    from dedup.review.server import Server
    from dedup.review.session import Session

    session = Session(run_folder)
    try:
        with Server(session, port) as server:
            out.print(
                f"Review of {run_folder}: {server.address}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            out.print("Ctrl-C ends it.", highlight=False)
            if browser:
                # It may wait for the browser, so it must not hold up the first request.
                Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
            server.serve_forever()
    except KeyboardInterrupt:
        out.print("")
    finally:
        session.close()


def _print_differences(first: Path, second: Path) -> None:
    from dedup.review.differing import differences

    found = differences(first, second)
    dataset = "the same" if found.same_input else "another one"
    _said(f"Dataset: {dataset}.")

    for title, lines in (
        ("Settings", found.settings),
        ("Versions", found.versions),
        ("Counts", [(name, f"{n:,}", f"{m:,}") for name, n, m in found.counts]),
    ):
        if lines:
            out.print(_table(title, lines))
        else:
            _said(f"{title}: the same.")

    _said(
        f"Pairs only in the first: {found.only_first:,}, only in the second: {found.only_second:,}."
    )
    for which, a, b in found.examples:
        _said(f"  only in the {which}: {a} / {b}")


def _table(title: str, lines: Any) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", "first", "second"):
        table.add_column(name, overflow="fold")

    for line in lines:
        table.add_row(*map(views.literal, line))

    return table


def _said(text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)
