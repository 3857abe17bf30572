"""Commands on the keys of a bank's service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dedup.cli.terminal import out

if TYPE_CHECKING:
    pass


BankPath = Annotated[
    Path, typer.Argument(metavar="BANK", help="The folder of a bank, or X.bank.parquet.")
]


def add_key(
    bank: BankPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called in lists.")],
    scope: Annotated[str, typer.Option(help="check, submit, review, admin; several with commas.")],
) -> None:
    """Make a key for the service. It is printed once; the bank keeps its digest only."""
    from dedup.bank import Bank

    with Bank(bank) as opened:
        key = opened.keys.add(name, [part.strip() for part in scope.split(",")])

    out.print(key, highlight=False, markup=False, soft_wrap=True)


def list_keys(bank: BankPath) -> None:
    """All keys, revoked ones included."""
    from dedup.bank import Bank

    with Bank(bank, read_only=True) as opened:
        for key in opened.keys.list():
            state = "revoked" if key.revoked else "valid"
            out.print(
                f"{key.name}: {', '.join(key.scopes)}, {state}", highlight=False, markup=False
            )


def revoke_key(bank: BankPath, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """From now on a key is refused."""
    from dedup.bank import Bank

    with Bank(bank) as opened:
        opened.keys.revoke(name)
