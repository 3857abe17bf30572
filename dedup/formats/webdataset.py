"""WebDataset: tar shards in which the members of a sample stand side by side under one key."""

import logging
import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.decoding.contents import PAYLOAD, REFUSED
from dedup.decoding.pictures import FILE_SUFFIXES
from dedup.errors import ConfigError, SourceError
from dedup.formats.account import Opened
from dedup.formats.further import Further, Row, inferred, written_names
from dedup.formats.inner_folders import InnerFolders, of_no_sample
from dedup.formats.labels import label_text
from dedup.formats.nested import MAX_DEPTH
from dedup.formats.placing import new_file
from dedup.formats.references import of_ranges
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    Sample,
    moved_rows,
    no_column,
    printable_names,
    safe,
    split_named,
)
from dedup.formats.split_words import told_by
from dedup.formats.tar_samples import SaidInTar, id_in_tar, read_member
from dedup.formats.tar_splits import ARCHIVES, NAMED, shard_files, splits_of_shards
from dedup.formats.tar_writing import WrittenShards
from dedup.formats.tars import END, Entry, Member, entries, head_suffix
from dedup.paths import make_folder

logger = logging.getLogger(__name__)


_COPIED_AT_ONCE: Final = 1 << 20


class WebDataset(Opened):
    """The samples of tar shards, in the order of the shards. Ids are `shard/key`, without the
    shard's `.tar`.
    """

    form: str = "webdataset"

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        self.root = path if path.is_dir() else path.parent
        self.name = str(path)
        self._config = config
        self._shards = shard_files(path)
        self._shard, self._start, self._stop, self._offset, self._size = (
            array("q") for _ in range(5)
        )
        self._is_refused = array("b")
        self._columns: set[str] = set()
        ids: list[str] = []
        keys: list[str] = []
        passed: list[str] = []
        fields: set[str] = set()
        labels: list[str | None] = []
        splits: list[str | None] = []
        deep: list[str] = []
        of_shard = splits_of_shards(
            [shard.relative_to(self.root) for shard in self._shards], config, self.name
        )
        broken: list[str] = []

        for number, shard in enumerate(self._shards):
            prefix = shard.relative_to(self.root).with_suffix("").as_posix()
            beside: list[str] = []
            with shard.open("rb") as file:
                for entry in entries(shard, beside):
                    said = SaidInTar(file, entry, shard)
                    self._add(number, entry, shard, file)
                    self._columns |= said.columns()
                    labels.append(label_text(said.label(config.label_column)))
                    own = said.text(config.split_column) if config.split_column else None
                    splits.append(
                        of_shard[number]
                        if own is None
                        else split_named(own, config, str(shard), entry.key)
                    )
                    is_broken = said.is_broken
                    named = config.id_column and not is_broken
                    keys.append(entry.key)
                    fields |= {member.field for member in entry.members}
                    ids.append(
                        id_in_tar(said, entry, config, shard) if named else f"{prefix}/{entry.key}"
                    )
                    broken += [f"{shard}: {entry.key}.json"] if is_broken else []
                    deep += [ids[-1]] if said.is_deep else []
            passed += [f"{shard.relative_to(self.root).as_posix()}: {name}" for name in beside]

        self.doubts = [
            *([_of_broken(broken)] if broken else []),
            *([of_no_sample(passed)] if passed else []),
        ]
        if not ids or max(self._size) < 0:
            raise self._no_images(len(ids), fields)

        folders = InnerFolders(keys, self.name)
        usual = normal_split(config.default_split)
        self._is_inside = (
            folders.say_splits and not config.split_column and set(of_shard) == {usual}
        )
        splits = folders.splits() if self._is_inside else splits
        labels = labels if config.label_column or any(labels) else folders.labels()

        if deep:
            text = (
                "%s: in %s samples, the first of them %r, values are nested deeper than %s levels."
                " They are null."
            )
            logger.warning(text, self.name, f"{len(deep):,}", deep[0], MAX_DEPTH)

        ids = printable_names(ids)
        self.rows = pa.table([ids, splits, labels, ids], schema=ROWS)

    def references(self, size: int) -> Iterator[pa.RecordBatch]:
        """Where the images lie in the shards."""
        names = [os.fsencode(shard) for shard in self._shards]
        for start in range(0, len(self._shard), size):
            rows = range(start, min(start + size, len(self._shard)))
            sizes = self._size[start : rows.stop]
            paths = [
                (
                    REFUSED
                    if self._is_refused[row]
                    else names[self._shard[row]]
                    if self._size[row] >= 0
                    else None
                )
                for row in rows
            ]
            yield of_ranges(list(rows), paths, list(self._offset[start : rows.stop]), list(sizes))

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        data: list[bytes | None] = []
        file: BinaryIO | None = None
        at = -1

        try:
            for row in rows:
                if self._shard[row] != at:
                    if file is not None:
                        file.close()
                    at = self._shard[row]
                    file = self._shards[at].open("rb")
                data.append(
                    read_member(file, self._offset[row], self._size[row])
                    if file and self._size[row] >= 0
                    else None
                )
        finally:
            if file is not None:
                file.close()

        refused = [REFUSED if self._is_refused[row] else None for row in rows]
        data = [of if name is None else None for of, name in zip(data, refused, strict=True)]
        yield pa.record_batch([list(rows), refused, data], schema=PAYLOAD)

    def own_files(self) -> Iterator[Path]:
        """The shards."""
        return iter(self._shards)

    def check_writable(self) -> None:
        """Every WebDataset can be written."""

    def columns(self) -> Sequence[str]:
        """Members that are texts, and keys of the JSON members."""
        return sorted(self._columns)

    def texts(self, column: str) -> list[str | None]:
        """What the member of that name, or that key of the JSON member, says of each sample."""
        found: list[str | None] = []
        for shard in self._shards:
            with shard.open("rb") as file:
                found += [SaidInTar(file, entry, shard).text(column) for entry in entries(shard)]

        if not any(found):
            raise no_column(self.name, column, [])

        return found

    def further(self) -> Further:
        """Keys of the JSON members and the texts beside the images."""
        config = self._config
        of_label = {config.label_column} if config.label_column else {"label", "class", "cls"}
        parts = {config.id_column, config.split_column, *of_label}

        def rows() -> Iterator[Row]:
            for shard in self._shards:
                with shard.open("rb") as file:
                    for entry in entries(shard):
                        said = SaidInTar(file, entry, shard).everything()
                        yield {name: value for name, value in said.items() if name not in parts}

        names = list(dict.fromkeys(name for row in rows() for name in row))

        return inferred(names, rows)

    def check_movable(self) -> None:
        """Samples can go to a shard of another split if shards, not samples, say what they are
        of.
        """
        places = {
            split: self._shard_of_moved(split, 0)
            for split in self.rows["split"].unique().to_pylist()
            if split
        }
        names = [path.relative_to(self.root) for path in places.values()]
        said_elsewhere = self._config.split_column or self._is_inside
        if said_elsewhere or splits_of_shards(names, self._config, self.name) != list(places):
            message = (
                f"{self.name}: policy.leakage=regroup cannot move samples between these shards, as"
                " their names do not say the splits. Set output.splits: parquet, manifest,"
                " imagefolder or none."
            )
            raise SourceError(message)

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:  # no files
        """The kept samples in shards of the same names: the bytes of their members, headers
        included, as they were.

        Moved ones go to shards of their own, `test-moved-000000.tar`. A shard of which nothing is
        kept stays as an empty one, so that `{0000..0099}` finds every number.
        """
        of_shard = np.asarray(self._shard)
        for number, shard in enumerate(self._shards):
            target = folder / shard.relative_to(self.root)
            make_folder(target.parent)
            rows = np.flatnonzero(of_shard == number)
            with shard.open("rb") as source, new_file(target, "wb") as out:
                if len(rows):
                    # headers that hold for the whole shard
                    _copy(source, out, 0, self._start[int(rows[0])])
                stay = [row for row in rows[keep[rows]].tolist() if row not in moves]
                for row in stay:
                    _copy(source, out, self._start[row], self._stop[row])
                out.write(END)
            for split in sorted({moves[row] for row in rows.tolist() if row in moves}):
                target = folder / self._shard_of_moved(split, number).relative_to(self.root)
                make_folder(target.parent)
                with shard.open("rb") as source, new_file(target, "wb") as out:
                    _copy(source, out, 0, self._start[int(rows[0])])
                    for row in rows[keep[rows]].tolist():
                        if moves.get(row) == split:
                            _copy(source, out, self._start[row], self._stop[row])
                    out.write(END)

        return keep

    def _shard_of_moved(self, split: str, number: int) -> Path:
        """The shard that samples of the shard `number` are moved to: beside those of the split, and
        named like it.
        """
        of_split = self._shard[self.rows["split"].to_pylist().index(split)]
        beside: Path = self._shards[of_split]
        inside = any(told_by(folder) for folder in beside.relative_to(self.root).parts[:-1])
        return beside.with_name(f"{'' if inside else split + '-'}moved-{number:06d}.tar")

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings."""
        return self._config.model_copy(update={"source": self.form, "path": str(folder)})

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept pictures as datasets with the columns image, label and id."""
        # `datasets` takes a second to import
        from dedup.formats.made_datasets import files_as_dataset_dict

        images: list[Any] = [None] * len(keep)
        for batch in self.payload_of(np.flatnonzero(keep).tolist()):
            for row, data in zip(batch["row"].to_pylist(), batch["data"].to_pylist(), strict=True):
                images[row] = {"bytes": data, "path": None}

        return files_as_dataset_dict(moved_rows(self.rows, moves), images, keep)

    def _no_images(self, n: int, fields: Collection[str]) -> SourceError:
        """What is said of tar files without a single image."""
        named = self._config.image_column
        what = f"dataset.image_column {named!r}" if named else "a suffix of images"
        inside = sorted({field.partition(".")[0] for field in fields} & ARCHIVES)
        remedy = (
            f" There are archives inside ({', '.join(inside)}): unpack the outer ones, and name"
            " their folder."
            if inside
            else ""
        )

        return SourceError(
            f"{self.name}: no member of the {n:,} samples in its tar files has {what}.{remedy}"
        )

    def _add(self, shard: int, entry: Entry, path: Path, file: BinaryIO) -> None:
        image = _image(entry, self._config.image_column, path)
        if image is None and not self._config.image_column:
            image = _unnamed(entry, file)
        self._shard.append(shard)
        self._start.append(entry.start)
        self._stop.append(entry.stop)
        self._offset.append(image.offset if image else -1)
        self._size.append(image.size if image else -1)
        self._is_refused.append(entry.is_refused)


def write_samples(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:  # no files
    """Samples of another form as shards `split-000000.tar`, each with its image and a JSON of all
    that is said of it.

    A label that is a number is also written as `cls`, which readers of WebDataset take for a whole
    number.
    """
    shards: dict[str | None, WrittenShards] = {}
    others = written_names(further.names, {"id", "label", "class", "split"})
    try:
        for sample in samples:
            if sample.split not in shards:
                shards[sample.split] = WrittenShards(
                    folder, safe(sample.split or "") or "images", len(shards), others
                )
            shards[sample.split].add(sample)
    finally:
        for open_shards in shards.values():
            open_shards.close()

    return DatasetConfig(
        source="webdataset", path=str(folder), id_column="id", split_column="split"
    )


def _of_broken(broken: Sequence[str]) -> str:
    first = ", ".join(map(repr, broken[:NAMED])) + (", …" if len(broken) > NAMED else "")
    n = len(broken)

    return (
        f"{n:,} JSON member{' is' if n == 1 else 's are'} not valid JSON: {first}. The samples go"
        f" on without what {'it says' if n == 1 else 'they say'}."
    )


def _image(entry: Entry, named: str | None, shard: Path) -> Member | None:
    if named is not None:
        return entry.member(named.lower())

    images = [m for m in entry.members if "." + m.field.rsplit(".", 1)[-1] in FILE_SUFFIXES]
    if len(images) > 1:
        known = ", ".join(repr(member.field) for member in images)
        message = (
            f"{shard}: the sample {entry.key!r} has several images: {known}. Choose one as"
            " dataset.image_column."
        )
        raise ConfigError(message)

    return images[0] if images else None


def _unnamed(entry: Entry, file: BinaryIO) -> Member | None:
    """The first member whose content is that of an image, whatever its name ends with."""
    return next(
        (member for member in entry.members if member.size and head_suffix(file, member.offset)),
        None,
    )


def _copy(source: BinaryIO, out: BinaryIO, start: int, stop: int) -> None:
    source.seek(start)
    left = stop - start
    while left > 0:
        part = source.read(min(left, _COPIED_AT_ONCE))
        out.write(part)
        left -= len(part) or left
