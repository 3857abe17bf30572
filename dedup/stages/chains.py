"""chains: train samples that lead to a held-out one through others, though they do not match it themselves."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup import tables
from dedup.chaining import chains_to, paths
from dedup.graph import Graph


def chains(graph: Graph, manifest: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    """One row for each train sample with a way to a held-out one of two pairs or more, and none of one. By sample."""
    is_held_out = pc.is_in(manifest["split"], pa.array(held_out, pa.string())).to_numpy()
    found = chains_to(graph, is_held_out)
    hops = found.hops[graph.class_of]
    samples = np.flatnonzero((hops > 1) & ~is_held_out).astype(np.int64)
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
        pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), names).cast(tables.CHAINS.field("path").type),
    ]
    return pa.table(columns, schema=tables.CHAINS).combine_chunks()
