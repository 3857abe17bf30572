"""Regrouping: samples that belong together are moved into one split; splits stay about as large and
as mixed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup.errors import LimitError
from dedup.graph import Graph, components

Samples = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Movable:
    """The samples that may be moved, and what is known of all."""

    samples: NDArray[np.bool_]  # readable, of no reference set, not dropped
    split: Samples  # place in `names`; -1: none
    label: Samples  # number of the label; -1: none
    group: Samples  # number of the group; -1: none
    tied: NDArray[np.bool_]  # matches a reference set: must not come into train
    names: tuple[str, ...]  # of the splits
    held_out: NDArray[np.bool_]  # by split


def regrouped(graph: Graph, movable: Movable, max_moved: float | None) -> Samples:
    """The split of each sample afterwards, as a place in `movable.names`.

    Raises `LimitError` when a larger share of a split than `max_moved` would leave it, or
    everything.
    """
    after = movable.split.copy()
    for members, destination in _destinations(movable, _together(graph, movable)):
        after[members] = destination

    _refuse_far(movable, after, max_moved)

    return after


def _together(graph: Graph, movable: Movable) -> Samples:
    """The component of each sample over pairs, identical pictures and groups among the movable
    samples.
    """
    samples = np.flatnonzero(movable.samples)
    there = np.zeros(graph.n_samples, dtype=bool)
    there[graph.class_of[samples]] = True
    near = there[graph.near_a] & there[graph.near_b] & (graph.near_a < graph.near_b)
    grouped = samples[movable.group[samples] >= 0]
    _, first, inverse = np.unique(movable.group[grouped], return_index=True, return_inverse=True)
    copies = samples[graph.class_of[samples] != samples]
    a = np.concatenate([graph.near_a[near], copies, grouped])
    b = np.concatenate([graph.near_b[near], graph.class_of[copies], grouped[first][inverse]])

    return components(graph.n_samples, a, b)


def _destinations(movable: Movable, component: Samples) -> "list[tuple[Samples, int]]":
    """The members of each component that straddles splits and has a held-out one, with the split it
    goes to.

    Largest first, each goes where sizes and labels come nearest to what they were: the sum over
    splits and labels of squared differences, each relative to what was there.
    """
    samples = np.flatnonzero(movable.samples & (movable.split >= 0))
    order = samples[np.lexsort((samples, component[samples]))]
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    split = movable.split[order]
    if not len(order):
        return []

    apart = np.minimum.reduceat(split, starts) != np.maximum.reduceat(split, starts)
    concerned = np.flatnonzero(apart & np.logical_or.reduceat(movable.held_out[split], starts))
    stops = np.append(starts[1:], len(order))
    tied = np.logical_or.reduceat(movable.tied[order], starts)
    straddling = [
        (order[start:stop], bool(tied[k]))
        for k, start, stop in zip(
            concerned.tolist(), starts[concerned].tolist(), stops[concerned].tolist(), strict=True
        )
    ]
    balance = _Balance.of(movable, samples, [members for members, _ in straddling])
    held_out = set(np.flatnonzero(movable.held_out).tolist())

    return [
        (members, balance.placed(movable, members, held_out if to_held_out else None))
        for members, to_held_out in sorted(
            straddling, key=lambda one: (-len(one[0]), int(one[0][0]))
        )
    ]


Counts = list[list[float]]
"""By split and label; the last label stands for none."""


@dataclass(frozen=True, slots=True)
class _Balance:
    """How many samples each split has, wanted and placed so far.

    Most components have two or three samples: lists are several times as quick as arrays here.
    """

    wanted: Counts
    placed_: Counts
    size: list[float]  # the sums of `placed_` by split
    target: list[float]  # those of `wanted`

    @classmethod
    def of(cls, movable: Movable, samples: Samples, open_: Sequence[Samples]) -> "_Balance":
        n_labels = int(movable.label.max(initial=-1)) + 2

        def counted(which: Samples) -> NDArray[np.float64]:
            cells = movable.split[which] * n_labels + movable.label[which] % n_labels
            return (
                np.bincount(cells, minlength=len(movable.names) * n_labels)
                .reshape(-1, n_labels)
                .astype(np.float64)
            )

        wanted = counted(samples)
        placed = wanted - (counted(np.concatenate(open_)) if open_ else 0)

        return cls(
            wanted.tolist(),
            placed.tolist(),
            placed.sum(axis=1).tolist(),
            wanted.sum(axis=1).tolist(),
        )

    def placed(self, movable: Movable, members: Samples, allowed: set[int] | None) -> int:
        """Which of their splits, of the allowed ones, these cost least in; note that they are
        there.
        """
        came_from = Counter(movable.split[members].tolist())
        labels = Counter(movable.label[members].tolist())
        where = came_from.keys() if allowed is None else came_from.keys() & allowed
        best: int = min(
            where, key=lambda s: (round(self._cost(s, labels, len(members)), 9), -came_from[s], s)
        )
        for label, n in labels.items():
            self.placed_[best][label] += n

        self.size[best] += len(members)

        return best

    def _cost(self, split: int, labels: Mapping[int, int], n_members: int) -> float:
        """What the squared differences grow by, in size and in labels."""
        there, targets = self.placed_[split], self.wanted[split]
        cost = _growth(self.size[split], n_members, self.target[split])

        return cost + sum(
            _growth(there[label], n, targets[label]) for label, n in sorted(labels.items())
        )


def _growth(there: float, more: int, target: float) -> float:
    return ((there + more - target) ** 2 - (there - target) ** 2) / max(target, 1)


def _refuse_far(movable: Movable, after: Samples, max_moved: float | None) -> None:
    """Raise for moves beyond the limit, and for a split that nothing would be left in."""
    samples = movable.samples & (movable.split >= 0)
    moved = samples & (after != movable.split)
    problems = []

    for number, name in enumerate(movable.names):
        n = int((samples & (movable.split == number)).sum())
        gone = int((moved & (movable.split == number)).sum())
        left = int((samples & (after == number)).sum())
        if n and not left:
            problems.append(f"nothing would be left of the split {name!r}")
        elif max_moved is not None and gone > max_moved * n:
            problems.append(
                f"{gone:,} of the {n:,} samples of {name!r} ({100 * gone / n:.1f} %) would be moved"
            )

    if problems:
        limit = "Choose"
        if max_moved is not None and not all(problem.startswith("nothing") for problem in problems):
            limit = (
                f"policy.max_moved allows {100 * max_moved:.1f} % of a split. Raise it, or choose"
            )
        message = (
            f"policy.leakage=regroup: {'; '.join(problems)}. {limit} another policy.leakage, which"
            " drops samples and moves none."
        )
        raise LimitError(message)
