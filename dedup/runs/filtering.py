"""Datasets in memory without some of their rows, in the form in which they were given."""

from collections.abc import Mapping
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.errors import RunError

Mask = NDArray[np.bool_]


def filtered(dataset: Any, keep: Mask) -> Any:
    """The rows where `keep`, shape (rows,), is true; the splits of a dict follow each other in its
    order.
    """
    if isinstance(dataset, Mapping):
        return _of_splits(dataset, keep)
    if not hasattr(dataset, "__len__"):
        # a stream, whose length nobody knows
        return dataset.filter(lambda _, row: bool(keep[row]), with_indices=True)

    _check(len(dataset), len(keep))

    return _of_rows(dataset, keep)


def _of_splits(dataset: Mapping[str, Any], keep: Mask) -> Any:
    lengths = [len(part) for part in dataset.values()]
    _check(sum(lengths), len(keep))
    parts = np.split(keep, np.cumsum(lengths)[:-1])

    return type(dataset)(
        {
            name: _of_rows(part, which)
            for (name, part), which in zip(dataset.items(), parts, strict=True)
        }  # type: ignore[call-arg]
    )


def _of_rows(dataset: Any, keep: Mask) -> Any:
    if isinstance(dataset, pa.Table):
        return dataset.filter(pa.array(keep))
    if hasattr(dataset, "iloc"):  # pandas
        return dataset.iloc[np.flatnonzero(keep)]
    if hasattr(dataset, "select"):  # datasets.Dataset
        return dataset.select(np.flatnonzero(keep))
    if isinstance(dataset, list | tuple):
        return type(dataset)(compress(dataset, keep))
    return dataset[keep]  # NumPy


def _check(n_rows: int, n_kept: int) -> None:
    if n_rows != n_kept:
        message = (
            f"filter: the dataset has {n_rows:,} rows, and the run judged {n_kept:,}. Give what was"
            " audited."
        )
        raise RunError(message)
