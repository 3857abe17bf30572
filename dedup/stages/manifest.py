"""manifest: one row per sample, numbered by sorted id."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.errors import SourceError
from dedup.formats.labels import in_one_order

MAX_SPLITS: Final = 100
"""More different splits than that are taken for a wrongly named column."""


def manifest(
    rows: pa.Table,
    name: str,
    *,
    groups: Sequence[str | None] | None = None,
    keep_by: Sequence[str | None] | None = None,
    distinct: Sequence[str | None] | None = None,
    image_rows: Sequence[str | None] | None = None,
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The manifest of a source's rows, and for each sample the row where it stands in the source.

    `groups`, `keep_by`, `distinct` and `image_rows` are further columns, in the order of the rows.

    The table depends on the set of rows, not on their order. `name` stands in messages. Raises
    `SourceError` when two rows have one id.
    """
    if (n_splits := len(rows["split"].unique())) > MAX_SPLITS:
        message = (
            f"{name}: {n_splits:,} different splits, at most {MAX_SPLITS} are allowed. "
            "Is it the right column? Name it as dataset.split_column."
        )
        raise SourceError(message)

    row_of_sample = pc.sort_indices(rows["id"]).to_numpy().astype(np.int64)
    ordered = rows.take(pa.array(row_of_sample)).combine_chunks()
    ids = ordered["id"]

    if len(ids) > 1:
        repeated = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1))
        if twice := pc.sum(repeated).as_py():
            at = pc.index(repeated, True).as_py()
            first, second = sorted(int(row) + 1 for row in row_of_sample[at : at + 2])
            repeat = "row repeats" if twice == 1 else "rows repeat"
            message = (
                f"{name}: {twice:,} {repeat} the id of another one, the first is"
                f" {ids[at].as_py()!r} in rows {first} and {second}. Give every row its own id, or"
                " name another column as dataset.id_column."
            )
            raise SourceError(message)

    samples = pa.array(np.arange(len(ordered), dtype=np.int64))
    further = [
        (
            pa.nulls(len(ordered), pa.string())
            if texts is None
            else pa.array(texts, pa.string()).take(row_of_sample)
        )
        for texts in (groups, keep_by, distinct, image_rows)
    ]
    # Tools and file systems differ in the Unicode form that they write: a label is one label in
    # either.
    labels = in_one_order(pc.utf8_normalize(ordered["label"], "NFC"))
    columns = [samples, ordered["id"], ordered["split"], labels, ordered["uri"], *further]

    return pa.table(columns, schema=tables.MANIFEST), row_of_sample
