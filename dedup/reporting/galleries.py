"""What the report shows side by side: which pairs and groups, the worst first, and their facts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.policy.acceptance import MUST_AGREE, Evidence, Limits, accepted, within
from dedup.reporting.leaks import by_doubt, doubtful
from dedup.reporting.listing import Listing, pair_facts

MAX_LEAKS: Final = 60
MAX_GROUPS: Final = 40
MAX_MEMBERS: Final = 6  # shown of a group
MAX_PAIRS: Final = 24  # in each gallery of pairs
MAX_CHAINS: Final = 40
MAX_TEXT: Final = 300  # characters of an id, a label or a detail
ALLOWED: Final = "judged to be no duplicates"
SAME_SCENE: Final = "the same scene, not the same picture"


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample in a gallery."""

    sample: int
    id: str
    split: str
    label: str | None
    picture: bool  # whether the page has it, as the class p and its number
    pair: int | None  # the listed pair that it makes with the first sample of its case


@dataclass(frozen=True, slots=True)
class Case:
    """Samples side by side, and what is said of them."""

    shown: tuple[Shown, ...]
    facts: str
    conflict: bool
    more: int = 0  # members that are not shown


_Outline = tuple[tuple[int, ...], str, bool, int]  # samples, facts, conflict, more


def outlined_leaks(stored: Mapping[str, pa.Table]) -> list[_Outline]:
    """The most doubtful first: those that a person should look at."""
    chosen = doubtful(stored["leakage"], stored["pairs"], MAX_LEAKS)
    ids = pa.array([row[key] for row in chosen for key in ("id", "witness_id")], pa.string())
    samples = tables.places(stored["manifest"]["id"], ids).to_pylist()

    return [
        ((samples[2 * k], samples[2 * k + 1]), pair_facts(row), row["label_conflict"], 0)
        for k, row in enumerate(chosen)
    ]


def outlined_pairs(stored: Mapping[str, pa.Table], chosen: pa.ChunkedArray) -> list[_Outline]:
    """The most doubtful of the chosen pairs, then the least similar: where the tool may be
    wrong.
    """
    pairs = stored["pairs"].filter(chosen)
    rows = pairs.take(pa.array(by_doubt(pairs)[:MAX_PAIRS])).to_pylist()
    return [((row["a"], row["b"]), pair_facts(row), row["label_conflict"], 0) for row in rows]


def outlined_groups(stored: Mapping[str, pa.Table]) -> list[_Outline]:
    """The largest groups, the keeper first."""
    groups = stored["groups"]
    numbers = groups["group"].to_numpy()
    sizes = np.bincount(numbers) if len(numbers) else np.empty(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    outlines: list[_Outline] = []

    for number in np.argsort(-sizes, kind="stable")[:MAX_GROUPS]:
        samples = (
            groups["sample"]
            .slice(int(starts[number]), min(int(sizes[number]), MAX_MEMBERS))
            .to_pylist()
        )
        more = max(0, int(sizes[number]) - MAX_MEMBERS)
        outlines.append(
            (tuple(samples), f"{sizes[number]:,} images, the keeper first", False, more)
        )

    return outlines


def outlined_rejected(
    stored: Mapping[str, pa.Table], candidates: Iterator[pa.Table], resolved: Mapping[str, Any]
) -> list[_Outline]:
    """The most similar candidates that were not accepted: what the tool may have missed, or a
    person has allowed.
    """
    pairs, n = stored["pairs"], len(stored["manifest"])
    accepted = pairs["a"].to_numpy() * n + pairs["b"].to_numpy()
    best = pa.concat_tables(_most_similar(part, accepted, n) for part in candidates)
    order = np.argsort(-best["similarity"].to_numpy(), kind="stable")[:MAX_PAIRS]
    labels = stored["manifest"]["label"]
    outlines: list[_Outline] = []

    for row in best.take(pa.array(order)).to_pylist():
        a, b = labels[row["a"]].as_py(), labels[row["b"]].as_py()
        named = {**row, "kind": "near", "transform": tables.TRANSFORMS[row["transform"]]}
        why = (
            ALLOWED
            if _within(row, resolved)
            else SAME_SCENE
            if _same_scene(row, resolved)
            else None
        )
        facts = pair_facts(named) + (f" · {why}" if why else "")
        outlines.append(((row["a"], row["b"]), facts, None not in (a, b) and a != b, 0))

    return outlines


def _most_similar(candidates: pa.Table, accepted: NDArray[np.int64], n_samples: int) -> pa.Table:
    """The first of those candidates that were verified and not accepted."""
    keys = candidates["a"].to_numpy() * n_samples + candidates["b"].to_numpy()
    similarity = np.where(
        np.isin(keys, accepted), -1.0, candidates["similarity"].fill_null(-1.0).to_numpy()
    )
    order = np.argsort(-similarity, kind="stable")[:MAX_PAIRS]

    return candidates.take(pa.array(order[similarity[order] >= 0]))


def _within(candidate: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether a candidate keeps all thresholds, so that only a list can have rejected it."""
    distances = {
        name: np.array([candidate[tables.distance_column(name)]]) for name in resolved["algorithms"]
    }
    if resolved.get("colour") == MUST_AGREE and candidate["colour_differs"]:
        return False

    near_enough = within(distances, resolved["max_distance"], resolved["combine"])[0]
    evidence = _evidence(candidate)

    return bool(near_enough and accepted(evidence, Limits.of(resolved))[0])


def _same_scene(candidate: Mapping[str, Any], resolved: Mapping[str, Any]) -> bool:
    """Whether the closer look is what rejects a candidate."""
    limits = Limits.of(resolved)
    if limits is None or candidate["close_similarity"] is None:
        return False

    looked_the_same = _evidence({**candidate, "close_similarity": 1.0})

    return bool(
        accepted(looked_the_same, limits)[0] and not accepted(_evidence(candidate), limits)[0]
    )


def _evidence(candidate: Mapping[str, Any]) -> Evidence:
    similarity, close, view = (
        candidate[name] for name in ("similarity", "close_similarity", "unframed")
    )
    # an older run has no structure
    return Evidence.of_one(similarity, candidate.get("structure"), close, view)


def shown_chains(stored: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    """The first chains: who leads where, over how many pairs."""
    rows = stored["chains"].slice(0, MAX_CHAINS).to_pylist()
    return [
        {"path": [shortened(name) for name in row["path"]], "hops": row["hops"]} for row in rows
    ]


def listed_places(
    outlines: Sequence[_Outline], listing: Listing, said: str
) -> list[list[int | None]]:
    """Where the pairs of each case are listed; `said` of them there, in place of the case's own
    facts.
    """
    return [
        [None, *(listing.place(samples[0], sample, said or facts) for sample in samples[1:])]
        for samples, facts, _, _ in outlines
    ]


def shown_cases(
    outlines: Sequence[_Outline],
    manifest: pa.Table,
    album: Mapping[int, str],
    places: Sequence[Sequence[int | None]],
) -> list[Case]:
    """The outlines with names and pictures."""
    cases = []
    for (samples, facts, conflict, more), listed in zip(outlines, places, strict=True):
        rows = manifest.take(pa.array(samples, pa.int64())).to_pylist()
        shown = tuple(
            Shown(
                row["sample"],
                shortened(row["id"]),
                shortened(row["split"] or ""),
                None if row["label"] is None else shortened(row["label"]),
                row["sample"] in album,
                place,
            )
            for place, row in zip(listed, rows, strict=True)
        )
        cases.append(Case(shown, facts, conflict, more))

    return cases


def shortened(text: str) -> str:
    """A text of the dataset, its middle left out where it is too long for the page."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 :]}"
