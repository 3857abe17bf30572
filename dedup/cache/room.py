"""One room of the cache: rows of `hashes` made with the same settings by the same decoders."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import files
from dedup.cache import segments
from dedup.cache.segments import Keys, Rows
from dedup.cache.stamps import STAMP_BYTES

logger = logging.getLogger(__name__)

LAYOUT: Final = "1"
"""Changes with what the files of a room look like."""

ABOUT: Final = "about.json"
ROWS: Final = "rows"
STAMPS: Final = "stamps"

_SECONDS: Final = 2.0  # of work that a kill may cost
_BYTES: Final = 16_000_000
# bytes of a merged segment, about; two more while it is made
_MERGED: Final = {
    ROWS: 128_000_000,
    STAMPS: 32_000_000,
}
_SMALL: Final = 4  # segments that are worth merging: each is looked through by every task


@dataclass(frozen=True, slots=True)
class Environment:
    """What decodes and measures."""

    canary: str  # digest of what is measured on the canary pictures
    versions: Mapping[str, str]

    def __str__(self) -> str:
        named = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{named} (canary {self.canary[:12]})"


class Room:
    """Rows by the digest of the file they were measured on, and digests by the stamp of a file.

    `schema` is that of `hashes`. Several runs may read and write one room at once.
    """

    def __init__(
        self, cache: Path, spec: Mapping[str, Any], environment: Environment, schema: pa.Schema
    ) -> None:
        self.folder = cache / _name(spec, environment)
        self._spec = spec
        self._environment = environment
        self.schema = keyed(schema)
        self._stamps_schema = pa.schema(
            [
                pa.field("stamp", pa.binary(STAMP_BYTES), nullable=False),
                self.schema.field("file_digest"),
            ]
        )
        self._pending: list[pa.Table] = []
        self._pending_stamps: list[tuple[Keys, Keys]] = []
        self._flushed = time.monotonic()
        self._rows: Rows | None = None
        self._digests: Rows | None = None

    def find(self, digests: Keys) -> tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Table]:
        """Which of the digests are known, and the rows measured on such files, in the same
        order.
        """
        if self._rows is None:
            self._rows = Rows(segments.opened(self.folder, ROWS, self.schema), self.schema)
        return self._rows.find(digests)

    def find_stamped(self, stamps: Keys) -> tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Table]:
        """Which of the stamps are known with the row of their file, and these rows, in the same
        order.
        """
        at, named = self._stamped().find(stamps)
        known, rows = self.find(segments.matrix(named["file_digest"]))
        return at[known], rows

    def add(self, rows: pa.Table, stamps: Keys, digests: Keys) -> None:
        """Keep rows, and the digests of files by their stamps; written every few seconds and at the
        end.
        """
        if len(rows):
            self._pending.append(rows.select(self.schema.names))
        if len(stamps):
            self._pending_stamps.append((stamps, digests))

        waiting = sum(table.nbytes for table in self._pending)
        if waiting > _BYTES or time.monotonic() - self._flushed > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._pending or self._pending_stamps:
            self._say_what_it_is()

        if self._pending:
            segments.write(_as(pa.concat_tables(self._pending), self.schema), self.folder, ROWS)
            self._pending = []

        if self._pending_stamps:
            stamps, digests = (
                np.concatenate(column) for column in zip(*self._pending_stamps, strict=True)
            )
            self._pending_stamps = []
            new = self._new(stamps, digests)
            columns = [
                _fixed(of[new], field.type)
                for of, field in zip((stamps, digests), self._stamps_schema, strict=True)
            ]
            if len(new):
                segments.write(pa.table(columns, schema=self._stamps_schema), self.folder, STAMPS)

        self._flushed = time.monotonic()

    def tidy(self) -> None:
        """Mark what was used, for `prune`, and merge small segments."""
        for rows in (self._rows, self._digests):
            for path in rows.used if rows else ():
                try:
                    os.utime(path)
                except OSError:  # it is gone, or somebody else's
                    continue
        for kind, schema in ((ROWS, self.schema), (STAMPS, self._stamps_schema)):
            segments.merged(self.folder, kind, schema, n_bytes=_MERGED[kind], at_least=_SMALL)

    def others(self) -> list[Environment]:
        """The environments of rooms with these settings that were made where the canaries come out
        differently.

        None once this room is there: what is kept elsewhere is no news then.
        """
        found: list[Environment] = []
        if (self.folder / ABOUT).exists():
            return found

        for about in sorted(self.folder.parent.glob(f"*/{ABOUT}")):
            try:
                content = json.loads(about.read_text(encoding="utf-8"))
                environment = Environment(**content["environment"])
                same = content["spec"] == _plain(self._spec)
            except (OSError, ValueError, LookupError, TypeError):  # not a room of ours
                continue
            if same and environment.canary != self._environment.canary:
                found.append(environment)

        return found

    def _new(self, stamps: Keys, digests: Keys) -> NDArray[np.int64]:
        """Which of the stamps the room did not know when it was opened, or knew with another
        digest.
        """
        at, known = self._stamped().find(stamps)
        same = (segments.matrix(known["file_digest"]) == digests[at]).all(axis=1)
        return np.delete(np.arange(len(stamps)), at[same])

    def _stamped(self) -> Rows:
        if self._digests is None:
            schema = self._stamps_schema
            self._digests = Rows(segments.opened(self.folder, STAMPS, schema), schema)
        return self._digests

    def _say_what_it_is(self) -> None:
        about = self.folder / ABOUT
        if about.exists():
            return

        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "layout": LAYOUT,
            "spec": _plain(self._spec),
            "environment": asdict(self._environment),
        }
        files.write_json(about, content)


def keyed(schema: pa.Schema) -> pa.Schema:
    """The schema of the rows of a room: that of `hashes` without the sample, the digest of the file
    in front.
    """
    key = schema.field("file_digest")
    rest = [field for field in schema if field.name not in {"sample", "file_digest"}]
    return pa.schema([pa.field(key.name, key.type, nullable=False), *rest])


def is_room(folder: Path) -> bool:
    """Whether a folder is a room of ours: its name is the digest of what its `about.json` says, as
    `Room` made it.
    """
    try:
        content = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        name = _digest([content["layout"], content["spec"], content["environment"]])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return folder.name == name and not folder.is_symlink()


def known_rows(room: Path, schema: pa.Schema) -> Rows:
    """The rows of a room, for a worker, which only looks; `schema` is that of `hashes`."""
    return Rows(segments.opened(room, ROWS, keyed(schema)), keyed(schema))


def _fixed(values: Keys, of: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(
        of, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _name(spec: Mapping[str, Any], environment: Environment) -> str:
    return _digest([LAYOUT, _plain(spec), asdict(environment)])


def _digest(content: Sequence[Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _plain(spec: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(spec))


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the schema's own fields: whether a column may be null says nothing about its
    values.
    """
    return pa.table([table[name] for name in schema.names], schema=schema)
