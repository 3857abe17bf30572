"""The usual names of splits."""

from typing import Final

SPLIT_ALIASES: Final = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "testing": "test",
}
"""Other names of the three usual splits, compared without regard to case."""


def normal_split(name: str | None) -> str | None:
    """The split's usual name: `val`, `valid`, `dev` and `eval` are `validation`; unusual names stay
    as they are.

    >>> [normal_split(name) for name in ("Train", "val", "DEV", "fold1", " ", None)]
    ['train', 'validation', 'validation', 'fold1', None, None]
    """
    if name is None:
        return None

    name = name.strip()
    if not name:  # blanks name no split
        return None

    lower = name.lower()
    if lower in SPLIT_ALIASES:
        return SPLIT_ALIASES[lower]

    return lower if lower in {"train", "validation", "test"} else name
