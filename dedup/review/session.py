"""What the page asks for, as plain data: views, pairs, judgements, limits."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import RLock
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import pipeline
from dedup.errors import ConfigError, RunError
from dedup.policy import precision, record
from dedup.policy.precision import DESIGNS
from dedup.policy.record import DIFFERENT, UNSURE, VERDICTS
from dedup.review import limits, pairing, views
from dedup.review.album import LARGE, Album
from dedup.review.opened import OpenedRun, stamp_of
from dedup.review.planning import changes
from dedup.review.query import Query, number, whole
from dedup.review.shown_rows import REJECTED, SAMPLE, TITLES, ShownRows
from dedup.review.verdicts import Verdicts

MAX_ROWS: Final = 500  # of a view in one answer
MAX_NAMES: Final = 500  # of splits, labels and reasons to filter by


class Session(ShownRows):
    """One run that is looked at, by any number of pages."""

    def __init__(self, run_folder: Path) -> None:
        self.folder = run_folder
        self._lock = RLock()
        self._verdicts = Verdicts(run_folder)
        self._album: Album | None = None
        self._open()

    def _open(self) -> None:
        self.run = OpenedRun(self.folder)
        self._views: dict[str, pa.Table] = {}
        self._places: OrderedDict[tuple[Query, Any], NDArray[np.int64]] = OrderedDict()
        self._population: pa.Table | None = None
        self._words: NDArray[np.uint64] | None = None
        self._curve: tuple[Any, limits.LimitCurve] | None = None
        if self._album is not None:
            self._album.close()

        self._album = Album(self.run)

    def close(self) -> None:
        """End what decodes pictures."""
        if self._album is not None:
            self._album.close()

    def refreshed(self) -> "Session":
        """Open the run anew where another one has taken its place."""
        with self._lock:
            try:
                if stamp_of(self.folder) != self.run.stamp:
                    self._open()
            except (OSError, RunError):
                pass  # it is being replaced at this moment: the one that was opened is shown
        return self

    @property
    def album(self) -> Album:
        """The pictures."""
        if self._album is None:
            message = "The review is closed."
            raise RunError(message)
        return self._album

    def about(self) -> dict[str, Any]:
        """The run in short: what every page shows."""
        run = self.run
        self.album.wait(0.3)
        summary = run.summary

        return {
            "title": run.title,
            "folder": str(self.folder),
            "views": [
                {"name": name, "title": TITLES[name], "rows": self._n_of(name)}
                for name in ("leaks", "pairs", "conflicts", "groups", "dropped", REJECTED)
            ]
            + [
                {"name": name, "title": TITLES[name], "rows": self._n_of(name)}
                for name in (SAMPLE, "unreadable", "not_read")
            ],
            "samples": summary["samples"],
            "decisions": {
                name: summary["decisions"].get(name, 0)
                for name in ("keep", "drop", "move", "unreadable")
            },
            "leakage": summary["leakage"],
            "splits": list(run.splits.names)[:MAX_NAMES],
            "labels": sorted(name for name in run.labels.names if name is not None)[:MAX_NAMES],
            "designs": DESIGNS,
            "stamp": list(run.stamp),
            "trouble": self.album.trouble,
            "dedup_version": summary.get("dedup_version", ""),
            **self.judged(),
        }

    def judged(self) -> dict[str, Any]:
        """How much is judged, and whether the run has taken it in."""
        held = self._verdicts.held
        words = [row.verdict for row in held.values()]
        applied = self.run.resolved.get("lists", {}).get("judgements")

        return {
            "judged": {verdict: words.count(verdict) for verdict in VERDICTS},
            "applied": applied == record.digest(self._verdicts.record),
        }

    def rows(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Some rows of a view: those from `start` on, `n` at most."""
        query = Query.of(asked)
        start, n = whole(asked, "start", 0), min(whole(asked, "n", 100), MAX_ROWS)
        with self._lock:
            table, places = self._view(query), self._chosen(query)

        some = table.take(pa.array(places[start : start + n]))
        shown = self._shown(some.to_pylist(), query)

        return {"total": len(places), "start": start, "rows": shown, "all": len(table)}

    def facets(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """What the rows of a view can be filtered by, with counts."""
        with self._lock:
            table = self._view(Query.of(asked))

        counted = {}
        for name in ("kind", "reason"):
            found = table[name].drop_null().value_counts().to_pylist()
            ordered = sorted(found, key=lambda one: (-one["counts"], one["values"]))[:MAX_NAMES]
            counted[name] = [[one["values"], one["counts"]] for one in ordered]

        return counted

    def place(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Where a pair stands in a view; -1 where it does not."""
        query = Query.of(asked)
        a, b = whole(asked, "a", -1), whole(asked, "b", -1)
        with self._lock:
            table, places = self._view(query), self._chosen(query)

        one, two = (table[side].to_numpy()[places] for side in ("a", "b"))
        found = np.flatnonzero(((one == a) & (two == b)) | ((one == b) & (two == a)))

        return {"place": int(found[0]) if len(found) else -1}

    def pair(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Everything of two samples, or of one."""
        a, b = self._sample(asked, "a"), whole(asked, "b", -1)
        if b < 0:
            side = pairing.facts(self.run, a, a)["sides"][0]
            return {"a": a, "b": -1, "sides": [side], "facts": [], "keeping": []}

        b = self._sample(asked, "b")
        row = self._verdicts.held.get(self._pictures(a, b) or (b"", b""))

        return {"a": a, "b": b, **pairing.facts(self.run, a, b), "judged": pairing.judged(row)}

    def laid_over(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """How the second picture lies over the first, and what is known of the two files now."""
        a, b = self._sample(asked, "a"), self._sample(asked, "b")
        known = pairing.facts(self.run, a, b)
        shown = [self.album.picture(sample, LARGE) for sample in (a, b)]
        answer: dict[str, Any] = {
            "states": [
                {"state": one.state, "detail": "" if one.state == "ok" else one.detail}
                for one in shown
            ],
            "bytes": [one.n_bytes for one in shown],
            "map": None,
        }
        sizes = [(side["width"], side["height"]) for side in known["sides"]]
        greys = [one.grey for one in shown]

        if None not in known["boxes"] and None not in sizes[0] and None not in sizes[1]:
            boxes = known["boxes"]
            answer["map"] = pairing.rounded(pairing.of_boxes(boxes, sizes, known["transform"]))
        elif greys[0] is not None and greys[1] is not None:
            from dedup.verify.overlay import lying  # numba: half a second, for the first pair only

            with self._lock:
                found = lying(greys[0], greys[1], known["transform"], known["unframed"])
            answer["map"] = pairing.rounded(found)

        return answer

    def judge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write a verdict down at once."""
        a, b = self._sample(given, "a"), self._sample(given, "b")
        verdict, sample = str(given.get("verdict")), str(given.get("sample") or "")
        if verdict not in VERDICTS:
            message = f"verdict: {verdict!r}. Allowed: {', '.join(VERDICTS)}."
            raise ConfigError(message)

        if sample and precision.parsed(sample) is None:
            message = f"sample: {sample!r} is not the name of a random sample."
            raise ConfigError(message)

        pixels = [self.run.digest(one) for one in (a, b)]
        if pixels[0] is None or pixels[1] is None:
            message = "One of the two could not be read, so there is nothing to judge."
            raise ConfigError(message)

        if pixels[0] == pixels[1] and verdict == DIFFERENT:
            message = "The two have the same pixels: they cannot be different pictures."
            raise ConfigError(message)

        ids = (self.run.ids[a].as_py(), self.run.ids[b].as_py())
        number, before = self._verdicts.judge(ids, (pixels[0], pixels[1]), verdict, sample)

        return {"undo": number, "verdict": verdict, "was": before, **self.judged()}

    def undo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take a verdict back, unless the pair was judged again since."""
        return {"verdict": self._verdicts.undo(whole(given, "undo", 0)), **self.judged()}

    def precision(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """What the judgements of a random sample say of all accepted pairs."""
        query = Query.of(asked)
        found = precision.estimated(
            self._verdicts.record,
            self._all_accepted(),
            self.run.pixels,
            design=query.design,
            seed=query.seed,
        ).summary()

        return {**found, "sentence": precision.sentence(found)}

    def limit(self) -> dict[str, Any]:
        """What each limit would accept."""
        return self._limit_curve().curve()

    def between(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Some of the pairs that another limit would add or take away."""
        curve = self._limit_curve()
        table, come, n = curve.between(number(asked, "limit", curve.current))
        rows = views.rows_of(table["a"].to_numpy(), table["b"].to_numpy(), doubt=table["score"])
        shown = self._shown(rows.to_pylist(), Query("pairs"))

        return {"come": come, "n": n, "rows": shown}

    def plan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `decide` would change; nothing is written."""
        overrides = self._overrides(given)
        after = pipeline.planned(self.folder, overrides)

        return {
            "overrides": overrides,
            "command": " ".join(
                ["dedup", "decide", str(self.folder), *(f"--set {one}" for one in overrides)]
            ),
            "changes": changes(self.run.summary, after),
            "writes": self.run.info["config"]["output"]["splits"] != "none",
        }

    def apply(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Run `decide` on the run's own folder, and tell what changed."""
        overrides = self._overrides(given)
        before = self.run.summary
        result = pipeline.decide(self.folder, overrides)
        self.refreshed()

        return {"changes": changes(before, result.summary), "stamp": list(self.run.stamp)}

    def lists(self) -> dict[str, str]:
        """The two list files that the record comes to."""
        return self._verdicts.lists()

    def _overrides(self, given: Mapping[str, Any]) -> list[str]:
        limit = given.get("limit")
        return [] if limit is None else self._limit_curve().overrides(float(limit))

    def _n_of(self, name: str) -> int | None:
        """Rows of a view where that is known by now."""
        if name in self._views:
            return len(self._views[name])
        return views.n_rows(self.run, name)

    def _limit_curve(self) -> limits.LimitCurve:
        with self._lock:
            stamp, held = self._verdicts.stamp, self._verdicts.held
            if self._curve is None or self._curve[0] != stamp:
                verdicts = {
                    pictures: row.verdict for pictures, row in held.items() if row.verdict != UNSURE
                }
                self._curve = stamp, limits.LimitCurve(self.run, verdicts)
            return self._curve[1]

    def _sample(self, asked: Mapping[str, Any], side: str) -> int:
        sample = whole(asked, side, -1)
        if not 0 <= sample < self.run.n_samples:
            message = f"{side}: the run has no sample {sample}."
            raise ConfigError(message)

        return sample
