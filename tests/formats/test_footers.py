"""Parquet files whose footers are damaged: whatever reading them does, it ends with a message."""

import io
import random
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup.errors import SourceError
from dedup.formats import footers

DIES = """
import os, signal, sys

for name in sys.stdin.buffer.read().split(b"\\0"):
    sys.stdout.buffer.write(name + b"\\0")
    sys.stdout.buffer.flush()
    if name.endswith(b"bad"):
        os.kill(os.getpid(), signal.SIGABRT)
"""


def whole() -> bytes:
    """A small Parquet file."""
    sink = io.BytesIO()
    table = pa.table({"path": ["a.png", "b.png", "c.png"], "split": ["train", "train", "test"]})
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    return sink.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The file with one to four bytes of its footer changed."""
    (size,) = struct.unpack_from("<I", data, len(data) - 8)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        changed[chance.randrange(len(data) - 8 - size, len(data) - 8)] = chance.randrange(256)
    return bytes(changed)


def test_a_file_that_ends_its_reader_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that looks at the footers first may die; the message names the file at which it
    did.
    """
    monkeypatch.setattr(footers, "_PROGRAM", DIES)
    with pytest.raises(SourceError, match=r"^a\.bad: its footer is damaged.*Get the file again"):
        footers.refuse_fatal(["one", "a.bad", "two"])

    footers.refuse_fatal(["one", "two"])


def test_damaged_footers_end_with_a_message(tmp_path: Path) -> None:
    """Sixty damaged files: each that gets past the first look is read, or raises the one error of
    the package.
    """
    data, chance = whole(), random.Random(21)
    ended = {"read": 0, "refused": 0}
    paths = [tmp_path / f"{k}.parquet" for k in range(60)]
    for path in paths:
        path.write_bytes(damaged(data, chance))
    for path in past_the_first_look(paths):
        try:
            with footers.reading(path.name):
                pq.ParquetFile(path).metadata.to_dict()
            ended["read"] += 1
        except SourceError as error:
            assert str(error).startswith(f"{path.name}: cannot be read as Parquet")  # noqa: PT017
            ended["refused"] += 1

    assert min(ended.values()) > 0


def past_the_first_look(paths: list[Path]) -> list[Path]:
    """The files that do not end the process that looks at them, found by taking away those that are
    named.
    """
    left = list(paths)
    while True:
        try:
            footers.refuse_fatal([str(path) for path in left])
        except SourceError as error:
            left = [path for path in left if not str(error).startswith(f"{path}:")]
        else:
            return left
