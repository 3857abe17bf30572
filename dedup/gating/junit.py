"""A JUnit file: one suite, a test case for each check of the gate."""

from xml.etree import ElementTree as ET

from dedup.gating.checks import Check, Findings
from dedup.reporting.plain import plain
from dedup.reporting.words import facts


def junit(verdict: Findings) -> str:
    """The file's text. What no limit judges is skipped, with what was found as the reason.

    XML cannot hold every character that a file's name can: those are spelled out.
    """
    counts = {
        "tests": len(verdict.checks),
        "failures": len(verdict.failed()),
        "errors": 0,
        "skipped": sum(check.state == "not judged" for check in verdict.checks),
    }
    attributes = {**{key: str(n) for key, n in counts.items()}, "time": f"{verdict.seconds:.3f}"}
    # strict readers refuse it there
    of_all = {key: value for key, value in attributes.items() if key != "skipped"}
    root = ET.Element("testsuites", of_all)
    suite = ET.SubElement(
        root, "testsuite", {"name": plain(f"dedup {verdict.title}".rstrip()), **attributes}
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(verdict).items():
        ET.SubElement(properties, "property", {"name": name, "value": plain(value)})

    for check in verdict.checks:
        _case(suite, check, verdict)

    ET.indent(root)

    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _properties(verdict: Findings) -> dict[str, str]:
    samples, decisions = verdict.summary["samples"], verdict.summary["decisions"]
    return {
        "dedup.version": verdict.summary["dedup_version"],
        **{f"samples.{key}": str(samples[key]) for key in ("total", "readable", "unreadable")},
        **{f"decisions.{key}": str(decisions[key]) for key in ("keep", "drop", "unreadable")},
        **{
            f"gate.{key}": str(value)
            for key, value in verdict.gate.model_dump().items()
            if value is not None
        },
    }


def _case(suite: ET.Element, check: Check, verdict: Findings) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": f"dedup.{check.kind}", "name": plain(check.name), "time": "0"},
    )
    if check.state == "failed":
        failure = ET.SubElement(
            case, "failure", {"message": plain(check.message), "type": check.kind}
        )
        failure.text = "\n".join([plain(check.message), *_worst(check, verdict)])
    elif check.state == "not judged":
        ET.SubElement(case, "skipped", {"message": plain(check.message)})
    else:
        ET.SubElement(case, "system-out").text = plain(check.message)


def _worst(check: Check, verdict: Findings) -> list[str]:
    if check.kind == "certificate":
        certificate = verdict.summary.get("certificate") or {"train_held_out_first": []}
        pairs = [(row["id"], row["witness_id"], "") for row in certificate["train_held_out_first"]]
    elif check.kind == "leakage":
        pairs = [
            (row["id"], row["witness_id"], f"  ({facts(row)})") for row in verdict.worst_of(check)
        ]
    else:
        pairs = []
    return [f"{plain(train)}  =  {plain(held_out)}{why}" for train, held_out, why in pairs]
