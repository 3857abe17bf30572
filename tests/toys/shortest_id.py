"""A policy: of several copies the one with the shortest id is kept."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.policy.keeping import register


def worth(hashes: pa.Table, manifest: pa.Table) -> NDArray[np.float64]:
    """How much each sample is worth: the largest is kept first."""
    return np.asarray(-pc.utf8_length(manifest["id"]).to_numpy().astype(np.float64))


register("keep_shortest_id", worth)
