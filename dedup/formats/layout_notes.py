"""A layout of folders in a line for people and as settings, and the names that are refused."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dedup.config import normal_split
from dedup.formats.account import labels_in_a_line
from dedup.formats.layout import Layout, listed
from dedup.formats.listing import Parts
from dedup.formats.source import check_split_names, printable
from dedup.formats.split_words import told_by


def told_in_a_line(layout: Layout, files: Sequence[Parts], labels: Sequence[str | None]) -> str:
    """What was understood, for a person: which folder is which split, and what the labels are."""
    folders_of = layout.labels()
    sizes: Counter[Parts] = Counter(
        folder for parts in files if (folder := folders_of[parts[:-1]][0]) is not None
    )
    words = []

    for split in dict.fromkeys(
        sorted(filter(None, layout.splits.values()), key=lambda name: (name != "train", name))
    ):
        folders = [
            folder
            for folder in sorted(layout.splits)
            if layout.splits[folder] == split and sizes[folder]
        ]
        if folders:
            n = sum(sizes[folder] for folder in folders)
            words.append(
                f"{split} is {listed('/'.join(folder) for folder in folders)} ({n:,} images)"
            )

    text = "; ".join(words) or "no folder is a split"

    return f"{text}; {labels_in_a_line(labels)}"


def check_names(layout: Layout, name: str) -> None:
    """Refuse two names of one split side by side, such as `val` and `validation`.

    `train_1` and `train_2` are one split in two parts: their word is the same.
    """
    of_place: dict[Parts, dict[str, str | None]] = {}
    for folder, split in layout.splits.items():
        raw = printable(folder[-1])
        told = told_by(raw)
        word = told.word if told and told.split == split and not told.is_bare else raw
        of_place.setdefault(folder[:-1], {})[word] = split

    remedy = "Rename or merge one of them, or say which each of them is as dataset.split_folders."
    for names in of_place.values():
        check_split_names(names, name, remedy)


def as_settings(layout: Layout, *, has_lists: bool) -> dict[str, Any]:
    """The layout as settings, since what is left may look like another one."""
    splits = layout.splits
    if not splits:
        top = "auto" if has_lists else "labels"
        return {"top_folders": top, "split_folders": {}}

    if all(
        len(folder) == 1 and normal_split(printable(folder[0])) == split
        for folder, split in splits.items()
    ):
        return {"top_folders": "splits", "split_folders": {}}

    named = {"/".join(folder): split for folder, split in splits.items()}
    if any(printable(path) != path for path in named):  # no setting can hold such a name
        return {"top_folders": "auto", "split_folders": {}}

    return {"top_folders": "auto", "split_folders": named}
