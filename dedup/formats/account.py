"""What an opened dataset accounts for besides its rows: what was not read, and how its layout was understood."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

NOT_READ: Final = pa.schema([("path", pa.string()), ("reason", pa.string())])
"""Files below the root of a dataset that are not part of it, sorted by path."""

EVERYTHING_READ: Final = NOT_READ.empty_table()


class Opened:
    """The account of a dataset; forms fill it in, or whoever opens them does."""

    not_read: pa.Table = EVERYTHING_READ  # NOT_READ
    understood: str = ""  # for people: which folder or file is which split, what the labels are

    @property
    def skipped(self) -> Mapping[str, int]:
        """The number of files that were not read, by reason."""
        return dict(sorted(Counter(self.not_read["reason"].to_pylist()).items()))
