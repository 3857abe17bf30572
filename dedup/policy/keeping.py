"""Which of several copies is kept, and what copies with different labels do to each other."""

from collections.abc import Callable, Iterable, Set
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config.names import DUPLICATES, refuse_taken
from dedup.graph import Graph, Witnesses, quality_order

Samples = NDArray[np.int64]

Worth = Callable[[pa.Table, pa.Table], NDArray[np.float64]]
"""(hashes, manifest), one row per sample each → how much each sample is worth, the largest kept
first. Of equal ones the better picture is kept; NaN is last.
"""

RULES: Final[dict[str, Worth]] = {}
"""Further rules of `policy.duplicates` by name, registered from outside the package."""


def register(name: str, worth: Worth) -> None:
    """Add a rule that says which of several copies is kept. Raises `ConfigError` for a name that is
    taken.
    """
    refuse_taken("The rule", name, DUPLICATES)
    RULES[name] = worth
    DUPLICATES.insert(-1, name)  # before report_only


def keep_order(
    class_of: Samples,
    hashes: pa.Table,
    manifest: pa.Table,
    rule: str,
    order: str,
    *,
    among: NDArray[np.bool_],
    preferred: Samples | None = None,
    n_better: Samples | None = None,
) -> Samples:
    """The samples `among` others, the one to be kept first in front: of the list, then by the rule,
    then by quality.

    `class_of`: of each sample the lowest one with the same pixels. `preferred`: samples in front of
    all others. `n_better`: how many matches of a representative are better pictures, where that is
    known.
    """
    n = len(class_of)
    if rule == "keep_first":
        ranked = np.flatnonzero(among)
    else:
        ranked = quality_order(hashes, class_of, among, n_better)
        if rule == "keep_by":
            values = _as_numbers(manifest["keep_by"])
            ranked = ranked[
                np.argsort((values if order == "ascending" else -values)[ranked], kind="stable")
            ]
        elif rule in RULES:
            worth = np.asarray(RULES[rule](hashes, manifest), np.float64)
            ranked = ranked[np.argsort(-worth[ranked], kind="stable")]

    if preferred is None or len(preferred) == 0:
        return ranked

    place = np.full(n, len(preferred), dtype=np.int64)
    place[preferred] = np.arange(len(preferred))

    return ranked[np.argsort(place[ranked], kind="stable")]


def _as_numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The places of the values in their order, which is alphabetical unless all are numbers; NaN,
    the last, for none.

    Numbers are compared digit by digit: as floats, neighbours above 2**53 are the same.
    """
    texts = column.to_pylist()
    given = {text for text in texts if text is not None}
    worth = (
        {text: value for text in given if not (value := Decimal(text)).is_nan()}
        if _are_numbers(given)
        else None
    )

    if worth is None:
        place = {text: i for i, text in enumerate(sorted(given))}
    else:
        values = {value: i for i, value in enumerate(sorted(set(worth.values())))}
        place = {text: values[value] for text, value in worth.items()}

    return np.array([place.get(text, np.nan) for text in texts], dtype=np.float64)


def _are_numbers(texts: Set[str]) -> bool:
    try:
        return all(float(text) is not None for text in texts)
    except ValueError:
        return False


def conflicting(graph: Graph, label: Samples, candidates: NDArray[np.bool_]) -> Witnesses:
    """For each sample with a label (>= 0) its best match among the candidates that have another
    label.

    Identical, then most similar, nearest, lowest; as `best_witnesses` chooses.
    """
    n = graph.n_samples
    lowest, other = _two_labels(graph, label, candidates)

    def differing(classes: Samples, own: Samples) -> Samples:
        first = lowest[classes]
        same = (first < n) & (label[np.minimum(first, n - 1)] == own)
        return np.where(same, other[classes], first)

    labelled = np.flatnonzero((label >= 0) & graph.matched())
    own = graph.class_of[labelled]
    sample, row = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    counts = graph.near_start[own + 1] - graph.near_start[own]
    source = np.repeat(labelled, counts)
    within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.repeat(graph.near_start[own], counts) + within
    target, rows = differing(graph.near_b[at], label[source]), graph.near_row[at]
    usable = target < n
    source, target, rows = source[usable], target[usable], rows[usable]
    ranked = np.lexsort(
        (target, graph.distance[rows], -np.nan_to_num(graph.similarity[rows]), source)
    )
    those, first = np.unique(source[ranked], return_index=True)
    sample[those], row[those] = target[ranked][first], rows[ranked][first]
    identical = differing(own, label[labelled])
    same = identical < n
    sample[labelled[same]], row[labelled[same]] = identical[same], -1

    return _measured(graph, sample, row)


def _two_labels(
    graph: Graph, label: Samples, candidates: NDArray[np.bool_]
) -> tuple[Samples, Samples]:
    """For each class its lowest labelled candidate, and the lowest with another label than that; n
    where none is.
    """
    n = graph.n_samples
    lowest, other = np.full(n, n, dtype=np.int64), np.full(n, n, dtype=np.int64)
    members = np.flatnonzero(candidates & (label >= 0))
    np.minimum.at(lowest, graph.class_of[members], members)
    rest = members[label[members] != label[lowest[graph.class_of[members]]]]
    np.minimum.at(other, graph.class_of[rest], rest)

    return lowest, other


def conflict_cover(
    graph: Graph, order: Iterable[int], eligible: NDArray[np.bool_], label: Samples
) -> Witnesses:
    """As `leader_cover`, but a leader leads only matches that have another label than its own.

    Linear: what a leader finds and leaves has its own label, so each class holds one label once it
    has been visited.
    """
    n = graph.n_samples
    leader, row = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    open_: dict[int, dict[int, list[int]]] = {}

    for member in np.flatnonzero(eligible & (label >= 0) & graph.matched()).tolist():
        open_.setdefault(int(graph.class_of[member]), {}).setdefault(int(label[member]), []).append(
            member
        )

    for sample in order:
        if leader[sample] >= 0 or not eligible[sample] or label[sample] < 0:
            continue
        own, mine = int(graph.class_of[sample]), int(label[sample])
        leader[sample] = sample
        edges = [
            (own, -1),
            *((int(graph.near_b[k]), int(graph.near_row[k])) for k in graph.near(own)),
        ]
        for near, pair_row in edges:
            of_class = open_.get(near, {})
            for name in [name for name in of_class if name != mine]:
                for member in of_class.pop(name):
                    if leader[member] < 0:
                        leader[member], row[member] = sample, pair_row

    return _measured(graph, leader, row)


def _measured(graph: Graph, sample: Samples, row: Samples) -> Witnesses:
    distance, similarity = np.zeros(len(sample), np.uint16), np.ones(len(sample), np.float32)
    near = row >= 0
    distance[near], similarity[near] = graph.distance[row[near]], graph.similarity[row[near]]
    return Witnesses(sample, distance, similarity, row)
