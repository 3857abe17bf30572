"""What commands on a bank read and print: pictures of sources, answers, counts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dedup import config as configuration
from dedup.cli.terminal import err, message, out

if TYPE_CHECKING:
    from dedup.bank import Answer, Bank, Counts


def settings_of(set_: list[str] | None, workers: int | None) -> dict[str, Any]:
    """Settings of a run by section, for opening and hashing a source."""
    config = configuration.build(
        {}, set_ or [], {} if workers is None else {"engine.workers": workers}
    )
    sections = ("dataset", "hash", "engine")

    return {
        name: config.model_dump(include={name}, exclude_unset=True).get(name, {})
        for name in sections
    }


def names_picture(path: str) -> bool:
    """Whether a path is that of a picture, by its suffix."""
    from dedup.decoding.pictures import FILE_SUFFIXES

    return Path(path).suffix.lower() in FILE_SUFFIXES


def pictures_of(
    bank: "Bank", sources: list[str], set_: list[str] | None, workers: int | None
) -> Iterator[tuple[str, Any]]:
    """(name, measures) of files, and of the samples of datasets."""
    files = [path for path in sources if names_picture(path)]
    for path in files:
        yield path, bank.measure(path)

    rest = [path for path in sources if path not in files]
    if rest:
        yield from bank.measured_source(rest, **settings_of(set_, workers))


def tell_counts(counts: "Counts | None", n: int, *, quiet: bool) -> None:
    """Say what became of the pictures of a source."""
    if counts is None:
        return

    if not quiet:
        replaced = f", {counts.replaced:,} replaced" if counts.replaced else ""
        out.print(f"{counts.added:,} added{replaced}; the bank has {n:,} entries")

    if counts.n_unreadable:
        listed = ", ".join(
            f"{n} {status}" for status, n in sorted((counts.unreadable or {}).items())
        )
        first = message(", ".join(map(repr, counts.unreadable_ids)))
        err.print(f"[yellow]Not added:[/] {listed}. The first: {first}", soft_wrap=True)


def print_answer(name: str, answer: "Answer") -> None:
    """A picture and its best match."""
    if answer.verdict is None:
        out.print(
            f"{name}: {answer.status}: {answer.detail}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return

    best = answer.matches[0] if answer.matches else None
    more = f" and {answer.n_matches - 1:,} more" if answer.n_matches > 1 else ""
    what = (
        ""
        if best is None
        else f" {best.id} ({best.kind}, {best.similarity:.3f} by {best.verified}){more}"
    )
    unsure = "" if answer.complete else "; not all candidates were compared"
    out.print(
        f"{name}: {answer.verdict}:{what}{unsure}", highlight=False, markup=False, soft_wrap=True
    )


def print_json(value: dict[str, Any]) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value))
