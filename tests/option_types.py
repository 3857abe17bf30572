"""The types of the keyword options, made from the config's models: `python -m tests.option_types`
writes the module.
"""

import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dedup.api.settings import IN_TWO_SECTIONS, sections
from dedup.config import Config, keys

MODULE = Path(__file__).parents[1] / "dedup" / "api" / "options.py"

HEAD = '''"""The keyword options of `audit` and others, for completion and type checkers.

Made from the config's models by `python -m tests.option_types`; a test compares them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class Options(TypedDict, total=False):
    """Settings of the config by their own names, sections of it, and what a call alone has."""

'''

TAIL = """    num_proc: int | None
    overwrite: bool
    progress: bool | None
"""


def written(kind: Any) -> str:
    """A type as it is written, without what only validates."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        names = next((table for mark in arguments[1:] if (table := _table(mark))), None)
        return written(Literal[*names]) if names else written(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(written(one) for one in arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]".replace("'", '"')
    if origin is tuple:
        inner = _of_items(arguments[0])
        return f"Sequence[{inner}]" if inner.startswith("Named") else f"{inner} | Sequence[{inner}]"
    if origin is dict:
        return f"Mapping[{written(arguments[0])}, {written(arguments[1])}]"
    if kind is type(None):
        return "None"
    return str(kind.__name__) if kind.__module__ == "builtins" else "Any"


def _of_items(kind: Any) -> str:
    """The type of the items of a list: any text, as one may be held in a variable."""
    return written(get_args(kind)[0] if get_origin(kind) is Annotated else kind)


def _table(mark: Any) -> tuple[str, ...]:
    """The names that a setting is checked against now; others may be added."""
    return tuple(getattr(getattr(mark, "func", None), "allowed", ()))


def module() -> str:
    """The text of the module."""
    models = keys()
    # the argument
    lines = [
        f"    {name}: Mapping[str, Any]\n" for name in Config.model_fields if name != "dataset"
    ]
    for name, section in sorted(sections().items()):
        field = models[f"{section}.{name}"].model_fields[name]
        metadata = field.rebuild_annotation()
        also = [
            written(models[f"dataset.{name}"].model_fields[name].rebuild_annotation())
            for _ in range(name == IN_TWO_SECTIONS)
        ]
        lines.append(f"    {name}: {' | '.join([written(metadata), *also])}\n")
    return formatted(HEAD + "".join(lines) + TAIL)


def formatted(text: str) -> str:
    """The text as ruff writes it, so that its check does not change it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(MODULE), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
