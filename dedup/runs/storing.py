"""The tables of a run: in memory, or in the run's folder and only what is asked often in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from dedup.tables import storage

Specs = Mapping[str, Mapping[str, Any]]  # by table


class Store:
    """The tables of a run by their names; who asks need not know where they are.

    Of a run with a folder neither the candidates nor a released column are in memory.
    """

    def __init__(
        self,
        folder: Path | None = None,
        tables: Mapping[str, pa.Table] | None = None,
        home: Path | None = None,
    ) -> None:
        self.folder = folder
        self.home = folder if home is None else home  # where the folder is in the end
        self._tables = dict(tables or {})

    def __getitem__(self, name: str) -> pa.Table:
        return self._tables[name]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """What is in memory, by name."""
        return dict(self._tables)

    def at_home(self) -> "Store":
        """The same tables when their folder has been moved to where it is in the end."""
        return Store(self.home, self._tables)

    def put(self, name: str, table: pa.Table, specs: Specs) -> None:
        """Put a table in its place."""
        if self.folder is not None:
            storage.write_parts(iter([table]), self.folder, name, specs[name])

        self._tables[name] = storage.described(table, name, specs[name])

    def put_parts(self, name: str, parts: Iterator[pa.Table], specs: Specs) -> None:
        """Put a table that comes in parts, one at least; with a folder it never is in memory."""
        if self.folder is None:
            self.put(name, pa.concat_tables(parts), specs)
        else:
            storage.write_parts(parts, self.folder, name, specs[name])

    @contextmanager
    def putting(self, tables: Mapping[str, pa.Table], specs: Specs) -> Iterator[None]:
        """Put tables, on a disk while other things are done with them."""
        self._tables |= {
            name: storage.described(table, name, specs[name]) for name, table in tables.items()
        }

        with ThreadPoolExecutor(1) as writer:
            pending = [
                writer.submit(storage.write, table, self.folder, name, specs[name])
                for name, table in tables.items()
                if self.folder is not None
            ]

            yield

            for write in pending:
                write.result()

    def parts(self, name: str) -> Iterator[pa.Table]:
        """A table part by part, one at least."""
        if self.folder is None or name in self._tables:
            return iter([self._tables[name]])

        return storage.read_parts(self.folder, name)

    def whole_hashes(self) -> pa.Table:
        """The hashes with all columns."""
        if self.folder is None or "thumbnail" in self._tables["hashes"].column_names:
            return self._tables["hashes"]

        # Another run may have taken the place of the one that was loaded.
        return storage.read(self.folder, "hashes", spec=storage.spec_of(self._tables["hashes"]))

    def has_thumbnails(self) -> bool:
        """Whether the thumbnails are in memory."""
        return "thumbnail" in self._tables["hashes"].column_names

    def thumbnails(self) -> Callable[[Sequence[int]], Sequence[bytes | None]]:
        """A function that gives the thumbnails of samples; null for those that have none."""
        if self.folder is None or self.has_thumbnails():
            column = self._tables["hashes"]["thumbnail"]
            return lambda samples: column.take(pa.array(samples, pa.int64())).to_pylist()

        folder = self.folder

        return lambda samples: storage.values(folder, "hashes", "thumbnail", samples)

    def file_digests(self) -> Callable[[], pa.ChunkedArray]:
        """A function that gives the digest of every sample's file."""
        hashes = self._tables["hashes"]
        if self.folder is None or "file_digest" in hashes.column_names:
            return lambda: hashes["file_digest"]

        folder = self.folder

        return lambda: storage.column(folder, "hashes", "file_digest")

    def release(self, column: str) -> None:
        """Free the memory of a large column of the hashes that the folder has, too."""
        if self.folder is not None:
            kept = [name for name in self._tables["hashes"].column_names if name != column]
            self._tables["hashes"] = self._tables["hashes"].select(kept)
