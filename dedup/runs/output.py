"""Where the result goes: the splits are written, certified and only then put in their place."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import files
from dedup.config import Config, OutputConfig
from dedup.engines import Engine
from dedup.errors import ConfigError, RunError, SourceError
from dedup.formats import Source, open_source, push_splits, write_splits
from dedup.formats.outside import refuse_push_of_outside
from dedup.hashers.setup import Setup
from dedup.memory import give_back
from dedup.reporting import html
from dedup.reporting.readme import readme
from dedup.runs import folder
from dedup.runs.result import Run, search_threads
from dedup.runs.stored import reopen

logger = logging.getLogger(__name__)


def output_folder(output: OutputConfig, datasets: Sequence[str]) -> Path | None:
    """Where the run goes: neither into a dataset, whose samples its files would become, nor around
    it.
    """
    if output.dir is None:
        return None

    if not output.dir.strip():
        message = "output.dir is empty. Name a folder."
        raise ConfigError(message)

    out = Path(output.dir).expanduser()
    for dataset in datasets:
        if Path(dataset).is_dir() and files.inside(out, Path(dataset)):
            message = (
                f"output.dir {str(out)!r} lies inside the dataset {dataset!r}. Name a folder"
                " outside it."
            )
            raise ConfigError(message)
        if Path(dataset).exists() and files.inside(Path(dataset), out):
            message = (
                f"The dataset {dataset!r} lies inside the output folder {str(out)!r}. Name another"
                " folder."
            )
            raise ConfigError(message)

    return out


def write_certified(result: Run) -> Run:
    """Write the kept samples and certify what was written.

    Returns the run with its certificate.
    """
    keep, source = result.keep(), result.opened()
    certificate: dict[str, Any] | None = None
    place = result.store.folder
    if place is None:
        if keep.any() and source.form == "huggingface":
            # no slices of slices
            again = source.written(Path()).model_copy(update={"source": "auto", "path": None})
            certificate = _certified(result, lambda: open_source(again, result.splits()), keep)
        return _with(result, certificate)

    home = result.dir or place
    target = home / files.OWN / folder.SPLITS
    files.remove(target, folder.owner_of(home))
    target.mkdir()
    if keep.any():
        output = result.config.output
        out = write_splits(source, keep, target, output.splits, output.files, result.moves())
        result.store.release("file_digest")
        give_back()
        if out.rows.any() and not out.is_empty:
            certificate = _certified(
                result, lambda: open_source(out.config), out.rows, out.default_split, out.in_order
            )
        else:
            logger.warning("Nothing was written: no picture that is kept could be found.")

    result = _with(result, certificate)
    card = target / "README.md"
    if card.exists():  # a sample of that name
        card = target / "README.dedup.md"

    files.write_text(card, readme(result.summary, target))
    folder.put_splits(target, place, home)

    return result


def _with(result: Run, certificate: Mapping[str, Any] | None) -> Run:
    return replace(result, summary=result.summary | {"certificate": certificate})


def refuse_push(config: Config, source: Source) -> None:
    """Refuse an upload that could not be made, or that nobody has asked for, before the work
    begins.
    """
    output = config.output
    form = source.form if output.splits == "same" else output.splits
    if output.push_to_hub is not None and (
        form not in {"parquet", "huggingface"} or output.dir is None
    ):
        message = (
            "output.push_to_hub: only Parquet splits are pushed. Set output.splits=parquet and"
            " output.dir."
        )
        raise ConfigError(message)

    if output.push_to_hub is not None:
        refuse_push_of_outside(source, config.dataset)


def push(result: Run) -> None:
    """Upload the splits of a finished run if the config asks for it; a dataset that still leaks
    stays at home.
    """
    repository, certificate = result.config.output.push_to_hub, result.summary["certificate"]
    if repository is None or result.dir is None:
        return

    if certificate is None or not certificate["clean"]:
        logger.warning(
            "Not pushed to %s: %s",
            repository,
            certificate["statement"] if certificate else "it is empty.",
        )
        return

    push_splits(result.dir / folder.SPLITS, repository)
    logger.info("Pushed to %s", repository)


def _certified(
    result: Run,
    open_written: Callable[[], Source],
    there: NDArray[np.bool_],
    default_split: str | None = None,
    in_order: bool = True,  # noqa: FBT001, FBT002
) -> dict[str, Any]:
    """The certificate of what was written: the rows `there`, in the order of the source unless
    `in_order` is false.
    """
    from dedup.certificate.certificate import certificate, groups_across  # they bring numba
    from dedup.certificate.readback import by_split
    from dedup.certificate.search import Searched

    config = result.config
    sample_of_row = np.argsort(result.row_of_sample)[there]
    rows = pa.array(sample_of_row)
    splits = pc.coalesce(result.decisions["new_split"], result.manifest["split"]).take(rows)
    written_as = splits if default_split is None else splits.fill_null(default_split)

    return certificate(
        open_written,
        Searched(
            result.store["hashes"],
            result.candidate_parts,
            result.store.file_digests(),
            result.store.thumbnails(),
            result.store["crowds"],
        ),
        by_split(written_as, sample_of_row),
        Setup.of(config),
        result.resolved,
        result.judged,
        n_groups=groups_across(
            result.manifest["group"].take(rows),
            splits,
            result.resolved.splits.held_out,
        ),
        crops=_crops(result, sample_of_row, splits),
        uncompared=result.store["uncompared"],
        limit=config.search.max_candidates,
        threads=search_threads(config),
        in_order=in_order,
    )


def _crops(result: Run, samples: NDArray[np.int64], splits: pa.ChunkedArray) -> pa.Table | None:
    """The crops that a second search of parts finds; None where parts are not searched."""
    if result.resolved.parts.parts == "off":
        return None

    from dedup.runs.parting import crops_left  # it brings OpenCV

    return crops_left(result, samples, splits)


def write_report(result: Run, engine: Engine, *, open_dataset: bool = True) -> None:
    """The HTML page; its pictures come from the dataset, or from the stored thumbnails where that
    is gone.

    A dataset that is not open is opened only if `open_dataset` is set.
    """
    place = result.store.folder
    if place is None:
        return

    if result.source is None and open_dataset:
        try:
            result = reopen(result)
        except (ConfigError, SourceError, RunError) as error:
            logger.warning("The report shows thumbnails only: %s", error)

    source = result.source

    def read(samples: Sequence[int]) -> Iterator[pa.RecordBatch]:
        if source is None:
            return iter(())
        return source.payload_of([int(result.row_of_sample[sample]) for sample in samples])

    page = html.render(
        result.tables,
        result.candidate_parts,
        result.summary,
        title=result.info["source"]["name"],
        read=read,
        settings=result.config.hash,
        engine=engine,
        thumbnails=None if result.store.has_thumbnails() else result.store.thumbnails(),
        written=result.config.output.splits != "none",
        opened=source is not None,
    )
    files.write_text(place / folder.REPORT, page)
