"""What a report says of the dataset itself: how its layout was understood, and which files were not
read.
"""

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa  # the command line reads this module for its words

_NAMED: Final = 5
"""Files that are named; all of them are in `not_read.parquet`."""

_PASSED: Final = frozenset({"hidden", "link_to_a_folder_above"})
"""Reasons that need no name: nobody takes such files for a part of a dataset."""


NOTHING: Final[Mapping[str, Any]] = {"files": 0, "by_reason": {}, "by_suffix": {}, "first": []}


def not_read(table: "pa.Table") -> dict[str, Any]:
    """Counts and the first names of files that were not read, from a table of path and reason."""
    rows = list(zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True))
    told = [path for path, reason in rows if reason not in _PASSED]

    return {
        "files": len(rows),
        "by_reason": dict(sorted(Counter(reason for _, reason in rows).items())),
        "by_suffix": dict(Counter(map(_suffix, told)).most_common()),
        "first": told[:_NAMED],
    }


def described(summary: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """The summary with what `run.json` has of the dataset; runs of older versions have less of
    it.
    """
    doubts = source.get("doubts", [])
    return {
        **summary,
        "understood": source.get("understood", ""),
        "not_read": source.get("not_read", NOTHING),
        "warnings": [*doubts, *summary["warnings"]],
    }


def in_a_line(found: Mapping[str, Any], *, kept: bool = True) -> str:
    """The files that were not read in one line, empty where there are none; `kept`: whether all are
    in a table.
    """
    if not found or not found["files"]:
        return ""

    reasons = ", ".join(
        f"{n:,} {reason.replace('_', ' ')}" for reason, n in found["by_reason"].items()
    )
    kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in found["by_suffix"].items())
    first = ", ".join(map(repr, found["first"]))
    more = ", …" if sum(found["by_suffix"].values()) > len(found["first"]) else ""
    named = f" ({kinds}): {first}{more}" if first else ""
    all_of_them = " All are in not_read.parquet." if kept and more else ""

    return f"Files that were not read: {reasons}{named}.{all_of_them}"


def recorded(found: Mapping[str, Any] | None) -> str:
    """What was found of recordings in several splits and what to do, for people; empty where there
    is nothing.
    """
    if not found:
        return ""

    n = found["series"]
    counts = ", ".join(
        f"{images:,} of {split!r}" for split, images in found["held_out_images"].items() if images
    )
    first = ", ".join(map(repr, found["first"][:3])) + (", …" if n > 3 else "")
    pattern = found["group_pattern"]
    remedy = (
        f"dataset.group_pattern: {pattern!r} keeps each together (with policy.leakage: regroup)."
        if pattern
        else (
            "Nothing in the names tells them apart: name a column with the recording as"
            " dataset.group_column."
        )
    )

    return (
        f"{n:,} recording{' is' if n == 1 else 's are'} in train and in a held-out split: {first}."
        f" Frames of these, {counts}, show scenes that train shows a moment before or after."
        f" {remedy}"
    )


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower() or "without suffix"  # an id, no path of this machine
