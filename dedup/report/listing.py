"""The pairs that the report lists for judging: data for its script, bounded in bytes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from dedup import tables
from dedup.report.words import KINDS

MAX_BYTES: Final = 2_000_000
MAX_ID: Final = 1_000  # characters; a longer id is not listed


class Listing:
    """Pairs in the order in which they are listed, each once; those of the galleries first.

    Pictures with the same pixels are left out: there is nothing to judge.
    """

    def __init__(self, manifest: pa.Table, hashes: pa.Table) -> None:
        self._manifest = manifest
        self._digests = hashes["pixel_digest"]
        self._places: dict[tuple[int, int], int | None] = {}
        self._rows: list[str] = []
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, a: int, b: int, facts: str) -> int | None:
        """Where the pair stands in the list, at its end if it is new; None when it is not listed."""
        key = (min(a, b), max(a, b))
        if key not in self._places:
            self._places[key] = self._added(a, b, facts)
        return self._places[key]

    def fill(self, stored: Mapping[str, pa.Table], held_out: Iterable[str]) -> None:
        """Add accepted pairs until the list is full: leaks, other labels, then the least similar first."""
        pairs = stored["pairs"]
        names = pa.array(list(held_out), pa.string())
        pairs = pairs.filter(pc.invert(pc.is_in(pairs["kind"], pa.array(["bytes", "pixels"]))))
        across = pc.xor(pc.is_in(pairs["split_a"], names), pc.is_in(pairs["split_b"], names)).to_numpy()
        conflict = pairs["label_conflict"].to_numpy()
        similarity = pairs["similarity"].fill_null(1.0).to_numpy()
        order = np.lexsort((similarity, ~conflict, ~across))
        for start in range(0, len(order), 1000):
            for row in pairs.take(pa.array(order[start : start + 1000])).to_pylist():
                key = (row["a"], row["b"])
                if key not in self._places:
                    sides = ({part: row[f"{part}_{side}"] for part in ("id", "split", "label")} for side in "ab")
                    self._places[key] = self._written(next(sides), next(sides), pair_facts(row))
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
        return self._written(one, other, facts)

    def _written(self, one: Mapping[str, Any], other: Mapping[str, Any], facts: str) -> int | None:
        if max(len(one["id"]), len(other["id"])) > MAX_ID:
            return None
        row = [part[key] for key in ("id", "split", "label") for part in (one, other)]
        text = json.dumps([*row, facts], separators=(",", ":"))
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
        if self.n_bytes + len(text) + 2 > MAX_BYTES:
            return None
        self.n_bytes += len(text) + 2
        self._rows.append(text)
        return len(self._rows) - 1


def pair_facts(row: Mapping[str, Any]) -> str:
    """Why a row of `pairs`, `leakage` or `candidates` is one, in a few words."""
    distances = [
        f"{name.removeprefix(tables.distance_column(''))} {value}"
        for name, value in row.items()
        if name.startswith(tables.distance_column(""))
    ] or [f"distance {row['distance']}"]
    parts = [KINDS[row["kind"]], *([row["transform"]] if row["transform"] != "identity" else [])]
    if row["kind"] == "near":
        parts += distances
        parts += [] if row["similarity"] is None else [f"similarity {row['similarity']:.3f}"]
        parts += [f"{row['close_similarity']:.3f} seen closely"] if row.get("close_similarity") is not None else []
        parts += ["other colours"] if row.get("colour_differs") else []
    return " · ".join(parts)
