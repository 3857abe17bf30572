"""What follows from a sample's status: which unreadable samples are written, and why."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import Resolved
from dedup.errors import SourceError
from dedup.tables import ABSENT, BROKEN, NOT_DECODED, NOT_THERE

DROPPED: Final = "unreadable, dropped"
KEPT: Final = "unreadable, kept"
NOT_JUDGED: Final = "not decoded here, kept"
NO_IMAGE: Final = "no image, kept"
NOT_WRITTEN: Final = "not there, not written"

STAY: Final = (KEPT, NOT_JUDGED, NO_IMAGE)
"""Reasons of samples without a picture that are written all the same."""

REASONS: Final = (DROPPED, KEPT, NOT_JUDGED, NO_IMAGE, NOT_WRITTEN)

Mask = NDArray[np.bool_]


def reasons(statuses: pa.ChunkedArray, held_out: Mask, references: Mask, rule: str) -> pa.Array:
    """Why each unreadable sample is written or not, one of `REASONS`; null for readable samples.

    `rule` is `policy.unreadable`: it is about broken files only. What this decoder merely does not
    know, or finds too large, is kept, as it may be a good picture; so is a row without an image.
    Reference sets are never altered.
    """
    broken, not_decoded, absent, not_there = (
        _is_one_of(statuses, names) for names in (BROKEN, NOT_DECODED, (ABSENT,), NOT_THERE)
    )
    stay = {"drop": held_out & False, "keep": ~held_out | True, "drop_from_train": held_out}[rule]
    chosen = np.select(
        [absent, (broken | not_there) & references, not_decoded, not_there, broken & stay, broken],
        [REASONS.index(name) for name in (NO_IMAGE, KEPT, NOT_JUDGED, NOT_WRITTEN, KEPT, DROPPED)],
        default=-1,
    )

    return pa.array(REASONS, pa.string()).take(pa.array(chosen, mask=chosen < 0))


def refuse_emptied(hashes: pa.Table, manifest: pa.Table, resolved: Resolved) -> None:
    """Raise `SourceError` where a split would be empty because none of its samples can be read."""
    found = emptied(hashes, manifest, resolved)
    if found:
        message = (
            f"{found[0]} The splits are not written. Set policy.unreadable: keep to write the"
            " samples as they are, policy.unreadable: drop to go on without them, or"
            " output.splits: none."
        )
        raise SourceError(message)


def emptied(hashes: pa.Table, manifest: pa.Table, resolved: Resolved) -> list[str]:
    """A sentence for each split of which nothing would be left because its samples are unreadable.

    None with `policy.unreadable: drop`: then that is what was asked for.
    """
    if resolved.policy.unreadable == "drop":
        return []

    splits = manifest["split"]
    held_out, references = (
        np.asarray(pc.is_in(splits, pa.array(names, pa.string())).to_numpy())
        for names in (resolved.splits.held_out, resolved.splits.references)
    )
    why = reasons(hashes["status"], held_out, references, resolved.policy.unreadable)
    gone = _is_one_of(why, (DROPPED, NOT_WRITTEN))

    sentences = []
    for name in sorted(splits.unique().to_pylist(), key=lambda name: name or ""):
        inside = np.asarray(
            (
                pc.is_null(splits) if name is None else pc.fill_null(pc.equal(splits, name), False)
            ).to_numpy()
        )
        if not gone[inside].all():
            continue
        first = int(np.flatnonzero(inside)[0])
        which = "that are in no split" if name is None else f"of split {name!r}"
        sentences.append(
            f"None of the samples {which} ({int(inside.sum()):,}) can be read, so nothing would be"
            f" left of it. The first is {manifest['id'][first].as_py()!r}:"
            f" {hashes['status'][first].as_py()}, {hashes['detail'][first].as_py()}."
        )

    return sentences


def _is_one_of(column: pa.ChunkedArray | pa.Array, names: tuple[str, ...]) -> Mask:
    found = pc.is_in(column, pa.array(names, pa.string()))

    return np.asarray(
        found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
    )
