"""leakage: pairs between train and a held-out split, the train side first."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph as graph_of
from dedup import tables
from dedup.graph import Graph

Samples = NDArray[np.int64]

_BY_GROUP: Final = -2  # in place of a row of pairs


def leakage(
    graph: Graph, pairs: pa.Table, hashes: pa.Table, manifest: pa.Table, held_out: tuple[str, ...]
) -> pa.Table:
    """One row for each train sample and each class of pictures that holds held-out samples it
    matches.

    The witness is the class's lowest held-out sample. Besides, of kind `group`, one row for each
    readable train sample whose group has readable held-out samples, the lowest of them its witness.
    Sorted by (train sample, witness), what looks alike first.
    """
    n = graph.n_samples
    is_held_out = pc.is_in(manifest["split"], pa.array(held_out, pa.string())).to_numpy()
    lowest = np.full(n, n, dtype=np.int64)
    members = np.flatnonzero(is_held_out)
    np.minimum.at(lowest, graph.class_of[members], members)

    train = np.flatnonzero(~is_held_out) if held_out else np.empty(0, np.int64)
    same = train[lowest[graph.class_of[train]] < n]
    near_sample, near_row, near_witness = _near(graph, train, lowest)
    readable = pc.equal(hashes["status"], "ok").to_numpy()
    by_group = graph_of.group_witnesses(graph_of.numbers(manifest["group"]), readable & is_held_out)
    grouped = train[readable[train] & (by_group[train] >= 0)]
    sample = np.concatenate([same, near_sample, grouped])
    witness = np.concatenate([lowest[graph.class_of[same]], near_witness, by_group[grouped]])
    row = np.concatenate(
        [np.full(len(same), -1, np.int64), near_row, np.full(len(grouped), _BY_GROUP, np.int64)]
    )
    order = np.lexsort((witness, row == _BY_GROUP, sample))

    return _told(graph, pairs, hashes, manifest, (sample[order], witness[order], row[order]))


def _told(
    graph: Graph,
    pairs: pa.Table,
    hashes: pa.Table,
    manifest: pa.Table,
    found: tuple[Samples, Samples, Samples],
) -> pa.Table:
    """The table, of (train sample, witness, row of pairs) of each leak.

    The row is -1 where the two are identical pictures, and `_BY_GROUP` where they share a group.
    """
    sample, witness, row = found
    near, alike = row >= 0, row != _BY_GROUP
    row_of_pair = pa.array(np.maximum(row, 0), mask=~near)

    digests = hashes["file_digest"]
    same_file = pc.equal(digests.take(pa.array(sample)), digests.take(pa.array(witness)))
    of_identical = pc.if_else(same_file, "bytes", "pixels")
    kind = pc.if_else(pa.array(near), pairs["kind"].take(row_of_pair), of_identical)
    kind = pc.if_else(pa.array(alike), kind, "group")

    distance = _of_pairs(graph.distance, row, 0)
    similarity = _of_pairs(graph.similarity, row, 1.0)
    named = manifest.select(["id", "split", "label"])
    of, by = named.take(pa.array(sample)), named.take(pa.array(witness))
    other_label = pc.not_equal(of["label"], by["label"]).fill_null(False)

    columns = [
        *(of["id"], of["split"], of["label"]),
        *(by["id"], by["split"], by["label"]),
        kind,
        pairs["transform"].take(row_of_pair).fill_null("identity"),
        pa.array(distance.astype(np.uint16), mask=~alike),
        pa.array(similarity.astype(np.float32), mask=np.isnan(similarity) | ~alike),
        pc.and_(other_label, pa.array(alike)),
    ]

    return pa.table(columns, schema=tables.LEAKAGE).combine_chunks()


def _of_pairs(values: NDArray[Any], row: Samples, of_identical: float) -> NDArray[Any]:
    """The values of rows of pairs; of leaks that are none, what identical pictures have."""
    if not len(values):
        return np.full(len(row), of_identical)

    return np.where(row >= 0, values[np.maximum(row, 0)], of_identical)


def _near(graph: Graph, train: Samples, lowest: Samples) -> tuple[Samples, Samples, Samples]:
    """(train sample, row of pairs, witness) for every near match with a class that holds held-out
    samples.
    """
    own = graph.class_of[train]
    counts = graph.near_start[own + 1] - graph.near_start[own]
    sample = np.repeat(train, counts)
    within = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = np.repeat(graph.near_start[own], counts) + within
    witness = lowest[graph.near_b[at]] if len(at) else np.empty(0, np.int64)
    leaks = witness < graph.n_samples

    return sample[leaks], graph.near_row[at][leaks], witness[leaks]
