"""What is compared in a crowd beside its leader: what decides about its samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.search import Progress

MAX_TRIES: Final = 8
"""Held-out members of its crowd that a train member is compared with, nearest code first, in each
split.

Still frames are accepted at the first try. Where eight of the nearest are rejected, more are no
help.
"""

_COMPARED_AT_ONCE: Final = 2_048  # pairs; between two batches progress is told and Ctrl-C is heard
_DISTANCES_AT_ONCE: Final = 1 << 22  # while the nearest codes are looked for: 64 MB

Samples = NDArray[np.int64]
Mask = NDArray[np.bool_]

Compare = Callable[[Samples, Samples], pa.Table]
"""Rows of `candidates` for pairs of samples a < b, compared as all others are."""

Accepts = Callable[[pa.Table], Mask]
"""Which rows of `candidates` are pairs."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Where the pictures of each class of identical ones are, at the place of its
    representative.
    """

    train: Mask
    held_out: Mapping[str, Mask]  # by split
    label: NDArray[np.int64]  # of the representative; -1: none

    def any_held_out(self, samples: Samples) -> Mask:
        """Whether each of the samples has an identical picture in any held-out split."""
        found = np.zeros(len(samples), bool)
        for inside in self.held_out.values():
            found |= inside[samples]
        return found


@dataclass(frozen=True, slots=True)
class Codes:
    """What is searched."""

    samples: Samples  # representatives, ascending
    codes: Sequence[NDArray[np.uint64]]  # of them, by hash
    near: Sequence[int]  # bits: how far members may be from their leader, by hash


@dataclass(slots=True)
class Crowd:
    """A leader, what it accepted and what it rejected."""

    leader: int
    members: Samples  # accepted, without the leader, ascending
    rejected: Samples  # near the leader, ascending; those of them that are in no crowd at the end
    closed: bool = False  # whether the rejected ones are too many to be compared with each other


@dataclass(slots=True)
class Comparisons:
    """Pairs that were compared, each once."""

    compare: Compare
    accepts: Accepts
    expected: int  # comparisons, for the progress
    progress: Progress | None = None
    parts: list[pa.Table] = field(default_factory=list)
    # whether each pair was accepted
    known: dict[tuple[int, int], bool] = field(default_factory=dict)

    def of(self, one: Samples, two: Samples) -> Mask:
        """Whether each pair is accepted; one pair may stand twice, in any order."""
        pairs = list(zip(np.minimum(one, two).tolist(), np.maximum(one, two).tolist(), strict=True))
        new = sorted({pair for pair in pairs if pair not in self.known})
        for begin in range(0, len(new), _COMPARED_AT_ONCE):
            self._compare(new[begin : begin + _COMPARED_AT_ONCE])

        return np.array([self.known[pair] for pair in pairs], bool)

    def _compare(self, pairs: list[tuple[int, int]]) -> None:
        a, b = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
        rows = self.compare(a, b)
        self.parts.append(rows)
        self.known.update(zip(pairs, self.accepts(rows).tolist(), strict=True))
        if self.progress is not None:
            self.progress(min(len(self.known) / max(self.expected, 1), 1.0))

    def rows(self, schema: pa.Schema) -> pa.Table:
        """All of them, sorted by (a, b)."""
        whole = pa.concat_tables([schema.empty_table(), *self.parts])
        order = np.lexsort((whole["b"].to_numpy(), whole["a"].to_numpy()))
        return whole.take(pa.array(order))


def settled(crowd: Crowd, sides: Sides, searched: Codes, compared: Comparisons) -> Samples:
    """Compare a crowd's samples with what decides about them; returns the members that stay in it.

    A train sample is compared with held-out ones, a held-out one with those of other held-out
    splits and with the first of its own, and a sample with those of other labels. Where the leader
    leaks and a train member does not, the leader may go and the member may stay: it leaves the
    crowd.
    """
    own = [
        crowd.leader,
        *crowd.members.tolist(),
        *(crowd.rejected.tolist() if crowd.closed else []),
    ]
    everyone = np.array(own, np.int64)
    leaks = sides.any_held_out(everyone)

    for split in sorted(sides.held_out):
        inside = sides.held_out[split][everyone]
        targets = everyone[inside]
        leaks[~inside] |= nearest_accepted(everyone[~inside], targets, searched, compared)
        compared.of(np.repeat(targets[:1], max(len(targets) - 1, 0)), targets[1:])

    labels = sides.label[everyone]
    for label in np.unique(labels[labels >= 0]).tolist():
        others = everyone[(labels >= 0) & (labels != label)]
        nearest_accepted(everyone[labels == label], others, searched, compared)

    n_members = len(crowd.members)
    members = slice(1, 1 + n_members)
    stays = leaks[members] | ~sides.train[everyone[members]] | (not leaks[0])

    return np.sort(everyone[members][stays])


def nearest_accepted(
    ones: Samples, targets: Samples, searched: Codes, compared: Comparisons
) -> Mask:
    """Compare each sample with the targets, nearest code first, until one is accepted; whether any
    was.

    At most `MAX_TRIES` times.
    """
    accepted = np.zeros(len(ones), bool)
    if len(ones) == 0 or len(targets) == 0:
        return accepted

    nearest = _nearest(ones, targets, searched)
    for k in range(nearest.shape[1]):
        left = np.flatnonzero(~accepted)
        accepted[left] = compared.of(ones[left], nearest[left, k])

    return accepted


def _nearest(ones: Samples, targets: Samples, searched: Codes) -> NDArray[np.int64]:
    """For each sample the targets with the nearest codes, the nearest first, the earlier of two."""
    n_tries = min(MAX_TRIES, len(targets))
    rows, places = (np.searchsorted(searched.samples, of) for of in (ones, targets))
    nearest = np.empty((len(ones), n_tries), np.int64)
    at_once = max(1, _DISTANCES_AT_ONCE // len(targets))

    for begin in range(0, len(ones), at_once):
        some = rows[begin : begin + at_once]
        distance = np.zeros((len(some), len(targets)), np.int64)
        for one in searched.codes:
            for word in range(one.shape[1]):
                distance += np.bitwise_count(one[some, word][:, None] ^ one[places, word][None, :])
        ranked = distance * len(targets) + np.arange(len(targets))
        first = np.argpartition(ranked, n_tries - 1, axis=1)[:, :n_tries]
        in_order = np.argsort(np.take_along_axis(ranked, first, axis=1), axis=1)
        nearest[begin : begin + len(some)] = targets[np.take_along_axis(first, in_order, axis=1)]

    return nearest
