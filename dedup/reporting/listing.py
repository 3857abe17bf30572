"""The pairs that the report lists for judging: data for its script, bounded in bytes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from dedup import tables
from dedup.reporting.words import KINDS

MAX_BYTES: Final = 2_000_000
MAX_ID: Final = 1_000  # characters; a longer id is not listed
_AT_ONCE: Final = 1000
_ESCAPED: Final = {character: f"\\u{ord(character):04x}" for character in "<>&"}
_json = json.JSONEncoder(separators=(",", ":")).encode


class Listing:
    """Pairs in the order in which they are listed, each once; those of the galleries first.

    Pictures with the same pixels are left out: there is nothing to judge.
    """

    def __init__(self, manifest: pa.Table, hashes: pa.Table) -> None:
        self._manifest = manifest
        self._digests = hashes["pixel_digest"]
        self._places: dict[tuple[int, int], int | None] = {}
        self._rows: list[str] = []
        self.samples: list[tuple[int, int]] = []  # of each listed pair
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, a: int, b: int, facts: str) -> int | None:
        """Where the pair stands in the list, at its end if it is new; None when it is not
        listed.
        """
        key = (min(a, b), max(a, b))
        if key not in self._places:
            self._places[key] = self._added(a, b, facts)
        return self._places[key]

    def fill(self, stored: Mapping[str, pa.Table], held_out: Iterable[str]) -> None:
        """Add accepted pairs until the list is full: leaks, other labels, then the least similar
        first.
        """
        pairs = stored["pairs"]
        names = pa.array(list(held_out), pa.string())
        pairs = pairs.filter(pc.invert(pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"]))))
        across = pc.xor(
            pc.is_in(pairs["split_a"], names), pc.is_in(pairs["split_b"], names)
        ).to_numpy()
        conflict = pairs["label_conflict"].to_numpy()
        similarity = pairs["similarity"].fill_null(1.0).to_numpy()
        order = np.lexsort((similarity, ~conflict, ~across))

        for start in range(0, len(order), _AT_ONCE):
            part = pairs.take(pa.array(order[start : start + _AT_ONCE]))
            sides = (
                _column(part, f"{name}_{side}")
                for side in "ab"
                for name in ("id", "split", "label")
            )
            for a, b, facts, *texts in zip(
                _column(part, "a"), _column(part, "b"), _facts(part), *sides, strict=True
            ):
                if (a, b) not in self._places:
                    self._places[a, b] = self._written((a, b), texts[:3], texts[3:], facts)
            if self.n_bytes > 0.99 * MAX_BYTES:
                return

    def data(self) -> Markup:
        """The list as JSON that can stand in a page: one row of texts for each pair."""
        return Markup("[" + ",\n".join(self._rows) + "]")  # `_added` escaped it

    def _added(self, a: int, b: int, facts: str) -> int | None:
        digest = self._digests[a].as_py()
        if digest is not None and digest == self._digests[b].as_py():
            return None

        one, other = self._manifest.take(pa.array([a, b], pa.int64())).to_pylist()
        sides = [[part[key] for key in ("id", "split", "label")] for part in (one, other)]

        return self._written((a, b), sides[0], sides[1], facts)

    def _written(
        self, samples: tuple[int, int], one: Sequence[Any], other: Sequence[Any], facts: str
    ) -> int | None:
        """Where the pair stands from now on; of each side id, split and label."""
        if max(len(one[0]), len(other[0])) > MAX_ID:
            return None

        text = _json([*chain.from_iterable(zip(one, other, strict=True)), facts, *samples])
        for character, escaped in _ESCAPED.items():
            text = text.replace(character, escaped)

        if self.n_bytes + len(text) + 2 > MAX_BYTES:
            return None

        self.n_bytes += len(text) + 2
        self._rows.append(text)
        self.samples.append(samples)

        return len(self._rows) - 1


def pair_facts(row: Mapping[str, Any]) -> str:
    """Why a row of `pairs`, `leakage` or `candidates` is one, in a few words."""
    prefix = tables.distance_column("")
    distances = [
        f"{name.removeprefix(prefix)} {value}"
        for name, value in row.items()
        if name.startswith(prefix)
    ]
    seen = (row["similarity"], row.get("close_similarity"), row.get("colour_differs"))

    return _said(row["kind"], row["transform"], distances or [f"distance {row['distance']}"], *seen)


def _facts(pairs: pa.Table) -> Iterator[str]:
    """The facts of each pair: thousands are listed."""
    names = tables.algorithms_of(pairs)
    distances = zip(
        *([f"{name} {n}" for n in _column(pairs, tables.distance_column(name))] for name in names),
        strict=True,
    )
    seen = (_column(pairs, name) for name in ("similarity", "close_similarity", "colour_differs"))

    return map(_said, _column(pairs, "kind"), _column(pairs, "transform"), distances, *seen)


def _said(
    kind: str,
    transform: str,
    distances: Iterable[str],
    similarity: float | None,
    close_similarity: float | None,
    colour_differs: bool | None,  # noqa: FBT001
) -> str:
    parts = [KINDS[kind], *([transform] if transform != "identity" else [])]
    if kind == "near":
        parts += distances
        parts += [] if similarity is None else [f"similarity {similarity:.3f}"]
        parts += [] if close_similarity is None else [f"{close_similarity:.3f} seen closely"]
        parts += ["other colours"] if colour_differs else []

    return " · ".join(parts)


def _column(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table[name].to_pylist()
    return values
