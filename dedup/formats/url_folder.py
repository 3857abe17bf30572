"""A folder of image files at a URL, read as a manifest of what lies below it.

Object stores have no folders, only names with `/`, and what is asked of them is one listing.
"""

from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import SourceError, because
from dedup.formats.account import NOT_READ
from dedup.formats.layout import layout_of
from dedup.formats.layout_notes import check_names, told_in_a_line
from dedup.formats.listing import HIDDEN, NOT_AN_IMAGE, OUTSIDE_SPLITS, Parts
from dedup.formats.manifest import WRITTEN, Manifest
from dedup.formats.places import client_errors, file_system
from dedup.formats.source import printable
from dedup.formats.text_records import Listed

_COLUMNS: Final = ("path", "split", "label")


class UrlFolder(Manifest):
    """The image files below a URL, by their names. Ids are their paths below it."""

    def __init__(self, url: str, config: DatasetConfig) -> None:
        url = url.rstrip("/")
        images, passed = _listed(url)
        layout = layout_of(images, config.top_folders, config.split_folders)
        check_names(layout, url)

        default, labels = normal_split(config.default_split), layout.labels()
        records: list[dict[str, Any]] = []
        chosen: list[Parts] = []

        for parts in images:
            folder, label = labels[parts[:-1]]
            split = default if folder is None else layout.splits[folder]
            if layout.splits and split is None:
                passed.append((parts, OUTSIDE_SPLITS))
                continue
            chosen.append(parts)
            records.append(dict(zip(_COLUMNS, ("/".join(parts), split, label), strict=True)))

        if not records:
            message = f"{url}: no image files below this URL, by their names."
            raise SourceError(message)

        has_splits = any(record["split"] for record in records)
        names = [name for name in _COLUMNS if has_splits or name != "split"]
        super().__init__(f"{url}/{WRITTEN}", config, Listed(names, records))
        self.name = url
        told = sorted(("/".join(map(printable, parts)), reason) for parts, reason in passed)
        columns = [[path for path, _ in told], [reason for _, reason in told]]
        self.not_read = pa.table(columns, schema=NOT_READ)
        self.understood = told_in_a_line(layout, chosen, [record["label"] for record in records])
        if layout.doubt and not has_splits:
            self.doubts = [layout.doubt]


def _listed(url: str) -> tuple[list[Parts], list[tuple[Parts, str]]]:
    """The images below a URL, sorted, and what is none, with the reason."""
    system, root = file_system(url)
    try:
        with client_errors(url):
            names: Iterable[str] = system.find(root)
    except FileNotFoundError:
        names = ()
    except (OSError, ValueError, RuntimeError) as error:
        message = f"{url}: cannot be listed: {because(error)}."
        raise SourceError(message) from error

    before = root.rstrip("/") + "/"
    images: list[Parts] = []
    passed: list[tuple[Parts, str]] = []

    for name in sorted(names):
        parts = tuple(name.removeprefix(before).split("/"))
        if any(part.startswith(".") for part in parts):
            passed.append((parts, HIDDEN))
        elif parts[-1].lower().endswith(tuple(FILE_SUFFIXES)):
            images.append(parts)
        else:
            passed.append((parts, NOT_AN_IMAGE))

    return images, passed
