"""`dedup bank`: a persistent set of pictures that new ones are checked against."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from dedup.cli import views
from dedup.cli.bank_answers import (
    names_picture,
    pictures_of,
    print_answer,
    print_json,
    settings_of,
    tell_counts,
)
from dedup.cli.bank_keys import BankPath, add_key, list_keys, revoke_key
from dedup.cli.examples import Group, attach
from dedup.cli.options import Quiet, Set, Workers
from dedup.cli.terminal import err, message, observed, out
from dedup.errors import ConfigError

if TYPE_CHECKING:
    pass

MATCHED: Final = 3
"""Exit code of `check` and `add --unless-duplicate` where anything matched."""

banks = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="A persistent set of pictures that new ones are checked against.",
)
keys = typer.Typer(cls=Group, no_args_is_help=True, help="Keys for the service's clients.")
banks.add_typer(keys, name="keys")

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE", help="A dataset in any form that audit takes, several, or a finished run."
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, one document a line.")]
Licence = Annotated[
    str | None, typer.Option("--licence", help="What you say about the pictures' licence.")
]


def build(
    bank: Annotated[Path, typer.Argument(metavar="BANK", help="The new folder, X.bank.")],
    source: Sources,
    *,
    licence: Licence = None,
    set_: Set = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Make a bank of a dataset in any form, or of a finished run, whose pixels are not read
    again.
    """
    from dedup.bank import Bank

    with (
        observed(quiet=quiet),
        Bank.build(bank, source, licence=licence, **settings_of(set_, workers)) as made,
    ):
        tell_counts(made.built, len(made), quiet=quiet)


def add(
    bank: BankPath,
    source: Sources,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", metavar="", help="Replace entries of the same id.")
    ] = False,
    unless_duplicate: Annotated[
        bool,
        typer.Option(
            "--unless-duplicate", metavar="", help="Name what matches, and do not add it."
        ),
    ] = False,
    set_: Set = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Add pictures: files, datasets, or a finished run. With --unless-duplicate the exit code is 3
    if any matched.
    """
    from dedup.bank import Answer, Bank, BankPolicy

    if unless_duplicate and replace:
        message_ = (
            "--unless-duplicate does not go with --replace: what is replaced is a duplicate of"
            " itself."
        )
        raise ConfigError(message_)

    with observed(quiet=quiet), Bank(bank) as opened:
        if not unless_duplicate and not all(map(names_picture, source)):
            tell_counts(
                opened.add_source(source, replace=replace, **settings_of(set_, workers)),
                len(opened),
                quiet=quiet,
            )
            return
        n_matched = n_unreadable = 0
        for name, picture in pictures_of(opened, source, set_, workers):
            if unless_duplicate:
                said = opened.submit(picture, name, BankPolicy(), uri=name)
                n_matched += said.verdict not in {"approved", None}
                n_unreadable += said.verdict is None
                if said.verdict != "approved":
                    print_answer(name, said if isinstance(said, Answer) else said.answer)
            elif not picture.is_readable:
                n_unreadable += 1
                err.print(
                    f"{message(name)}: {picture.status}: {message(picture.detail or '')}",
                    soft_wrap=True,
                )
            else:
                opened.add(picture, name, replace=replace, uri=name)
        if not quiet:
            out.print(
                f"{len(opened):,} entries; {n_matched:,} matched and {n_unreadable:,} unreadable"
                " were not added"
            )

    if n_matched:
        raise typer.Exit(MATCHED)


def check(
    bank: BankPath,
    source: Annotated[
        list[str],
        typer.Argument(metavar="FILE|FOLDER|SOURCE", help="Pictures, or datasets of them."),
    ],
    *,
    reject: Annotated[
        float | None,
        typer.Option(
            metavar="SIMILARITY",
            min=0,
            max=1,
            help="Similarity from which on a picture is rejected.",
        ),
    ] = None,
    review: Annotated[
        float | None,
        typer.Option(
            metavar="SIMILARITY",
            min=0,
            max=1,
            help="Similarity from which on a person should look.",
        ),
    ] = None,
    as_json: Json = False,
    set_: Set = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Which entries do these pictures match? Changes nothing; the exit code is 3 if anything
    matches.
    """
    from dedup.bank import Bank, BankPolicy

    policy = BankPolicy(reject=reject, review=review)
    counts = {"pictures": 0, "matched": 0, "unreadable": 0}
    with observed(quiet=quiet or as_json), Bank(bank, read_only=True) as opened:
        for name, picture in pictures_of(opened, source, set_, workers):
            answer = opened.check(picture, policy=policy)
            counts["pictures"] += 1
            counts["matched"] += bool(answer.matches)
            counts["unreadable"] += answer.verdict is None
            if as_json:
                print_json({"asked": name, **answer.to_dict()})
            elif answer.matches or answer.verdict is None:
                print_answer(name, answer)

    if not quiet and not as_json:
        out.print(", ".join(f"{n:,} {what}" for what, n in counts.items()))
    if counts["matched"]:
        raise typer.Exit(MATCHED)


def remove(
    bank: BankPath,
    *,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of entries.")] = None,
    of_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A file with an id a line.")
    ] = None,
    forget: Annotated[
        bool,
        typer.Option("--forget", metavar="", help="Leave nothing of them, in no file of the bank."),
    ] = False,
) -> None:
    """Remove entries: no later answer has them."""
    from dedup.bank import Bank

    wanted = [
        *(ids or []),
        *([] if of_file is None else of_file.read_text(encoding="utf-8").splitlines()),
    ]
    if not wanted:
        message_ = "dedup bank remove: name ids, or a file of them with --from."
        raise ConfigError(message_)

    with Bank(bank) as opened:
        unknown = opened.remove(wanted, forget=forget)
        out.print(f"{len(wanted) - len(unknown):,} removed, {len(opened):,} entries are left")

    for entry in unknown:
        err.print(f"[yellow]Warning:[/] there is no entry {message(repr(entry))}", soft_wrap=True)


def info(bank: BankPath, *, as_json: Json = False) -> None:
    """What a bank holds, what made it, and what its thresholds mean."""
    from dedup.bank import Bank

    with Bank(bank, read_only=True) as opened:
        held = opened.info()

    if as_json:
        print_json(held)
        return

    files = held["search_files"]
    in_files = views.size(sum(file["bytes"] for file in files))
    spec = held["spec"]
    algorithms = ", ".join(spec["algorithms"])
    out.print(
        f"{held['entries']:,} entries, {views.size(held['database_bytes'])}, {in_files} in search"
        " files"
    )
    out.print(
        f"{algorithms} of {spec['bits']} bits, mode {spec['mode']}, searched within"
        f" {held['max_distance']} bits"
    )
    out.print(f"{held['tail_rows']:,} rows are in no search file yet")
    for what in ("source", "licence"):
        if held[what]:
            out.print(f"{what}: {message(held[what])}", soft_wrap=True)

    table = Table("false probability at similarity")
    columns = next(iter(held["thresholds"].values()))
    for similarity in columns:
        table.add_column(similarity, justify="right")

    for name, of in held["thresholds"].items():
        table.add_row(name, *(f"{probability:.2g}" for probability in of.values()))

    out.print(table)


def compact(bank: BankPath) -> None:
    """Make the search files anew as one. Safe at any time: checks and changes go on."""
    from dedup.bank import Bank

    with Bank(bank) as opened:
        out.print(f"{opened.compact(everything=True):,} rows are in one search file")


def rebuild(
    bank: BankPath,
    source: Annotated[
        list[str], typer.Option("--from", metavar="SOURCE", help="Where the pictures are.")
    ],
    *,
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing", metavar="", help="Remove entries that are not in the source."
        ),
    ] = False,
    set_: Set = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Measure all entries again from their pictures: after decoders changed. Readers see the old
    ones until it ends.
    """
    from dedup.bank import Bank

    with observed(quiet=quiet), Bank(bank) as opened:
        counts = opened.rebuild(source, drop_missing=drop_missing, **settings_of(set_, workers))
        tell_counts(counts, len(opened), quiet=quiet)


def verify(bank: BankPath) -> None:
    """Is the database whole, and the index what its rows say? The exit code is 1 if not."""
    from dedup.bank import Bank

    with Bank(bank, read_only=True) as opened:
        found = opened.verify()

    for problem in found.problems:
        err.print(f"[red]{message(problem)}[/]", soft_wrap=True)

    if not found.is_whole:
        raise typer.Exit(1)

    out.print(
        f"{found.entries:,} entries, {found.searched_rows:,} searched rows: the index is what the"
        " rows say"
    )


def copy(
    bank: BankPath, target: Annotated[Path, typer.Argument(metavar="COPY", help="A new folder.")]
) -> None:
    """Make a consistent copy, while the bank is used."""
    from dedup.bank import Bank

    with Bank(bank, read_only=True) as opened:
        opened.copy(target)

    out.print(f"Copied to {target}", highlight=False, markup=False, soft_wrap=True)


def export(
    bank: BankPath,
    target: Annotated[Path, typer.Argument(metavar="X.bank.parquet", help="The file.")],
    *,
    source: Annotated[
        str | None, typer.Option(help="Where the pictures come from, for people.")
    ] = None,
    licence: Licence = None,
    no_ids: Annotated[
        bool, typer.Option("--no-ids", metavar="", help="Number the entries.")
    ] = False,
    digests: Annotated[
        bool,
        typer.Option(
            "--digests",
            metavar="",
            help="With digests of files and pixels, by which equal ones match.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace the file.")
    ] = False,
) -> None:
    """Write a portable bank: codes and signs, no pictures."""
    from dedup.bank import Bank

    with Bank(bank, read_only=True) as opened:
        n = opened.export(
            target,
            source=source,
            licence=licence,
            ids=not no_ids,
            digests=digests,
            overwrite=overwrite,
        )

    size = target.stat().st_size
    out.print(f"{n:,} entries, {views.size(size)}, {size / max(n, 1):.0f} bytes an entry")


_COMMANDS: Final[tuple[Callable[..., None], ...]] = (
    *(build, add, check, remove, info),
    *(compact, rebuild, verify, copy, export),
)
_OF_KEYS: Final[dict[str, Callable[..., None]]] = {
    "add": add_key,
    "list": list_keys,
    "revoke": revoke_key,
}

for function in _COMMANDS:
    attach(banks, function, function.__name__, "bank")
for name_, function in _OF_KEYS.items():
    attach(keys, function, name_, "bank keys")
