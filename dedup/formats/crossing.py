"""From one form to another: the kept samples of any source, written in the form that
`output.splits` names.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dedup.config import DatasetConfig, NamedSource
from dedup.errors import InternalError, SourceError
from dedup.formats.forms import FORMS
from dedup.formats.several import Several
from dedup.formats.source import NO_MOVES, Moves, Sample, Source, samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written and how it is read again."""

    config: DatasetConfig
    rows: NDArray[np.bool_]  # of the source, that are there now
    default_split: str | None = None  # what samples without a split are in now
    in_order: bool = True  # whether each split has the order of the source
    # nothing was written: what is there are references, and `config` opens nothing
    is_empty: bool = False


def check_writable(source: Source, splits: str) -> None:
    """Raise `SourceError` for what could not be written as `output.splits` says, before any work is
    done.
    """
    if isinstance(source, Several):
        parts = [part.source for part in source.parts if not part.config.reference]
    else:
        parts = [source]
    for part in parts:
        if _form(splits) in {"same", part.form}:
            part.check_writable()
        elif _form(splits) == "huggingface":
            from dedup.formats.shards import check_split_name  # `datasets` takes a second to import

            for split in part.rows["split"].unique().to_pylist():
                check_split_name(split or "train", part.name)


def check_movable(source: Source, splits: str) -> None:
    """Raise `SourceError` if rows cannot be written in another split, as `policy.leakage: regroup`
    asks for.
    """
    parts = source.parts if isinstance(source, Several) else ()
    own = [part.source for part in parts if not part.config.reference] or [source]
    if len({frozenset(part.rows["split"].unique().to_pylist()) for part in own}) > 1:
        message = (
            f"{source.name}: policy.leakage=regroup cannot move samples between datasets that have"
            " different splits. Give each of dataset.sources the same splits, or clean them one by"
            " one."
        )
        raise SourceError(message)

    for part in own:
        if _form(splits) in {"same", part.form}:
            part.check_movable()


def write_splits(
    source: Source,
    keep: NDArray[np.bool_],
    folder: Path,
    splits: str,
    files: str,
    moves: Moves = NO_MOVES,
) -> Written:
    """Write the kept rows to `folder`, those in `moves` in another split, and say how to open them.

    `splits` is what `output.splits` names. The source's own form keeps all that the source has;
    another form gets image, label, id and split of each sample, and the further columns that it can
    hold. Image bytes are never changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    form = _form(splits)
    if form in {"same", source.form}:
        there = source.write(keep, folder, files, moves)
        # A file that is moved among others has its place by its name.
        if isinstance(source, Several) and not source.own(keep).any():
            return Written(DatasetConfig(), there, is_empty=True)
        written = source.written(folder)
        if not isinstance(
            source, Several
        ):  # with symbolic links, what was written leads out of its folder
            written = written.model_copy(update={"allow_outside": True})
        return Written(written, there, in_order=not moves)

    if isinstance(source, Several):
        return _write_several(source, keep, folder, splits, files, moves)

    further = source.further()
    if further.left:
        logger.warning(
            "%s: %s cannot be written in the form %s and stay behind.",
            source.name,
            _listed(further.left),
            splits,
        )

    target = FORMS[form]
    if target.write is None:
        message = f"output.splits: samples of another form cannot be written in the form {form!r}."
        raise InternalError(message)

    without_image: list[int] = []
    kept = samples(source, keep, moves, further.rows())
    if form == "imagefolder":
        kept = _with_image(kept, without_image)

    config = target.write(kept, folder, files, further.schema)
    if without_image:
        logger.warning(
            "%s: %s rows have no image. An image folder cannot hold them, so they stay behind: set"
            " output.splits to parquet, manifest or webdataset to keep them.",
            source.name,
            f"{len(without_image):,}",
        )

    there = keep.copy()
    there[without_image] = False

    return Written(config, there, "train" if form == "huggingface" else None, target.ordered)


def _with_image(kept: Iterable[Sample], without: list[int]) -> Iterator[Sample]:
    """The samples that have an image; the rows of the others are added to `without`."""
    for sample in kept:
        if sample.path is None and sample.data is None:
            without.append(sample.row)
        else:
            yield sample


def _listed(columns: Sequence[str]) -> str:
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(map(repr, columns))}"


def _form(splits: str) -> str:
    return "huggingface" if splits == "parquet" else splits


def push_splits(folder: Path, repository: str) -> None:
    """Upload a written Hugging Face dataset to the Hub."""
    from dedup.formats.hub import push  # `datasets` takes a second to import

    push(folder, repository)


def _write_several(
    source: Several, keep: NDArray[np.bool_], folder: Path, splits: str, files: str, moves: Moves
) -> Written:
    """Write what is cleaned in another form, each dataset to its own place; references stay as they
    are.
    """
    entries: list[NamedSource] = []
    rows: list[NDArray[np.bool_]] = []
    default_split: str | None = None
    in_order = True

    for (part, kept), target, own in zip(
        source.slices(keep), source.targets(folder), source.moves_of_parts(moves), strict=True
    ):
        rows.append(kept)
        if target is None:
            entries.append(part.config.model_copy(update={"prefix": part.prefix}))
        elif kept.any():
            written = write_splits(part.source, kept, target, splits, files, own)
            rows[-1] = written.rows
            default_split = default_split or written.default_split
            in_order = in_order and written.in_order
            entries.append(
                NamedSource(**written.config.model_dump(exclude={"sources"}), prefix=part.prefix)
            )

    if not source.own(keep).any():
        return Written(DatasetConfig(), np.concatenate(rows), is_empty=True)

    return Written(
        DatasetConfig(sources=tuple(entries)), np.concatenate(rows), default_split, in_order
    )
