"""What is released is true: versions of Python, links, addresses, targets that CI calls."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tools import lowest, release

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = "https://repository.example/dedup"
LINK = re.compile(r"\]\(([^)]+)\)")


def test_classifiers_are_the_versions_that_ci_tests() -> None:
    """Every version of the matrix has a classifier; the lowest is in `requires-python`."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    expected = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: 3."

    got = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if text.startswith(prefix)]

    assert expected == got
    assert f">={expected[0]}" == PROJECT["requires-python"]


@pytest.mark.parametrize("name", ["tests", "release"])
def test_ci_calls_targets_that_exist(name: str) -> None:
    """A step that runs make names a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    workflow = (ROOT / f".github/workflows/{name}.yml").read_text()

    called = set(re.findall(r"run: make ([a-z-]+)", workflow))

    assert called
    assert called <= targets


def test_links_of_the_released_readme_are_absolute() -> None:
    """Whoever reads it elsewhere reaches every file, each of which exists here."""
    links = LINK.findall(release.absolute(README, REPOSITORY, "v1"))

    assert links
    for link in links:
        assert link.startswith("https://")
        path = re.sub(rf"^{REPOSITORY}/(raw|blob)/v1/|#.*", "", link)
        assert "://" in path or (ROOT / path).exists(), link


def test_addresses_of_the_project() -> None:
    """They are those of the repository it is released from; the file in the tree names none, since
    a fork has others.
    """
    made = tomllib.loads(release.with_urls(PYPROJECT, REPOSITORY, "v1"))["project"]

    assert "urls" not in PROJECT
    assert {"Homepage", "Repository", "Documentation", "Changelog", "Issues"} == set(made["urls"])
    assert all(address.startswith(REPOSITORY) for address in made["urls"].values())
    assert PROJECT == {key: value for key, value in made.items() if key != "urls"}
    assert PROJECT["authors"]


def test_every_dependency_has_a_lowest_version() -> None:
    """The job for the lowest versions pins each of them; one without is refused."""
    expected = [text.replace(">=", "==") for text in PROJECT["dependencies"]]

    assert expected == lowest.lowest(PROJECT["dependencies"])
    with pytest.raises(ValueError, match="'numpy' names no lowest version"):
        lowest.lowest(["numpy"])
