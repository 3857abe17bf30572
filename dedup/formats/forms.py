"""The table of forms: a new form of dataset is one entry here and one file beside it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from dedup.config import DatasetConfig
from dedup.config.names import SOURCES, WRITTEN, refuse_taken
from dedup.formats import banks, coco, detection, imagefolder, manifest, voc, webdataset, yolo
from dedup.formats.detection import Evidence
from dedup.formats.listing import Listing
from dedup.formats.source import Sample, Source

Writer = Callable[[Iterable[Sample], Path, str, pa.Schema], DatasetConfig]
"""Writes samples of any form to a folder; the text is `output.files`, the schema that of further
columns.
"""

ALL: Final = ("path", "source", "group_column", "group_pattern", "allow_outside")
"""Keys of `dataset` that every form takes."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of dataset."""

    name: str  # what dataset.source calls it
    # the listing of a folder that was walked already
    open: Callable[[Path, DatasetConfig, Listing | None], Source]
    detects: Callable[[Listing], Evidence | None]  # what of a folder it explains
    takes: tuple[str, ...]  # keys of `dataset` that say something of it, besides ALL
    is_folder: bool | None = None  # whether it lies in a folder or in a file; None: either
    write: Writer | None = None  # writes samples of other forms; None: only its own can be written
    ordered: bool = True  # whether what `write` wrote keeps the order of the samples in each split


def _nothing(_: Listing) -> Evidence | None:
    return None


def _rows_on_disk(path: Path, config: DatasetConfig, _: Listing | None) -> Source:
    from dedup.formats.hub import on_disk  # `datasets` takes a second to import

    return on_disk(path, config)


def _write_rows(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:
    from dedup.formats.shards import write_samples  # `datasets` takes a second to import

    return write_samples(samples, folder, files, further)


def _without_listing(
    made: Callable[[Path, DatasetConfig], Any],
) -> Callable[[Path, DatasetConfig, Any], Source]:
    def opened(path: Path, config: DatasetConfig, _: Listing | None) -> Source:
        source: Source = made(path, config)
        return source

    return opened


_COLUMNS: Final = ("id_column", "label_column", "split_column", "default_split")

_FORMS: Final = (
    Form(
        "imagefolder",
        imagefolder.ImageFolder,
        detection.of_files,
        ("image_column", *_COLUMNS, "splits", "top_folders", "split_folders", "companions"),
        is_folder=True,
        write=imagefolder.write_samples,
        ordered=False,  # a folder is read in the order of its names
    ),
    Form(
        "manifest",
        _without_listing(manifest.Manifest),
        _nothing,  # a list in a folder is named by itself
        ("path_column", "bytes_column", "protocols", *_COLUMNS, "splits"),
        is_folder=False,
        write=manifest.write_samples,
    ),
    Form(
        "huggingface",
        _rows_on_disk,
        detection.of_rows,
        (
            *("name", "revision", "split", "data_files", "streaming", "image_column"),
            *("id_column", "label_column", "split_column", "splits"),
        ),
        write=_write_rows,
    ),
    Form(
        "webdataset",
        _without_listing(webdataset.WebDataset),
        detection.of_tars,
        ("image_column", *_COLUMNS, "splits"),
        write=webdataset.write_samples,
    ),
    Form(
        "coco",
        _without_listing(coco.Coco),
        coco.evidence,
        ("image_folder", "id_column", "label_column", "default_split"),
    ),
    Form("yolo", _without_listing(yolo.Yolo), yolo.evidence, ()),
    Form("voc", voc.Voc, voc.evidence, (), is_folder=True),
    Form("bank", _without_listing(banks.Bank), _nothing, ("default_split",)),
)

FORMS: Final[dict[str, Form]] = {form.name: form for form in _FORMS}


def register(form: Form) -> None:
    """Add a form of dataset. Raises `ConfigError` for a name that is taken.

    A folder is taken for it where its `detects` is sure (`Evidence.is_sure`), or where
    `dataset.source` names it.
    """
    refuse_taken("The form", form.name, SOURCES)
    FORMS[form.name] = form
    SOURCES.append(form.name)
    if form.write is not None:
        WRITTEN.insert(-1, form.name)  # before none


def detected(listing: Listing) -> str:
    """The form of what lies in a folder; raises `ConfigError` where two forms compete."""
    found = {
        name: evidence
        for name, form in FORMS.items()
        if (evidence := form.detects(listing)) is not None
    }
    return detection.chosen(listing, found)
