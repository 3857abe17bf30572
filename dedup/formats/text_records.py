"""Records of CSV, TSV and JSON Lines files."""

import csv
import io
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.errors import SourceError, because
from dedup.formats.further import Further, inferred
from dedup.formats.nested import MAX_DEPTH, parsed
from dedup.formats.places import opened
from dedup.formats.placing import new_file
from dedup.formats.tabular import NO_VALUES, Record, Values
from dedup.formats.texts import as_text

logger = logging.getLogger(__name__)

_LONGEST_CELL: Final = 2**31 - 1
"""Characters. Python's own limit of 131,072 is shorter than some captions; this is the most that it
takes.
"""


class _Texts(ABC):
    """Records of a CSV, TSV or JSONL file."""

    def __init__(self, names: list[str], values: list[dict[str, Any]]) -> None:
        self.names = names
        self._values = values
        self.n_rows = len(values)

    def texts(self, column: str) -> list[str | None]:
        """A column as strings; null and empty are None."""
        return [as_text(record.get(column)) for record in self._values]

    def is_binary(self, column: str) -> bool:
        """Text files hold no bytes."""
        return False

    def binary(self, column: str, rows: Sequence[int]) -> list[bytes | None]:
        """Text files hold no bytes."""
        message = f"Column {column!r}: bytes need a Parquet manifest; text manifests name files."
        raise SourceError(message)

    def picked(self, rows: Sequence[int], values: Values = NO_VALUES) -> list[Record]:
        """The named rows as they are, with new values."""
        return [
            self._values[row] | {c: new[row] for c, new in values.items() if row in new}
            for row in rows
        ]

    def further(self, columns: Sequence[str]) -> Further:
        """All values are texts."""
        schema = pa.schema([(column, pa.string()) for column in columns])
        return Further(
            schema,
            lambda: ({c: as_text(record.get(c)) for c in columns} for record in self._values),
        )

    def write(
        self,
        path: Path,
        keep: NDArray[np.bool_],
        changes: Mapping[str, Any],
        values: Values = NO_VALUES,
        more: Sequence[Record] = (),
    ) -> None:
        """Write the kept records and more."""
        with new_file(path, encoding="utf-8", newline="") as file:
            self._put(chain(self._changed(keep, changes, values), more), file)

    @abstractmethod
    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        """Write whole records in the form of the file."""

    def _changed(
        self, keep: NDArray[np.bool_], changes: Mapping[str, Any], values: Values
    ) -> Iterator[Record]:
        for row, (kept, record) in enumerate(zip(keep, self._values, strict=True)):
            if kept:
                changed = {c: change(record[c]) for c, change in changes.items() if record.get(c)}
                yield record | changed | {c: new[row] for c, new in values.items() if row in new}


class Delimited(_Texts):
    """Records of a CSV or TSV file."""

    def __init__(self, path: str, delimiter: str) -> None:
        self._delimiter = delimiter
        with (
            long_cells(),
            io.TextIOWrapper(opened(path), encoding="utf-8-sig", newline="") as file,
        ):
            first = file.readline()
            if delimiter == "," and "," not in first and ";" in first:  # as Excel writes it
                self._delimiter = ";"
            lines = csv.reader(chain([first], file), delimiter=self._delimiter, strict=True)
            header = next(lines, [])
            if padded := [name for name in header if name != name.strip()]:
                message = (
                    f"{path}: blanks around the column name {padded[0]!r}. Take them out of the"
                    " header."
                )
                raise SourceError(message)
            if len(set(header)) < len(header):
                message = (
                    f"{path}: a column name occurs twice in the header:"
                    f" {', '.join(map(repr, header))}."
                )
                raise SourceError(message)
            values = []
            for row, line in enumerate((line for line in lines if line), start=1):
                if len(line) != len(header):
                    message = (
                        f"{path}, row {row}: {len(line)} fields, the header has {len(header)}."
                    )
                    raise SourceError(message)
                values.append(dict(zip(header, line, strict=True)))

        super().__init__(header, values)

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        writer = csv.writer(file, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow(self.names)
        writer.writerows([record[name] for name in self.names] for record in records)


class Listed(Delimited):
    """Records that no file holds yet; they are written as CSV."""

    def __init__(self, names: list[str], values: list[dict[str, Any]]) -> None:
        _Texts.__init__(self, names, values)
        self._delimiter = ","


class Lines(_Texts):
    """Records of a JSON Lines file."""

    def __init__(self, path: str) -> None:
        values: list[dict[str, Any]] = []
        names: dict[str, None] = {}
        deep: list[int] = []

        with io.TextIOWrapper(opened(path), encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    record, is_deep = parsed(line)
                except ValueError as error:
                    message = f"{path}, line {number}: not valid JSON: {because(error)}."
                    raise SourceError(message) from error
                if not isinstance(record, dict):
                    message = (
                        f"{path}, line {number}: expected an object, got {type(record).__name__}."
                    )
                    raise SourceError(message)
                values.append(record)
                names |= dict.fromkeys(record)
                deep += [number] if is_deep else []

        if deep:
            text = (
                "%s: in %s lines, the first of them line %s, values are nested deeper than %s"
                " levels. They are null."
            )
            logger.warning(text, path, f"{len(deep):,}", deep[0], MAX_DEPTH)

        super().__init__(list(names), values)

    def further(self, columns: Sequence[str]) -> Further:
        """JSON has values of several types."""
        return inferred(columns, lambda: iter(self._values))

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        file.writelines(as_json(record) + "\n" for record in records)


class Array(Lines):
    """Records of a JSON file that is a list of objects."""

    def __init__(self, path: str) -> None:
        with opened(path) as file:
            try:
                values, _ = parsed(file.read())
            except ValueError as error:
                message = f"{path}: not valid JSON: {because(error)}."
                raise SourceError(message) from error

        if not isinstance(values, list) or not all(isinstance(record, dict) for record in values):
            message = f"{path}: expected a list of objects."
            raise SourceError(message)

        names = dict.fromkeys(name for record in values for name in record)
        _Texts.__init__(self, list(names), values)

    def _put(self, records: Iterable[Record], file: TextIO) -> None:
        json.dump(list(records), file, ensure_ascii=False)


@contextmanager
def long_cells() -> Iterator[None]:
    """Python's limit for the cells of a CSV, which is one for the whole process, set to ours
    meanwhile.
    """
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def as_json(record: dict[str, Any]) -> str:
    """A record as JSON, in the letters that it has where they are valid Unicode."""
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or has_unicode(text) else json.dumps(record)


def has_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
