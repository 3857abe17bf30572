"""What differs between two runs: settings, versions, the dataset, and what came of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.review.opened import OpenedRun
from dedup.review.planning import changes

_OF_ONE_RUN: Final = ("output.dir", "output.", "cache.", "engine.")
"""Settings that decide no table."""

_SHOWN: Final = 10  # pairs that only one of two runs has


@dataclass(frozen=True, slots=True)
class Differences:
    """Of two runs; each line is a name with what the first and the second have."""

    settings: tuple[tuple[str, str, str], ...]  # those that decide a table, resolved ones too
    versions: tuple[tuple[str, str, str], ...]
    same_input: bool
    counts: tuple[tuple[str, int, int], ...]
    only_first: int  # pairs, by their ids
    only_second: int
    examples: tuple[tuple[str, str, str], ...]  # which of the two has it, and the two ids


def differences(first: Path, second: Path) -> Differences:
    """Compare two finished runs."""
    one, two = OpenedRun(first), OpenedRun(second)
    pairs = [_pairs(run) for run in (one, two)]
    only = [np.setdiff1d(pairs[k], pairs[1 - k]) for k in (0, 1)]
    fingerprints = [run.info.get("fingerprints", {}).get("input") for run in (one, two)]
    examples = [
        (name, *key.split("\0"))
        for name, keys in zip(("first", "second"), only, strict=True)
        for key in keys[:_SHOWN].tolist()
    ]

    return Differences(
        settings=tuple(_differing(_settings(one), _settings(two))),
        versions=tuple(_differing(_versions(one), _versions(two))),
        same_input=fingerprints[0] == fingerprints[1],
        counts=tuple((name, n, m) for name, n, m in changes(one.summary, two.summary)),
        only_first=len(only[0]),
        only_second=len(only[1]),
        examples=tuple((name, a, b) for name, a, b in examples),
    )


def _pairs(run: OpenedRun) -> Any:
    """The pairs of a run by their ids, whatever numbers the samples have."""
    found = run.read("pairs", ["id_a", "id_b"])
    joined = pc.binary_join_element_wise(found["id_a"], found["id_b"], "\0")
    return np.asarray(joined.combine_chunks().cast(pa.string()).to_pylist(), object)


def _settings(run: OpenedRun) -> dict[str, Any]:
    """Settings by dotted key, those of the config and what they resolved to."""
    asked = {
        key: value for key, value in _flat(run.info["config"]) if not key.startswith(_OF_ONE_RUN)
    }
    resolved = {f"resolved {key}": value for key, value in _flat(run.resolved)}

    return {**asked, **resolved}


def _versions(run: OpenedRun) -> dict[str, Any]:
    return {**run.info.get("versions", {}), **dict(_flat(run.info.get("hashed_by") or {}))}


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            yield name, str(one.get(name, "–")), str(two.get(name, "–"))
