"""Which pairs of a run are accepted, and what its review has to say of them."""

from typing import Any

import pyarrow as pa

from dedup.policy.crops import with_crops
from dedup.policy.judgements import NOT_JUDGED, Judged
from dedup.policy.precision import best_estimate
from dedup.policy.record import counted
from dedup.runs.result import Run
from dedup.stages.pairs import pairs


def accepted_pairs(result: Run, judged: Judged) -> pa.Table:
    """The pairs as the limits and these judgements accept them."""
    resolved, hashed, listed = result.resolved, result.store["hashes"], result.manifest
    found = pairs(result.candidate_parts(), hashed, listed, resolved, judged)
    if resolved.parts.parts == "on":
        placed = result.store["placements"]
        found = with_crops(found, placed, hashed, listed, resolved, judged)

    return found


def judgements_told(result: Run) -> dict[str, Any]:
    """What the summary has of the review: its judgements, and the precision that a sample shows."""
    record = result.judged.record
    if not record:
        return {"judgements": None, "precision": None}

    pixels = result.store["hashes"]["pixel_digest"]
    found = None
    if any(row.sample for row in record):
        # The rule is what is estimated: without what people changed.
        found = best_estimate(record, accepted_pairs(result, NOT_JUDGED), pixels)

    return {
        "judgements": counted(record, pixels) | {"over_lists": result.judged.n_over_lists},
        "precision": None if found is None else found.summary(),
    }
