"""README.md of the written splits: a dataset card that says what was removed, how and with which
settings.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dedup.reporting.dataset import in_a_line, recorded
from dedup.reporting.words import counted, gone_with_every_match, shifted


def readme(summary: Mapping[str, Any], splits: Path) -> str:
    """The README's text; where Parquet shards were written, with the YAML that lists the splits."""
    lines = _front_matter(splits) if (splits / "data").is_dir() else []
    lines += ["# Cleaned dataset", "", *_counts(summary), "", *_splits(summary), ""]
    lines += [*_reasons(summary), ""]
    if gone := gone_with_every_match(summary):
        lines += [gone, ""]
    if line := recorded(summary.get("recordings")):
        lines += [_cell(line), ""]
    if line := in_a_line(summary.get("not_read", {}), kept=False):
        lines += [_cell(f"{line} They are not in these splits."), ""]
    if summary["regroup"]:
        lines += [*_moved(summary["regroup"]), ""]
    if summary.get("certificate"):
        lines += ["Certificate: " + summary["certificate"]["statement"], ""]

    lines += [
        (
            "Method: perceptual hashes joined exactly within a Hamming distance,"
            f" {_verified(summary['resolved'])}."
        ),
        "Resolved settings:",
        "",
        "```json",
        json.dumps(summary["resolved"], indent=2, ensure_ascii=False),
        "```",
        "",
    ]

    return "\n".join(lines)


def _counts(summary: Mapping[str, Any]) -> list[str]:
    counts, decisions = summary["samples"], summary["decisions"]
    moved = f", {decisions['move']:,} moved to another split" if decisions["move"] else ""
    who = f"dedup {summary['dedup_version']} (distribution dedup-images)"

    return [
        f"Written by {who} from {counts['total']:,} samples:",
        (
            f"{decisions['keep']:,} kept, {decisions['drop']:,} dropped,"
            f" {decisions['unreadable']:,} unreadable{moved}."
        ),
    ]


def _reasons(summary: Mapping[str, Any]) -> list[str]:
    of_reasons = summary["decisions"]["by_reason"].items()
    rows = (f"| {_cell(reason)} | {n:,} |" for reason, n in of_reasons)

    return ["| why | samples |", "|---|---:|", *rows]


def _moved(regroup: Mapping[str, Any]) -> list[str]:
    """What regrouping did to each split."""
    rows = (
        f"| {_cell(name)} | {n['before']:,} | {n['moved_out']:,} | {n['moved_in']:,} |"
        f" {n['after']:,} | {100 * n['label_shift']:.1f} % | {_cell(shifted(n))} |"
        for name, n in regroup.items()
    )
    head = "| split | before | moved out | moved in | after | labels shifted | most |"

    return [head, "|---|---:|---:|---:|---:|---:|---|", *rows]


def _splits(summary: Mapping[str, Any]) -> list[str]:
    names = counted(summary)
    rows = (
        f"| {_cell(name)} | {' | '.join(f'{n[key]:,}' for key in names)} |"
        for name, n in summary["splits"].items()
    )

    return [f"| split | {' | '.join(names.values())} |", "|---|" + "---:|" * len(names), *rows]


def _verified(resolved: Mapping[str, Any]) -> str:
    if resolved["method"] == "none":
        return "candidates not verified"
    return "candidates verified on thumbnails" + (
        ", similar ones at a higher size" if resolved["second_look"] else ""
    )


def _front_matter(splits: Path) -> list[str]:
    """YAML that lists the splits.

    Not as `configs` with `data_files`: `load_dataset` then takes two folders of one name, or one
    folder that was written again, for the same dataset, and gives what it has in its cache (seen in
    datasets 5.2).
    """
    files: dict[str, list[Path]] = {}
    for file in sorted((splits / "data").glob("*.parquet")):
        files.setdefault(file.name.rsplit("-", 3)[0], []).append(file)

    lines = ["---", "dataset_info:", "  splits:"]
    for name in sorted(files, key=lambda name: (name != "train", name)):
        n_examples = sum(pq.read_metadata(file).num_rows for file in files[name])
        n_bytes = sum(file.stat().st_size for file in files[name])
        lines += [
            f"  - name: {json.dumps(name)}",
            f"    num_bytes: {n_bytes}",
            f"    num_examples: {n_examples}",
        ]

    return [*lines, "---", ""]


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table, nor become markup."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
