"""groups: a keeper and the samples directly matched to it. No chains."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup import tables
from dedup.graph import Graph, quality_order
from dedup.policy.covering import leader_cover
from dedup.policy.leading import first_held_out, in_front, leaders


def groups(
    graph: Graph,
    hashes: pa.Table,
    manifest: pa.Table,
    held_out: tuple[str, ...],
    crowds: pa.Table | None = None,
) -> pa.Table:
    """Groups of two samples or more, numbered from 0 by their keeper's sample; the keeper is each
    group's first row.

    Held-out samples come first as keepers, because they are what stays; then those that stand for a
    crowd, then the better picture.
    """
    is_held_out = pc.is_in(manifest["split"], pa.array(held_out, pa.string())).to_numpy()
    matched = graph.matched()
    by_quality = quality_order(hashes, graph.class_of, matched, graph.n_better)
    if crowds is not None and len(crowds):
        by_quality = in_front(
            by_quality, np.union1d(leaders(crowds), first_held_out(crowds, held_out))
        )
    order = by_quality[np.argsort(~is_held_out[by_quality], kind="stable")]
    cover = leader_cover(graph, order, matched)
    size = np.bincount(cover.sample[cover.sample >= 0], minlength=graph.n_samples)
    samples = np.flatnonzero((cover.sample >= 0) & (size[np.maximum(cover.sample, 0)] > 1))
    keeper = cover.sample[samples]
    rows = np.lexsort((samples, samples != keeper, keeper))
    samples, keeper = samples[rows], keeper[rows]
    numbers = np.unique(keeper, return_inverse=True)[1].astype(np.int64)
    of = manifest.select(["id", "split"]).take(pa.array(samples))
    leads = samples == keeper
    columns = [
        numbers,
        samples.astype(np.int64),
        of["id"],
        of["split"],
        leads,
        pa.array(cover.distance[samples], mask=leads),
        pa.array(cover.similarity[samples], mask=leads | np.isnan(cover.similarity[samples])),
    ]
    return pa.table(columns, schema=tables.GROUPS).combine_chunks()
