"""A form: a folder with `album.txt`, whose lines are a split, a label and the name of a picture."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.config import DatasetConfig
from dedup.formats.detection import Evidence
from dedup.formats.files import Files
from dedup.formats.forms import Form, register
from dedup.formats.listing import Listing
from dedup.formats.placing import put_once, write_new
from dedup.formats.source import NO_MOVES, ROWS, Moves

LIST = "album.txt"


class Album(Files):
    """The pictures that the list names."""

    form: str = "album"

    def __init__(self, path: Path, config: DatasetConfig, _: Listing | None = None) -> None:
        self.name = str(path)
        self._config = config
        lines = [line.split() for line in (path / LIST).read_text().splitlines()]
        splits, labels, names = ([line[k] for line in lines] for k in range(3))
        files = [os.fsencode(path / name) for name in names]
        super().__init__(path, files, pa.table([names, splits, labels, names], schema=ROWS))

    def own_files(self) -> Iterator[Path]:
        """The pictures and the list."""
        yield from (self.root / name for name in self.rows["uri"].to_pylist())
        yield self.root / LIST

    def check_movable(self) -> None:
        """A line can have any split."""

    def write(
        self, keep: NDArray[np.bool_], folder: Path, files: str, moves: Moves = NO_MOVES
    ) -> NDArray[np.bool_]:
        """The kept pictures, and a list of them."""
        there, lines = keep.copy(), []
        for number, row in enumerate(self.rows.to_pylist()):
            name = row["uri"]
            there[number] = keep[number] and put_once(self.root / name, folder / name, files)
            if there[number]:
                lines.append(f"{moves.get(number, row['split'])} {row['label']} {name}\n")
        write_new(folder / LIST, "".join(lines).encode())
        return there

    def written(self, folder: Path) -> DatasetConfig:
        """The same settings."""
        return self._config.model_copy(update={"source": self.form, "path": str(folder)})


def detects(listing: Listing) -> Evidence | None:
    """The list is there: nothing else has a file of that name."""
    found = (LIST,) in listing.others
    return Evidence(len(listing.images), f"a list {LIST}", is_sure=True) if found else None


register(Form("album", open=Album, detects=detects, takes=(), is_folder=True))
