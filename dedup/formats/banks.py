"""A bank as a dataset: its entries are samples that were measured before and have no pictures.

Mostly a reference: is my data clean of this benchmark? Alone it is searched for duplicates among
its own entries. It cannot be written.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3
from numpy.typing import NDArray

from dedup.config import DatasetConfig
from dedup.decoding.contents import PAYLOAD
from dedup.errors import ConfigError, SourceError
from dedup.formats.account import Opened
from dedup.formats.further import NOTHING, Further
from dedup.formats.source import NO_MOVES, ROWS, Moves
from dedup.hashers.drift import widened_by
from dedup.hashers.setup import Setup
from dedup.tables import DIGEST_BYTES
from dedup.tables.entries import DATABASE, PORTABLE, read_database, read_portable

SIGNS: Final = "signs"
"""Column of `hashes` beside those that are always there: of samples that have signs in place of a
thumbnail.
"""


@runtime_checkable
class Measured(Protocol):
    """A source whose samples were measured before."""

    def hashes(self, setup: Setup) -> pa.Table:
        """Rows of the table `hashes`, with the row of the source as `sample`, and their signs.

        Raises `ConfigError` where they were measured otherwise.
        """

    def drift(self) -> int:
        """Bits by which codes made here may differ from these."""


def is_bank(path: Path) -> bool:
    """Whether it is a bank, portable or one's own."""
    return path.name.endswith(PORTABLE) or (path / DATABASE).is_file()


class Bank(Opened):
    """The entries of a bank."""

    form = "bank"
    root: Path | None = None

    def __init__(self, path: Path, config: DatasetConfig) -> None:
        if not is_bank(path):
            message = (
                f"dataset.source is 'bank', but {str(path)!r} is neither *{PORTABLE} nor the folder"
                " of a bank."
            )
            raise ConfigError(message)

        self.name = str(path)
        self._path = path
        self._info, self._entries = read_portable(path) if path.is_file() else read_database(path)
        n = len(self._entries)
        named = self._entries.column_names
        label, uri = (
            self._entries[c] if c in named else pa.nulls(n, pa.string()) for c in ("label", "uri")
        )
        split = pa.array([config.default_split] * n, pa.string())
        self.rows = pa.table([self._entries["id"], split, label, uri], schema=ROWS)

    def hashes(self, setup: Setup) -> pa.Table:
        """What the bank has of its entries, in the columns of `hashes`; what it has not is null."""
        spec = self._info.spec
        asked = {"algorithms": setup.algorithms, "bits": setup.bits, "mode": setup.mode}
        if different := [
            f"hash.{k}: {v!r}, not {getattr(spec, k)!r}"
            for k, v in asked.items()
            if v != getattr(spec, k)
        ]:
            message = (
                f"{self.name}: this run asks for other codes than the bank has:"
                f" {'; '.join(different)}."
            )
            raise ConfigError(message)

        if setup.transforms:
            message = (
                f"{self.name}: a bank has no codes of turned pictures. Set search.orientations:"
                " upright."
            )
            raise ConfigError(message)

        n = len(self._entries)
        known = {name: self._entries[name] for name in self._entries.column_names}
        known["file_digest"] = self._digests(known)
        known |= {"sample": pa.array(np.arange(n)), "status": pa.array(["ok"] * n, pa.string())}
        schema = setup.schema()
        columns = [
            known[field.name].cast(field.type) if field.name in known else pa.nulls(n, field.type)
            for field in schema
        ]
        table = pa.table(columns, schema=schema)
        small = table["thumbnail"].is_valid().combine_chunks()
        signs = pc.if_else(small, pa.scalar(None, known[SIGNS].type), known[SIGNS])

        return table.append_column(SIGNS, signs)

    def _digests(self, known: Mapping[str, Any]) -> pa.Array:
        """Digests of the files, or of the entries themselves: by them a certificate knows them
        again.
        """
        n = len(self._entries)
        own = known["file_digest"].to_pylist() if "file_digest" in known else [None] * n
        columns = [known[name].to_pylist() for name in (*self._info.spec.algorithms, SIGNS)]
        ids = known["id"].to_pylist()

        return pa.array(
            [
                digest or blake3(b"".join((entry.encode(), b"\0", *parts))).digest()
                for digest, entry, *parts in zip(own, ids, *columns, strict=True)
            ],
            pa.binary(DIGEST_BYTES),
        )

    def drift(self) -> int:
        """Measured on the canary pictures; a warning says so."""
        return widened_by(self._info, self.name)

    def payload_of(self, rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """There are no pictures."""
        n = len(rows)
        yield pa.record_batch(
            [pa.array(rows, pa.int64()), pa.nulls(n, pa.binary()), pa.nulls(n, pa.large_binary())],
            schema=PAYLOAD,
        )

    def own_files(self) -> Iterator[Path]:
        """What the bank consists of."""
        yield from [self._path] if self._path.is_file() else sorted(self._path.rglob("*"))

    def columns(self) -> Sequence[str]:
        """None: a bank keeps ids and labels only."""
        return ()

    def texts(self, column: str) -> list[str | None]:
        """A bank has no further columns."""
        message = f"{self.name}: a bank has no column {column!r}; it has ids and labels only."
        raise ConfigError(message)

    def further(self) -> Further:
        """Nothing."""
        return NOTHING

    def check_writable(self) -> None:
        """Raises `SourceError`."""
        self._refuse()

    def check_movable(self) -> None:
        """Raises `SourceError`."""
        self._refuse()

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """Raises `SourceError`."""
        self._refuse()

    def written(self, folder: Path) -> DatasetConfig:
        """Raises `SourceError`."""
        self._refuse()

    def dataset_dict(self, keep: NDArray[np.bool_], moves: Moves = NO_MOVES) -> Any:
        """Raises `SourceError`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        message = (
            f"{self.name}: a bank has no pictures, so there are no splits to write. Name it as a"
            " reference, or search it with 'dedup audit'; entries are removed with 'dedup bank"
            " remove'."
        )
        raise SourceError(message)
