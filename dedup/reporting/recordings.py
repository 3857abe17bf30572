"""Recordings in several splits: names that differ in a number form a series, and its neighbours
look alike.

Frames of one video in train and test are the most common leak of detection sets, and most of them
are not duplicates: they show the same scene a moment later. What tells a recording from a folder of
numbered photos is that pictures with neighbouring numbers are similar throughout.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.graph import components

MIN_SIMILARITY: Final = 0.7
"""Thumbnails from which neighbours show the same scene: the lower end of the valley between
strangers and copies.
"""

MIN_SHARE: Final = 0.5
"""Share of the neighbours in a series that must show the same scene, at the lower end of its
confidence interval: most of them do in a recording, and hardly any in numbered photos."""

MIN_SHARE_OF_ALL: Final = 0.25
"""The same over all series together, which are many more neighbours: then it is a set of
recordings, and a series in which things move fast is one, too."""

MIN_CONTRAST: Final = 2.0
"""How many times more of the neighbours than of pictures half a series apart must show the same
scene. Portraits and X-rays look alike whatever their numbers are."""

MIN_SIMILARITY_OF_ALL: Final = 0.5
"""Thumbnails that count over all series together. One such pair may be chance, hundreds of
neighbours in a row are not: it is what is left when a camera moves on by several metres."""

_Z: Final = 1.96
"""Standard deviations of a 95 % confidence interval. It keeps a few lucky pairs of a short series
from counting.
"""

_MANY: Final = 10
"""Series that are listed; all of them are counted."""

_SPLIT_WORDS: Final = re.compile(
    r"(?<![a-z])(train(?:ing|val)?|val(?:id(?:ation)?)?|test(?:ing)?|dev|eval)"
    r"(?:set|images?|data)?(?![a-z])",
    re.IGNORECASE,
)
"""Words of splits in a path: the frames of one recording lie in the folders of several splits."""

_PATTERNS: Final = (
    r"([^/]*?)[-_. ]*\d+[^\d/]*$",  # the name before its number: clip07_0001.jpg
    r"([^/]+)/[^/]*$",  # the folder: clip07/0001.jpg
    r"([^/]+)/[^/]+/[^/]*$",  # the folder above: clip07/left/0001.jpg
    r"([^/]+/[^/]*?)[-_. ]*\d+[^\d/]*$",  # the folder and the name before its number
    r"([^/]+/[^/]+)/[^/]*$",  # two folders
    # the name before the last number but one: clip07_0001_2.jpg
    r"([^/]*?)[-_. ]*\d+[^\d/]*\d+[^\d/]*$",
)
"""What may name a recording in an id, the simplest first. A suffix such as `.jp2` is taken off
before.
"""

_SUFFIX: Final = r"(?:\.\w+)?$"


@dataclass(frozen=True, slots=True)
class _Series:
    """Samples whose names differ in one number, by number."""

    name: str  # the name with `#` for the number
    samples: NDArray[np.int64]


def recordings(
    manifest: pa.Table, pairs: pa.Table, candidates: Iterable[pa.Table], held_out: Sequence[str]
) -> dict[str, Any] | None:
    """Series in train and in a held-out split whose neighbours show the same scene; None where
    there are none.
    """
    splits = manifest["split"].to_pylist()
    held = np.array([split in set(held_out) for split in splits], dtype=bool)
    ids: list[str] = manifest["id"].to_pylist()
    found = [series for series in _series(ids, splits) if _is_shared(held[series.samples])]
    if not found:
        return None

    similar = _Similar(len(ids), pairs, candidates)
    recorded = [
        series for series in found if similar.is_recording([series], MIN_SIMILARITY, MIN_SHARE)
    ]
    limit = MIN_SIMILARITY
    if similar.is_recording(found, MIN_SIMILARITY_OF_ALL, MIN_SHARE_OF_ALL):
        recorded, limit = found, MIN_SIMILARITY_OF_ALL

    recorded = [series for series in recorded if similar.any_across(series.samples, held, limit)]
    if not recorded:
        return None

    members = np.concatenate([series.samples for series in recorded])

    return {
        "series": len(recorded),
        "images": len(members),
        "held_out_images": {
            split: int(sum(splits[sample] == split for sample in members.tolist()))
            for split in sorted(held_out)
        },
        "group_pattern": _pattern(ids, recorded),
        "first": [
            series.name
            for series in sorted(recorded, key=lambda one: (-len(one.samples), one.name))[:_MANY]
        ],
    }


def _series(ids: Sequence[str], splits: Sequence[str | None]) -> Iterator[_Series]:
    """Ids that are equal but for their last number and the words of splits."""
    of_name: dict[str, list[tuple[int, int]]] = {}
    for sample, (name, split) in enumerate(zip(ids, splits, strict=True)):
        stem, suffix = os.path.splitext(name)  # an id, no path of this machine
        numbers = list(re.finditer(r"\d+", stem.rpartition("/")[2]))
        is_row = re.fullmatch(rf"{re.escape(split or '')}/\d+", name)  # a row's number is no name
        if not numbers or is_row or len(numbers[-1][0]) > _LONGEST:
            continue
        start = len(stem) - len(stem.rpartition("/")[2])
        before, after = stem[: start + numbers[-1].start()], stem[start + numbers[-1].end() :]
        key = _SPLIT_WORDS.sub("*", f"{before}#{after}{suffix}")
        of_name.setdefault(key, []).append((int(numbers[-1][0]), sample))

    for name, members in sorted(of_name.items()):
        yield _Series(name, np.array([sample for _, sample in sorted(members)], np.int64))


_LONGEST: Final = 18
"""Digits that fit a 64-bit number; longer ones are digests, not counts."""


def _is_shared(held: NDArray[np.bool_]) -> bool:
    return bool(held.any() and not held.all())


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What speaks for a recording, for each two pictures of a series."""

    neighbours: NDArray[np.bool_]  # with numbers in a row: show the same scene
    far: NDArray[np.bool_]  # half the series apart: show the same scene
    copies: NDArray[np.bool_]  # with numbers in a row: are duplicates


def _is_recording(series: Sequence[_Evidence], min_share: float) -> bool:
    """Whether most neighbours show the same scene, and more of them than of pictures that are far
    apart.

    Frames of a still camera are alike however far apart they are, but they are duplicates.
    """
    neighbours = np.concatenate([one.neighbours for one in series])
    far = np.concatenate([one.far for one in series])
    copies = np.concatenate([one.copies for one in series])
    if _at_least(copies) >= min_share:
        return True

    stands_out = (
        neighbours.mean() >= MIN_CONTRAST * (far.mean() if len(far) else 0.0)
        if len(neighbours)
        else False
    )

    return bool(stands_out) and _at_least(neighbours) >= min_share


def _at_least(found: NDArray[np.bool_]) -> float:
    """The lower end of Wilson's interval (1927) for a share."""
    n = len(found)
    if n == 0:
        return 0.0

    share = float(found.mean())
    reach = _Z * float(np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)))

    return (share + _Z**2 / (2 * n) - reach) / (1 + _Z**2 / n)


class _Similar:
    """Which samples look alike: identical ones, and candidates with similar thumbnails."""

    def __init__(self, n: int, pairs: pa.Table, candidates: Iterable[pa.Table]) -> None:
        self._n = n
        self._first = np.arange(n, dtype=np.int64)  # the lowest sample with the same picture
        same = pairs.filter(pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"])))
        self._first[same["b"].to_numpy()] = same["a"].to_numpy()
        # Duplicates of duplicates count: of thousands of frames alike each is compared with one of
        # them only.
        self._copies_of = components(n, pairs["a"].to_numpy(), pairs["b"].to_numpy())
        limits = (MIN_SIMILARITY, MIN_SIMILARITY_OF_ALL)
        keys: dict[float, list[NDArray[np.int64]]] = {
            limit: [np.empty(0, np.int64)] for limit in limits
        }

        for part in candidates:
            for limit in limits:
                near = part.filter(pc.greater_equal(part["similarity"], limit))
                keys[limit].append(near["a"].to_numpy() * n + near["b"].to_numpy())

        self._keys = {limit: np.unique(np.concatenate(found)) for limit, found in keys.items()}

    def is_recording(self, series: Sequence[_Series], limit: float, min_share: float) -> bool:
        """Whether these series, taken together, are of recordings; `limit` is the similarity that
        counts.
        """
        return _is_recording([self._evidence(one.samples, limit) for one in series], min_share)

    def any_across(self, samples: NDArray[np.int64], held: NDArray[np.bool_], limit: float) -> bool:
        """Whether one sample of train and the next one that is held out look alike, or the other
        way round.
        """
        across = held[samples[:-1]] != held[samples[1:]]
        return bool((self._alike(samples[:-1], samples[1:], limit) & across).any())

    def _evidence(self, samples: NDArray[np.int64], limit: float) -> _Evidence:
        """What neighbours of a series are to each other, and pictures half of it apart."""
        half = max(2, len(samples) // 2)
        return _Evidence(
            self._alike(samples[:-1], samples[1:], limit),
            self._alike(samples[:-half], samples[half:], limit),
            self._copies_of[samples[:-1]] == self._copies_of[samples[1:]],
        )

    def _alike(
        self, one: NDArray[np.int64], two: NDArray[np.int64], limit: float
    ) -> NDArray[np.bool_]:
        a, b = self._first[one], self._first[two]
        near = np.isin(np.minimum(a, b) * self._n + np.maximum(a, b), self._keys[limit])
        return np.asarray(near | (self._copies_of[one] == self._copies_of[two]))


def _pattern(ids: Sequence[str], recorded: Sequence[_Series]) -> str | None:
    """The simplest pattern that gives every recording a group of its own."""
    for pattern in _PATTERNS:
        whole = pattern.removesuffix("$") + _SUFFIX if pattern.endswith("[^\\d/]*$") else pattern
        compiled = re.compile(whole)
        groups: set[str] = set()
        for series in recorded:
            names = {_group(compiled, ids[sample]) for sample in series.samples.tolist()}
            if len(names) > 1 or not (names - {""}) or names & groups:
                break
            groups |= names
        else:
            return whole
    return None


def _group(pattern: re.Pattern[str], name: str) -> str:
    found = pattern.search(name)
    return found[1] if found else ""
