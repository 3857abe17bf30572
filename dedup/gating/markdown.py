"""A page in Markdown for a pull request or a job's summary.

Ids and labels are hostile input: they stand in `<code>` with everything escaped that Markdown, a
table or a forge (mentions, references, links) would act on.
"""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dedup.gating.checks import Findings
from dedup.reporting.plain import plain
from dedup.reporting.words import counted, facts, gone_with_every_match

MAX_SPLITS: Final = 30  # rows of a table
MAX_TEXT: Final = 200  # characters of an id or a label

_ACTED_ON: Final = "\\`*_[]|~:@#!$"
_MARKS: Final = {"passed": "✅ passed", "failed": "❌ failed", "not judged": "➖ no limit"}


def markdown(verdict: Findings) -> str:
    """The page's text: verdict, checks, counts, matrix, worst leaks, settings."""
    summary = verdict.summary
    parts = [
        f"### dedup: {_headline(verdict)}",
        *([literal(verdict.title)] if verdict.title else []),
        _table(
            ("check", "result", "found"),
            [
                (code(check.name), _MARKS[check.state], literal(check.message))
                for check in verdict.checks
            ],
        ),
        _counts(summary),
        "Images of a row's split that match another image of a column's split:\n\n"
        + _matrix(summary),
        *([_worst(verdict)] if verdict.worst else []),
        *filter(None, [gone_with_every_match(summary)]),
        *(f"> **Warning:** {literal(warning)}" for warning in summary["warnings"]),
        _settings(summary),
    ]

    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """Text as code, inert wherever it stands.

    >>> code("a|b<i>")
    '<code>a&#124;b&lt;i&gt;</code>'
    """
    return f"<code>{literal(text)}</code>"


def literal(text: str) -> str:
    """Text that is nothing but text."""
    text = plain(text)
    text = text if len(text) <= MAX_TEXT * 2 else f"{text[:MAX_TEXT]} … {text[-MAX_TEXT:]}"
    escaped = html.escape(text, quote=False)
    escaped = "".join(
        f"&#{ord(character)};" if character in _ACTED_ON else character for character in escaped
    )

    return escaped.replace("www.", "www&#46;")


def _headline(verdict: Findings) -> str:
    if failed := verdict.failed():
        return f"❌ {len(failed)} of {len(verdict.checks)} checks failed"
    judged = sum(check.state == "passed" for check in verdict.checks)
    return "✅ passed" if judged else "no limit is set"


def _counts(summary: Mapping[str, Any]) -> str:
    names = counted(summary)
    rows: list[Sequence[object]] = []
    for name, n in list(summary["splits"].items())[:MAX_SPLITS]:
        found = summary["leakage"].get(name)
        rows.append(
            (code(name), *(n[key] for key in names), "" if found is None else found["leaking"])
        )

    totals = {key: sum(n[key] for n in summary["splits"].values()) for key in names}
    if len(summary["splits"]) > 1:
        rows.append(("all", *totals.values(), ""))

    table = _table(("split", *names.values(), "in train"), rows)

    return table + _cut(summary)


def _matrix(summary: Mapping[str, Any]) -> str:
    matrix = summary["leakage_matrix"]
    names = list(matrix)[:MAX_SPLITS]

    return _table(
        ("", *map(code, names)),
        [(code(row), *(matrix[row][column] for column in names)) for row in names],
    )


def _cut(summary: Mapping[str, Any]) -> str:
    n = len(summary["splits"])
    return (
        f"\n\n{MAX_SPLITS} of {n:,} splits are shown; all are in `summary.json`."
        if n > MAX_SPLITS
        else ""
    )


def _worst(verdict: Findings) -> str:
    rows = [
        (
            code(row["id"]),
            _cell(row["label"]),
            code(row["witness_id"]),
            _cell(row["witness_label"]),
            facts(row),
        )
        for row in verdict.worst[:5]
    ]
    return "Worst leaks:\n\n" + _table(("train", "label", "held out", "label", "why"), rows)


def _cell(text: str | None) -> str:
    return "" if text is None else code(text)


def _settings(summary: Mapping[str, Any]) -> str:
    text = json.dumps(summary["resolved"], indent=2).replace("<", "\\u003c").replace("`", "\\u0060")
    body = f"\n\n```json\n{text}\n```\n\n"
    said = f"Settings, as resolved by dedup {summary['dedup_version']}"
    return f"<details><summary>{said}</summary>{body}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of numbers are set to the right."""
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    ruler = [
        "---:" if any(isinstance(cell, int) for cell in column) else "---" for column in columns
    ]
    lines = [
        head,
        ruler,
        *([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows),
    ]

    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
