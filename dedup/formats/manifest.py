"""A manifest: CSV, TSV, JSONL or Parquet with one row per sample, naming a file or holding its bytes."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.config import DatasetConfig, normal_split
from dedup.errors import SourceError
from dedup.formats.source import PAYLOAD, ROWS, check_split_names, place

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

_DEFAULT_COLUMNS: Final = {
    "path": ("path", "file_name", "filename", "filepath", "file_path", "image_path", "file"),
    "bytes": ("bytes", "image_bytes"),
    "id": ("id",),
    "split": ("split",),
    "label": ("label", "class"),
}


class Manifest:
    """The rows of a manifest. Paths are relative to it; further columns are carried through to the output."""

    form: str = "manifest"
    skipped: Mapping[str, int] = {}

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        self.name = str(path)
        self.root = path.parent
        self._file = path
        self._records = _open(path)
        columns = self._columns(config)
        self._paths: list[str | None] = self._texts(columns["path"])
        self._bytes_column = columns["bytes"]
        n_rows = self._records.n_rows
        if n_rows == 0:
            message = f"{path}: the manifest has no rows."
            raise SourceError(message)
        raw_splits = self._splits(columns["split"], config.default_split)
        normal = {raw: normal_split(raw) for raw in set(raw_splits) if raw is not None}
        check_split_names(normal, self.name)
        splits = [None if raw is None else normal[raw] for raw in raw_splits]
        uris = [None if p is None else str(PurePosixPath(p)) for p in self._paths]
        ids = self._texts(columns["id"]) if columns["id"] else [self._default_id(uri) for uri in uris]
        for row, name in enumerate(ids):
            if name is None and columns["id"]:
                message = f"{path}, row {row + 1}: column {columns['id']!r} is null. Give every sample an id."
                raise SourceError(message)
            if name is None:
                ids[row] = f"{splits[row] or 'row'}/{row}"
        labels = [text or None for text in self._texts(columns["label"])]
        self.rows = pa.table([ids, splits, labels, uris], schema=ROWS)

    def payloads(self, size: int) -> Iterator[pa.RecordBatch]:
        """PAYLOAD batches of all rows."""
        for start in range(0, len(self._paths), size):
            yield from self.payload_of(range(start, min(start + size, len(self._paths))))

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """One PAYLOAD batch of the named rows."""
        paths = [self._path(row) for row in rows]
        data = self._records.binary(self._bytes_column, rows) if self._bytes_column else [None] * len(rows)
        yield pa.record_batch([list(rows), paths, data], schema=PAYLOAD)

    def check_writable(self) -> None:
        """Every manifest can be written."""

    def write(self, keep: NDArray[np.bool_], folder: Path, files: str) -> NDArray[np.bool_]:
        """The kept rows, every column as it was, under the manifest's own name, with the files they name beside it.

        Paths that lead out of the manifest's folder are made absolute instead, and nothing is put beside it for them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        outside = {p for p in self._paths if p and (os.path.isabs(p) or _leads_out(os.path.normpath(p)))}  # noqa: PTH117
        changes = {self._path_column: lambda p: self._absolute(p) if p in outside else p} if outside else {}
        self._records.write(folder / self._file.name, keep, changes)
        inside = {self._paths[row] for row in np.flatnonzero(keep)} - outside - {None, ""}
        for path in sorted(filter(None, inside)):
            if not os.path.lexists(folder / path):
                place(os.fsencode(self._absolute(path)), folder / path, files)
        return keep

    def dataset_dict(self, keep: NDArray[np.bool_]) -> Any:
        """The kept rows as datasets with the columns image, label and id."""
        from dedup.formats.huggingface import files_as_dataset_dict  # `datasets` takes a second to import

        images: list[Any] = []
        for batch in self.payloads(1024):
            for path, data in zip(batch["path"].to_pylist(), batch["data"].to_pylist(), strict=True):
                images.append({"bytes": data, "path": None} if data is not None else path and os.fsdecode(path))
        return files_as_dataset_dict(self.rows, images, keep)

    def _columns(self, config: DatasetConfig) -> dict[str, str | None]:
        """The column that plays each part, or None."""
        names = self._records.names
        columns: dict[str, str | None] = {}
        for part, usual in _DEFAULT_COLUMNS.items():
            named = getattr(config, f"{part}_column")
            if named is not None and named not in names:
                message = (
                    f"{self._file}: no column {named!r} (dataset.{part}_column). It has {', '.join(map(repr, names))}."
                )
                raise SourceError(message)
            columns[part] = named or next((name for name in usual if name in names), None)
        if columns["bytes"] and not self._records.is_binary(columns["bytes"]):
            if config.bytes_column:
                message = f"{self._file}: column {config.bytes_column!r} (dataset.bytes_column) does not hold bytes."
                raise SourceError(message)
            columns["bytes"] = None  # the size of the file, most likely
        if columns["path"] is None and columns["bytes"] is None:
            message = (
                f"{self._file}: no column with paths or bytes. It has {', '.join(map(repr, names)) or 'no columns'}; "
                f"name one of them as dataset.path_column or dataset.bytes_column, or call it 'path' or 'bytes'."
            )
            raise SourceError(message)
        self._path_column = columns["path"]
        return columns

    def _texts(self, column: str | None) -> list[str | None]:
        return self._records.texts(column) if column else [None] * self._records.n_rows

    def _splits(self, column: str | None, default: str | None) -> list[str | None]:
        splits = [text or default for text in self._texts(column)]
        if column is not None and None in splits:
            message = (
                f"{self._file}, row {splits.index(None) + 1}: column {column!r} is null. "
                f"Give every sample a split or set dataset.default_split."
            )
            raise SourceError(message)
        return splits

    def _default_id(self, uri: str | None) -> str | None:
        if uri is not None and os.path.isabs(uri):  # noqa: PTH117
            inside = os.path.relpath(uri, self.root)
            return uri if _leads_out(inside) else PurePosixPath(inside).as_posix()
        return uri

    def _absolute(self, path: str) -> str:
        return os.path.abspath(os.path.join(self.root, path))  # noqa: PTH100, PTH118  # no links resolved

    def _path(self, row: int) -> bytes | None:
        path = self._paths[row]
        return os.fsencode(self._absolute(path)) if path else None


def _leads_out(path: str) -> bool:
    return path == ".." or path.startswith(f"..{os.sep}")


class _Texts:
    """Records of a CSV, TSV or JSONL file."""

    def __init__(self, names: list[str], values: list[dict[str, Any]]) -> None:
        self.names = names
        self._values = values
        self.n_rows = len(values)

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""
        return [_text(record.get(column)) for record in self._values]

    def is_binary(self, column: str) -> bool:
        """Text files hold no bytes."""
        return False

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """Text files hold no bytes."""
        message = f"Column {column!r}: bytes need a Parquet manifest; text manifests name files."
        raise SourceError(message)

    def _changed(self, keep: NDArray[np.bool_], changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for kept, record in zip(keep, self._values, strict=True):
            if kept:
                yield record | {c: change(record[c]) for c, change in changes.items() if record.get(c)}


class _Delimited(_Texts):
    def __init__(self, path: Path, delimiter: str) -> None:
        self._delimiter = delimiter
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(lines, [])
            if padded := [name for name in header if name != name.strip()]:
                message = f"{path}: blanks around the column name {padded[0]!r}. Take them out of the header."
                raise SourceError(message)
            if len(set(header)) < len(header):
                message = f"{path}: a column name occurs twice in the header: {', '.join(map(repr, header))}."
                raise SourceError(message)
            values = []
            for row, line in enumerate((line for line in lines if line), start=1):
                if len(line) != len(header):
                    message = f"{path}, row {row}: {len(line)} fields, the header has {len(header)}."
                    raise SourceError(message)
                values.append(dict(zip(header, line, strict=True)))
        super().__init__(header, values)

    def write(self, path: Path, keep: NDArray[np.bool_], changes: Mapping[str, Any]) -> None:
        """Write the kept records."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self._delimiter, lineterminator="\n")
            writer.writerow(self.names)
            writer.writerows(record.values() for record in self._changed(keep, changes))


class _Lines(_Texts):
    def __init__(self, path: Path) -> None:
        values: list[dict[str, Any]] = []
        names: dict[str, None] = {}
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                except ValueError as error:
                    message = f"{path}, line {number}: not valid JSON: {error}."
                    raise SourceError(message) from error
                if not isinstance(record, dict):
                    message = f"{path}, line {number}: expected an object, got {type(record).__name__}."
                    raise SourceError(message)
                values.append(record)
                names |= dict.fromkeys(record)
        super().__init__(list(names), values)

    def write(self, path: Path, keep: NDArray[np.bool_], changes: Mapping[str, Any]) -> None:
        """Write the kept records."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_json(record) + "\n" for record in self._changed(keep, changes))


class _Columns:
    """Rows of a Parquet file. The column with bytes stays on disk until it is asked for."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, memory_map=True)
        self.names: list[str] = self._file.schema_arrow.names
        self.n_rows: int = self._file.metadata.num_rows
        self._group_starts = np.cumsum(
            [0, *(self._file.metadata.row_group(g).num_rows for g in range(self._file.num_row_groups))]
        )
        self._loaded: tuple[int, str, Any] | None = None

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""
        return [_text(value) for value in self._file.read(columns=[column])[column].to_pylist()]

    def is_binary(self, column: str) -> bool:
        """Whether a column can hold encoded images."""
        kind = self._file.schema_arrow.field(column).type
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes of the named rows; one row group is in memory at a time."""
        found: list[bytes | None] = []
        for row in rows:
            group = int(np.searchsorted(self._group_starts, row, side="right")) - 1
            if self._loaded is None or self._loaded[:2] != (group, column):
                self._loaded = (group, column, self._file.read_row_group(group, columns=[column])[column])
            found.append(self._loaded[2][row - int(self._group_starts[group])].as_py())
        return found

    def write(self, path: Path, keep: NDArray[np.bool_], changes: Mapping[str, Any]) -> None:
        """Write the kept rows, a batch at a time, with the file's own schema."""
        start = 0
        with pq.ParquetWriter(path, self._file.schema_arrow) as writer:
            for batch in self._file.iter_batches(1024):
                table = pa.Table.from_batches([batch], self._file.schema_arrow)
                table = table.filter(pa.array(keep[start : start + len(batch)]))
                start += len(batch)
                for column, change in changes.items():
                    index = table.column_names.index(column)
                    field = table.schema.field(index)
                    changed = [value and change(value) for value in table[column].to_pylist()]
                    table = table.set_column(index, field, pa.array(changed, field.type))
                if len(table):
                    writer.write_table(table)


def _text(value: Any) -> str | None:
    """A value as valid Unicode: JSON can hold half a surrogate pair, Arrow cannot."""
    return None if value is None or value == "" else str(value).encode("utf-8", "backslashreplace").decode()


def _json(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or _is_unicode(text) else json.dumps(record)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _open(path: Path) -> Any:
    suffix = path.suffix.lower()
    try:
        if suffix in {".csv", ".tsv"}:
            return _Delimited(path, "\t" if suffix == ".tsv" else ",")
        if suffix in {".jsonl", ".ndjson"}:
            return _Lines(path)
        if suffix == ".parquet":
            return _Columns(path)
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: not a readable {suffix[1:].upper()} file in UTF-8: {error}."
        raise SourceError(message) from error
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path}: cannot be read: {error}."
        raise SourceError(message) from error
    message = f"{path}: a manifest ends in {', '.join(SUFFIXES)}."
    raise SourceError(message)
