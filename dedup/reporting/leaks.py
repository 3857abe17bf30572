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


def by_doubt(pairs: pa.Table) -> NDArray[np.int64]:
    """Rows of `pairs`, the most doubtful first, then the least similar."""
    doubt = _doubts(pairs)
    similarity = pairs["similarity"].fill_null(1.0).to_numpy()
    order: NDArray[np.int64] = np.lexsort((similarity, -doubt))
    return order


def doubtful(leakage: pa.Table, pairs: pa.Table, n: int) -> list[dict[str, Any]]:
    """The `n` leaks that are most in doubt, by `false_probability` of the pair of the same two
    samples; then the least similar, then the worst.
    """
    keys = pc.binary_join_element_wise(pairs["id_a"], pairs["id_b"], "\0")
    turned = pc.binary_join_element_wise(pairs["id_b"], pairs["id_a"], "\0")
    asked = pc.binary_join_element_wise(leakage["id"], leakage["witness_id"], "\0")
    known = pa.chunked_array([*keys.chunks, *turned.chunks], pa.string())
    places = pc.index_in(asked, known.combine_chunks()).combine_chunks()
    doubts = np.concatenate([_doubts(pairs)] * 2) if len(pairs) else np.zeros(1)
    found = np.where(
        places.is_null().to_numpy(zero_copy_only=False),
        0.0,
        doubts[places.fill_null(0).to_numpy()],
    )
    rank = np.empty(len(leakage), np.int64)
    rank[worst_first(leakage)] = np.arange(len(leakage))
    similarity = leakage["similarity"].fill_null(1.0).to_numpy()
    order = np.lexsort((rank, similarity, -found))[:n]
    rows: list[dict[str, Any]] = leakage.take(pa.array(order)).to_pylist()

    return rows


def _doubts(pairs: pa.Table) -> NDArray[np.float64]:
    """Of each pair; 0 where nothing was verified, or by an older version."""
    if "false_probability" not in pairs.column_names:
        return np.zeros(len(pairs))
    return np.asarray(pairs["false_probability"].fill_null(0.0).to_numpy(), np.float64)
