"""Candidates by distance and by similarity, as the bars of the report's histograms."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables

_MAX_BARS: Final = 40
_SIMILARITY_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of a histogram: how many candidates were accepted and rejected there."""

    label: str
    accepted: int
    rejected: int
    accepted_height: float  # of 100, logarithmic
    rejected_height: float
    is_limit: bool = False  # the last one within the limit of the run


def bars_of_run(
    stored: Mapping[str, pa.Table], candidates: Iterator[pa.Table], resolved: Mapping[str, Any]
) -> dict[str, list[Bar]]:
    """Candidates by distance in each algorithm, and by similarity; accepted and rejected side by
    side.
    """
    near = stored["pairs"].filter(pc.equal(stored["pairs"]["kind"], "near"))
    names = tables.algorithms_of(near)
    by_bits = {name: np.zeros(0, np.int64) for name in names}
    edges = np.append(np.linspace(0, 1, _SIMILARITY_STEPS + 1)[:-1], 1 + 1e-6)
    by_similarity = np.zeros(_SIMILARITY_STEPS, np.int64)

    for part in candidates:
        for name in names:
            by_bits[name] = _sum(
                by_bits[name], np.bincount(part[tables.distance_column(name)].to_numpy())
            )
        by_similarity += np.histogram(part["similarity"].drop_null().to_numpy(), edges)[0]

    found = {}
    for name, everything in by_bits.items():
        step = max(1, math.ceil(len(everything) / _MAX_BARS))
        accepted = np.bincount(
            near[tables.distance_column(name)].to_numpy(), minlength=max(1, len(everything))
        )
        starts = range(0, max(1, len(everything)), step)
        found[f"{name}, bits"] = _bars(
            [int(everything[k : k + step].sum()) for k in starts],
            [int(accepted[k : min(k + step, len(everything))].sum()) for k in starts],
            [f"{k}" for k in starts],
            _place_of_limit(resolved["max_distance"].get(name), step),
        )

    if by_similarity.any():
        accepted = np.histogram(near["similarity"].to_numpy(), edges)[0]
        found["similarity"] = _bars(
            by_similarity.tolist(), accepted.tolist(), [f"{edge:.2f}" for edge in edges[:-1]]
        )

    return found


def _sum(one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of counts, of which one may go further."""
    out = np.zeros(max(len(one), len(two)), np.int64)
    out[: len(one)] += one
    out[: len(two)] += two
    return out


def _place_of_limit(distance: int | None, step: int) -> int | None:
    return None if distance is None else distance // step


def _bars(
    everything: Sequence[int],
    accepted: Sequence[int],
    labels: Sequence[str],
    limit: int | None = None,
) -> list[Bar]:
    top = math.log10(1 + max(*everything, 1))
    return [
        Bar(
            label,
            n,
            of_all - n,
            100 * math.log10(1 + n) / top,
            100 * math.log10(1 + of_all - n) / top,
            place == limit,
        )
        for place, (label, of_all, n) in enumerate(zip(labels, everything, accepted, strict=True))
    ]
