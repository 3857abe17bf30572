"""What `--help` shows of a command: the beginning of its docstring, and an example or two."""

import inspect
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from dedup.cli.options import command

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "dedup run my.yaml",
        "dedup run my.yaml --set search.orientations=mirrored -o runs/mirrored",
    ),
    "audit": (
        "dedup audit photos -o runs/audit",
        "dedup audit train.parquet --max-leakage 0",
        "dedup audit mine hf://datasets/org/benchmark",
    ),
    "clean": ("dedup clean photos -o runs/photos",),
    "split": ("dedup split photos -o runs/splits --to train=0.8,validation=0.1,test=0.1 --seed 0",),
    "init": ("dedup init photos", "dedup init photos -o configs/photos.yaml"),
    "warm": ("dedup warm", "NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES= dedup warm"),
    "serve": ("dedup serve shop.bank", "dedup serve shop.bank --config serve.yaml --workers 2"),
    "compare": ("dedup compare a.jpg b.png",),
    "decide": ("dedup decide runs/photos --set verify.min_similarity=0.95 -o runs/strict",),
    "gate": ("dedup gate runs/photos --max-leakage 0 --junit gate.xml",),
    "calibrate": ("dedup calibrate photos --max-fdr 0.01",),
    "report": ("dedup report runs/photos",),
    "review": ("dedup review runs/photos", "dedup review runs/before runs/after"),
    "demo": ("dedup demo", "dedup demo somewhere --workers 2"),
    "cache info": ("dedup cache info", "dedup cache info --folder hashes"),
    "cache prune": ("dedup cache prune --days 90", "dedup cache prune --max-bytes 2000000000"),
    "cache clear": ("dedup cache clear",),
    "bank build": (
        "dedup bank build shop.bank photos",
        "dedup bank build val.bank runs/imagenet-val --licence 'research only'",
    ),
    "bank add": (
        "dedup bank add shop.bank new/1.jpg",
        "dedup bank add shop.bank new --unless-duplicate",
    ),
    "bank check": (
        "dedup bank check shop.bank upload.jpg",
        "dedup bank check shop.bank uploads --json",
    ),
    "bank remove": ("dedup bank remove shop.bank cat/1.jpg cat/2.jpg",),
    "bank info": ("dedup bank info shop.bank",),
    "bank compact": ("dedup bank compact shop.bank",),
    "bank rebuild": ("dedup bank rebuild shop.bank --from photos",),
    "bank verify": ("dedup bank verify shop.bank",),
    "bank copy": ("dedup bank copy shop.bank backup.bank",),
    "bank export": ("dedup bank export shop.bank shop.bank.parquet",),
    "bank keys add": ("dedup bank keys add shop.bank website --scope check,submit",),
    "bank keys list": ("dedup bank keys list shop.bank",),
    "bank keys revoke": ("dedup bank keys revoke shop.bank website",),
}


class Command(TyperCommand):
    """One command."""

    def get_help_option(self, ctx: Any) -> Any:
        """`--help` takes no value, so its line names no type."""
        return _without_type(super().get_help_option(ctx))


class Group(TyperGroup):
    """Several commands under one name."""

    def get_help_option(self, ctx: Any) -> Any:
        """`--help` takes no value, so its line names no type."""
        return _without_type(super().get_help_option(ctx))


def _without_type(option: Any) -> Any:  # typer and click each have a class of options
    if option is not None:
        option.metavar = ""
    return option


def attach(app: typer.Typer, function: Callable[..., None], name: str, of: str = "") -> None:
    """Make a function the command `name` of an app, itself the commands `of` of `dedup`."""
    first = (inspect.getdoc(function) or "").partition("\n\n")[0]
    app.command(
        name,
        cls=Command,
        help=" ".join(first.split()),
        epilog=epilog(f"{of} {name}".strip()),
    )(command(function))


def epilog(name: str) -> str | None:
    """The examples of a command, each in a line."""
    lines = EXAMPLES.get(name)
    return None if lines is None else "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)
