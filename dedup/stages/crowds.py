"""crowds: masses of pictures that are alike, each compared with one leader instead of with each
other.

k frames of a still camera are k²/2 pairs that say no more than k do. So where codes are dense, the
best picture leads: it is compared with everything near it, and what is accepted is its crowd.
Members are not compared with members, but for what decides about them: a train member is compared
with held-out members, nearest code first, until one is accepted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.search import Progress
from dedup.search.density import UNKNOWN, neighbours_within, rows_within
from dedup.search.sparing import NO_CROWD, Spared, keys_of, nobody_spared

MIN_CROWD: Final = 32
"""Members of a crowd, its leader included. Fewer are at most 496 pairs, which are compared one by
one.
"""

MAX_TRIES: Final = 8
"""Held-out members of its crowd that a train member is compared with, nearest code first, in each
split.

Still frames are accepted at the first try. Where eight of the nearest are rejected, more are no
help.
"""

NEAR_PER_64_BITS: Final = 4
"""How far, in every hash, members are from their leader at most; frames of a noisy camera differ in
1 to 4 bits.
"""

# neighbours that a leader is compared with first: most of a crowd must be accepted
_PROBED: Final = 8
# leaders without a crowd that a sample may be near to before it leads none itself
_MAX_FAILURES: Final = 3
_COMPARED_AT_ONCE: Final = 2_048  # pairs; between two batches progress is told and Ctrl-C is heard
_DISTANCES_AT_ONCE: Final = 1 << 22  # while the nearest codes are looked for: 64 MB
_MAX_ROUNDS: Final = 8  # searches for leaders: samples that leave a crowd may make one of their own

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


@dataclass(frozen=True, slots=True)
class Found:
    """The crowds of a dataset."""

    crowds: list[Crowd]
    # of `candidates`: what was compared on the way, sorted by (a, b), each pair once
    rows: pa.Table
    spared: Spared  # of all samples


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


def near_distances(resolved: Resolved) -> list[int]:
    """How far members may be from their leader, by hash: never farther than is searched."""
    near = NEAR_PER_64_BITS * resolved.hash.bits // 64
    return [min(near, resolved.search.max_distance[name]) for name in resolved.hash.algorithms]


def crowds(
    searched: Codes,
    sides: Sides,
    order: Samples,
    compared: Comparisons,
    schema: pa.Schema,
    *,
    n_samples: int,
    threads: int,
) -> Found:
    """The crowds among the searched samples; `schema` is that of `candidates`.

    `order`: all samples, the best one to keep first. A leader is the first of its crowd in that
    order, train before held-out, so that what is kept in train was compared with all others.
    """
    forming = _Forming(searched, sides, _ranks(order, sides, n_samples), compared)
    for _ in range(_MAX_ROUNDS):
        if not forming.once(threads):
            break

    return _found(forming.crowds, searched, sides, compared, schema, n_samples)


def with_closed(
    found: Found,
    groups: Sequence[Samples],
    searched: Codes,
    sides: Sides,
    order: Samples,
    compared: Comparisons,
) -> Found:
    """With a crowd for each group of samples that are too many to be compared with each other.

    Each is compared with the best of its group, and as `settled` says.
    """
    n_samples = len(found.spared.members)
    rank = _ranks(order, sides, n_samples)
    made = list(found.crowds)

    for group in groups:
        leader = int(group[np.argmin(rank[group])])
        others = group[group != leader]
        accepted = compared.of(np.full(len(others), leader), others)
        crowd = Crowd(leader, others[accepted], others[~accepted], closed=True)
        settled(crowd, sides, searched, compared)
        made.append(crowd)

    return _found(made, searched, sides, compared, found.rows.schema, n_samples)


@dataclass(slots=True)
class _Forming:
    """Crowds while they are made."""

    searched: Codes
    sides: Sides
    rank: Samples  # of each sample: its place among those that may lead
    compared: Comparisons
    crowds: list[Crowd] = field(default_factory=list)
    taken: Mask = field(init=False)  # rows in crowds
    failures: NDArray[np.int64] = field(init=False)  # of each row

    def __post_init__(self) -> None:
        n_rows = len(self.searched.samples)
        self.taken, self.failures = np.zeros(n_rows, bool), np.zeros(n_rows, np.int64)

    def once(self, threads: int) -> bool:
        """Try the dense samples in no crowd as leaders, the best first; whether any crowd was
        made.
        """
        before = len(self.crowds)
        rows = np.flatnonzero(~self.taken)
        degree = neighbours_within(
            [one[rows] for one in self.searched.codes], self.searched.near, threads=threads
        )
        dense, self_and_near = rows[degree >= MIN_CROWD - 1], rows[degree != 0]
        self.compared.expected = len(self.compared.known) + 2 * len(dense)

        for row in dense[
            np.argsort(self.rank[self.searched.samples[dense]], kind="stable")
        ].tolist():
            if not self.taken[row] and self.failures[row] < _MAX_FAILURES:
                self._try(
                    row,
                    self_and_near[~self.taken[self_and_near]],
                    recentre=bool((degree == UNKNOWN).any()),
                )

        return len(self.crowds) > before

    def _try(self, row: int, among: NDArray[np.int64], *, recentre: bool) -> None:
        near = self._near(row, among)
        if recentre and len(near):
            best = int(near[np.argmin(self.rank[self.searched.samples[near]])])
            row = (
                best
                if self.rank[self.searched.samples[best]] < self.rank[self.searched.samples[row]]
                else row
            )
            near = self._near(row, among)

        if len(near) < MIN_CROWD - 1:
            return

        leader, others = int(self.searched.samples[row]), self.searched.samples[near]
        probes = others[np.arange(_PROBED) * len(near) // _PROBED]
        if 2 * self._accepted(leader, probes).sum() < _PROBED:
            self._failed(row, near)
            return

        accepted = self._accepted(leader, others)
        crowd = Crowd(leader, np.sort(others[accepted]), np.sort(others[~accepted]))
        if len(crowd.members) >= MIN_CROWD - 1:
            crowd.members = settled(crowd, self.sides, self.searched, self.compared)

        if len(crowd.members) < MIN_CROWD - 1:
            self._failed(row, near)
            return

        self.crowds.append(crowd)
        self.taken[np.searchsorted(self.searched.samples, [leader, *crowd.members.tolist()])] = True

    def _near(self, row: int, among: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows near one, the nearest first."""
        near, distance = rows_within(self.searched.codes, row, among, self.searched.near)
        others = near != row
        nearest: NDArray[np.int64] = near[others][np.argsort(distance[others], kind="stable")]
        return nearest

    def _accepted(self, leader: int, others: Samples) -> Mask:
        return self.compared.of(np.full(len(others), leader), others)

    def _failed(self, row: int, near: NDArray[np.int64]) -> None:
        """A row that fails never leads; what is near it may be near to a few more such rows."""
        self.failures[row] = _MAX_FAILURES
        self.failures[near] += 1


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


def _ranks(order: Samples, sides: Sides, n_samples: int) -> Samples:
    """The place of each sample among those that may lead: train first, then in the order."""
    rank = np.full(n_samples, n_samples, np.int64)
    rank[order[np.argsort(~sides.train[order], kind="stable")]] = np.arange(len(order))
    return rank


def _found(
    made: list[Crowd],
    searched: Codes,
    sides: Sides,
    compared: Comparisons,
    schema: pa.Schema,
    n_samples: int,
) -> Found:
    """The crowds, when what they rejected was compared with those of their samples that decide
    about it.
    """
    spared = nobody_spared(n_samples)
    for number, crowd in enumerate(made):
        spared.members[crowd.members] = True
        spared.crowd[crowd.members] = number

    leaders = np.array([crowd.leader for crowd in made], np.int64)
    for number, crowd in enumerate(made):
        rejected = np.setdiff1d(crowd.rejected, leaders)
        crowd.rejected = rejected[spared.crowd[rejected] == NO_CROWD]
        spared.crowd[crowd.rejected] = number
        spared.members[crowd.rejected] = crowd.closed
        everyone = np.array([crowd.leader, *crowd.members.tolist()], np.int64)
        held_out, train = everyone[sides.any_held_out(everyone)], everyone[sides.train[everyone]]
        nearest_accepted(crowd.rejected[sides.train[crowd.rejected]], held_out, searched, compared)
        nearest_accepted(
            crowd.rejected[sides.any_held_out(crowd.rejected)], train, searched, compared
        )

    rows = compared.rows(schema)
    known = keys_of(rows["a"].to_numpy(), rows["b"].to_numpy())

    return Found(made, rows, Spared(spared.members, spared.crowd, known))


def table(found: Found, manifest: pa.Table) -> pa.Table:
    """The table `crowds`: each crowd's leader, then the others by sample."""
    nobody = (*(np.empty(0, np.int64) for _ in range(3)), np.empty(0, np.int8))
    parts = [nobody, *(_rows(number, crowd) for number, crowd in enumerate(found.crowds))]
    number, sample, leader, role = (np.concatenate([part[k] for part in parts]) for k in range(4))
    ids, splits = manifest["id"], manifest["split"]
    columns = [
        number,
        sample,
        ids.take(pa.array(sample)),
        splits.take(pa.array(sample)),
        leader,
        ids.take(pa.array(leader)),
        pa.array(tables.ROLES, pa.string()).take(pa.array(role)),
        _similarity(sample, leader, found.rows),
    ]

    return pa.table(columns, schema=tables.CROWDS).combine_chunks()


def _rows(number: int, crowd: Crowd) -> tuple[NDArray[Any], ...]:
    others = np.concatenate([crowd.members, crowd.rejected])
    rejected = tables.ROLES.index("left_out" if crowd.closed else "rejected")
    roles = np.repeat(
        [tables.ROLES.index("member"), rejected], [len(crowd.members), len(crowd.rejected)]
    )
    in_order = np.argsort(others)
    sample = np.concatenate([[crowd.leader], others[in_order]])
    role = np.concatenate([[tables.ROLES.index("leader")], roles[in_order]])

    return (
        np.full(len(sample), number),
        sample,
        np.full(len(sample), crowd.leader),
        role.astype(np.int8),
    )


def _similarity(sample: Samples, leader: Samples, rows: pa.Table) -> pa.Array:
    """Of each sample with its leader; 1 for the leader itself."""
    keys = keys_of(rows["a"].to_numpy(), rows["b"].to_numpy())
    measured = np.ones(len(sample), np.float32)
    others = sample != leader
    wanted = keys_of(np.minimum(sample, leader)[others], np.maximum(sample, leader)[others])
    measured[others] = rows["similarity"].to_numpy()[np.searchsorted(keys, wanted)]

    return pa.array(measured, pa.float32(), mask=np.isnan(measured))
