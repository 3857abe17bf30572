"""Stored tables say what they are, and nothing else is read in their place."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup import tables
from dedup.errors import TableError
from dedup.tables import storage

SPEC = {"search": {"max_distance": 8}, "hash": {"bits": 64}}
TABLE = pa.table(
    [
        [0, 1],
        ["a", "b"],
        ["train", None],
        [None, "cat"],
        ["a", "b"],
        [None, "p1"],
        [None, "1"],
        ["x", None],
        [None, "test/0"],
    ],
    schema=tables.MANIFEST,
)


def test_a_stored_table_describes_itself(tmp_path: Path) -> None:
    """Name, schema version, spec as canonical JSON and library versions stand in the file."""
    storage.write(TABLE, tmp_path, "manifest", SPEC)
    metadata = pq.read_schema(tmp_path / "manifest.parquet").metadata

    assert metadata[b"dedup.table"] == b"manifest"
    assert metadata[b"dedup.schema_version"] == str(tables.SCHEMA_VERSION).encode()
    assert metadata[b"dedup.spec"] == b'{"hash":{"bits":64},"search":{"max_distance":8}}'
    assert {"dedup-images", "numpy", "Pillow", "ImageHash", "pyarrow"} <= json.loads(
        metadata[b"dedup.versions"]
    ).keys()


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """The same values, types and description come back."""
    written = storage.write(TABLE, tmp_path, "manifest", SPEC)
    read = storage.read(tmp_path, "manifest", spec=SPEC)

    assert written.equals(read, check_metadata=True)
    assert SPEC == storage.spec_of(read)


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    """Equal specs with other key orders are one spec, and equal files."""
    storage.write(TABLE, tmp_path, "manifest", SPEC)
    before = (tmp_path / "manifest.parquet").read_bytes()
    storage.write(TABLE, tmp_path, "manifest", dict(reversed(SPEC.items())))

    assert before == (tmp_path / "manifest.parquet").read_bytes()


def test_another_spec_is_refused(tmp_path: Path) -> None:
    """The message names both specs."""
    storage.write(TABLE, tmp_path, "manifest", SPEC)
    with pytest.raises(TableError) as caught:
        storage.read(tmp_path, "manifest", spec={"search": {"max_distance": 9}})

    assert '"max_distance":8' in str(caught.value)
    assert '"max_distance":9' in str(caught.value)


def test_another_table_is_refused(tmp_path: Path) -> None:
    """A manifest under the name of the pairs is no table of pairs; the message names both."""
    storage.write(TABLE, tmp_path, "manifest", SPEC)
    (tmp_path / "manifest.parquet").rename(tmp_path / "pairs.parquet")
    with pytest.raises(TableError, match=r"not a pairs table.*'manifest'"):
        storage.read(tmp_path, "pairs")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """Parquet without a description is no table of dedup."""
    pq.write_table(TABLE, tmp_path / "manifest.parquet")
    with pytest.raises(TableError, match="not a manifest table"):
        storage.read(tmp_path, "manifest")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    """The message names both versions."""
    described = storage.described(TABLE, "manifest", SPEC)
    metadata = {**described.schema.metadata, b"dedup.schema_version": b"99"}
    pq.write_table(described.replace_schema_metadata(metadata), tmp_path / "manifest.parquet")
    with pytest.raises(TableError, match=rf"'99'.*{tables.SCHEMA_VERSION}"):
        storage.read(tmp_path, "manifest")


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1PAR1"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is no Parquet is an error that names the file."""
    (tmp_path / "manifest.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"manifest\.parquet"):
        storage.read(tmp_path, "manifest")


def test_texts_that_are_none_are_refused(tmp_path: Path) -> None:
    """A byte of a text can be damaged in a file that Arrow reads without complaint."""
    names = pa.Array.from_buffers(
        pa.string(), 2, [*pa.array(["a", "b"]).buffers()[:2], pa.py_buffer(b"a\xff")]
    )
    storage.write(TABLE.set_column(1, TABLE.schema.field(1), names), tmp_path, "manifest", SPEC)

    with pytest.raises(
        TableError, match=r"manifest.parquet cannot be read as Parquet.*Run it again"
    ):
        storage.read(tmp_path, "manifest")


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(TableError, match=r"leakage\.parquet does not exist"):
        storage.read(tmp_path, "leakage")


def test_a_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    """`manifest.parquet/` with parts reads as the whole table, in the order of the parts' names."""
    folder = tmp_path / "manifest.parquet"
    folder.mkdir()
    for k in range(2):
        pq.write_table(
            storage.described(TABLE.slice(k, 1), "manifest", SPEC), folder / f"part-{k:05d}.parquet"
        )
    read = storage.read(tmp_path, "manifest", spec=SPEC)

    assert TABLE.to_pylist() == read.to_pylist()


def test_a_write_that_fails_leaves_the_old_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table appears whole or not at all: a full disk in the middle leaves what was there."""
    storage.write(TABLE, tmp_path, "manifest", SPEC)
    before = (tmp_path / "manifest.parquet").read_bytes()

    def full(writer: pq.ParquetWriter, table: pa.Table, *rest: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        storage.write(TABLE.slice(0, 1), tmp_path, "manifest", SPEC)

    assert before == (tmp_path / "manifest.parquet").read_bytes()


def test_parts_are_one_table(tmp_path: Path) -> None:
    """A table that comes in parts is stored part by part and read as if it had come at once."""
    seen = []

    def parts() -> Iterator[pa.Table]:
        for start in range(len(TABLE)):
            seen.append((tmp_path / ".manifest.parquet.partial").exists())
            yield TABLE.slice(start, 1)

    storage.write_parts(parts(), tmp_path, "manifest", SPEC)

    assert TABLE.equals(pa.concat_tables(storage.read_parts(tmp_path, "manifest")))
    assert TABLE.equals(storage.read(tmp_path, "manifest", spec=SPEC))
    assert seen[0] is False
    assert all(seen[1:])


@pytest.mark.parametrize("folder", [False, True])
def test_values_from_any_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    """Rows are found wherever they stand, in the order asked for, as often as asked for."""
    monkeypatch.setattr(storage, "ROWS_PER_GROUP", 3)
    column = pa.array([f"id{row}" for row in range(20)])
    table = pa.table({"id": column})
    if folder:
        for start in (0, 7):
            storage.write(table.slice(start, 13 if start else 7), tmp_path, "manifest", SPEC)
            (tmp_path / "manifest.parquet").rename(tmp_path / f"part-{start:02}.parquet")
        (tmp_path / "manifest.parquet").mkdir()
        for part in tmp_path.glob("part-*.parquet"):
            part.rename(tmp_path / "manifest.parquet" / part.name)
    else:
        storage.write(table, tmp_path, "manifest", SPEC)
    rows = [19, 0, 3, 3, 12, 2, 7, 6]

    assert [f"id{row}" for row in rows] == storage.values(tmp_path, "manifest", "id", rows)
    assert column.equals(storage.column(tmp_path, "manifest", "id").combine_chunks())
