"""Images of stored rows as payloads, and with the bytes of the files that they name."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dedup.decoding.contents import PAYLOAD, REFUSED, read_bytes, stored_bytes
from dedup.decoding.pictures import Unreadable
from dedup.files import inside
from dedup.formats.image_lists import (
    images_in,
    listed_in,
    replaced,
)
from dedup.formats.stored import Split


class StoredImages:
    """What reads the images of a column."""

    root: Path | None
    _image: str  # the column, or the place in it
    _splits: Sequence[Split]
    _stored_rows: Sequence[Split]  # as they are written: with each image a sample, other ones
    # of a dataset on the Hub: the folders in which its files are
    downloads: Sequence[Path] | None = None

    def _payload_of_column(self, first_row: int, column: pa.ChunkedArray) -> pa.RecordBatch:
        rows, stored = range(first_row, first_row + len(column)), stored_bytes(column)
        if stored.null_count:
            return self._payload(rows, column.to_pylist())

        data = stored.cast(pa.large_binary()).combine_chunks()

        return pa.record_batch([list(rows), pa.nulls(len(data), pa.binary()), data], schema=PAYLOAD)

    def _payload(self, rows: Sequence[int], images: list[Any]) -> pa.RecordBatch:
        paths, data = [], []
        for value in images:
            image = value if isinstance(value, dict) else {"bytes": value, "path": None}
            data.append(image["bytes"])
            named = image.get("path") if image["bytes"] is None else None
            inside_path = None if named is None else self._inside(named)
            paths.append(
                None
                if named is None
                else REFUSED
                if inside_path is None
                else os.fsencode(inside_path)
            )

        return pa.record_batch([list(rows), paths, data], schema=PAYLOAD)

    def _inside(self, path: str | None) -> str | None:
        """Where an image that is stored as a path lies. Files from elsewhere must not name files of
        this machine.
        """
        if path is None:
            return None
        if self.downloads is not None:
            return path if any(inside(Path(path), folder) for folder in self.downloads) else None
        if self.root is None:
            return path

        whole = self.root / path

        return str(whole) if inside(whole, self.root) else None

    def _embedded(self, table: pa.Table) -> pa.Table:
        """The table with the bytes of images that are stored as files beside it."""
        if self._stored_rows is not self._splits:
            return self._embedded_inside(table)

        column = table[self._image]
        if not pa.types.is_struct(column.type) or _has_all_bytes(column):
            return table

        embedded = self._with_bytes(column.to_pylist())
        index = table.column_names.index(self._image)

        return table.set_column(index, table.schema.field(index), pa.array(embedded, column.type))

    def _embedded_inside(self, table: pa.Table) -> pa.Table:
        """The same for images in lists and structs."""
        index = table.column_names.index(self._image.partition(".")[0])
        _, images = images_in(table.column(index), self._image)
        if _has_all_bytes(images):
            return table

        values = table.column(index).to_pylist()
        embedded = iter(self._with_bytes([*listed_in(values)]))
        column = pa.array(replaced(values, embedded), table.schema.field(index).type)

        return table.set_column(index, table.schema.field(index), column)

    def _with_bytes(self, values: list[Any]) -> list[Any]:
        """The images with the bytes of the files that they name."""
        batch = self._payload(range(len(values)), values)
        embedded = []
        for value, path in zip(values, batch["path"].to_pylist(), strict=True):
            if value is not None and value["bytes"] is None and path is not None:
                data = read_bytes(path, None)
                name = os.path.basename(value["path"])
                value = value if isinstance(data, Unreadable) else {"bytes": data, "path": name}
            embedded.append(value)

        return embedded


def _has_all_bytes(column: pa.ChunkedArray) -> bool:
    """Whether no image is a mere path; told by counts, as a million rows should not become Python
    objects.
    """
    stored = pc.struct_field(column, "bytes")
    return bool(stored.null_count == column.null_count)
