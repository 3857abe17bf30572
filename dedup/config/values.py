"""Values of the configuration that need more than a type: each is checked with a message of our
own.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

_CHAINS: Final = (
    "components chain: a like b and b like c puts c with a though they differ, and one such chain"
    " can take in thousands. Only a picture with a direct match that is kept is dropped."
    " summary.json counts the components"
)

REFUSED: Final = {
    "policy.duplicates": dict.fromkeys(
        ("components", "connected_components", "drop_components", "component", "drop_component"),
        _CHAINS,
    )
}
"""Values that this tool will not have, and why."""


def one_of(key: str, *allowed: str) -> BeforeValidator:
    """Accepts one of the allowed words."""
    return member_of(key, allowed)


def member_of(key: str, allowed: Collection[str]) -> BeforeValidator:
    """Accepts a word that is in a table when it is validated: names may be added later."""

    def validate(value: object) -> object:
        is_word = isinstance(value, str)  # a list, say, cannot be looked up in a table
        if is_word and value in REFUSED.get(key, {}):
            message = f"{value!r} is refused: {REFUSED[key][value]}. Allowed: {', '.join(allowed)}"
            raise ValueError(message)

        if not is_word or value not in allowed:
            near = difflib.get_close_matches(str(value), allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            message = f"got {value!r}, allowed: {', '.join(allowed)}.{hint}"
            raise ValueError(message)

        return value

    validate.allowed = allowed  # type: ignore[attr-defined]  # read by tests/option_types.py

    return BeforeValidator(validate)


def as_max_distance(value: object) -> object:
    """Bits, one number or one per algorithm, or `auto`."""
    message = "give a whole number of bits, 0 or more, one number per algorithm, or 'auto'"
    numbers = list(value.values()) if isinstance(value, Mapping) else [value]
    if value != "auto" and not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"got {value!r}; {message}")  # noqa: EM102

    return value


def _is_between_0_and_1(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def as_share(value: object) -> object:
    """A share in [0, 1], or None."""
    if value is not None and not _is_between_0_and_1(value):
        raise ValueError(f"got {value!r}; give a share from 0 to 1, or null")  # noqa: EM102
    return value


def as_similarity(value: object) -> object:
    """A similarity in [0, 1], or `auto`."""
    if value != "auto" and not _is_between_0_and_1(value):
        raise ValueError(f"got {value!r}; give a number from 0 to 1, or 'auto'")  # noqa: EM102
    return value


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, if none comes twice."""
    if len(set(names)) < len(names):
        raise ValueError(f"named twice: {', '.join(names)}")  # noqa: EM102
    return names


def as_names(value: object) -> object:
    """One name stands for a tuple of it."""
    return (value,) if isinstance(value, str) else value


def as_texts(value: object) -> object:
    """Values of a column, one or several, as the texts that the column is read as: 0 is '0'."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(one if isinstance(one, str) else str(one) for one in values)


def as_pattern(value: str) -> str:
    """A regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        message = f"{value!r} is not a regular expression: {error}"
        raise ValueError(message) from error
    return value


Share = Annotated[float | None, BeforeValidator(as_share)]
Count = Annotated[StrictInt, Field(gt=0)]


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_switch(value: object) -> object:
    """YAML reads a bare `on` or `off` as true or false."""
    if isinstance(value, bool):
        return "on" if value else "off"

    return value
