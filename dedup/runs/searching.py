"""The search of a run: crowds, how far `auto` goes, candidates, and a second look at the similar
ones.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.clock import Clock, Foretold
from dedup.config import TOTAL
from dedup.engines import Engine
from dedup.policy.acceptance import MUST_AGREE, accepts
from dedup.policy.doubts import DOUBT
from dedup.policy.keeping import keep_order
from dedup.runs.result import Run, search_threads, specs_of
from dedup.search import Progress
from dedup.stages.candidates import Counts, candidates, comparer
from dedup.stages.crowds import Found, crowds, near_distances, table, with_closed
from dedup.stages.hashes import drift
from dedup.stages.radius import fitting_radius, radius
from dedup.stages.searched import equal_codes, packed_codes, searched
from dedup.stages.settling import Codes, Comparisons, Sides
from dedup.verify.framed import merged
from dedup.verify.kept_signs import KeptSigns, by_signs
from dedup.verify.second_look import Looks, PairsBar, See, looked, looking

_TOO_MANY_EQUAL: Final = 256
"""Pictures with one code from which on they are not compared with each other, where nothing else
fits the budget.

Of fewer there are 32,640 pairs, so that 300 such groups fit the default budget.
"""


_ADVICE: Final = (
    "verify.second_look=false is faster, and so is a lower search.max_distance; both find less. "
    "A run that is stopped keeps what was hashed."
)


def search(result: Run, engine: Engine, clock: Clock, explain: Callable[[str], None] | None) -> Run:
    """Store `crowds` and `candidates`, with what a second look finds of the similar ones."""
    counts, looks = Counts(), Looks()
    n = len(result.manifest)
    with _second_look(result, engine) as see:
        searching = _Searching(result, see, counts, looks, search_threads(result.config))
        with clock.stage("crowds") as done:
            found = searching.crowds(clock.advance)
            done(n)
        if result.config.search.max_distance == "auto":
            with clock.stage("radius") as done:
                found = searching.radius(found, clock.advance)
                done(n)
        searching.widen(drift(result.opened()))
        result = replace(result, resolved=searching.resolved)
        with clock.stage("candidates") as done:
            result.store.put("crowds", table(found, result.manifest), specs_of(result))
            parts = searching.candidates(found, clock.advance, explain)
            result.store.put_parts("candidates", parts, specs_of(result))
            result.store.release("thumbnail")  # most of what is in memory
            done(n)

    measured: dict[str, Any] = {}
    if result.resolved.verify.method != "none":
        measured["verification"] = counts.to_dict()
    if result.resolved.verify.second_look:
        measured["second_look"] = asdict(looks)

    return replace(result, info={**result.info, **measured})


@contextmanager
def _second_look(result: Run, engine: Engine) -> Iterator[See | None]:
    if not result.resolved.verify.second_look:
        yield None
        return
    with looking(result.opened(), result.row_of_sample, result.config, engine) as see:
        yield see


class _Searching:
    """The parts of a search, which share what they compare with and what they count."""

    def __init__(
        self, result: Run, see: See | None, counts: Counts, looks: Looks, threads: int
    ) -> None:
        self._result, self._see, self._threads = result, see, threads
        self._counts, self._looks = counts, looks
        self._hashes = result.store["hashes"]
        self.resolved = result.resolved
        self._thumbnails = tables.fixed_width(self._hashes["thumbnail"])
        self._compared: Comparisons | None = None
        self._kept = KeptSigns.of(self._hashes) if self.resolved.verify.method != "none" else None

    def crowds(self, progress: Progress) -> Found:
        """The crowds within the distances of `resolved`, or the largest that `auto` may come to."""
        resolved, n = self.resolved, len(self._hashes)
        class_of = graph.representatives(self._hashes["pixel_digest"])
        self._sides = _sides(class_of, self._result.manifest, resolved.splits.held_out)
        self._order = _order(self._result, class_of)
        # Whoever asks for equal colours gets no crowds: their members are compared by thumbnails,
        # which are grey.
        grey_will_do = resolved.acceptance.colour != MUST_AGREE
        self._compared = Comparisons(
            self._comparer(),
            lambda rows: accepts(rows, resolved) & grey_will_do,
            0,
            Foretold(progress, _ADVICE),
        )
        schema = tables.candidates_schema(resolved.hash.algorithms)
        schema = schema if self._kept is None else schema.append(pa.field(DOUBT, pa.float32()))

        return crowds(
            self._codes(),
            self._sides,
            self._order,
            self._compared,
            schema,
            n_samples=n,
            threads=self._threads,
        )

    def radius(self, found: Found, progress: Progress) -> Found:
        """Set how far `auto` goes; pictures with one code that are too many for it become
        crowds.
        """
        resolved = self.resolved
        fitting = fitting_radius(
            self._hashes, resolved, threads=self._threads, progress=progress, spared=found.spared
        )
        distances = {name: bits for name, bits in fitting.items() if bits is not None}
        none_fits = [name for name, bits in fitting.items() if bits is None]
        for name in none_fits:
            groups = equal_codes(self._hashes, name, found.spared, _TOO_MANY_EQUAL)
            found = self._closed(found, groups)

        if none_fits:  # with other pictures left out, other distances fit
            distances = radius(self._hashes, resolved, threads=self._threads, spared=found.spared)
        self.resolved = resolved.but(max_distance=distances)
        if near_distances(self.resolved) != near_distances(resolved):
            return self.crowds(progress)  # their members are farther apart than is searched

        return found

    def widen(self, bits: int) -> None:
        """Search so many bits further: to make up for banks that other decoders made."""
        most, distances = self.resolved.hash.bits, self.resolved.search.max_distance
        if bits:
            n = len(self.resolved.hash.algorithms)
            times = {name: n if name == TOTAL else 1 for name in distances}
            wider = {
                name: min(distance + bits * times[name], most * times[name])
                for name, distance in distances.items()
            }
            self.resolved = self.resolved.but(max_distance=wider)

    def candidates(
        self, found: Found, progress: Progress, explain: Callable[[str], None] | None
    ) -> Iterator[pa.Table]:
        """All rows of `candidates`, in order, those that crowds were made from among them."""
        bar = PairsBar(Foretold(progress, _ADVICE), looks=self._see is not None)
        parts = candidates(
            self._hashes,
            self.resolved,
            limit=self._result.config.search.max_candidates,
            threads=self._threads,
            progress=bar.joined,
            compared=bar.compared,
            explain=explain,
            counts=self._counts,
            spared=found.spared,
        )
        parts = by_signs(parts, self._hashes, self.resolved.verify.method)
        if self._see is not None:
            parts = self._looked(parts, bar.looked)
        if len(found.rows) == 0:
            return parts

        return _with_schema(merged(parts, found.rows), found.rows.schema)

    def _looked(self, parts: Iterator[pa.Table], progress: Progress | None) -> Iterator[pa.Table]:
        if self._see is None:
            return parts
        return looked(
            parts,
            self._see,
            self._thumbnails,
            self._looks,
            threads=self._threads,
            progress=progress,
        )

    def _comparer(self) -> Callable[[NDArray[np.int64], NDArray[np.int64]], pa.Table]:
        compare = comparer(self._hashes, self.resolved, threads=self._threads, counts=self._counts)
        kept = self._kept

        def compared(a: NDArray[np.int64], b: NDArray[np.int64]) -> pa.Table:
            rows = compare(a, b) if kept is None else kept.compared(compare(a, b), self._thumbnails)
            return next(iter(self._looked(iter([rows]), None)))

        return compared

    def _codes(self) -> Codes:
        samples, resolved = searched(self._hashes), self.resolved
        return Codes(
            samples, packed_codes(self._hashes, samples, resolved), near_distances(resolved)
        )

    def _closed(self, found: Found, groups: list[NDArray[np.int64]]) -> Found:
        if self._compared is None or not groups:
            return found
        return with_closed(found, groups, self._codes(), self._sides, self._order, self._compared)


def _with_schema(parts: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The parts, of which there is at least one."""
    yield schema.empty_table()
    yield from parts


def _sides(class_of: NDArray[np.int64], manifest: pa.Table, held_out: tuple[str, ...]) -> Sides:
    def of_classes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        inside = np.zeros(len(mask), bool)
        inside[class_of[mask]] = True
        return inside

    splits = manifest["split"]
    inside = {name: pc.equal(splits, name).fill_null(False).to_numpy() for name in held_out}
    train = ~np.any([*inside.values(), np.zeros(len(class_of), bool)], axis=0)
    label = graph.numbers(manifest["label"])

    return Sides(
        of_classes(train), {name: of_classes(mask) for name, mask in inside.items()}, label
    )


def _order(result: Run, class_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """All samples, the best one to keep first."""
    resolved = result.resolved
    return keep_order(
        class_of,
        result.store["hashes"],
        result.manifest,
        resolved.policy.duplicates,
        resolved.policy.keep_order,
        among=np.ones(len(class_of), bool),
        preferred=np.array(result.judged.preferred, np.int64),
    )
