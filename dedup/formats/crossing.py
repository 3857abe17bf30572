"""From one form to another: the kept samples of any source, written in the form that `output.splits` names."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.config import DatasetConfig, NamedSource
from dedup.formats import imagefolder, manifest, webdataset
from dedup.formats.several import Several
from dedup.formats.source import Sample, Source, safe, samples

Writer = Callable[[Iterable[Sample], Path, str], DatasetConfig]


def _parquet(kept: Iterable[Sample], folder: Path, files: str) -> DatasetConfig:
    from dedup.formats.shards import write_samples  # `datasets` takes a second to import

    return write_samples(kept, folder, files)


WRITERS: Final[dict[str, Writer]] = {
    "imagefolder": imagefolder.write_samples,
    "manifest": manifest.write_samples,
    "huggingface": _parquet,
    "webdataset": webdataset.write_samples,
}


def write_splits(source: Source, keep: NDArray[np.bool_], folder: Path, splits: str, files: str) -> DatasetConfig:
    """Write the kept rows to `folder` and say how to open them.

    `splits` is what `output.splits` names. The source's own form keeps all that the source has; another form gets
    image, label, id and split of each sample. Image bytes are never changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Several):
        return _write_several(source, keep, folder, splits, files)
    form = "huggingface" if splits == "parquet" else splits
    if form in {"same", source.form}:
        return source.write(keep, folder, files)
    return WRITERS[form](samples(source, keep), folder, files)


def push_splits(folder: Path, repository: str) -> None:
    """Upload a written Hugging Face dataset to the Hub."""
    from dedup.formats.hub import push  # `datasets` takes a second to import

    push(folder, repository)


def _write_several(source: Several, keep: NDArray[np.bool_], folder: Path, splits: str, files: str) -> DatasetConfig:
    """Write what is cleaned: one dataset to the folder itself, several to folders below it; no reference."""
    n_own = sum(not part.config.reference for part in source.parts)
    entries: list[NamedSource] = []
    for part, kept in source.slices(keep):
        entry = part.config.model_copy(update={"prefix": part.prefix})
        if not part.config.reference:
            if not kept.any():
                continue
            target = folder if n_own == 1 else folder / (safe(part.prefix) or f"dataset-{len(entries)}")
            written = write_splits(part.source, kept, target, splits, files)
            entry = NamedSource(**written.model_dump(exclude={"sources"}), prefix=part.prefix)
        entries.append(entry)
    return DatasetConfig(sources=tuple(entries))
