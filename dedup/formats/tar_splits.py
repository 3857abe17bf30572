"""Which tar files a dataset has, and the splits that their names say."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError
from dedup.formats.layout import layout_of
from dedup.formats.layout_notes import check_names
from dedup.formats.source import (
    are_splits,
    check_split_names,
)
from dedup.formats.tar_samples import NUMBERS
from dedup.paths import files_below

NAMED: Final = 3
"""Broken members that are named."""

ARCHIVES: Final = frozenset({"tar", "tgz", "zip", "7z", "rar"})
"""Ends of the names of archives inside an archive."""


def shard_files(path: Path) -> list[Path]:
    """The tar files of a folder, or the one file; raises `SourceError` where there are none."""
    if path.is_file():
        return [path]

    shards = sorted(p for p in files_below(path) if p.suffix.lower() == ".tar")
    if not shards:
        message = f"{path}: no .tar files in this folder or below it."
        raise SourceError(message)

    refuse_missing_shards(shards)

    return shards


def refuse_missing_shards(shards: Sequence[Path]) -> None:
    """Raise for a shard that `-of-` in the names of the others tells of."""
    named = {str(shard) for shard in shards}
    for shard in shards:
        if found := re.fullmatch(r"(.*-)(\d+)(-of-)(\d+)", str(shard.with_suffix(""))):
            for number in range(int(found[4])):
                other = f"{found[1]}{number:0{len(found[2])}d}{found[3]}{found[4]}.tar"
                if other not in named:
                    message = (
                        f"{other}: this shard is missing, though {shard.name!r} tells of it. Get it"
                        " again."
                    )
                    raise SourceError(message)


def splits_of_shards(shards: Sequence[Path], config: DatasetConfig, name: str) -> list[str | None]:
    """The split of each shard, from its folders or its name; the default where these are no names
    of splits.
    """
    layout = layout_of((shard.parts for shard in shards), "auto", {})
    if layout.splits:
        check_names(layout, name)
        of_folders = [layout.folder_of(shard.parts) for shard in shards]
        return [
            normal_split(config.default_split) if f is None else layout.splits[f]
            for f in of_folders
        ]

    raw = [name_of_shards(shard.stem) for shard in shards]
    if not are_splits({normal_split(split) for split in raw}):
        return [normal_split(config.default_split)] * len(shards)

    check_split_names({split: normal_split(split) for split in raw}, name)

    return [normal_split(split) for split in raw]


def name_of_shards(stem: str) -> str:
    """A shard's name without its number; only its split, if one is named in it.

    >>> stems = ("train-000012", "imagenet_val_07", "fold1-00000-of-00002")
    >>> [name_of_shards(stem) for stem in stems]
    ['train', 'val', 'fold1']
    """
    prefix = NUMBERS.sub("", stem)
    words = [
        word
        for word in re.split(r"[-_.]", prefix)
        if normal_split(word) in {"train", "validation", "test"}
    ]

    return words[0] if words else prefix
