"""The record of what people judged: one row for each pair of pictures, known by their pixels.

A row holds wherever its two pictures are, under whatever ids. A pair has one row, and one more for
each random sample in which it was judged. The last row of a pair is what holds.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from dedup.errors import ConfigError

SAME: Final = "same"
DIFFERENT: Final = "different"
UNSURE: Final = "unsure"
VERDICTS: Final = (SAME, DIFFERENT, UNSURE)

COLUMNS: Final = (
    *("id_a", "id_b", "pixels_a", "pixels_b"),
    *("verdict", "by", "at", "sample"),
)
"""Further columns are for people, and are kept."""

GUARD: Final = re.compile(r"^'(?='*[=+\-@\t\r])")
"""An apostrophe in front of what a spreadsheet would run as a formula; readers take it away."""

_FORMULA: Final = re.compile(r"^'*[=+\-@\t\r]")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 10  # problems that are named

Pictures = tuple[bytes, bytes]
"""Two pixel digests, the lower first."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person says of two pictures."""

    id_a: str
    id_b: str
    pixels_a: bytes  # digest of the decoded pixels, 32 bytes
    pixels_b: bytes
    verdict: str  # one of VERDICTS
    by: str
    at: str  # UTC, ISO 8601
    sample: str = ""  # the random sample in which it was judged; empty elsewhere
    more: Mapping[str, str] = field(default_factory=dict)  # further columns

    @property
    def pictures(self) -> Pictures:
        """What it is about."""
        first, second = sorted((self.pixels_a, self.pixels_b))
        return first, second

    @property
    def key(self) -> tuple[Pictures, str]:
        """What is there once in a record."""
        return self.pictures, self.sample

    def cells(self) -> dict[str, str]:
        """The row as texts by column."""
        texts = {name: getattr(self, name) for name in ("id_a", "id_b", "verdict", "by", "at")}
        digests = {"pixels_a": self.pixels_a.hex(), "pixels_b": self.pixels_b.hex()}
        return {**texts, **digests, "sample": self.sample, **self.more}


Record = tuple[Judgement, ...]


def read(text: str, where: str) -> Record:
    """The rows of a record; raises `ConfigError` with every row that is wrong."""
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = list(rows.fieldnames or [])
        missing = [name for name in COLUMNS[:-1] if name not in header]
        if missing:
            message = (
                f"{where}: no column {missing[0]!r} in the header. Begin the file with the line"
                f" {','.join(COLUMNS)!r}, or move the file away."
            )
            raise ConfigError(message)
        numbered = list(enumerate(rows, start=1))
    except csv.Error as error:
        message = f"{where}: cannot be read as CSV: {error}. Correct it, or move the file away."
        raise ConfigError(message) from error

    problems = [
        f"{where}, row {number}: {problem}"
        for number, row in numbered
        if (problem := _problem(row)) is not None
    ]
    if problems:
        more = [] if len(problems) <= _SHOWN else [f"… and {len(problems) - _SHOWN:,} more rows."]
        raise ConfigError(*problems[:_SHOWN], *more)

    return tuple(_judgement(row) for _, row in numbered)


def written(record: Sequence[Judgement]) -> str:
    """The record as CSV; cells that a spreadsheet would run as a formula get an apostrophe."""
    more = dict.fromkeys(name for row in record for name in row.more)
    sink = io.StringIO(newline="")
    out = csv.writer(sink, lineterminator="\n")
    out.writerow([*COLUMNS, *more])
    for row in record:
        cells = row.cells()
        out.writerow([_guarded(cells.get(name, "")) for name in (*COLUMNS, *more)])

    return sink.getvalue()


def put(record: Record, new: Judgement) -> tuple[Record, Judgement | None]:
    """The record with a row at its end, and the row whose place it takes."""
    before = next((row for row in record if row.key == new.key), None)
    kept = tuple(row for row in record if row.key != new.key)
    if before is not None and before.more:
        new = replace(new, more=before.more)

    return (*kept, new), before


def merged(*records: Record) -> Record:
    """All rows of some records; of a pair that is in several the row that was made last."""
    latest: dict[tuple[Pictures, str], Judgement] = {}
    for row in sorted((row for record in records for row in record), key=lambda row: row.at):
        latest.pop(row.key, None)
        latest[row.key] = row

    return tuple(latest.values())


def in_force(record: Iterable[Judgement]) -> dict[Pictures, Judgement]:
    """Of each pair of pictures the row that holds: its last one."""
    return {row.pictures: row for row in record}


def digest(record: Iterable[Judgement]) -> str | None:
    """SHA-256 of the pairs and verdicts that decide something; None where none does.

    Who judged, when and under which ids does not count, nor what nobody was sure of.
    """
    decided = sorted(
        (first.hex(), second.hex(), row.verdict)
        for (first, second), row in in_force(record).items()
        if row.verdict != UNSURE
    )
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest() if decided else None


def counted(record: Record, pixels: pa.ChunkedArray) -> dict[str, int]:
    """The pairs of pictures by verdict, and how many are not of the dataset: `pixels` are the
    digests of its samples.
    """
    held = in_force(record)
    wanted = sorted({digest for pictures in held for digest in pictures})
    there = pc.is_in(pa.array(wanted, pixels.type), pixels.combine_chunks()).to_pylist()
    known = {digest for digest, is_there in zip(wanted, there, strict=True) if is_there}

    return {
        **{verdict: sum(row.verdict == verdict for row in held.values()) for verdict in VERDICTS},
        "not_in_dataset": sum(not known.issuperset(pictures) for pictures in held),
    }


def _problem(row: Mapping[str, str | None]) -> str | None:
    """What is wrong with a row, if anything."""
    if None in row or None in row.values():
        return "it has another number of cells than the header."
    if row["verdict"] not in VERDICTS:
        return f"the verdict is {row['verdict']!r}. Allowed: {', '.join(VERDICTS)}."

    for name in ("pixels_a", "pixels_b"):
        if not _DIGEST.fullmatch(row[name] or ""):
            return f"{name} is {row[name]!r}, not a digest of 64 hexadecimal digits."

    if row["pixels_a"] == row["pixels_b"] and row["verdict"] == DIFFERENT:
        return "its two pictures have the same pixels, so they cannot be different. Take it out."

    return None


def _judgement(row: Mapping[str, str]) -> Judgement:
    cells = {name: GUARD.sub("", cell) for name, cell in row.items()}
    return Judgement(
        cells["id_a"],
        cells["id_b"],
        bytes.fromhex(cells["pixels_a"]),
        bytes.fromhex(cells["pixels_b"]),
        cells["verdict"],
        cells["by"],
        cells["at"],
        cells.get("sample", ""),
        {name: cell for name, cell in cells.items() if name not in COLUMNS},
    )


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def lists(record: Record) -> Iterator[tuple[str, str]]:
    """The two list files that the record comes to, by verdict: `id_a,id_b,note` as the policy reads
    them.
    """
    for verdict in (DIFFERENT, SAME):
        rows = [row for row in in_force(record).values() if row.verdict == verdict]
        sink = io.StringIO(newline="")
        out = csv.writer(sink, lineterminator="\n")
        out.writerow(["id_a", "id_b", "note"])
        for row in rows:
            if row.id_a != row.id_b:
                out.writerow([*map(_guarded, (row.id_a, row.id_b)), f"{row.by} {row.at}".strip()])
        yield verdict, sink.getvalue()
