"""Leaks, the worst first."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.reporting.words import KINDS


def worst_first(leakage: pa.Table) -> NDArray[np.int64]:
    """Rows of `leakage`: under another label first, then the same file, the same pixels, the most
    similar.

    Leaks that are equally bad stay in the order of the table.
    """
    severity = pc.index_in(leakage["kind"], pa.array(KINDS)).to_numpy()
    similarity = leakage["similarity"].fill_null(0.0).to_numpy()
    conflict = leakage["label_conflict"].to_numpy()
    distance = leakage["distance"].fill_null(0).to_numpy()
    order: NDArray[np.int64] = np.lexsort((distance, -similarity, severity, ~conflict))
    return order


def worst(leakage: pa.Table, n: int) -> list[dict[str, Any]]:
    """The `n` worst rows."""
    rows: list[dict[str, Any]] = leakage.take(pa.array(worst_first(leakage)[:n])).to_pylist()
    return rows
