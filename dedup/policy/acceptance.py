"""Which verified candidates are accepted as the same picture."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.tables import BOTH


def accepted(
    similarity: NDArray[np.float32],
    close: NDArray[np.float32],
    views: NDArray[np.uint8],
    min_similarity: float | None,
    min_close_similarity: float | None,
    min_thumbnail_similarity: float | None,
) -> NDArray[np.bool_]:
    """For each pair whether its similarities, in [0, 1], reach these limits, inclusive; all do without limits.

    `close` is NaN where nobody looked closer: there the thumbnails alone must say more. So they must where both are
    seen without their frames (`views`, places in `tables.UNFRAMED`): drawings without their margins are more alike.
    """
    if min_similarity is None or min_close_similarity is None or min_thumbnail_similarity is None:
        return np.ones(len(similarity), bool)
    of_both, of_close = np.float32(min_similarity), np.float32(min_close_similarity)
    alone = np.float32(max(min_similarity, min_thumbnail_similarity))
    looked = (similarity >= of_both) & (close >= of_close)
    by_thumbnails = similarity >= alone
    return np.where(np.isnan(close), by_thumbnails, looked & (by_thumbnails | (views != BOTH)))


def accepts(candidates: pa.Table, resolved: Resolved) -> NDArray[np.bool_]:
    """For each row of `candidates` whether it is within the distances and of at least the similarities asked for."""
    within = [
        pc.less_equal(candidates[tables.distance_column(name)], pa.scalar(distance, pa.uint16()))
        for name, distance in resolved.search.max_distance.items()
    ]
    keep = within[0]
    for other in within[1:]:
        keep = pc.or_(keep, other) if resolved.search.combine == "any" else pc.and_(keep, other)
    similar = accepted(
        candidates["similarity"].to_numpy(),
        candidates["close_similarity"].to_numpy(),
        candidates["unframed"].to_numpy(),
        resolved.acceptance.min_similarity,
        resolved.acceptance.min_close_similarity,
        resolved.acceptance.min_thumbnail_similarity,
    )
    return np.asarray(keep.to_numpy() & similar)
