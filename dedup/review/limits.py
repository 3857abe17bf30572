"""What another limit would accept: pairs, images and leaks at each setting, from the stored
candidates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import acceptance_limits, build
from dedup.errors import RunError
from dedup.policy.acceptance import (
    MUST_AGREE,
    Evidence,
    Limits,
    accepted,
    colours_differ,
    false_probability,
    within,
)
from dedup.policy.record import DIFFERENT, SAME, Pictures
from dedup.review.opened import OpenedRun, Samples, pair_keys
from dedup.tables import storage

SETTINGS: Final = (
    *(0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1),
    *(0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999),
)
"""Limits of the false probability that the slider has, besides the one of the run."""

_ALMOST_ONE: Final = 0.99995
"""All that is verified: from 1 on, what signs alone say counts by other rules."""

_EXAMPLES: Final = 12
BY_DOUBT, BY_DISTANCE = "verify.max_false_probability", "search.max_distance"


@dataclass(frozen=True, slots=True)
class Scored:
    """Verified candidates, each pair once, that keep every limit but the one of the slider."""

    a: Samples
    b: Samples
    score: NDArray[np.float32]  # what the limit is about, the most certain lowest


class LimitCurve:
    """Counts at every limit, worked out once."""

    def __init__(self, run: OpenedRun, judged: dict[Pictures, str]) -> None:
        self._run = run
        self._judged = judged
        self.by_distance = run.resolved["min_similarity"] is None
        self.setting = BY_DISTANCE if self.by_distance else BY_DOUBT
        self._config = build(
            {key: dict(section) for key, section in run.info["config"].items()},
            where=str(run.folder / "run.json"),
        )

    @property
    def current(self) -> float:
        """The limit of the run."""
        if self.by_distance:
            return float(max(self._run.resolved["max_distance"].values()))
        return float(self._run.resolved.get("max_false_probability", 1.0))

    @cached_property
    def settings(self) -> list[float]:
        """Where the slider can be put, rising."""
        if self.by_distance:
            return [float(bits) for bits in range(int(self.current) + 1)]
        return sorted({*SETTINGS, self.current})

    @cached_property
    def scored(self) -> Scored:
        """The candidates, as the judgements leave them."""
        parts = [self._scored(part) for part in storage.read_parts(self._run.folder, "candidates")]
        a, b, score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        keys = pair_keys(a, b, self._run.n_samples)
        order = np.lexsort((score, keys))
        first = np.ones(len(order), bool)
        first[1:] = keys[order][1:] != keys[order][:-1]
        order = order[first]

        return self._with_judgements(Scored(a[order], b[order], score[order]))

    def curve(self) -> dict[str, Any]:
        """Of each setting the pairs, images and leaks by split, and a histogram of the pairs."""
        limits = np.array(self.settings, np.float32)
        scored, first_of = self.scored, self._first_of
        of_pairs = np.sort(scored.score)
        best, leaking = self._by_class(scored, first_of)
        # by sample: what its class has
        of_images = np.sort(best[first_of])
        held_out = self._run.splits
        by_split = {
            name: np.sort(leaking[first_of[held_out.is_one(name)]])
            for name in self._run.resolved["held_out"]
        }
        n_same = int((first_of != np.arange(len(first_of))).sum())
        upto = np.searchsorted(of_pairs, limits, side="right")

        return {
            "setting": self.setting,
            "current": self.current,
            "settings": self.settings,
            "pairs": (upto + n_same).tolist(),
            "images": np.searchsorted(of_images, limits, side="right").tolist(),
            "leaks": {
                name: np.searchsorted(scores, limits, side="right").tolist()
                for name, scores in by_split.items()
            },
            "identical": n_same,
            "bars": np.diff(upto, prepend=0).tolist(),
            "beyond": len(of_pairs) - int(upto[-1]) if len(upto) else 0,
        }

    def between(self, limit: float) -> tuple[pa.Table, bool, int]:
        """Some of the pairs between the limit of the run and another one, the same for the same
        limits; whether they would come; and how many there are.
        """
        low, high = sorted((np.float32(self.current), np.float32(limit)))
        scored = self.scored
        places = np.flatnonzero((scored.score > low) & (scored.score <= high))
        some = np.sort(np.random.default_rng(0).permutation(len(places))[:_EXAMPLES])
        chosen = places[some]
        table = pa.table(
            {"a": scored.a[chosen], "b": scored.b[chosen], "score": scored.score[chosen]}
        )

        return table, limit > self.current, len(places)

    def overrides(self, limit: float) -> list[str]:
        """The settings that `decide` gets for a limit; none for the one of the run."""
        if np.float32(limit) == np.float32(self.current):
            return []
        if self.by_distance:
            return [f"{self.setting}={int(limit)}"]
        return [f"{self.setting}={limit:.6g}"]

    @cached_property
    def _first_of(self) -> Samples:
        """Of each sample the lowest one with the same pixels."""
        return graph.representatives(self._run.pixels)

    def _limits(self) -> Limits | None:
        """Those that hold beside the slider's: setting it decides about the others."""
        if self.by_distance:
            return None
        verify = self._config.verify.model_copy(update={"max_false_probability": _ALMOST_ONE})
        return Limits(**acceptance_limits(verify))

    def _scored(self, part: pa.Table) -> tuple[Samples, Samples, NDArray[np.float32]]:
        resolved = self._run.resolved
        distances = {
            name: part[tables.distance_column(name)].to_numpy() for name in resolved["algorithms"]
        }
        keeps = within(distances, resolved["max_distance"], resolved["combine"])
        if resolved.get("colour") == MUST_AGREE:
            keeps &= ~colours_differ(part)

        if self.by_distance:
            nearest = np.min if resolved["combine"] == "any" else np.max
            score = nearest(np.stack(list(distances.values())), axis=0).astype(np.float32)
        else:
            evidence = _evidence(part)
            keeps &= accepted(evidence, self._limits())
            score = false_probability(evidence)

        part = part.filter(pa.array(keeps))

        return part["a"].to_numpy(), part["b"].to_numpy(), score[keeps]

    def _with_judgements(self, scored: Scored) -> Scored:
        """Without the pairs that people judged different; those judged the same are certain."""
        if not self._judged:
            return scored

        places = {digest: None for pictures in self._judged for digest in pictures}
        wanted = pa.array(list(places), pa.binary(tables.DIGEST_BYTES))
        found = tables.places(self._run.pixels, wanted).to_pylist()
        sample_of = dict(zip(places, found, strict=True))
        n = self._run.n_samples
        sure: dict[str, list[int]] = {SAME: [], DIFFERENT: []}

        for (one, two), verdict in self._judged.items():
            a, b = sample_of[one], sample_of[two]
            if verdict in sure and a is not None and b is not None and a != b:
                sure[verdict].append(min(a, b) * n + max(a, b))

        keys = pair_keys(self._first_of[scored.a], self._first_of[scored.b], n)
        kept = ~np.isin(keys, [*sure[DIFFERENT], *sure[SAME]])
        same = np.array(sure[SAME], np.int64)

        return Scored(
            np.concatenate([scored.a[kept], same // max(n, 1)]),
            np.concatenate([scored.b[kept], same % max(n, 1)]),
            np.concatenate([scored.score[kept], np.zeros(len(same), np.float32)]),
        )

    def _by_class(
        self, scored: Scored, first_of: Samples
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of each class of identical pictures, at its first sample, the lowest score with which it
        is in a pair, and with which a held-out sample of it matches one in train; inf: never.
        """
        n = len(first_of)
        sizes = np.bincount(first_of, minlength=n)
        in_train = np.zeros(n, bool)
        in_train[first_of[~self._run.is_held_out]] = True
        best = np.where(sizes > 1, np.float32(0), np.float32(np.inf)).astype(np.float32)
        leaking = np.where((sizes > 1) & in_train, np.float32(0), np.float32(np.inf))
        leaking = leaking.astype(np.float32)
        a, b = first_of[scored.a], first_of[scored.b]

        for one, other in ((a, b), (b, a)):
            np.minimum.at(best, one, scored.score)
            met = in_train[other]
            np.minimum.at(leaking, one[met], scored.score[met])

        return best, leaking


def rejected(run: OpenedRun, limit: int) -> pa.Table:
    """Verified candidates that were not accepted, nearest to the limit first: a, b, transform,
    similarity, score.
    """
    accepted_pairs = run.read("pairs", ["a", "b"])
    n = run.n_samples
    known = pair_keys(accepted_pairs["a"].to_numpy(), accepted_pairs["b"].to_numpy(), n)
    found: list[pa.Table] = []

    for part in storage.read_parts(run.folder, "candidates"):
        part = part.filter(part["similarity"].is_valid())
        keys = pair_keys(part["a"].to_numpy(), part["b"].to_numpy(), n)
        part = part.filter(pa.array(~np.isin(keys, known)))
        score = false_probability(_evidence(part))
        columns = part.select(["a", "b", "transform", "similarity"])
        near = columns.append_column("score", pa.array(score))
        order = np.argsort(score, kind="stable")[:limit]
        found.append(near.take(pa.array(order)))

    together = pa.concat_tables(found)
    order = np.argsort(together["score"].to_numpy(), kind="stable")
    together = together.take(pa.array(order)).combine_chunks()
    keys = pair_keys(together["a"].to_numpy(), together["b"].to_numpy(), n)
    _, first = np.unique(keys, return_index=True)

    return together.take(pa.array(np.sort(first)[:limit]))


def _evidence(part: pa.Table) -> Evidence:
    """Of candidates; what an older version did not measure is unknown."""
    try:
        return Evidence.of(part)
    except RunError:
        unknown = np.full(len(part), np.nan, np.float32)
        columns = [
            part[name].to_numpy() if name in part.column_names else unknown
            for name in ("similarity", "structure", "close_similarity")
        ]
        views = (
            part["unframed"].to_numpy()
            if "unframed" in part.column_names
            else np.zeros(len(part), np.uint8)
        )
        return Evidence(columns[0], columns[1], columns[2], views)
