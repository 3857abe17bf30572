"""JSON that other people wrote: a value that is nested too deep, or an absurd number, costs that
value only.
"""

import json
import re
from typing import Any, Final

import numpy as np

MAX_DEPTH: Final = 50
"""Lists and objects within each other. Arrow reads no type that is nested deeper than 64, and
Python's own reader of JSON ends with an exception somewhere below 1,000, depending on where it is
called from."""

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string of JSON, also one that never ends."""

_PART: Final = re.compile(rf"{_STRING.pattern}|[\[\]{{}}]", re.DOTALL)

_OPENING: Final = np.frombuffer(b"[{", np.uint8)
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def parsed(content: str | bytes) -> tuple[Any, bool]:
    """The value, and whether a part of it was left out: what is nested deeper than `MAX_DEPTH` is
    null.

    Raises `ValueError` for what is not JSON.
    """
    text = content if isinstance(content, str) else _decoded(content)
    is_deep = _depth(text) > MAX_DEPTH

    return _loaded(_cut(text) if is_deep else text), is_deep


def _decoded(content: bytes) -> str:
    return content.decode(json.detect_encoding(content), "surrogatepass")


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than Python converts
        return json.loads(text, parse_int=float)


def _depth(text: str) -> int:
    """The most brackets that are open at once. Costs a seventh of what reading the text costs."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # as in nearly all rows
        return 0

    outside = _STRING.sub("", text).encode("utf-8", "surrogatepass")
    brackets = np.frombuffer(outside.translate(None, _ALL_BUT_BRACKETS), np.uint8)
    steps = np.where(np.isin(brackets, _OPENING), 1, -1)

    return int(np.cumsum(steps).max(initial=0))


def _cut(text: str) -> str:
    """The text with null in place of each list or object that begins inside `MAX_DEPTH` others."""
    pieces: list[str] = []
    depth = start = 0
    for part in _PART.finditer(text):
        if part[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                pieces.append(text[start : part.start()])
        elif part[0] in "]}":
            if depth == MAX_DEPTH + 1:
                pieces.append("null")
                start = part.end()
            depth -= 1

    if depth > MAX_DEPTH:  # it never ends, which is not JSON
        return "".join(pieces)

    return "".join([*pieces, text[start:]])
