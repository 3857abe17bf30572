"""A dataset without splits, as one whose samples were given splits: it is written in any form that
has splits.
"""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from dedup.formats.source import Source

WRITTEN_AS: Final = {"huggingface": "parquet", "webdataset": "webdataset", "manifest": "manifest"}
"""The form in which the splits of a pool of some form are written; of all others it is folders of
images.
"""


class Pool:
    """A source whose rows have the splits given; all else is that of the source."""

    form: str = "pool"

    def __init__(self, of: Source, splits: Sequence[str]) -> None:
        self._of = of
        place = of.rows.column_names.index("split")
        self.rows = of.rows.set_column(place, "split", pa.array(splits, pa.string()))

    def __getattr__(self, name: str) -> Any:
        """What this class does not say is as the source has it."""
        return getattr(self._of, name)

    def check_writable(self) -> None:
        """It is written in another form, which checks itself."""

    def check_movable(self) -> None:
        """Every sample can be in every split: none has a place of its own."""
