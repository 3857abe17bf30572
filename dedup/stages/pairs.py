"""pairs: the accepted candidates, and every member of a class of identical pictures with its representative."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved


def pairs(candidates: pa.Table, hashes: pa.Table, manifest: pa.Table, resolved: Resolved) -> pa.Table:
    """Pairs sorted by (a, b), each once.

    Identical pictures are paired by the digest of their pixels, never by equal codes: of kind `bytes` when the files
    are equal too, else `pixels`. Two unreadable samples are never a pair.
    """
    near = _accepted(candidates, resolved)
    members, first = _identical(hashes)
    n_near, n_same = len(near), len(members)
    a = np.concatenate([near["a"].to_numpy(), first])
    b = np.concatenate([near["b"].to_numpy(), members])
    same_file = pc.equal(hashes["file_digest"].take(pa.array(members)), hashes["file_digest"].take(pa.array(first)))
    same_kind = pc.if_else(same_file, "bytes", "pixels").combine_chunks().cast(pa.string())
    kinds = pa.chunked_array([pa.repeat("near", n_near), same_kind], pa.string())
    turns = np.concatenate([near["transform"].to_numpy(), np.zeros(n_same, np.uint8)])
    transforms = pa.array(tables.TRANSFORMS, pa.string()).take(pa.array(turns))
    distances = {
        tables.distance_column(name): np.concatenate(
            [near[tables.distance_column(name)].to_numpy(), np.zeros(n_same, np.uint16)]
        )
        for name in resolved.algorithms
    }
    similarity = np.concatenate([near["similarity"].to_numpy(), np.ones(n_same, np.float32)]).astype(np.float32)
    of_a, of_b = manifest.take(pa.array(a)), manifest.take(pa.array(b))
    conflict = pc.not_equal(of_a["label"], of_b["label"]).fill_null(False)  # noqa: FBT003
    columns = {
        "a": a,
        "b": b,
        "id_a": of_a["id"],
        "id_b": of_b["id"],
        "split_a": of_a["split"],
        "split_b": of_b["split"],
        "label_a": of_a["label"],
        "label_b": of_b["label"],
        "kind": kinds,
        "transform": transforms,
        **distances,
        "similarity": pa.array(similarity, mask=np.isnan(similarity)),
        "colour_differs": pa.nulls(len(a), pa.bool_()),
        "label_conflict": conflict,
    }
    table = pa.table(list(columns.values()), schema=tables.pairs_schema(resolved.algorithms))
    return table.take(pa.array(np.lexsort((b, a)))).combine_chunks()


def _accepted(candidates: pa.Table, resolved: Resolved) -> pa.Table:
    """Candidates within the distances and of at least the similarity asked for."""
    within = [
        pc.less_equal(candidates[tables.distance_column(name)], pa.scalar(distance, pa.uint16()))
        for name, distance in resolved.max_distance.items()
    ]
    keep = within[0]
    for other in within[1:]:
        keep = pc.or_(keep, other) if resolved.combine == "any" else pc.and_(keep, other)
    if resolved.min_similarity is not None:
        enough = pa.scalar(resolved.min_similarity, pa.float32())
        keep = pc.and_(keep, pc.greater_equal(candidates["similarity"], enough))
    return candidates.filter(keep)


def _identical(hashes: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Members of classes of identical pictures that are not their class's first, and those firsts."""
    first = graph.representatives(hashes["pixel_digest"])
    members = np.flatnonzero(first != np.arange(len(first))).astype(np.int64)
    return members, first[members]
