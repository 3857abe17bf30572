"""Which pairs a view of the page shows, in which order, and what is said of each."""

from collections import OrderedDict
from pathlib import Path
from threading import RLock
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.errors import ConfigError
from dedup.policy import precision
from dedup.policy.judgements import NOT_JUDGED
from dedup.policy.precision import DESIGNS
from dedup.policy.record import Pictures
from dedup.review import limits, views
from dedup.review.opened import OpenedRun, first_words
from dedup.review.query import Query, chosen
from dedup.review.verdicts import Verdicts, verdict_of
from dedup.runs.accepting import accepted_pairs
from dedup.runs.stored import load

_KEPT_QUERIES: Final = 12
SAMPLE, REJECTED = "sample", "rejected"
TITLES: Final = {
    **{name: title for name, (title, _, _) in views.VIEWS.items()},
    REJECTED: "Rejected",
    SAMPLE: "Random sample",
}


class ShownRows:
    """Rows of the views of an opened run."""

    folder: Path
    run: OpenedRun
    _lock: RLock
    _verdicts: Verdicts
    _views: dict[str, pa.Table]
    _places: OrderedDict[tuple[Query, Any], NDArray[np.int64]]
    _words: NDArray[np.uint64] | None
    _population: pa.Table | None

    def _view(self, query: Query) -> pa.Table:
        name = query.view
        if name == SAMPLE:
            if query.design not in DESIGNS:
                message = f"design: {query.design!r}. Allowed: {', '.join(DESIGNS)}."
                raise ConfigError(message)
            key = f"{SAMPLE} {query.design} {query.seed}"
            if key not in self._views:
                population = self._all_accepted()
                self._views[key] = views.sample(self.run, population, query.design, query.seed)
            return self._views[key]

        if name not in self._views:
            if name == REJECTED:
                self._views[name] = self._rejected()
            elif name in views.VIEWS:
                self._views[name] = views.VIEWS[name][1](self.run)
            else:
                message = f"view: {name!r}. Allowed: {', '.join(TITLES)}."
                raise ConfigError(message)

        return self._views[name]

    def _rejected(self) -> pa.Table:
        found = limits.rejected(self.run, views.MAX_REJECTED)
        names = pa.array(tables.TRANSFORMS, pa.string())
        a, b = found["a"].to_numpy(), found["b"].to_numpy()
        labels = self.run.labels.codes

        return views.rows_of(
            a,
            b,
            transform=names.take(found["transform"].combine_chunks()),
            similarity=found["similarity"],
            doubt=found["score"],
            conflict=(labels[a] != labels[b]) & (labels[a] >= 0) & (labels[b] >= 0),
        )

    def _chosen(self, query: Query) -> NDArray[np.int64]:
        sort = query.sort or ("own" if query.view in {SAMPLE, REJECTED} else "")
        sort = sort or views.VIEWS[query.view][2]
        stamp = self._verdicts.stamp if query.judged else None
        asked = Query(
            **{
                **{name: getattr(query, name) for name in query.__slots__},
                "sort": sort,
            }
        )
        key = asked, stamp

        if key not in self._places:
            self._places[key] = chosen(self.run, self._view(query), asked, self._words_of)
            while len(self._places) > _KEPT_QUERIES:
                self._places.popitem(last=False)

        self._places.move_to_end(key)

        return self._places[key]

    def _words_of(self, rows: pa.Table) -> NDArray[np.str_]:
        """Of each row of a view its verdict, empty where nobody judged."""
        words = self._pixel_words()
        a, b = rows["a"].to_numpy(), rows["b"].to_numpy()
        found = np.zeros(len(rows), "<U9")
        there = (a >= 0) & (b >= 0)
        one, two = words[np.maximum(a, 0)], words[np.maximum(b, 0)]
        low, high = np.minimum(one, two), np.maximum(one, two)
        keys = low ^ (high * np.uint64(0x9E3779B97F4A7C15))

        for pictures, row in self._verdicts.held.items():
            values = [int.from_bytes(digest[:8], "little") for digest in pictures]
            low_word, high_word = min(values), max(values)
            key = np.uint64(low_word ^ ((high_word * 0x9E3779B97F4A7C15) % 2**64))
            found[(keys == key) & there] = row.verdict

        return found

    def _pixel_words(self) -> NDArray[np.uint64]:
        if self._words is None:
            self._words = first_words(self.run.pixels)
        return self._words

    def _shown(self, rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
        """Rows with names, for the page."""
        run, held = self.run, self._verdicts.held
        of_sample = {}
        if query.view == SAMPLE:
            name = precision.name_of(query.design, query.seed)
            of_sample = {row.pictures: row for row in self._verdicts.record if row.sample == name}

        for row in rows:
            for side in ("a", "b"):
                sample = row[side]
                row[f"id_{side}"] = run.ids[sample].as_py() if sample >= 0 else None
                row[f"split_{side}"] = run.splits.at(sample) if sample >= 0 else None
                row[f"label_{side}"] = run.labels.at(sample) if sample >= 0 else None
            pictures = self._pictures(row["a"], row["b"])
            judgement = None if pictures is None else held.get(pictures)
            if query.view == SAMPLE:
                judgement = None if pictures is None else of_sample.get(pictures)
            row["verdict"] = verdict_of(judgement)
            row["same_pixels"] = pictures is not None and pictures[0] == pictures[1]

        return rows

    def _pictures(self, a: int, b: int) -> Pictures | None:
        if a < 0 or b < 0:
            return None

        one, two = self.run.digest(a), self.run.digest(b)
        if one is None or two is None:
            return None

        return min(one, two), max(one, two)

    def _all_accepted(self) -> pa.Table:
        """The pairs as the limits accept them, whatever anybody judged."""
        with self._lock:
            if self._population is None:
                names = ["a", "b", "kind", "transform", "similarity", "false_probability"]
                columns = [*names, "label_conflict"]
                lists = set(self.run.resolved.get("lists", {})) - {"prefer_list"}
                if not lists:
                    self._population = self.run.read("pairs", columns)
                else:
                    stored = ["manifest", "hashes", "crowds", "candidates"]
                    if self.run.resolved.get("parts") == "on":
                        stored.append("placements")
                    loaded = load(self.folder, (), stored)
                    self._population = accepted_pairs(loaded, NOT_JUDGED).select(columns)
            return self._population
