"""A manifest: CSV, TSV, JSONL or Parquet with one row per sample, naming a file or holding its
bytes.
"""

import csv
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig
from dedup.decoding.contents import PAYLOAD, REFUSED
from dedup.decoding.remote import to_fetch
from dedup.errors import SourceError
from dedup.formats.account import Opened, in_a_line
from dedup.formats.boxes import boxes_of
from dedup.formats.companions import Sidecars
from dedup.formats.further import Further, as_cell, written_names
from dedup.formats.labels import label_text
from dedup.formats.manifest_columns import columns_of_parts, meant_splits
from dedup.formats.outside import Place
from dedup.formats.places import as_spelled, beside, content, is_url, local, protocol
from dedup.formats.placing import new_file, put, put_once
from dedup.formats.records import open_records
from dedup.formats.source import (
    NO_MOVES,
    ROWS,
    Moves,
    Names,
    Sample,
    encoded,
    moved_rows,
    no_column,
    payloads,
)
from dedup.formats.tabular import Records
from dedup.paths import make_folder

logger = logging.getLogger(__name__)

WRITTEN: Final = "manifest.csv"
"""Name of the manifest that samples of another form are written to."""

_NO_NETWORK: Final = frozenset({"file", "memory"})


class Manifest(Opened):
    """The rows of a manifest at a path or URL. Paths are relative to it; further columns are
    carried through.
    """

    form: str = "manifest"

    def __init__(
        self, path: str | Path, config: DatasetConfig, records: Records | None = None
    ) -> None:
        """`records`: the rows, where there is no file at the path that holds them."""
        self.name = self._file = local(str(path))
        self.root = None if is_url(self._file) else Path(self._file).parent
        self._config = config
        self._records = open_records(self._file) if records is None else records

        if not self._records.names:
            message = (
                f"{path}: the file is empty: a manifest has a column with paths, and a row for each"
                " picture."
            )
            raise SourceError(message)

        columns = columns_of_parts(self._records, config, self._file)
        self._path_column = columns["path"]
        self._paths: list[str | None] = self._texts(columns["path"])
        self._fetched = self._protocols(config)
        self._bytes_column = columns["bytes"]
        self._parts = {column for column in columns.values() if column is not None}
        n_rows = self._records.n_rows
        if n_rows == 0:
            message = f"{path}: the manifest has no rows."
            raise SourceError(message)

        raw_splits = self._splits(columns["split"], config.default_split)
        normal = meant_splits(raw_splits, config, self.name, self._file)
        self._normal = normal
        self._split_column = columns["split"]
        splits = [None if raw is None else normal[raw] for raw in raw_splits]
        self._paths = [self._from_windows(path) for path in self._paths]
        uris = [p if p is None or is_url(p) else str(PurePosixPath(p)) for p in self._paths]
        ids = (
            self._texts(columns["id"]) if columns["id"] else [self._default_id(uri) for uri in uris]
        )

        for row, name in enumerate(ids):
            if name is None and columns["id"]:
                message = (
                    f"{path}, row {row + 1}: column {columns['id']!r} is null. Give every sample"
                    " an id."
                )
                raise SourceError(message)
            if name is None:
                ids[row] = f"{splits[row] or 'row'}/{row}"

        labels = [label_text(text) for text in self._texts(columns["label"])]
        rows = pa.table([ids, splits, labels, uris], schema=ROWS)
        self._boxes = None if columns["id"] or columns["bytes"] else boxes_of(rows)
        self.rows = rows if self._boxes is None else self._boxes.samples(rows)
        if self._boxes is not None:
            self._paths = [self._paths[record] for record in self._boxes.first]
            self.understood = f"{in_a_line(self.rows)}; {self._boxes.in_a_line(len(rows))}"

        self.place = Place(
            self.root,
            [self._local_file(path) for path in self._paths],
            allowed=config.allow_outside,
        )

    def _local_file(self, path: str | None) -> bytes | None:
        """The file of this machine that a path stands for, if it is one."""
        if not path or (is_url(path) and protocol(path) != "file"):
            return None
        return encoded(local(self._absolute(path)))

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        return self._payload(rows, fetching=True)

    def _payload(self, rows: Sequence[int], *, fetching: bool) -> Iterator[pa.RecordBatch]:
        """`fetching`: whether what others can fetch is fetched here."""
        paths = [self._path(row) for row in rows]
        data: list[bytes | None] = [None] * len(rows)
        if self._bytes_column:
            first = rows if self._boxes is None else [self._boxes.first[row] for row in rows]
            data = self._records.binary(self._bytes_column, first)

        for i, path in enumerate(paths):
            if (
                data[i] is None
                and path is not None
                and self._is_fetched(path)
                and (fetching or not self._is_remote(path))
                and not self._is_refused(rows[i])
            ):
                data[i] = content(path)

        files = [os.fsencode(local(path)) if path else None for path in paths]
        names = [
            REFUSED if self._is_refused(row) else self.place.of(row, file)
            for row, file in zip(rows, files, strict=True)
        ]
        data = [None if name == REFUSED else of for name, of in zip(names, data, strict=True)]
        yield pa.record_batch([list(rows), names, data], schema=PAYLOAD)

    def named_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """As `payload_of`, with the URLs of pictures in place of their bytes, where others can
        fetch them.
        """
        for batch in self._payload(rows, fetching=False):
            names = batch["path"].to_pylist()
            for k, row in enumerate(rows):
                path = self._path(row)
                if path is not None and names[k] != REFUSED and self._is_remote(path):
                    names[k] = to_fetch(path)
            yield batch.set_column(1, PAYLOAD.field("path"), pa.array(names, pa.binary()))

    def references(self, size: int) -> Iterator[pa.RecordBatch]:
        """All rows in order, as `named_of` names them."""
        for start in range(0, len(self.rows), size):
            yield from self.named_of(range(start, min(start + size, len(self.rows))))

    def _is_refused(self, row: int) -> bool:
        """Whether a manifest at a URL names a place that is not below its own: it comes from
        somebody else.
        """
        path = self._paths[row]
        if self.root is not None or not path:
            return False
        if is_url(path):
            return protocol(path) == "file"

        return path.startswith(("/", "\\", "~")) or ".." in path.replace("\\", "/").split("/")

    def own_files(self) -> Iterator[Path]:
        """The manifest. It is named by itself, so nothing is said of the files around it."""
        return iter([Path(self._file)] if self.root is not None else [])

    def check_writable(self) -> None:
        """Every manifest can be written."""

    def columns(self) -> Sequence[str]:
        """All but the one with bytes."""
        return [name for name in self._records.names if name != self._bytes_column]

    def texts(self, column: str) -> list[str | None]:
        """Any column; null and empty are None."""
        if column not in self._records.names:
            raise no_column(self._file, column, self._records.names)
        texts = self._records.texts(column)
        return texts if self._boxes is None else [texts[record] for record in self._boxes.first]

    def further(self) -> Further:
        """The columns that play no part."""
        found = self._records.further(
            [name for name in self._records.names if name not in self._parts]
        )
        return found if self._boxes is None else self._boxes.further(found)

    def check_movable(self) -> None:
        """Every manifest with a column of splits is."""

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept rows under the manifest's own name, with the files they name beside it.

        Every column stays as it was, but for the split of moved rows.

        Paths that lead out of the manifest's folder, and URLs, are made absolute instead, and
        nothing is put beside it for them.
        """
        make_folder(folder)
        target = folder / PurePosixPath(self._file).name
        outside = {path for path in self._paths if path and self._leads_out(path)}
        changes = {}
        if outside and self._path_column:
            changes[self._path_column] = lambda p: (
                self._absolute(p) if self._from_windows(p) in outside else p
            )
        # as this manifest calls its splits
        raw = {normal: raw for raw, normal in self._normal.items()}
        moved = {row: raw.get(split, split) for row, split in moves.items()}
        kept_records = keep
        if self._boxes is not None:
            kept_records = keep[self._boxes.sample_of]
            moved = {
                k: moved[row]
                for k, row in enumerate(self._boxes.sample_of.tolist())
                if row in moved
            }
        self._records.write(
            target, kept_records, changes, {self._split_column: moved} if self._split_column else {}
        )
        inside = {self._paths[row] for row in np.flatnonzero(keep)} - outside - {None, ""}
        sidecars = Sidecars(self.root)
        for path in sorted(filter(None, inside)):
            original = os.fsencode(self._absolute(path))
            put_once(original, folder / path, files)
            sidecars.put(original, folder / path, files)

        return keep

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings; URLs that were read may be read again."""
        path = str(folder / PurePosixPath(self._file).name)
        protocols = tuple(sorted(self._fetched - _NO_NETWORK))

        return self._config.model_copy(
            update={"source": self.form, "path": path, "protocols": protocols}
        )

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """The kept rows as datasets with the columns image, label and id."""
        # `datasets` takes a second to import
        from dedup.formats.made_datasets import files_as_dataset_dict

        images: list[Any] = []
        for batch in payloads(self, 1024):
            for path, data in zip(
                batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True
            ):
                images.append(
                    {"bytes": data, "path": None}
                    if data is not None
                    else path and os.fsdecode(path)
                )

        return files_as_dataset_dict(moved_rows(self.rows, moves), images, keep)

    def _texts(self, column: str | None) -> list[str | None]:
        return self._records.texts(column) if column else [None] * self._records.n_rows

    def _splits(self, column: str | None, default: str | None) -> list[str | None]:
        splits = [text if text and text.strip() else default for text in self._texts(column)]
        if column is not None and None in splits:
            message = (
                f"{self._file}, row {splits.index(None) + 1}: column {column!r} is null. "
                "Give every sample a split or set dataset.default_split."
            )
            raise SourceError(message)

        return splits

    def _default_id(self, uri: str | None) -> str | None:
        if self.root is None:
            return uri and uri.removeprefix(beside(self._file, "") + "/")

        if uri is not None and os.path.isabs(uri):
            inside = os.path.relpath(uri, self.root)
            return uri if _leads_out(inside) else PurePosixPath(inside).as_posix()

        return uri

    def _leads_out(self, path: str) -> bool:
        """Whether the file is not below the manifest's folder on this machine."""
        if self.root is None or is_url(path) or os.path.isabs(path):
            return True
        return _leads_out(os.path.normpath(path))

    def _from_windows(self, path: str | None) -> str | None:
        """The path with `/` where it has the backslashes of Windows, which are part of a name
        elsewhere.
        """
        if path is None or "\\" not in path or is_url(path) or os.sep == "\\" or self.root is None:
            return path
        with_slashes = path.replace("\\", "/")
        return path if os.path.lexists(self.root / path) else with_slashes

    def _absolute(self, path: str) -> str:
        if self.root is not None and not is_url(path):
            path = as_spelled(str(self.root), path)
        return beside(self._file, path)

    def _path(self, row: int) -> str | None:
        path = self._paths[row]
        return self._absolute(path) if path else None

    def _is_fetched(self, path: str) -> bool:
        return is_url(path) and protocol(path) in self._fetched and protocol(path) != "file"

    def _is_remote(self, path: str) -> bool:
        """Whether a picture is at a URL that every machine can fetch."""
        return self._is_fetched(path) and protocol(path) not in _NO_NETWORK

    def _protocols(self, config: DatasetConfig) -> frozenset[str]:
        """Protocols of URLs that are read. A manifest on this machine must not send dedup to the
        network unasked.
        """
        own = {protocol(self._file)} if self.root is None else set()
        fetched = frozenset(_NO_NETWORK | own | {name.lower() for name in config.protocols})
        others = sorted({protocol(path) for path in self._paths if path and is_url(path)} - fetched)

        if others:
            logger.warning(
                "%s: paths with %s:// are not fetched. Name what may be fetched as"
                " dataset.protocols, for example %s.",
                self.name,
                ":// and ".join(others),
                others,
            )

        return fetched


def _leads_out(path: str) -> bool:
    return path == ".." or path.startswith(f"..{os.sep}")


def write_samples(
    samples: Iterable[Sample], folder: Path, files: str, further: pa.Schema
) -> DatasetConfig:
    """Samples of another form as `manifest.csv`, files below `images`.

    The columns are path, id, label, split and what else the source has.
    """
    path = folder / WRITTEN
    names = Names()
    others = written_names(further.names, {"path", "id", "label", "split"})

    with new_file(path, encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        header: list[str] | None = None
        for sample in samples:
            if header is None:
                header = ["path", "id", "label", *(["split"] if sample.split is not None else [])]
                writer.writerow([*header, *others.values()])
            parts = names.of(sample, "images", sample.split)
            has_image = put(sample, folder.joinpath(*parts), files)
            row = ["/".join(parts) if has_image else "", sample.id, sample.label, sample.split]
            writer.writerow(
                [*row[: len(header)], *(as_cell(sample.more.get(column)) for column in others)]
            )

    return DatasetConfig(source="manifest", path=str(path))
