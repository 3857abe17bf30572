"""Labels as texts: a set of labels is the same in any order."""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.formats.texts import as_text

BACKGROUND: Final = "(background)"
"""The label of an image that annotators looked at and found nothing in: no label at all is
something else.
"""

_BRACKETS: Final = ("[", "(", "{")


def label_text(value: Any) -> str | None:
    """A value as a label: a list of different names or numbers is a set, sorted and joined by
    commas.

    A list in which a value occurs twice is no set (it may have a place for each class), and stays
    as it is.

    >>> label_text(["dog", "cat"]), label_text('["cat", "dog"]')
    ('cat, dog', 'cat, dog')
    >>> label_text([0, 1, 1]), label_text("a b")
    ('[0, 1, 1]', 'a b')
    """
    if isinstance(value, str) and value.startswith(_BRACKETS):
        found = _parsed(value)
        value = value if found is None else found

    if isinstance(value, list | tuple | set | frozenset):
        names = list(value)
        is_set = all(isinstance(name, str | int) and not isinstance(name, bool) for name in names)
        if is_set and len(set(map(str, names))) == len(names):
            value = joined([str(name) for name in names])

    return as_text(value)


def joined(names: Sequence[str]) -> str | None:
    """Several labels as one text; null for none."""
    return as_text(", ".join(sorted(set(names))))


def in_one_order(labels: pa.Array) -> pa.Array:
    """Texts that name the same several labels in another order as one of them: `dog|cat` and
    `cat;dog` as the first in the alphabet.

    All others stay as they are: a comma in the name of one class says nothing. Zeros and ones are
    places of classes, not names.

    >>> in_one_order(pa.array(["dog|cat", "cat|dog", "1,0", "0,1", "a, b"])).to_pylist()
    ['cat|dog', 'cat|dog', '1,0', '0,1', 'a, b']
    """
    names = sorted(filter(None, labels.unique().to_pylist()))
    first: dict[frozenset[str], str] = {}
    new: dict[str, str] = {}

    for name in names:
        parts = [part.strip() for part in _BETWEEN.split(name)]
        is_set = 1 < len(parts) == len(set(parts)) and not {*parts} <= {"0", "1"}
        if is_set and (same := first.setdefault(frozenset(parts), name)) != name:
            new[name] = same

    if not new:
        return labels

    return pa.array([new.get(label, label) for label in labels.to_pylist()], pa.string())


_BETWEEN: Final = re.compile(r"[|;,]")
"""What stands between several labels in one text."""


def _parsed(text: str) -> Any:
    """The list that a text stands for, written as JSON or Python does; None for any other text."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple | set):
            return found

    return None
