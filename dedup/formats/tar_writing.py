"""Shards as they are written: tar files of a size, or of a number of samples."""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dedup.formats.further import as_json
from dedup.formats.source import (
    Sample,
)

_BYTES_PER_SHARD: Final = 1_000_000_000
_SAMPLES_PER_SHARD: Final = 10_000


class WrittenShards:
    """The shards of one split."""

    def __init__(self, folder: Path, name: str, number: int, others: Mapping[str, str]) -> None:
        self._others = others
        taken = (folder / f"{name}-000000.tar").exists()
        self._name = str(folder / (f"{name}_{number}" if taken else name))
        self._n_shards = self._n_samples = self._n_bytes = 0
        self._tar: tarfile.TarFile | None = None

    def add(self, sample: Sample) -> None:
        """Append the members of a sample."""
        data = sample.content()
        if (
            self._tar is None
            or self._n_samples >= _SAMPLES_PER_SHARD
            or self._n_bytes >= _BYTES_PER_SHARD
        ):
            self.close()
            self._tar = tarfile.TarFile(
                f"{self._name}-{self._n_shards:06d}.tar", "x", format=tarfile.PAX_FORMAT
            )
            self._n_shards, self._n_samples, self._n_bytes = self._n_shards + 1, 0, 0

        said = {"id": sample.id, "label": sample.label, "split": sample.split}
        said |= {name: as_json(sample.more.get(column)) for column, name in self._others.items()}
        key = f"{sample.row:09d}"
        if data is not None:
            self._member(key + sample.suffix(), data)
        if sample.label is not None and re.fullmatch(r"\d{1,18}", sample.label, re.ASCII):
            self._member(f"{key}.cls", sample.label.encode())

        self._member(f"{key}.json", json.dumps(said, ensure_ascii=False).encode())
        self._n_samples += 1
        self._n_bytes += len(data or b"")

    def close(self) -> None:
        """End the last shard."""
        if self._tar is not None:
            self._tar.close()

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        if self._tar is not None:
            self._tar.addfile(info, io.BytesIO(data))
