"""Medians of some of the values of each row."""

import numpy as np
from numpy.typing import NDArray


def middle(values: NDArray[np.float32], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The median of some values, `which`, of each row; 0 in a row of which none counts."""
    ordered = np.sort(np.where(which, values, np.float32(np.inf)), axis=1)
    n, every = which.sum(axis=1), np.arange(len(values))
    lower = ordered[every, np.maximum((n - 1) // 2, 0)]
    upper = ordered[every, np.minimum(n // 2, values.shape[1] - 1)]

    return np.where(n > 0, (lower + upper) / np.float32(2), 0.0)
