"""`dedup serve`: the HTTP service in front of banks."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from dedup.cli.options import Quiet
from dedup.cli.terminal import observed, out


def serve(
    banks: Annotated[
        list[Path],
        typer.Argument(metavar="BANK", help="Folders of banks, or portable ones (checks only)."),
    ],
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings as YAML; docs/service.md.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; others than 127.0.0.1 need keys.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes that answer.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", metavar="", help="Checks only: for a copy of a bank.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Answer over HTTP: is this upload there already? Approved ones join the bank."""
    from dedup.service.running import require_extra

    require_extra()
    from dedup.service.running import serve as run
    from dedup.service.settings import ServiceSettings

    asked: dict[str, Any] = {
        "server.host": host,
        "server.port": port,
        "server.workers": workers,
    }
    given = {key: value for key, value in asked.items() if value is not None}
    settings = ServiceSettings.read(config, given)
    # Both ways to stop it let requests under way end first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    with observed(quiet=quiet):
        try:
            run(banks, settings, read_only=read_only, announce=_announce)
        except KeyboardInterrupt:
            out.print("Stopped.")


def _announce(address: str) -> None:
    out.print(f"Listening on {address}", highlight=False, markup=False, soft_wrap=True)
    pages = f"Pages for people: {address}/drop and {address}/review"
    out.print(pages, highlight=False, markup=False, soft_wrap=True)
