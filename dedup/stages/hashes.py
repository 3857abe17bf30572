"""The hashes of a dataset: what is known already and what workers measure, put together in the
order of the samples.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import files
from dedup.cache import Environment, Room, default_folder, prune
from dedup.config import CacheConfig
from dedup.engines import Engine
from dedup.errors import RunError, SourceError
from dedup.formats import Source
from dedup.formats.banks import SIGNS
from dedup.hashers.setup import Setup
from dedup.hashers.work import WORK, work
from dedup.stages.measuring import Pass, Place, measured_parts
from dedup.tables import ABSENT, MANY_WITHOUT_INFORMATION, MIN_INFORMATION
from dedup.tables.entries import SIGNS_BYTES
from dedup.versions import VERSIONS

logger = logging.getLogger(__name__)

PARTS: Final = f"{files.OWN}/hashes"
"""Folder in the run folder for what is measured by a run without a cache."""


@contextmanager
def keeping(
    cache: CacheConfig, setup: Setup, environment: Environment, run_folder: Path | None
) -> Iterator[Place]:
    """Where rows are kept: in the cache, or without one in the run folder, until the table is
    written.

    Warns when the cache was made with these settings where the canary pictures come out
    differently.
    """
    folder = cache_folder(cache)
    own = None if run_folder is None else run_folder / PARTS
    where = own if folder is None else folder
    room = None if where is None else Room(where, setup.spec(), environment, setup.schema())

    for other in room.others() if room is not None else ():
        logger.warning(
            "Not used: what is kept in %s by %s. Here is %s, where the canary pictures come out"
            " differently.",
            where,
            other,
            environment,
        )

    yield Place(room, cache.trust == "size_and_time", run_folder)
    if room is not None and folder is not None:
        with suppress(OSError):
            room.tidy()
            prune(folder, max_bytes=cache.max_bytes)

    owner = None if run_folder is None else files.marked(run_folder, "run")
    if own is not None and owner is not None:
        files.remove(own, owner)


def ahead(engine: Engine, cache: CacheConfig) -> AbstractContextManager[None]:
    """Workers start while the dataset is opened, where it is certain that they will have work."""
    folder = cache_folder(cache)
    new = folder is None or not any(folder.glob("*/*.arrow"))
    return engine.ahead(WORK) if new or cache.trust == "content" else nullcontext()


def cache_folder(cache: CacheConfig) -> Path | None:
    """The folder of the cache, or None for a run that keeps nothing."""
    if cache.folder is None:
        return None
    return default_folder() if cache.folder == "auto" else Path(cache.folder).expanduser()


def environment(setup: Setup) -> Environment:
    """What decodes and measures here."""
    # Imported here: it brings the decoders and numba, for which finished runs have no use.
    from dedup.hashers.canaries import canary

    return Environment(canary(setup), VERSIONS)


def refuse_other(stored: Mapping[str, Any] | None, setup: Setup, what: str) -> None:
    """Raise `RunError` for what was made where the canary pictures come out differently."""
    if stored is None:  # made before there were canaries
        return

    here = environment(setup)
    if stored["canary"] != here.canary:
        there = Environment(**stored)
        message = (
            f"{what} was made by {there}. Here is {here}, where the canary pictures come out"
            " differently: the codes cannot be compared. Use the same versions, or run it again."
        )
        raise RunError(message)


def hashed(
    source: Source,
    row_of_sample: NDArray[np.int64],
    setup: Setup,
    engine: Engine,
    kept: Place,
    advance: Callable[[float], None],
) -> pa.Table:
    """The table `hashes`. What is measured is kept every few seconds, so that a run that is killed
    loses no more.
    """
    through = Pass(source, row_of_sample, setup, engine, kept, advance)
    known = None if kept.room is None else kept.room.folder
    through.put_measured()

    try:
        for part in engine.unordered(WORK, work(setup, known), through.sent()):
            through.take(part)
        table = through.gathered.table()
    finally:
        through.keep()

    return _with_signs(table, source, row_of_sample, setup)


def _with_signs(
    table: pa.Table, source: Source, row_of_sample: NDArray[np.int64], setup: Setup
) -> pa.Table:
    """The table with the column of signs, where a bank is among the datasets."""
    parts = list(measured_parts(source))
    if not parts:
        return table

    n = len(row_of_sample)
    sample_of_row = np.empty(n, np.int64)
    sample_of_row[row_of_sample] = np.arange(n)
    signs = np.full(n, None, object)
    for start, part in parts:
        kept = part.hashes(setup)[SIGNS].to_pylist()
        signs[sample_of_row[start : start + len(kept)]] = kept

    return table.append_column(SIGNS, pa.array(signs.tolist(), pa.binary(SIGNS_BYTES)))


def drift(source: Source) -> int:
    """Bits by which codes of the banks among the datasets may differ from those made here."""
    return max((part.drift() for _, part in measured_parts(source)), default=0)


def refuse_absent(hashes: pa.Table, manifest: pa.Table, name: str) -> None:
    """Raise `SourceError` where not one sample has a file: then it is the dataset that is not where
    it should be.
    """
    if pc.all(pc.is_in(hashes["status"], pa.array(["missing", ABSENT]))).as_py():
        first = f"the first is {manifest['id'][0].as_py()!r}: {hashes['detail'][0].as_py()}"
        message = (
            f"{name}: none of the {len(hashes):,} pictures is where the dataset says, {first}."
            " Paths are relative to the file that names them; another column is chosen as"
            " dataset.path_column or dataset.image_column."
        )
        raise SourceError(message)


def tell_skipped(hashes: pa.Table) -> None:
    """Log how many pictures skip the near-duplicate join, if any do; a warning where they are
    many.
    """
    information = hashes["information"]
    n_readable = len(information) - information.null_count
    n_skipped = pc.sum(pc.less(information, MIN_INFORMATION)).as_py() or 0
    if n_skipped == 0:
        return

    many = n_skipped > MANY_WITHOUT_INFORMATION * n_readable
    logger.log(
        logging.WARNING if many else logging.INFO,
        "hashes: %s of %s readable pictures (%.1f %%) are blank, flat or bare gradients and skip"
        " the near-duplicate join: they are matched by identical pixels only%s",
        f"{n_skipped:,}",
        f"{n_readable:,}",
        100 * n_skipped / n_readable,
        ". Are they what this dataset should hold?" if many else "",
    )
