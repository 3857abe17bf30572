"""What is another number in two summaries."""

from collections.abc import Mapping
from typing import Any

from dedup.policy.record import VERDICTS


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[list[Any]]:
    """What is another number in two summaries: name, before, after. Empty where nothing is."""
    one, two = _numbers(before), _numbers(after)
    names = dict.fromkeys([*one, *two])

    return [
        [name, one.get(name, 0), two.get(name, 0)]
        for name in names
        if one.get(name, 0) != two.get(name, 0)
    ]


def _numbers(summary: Mapping[str, Any]) -> dict[str, int]:
    """The counts of a summary that people ask for."""
    decisions = summary["decisions"]
    found = {
        "samples kept": decisions["keep"],
        "samples moved": decisions.get("move", 0),
        "samples dropped": decisions["drop"],
        "images with a pair": summary["pairs"]["images"],
    }
    for kind, n in summary["pairs"]["by_kind"].items():
        found[f"pairs, {kind}"] = n

    for split, leak in summary["leakage"].items():
        found[f"images of {split} in train"] = leak["leaking"]

    for reason, n in decisions["by_reason"].items():
        if reason != "kept":
            found[f"reason: {reason}"] = n

    judged = summary.get("judgements") or {}
    for verdict in VERDICTS:
        found[f"judged {verdict}"] = judged.get(verdict, 0)

    return found
