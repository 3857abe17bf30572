"""Mirrored and turned copies: the codes of the other orientations joined against the upright ones.

There are eight orientations of a picture, and one might join each with each. It is enough to turn
one of the two: if `transform` applied to b gives a, then a as it stands matches b turned. So seven
cross-joins do, not
63. Turning a back by the inverse instead matches b as it stands; for an exact hash of exact pixels
that would be the same distance, but hashes are not quite equivariant (a DCT of an even number of
samples, a difference that loses its first column, resized edges). The cross-joins contain both
ways, (a, b) under a transform and (b, a) under its inverse, so the smaller of the two distances is
used. Thus the result does not depend on which picture comes first.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from operator import index

import numpy as np
from numpy.typing import NDArray

from dedup.decoding.orientation import INVERSE
from dedup.errors import ConfigError, LimitError
from dedup.search.codes import check_limit
from dedup.search.combined import Codes, checked, distances_of, joined
from dedup.search.crew import Crew, Progress
from dedup.search.matches import MAX_PAIRS
from dedup.search.order import in_order
from dedup.search.planner import check_finder
from dedup.search.scan import Keys, PairSink
from dedup.tables import TRANSFORMS


@dataclass(frozen=True, slots=True)
class OrientedMatches:
    """Pairs of rows, sorted by (a, b), each once, with the best transform."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]  # a < b
    transform: NDArray[np.uint8]  # applied to b, it gives a
    distances: tuple[NDArray[np.uint16], ...]  # bits that differ under the transform, for each hash

    def __len__(self) -> int:
        return len(self.a)


def join_orientations(
    upright: Sequence[Codes],
    oriented: Sequence[Mapping[int, Codes]],
    *,
    max_distance: int | Sequence[int],
    combine: str = "any",
    limit: int = MAX_PAIRS,
    threads: int | None = None,
    progress: Progress | None = None,
    finder: str = "auto",
) -> OrientedMatches:
    """Pairs of rows that match as they stand or after turning one of them.

    `upright` has one array (n, words) for each hash; `oriented` for each hash the codes of the same
    rows turned first, by transform (all hashes the same transforms). `max_distance` and `combine`
    as in `join_hashes`; the distances of a pair under a transform are the smaller ones of both
    ways. Of several transforms the one with the smallest share of differing bits, summed over the
    hashes, is given; ties go to the first in `TRANSFORMS`. The work is one join for each transform.
    Raises `LimitError` for more than `limit` pairs.
    """
    bounds = checked(upright, None, max_distance, combine)
    check_limit(limit)
    limit = index(limit)
    check_finder(finder)
    transforms = _transforms(upright, oriented, bounds, combine)
    best = _Best(
        np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty((len(upright), 0), np.uint16)
    )

    with Crew(threads, progress) as crew:
        for phase, transform in enumerate((0, *transforms)):
            crew.begin(phase, 1 + len(transforms))
            found = _directed(upright, oriented, transform, bounds, combine, limit, crew, finder)
            best = _better(best, found, [64 * one.shape[1] for one in upright])
            if len(best.keys) > limit:
                message = (
                    f"There are more than {limit:,} pairs within the distances {bounds} in"
                    f" {2 + phase} of {1 + len(transforms)} orientations; lower them or raise the"
                    " limit."
                )
                raise LimitError(message)
        crew.finish()

    a = (best.keys >> np.uint64(32)).astype(np.int64)
    b = (best.keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

    return OrientedMatches(a, b, best.transforms, tuple(best.distances))


@dataclass(frozen=True, slots=True)
class _Best:
    """Found pairs with a transform each."""

    keys: Keys
    transforms: NDArray[np.uint8]
    distances: NDArray[np.uint16]  # (hashes, pairs)


def _transforms(
    upright: Sequence[Codes],
    oriented: Sequence[Mapping[int, Codes]],
    bounds: Sequence[int],
    combine: str,
) -> list[int]:
    """The transforms that are given, checked."""
    if len(oriented) != len(upright):
        given = f"{len(upright)} hashes and {len(oriented)} mappings are given"
        message = f"Every hash needs its oriented codes: {given}."
        raise ConfigError(message)

    transforms = sorted(oriented[0])
    for turned in oriented:
        if sorted(turned) != transforms:
            message = f"All hashes need the same transforms, not {transforms} and {sorted(turned)}."
            raise ConfigError(message)

    if any(transform not in range(1, len(TRANSFORMS)) for transform in transforms):
        message = f"Transforms are numbers from 1 to {len(TRANSFORMS) - 1}, not {transforms}."
        raise ConfigError(message)

    for transform in transforms:
        turned_codes = [turned[transform] for turned in oriented]
        checked(upright, turned_codes, list(bounds), combine)
        if any(len(turned) != len(one) for turned, one in zip(turned_codes, upright, strict=True)):
            message = (
                f"The codes turned by {TRANSFORMS[transform]!r} must be of the same rows as the"
                " upright ones."
            )
            raise ConfigError(message)

    return transforms


def _directed(
    upright: Sequence[Codes],
    oriented: Sequence[Mapping[int, Codes]],
    transform: int,
    bounds: Sequence[int],
    combine: str,
    limit: int,
    crew: Crew,
    finder: str,
) -> _Best:
    """Pairs under one transform, where b turned matches a; those with a > b are told the other way
    round.
    """
    if transform == 0:
        plain = PairSink(limit)
        joined(upright, None, bounds, combine, limit, crew, plain, finder, early=limit)
        keys = in_order(plain.parts, len(upright[0]), crew)
        distances = np.array([distances_of(one, one, keys) for one in upright], np.uint16)
        return _Best(keys, np.zeros(len(keys), np.uint8), distances)

    sink = _Turned(upright, oriented, transform, list(bounds), combine, limit)
    turned = [one[transform] for one in oriented]
    # A pair can be found from both ends, and a symmetrical picture matches itself: neither may end
    # a search.
    early = 2 * limit + len(upright[0])

    if combine == "any":
        joined(upright, turned, bounds, combine, limit, crew, sink, finder, early)
    else:
        # Both ways count for every hash, so the sink decides; one hash, the same for all
        # transforms, finds.
        joined(upright[:1], turned[:1], bounds[:1], "any", limit, crew, sink, finder, early=None)

    return sink.best()


class _Turned:
    """Takes pairs (a, b) where `transform` applied to b matches a, at least for the hash that is
    searched.
    """

    def __init__(
        self,
        upright: Sequence[Codes],
        oriented: Sequence[Mapping[int, Codes]],
        transform: int,
        bounds: list[int],
        combine: str,
        limit: int,
    ) -> None:
        self._upright = upright
        self._oriented = oriented
        self._transform = transform
        self._bounds = np.array(bounds, np.uint16)[:, None]
        self._combine = combine
        self._limit = limit
        self._lock = threading.Lock()
        self._found = 0
        self._parts: list[_Best] = []

    def accept(self, keys: Keys) -> bool:
        """Puts the smaller row first, under the inverse where they change places."""
        a, b = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
        parts = []
        for mine, one, two, transform in (
            (a < b, a, b, self._transform),
            (a > b, b, a, INVERSE[self._transform]),
        ):
            ordered = (one[mine] << np.uint64(32)) | two[mine]
            distances = self._distances(ordered, transform)
            if self._combine == "all":
                near = (distances <= self._bounds).all(axis=0)
                ordered, distances = ordered[near], distances[:, near]
            parts.append(_Best(ordered, np.full(len(ordered), transform, np.uint8), distances))

        with self._lock:
            self._parts += parts
            self._found += sum(len(part.keys) for part in parts)
            return self._found <= 2 * self._limit

    def _distances(self, keys: Keys, transform: int) -> NDArray[np.uint16]:
        """The smaller distance of both ways, for each hash."""
        swapped = (keys << np.uint64(32)) | (keys >> np.uint64(32))
        inverse = INVERSE[transform]
        distances = []

        for upright, turned in zip(self._upright, self._oriented, strict=True):
            ways = [distances_of(upright, turned[transform], keys)] if transform in turned else []
            if inverse in turned:
                ways.append(distances_of(upright, turned[inverse], swapped))
            distances.append(np.minimum.reduce(ways))

        return np.array(distances, np.uint16)

    def best(self) -> _Best:
        """All that was accepted."""
        if not self._parts:
            return _Best(
                np.empty(0, np.uint64),
                np.empty(0, np.uint8),
                np.empty((len(self._upright), 0), np.uint16),
            )
        return _Best(
            np.concatenate([part.keys for part in self._parts]),
            np.concatenate([part.transforms for part in self._parts]),
            np.concatenate([part.distances for part in self._parts], axis=1),
        )


def _better(one: _Best, two: _Best, widths: Sequence[int]) -> _Best:
    """Each pair once, with the transform of the smallest share of differing bits, the first of
    equal ones.
    """
    keys = np.concatenate([one.keys, two.keys])
    transforms = np.concatenate([one.transforms, two.transforms])
    distances = np.concatenate([one.distances, two.distances], axis=1)
    scales = [lcm(*widths) // width for width in widths]
    share = sum(scale * d.astype(np.int64) for scale, d in zip(scales, distances, strict=True))
    order = np.lexsort((transforms, share, keys))
    first = np.ones(len(order), np.bool_)
    first[1:] = keys[order][1:] != keys[order][:-1]
    kept = order[first]

    return _Best(keys[kept], transforms[kept], distances[:, kept])
