"""Which verified candidates are accepted as the same picture."""

import numpy as np
from numpy.typing import NDArray

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
