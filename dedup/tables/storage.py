"""How tables are stored: whole or not at all, and with a description that is checked when they are
read.

Every stored table says in its schema's metadata what it is: its name, the schema version, the spec
that made it and the versions of the libraries that did. Reading a table made with another spec is
an error that names both.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.errors import TableError, because
from dedup.tables import CANARY, SCHEMA_VERSION
from dedup.versions import VERSIONS

# of a stored table: in memory while it is written, and read without the others
ROWS_PER_GROUP: Final = 65_536
_READERS: Final = 2  # row groups that are read at a time
_ROWS_AT_ONCE: Final = 4096  # of a row group of which some values are picked
_GROUPS_AT_ONCE: Final = 4  # of a table that is read part by part


def canonical(spec: Mapping[str, Any]) -> str:
    """The spec as canonical JSON: keys sorted, no spaces, so that equal specs are equal strings."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def described(table: pa.Table, name: str, spec: Mapping[str, Any]) -> pa.Table:
    """The table with its description in the schema's metadata."""
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key == CANARY}
    return table.replace_schema_metadata(
        {
            **kept,
            "dedup.table": name,
            "dedup.schema_version": str(SCHEMA_VERSION),
            "dedup.spec": canonical(spec),
            "dedup.versions": canonical(VERSIONS),
        }
    )


def spec_of(table: pa.Table) -> dict[str, Any]:
    """The spec that made a stored table."""
    spec: dict[str, Any] = json.loads(table.schema.metadata[b"dedup.spec"])
    return spec


def write(table: pa.Table, folder: Path, name: str, spec: Mapping[str, Any]) -> pa.Table:
    """Store the table as `folder/name.parquet`, whole or not at all, and return it with its
    description.
    """
    write_parts(iter([table]), folder, name, spec)
    return described(table, name, spec)


def write_parts(
    parts: Iterator[pa.Table], folder: Path, name: str, spec: Mapping[str, Any]
) -> None:
    """Store the table whose parts come one after the other, each when it comes; there is at least
    one.
    """
    first = described(next(parts), name, spec)
    partial = folder / f".{name}.parquet.partial"
    with pq.ParquetWriter(partial, first.schema, compression="zstd") as writer:
        writer.write_table(first, ROWS_PER_GROUP)
        for part in parts:
            writer.write_table(part.replace_schema_metadata(first.schema.metadata), ROWS_PER_GROUP)

    partial.replace(folder / f"{name}.parquet")


def read(
    folder: Path, name: str, *, spec: Mapping[str, Any] | None = None, without: Sequence[str] = ()
) -> pa.Table:
    """Read `folder/name.parquet`, a file or a folder of parts, and check that it is what its name
    says.

    With `spec` given, a table made with another one is refused. Columns `without` are not read.
    """
    path = folder / f"{name}.parquet"
    with _told(path):
        table = pa.concat_tables(
            stored.read([column for column in stored.schema_arrow.names if column not in without])
            for stored in _opened(path)
        )
        table.validate(full=True)  # texts that are none are found here, and not in a later step

    found = _described_as(table.schema, name, path)
    if spec is not None and found != canonical(spec):
        message = f"{path} was made with {found}; this run asks for {canonical(spec)}."
        raise TableError(message)

    return table


def read_parts(folder: Path, name: str) -> Iterator[pa.Table]:
    """The same table part by part, for one that is large; at least one part, however empty."""
    path = folder / f"{name}.parquet"
    with _told(path):
        for stored in _opened(path):
            _described_as(stored.schema_arrow, name, path)
            groups = range(stored.num_row_groups)
            for start in groups[::_GROUPS_AT_ONCE] or [0]:
                yield stored.read_row_groups(groups[start : start + _GROUPS_AT_ONCE])


def column(folder: Path, name: str, column: str) -> pa.ChunkedArray:
    """One column of a stored table, in one piece."""
    path = folder / f"{name}.parquet"
    with _told(path):
        parts = [stored.read([column])[column] for stored in _opened(path)]

    return pa.chunked_array(
        [
            pa.chunked_array(
                [c for part in parts for c in part.chunks], parts[0].type
            ).combine_chunks()
        ]
    )


def stored_spec(folder: Path, name: str) -> dict[str, Any]:
    """The spec of a table that is not read."""
    path = folder / f"{name}.parquet"
    with _told(path):
        schema = next(_opened(path)).schema_arrow

    spec: dict[str, Any] = json.loads(_described_as(schema, name, path))

    return spec


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of reading as `TableError` that name the file."""
    if not path.exists():
        message = f"{path} does not exist: the run is not complete. Run it again."
        raise TableError(message)
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        message = f"{path} cannot be read as Parquet: {because(error)}. Run it again."
        raise TableError(message) from error


def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    for file in _files(path):
        with pq.ParquetFile(file) as stored:
            yield stored


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def _described_as(schema: pa.Schema, name: str, path: Path) -> str:
    """The spec, as stored; raises `TableError` for another table than the name says, or of another
    version.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if metadata.get("dedup.table") != name:
        message = (
            f"{path} is not a {name} table of dedup (its metadata says"
            f" {metadata.get('dedup.table')!r})."
        )
        raise TableError(message)

    if metadata.get("dedup.schema_version") != str(SCHEMA_VERSION):
        message = (
            f"{path} has schema version {metadata.get('dedup.schema_version')!r}, this dedup reads "
            f"{SCHEMA_VERSION}. Run it again with this version."
        )
        raise TableError(message)

    return str(metadata.get("dedup.spec", "{}"))


def values(folder: Path, name: str, column: str, rows: Sequence[int]) -> list[Any]:
    """One column's values in some rows of a stored table; a few thousand of them are in memory at a
    time.
    """
    path = folder / f"{name}.parquet"
    wanted = np.unique(np.asarray(rows, np.int64))
    start, parts = 0, list[tuple[Path, int, NDArray[np.int64]]]()

    for file in _files(path):
        of = pq.read_metadata(file)
        for group in range(of.num_row_groups):
            stop = start + of.row_group(group).num_rows
            here = wanted[(wanted >= start) & (wanted < stop)] - start
            if len(here):
                parts.append((file, group, here))
            start = stop

    def taken(part: tuple[Path, int, NDArray[np.int64]]) -> list[Any]:
        file, group, here = part
        values, start = list[Any](), 0
        with pq.ParquetFile(file) as stored:
            for batch in stored.iter_batches(
                _ROWS_AT_ONCE, row_groups=[group], columns=[column], use_threads=False
            ):
                inside = here[(here >= start) & (here < start + len(batch))] - start
                values += batch[column].take(pa.array(inside)).to_pylist()
                start += len(batch)

        return values

    with ThreadPoolExecutor(_READERS) as readers:
        found = [value for values in readers.map(taken, parts) for value in values]

    value_of = dict(zip(wanted.tolist(), found, strict=True))

    return [value_of[row] for row in rows]


def link(source: Path, target: Path, name: str) -> None:
    """Let a stored table be in another folder as well, without taking space; copied where links are
    impossible.

    No file is ever written into: a table that is stored again is another file.
    """
    try:
        if (source / f"{name}.parquet").is_dir():
            shutil.copytree(
                source / f"{name}.parquet", target / f"{name}.parquet", copy_function=os.link
            )
        else:
            os.link(source / f"{name}.parquet", target / f"{name}.parquet")
    except OSError:
        copy(source, target, name)


def copy(source: Path, target: Path, name: str) -> None:
    """Copy a stored table from one folder to another, whole or not at all."""
    partial = target / f".{name}.parquet.partial"
    if (source / f"{name}.parquet").is_dir():
        shutil.copytree(source / f"{name}.parquet", partial, dirs_exist_ok=True)
    else:
        shutil.copyfile(source / f"{name}.parquet", partial)

    partial.replace(target / f"{name}.parquet")
