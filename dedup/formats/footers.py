"""Parquet files that are damaged: what reading them raises, and those that would end the process
that reads them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from dedup.errors import SourceError, because

PARQUET_ERRORS: Final = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
"""What reading a damaged file was seen to raise; texts that are not UTF-8 are a `ValueError`."""

_SECONDS: Final = 600
"""For all files of a dataset. A footer takes a millisecond; a thousand on a slow network drive take
minutes.
"""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raises `SourceError` for what goes wrong while a Parquet file is read."""
    try:
        yield
    except PARQUET_ERRORS as error:
        raise broken(name, error) from error


def broken(name: str, error: Exception) -> SourceError:
    """The error for a Parquet file that cannot be read."""
    return SourceError(f"{name}: cannot be read as Parquet: {because(error)}. Get the file again.")


def refuse_fatal(files: Sequence[str]) -> None:
    """Raise `SourceError` for a file whose footer would end this process, which no `except`
    prevents.

    Costs the start of an interpreter that imports PyArrow, a third of a second.
    """
    names = b"\0".join(os.fsencode(name) for name in files)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROGRAM],
            input=names,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        name = _last(error.stdout or b"") or files[0]
        message = f"{name}: its footer takes more than {_SECONDS} s to read. Get the file again."
        raise SourceError(message) from error

    if done.returncode < 0:  # by a signal; an exception is raised again where the file is read
        message = (
            f"{_last(done.stdout)}: its footer is damaged: a process that read it was ended. Get"
            " the file again."
        )
        raise SourceError(message)


def _last(printed: bytes) -> str:
    return os.fsdecode(printed.rstrip(b"\0").rpartition(b"\0")[2])


_PROGRAM: Final = """
import os, sys
import pyarrow.parquet as pq

for name in sys.stdin.buffer.read().split(b"\\0"):
    sys.stdout.buffer.write(name + b"\\0")
    sys.stdout.buffer.flush()
    try:
        metadata = pq.ParquetFile(os.fsdecode(name)).metadata
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                metadata.row_group(group).column(column).statistics
    except Exception:
        continue
"""
"""PyArrow raises what it can; an exception of C++ where none is expected ends the process."""
