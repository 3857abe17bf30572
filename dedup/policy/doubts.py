"""How sure a match is: the probability that it is another picture, by what verified it.

Each kind of evidence has a rule of its own, a logistic model of what the similarity lacks to 1.
They are shipped with the package, and were chosen by `benchmarks/bank.py signs` on one half of its
pairs and scored on the other: docs/banks.md has the figures.
"""

import math
from dataclasses import dataclass
from typing import Final

from dedup.config import AUTO_MAX_FALSE_PROBABILITY

RULE: Final = 1
"""Version of the rules: with the same one two banks say the same of a pair."""

MAX_FALSE_PROBABILITY: Final = AUTO_MAX_FALSE_PROBABILITY
"""A match up to it is taken for the same picture: what a run accepts by default."""

REVIEW_FALSE_PROBABILITY: Final = 0.5
"""A match up to it is worth a person's look: as likely the same picture as not."""

DOUBT: Final = "signs_false_probability"
"""Column of `candidates` beside those that are always there: of pairs that only signs speak for."""

MAX_SURE_OF_SIGNS: Final = 0.01
"""What signs alone say above it is never decided without a person, and never fails a gate."""

_KEEPS_FINITE: Final = 0.02
"""Added to what is missing to 1, so that its logarithm is finite: JPEG noise alone leaves about as
much.
"""

_EVIDENCE: Final = (40.0, 400.0)
"""Differences in which evidence counts: beyond them nothing was learned."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Of a logistic model; more similarity or more evidence never makes a match more doubtful."""

    constant: float
    missing: float  # of the logarithm of what the similarity lacks, 0 or more
    evidence: float = 0.0  # of the logarithm of the differences that count, in hundreds, 0 or less


_RULES: Final = {
    ("signs", False): _Rule(20.4, 8.2, -3.9),
    ("signs", True): _Rule(10.2, 5.4),
    ("shared_signs", False): _Rule(7.6, 7.0),
    ("shared_signs", True): _Rule(9.4, 15.0),
}
"""By what verified, and whether one of the two pictures is small. `shared_signs`: neither side is
there in full. Thumbnails and the second look have the rule of `policy.acceptance`, the same as in a
run."""


def false_probability(
    similarity: float, verified: str, *, small: bool, evidence: float | None = None
) -> float:
    """The probability, in [0, 1], that a match of this similarity is not the same picture.

    `verified`: by what. `small`: one of the two is below `SMALL_SIDE` pixels. `evidence`:
    differences of the asked picture that count (`signs.evidence`); None counts as the fewest.
    """
    if verified in {"bytes", "pixels"}:
        return 0.0

    rule = _RULES[verified, small]
    # Python's own numbers: a check asks this of a hundred candidates, one by one.
    logit = rule.constant + rule.missing * math.log(_KEEPS_FINITE + 1.0 - similarity)
    if rule.evidence:
        fewest, most = _EVIDENCE
        counted = fewest if evidence is None else min(max(evidence, fewest), most)
        logit += rule.evidence * math.log(counted / 100.0)

    return round(1.0 / (1.0 + math.exp(-logit)), 6)


def thresholds() -> dict[str, dict[str, float]]:
    """What similarities mean: the false probability at some of them, by what verified and by
    size.
    """
    return {
        f"{verified}, {'small' if small else 'photos'}": {
            f"{similarity:.2f}": false_probability(
                similarity, verified, small=small, evidence=300.0
            )
            for similarity in (0.7, 0.75, 0.8, 0.87, 0.9, 0.95)
        }
        for verified, small in _RULES
    }
