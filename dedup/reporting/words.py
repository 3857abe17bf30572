"""What the columns of a leak and of a table of splits are called where people read."""

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = {
    "bytes": "same file",
    "pixels": "same pixels",
    "near": "near",
    "crop": "crop",
    "listed": "listed as duplicates",
    "group": "same group",
}
"""What the kinds of pairs and leaks are called where people read, the worst first."""

_SHIFTED: Final = 5  # labels of a split that are named


def facts(row: Mapping[str, Any]) -> str:
    """Why a row of `leakage` is a leak, in a few words."""
    parts = [KINDS[row["kind"]]]
    if row["transform"] not in {None, "identity"}:
        parts.append(row["transform"])

    if row["kind"] == "near":
        parts += [] if row["distance"] is None else [f"distance {row['distance']}"]
        parts += [] if row["similarity"] is None else [f"similarity {row['similarity']:.3f}"]

    return ", ".join([*parts, "different labels"] if row["label_conflict"] else parts)


def counted(summary: Mapping[str, Any], *, written: bool = True) -> dict[str, str]:
    """What a table of splits counts: keys of `splits` in the summary, with their headings."""
    names = {
        "images": "images",
        "keep": "kept",
        "move": "moved out",
        "drop": "dropped",
        "unreadable": "unreadable",
    }
    if not written:
        names |= {"keep": "would stay", "move": "would move out", "drop": "would go"}
    if not any(of["move"] for of in summary["splits"].values()):
        del names["move"]

    return names


def gone_with_every_match(summary: Mapping[str, Any]) -> str:
    """How many pictures leave no copy behind; empty where all do."""
    if not (gone := summary["decisions"].get("witness_dropped")):
        return ""

    one = gone == 1

    return (
        f"{gone:,} {'sample is' if one else 'samples are'} dropped with every match of"
        f" {'its' if one else 'theirs'} (policy.label_conflicts: drop_all): the witness in"
        " decisions.parquet goes too (witness_kept: false)."
    )


def shifted(split: Mapping[str, Any]) -> str:
    """How the labels of a regrouped split are balanced before and after: those whose share changed
    most.
    """
    shares = (
        (of["label"], *(100 * of[when] / max(split[when], 1) for when in ("before", "after")))
        for of in split["labels"][:_SHIFTED]
    )
    return ", ".join(
        f"{'(no label)' if label is None else label} {before:.1f} → {after:.1f} %"
        for label, before, after in shares
    )
