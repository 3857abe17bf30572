"""crowds: masses of pictures that are alike, each compared with one leader instead of with each
other.

k frames of a still camera are k²/2 pairs that say no more than k do. So where codes are dense, the
best picture leads: it is compared with everything near it, and what is accepted is its crowd.
Members are not compared with members, but for what decides about them: a train member is compared
with held-out members, nearest code first, until one is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.search.density import UNKNOWN, neighbours_within, rows_within
from dedup.search.sparing import NO_CROWD, Spared, keys_of, nobody_spared
from dedup.stages.settling import (
    Codes,
    Comparisons,
    Crowd,
    Mask,
    Samples,
    Sides,
    nearest_accepted,
    settled,
)

MIN_CROWD: Final = 32
"""Members of a crowd, its leader included. Fewer are at most 496 pairs, which are compared one by
one.
"""

NEAR_PER_64_BITS: Final = 4
"""How far, in every hash, members are from their leader at most; frames of a noisy camera differ in
1 to 4 bits.
"""

# neighbours that a leader is compared with first: most of a crowd must be accepted
_PROBED: Final = 8
# leaders without a crowd that a sample may be near to before it leads none itself
_MAX_FAILURES: Final = 3
_MAX_ROUNDS: Final = 8  # searches for leaders: samples that leave a crowd may make one of their own


@dataclass(frozen=True, slots=True)
class Found:
    """The crowds of a dataset."""

    crowds: list[Crowd]
    # of `candidates`: what was compared on the way, sorted by (a, b), each pair once
    rows: pa.Table
    spared: Spared  # of all samples


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
