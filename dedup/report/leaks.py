"""Leaks, the worst first."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables

KINDS: Final = {"bytes": "same file", "pixels": "same pixels", "near": "near"}
"""What the kinds of pairs are called where people read."""


def worst_first(leakage: pa.Table) -> NDArray[np.int64]:
    """Rows of `leakage`: under another label first, then the same file, the same pixels, the most similar.

    Leaks that are equally bad stay in the order of the table.
    """
    severity = pc.index_in(leakage["kind"], pa.array(tables.KINDS)).fill_null(len(tables.KINDS)).to_numpy()
    similarity = leakage["similarity"].fill_null(0.0).to_numpy()
    conflict = leakage["label_conflict"].to_numpy()
    order: NDArray[np.int64] = np.lexsort((leakage["distance"].to_numpy(), -similarity, severity, ~conflict))
    return order


def facts(row: Mapping[str, Any]) -> str:
    """Why a row of `leakage` is a leak, in a few words."""
    parts = [KINDS.get(row["kind"], row["kind"])]
    if row["transform"] != "identity":
        parts.append(row["transform"])
    if row["kind"] == "near":
        parts.append(f"distance {row['distance']}")
        parts += [] if row["similarity"] is None else [f"similarity {row['similarity']:.3f}"]
    return ", ".join([*parts, "different labels"] if row["label_conflict"] else parts)
