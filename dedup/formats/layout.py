"""Which folders of images are splits and which are labels, told by the names of all folders
together.

A folder is a split only where that is unambiguous. In every other case it is a label, and the
layout says why.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dedup.config import normal_split
from dedup.formats.folds import folds_among, is_fold, note_on_folds
from dedup.formats.listing import Parts
from dedup.formats.source import printable
from dedup.formats.split_words import Told, is_of_splits, says_nothing, split_beside, told_by

_HOLDS_IMAGES: Final = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"}
)
"""Folders between a split and its labels, or above all of them, that say nothing themselves."""

_NAMED: Final = 4
"""Folders that a sentence names before it goes on with dots."""


@dataclass(slots=True)
class _Folder:
    """A folder in which, or below which, images lie."""

    n_here: int = 0
    n_below: int = 0  # those here included
    inner: dict[str, "_Folder"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders that are splits; none where there are only labels."""

    splits: Mapping[Parts, str | None]  # folder and split, normalised
    shared: int = 0  # how many folders at the top say nothing, as all images lie below them
    doubt: str | None = None  # why folders with names of splits are taken for labels
    folds: str | None = None  # what folds of a cross-validation mean for what can be judged
    # folders below a split that say nothing, if any
    empty_levels: Mapping[Parts, int] = field(default_factory=dict)

    def folder_of(self, parts: Parts) -> Parts | None:
        """The split's folder in which a file lies."""
        for depth in range(1, len(parts)):
            if parts[:depth] in self.splits:
                return parts[:depth]
        return None

    def folder_for(self, split: str, like: Parts) -> Parts:
        """The folder of another split: that beside `like`, else the first."""
        folders = sorted(folder for folder, of in self.splits.items() if of == split)
        beside = [folder for folder in folders if folder[:-1] == like[:-1]]
        return (beside or folders or [(split,)])[0]

    def labels(self) -> "Labels":
        """For each folder with files its split's folder and its label."""
        return Labels(self, self._n_common() if self.splits else 0)

    def label(self, parts: Parts, n_common: int) -> str | None:
        """What the folders around a file say beside its split; `n_common` folders are above all
        splits.
        """
        folder = self.folder_of(parts)
        if folder is None:
            between = parts[self.shared : -1]
            return printable(between[0]) if between else None

        # A set unpacked into itself, `x/x/train` beside `x/train`, has the same labels twice.
        above = [
            name
            for name in folder[n_common:-1]
            if name not in folder[:n_common] and not is_fold(printable(name))
        ]
        words = [*above, *self._below(folder, parts)[:1]]

        return "/".join(map(printable, words)) if words else self._rest(folder)

    def _n_common(self) -> int:
        """How many folders at the top are above all splits."""
        above = [folder[:-1] for folder in self.splits]
        n = min(map(len, above))
        while n and len({folders[:n] for folders in above}) > 1:
            n -= 1

        return n

    def _below(self, folder: Parts, parts: Parts) -> Parts:
        """The folders between a split and a file that may be labels."""
        return parts[len(folder) + self.empty_levels.get(folder, 0) : -1]

    def _rest(self, folder: Parts) -> str | None:
        """What a folder's own name says beside its split, where several folders of the split lie
        side by side.
        """
        beside = [other for other in self.splits if other[:-1] == folder[:-1]]
        if sum(self.splits[other] == self.splits[folder] for other in beside) < 2:
            return None

        told = told_by(printable(folder[-1]))
        words = [word for word in told.rest if word] if told and not told.is_sure else []

        return " ".join(words) or None


class Labels(dict[Parts, tuple[Parts | None, str | None]]):
    """The split's folder and the label of the files in a folder, found once for each folder."""

    def __init__(self, layout: Layout, n_common: int) -> None:
        super().__init__()
        self._layout, self._n_common = layout, n_common

    def __missing__(self, folder: Parts) -> tuple[Parts | None, str | None]:
        """Ask the layout."""
        file = (*folder, "")
        self[folder] = found = (
            self._layout.folder_of(file),
            self._layout.label(file, self._n_common),
        )

        return found


def layout_of(files: Iterable[Parts], top_folders: str, split_folders: Mapping[str, str]) -> Layout:
    """The layout of image files, as their paths below the root.

    `top_folders` is `splits`, `labels` or `auto`; `split_folders` names splits by their folder's
    path and counts alone.
    """
    top = _tree(files)
    if split_folders:
        named = {
            tuple(path.strip("/").split("/")): normal_split(split)
            for path, split in split_folders.items()
        }
        return Layout(named, empty_levels=_empty_levels(top, named))

    if top_folders == "splits":
        splits: dict[Parts, str | None] = {
            (name,): normal_split(printable(name)) for name in top.inner
        }
        return Layout(splits, empty_levels=_empty_levels(top, splits))

    if top_folders == "labels":
        return Layout({}, _n_shared(top))

    return _found(top)


def _tree(files: Iterable[Parts]) -> _Folder:
    top = _Folder()
    for parts in files:
        at = top
        at.n_below += 1
        for name in parts[:-1]:
            at = at.inner.setdefault(name, _Folder())
            at.n_below += 1
        at.n_here += 1

    return top


def _found(top: _Folder) -> Layout:
    """Look for splits from the top down; below a folder that is one nothing else is."""
    splits: dict[Parts, str | None] = {}
    others: list[Parts] = []  # beside splits, with a name that is not usual
    doubts: list[str] = []
    n_inside = 0
    folds: list[Parts] = []
    waiting: list[tuple[Parts, _Folder]] = [((), top)]

    while waiting:
        parts, folder = waiting.pop()
        here = folds_among(map(printable, folder.inner))
        folds += [(*parts, name) for name in sorted(folder.inner) if here]
        named, doubt = _splits_among(folder.inner) if not here else ({}, None)
        if doubt:
            doubts.append(doubt)
        for name, inner in sorted(folder.inner.items()):
            if name in named:
                splits[*parts, name] = named[name]
                n_inside += inner.n_below
                continue
            if named:
                others.append((*parts, name))
            waiting.append(((*parts, name), inner))

    for other in others:
        if not any(folder[: len(other)] == other for folder in splits):
            splits[other] = split_beside(printable(other[-1]))
            n_inside += _at(top, other).n_below

    note = note_on_folds(folds, splits)
    if folds and not splits:
        splits |= {fold: normal_split(printable(fold[-1])) for fold in folds}
        n_inside = sum(_at(top, fold).n_below for fold in folds)

    return _judged(top, splits, n_inside, note, doubts)


def _judged(
    top: _Folder,
    splits: dict[Parts, str | None],
    n_inside: int,
    note: str | None,
    doubts: Sequence[str],
) -> Layout:
    """The folders as splits, where they are several and hold most of the images."""
    shared = _n_shared(top)
    n_outside = top.n_below - n_inside - top.n_here
    if splits and (2 * n_outside >= top.n_below or (n_outside and len(set(splits.values())) == 1)):
        return Layout({}, shared, _few(splits, n_inside, top.n_below))
    if not splits:
        return Layout({}, shared, next(iter(doubts), None))

    return Layout(splits, folds=note, empty_levels=_empty_levels(top, splits))


def _empty_levels(top: _Folder, splits: Iterable[Parts]) -> dict[Parts, int]:
    """How many folders below each split hold all its images and say nothing: its own name again, or
    `images`.
    """
    found: dict[Parts, int] = {}
    for parts in splits:
        folder = _at(top, parts)
        while len(folder.inner) == 1 and not folder.n_here:
            name, folder = next(iter(folder.inner.items()))
            if name.lower() not in _HOLDS_IMAGES and name != parts[-1]:
                break
            found[parts] = found.get(parts, 0) + 1

    return found


def _few(splits: Mapping[Parts, str | None], n_inside: int, n: int) -> str:
    return (
        f"{listed('/'.join(folder) for folder in splits)} may be splits, but only {n_inside:,} of"
        f" {n:,} images are in them, so folders are taken for labels. If they are splits, say so as"
        " dataset.split_folders."
    )


def _splits_among(folders: Mapping[str, _Folder]) -> tuple[dict[str, str], str | None]:
    """Which of the folders in one place are splits, and why those with such names are not."""
    named = _named(folders)
    if not named:
        return {}, None

    others = [name for name in folders if name not in named]
    splits = set(named.values())
    if not others or ("train" in splits and len(splits) > 1 and not _classes(folders, named)):
        return named, None
    if all_told := _all_told(named, others):
        return all_told, None
    if _same_below(folders, named, others) or _deeper(folders, named, others):
        return named, None

    doubt = (
        f"{listed(named)} may be a split, but {listed(others)} beside it"
        f" {'have' if len(others) > 1 else 'has'} no usual name of a split: all of them are taken"
        " for labels. If they are splits, set dataset.top_folders: splits, or name them in"
        " dataset.split_folders."
    )

    return {}, doubt


def _named(folders: Iterable[str]) -> dict[str, str]:
    """Folders with names of splits: sure ones, and those that differ from another in nothing but
    the split.
    """
    told = {name: found for name in folders if (found := told_by(printable(name)))}
    of_rest: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for found in told.values():
        of_rest[found.rest].add(found.split)

    return {
        name: found.split
        for name, found in told.items()
        if _counts(found, len(of_rest[found.rest]))
    }


def _counts(told: Told, n_splits: int) -> bool:
    return told.is_sure or n_splits > 1


def _all_told(named: Mapping[str, str], others: Iterable[str]) -> dict[str, str]:
    """All folders where each has the word of a split, and train is among them: `train_labeled`,
    `train_unlabeled` and `test`; nothing elsewhere.
    """
    told = {name: told_by(printable(name)) for name in others}
    if not all(told.values()):
        return {}

    found = {**named, **{name: of.split for name, of in told.items() if of}}

    return found if "train" in found.values() and len({*found.values()}) > 1 else {}


def _classes(folders: Mapping[str, _Folder], named: Mapping[str, str]) -> bool:
    """Whether folders called train and test may be two classes among others: more folders beside
    them, none below them, and train no larger than the rest.
    """
    others = [name for name in folders if name not in named and not is_of_splits(printable(name))]
    are_bare = all(normal_split(printable(name)) == split for name, split in named.items())
    are_flat = not any(folders[name].inner for name in named)
    n_train = sum(folders[name].n_below for name, split in named.items() if split == "train")
    n_others = sum(folders[name].n_below for name in others)

    return are_bare and are_flat and len(others) > len(named) and n_train < n_others


def _same_below(
    folders: Mapping[str, _Folder], named: Iterable[str], others: Iterable[str]
) -> bool:
    """Whether every other folder has mostly the same sub-folders as those with names of splits."""
    below = set().union(*(folders[name].inner for name in named))
    shares = [(len(below & {*folders[name].inner}), len(folders[name].inner)) for name in others]
    return bool(below) and all(n and 2 * n_same >= n for n_same, n in shares)


def _deeper(
    folders: Mapping[str, _Folder], named: Mapping[str, str], others: Iterable[str]
) -> bool:
    """Whether train has folders of labels, several of them, and the folders beside it have none."""
    has_labels = all(len(folders[name].inner) > 1 and not folders[name].n_here for name in named)
    return (
        "train" in named.values() and has_labels and not any(folders[name].inner for name in others)
    )


def _n_shared(top: _Folder) -> int:
    """How many folders at the top hold all images and have several folders below them, or a name
    that says nothing.
    """
    n, folder = 0, top
    while len(folder.inner) == 1 and not folder.n_here:
        folder = next(iter(folder.inner.values()))
        n += 1

    if len(folder.inner) > 1 and not folder.n_here:
        return n

    # A single folder is no label if its name says nothing: `images/1.jpg`.
    only = next(iter(top.inner), "") if len(top.inner) == 1 and not top.n_here else ""
    return int(bool(only) and says_nothing(printable(only)))


def _at(top: _Folder, parts: Parts) -> _Folder:
    """The folder at a path; one without images where there is none."""
    for name in parts:
        top = top.inner.get(name, _Folder())
    return top


def listed(names: Iterable[str]) -> str:
    """The first of some names, sorted, and how many more there are."""
    all_names = sorted(names)
    shown = ", ".join(repr(printable(name)) for name in all_names[:_NAMED])
    return shown + (", …" if len(all_names) > _NAMED else "")
