"""How doubtful a pair is, from the pair alone, and which pairs are accepted.

The rule and how its weights were chosen: docs/decisions/0014-acceptance-by-evidence.md. Whoever
changes a weight raises `config.resolved.ACCEPTANCE_RULE`: with the same version a run, `compare`
and a bank say the same of a pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import LIMITS, TOTAL, Resolved
from dedup.errors import RunError
from dedup.policy.doubts import DOUBT, MAX_SURE_OF_SIGNS
from dedup.tables import BOTH

MUST_AGREE: Final = "must_agree"
"""In `verify.colour`: pictures that were seen to differ in colour are no pair."""

_KEEPS_FINITE: Final = 0.02
"""Added to what is missing to 1, so that its logarithm is finite: JPEG noise alone leaves about as
much.
"""

# as of similarities; more would only show the rounding of different processors
_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class _Weights:
    """Of a logistic model; none of them lets more similarity or more structure make a pair more
    doubtful.
    """

    constant: float
    missing: float  # of the logarithm of what the deciding similarity lacks, 0 or more
    missing_of_thumbnails: float  # of the same of the thumbnails, where a closer look decides
    structure: tuple[float, ...]  # for each hundred cells within each of the ranges, 0 or less


_RANGES: Final = ((40.0, 120.0), (120.0, 170.0), (170.0, 200.0))
"""Of cells, in each of which structure has a weight of its own: beyond 40 and 200 nothing was
learned.
"""

_BY_THUMBNAILS: Final = _Weights(20.94, 4.58, 0.0, (-1.59, -2.64, -2.25))
_BY_CLOSER_LOOK: Final = _Weights(10.24, 2.68, 1.64, ())


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some pairs: four arrays of one length, as columns of `candidates`."""

    similarity: NDArray[np.float32]  # of thumbnails, in [0, 1]; NaN where nothing was verified
    # cells of 256, of the picture that has fewer; NaN where not measured
    structure: NDArray[np.float32]
    close: NDArray[np.float32]  # in [0, 1]; NaN where nobody looked closer
    views: NDArray[np.uint8]  # places in `tables.UNFRAMED`

    @classmethod
    def of(cls, candidates: Any) -> "Evidence":
        """From a table with the columns of `candidates`."""
        names = ("similarity", "structure", "close_similarity", "unframed")
        if missing := [name for name in names if name not in candidates.column_names]:
            message = (
                f"The table candidates has no column {missing[0]!r}: it was made by an older"
                " version, which accepted pairs by other evidence. Run it again."
            )
            raise RunError(message)

        return cls(*(candidates[name].to_numpy() for name in names))

    @classmethod
    def of_one(
        cls, similarity: float | None, structure: float | None, close: float | None, view: int
    ) -> "Evidence":
        """Of a single pair; None for what is not known."""
        known = [
            np.array([np.nan if v is None else v], np.float32)
            for v in (similarity, structure, close)
        ]
        return cls(known[0], known[1], known[2], np.array([view], np.uint8))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pair must keep to be accepted; all are inclusive and in [0, 1]."""

    max_false_probability: float
    min_similarity: float  # of thumbnails
    min_close_similarity: float  # where somebody looked closer
    min_thumbnail_similarity: (
        float  # of thumbnails, where nobody did or both were compared without a frame
    )

    @classmethod
    def of(cls, resolved: Mapping[str, Any]) -> "Limits | None":
        """From resolved settings by name; None where nothing is verified."""
        if resolved["min_similarity"] is None:
            return None
        no_doubt_counts = 1.0  # in a run of a version that knew plain limits only
        return cls(**{name: resolved.get(name, no_doubt_counts) for name in LIMITS})


def false_probability(evidence: Evidence) -> NDArray[np.float32]:
    """For each pair the probability, in [0, 1], that it is not the same picture; NaN where nothing
    was verified.

    More similarity and more structure never raise it. Structure that was not measured counts as the
    least.
    """
    by_thumbnails = _probability(
        _BY_THUMBNAILS, evidence.similarity, evidence.similarity, evidence.structure
    )
    closely = _probability(_BY_CLOSER_LOOK, evidence.close, evidence.similarity, evidence.structure)

    # Drawings without their margins are more alike, so both kinds of evidence must speak for such a
    # pair.
    of_looked = np.where(evidence.views == BOTH, np.maximum(closely, by_thumbnails), closely)
    found = np.where(np.isnan(evidence.close), by_thumbnails, of_looked)

    return np.round(found, _DECIMALS).astype(np.float32)


def accepted(evidence: Evidence, limits: Limits | None) -> NDArray[np.bool_]:
    """For each pair whether it keeps the limits; all do without limits."""
    if limits is None:
        return np.ones(len(evidence.similarity), bool)

    alone = np.float32(max(limits.min_similarity, limits.min_thumbnail_similarity))
    by_thumbnails = evidence.similarity >= alone
    of_both = evidence.similarity >= np.float32(limits.min_similarity)
    looked = of_both & (evidence.close >= np.float32(limits.min_close_similarity))
    similar = np.where(
        np.isnan(evidence.close), by_thumbnails, looked & (by_thumbnails | (evidence.views != BOTH))
    )

    plausible = false_probability(evidence) <= np.float32(limits.max_false_probability)

    return np.asarray(similar & plausible)


def _probability(
    weights: _Weights,
    deciding: NDArray[np.float32],
    thumbnails: NDArray[np.float32],
    structure: NDArray[np.float32],
) -> NDArray[np.float64]:
    cells = np.nan_to_num(structure.astype(np.float64), nan=0.0)
    logit = weights.constant + weights.missing * _missing(deciding)
    for weight, (fewest, most) in zip(weights.structure, _RANGES, strict=False):
        logit += weight * np.clip(cells, fewest, most) / 100

    if weights.missing_of_thumbnails:
        logit += weights.missing_of_thumbnails * _missing(thumbnails)

    return np.asarray(1 / (1 + np.exp(-logit)))


def _missing(similarity: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.log(_KEEPS_FINITE + 1 - similarity.astype(np.float64)))


def accepts(candidates: pa.Table, resolved: Resolved) -> NDArray[np.bool_]:
    """For each row of `candidates` whether it is within the distances and keeps the limits asked
    for.
    """
    distances = {
        name: candidates[tables.distance_column(name)].to_numpy()
        for name in resolved.hash.algorithms
    }
    near = within(distances, resolved.search.max_distance, resolved.search.combine)
    limits = Limits.of(resolved.settings())
    similar = accepted(Evidence.of(candidates), limits)

    if DOUBT in candidates.column_names and limits is not None:
        doubt = candidates[DOUBT].to_numpy()
        by_signs = _sure_by_signs(candidates["similarity"].to_numpy(), doubt, limits)
        similar = np.where(np.isnan(doubt), similar, by_signs)

    found = near & similar
    if resolved.acceptance.colour == MUST_AGREE:
        found &= ~colours_differ(candidates)

    return np.asarray(found)


def colours_differ(candidates: pa.Table) -> NDArray[np.bool_]:
    """For each row of `candidates` whether its pictures were seen to differ in colour."""
    seen = pc.fill_null(candidates["colour_differs"], False)
    return np.asarray(seen.to_numpy())


def within(
    distances: Mapping[str, NDArray[np.uint16]], max_distance: Mapping[str, int], combine: str
) -> NDArray[np.bool_]:
    """For each pair whether its distances, by algorithm, are within those of any (or of all),
    inclusive.

    `TOTAL` in `max_distance` is the sum over the algorithms.
    """
    known: dict[str, NDArray[Any]] = dict(distances)
    known[TOTAL] = np.sum([of.astype(np.int64) for of in distances.values()], axis=0)
    near = [known[name] <= bits for name, bits in max_distance.items()]

    return np.asarray(
        np.logical_or.reduce(near) if combine == "any" else np.logical_and.reduce(near)
    )


def _sure_by_signs(
    similarity: NDArray[np.float32], doubt: NDArray[np.float32], limits: Limits
) -> NDArray[np.bool_]:
    """Which candidates that only signs speak for are pairs: by plain limits of the user's own, else
    the sure ones.

    What they say with more doubt is never dropped and never fails a gate: it stays in `candidates`.
    """
    if limits.max_false_probability >= 1:
        return np.asarray(similarity >= np.float32(limits.min_similarity))
    return np.asarray(doubt <= np.float32(min(limits.max_false_probability, MAX_SURE_OF_SIGNS)))
