"""From one form to another: the kept samples of any source, written in the form that `output.splits` names."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.config import DatasetConfig
from dedup.formats import imagefolder, manifest, webdataset
from dedup.formats.source import Sample, Source, samples

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
    form = "huggingface" if splits == "parquet" else splits
    if form in {"same", source.form}:
        return source.write(keep, folder, files)
    return WRITERS[form](samples(source, keep), folder, files)
