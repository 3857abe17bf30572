"""Splits and labels that the folders inside tar files tell: `train/cat/0.jpg` in one `all.tar`."""

from collections.abc import Sequence
from typing import Final

from dedup.formats.layout import Layout, layout_of
from dedup.formats.layout_notes import check_names
from dedup.formats.listing import Parts
from dedup.formats.source import printable
from dedup.formats.split_words import USUAL, says_nothing, told_by

_NAMED: Final = 3
"""Members that are named before a sentence goes on with dots."""


class InnerFolders:
    """What the keys of samples tell, as their folders are those of an image folder."""

    def __init__(self, keys: Sequence[str], name: str) -> None:
        self._keys = [tuple(key.split("/")) for key in keys]
        self._layout = layout_of(self._keys, "auto", {})
        self._labels = self._layout.labels()
        self.say_splits = bool(self._keys) and self._is_sure(self._layout)
        if self.say_splits:
            check_names(self._layout, name)

    def splits(self) -> list[str | None]:
        """The split of each sample."""
        folders = (self._labels[parts[:-1]][0] for parts in self._keys)
        return [None if folder is None else self._layout.splits[folder] for folder in folders]

    def labels(self) -> list[str | None]:
        """The label of each sample; names that say nothing of the pictures are none."""
        found = [self._labels[parts[:-1]][1] for parts in self._keys]
        return [None if label is None or says_nothing(label) else label for label in found]

    def _is_sure(self, layout: Layout) -> bool:
        """Whether every sample is in a folder with the bare name of a split, so that what is left
        after some are dropped is understood in the same way.
        """
        return bool(layout.splits) and all(
            (folder := layout.folder_of(parts)) is not None and _is_usual(folder)
            for parts in self._keys
        )


def _is_usual(folder: Parts) -> bool:
    told = told_by(printable(folder[-1]))
    return told is not None and told.is_sure and told.split in USUAL


def of_no_sample(members: Sequence[str]) -> str:
    """A sentence on members of tar files that are not written."""
    first = ", ".join(map(repr, members[:_NAMED])) + (", …" if len(members) > _NAMED else "")
    n = len(members)

    return (
        f"{n:,} member{'' if n == 1 else 's'} of tar files {'belongs' if n == 1 else 'belong'} to"
        f" no sample and {'is' if n == 1 else 'are'} not written: {first}."
    )
