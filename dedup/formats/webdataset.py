"""WebDataset: tar shards in which the members of a sample stand side by side under one key."""

import io
import json
import logging
import os
import re
import tarfile
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from dedup.formats.further import Further, Row, as_json, inferred, written_names
from dedup.formats.inner_folders import InnerFolders, of_no_sample
from dedup.formats.labels import label_text
from dedup.formats.layout import layout_of
from dedup.formats.layout_notes import check_names
from dedup.formats.nested import MAX_DEPTH, parsed
from dedup.formats.placing import new_file
from dedup.formats.references import of_ranges
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    Sample,
    are_splits,
    check_split_names,
    moved_rows,
    no_column,
    printable_names,
    safe,
    split_named,
)
from dedup.formats.split_words import told_by
from dedup.formats.tars import END, Entry, Member, entries, head_suffix
from dedup.formats.texts import as_text
from dedup.paths import files_below, make_folder

logger = logging.getLogger(__name__)

_LONGEST_TEXT: Final = 1_000_000  # bytes of a label or a JSON file
_BYTES_PER_SHARD: Final = 1_000_000_000
_SAMPLES_PER_SHARD: Final = 10_000
_NAMED: Final = 3
"""Broken members that are named."""

_COPIED_AT_ONCE: Final = 1 << 20
_TEXTS: Final = ("txt", "text", "caption", "cls")
"""Members that are read as texts when another form is written."""

_ARCHIVES: Final = frozenset({"tar", "tgz", "zip", "7z", "rar"})
"""Ends of the names of archives inside an archive."""

_NUMBERS: Final = re.compile(r"[-_.]?\d*(-of-\d+)?$")


class WebDataset(Opened):
    """The samples of tar shards, in the order of the shards. Ids are `shard/key`, without the
    shard's `.tar`.
    """

    form: str = "webdataset"

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        self.root = path if path.is_dir() else path.parent
        self.name = str(path)
        self._config = config
        self._shards = _shards(path)
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
        of_shard = _splits_of(
            [shard.relative_to(self.root) for shard in self._shards], config, self.name
        )
        broken: list[str] = []

        for number, shard in enumerate(self._shards):
            prefix = shard.relative_to(self.root).with_suffix("").as_posix()
            beside: list[str] = []
            with shard.open("rb") as file:
                for entry in entries(shard, beside):
                    said = _Said(file, entry, shard)
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
                        _id(said, entry, config, shard) if named else f"{prefix}/{entry.key}"
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
                    _read(file, self._offset[row], self._size[row])
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
                found += [_Said(file, entry, shard).text(column) for entry in entries(shard)]

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
                        said = _Said(file, entry, shard).everything()
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
        if said_elsewhere or _splits_of(names, self._config, self.name) != list(places):
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
        inside = sorted({field.partition(".")[0] for field in fields} & _ARCHIVES)
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


class _Said:
    """What the members beside an image say of it."""

    def __init__(self, file: BinaryIO, entry: Entry, shard: Path) -> None:
        self._file = file
        self._entry = entry
        self._shard = shard
        self._json: Any = None
        self.is_broken = False  # the JSON member was asked for and is not JSON
        self.is_deep = False  # a part of the JSON member was left out

    def label(self, named: str | None) -> str | None:
        """The named member or key of the JSON member; else its `label` or `class`, else the member
        `cls`.
        """
        if named is not None:
            return self.text(named)

        found = next(
            (value for key in ("label", "class") if (value := self._value(key)) is not None), None
        )

        return found if found is not None else self._member("cls")

    def text(self, name: str) -> str | None:
        """The member of that name, or that key of the JSON member."""
        found = self._member(name.lower())
        return found if found is not None else self._value(name)

    def columns(self) -> set[str]:
        """The names of what `text` reads, without reading more than the JSON."""
        return {field for field in _TEXTS if self._entry.member(field) is not None} | (
            self._object() or {}
        ).keys()

    def everything(self) -> dict[str, Any]:
        """The members that are texts, and the keys of the JSON member."""
        texts = {
            field: self._member(field) for field in _TEXTS if self._entry.member(field) is not None
        }
        return texts | (self._object() or {})

    def _member(self, field: str) -> str | None:
        member = self._entry.member(field)
        if member is None:
            return None
        return self._content(member).decode("utf-8", "backslashreplace").rstrip("\r\n") or None

    def _value(self, key: str) -> str | None:
        found = self._object()
        return None if found is None else as_text(found.get(key))

    def _object(self) -> dict[str, Any] | None:
        """What the JSON member holds, if it is an object."""
        member = self._entry.member("json")
        if member is None:
            return None

        if self._json is None:
            try:
                self._json, self.is_deep = parsed(self._content(member))
            except ValueError:
                self._json = False  # says nothing; whoever opens the dataset counts it
                self.is_broken = True

        return self._json if isinstance(self._json, dict) else None

    def _content(self, member: Member) -> bytes:
        return _read(self._file, member.offset, min(member.size, _LONGEST_TEXT))


def write_samples(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:  # no files
    """Samples of another form as shards `split-000000.tar`, each with its image and a JSON of all
    that is said of it.

    A label that is a number is also written as `cls`, which readers of WebDataset take for a whole
    number.
    """
    shards: dict[str | None, _Shards] = {}
    others = written_names(further.names, {"id", "label", "class", "split"})
    try:
        for sample in samples:
            if sample.split not in shards:
                shards[sample.split] = _Shards(
                    folder, safe(sample.split or "") or "images", len(shards), others
                )
            shards[sample.split].add(sample)
    finally:
        for open_shards in shards.values():
            open_shards.close()

    return DatasetConfig(
        source="webdataset", path=str(folder), id_column="id", split_column="split"
    )


class _Shards:
    """The shards of one split."""

    def __init__(self, folder: Path, name: str, number: int, others: Mapping[str, str]) -> None:
        self._others = others
        taken = (folder / f"{name}-000000.tar").exists()
        self._name = str(folder / (f"{name}_{number}" if taken else name))
        self._n_shards = self._n_samples = self._n_bytes = 0
        self._tar: tarfile.TarFile | None = None

    def add(self, sample: Sample) -> None:
        """Append the members of a sample."""
        data = sample.content()
        if (
            self._tar is None
            or self._n_samples >= _SAMPLES_PER_SHARD
            or self._n_bytes >= _BYTES_PER_SHARD
        ):
            self.close()
            self._tar = tarfile.TarFile(
                f"{self._name}-{self._n_shards:06d}.tar", "x", format=tarfile.PAX_FORMAT
            )
            self._n_shards, self._n_samples, self._n_bytes = self._n_shards + 1, 0, 0

        said = {"id": sample.id, "label": sample.label, "split": sample.split}
        said |= {name: as_json(sample.more.get(column)) for column, name in self._others.items()}
        key = f"{sample.row:09d}"
        if data is not None:
            self._member(key + sample.suffix(), data)
        if sample.label is not None and re.fullmatch(r"\d{1,18}", sample.label, re.ASCII):
            self._member(f"{key}.cls", sample.label.encode())

        self._member(f"{key}.json", json.dumps(said, ensure_ascii=False).encode())
        self._n_samples += 1
        self._n_bytes += len(data or b"")

    def close(self) -> None:
        """End the last shard."""
        if self._tar is not None:
            self._tar.close()

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        if self._tar is not None:
            self._tar.addfile(info, io.BytesIO(data))


def _shards(path: Path) -> list[Path]:
    if path.is_file():
        return [path]

    shards = sorted(p for p in files_below(path) if p.suffix.lower() == ".tar")
    if not shards:
        message = f"{path}: no .tar files in this folder or below it."
        raise SourceError(message)

    _refuse_gaps(shards)

    return shards


def _refuse_gaps(shards: Sequence[Path]) -> None:
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


def _splits_of(shards: Sequence[Path], config: DatasetConfig, name: str) -> list[str | None]:
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

    raw = [_prefix(shard.stem) for shard in shards]
    if not are_splits({normal_split(split) for split in raw}):
        return [normal_split(config.default_split)] * len(shards)

    check_split_names({split: normal_split(split) for split in raw}, name)

    return [normal_split(split) for split in raw]


def _of_broken(broken: Sequence[str]) -> str:
    first = ", ".join(map(repr, broken[:_NAMED])) + (", …" if len(broken) > _NAMED else "")
    n = len(broken)

    return (
        f"{n:,} JSON member{' is' if n == 1 else 's are'} not valid JSON: {first}. The samples go"
        f" on without what {'it says' if n == 1 else 'they say'}."
    )


def _id(said: _Said, entry: Entry, config: DatasetConfig, shard: Path) -> str:
    found = said.text(config.id_column) if config.id_column else None
    if found is None:
        message = (
            f"{shard}: the sample {entry.key!r} has no {config.id_column!r} (dataset.id_column),"
            " nor its JSON."
        )
        raise SourceError(message)

    return found


def _prefix(stem: str) -> str:
    """A shard's name without its number; only its split, if one is named in it.

    >>> [_prefix(stem) for stem in ("train-000012", "imagenet_val_07", "fold1-00000-of-00002")]
    ['train', 'val', 'fold1']
    """
    prefix = _NUMBERS.sub("", stem)
    words = [
        word
        for word in re.split(r"[-_.]", prefix)
        if normal_split(word) in {"train", "validation", "test"}
    ]

    return words[0] if words else prefix


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


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _copy(source: BinaryIO, out: BinaryIO, start: int, stop: int) -> None:
    source.seek(start)
    left = stop - start
    while left > 0:
        part = source.read(min(left, _COPIED_AT_ONCE))
        out.write(part)
        left -= len(part) or left
