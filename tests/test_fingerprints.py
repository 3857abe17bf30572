"""Every setting that decides a table is in the spec of the table: none can be forgotten."""

from dataclasses import fields, replace
from typing import Any

import pytest

from dedup.config import Config, resolve
from dedup.hashers.setup import Setup
from dedup.runs.fingerprints import specs

CONFIG = Config()
RESOLVED = resolve(CONFIG, ["train", "test"])

# The first table whose spec must change with the fields of each part, and the one before it.
FIRST_TABLE = {
    "search": ("candidates", "hashes"),
    "verify": ("candidates", "hashes"),
    "acceptance": ("pairs", "candidates"),
    "splits": ("groups", "pairs"),
    "policy": ("decisions", "chains"),
}


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return "other" if value is None else not value
    if isinstance(value, str):
        return value + "-other"
    if isinstance(value, dict):
        return {name: number + 1 for name, number in value.items()}
    if isinstance(value, tuple):
        return (*value, "other")
    return value + 0.125


CASES = [(part, field.name) for part in FIRST_TABLE for field in fields(getattr(RESOLVED, part))]


@pytest.mark.parametrize(("part", "name"), CASES)
def test_every_field_of_a_part_changes_the_spec_of_its_first_table(part: str, name: str) -> None:
    """Two runs that differ in one field do not have tables of the same spec; earlier tables keep
    theirs.
    """
    value = getattr(getattr(RESOLVED, part), name)
    other = replace(RESOLVED, **{part: replace(getattr(RESOLVED, part), **{name: changed(value)})})
    first, before = FIRST_TABLE[part]
    as_it_is, differently = specs(CONFIG, RESOLVED), specs(CONFIG, other)

    assert as_it_is[first] != differently[first]
    assert as_it_is["decisions"] != differently["decisions"]
    if not (part == "policy" and name == "keep_by"):  # a column of the manifest, too
        assert as_it_is[before] == differently[before]


@pytest.mark.parametrize("name", [field.name for field in fields(Setup)])
def test_every_field_of_a_setup_changes_what_the_codes_travel_with(name: str) -> None:
    """Codes made with another background, limit, width or orientation are never taken for these."""
    setup = Setup.of(CONFIG)

    assert setup.spec() != replace(setup, **{name: changed(getattr(setup, name))}).spec()
