"""Connected components of the pairs: what chaining would make of them. For the report only."""

from typing import Any

import numpy as np
import pyarrow as pa

from dedup.graph import components as connected

WARNING = (
    "A component holds pictures that are connected through others and need not resemble each other."
    " Nothing is dropped by component: whatever is dropped matches a kept picture directly."
)


def components(pairs: pa.Table, groups: pa.Table, n_samples: int) -> dict[str, Any]:
    """Their number, the images in them, and the largest one beside the largest group within it."""
    label = connected(n_samples, pairs["a"].to_numpy(), pairs["b"].to_numpy())
    sizes = np.bincount(label, minlength=n_samples)
    several = sizes > 1
    largest = int(np.argmax(sizes)) if several.any() else -1
    members, numbers = groups["sample"].to_numpy(), groups["group"].to_numpy()
    of_largest = numbers[label[members] == largest]

    return {
        "number": int(several.sum()),
        "images": int(sizes[several].sum()),
        "largest": int(sizes[largest]) if largest >= 0 else 0,
        "largest_group_in_it": (
            int(np.bincount(of_largest).max(initial=0)) if len(of_largest) else 0
        ),
        "warning": WARNING,
    }
