"""Pictures outside the dataset's own folder: links and absolute paths lead there.

Links into a store are how the Hub's cache, DVC and git-annex keep pictures, and lists of absolute
paths are legitimate: such pictures are samples like any others, and counted. What may be carried
into an output is decided by what a file is, never by where it is: only what its first bytes show to
be an image.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dedup.config import DatasetConfig
from dedup.decoding.contents import REFUSED
from dedup.decoding.refusals import LONGEST, shows_image
from dedup.errors import ConfigError
from dedup.formats.first_bytes import head_of
from dedup.formats.several import Several
from dedup.formats.source import Source

logger = logging.getLogger(__name__)


class Place:
    """Which files of a dataset lie outside its folder, and which of them may not be read."""

    def __init__(self, root: Path | None, paths: Sequence[bytes | None], *, allowed: bool) -> None:
        self.outside = leading_out(root, paths) if root is not None else np.zeros(len(paths), bool)
        self._allowed = allowed

    def of(self, row: int, path: bytes | None) -> bytes | None:
        """The path of a row, or what stands for one that may not be read."""
        return REFUSED if not self._allowed and self.outside[row] else path


def leading_out(root: Path, paths: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Whether each file, links resolved, lies outside `root`. A file that is not there is where its
    folder is.
    """
    home = os.path.realpath(os.fsencode(root))
    below = home.rstrip(b"/") + b"/"
    real_of: dict[bytes, bytes] = {}
    inside: set[bytes] = set()  # folders: a file in one of these is inside, if it is not a link
    outside = np.zeros(len(paths), bool)

    for row, path in enumerate(paths):
        if path is None:
            continue
        folder, name = os.path.split(path)
        try:
            if folder not in real_of:
                real_of[folder] = os.path.realpath(folder)
                if (real_of[folder] + b"/").startswith(below):
                    inside.add(folder)
            is_link = os.path.islink(path)
            if folder in inside and not is_link:
                continue
            real = os.path.join(real_of[folder], name)  # the names are bytes
            real = os.path.realpath(real) if is_link else real
        except (OSError, ValueError):  # no file can have such a name
            continue
        outside[row] = not (real == home or real.startswith(below))

    return outside


def n_outside(source: Source) -> int:
    """Samples whose pictures lie outside the folder of their dataset."""
    if isinstance(source, Several):
        return sum(n_outside(part.source) for part in source.parts)
    place = getattr(source, "place", None)
    return 0 if place is None else int(place.outside.sum())


def tell_outside(source: Source, config: DatasetConfig) -> None:
    """Count the pictures outside the dataset in one line, if there are any."""
    n = n_outside(source)
    if n:
        logger.info(
            "%s: %s of %s pictures lie outside its folder (links, absolute paths): %s.",
            source.name,
            f"{n:,}",
            f"{len(source.rows):,}",
            (
                "samples like any others (dataset.allow_outside)"
                if allows(config)
                else "not read, status 'outside'"
            ),
        )


def allows(config: DatasetConfig) -> bool:
    """Whether pictures outside the dataset may be read, of every dataset that is opened."""
    return all(of_one.allow_outside for of_one in config.sources or (config,))


def refuse_push_of_outside(source: Source, config: DatasetConfig) -> None:
    """Raise `ConfigError` for an upload of pictures from outside, unless the config names the key
    that allows it.
    """
    n = n_outside(source)
    asked = all(
        "allow_outside" in of_one.model_fields_set for of_one in config.sources or (config,)
    )
    if n and allows(config) and not asked:
        message = (
            f"output.push_to_hub: {n:,} pictures lie outside the dataset's folder, as links or"
            " absolute paths. Set dataset.allow_outside: true to upload them as well, or false to"
            " leave them out."
        )
        raise ConfigError(message)


def is_image_file(path: bytes | str) -> bool:
    """Whether a file that goes with a sample, such as a mask, is an image by its first bytes."""
    return shows_image(head_of(path, LONGEST))
