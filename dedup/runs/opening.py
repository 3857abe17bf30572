"""The dataset of a run, opened: what cannot be done is refused before hours of hashing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from dedup.clock import Clock
from dedup.config import Config, Resolved, resolve
from dedup.errors import ConfigError, LimitError, SourceError
from dedup.formats import Source, check_movable, check_writable, open_source, parts_of
from dedup.formats.outside import tell_outside
from dedup.policy.judgements import Lists, places
from dedup.runs import folder
from dedup.runs.fingerprints import run_info, source_info
from dedup.runs.folder import Staged
from dedup.runs.judging import judgements
from dedup.runs.output import output_folder, refuse_push
from dedup.runs.result import Run, specs_of
from dedup.runs.stored import read_manifest
from dedup.runs.storing import Store
from dedup.tables import storage


def opened(
    config: Config,
    dataset: Any,
    lists: Lists,
    clock: Clock,
    held: ExitStack,
    accepts: Callable[[Mapping[str, Any]], None] | None,
    *,
    overwrite: bool,
) -> tuple[Run, Staged | None, Lists]:
    """The run over a dataset, with its manifest.

    The run's folder stays locked until `held` is closed. The lists come back with what was judged
    in the review of the run that is in the folder.
    """
    with clock.stage("manifest") as done:
        source = open_source(config.dataset, dataset)
        table, row_of_sample = read_manifest(source, config)
        done(len(table))

    places(lists, table)
    names = [part.name for part in parts_of(source)]
    home = output_folder(config.output, names)
    if home is not None:
        lists = replace(lists, record=judgements(home))

    resolved = replace(resolve(config, table["split"].unique().to_pylist()), lists=lists.digests())

    _refuse_what_cannot_be_written(source, config, resolved, has_home=home is not None)
    tell_outside(source, config.dataset)

    info = run_info(config, source_info(config, source), table, lists.digests())
    if accepts is not None:
        accepts(info)

    place = None
    if home is not None:
        place = held.enter_context(
            folder.staged(home, info["fingerprints"], info, overwrite=overwrite)
        )
        folder.refuse_without_space(home)

    store = Store() if place is None else Store(place.folder, home=place.home)
    if place is not None:
        storage.write(source.not_read, place.folder, folder.NOT_READ, {})

    result = Run(config, resolved, source, row_of_sample, store, info)
    store.put("manifest", table, specs_of(result))

    return result, place, lists


def _refuse_what_cannot_be_written(
    source: Source, config: Config, resolved: Resolved, *, has_home: bool
) -> None:
    """Raise where the splits could not be written or pushed as the config asks for it."""
    if config.output.splits != "none" and has_home:
        check_writable(source, config.output.splits)
        if resolved.policy.leakage == "regroup":
            check_movable(source, config.output.splits)

    refuse_push(config, source)


@contextmanager
def undone_if_refused(result: Run) -> Iterator[None]:
    """Leave no half of a run behind when what was asked for cannot be; what was measured is in the
    cache.

    Without a cache it stays for the next run.
    """
    try:
        yield
    except (ConfigError, LimitError, SourceError):
        if result.dir is not None and result.config.cache.folder is not None:
            folder.discard(result.dir)
        raise
