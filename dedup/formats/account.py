"""What an opened dataset accounts for besides its rows: what was not read, and how its layout was
understood.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

NOT_READ: Final = pa.schema([("path", pa.string()), ("reason", pa.string())])
"""Files below the root of a dataset that are not part of it, sorted by path."""

EVERYTHING_READ: Final = NOT_READ.empty_table()


_NAMED: Final = 4
"""Names in a line, before it goes on with dots."""


class Opened:
    """The account of a dataset; forms fill it in, or whoever opens them does."""

    not_read: pa.Table = EVERYTHING_READ  # NOT_READ
    understood: str = ""  # for people: which folder or file is which split, what the labels are
    doubts: Sequence[str] = ()  # for people: what could be meant otherwise, and how to say so

    @property
    def skipped(self) -> Mapping[str, int]:
        """The number of files that were not read, by reason."""
        return dict(sorted(Counter(self.not_read["reason"].to_pylist()).items()))


def in_a_line(rows: pa.Table) -> str:
    """The splits and labels of ROWS, for people."""
    splits = Counter(rows["split"].to_pylist())
    known = sorted(filter(None, splits), key=lambda name: (name != "train", name))
    words = [f"{split} has {splits[split]:,} images" for split in known[:_NAMED]]
    words += [f"{splits[None]:,} images have no split"] if splits[None] else []
    more = ", …" if len(known) > _NAMED else ""

    return f"{', '.join(words)}{more}; {labels_in_a_line(rows['label'].unique().to_pylist())}"


def labels_in_a_line(labels: Iterable[str | None]) -> str:
    """The different labels, for people."""
    names = sorted({label for label in labels if label is not None})
    shown = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"labels: {len(names):,} ({shown})" if names else "labels: none"
