"""The search of parts in a run: key points, then regions that two pictures share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph
from dedup.cache import Environment, Room, prune
from dedup.clock import Clock
from dedup.engines import Distributed, Engine, local
from dedup.formats.references import Named, tasks
from dedup.hashers import grey_work, parts_work
from dedup.policy.crops import with_crops
from dedup.runs.result import Run, search_threads, specs_of
from dedup.stages.hashes import cache_folder
from dedup.stages.parts import KEPT, parts
from dedup.stages.placements import Pictures, placements
from dedup.versions import VERSIONS

_ROWS_AT_ONCE: Final = 64  # of a task: some tenths of a second of work
_READ_AT_ONCE: Final = 16  # pictures of a task whose bytes are in memory


def find_parts(result: Run, engine: Engine, clock: Clock) -> Run:
    """Store `parts` and `placements`."""
    n = len(result.manifest)
    setup = _setup(result)

    with clock.stage("parts") as done:
        places = tasks(result.opened(), _ROWS_AT_ONCE)
        digests = result.store["hashes"]["file_digest"]
        with _kept(result, setup) as room:
            found = parts(places, result.row_of_sample, digests, setup, engine, clock.advance, room)
        result.store.put_parts("parts", iter([found]), specs_of(result))
        done(n)

    with clock.stage("placements") as done, engine.kept():
        placed = placements(
            Pictures.of(found, result.store["hashes"], _searched(result, found)),
            _Greys(result, engine, setup),
            limit=result.config.search.max_candidates,
            threads=search_threads(result.config),
            progress=clock.advance,
        )
        result.store.put("placements", placed, specs_of(result))
        done(n)

    return result


@contextmanager
def _kept(result: Run, setup: Mapping[str, Any]) -> Iterator[Room | None]:
    """The room of the cache for key points; None for a run that keeps nothing."""
    folder = cache_folder(result.config.cache)
    if folder is None:
        yield None
        return

    here = Environment(parts_work.canary(setup), VERSIONS)
    room = Room(folder, parts_work.spec(setup), here, KEPT)
    yield room
    with suppress(OSError):
        room.tidy()
        prune(folder, max_bytes=result.config.cache.max_bytes)


def crops_left(result: Run, samples: NDArray[np.int64], splits: pa.ChunkedArray) -> pa.Table:
    """Crops between train and a held-out split among the samples that were written, searched again.

    `splits`: of each of the samples, where it was written. Rows of `pairs`, none without
    `search.parts`.
    """
    resolved = result.resolved
    if resolved.parts.parts == "off" or resolved.parts.crops == "report":
        return result.pairs.slice(0, 0)

    engine = local(result.config.engine)
    setup = _setup(result)
    parts_of_all = pa.concat_tables(result.store.parts("parts"))
    searched = _searched(result, parts_of_all)
    written = searched[np.isin(searched, samples)]

    with engine.kept():
        placed = placements(
            Pictures.of(parts_of_all, result.store["hashes"], written),
            _Greys(result, engine, setup),
            limit=result.config.search.max_candidates,
            threads=search_threads(result.config),
            known=pa.concat_tables(result.store.parts("placements")),
        )

    near = result.pairs.filter(pc.not_equal(result.pairs["kind"], "crop"))
    plain = near.drop_columns(["box_a", "box_b"])
    found = with_crops(
        plain, placed, result.store["hashes"], result.manifest, resolved, result.judged
    )
    crops = found.filter(pc.equal(found["kind"], "crop"))

    held_out = np.zeros(len(result.manifest), bool)
    is_held_out = pc.is_in(splits, pa.array(resolved.splits.held_out, pa.string())).to_numpy()
    held_out[samples] = is_held_out
    across = held_out[crops["a"].to_numpy()] != held_out[crops["b"].to_numpy()]

    return crops.filter(pa.array(across))


def _setup(result: Run) -> dict[str, Any]:
    hashing, orientations = result.config.hash, result.resolved.search.orientations
    return parts_work.work(
        hashing.background, hashing.max_pixels, mirrored=orientations != "upright"
    )


def _searched(result: Run, parts: pa.Table) -> NDArray[np.int64]:
    """Samples whose parts are searched: of identical pictures the lowest, of crowds the leaders."""
    hashes = result.store["hashes"]
    first = graph.representatives(hashes["pixel_digest"]) == np.arange(len(hashes))
    has_points = pc.greater(parts["n_points"], 0).to_numpy()
    chosen = first & has_points
    crowds = result.store["crowds"]
    members = crowds["sample"].to_numpy()[
        crowds["sample"].to_numpy() != crowds["leader"].to_numpy()
    ]
    chosen[members] = False

    return np.flatnonzero(chosen).astype(np.int64)


class _Greys:
    """The grey levels of samples, decoded by the engine."""

    def __init__(self, result: Run, engine: Engine, setup: dict[str, Any]) -> None:
        self._source, self._row_of_sample = result.opened(), result.row_of_sample
        self._engine, self._setup = engine, setup
        self._payload_of = (
            Named(self._source).of if isinstance(engine, Distributed) else self._source.payload_of
        )

    def __call__(self, samples: Sequence[int]) -> Iterator[NDArray[np.uint8] | None]:
        """In the order given; None where there is no picture any more."""
        rows = [int(self._row_of_sample[sample]) for sample in samples]

        for batch in self._engine.run(grey_work.WORK, self._setup, self._tasks(rows)):
            for row in batch.select(["height", "width", "levels"]).to_pylist():
                if row["levels"] is None:
                    yield None
                else:
                    levels = np.frombuffer(row["levels"], np.uint8)
                    yield levels.reshape(row["height"], row["width"])

    def _tasks(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(rows), _READ_AT_ONCE):
            yield from self._payload_of(rows[begin : begin + _READ_AT_ONCE])
