"""Rows of text files and Parquet files, read and written without a change: what manifests and
metadata are made of.
"""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow.parquet as pq

from dedup.errors import SourceError, because
from dedup.formats.footers import PARQUET_ERRORS
from dedup.formats.nested import parsed
from dedup.formats.parquet_records import Columns
from dedup.formats.places import local
from dedup.formats.tabular import Record, Records
from dedup.formats.text_records import Array, Delimited, Lines, long_cells

logger = logging.getLogger(__name__)

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def first_record(path: Path, columns: Sequence[str]) -> Record:
    """Some columns of a file's first row, those that there are; nothing where it cannot be read. No
    more is read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                there = [column for column in columns if column in file.schema_arrow.names]
                batch = next(file.iter_batches(1, columns=there), None) if there else None
                rows: list[Record] = [] if batch is None else batch.to_pylist()
                return rows[0] if rows else {}
        with path.open(encoding="utf-8-sig", newline="") as lines:
            if path.suffix.lower() in {".jsonl", ".ndjson"}:
                record, _ = parsed(next(lines, "null"))
            else:
                with long_cells():
                    record = next(
                        csv.DictReader(
                            lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ","
                        ),
                        None,
                    )
    except (*PARQUET_ERRORS, csv.Error):
        return {}
    return (
        {column: record[column] for column in columns if column in record}
        if isinstance(record, dict)
        else {}
    )


def open_records(path: str) -> Records:
    """The rows of the CSV, TSV, JSONL or Parquet file at a path or URL, or of a JSON file that is a
    list of objects.
    """
    path = local(path)
    suffix = PurePosixPath(path).suffix.lower()
    try:
        if suffix in {".csv", ".tsv"}:
            return Delimited(path, "\t" if suffix == ".tsv" else ",")
        if suffix in {".jsonl", ".ndjson"}:
            return Lines(path)
        if suffix == ".json":
            return Array(path)
        if suffix == ".parquet":
            return Columns(path)
    except (UnicodeDecodeError, csv.Error) as error:
        message = (
            f"{path}: not a readable {suffix[1:].upper()} file in UTF-8: {because(error)}. Save it"
            " as UTF-8."
        )
        raise SourceError(message) from error
    except FileNotFoundError as error:
        message = f"{path}: there is no such file. Check the name."
        raise SourceError(message) from error
    except PARQUET_ERRORS as error:
        message = f"{path}: cannot be read: {because(error.__cause__ or error)}."
        raise SourceError(message) from error

    message = f"{path}: a manifest ends in {', '.join(SUFFIXES)}."
    raise SourceError(message)
