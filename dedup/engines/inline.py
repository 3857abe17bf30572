"""Work in this process: for a few tasks, for debugging, and as the reference for the other engines."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import pyarrow as pa


class InlineEngine:
    """Runs every batch where it is asked to."""

    def run(self, work: str, setup: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Results of the batches, in their order."""
        transform = import_module(work).start(setup)
        for batch in batches:
            yield transform(batch)
