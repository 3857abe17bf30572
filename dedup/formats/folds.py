"""Folds of a cross-validation, `fold_0` to `fold_4`: neither labels nor splits with usual names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from dedup.formats.listing import Parts
from dedup.formats.source import printable

_FOLD: Final = re.compile(r"(k[-_ ]?)?(folds?|cv)[-_ ]*\d{1,2}")

_NAMED: Final = 4
"""Folds that a sentence names before it goes on with dots."""


def is_fold(name: str) -> bool:
    """Whether a name is that of a fold.

    >>> [is_fold(name) for name in ("fold_0", "Fold 3", "cv1", "fold", "folder_1", "old_2")]
    [True, True, True, False, False, False]
    """
    return _FOLD.fullmatch(name.lower()) is not None


def folds_among(folders: Iterable[str]) -> bool:
    """Whether all of the folders in one place are folds, two or more."""
    names = list(folders)
    return len(names) > 1 and all(map(is_fold, names))


def note_on_folds(folds: Sequence[Parts], splits: Mapping[Parts, str | None]) -> str | None:
    """What folds mean for what can be judged, for people; nothing where there are none.

    `splits` are folders with usual names.
    """
    if not folds:
        return None

    names = sorted("/".join(map(printable, fold)) for fold in folds)
    named = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    if any(folder[: len(fold)] == fold for folder in splits for fold in folds):
        return (
            f"{named} are folds with splits of their own, read together: what one fold tests,"
            " others usually train on, so it counts as a leak. Name one of them as dataset.path to"
            " judge it alone."
        )

    return (
        f"{named} are folds, and none of them is held out: there are duplicates only. Hold one out"
        f" as policy.held_out: [{printable(folds[-1][-1])!r}], or say what each is as"
        " dataset.split_folders."
    )
