"""chains: samples that lead to the other side of the splits through others, though they match none
there themselves.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.graph import Graph
from dedup.policy.chains import chains_to, paths


def chains(graph: Graph, manifest: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    """One row for each train sample with a way to a held-out one of two pairs or more, and none of
    one. By sample.

    Likewise for each held-out sample and the train samples: `split` tells them apart. All that is
    on a path but its end is on the same side, or the path would be a shorter one.
    """
    is_held_out = pc.is_in(manifest["split"], pa.array(held_out, pa.string())).to_numpy()
    if not held_out:
        return tables.CHAINS.empty_table()

    parts = [_leading(graph, manifest, is_held_out), _leading(graph, manifest, ~is_held_out)]
    samples = np.concatenate([samples for samples, _ in parts])

    return (
        pa.concat_tables(rows for _, rows in parts)
        .take(pa.array(np.argsort(samples)))
        .combine_chunks()
    )


def _leading(
    graph: Graph, manifest: pa.Table, goals: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], pa.Table]:
    """The samples that lead to a goal, none themselves, and their rows."""
    found = chains_to(graph, goals)
    hops = found.hops[graph.class_of]
    samples = np.flatnonzero((hops > 1) & ~goals).astype(np.int64)
    starts, on_paths = paths(found, graph, samples)
    own, ends = graph.class_of[samples], found.end[graph.class_of[samples]]
    named = manifest.select(["id", "split"])
    of, by = named.take(pa.array(samples)), named.take(pa.array(ends))
    names = manifest["id"].take(pa.array(on_paths)).combine_chunks()
    similarity = found.similarity[own]
    columns = [
        of["id"],
        of["split"],
        by["id"],
        by["split"],
        hops[samples].astype(np.int32),
        pa.array(similarity, mask=np.isnan(similarity)),
        pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), names).cast(
            tables.CHAINS.field("path").type
        ),
    ]

    return samples, pa.table(columns, schema=tables.CHAINS)
