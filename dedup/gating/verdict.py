"""The gate's verdict over a run: one check for each limit, and the documents that say it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa

from dedup.config import GateConfig
from dedup.gating import junit, markdown
from dedup.gating.checks import WORST, Check, Findings, State, name_of
from dedup.reporting import leaks


@dataclass(frozen=True, slots=True)
class Verdict(Findings):
    """All checks over a run, and the documents that say them."""

    def json(self) -> str:
        """The summary with the verdict under `gate`, as dedup/reporting/summary.schema.json
        describes it.
        """
        gate = {
            **self.gate.model_dump(mode="json"),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "worst_leaks": [_rounded(leak) for leak in self.worst[:WORST]],
        }
        return json.dumps({**self.summary, "gate": gate}, indent=2, ensure_ascii=False) + "\n"

    def junit(self) -> str:
        """A JUnit file with a test case for each check."""
        return junit.junit(self)

    def markdown(self) -> str:
        """A page for a pull request: verdict, counts, matrix, worst leaks, settings."""
        return markdown.markdown(self)


def judge(
    summary: Mapping[str, Any],
    leakage: pa.Table,
    gate: GateConfig,
    *,
    title: str = "",
    seconds: float = 0.0,
) -> Verdict:
    """Hold a run against the limits of a gate. Every limit is inclusive."""
    checks = (*_leakage(summary, gate), _unreadable(summary, gate), _certificate(summary, gate))
    in_order = leakage.take(pa.array(leaks.worst_first(leakage)))

    return Verdict(
        title, summary, gate, checks, _worst_of_each(in_order, checks), len(leakage), seconds
    )


def _worst_of_each(in_order: pa.Table, checks: Sequence[Check]) -> list[Mapping[str, Any]]:
    """The worst leaks of all, and as many for each check, the worst first."""
    left = dict.fromkeys((check.name for check in checks), WORST)
    rows = []
    for row, leak in enumerate(in_order.select(["witness_split", "kind"]).to_pylist()):
        name = name_of(leak)
        if row < WORST or left.get(name, 0) > 0:
            rows.append(row)
        left[name] = left.get(name, 0) - 1

    found: list[Mapping[str, Any]] = in_order.take(pa.array(rows, pa.int64())).to_pylist()

    return found


_REMEDY: Final = "Name one with policy.held_out, or set gate.allow_nothing: true if that is meant."


def _over_nothing(gate: GateConfig, *, asked: bool) -> State:
    """What becomes of a check that has nothing to judge: it passes by no means in silence."""
    return "failed" if asked and not gate.allow_nothing else "not judged"


def _leakage(summary: Mapping[str, Any], gate: GateConfig) -> Iterator[Check]:
    limit = gate.max_leakage
    if not summary["leakage"]:
        asked = limit is not None
        message = (
            f"There is no held-out split beside train, so there is nothing to judge. {_REMEDY}"
        )
        yield Check("leakage", "leakage", None, _over_nothing(gate, asked=asked), message, asked)

    blind = [] if limit is None else [name for name, n in summary["splits"].items() if _is_blind(n)]
    for split in blind:
        message = f"No image of {split!r} can be read, so nobody knows whether it leaks."
        state = _over_nothing(gate, asked=True)
        yield Check(
            f"pictures of {split!r}", "unreadable", split, state, message, over_nothing=True
        )

    groups = summary.get("group_leakage") or {}
    for what, of_splits, words in (
        ("leakage", summary["leakage"], "are in train"),
        ("groups", groups, "belong to a group that is in train too"),
    ):
        for split, found in of_splits.items():
            images = f"{found['leaking']:,} of {found['images']:,} images of {split!r}"
            said = f"{images} {words} ({percent(found['share'])}); gate.max_leakage"
            if limit is None:
                yield Check(
                    f"{what} of {split!r}", "leakage", split, "not judged", f"{said} sets no limit."
                )
            elif split not in blind:
                state = "failed" if found["share"] > limit else "passed"
                yield Check(
                    f"{what} of {split!r}",
                    "leakage",
                    split,
                    state,
                    f"{said} allows {percent(limit)}.",
                )


def _is_blind(split: Mapping[str, int]) -> bool:
    """Whether not one of the images of a split can be read."""
    return 0 < split["unreadable"] == split["images"] - split.get("without_image", 0)


def _unreadable(summary: Mapping[str, Any], gate: GateConfig) -> Check:
    samples, limit = summary["samples"], gate.max_unreadable
    share = samples["unreadable"] / samples["total"]
    said = (
        f"{samples['unreadable']:,} of {samples['total']:,} samples are unreadable"
        f" ({percent(share)})"
    )
    if limit is None:
        message = f"{said}; gate.max_unreadable sets no limit."
        return Check("unreadable", "unreadable", None, "not judged", message)

    state: State = "failed" if share > limit else "passed"

    return Check(
        "unreadable",
        "unreadable",
        None,
        state,
        f"{said}; gate.max_unreadable allows {percent(limit)}.",
    )


def _certificate(summary: Mapping[str, Any], gate: GateConfig) -> Check:
    certificate = summary.get("certificate")
    references = summary.get("resolved", {}).get("references", ())
    kept = sum(
        n.get("keep", 0) + n.get("move", 0)
        for name, n in summary["splits"].items()
        if name not in references
    )

    if certificate is None and kept:
        message = "There is no certificate: no splits were written."
        return Check(
            "certificate",
            "certificate",
            None,
            "failed" if gate.certified else "not judged",
            message,
        )

    nothing = _nothing_certified(certificate, summary)
    if certificate is None or nothing is not None:
        state = _over_nothing(gate, asked=gate.certified)
        return Check("certificate", "certificate", None, state, nothing or "", gate.certified)

    uncompared = certificate.get("uncompared", 0)
    passed = certificate["clean"] and uncompared <= gate.max_uncompared
    state = "passed" if passed else "failed" if gate.certified else "not judged"
    allowed = f" gate.max_uncompared allows {gate.max_uncompared:,}." if uncompared else ""

    return Check("certificate", "certificate", None, state, certificate["statement"] + allowed)


def _nothing_certified(
    certificate: Mapping[str, Any] | None, summary: Mapping[str, Any]
) -> str | None:
    """Why a certificate says nothing, if it does not: no pair is left where there could be none."""
    if certificate is None:
        return (
            "Nothing was kept, so there is nothing to certify. Set gate.allow_nothing: true if that"
            " is meant."
        )

    if not summary["leakage"]:
        return (
            "There is no held-out split beside train, so the certificate is over nothing."
            f" {_REMEDY}"
        )

    readable = certificate.get("readable_in", {})
    for side, what in (("held_out", "a held-out split"), ("train", "train")):
        if readable.get(side) == 0 and certificate["clean"]:
            return (
                f"No image that was written in {what} can be read, so the certificate is over"
                " nothing. Set gate.allow_nothing: true if that is meant."
            )

    return None


def percent(share: float) -> str:
    """A share in percent; a small one does not look like none.

    >>> percent(1 / 3), percent(0.0), percent(1e-5)
    ('33.33 %', '0.00 %', '0.001 %')
    """
    return f"{100 * share:.1g} %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }
