"""Which split the name of a folder tells of: `train2017`, `seg_train`, `training_set`, `trainA`,
`imagesTr`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dedup.config import normal_split

USUAL: Final = frozenset({"train", "validation", "test"})

_RUN_TOGETHER: Final = re.compile(
    r"(train|training|trn|val|valid|validation|test|testing|dev|eval)"
    r"(set|data|images?|imgs?|split|folder|list)s?"
)
"""Names such as `trainset` and `testimages`, in lower case."""

_OF_MEDICAL_TASKS: Final = {"tr": "train", "ts": "test", "te": "test", "va": "validation"}
"""What stands behind `images` and `labels` in the folders of nnU-Net and the Medical Segmentation
Decathlon.
"""

_SHORT: Final = {"trn": "train", "tst": "test", "trainval": "train"}

_FILLING: Final = frozenset({
    "set", "sets", "data", "dataset", "datasets", "image", "images", "img", "imgs", "jpeg", "jpegs",
    "jpg", "png", "pic", "pics", "picture", "pictures", "photo", "photos", "frame", "frames",
    "file", "files", "folder", "folders", "split", "splits", "part", "seg", "stage", "crop",
    "crops", "raw", "final", "all", "full", "new", "original", "resized", "small", "large", "clean",
    "x", "rgb", "color", "colour", "gray", "grey", "hr", "lr", "input", "inputs", "sample",
    "samples", "processed", "subset", "the", "my", "of", "for",
})  # fmt: skip
"""Words beside that of a split which say nothing of what the pictures are."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the name of a folder tells of splits."""

    split: str  # normalised
    word: str  # as it stands in the name, in lower case
    # the other words, in order, with the place of the split's as an empty one
    rest: tuple[str, ...]

    @property
    def is_bare(self) -> bool:
        """Whether nothing else is in the name."""
        return not any(self.rest)

    @property
    def is_sure(self) -> bool:
        """Whether nothing else is in the name but words that fill and numbers."""
        return all(not word or word in _FILLING or word.isdigit() for word in self.rest)


def says_nothing(name: str) -> bool:
    """Whether a name has nothing but words that fill, and numbers.

    >>> says_nothing("images_0001"), says_nothing("10_dogs")
    (True, False)
    """
    return all(word in _FILLING or word.isdigit() for word in _words(name))


_BESIDE_SPLITS: Final = frozenset({
    "holdout", "hold", "extra", "unlabeled", "unlabelled", "unsup", "query", "gallery", "pred",
    "predict", "prediction", "predictions", "submission", "leaderboard", "public", "private",
    "calibration", "ood", "challenge", "minival", "bbox", "distractors", "reference", "pseudo",
})  # fmt: skip
"""Words in the names of folders that lie beside splits."""


def is_of_splits(name: str) -> bool:
    """Whether a name has a word that parts of a dataset have and classes do not.

    >>> is_of_splits("gt_bbox"), is_of_splits("test_b"), is_of_splits("bus")
    (True, True, False)
    """
    return bool(_BESIDE_SPLITS & {*_words(name)}) or told_by(name) is not None


def told_by(name: str) -> Told | None:
    """The split that a name tells of; None for none, or for more than one.

    >>> names = ("train2017", "seg_train", "Training_Set", "testA", "imagesTs", "valset")
    >>> [told_by(name).split for name in names]
    ['train', 'train', 'train', 'test', 'test', 'validation']
    >>> [told_by(name) for name in ("trains", "contest", "cat", "train_test", "testament")]
    [None, None, None, None, None]
    """
    words = list(_words(name))
    found = [(at, word, split) for at, word in enumerate(words) if (split := _split(word, words))]
    if len({split for _, _, split in found}) != 1:
        return None

    at, word, split = found[0]
    rest = tuple(
        "" if k == at else other
        for k, other in enumerate(words)
        if k == at or (k, other) not in _same(found)
    )

    return Told(split, word, rest)


def split_beside(name: str) -> str | None:
    """The split of a folder that lies beside those with usual names: `train_b` and `train_noisy`
    beside `train_a` and `test` are train as well, all others are held out under their own names.
    """
    told = told_by(name)
    return "train" if told and told.split == "train" else normal_split(name)


def _same(found: Iterable[tuple[int, str, str]]) -> set[tuple[int, str]]:
    return {(at, word) for at, word, _ in found}


def _words(name: str) -> Iterable[str]:
    """The words of a name in lower case: at blanks and marks, between letters and digits, and where
    capitals begin.

    >>> list(_words("trainA-2017_myTestSet")), list(_words("DIV2K_TRAIN"))
    (['train', 'a', '2017', 'my', 'test', 'set'], ['div', '2', 'k', 'train'])
    """
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", name):
        lower = word.lower()
        together = _RUN_TOGETHER.fullmatch(lower)
        yield from together.groups() if together else (lower,)


def _split(word: str, words: Iterable[str]) -> str | None:
    split = normal_split(_SHORT.get(word, word))
    if split in USUAL:
        return split

    beside = {"images", "imgs", "labels"} & set(words)

    return _OF_MEDICAL_TASKS.get(word) if beside else None
