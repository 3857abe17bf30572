"""README.md of the written splits: a dataset card that says what was removed, how and with which settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def readme(summary: Mapping[str, Any], splits: Path) -> str:
    """The README's text; where Parquet shards were written, with the YAML that lists the splits."""
    lines = [*(_front_matter(splits) if (splits / "data").is_dir() else []), "# Cleaned dataset", ""]
    counts, decisions = summary["samples"], summary["decisions"]
    lines += [
        f"Written by dedup {summary['dedup_version']} (distribution dedup-images) from {counts['total']:,} samples:",
        f"{decisions['keep']:,} kept, {decisions['drop']:,} dropped, {decisions['unreadable']:,} unreadable.",
        "",
        "| split | images | kept | dropped | unreadable |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {_cell(name)} | {n['images']:,} | {n['keep']:,} | {n['drop']:,} | {n['unreadable']:,} |"
            for name, n in summary["splits"].items()
        ),
        "",
        "| why | samples |",
        "|---|---:|",
        *(f"| {_cell(reason)} | {n:,} |" for reason, n in decisions["by_reason"].items()),
        "",
    ]
    if summary.get("certificate"):
        lines += ["Certificate: " + summary["certificate"]["statement"], ""]
    lines += [
        "Method: perceptual hashes joined exactly within a Hamming distance, candidates verified on thumbnails.",
        "Resolved settings:",
        "",
        "```json",
        json.dumps(summary["resolved"], indent=2, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def _front_matter(splits: Path) -> list[str]:
    names = sorted({file.name.rsplit("-", 3)[0] for file in (splits / "data").glob("*.parquet")})
    names.sort(key=lambda name: (name != "train", name))
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for name in names:
        lines += [f"  - split: {json.dumps(name)}", f"    path: {json.dumps(f'data/{name}-*.parquet')}"]
    return [*lines, "---", ""]


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table, nor become markup."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
