"""How sure a match is: the probability that it is another picture, by what verified it.

Each kind of evidence has its own table. They are shipped with the package, and made by
`benchmarks/bank.py --what signs` from photos, small pictures and hard negatives.
"""

from typing import Final

import numpy as np

MAX_FALSE_PROBABILITY: Final = 0.01
"""A match up to it is taken for the same picture: what a run accepts by default."""

REVIEW_FALSE_PROBABILITY: Final = 0.5
"""A match up to it is worth a person's look: as likely the same picture as not."""

MAX_SURE_OF_SIGNS: Final = 0.01
"""What signs alone say above it is never decided without a person, and never fails a gate."""

_TABLES: Final = {
    # similarity → false probability, linear between the rows in the logarithm of the odds
    ("signs", False): ((0.60, 0.999), (0.80, 0.5), (0.87, 0.01), (1.0, 0.0001)),
    ("signs", True): ((0.50, 0.999), (0.65, 0.5), (0.72, 0.01), (1.0, 0.0001)),
    ("thumbnails", False): ((0.70, 0.999), (0.80, 0.5), (0.87, 0.01), (1.0, 0.0001)),
    ("thumbnails", True): ((0.70, 0.999), (0.80, 0.5), (0.87, 0.01), (1.0, 0.0001)),
    ("shared_signs", False): ((0.70, 0.999), (0.85, 0.5), (0.93, 0.01), (1.0, 0.001)),
    ("shared_signs", True): ((0.70, 0.999), (0.85, 0.5), (0.93, 0.01), (1.0, 0.001)),
}


def false_probability(similarity: float, verified: str, *, small: bool) -> float:
    """The probability, in [0, 1], that a match of this similarity is not the same picture.

    `verified`: by what. `small`: one of the two is below `SMALL_SIDE` pixels.
    """
    if verified in {"bytes", "pixels"}:
        return 0.0
    table = np.array(_TABLES[verified, small])
    odds = np.log(table[:, 1] / (1.0 - table[:, 1]))
    at = float(np.interp(similarity, table[:, 0], odds))
    return float(round(1.0 / (1.0 + np.exp(-at)), 6))


def thresholds() -> dict[str, dict[str, float]]:
    """What similarities mean: the false probability at some of them, by what verified and by size."""
    return {
        f"{verified}, {'small' if small else 'photos'}": {
            f"{similarity:.2f}": false_probability(similarity, verified, small=small)
            for similarity in (0.7, 0.75, 0.8, 0.87, 0.9, 0.95)
        }
        for verified, small in _TABLES
    }
