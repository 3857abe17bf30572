"""Connected components of the pairs: what chaining would make of them. For the report only."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WARNING = (
    "A component holds pictures that are connected through others and need not resemble each other. "
    "Nothing is dropped by component: whatever is dropped matches a kept picture directly."
)


def components(pairs: pa.Table, groups: pa.Table, n_samples: int) -> dict[str, Any]:
    """Their number, the images in them, and the largest one beside the largest group within it."""
    label = labels(n_samples, pairs["a"].to_numpy(), pairs["b"].to_numpy())
    sizes = np.bincount(label, minlength=n_samples)
    several = sizes > 1
    largest = int(np.argmax(sizes)) if several.any() else -1
    members, numbers = groups["sample"].to_numpy(), groups["group"].to_numpy()
    of_largest = numbers[label[members] == largest]
    return {
        "number": int(several.sum()),
        "images": int(sizes[several].sum()),
        "largest": int(sizes[largest]) if largest >= 0 else 0,
        "largest_group_in_it": int(np.bincount(of_largest).max(initial=0)) if len(of_largest) else 0,
        "warning": WARNING,
    }


def labels(n: int, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of n nodes the lowest node of its component, by hooking and pointer jumping.

    Shiloach and Vishkin 1982, "An O(log n) parallel connectivity algorithm".

    >>> labels(5, np.array([1, 3]), np.array([3, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    label = np.arange(n, dtype=np.int64)
    while True:
        before = label.copy()
        one, two = label[a], label[b]
        lowest = np.minimum(one, two)
        np.minimum.at(label, one, lowest)
        np.minimum.at(label, two, lowest)
        label = label[label]
        if np.array_equal(label, before):
            return label
