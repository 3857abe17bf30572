"""Metadata of an image folder when files are moved from split to split: which of its rows go where,
and say what.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dedup.config import normal_split
from dedup.formats.layout import Layout
from dedup.formats.metadata import Metadata, Parts
from dedup.formats.tabular import Record


@dataclass(frozen=True, slots=True)
class Move:
    """Where a file goes."""

    parts: Parts
    split: str  # normalised


@dataclass(slots=True)
class Rewritten:
    """What is written of one metadata file."""

    keep: NDArray[np.bool_]
    values: dict[str, dict[int, str]] = field(default_factory=dict)  # new ones, by column and row
    more: list[Record] = field(default_factory=list)  # of another file
    # further files: where from and where to
    companions: list[tuple[Parts, Parts]] = field(default_factory=list)


def obstacle(
    files: Sequence[Parts], metadata: Sequence[Metadata], split_column: str, layout: Layout
) -> str | None:
    """Why files cannot be moved from split to split, if they cannot."""
    if layout.splits:
        if deep := next(
            (one for one in metadata if len(layout.folder_of((*one.folder, "")) or ()) > 1), None
        ):
            return f"{'/'.join(deep.parts)!r} is in a folder of splits that is not a top folder"
        folders = sorted({parts[0] for parts in files})
        at = {one.parts: one for one in metadata}
        for one in metadata:
            if not one.folder or one.folder[0] not in folders:
                continue
            for folder in folders:
                other = at.get((folder, *one.parts[1:]))
                if other is None or not other.takes_from(one):
                    return f"{folder!r} has no file with the same columns as {'/'.join(one.parts)}"
        return None

    said = {parts for one in metadata if split_column in one.records.names for parts in one.files}
    if not said:
        return "no folder is a split"

    unsaid = next((parts for parts in files if parts not in said), None)

    return (
        None
        if unsaid is None
        else f"no column {split_column!r} says the split of {'/'.join(unsaid)!r}"
    )


def rewritten(
    metadata: Sequence[Metadata],
    present: Set[Parts],
    moved: Mapping[Parts, Move],
    split_column: str,
) -> Iterator[tuple[Metadata, Rewritten]]:
    """Each metadata file with what is written of it, when of the files those `present` are, and
    some are moved.
    """
    at = {one.parts: one for one in metadata}
    found = {
        one.parts: Rewritten(np.array([p in present for p in one.files], dtype=bool))
        for one in metadata
    }
    names = _names_of_splits(metadata, split_column)
    taken = {p for one in metadata for column in one.companions.values() for p in column} | set(
        present
    )

    for one in metadata:
        own = found[one.parts]
        leaving: dict[Parts, list[int]] = {}
        for row in np.flatnonzero(own.keep).tolist():
            move = moved.get(one.files[row])
            place = _place_of(one, row, move)
            target = at.get(place, one)
            _note_companions(one, row, move, target, own, found[target.parts], taken)
            if move is None:
                continue
            own.values.setdefault(one.column, {})[row] = "/".join(move.parts[len(target.folder) :])
            if split_column in one.records.names:
                own.values.setdefault(split_column, {})[row] = names.get(move.split, move.split)
            if target is not one:
                leaving.setdefault(place, []).append(row)
        for place, rows in sorted(leaving.items()):
            own.keep[rows] = False
            found[place].more += one.records.picked(rows, own.values)

    for one in metadata:
        yield one, found[one.parts]


def _place_of(one: Metadata, row: int, move: Move | None) -> Parts:
    """The metadata file that has a row afterwards: that of the folder its file goes to."""
    if move is not None and one.folder and move.parts[0] != one.files[row][0]:
        return (move.parts[0], *one.parts[1:])

    return one.parts


def _note_companions(
    one: Metadata,
    row: int,
    move: Move | None,
    target: Metadata,
    own: Rewritten,
    there: Rewritten,
    taken: set[Parts],
) -> None:
    """Let the further files that a row names go with its file, and the row name their new place."""
    for column, files in one.companions.items():
        to = files[row]
        if move is not None and to[0] == one.files[row][0] != move.parts[0]:
            to = _free((move.parts[0], *to[1:]), to[0], taken)
            own.values.setdefault(column, {})[row] = "/".join(to[len(target.folder) :])
        there.companions.append((files[row], to))


def _names_of_splits(metadata: Sequence[Metadata], column: str) -> dict[str | None, str]:
    """What each split is called in a column of the metadata."""
    texts = (
        text
        for one in metadata
        if column in one.records.names
        for text in one.records.texts(column)
    )
    return {normal_split(text): text for text in texts if text is not None}


def _free(parts: Parts, split: str, taken: set[Parts]) -> Parts:
    """The place, or one beside it where it is taken; it is taken then."""
    while parts in taken:
        stem, dot, suffix = parts[-1].rpartition(".")
        parts = (*parts[:-1], f"{stem}_{split}{dot}{suffix}" if stem else f"{suffix}_{split}")

    taken.add(parts)

    return parts
