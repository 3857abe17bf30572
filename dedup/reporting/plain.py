"""Text of a dataset as plain characters: what could act on a terminal, in a log or in XML is
spelled out.
"""

import unicodedata
from typing import Final

_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of what follows, so that a name can look like another one."""

_ENDS_OF_LINES: Final = frozenset("\u2028\u2029")

_NO_CHARACTERS: Final = frozenset("\ufffe\uffff")
"""XML has no way to write them."""


def plain(text: str) -> str:
    r"""The text on one line, control codes and the like as `\x1b`.

    >>> print(plain("red\x1b[31m\nnext"))
    red\x1b[31m\nnext
    """
    return "".join(character if _harmless(character) else _spelled(character) for character in text)


def _harmless(character: str) -> bool:
    return (
        unicodedata.category(character) not in {"Cc", "Cs"}
        and character not in _DIRECTIONS
        and character not in _ENDS_OF_LINES
        and character not in _NO_CHARACTERS
    )


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()
