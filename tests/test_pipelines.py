"""The pipelines of docs/pipelines.md run as they stand there: CI steps, make, pre-commit, DVC."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests import pictures

PAGE = (Path(__file__).parents[1] / "docs" / "pipelines.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
"""The blocks that are files, by the name behind the language."""

BIN = Path(sys.executable).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project with a clean dataset `photos` and the files of the page."""
    pictures.folder(
        tmp_path / "photos",
        ["train/cat/1.png", "train/dog/2 x.png", "test/cat/3.png", "test/dog/4.png"],
    )
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def leak(project: Path) -> None:
    """Put a test picture into train."""
    shutil.copy(project / "photos/test/cat/3.png", project / "photos/train/cat/leak.png")


def shell(command: str, project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as CI would: bash that stops at the first error, this environment's commands in
    front.
    """
    own = {"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]), "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=project,
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


class TestGithubActions:
    def steps(self, project: Path) -> tuple[int, str]:
        """Run the workflow's own steps until one fails: its exit code, and the job's summary."""
        (job,) = yaml.safe_load(FILES[".github/workflows/dataset.yaml"])["jobs"].values()
        page = project / "step_summary.md"
        page.touch()
        for step in job["steps"]:
            if "run" in step and not step["run"].startswith("pip install"):
                done = shell(step["run"], project, GITHUB_STEP_SUMMARY=str(page))
                if done.returncode:
                    return done.returncode, page.read_text(encoding="utf-8")
        return 0, page.read_text(encoding="utf-8")

    def test_clean(self, project: Path) -> None:
        """A clean dataset passes; the page and the artifacts that the workflow keeps are there."""
        code, page = self.steps(project)
        (job,) = yaml.safe_load(FILES[".github/workflows/dataset.yaml"])["jobs"].values()

        assert code == 0
        assert page.startswith("### dedup: ✅ passed")
        assert all((project / path).exists() for path in job["steps"][-1]["with"]["path"].split())

    def test_leaking(self, project: Path) -> None:
        """A leak ends the job with 3, and both documents name it."""
        leak(project)
        code, page = self.steps(project)
        failures = [
            element.text or "" for element in ET.parse(project / "runs/junit.xml").iter("failure")
        ]

        assert code == 3
        assert "train/cat/leak.png" in page
        assert len(failures) == 1
        assert "train/cat/leak.png" in failures[0]


def test_make(project: Path) -> None:
    """`make gate` searches only when pictures have changed, and fails when one leaks."""
    for said in ("dedup audit", "dedup gate"):
        assert said in shell("make gate", project).stdout if said == "dedup audit" else True
    assert "dedup audit" not in shell("make gate", project).stdout
    leak(project)

    done = shell("make gate", project)
    assert done.returncode == 2  # make's own
    assert "train/cat/leak.png" in done.stderr


def test_pre_commit(project: Path) -> None:
    """The hook's command passes over clean pictures and ends with 3 over leaking ones, again and
    again.
    """
    (hook,) = yaml.safe_load(FILES[".pre-commit-config.yaml"])["repos"][0]["hooks"]
    assert shell(hook["entry"], project).returncode == 0
    leak(project)

    assert [3, 3] == [shell(hook["entry"], project).returncode for _ in range(2)]


@pytest.mark.dvc
class TestDvc:
    @pytest.fixture
    def repository(self, project: Path) -> Path:
        """The project under DVC."""
        if not (BIN / "dvc").exists():
            pytest.skip("DVC is not installed here: make test-dvc")
        assert shell("dvc init --no-scm --quiet", project).returncode == 0
        return project

    def repro(self, project: Path) -> tuple[int, list[str]]:
        """Exit code of `dvc repro`, and the stages that it ran."""
        done = shell("dvc repro", project)
        return done.returncode, re.findall(r"^Running stage '(\w+)'", done.stdout, re.MULTILINE)

    def test_what_is_repeated(self, repository: Path) -> None:
        """Nothing without a change; the decisions for a threshold; the search for its distance."""
        leak(repository)
        params = yaml.safe_load(FILES["params.yaml"])
        assert self.repro(repository) == (0, ["search", "clean", "gate"])
        assert not (repository / "runs/clean/splits/train/cat/leak.png").exists()
        assert json.loads((repository / "summary.json").read_text())["gate"]["passed"]
        assert self.repro(repository) == (0, [])

        params["verify"]["min_similarity"] = 0.95
        (repository / "params.yaml").write_text(yaml.safe_dump(params))
        assert self.repro(repository) == (0, ["clean", "gate"])
        assert (
            json.loads((repository / "summary.json").read_text())["resolved"]["min_similarity"]
            == 0.95
        )

        params["search"]["max_distance"] = 8
        (repository / "params.yaml").write_text(yaml.safe_dump(params))
        assert self.repro(repository) == (0, ["search", "clean", "gate"])

    def test_new_pictures(self, repository: Path) -> None:
        """A new picture is searched, and what DVC deletes before is written again."""
        assert self.repro(repository) == (0, ["search", "clean", "gate"])
        leak(repository)

        assert self.repro(repository) == (0, ["search", "clean", "gate"])
        assert (repository / "runs/clean/report.html").exists()
        assert "certificate.clean" in shell("dvc metrics show", repository).stdout

    def test_a_closed_gate(self, repository: Path) -> None:
        """The gate's stage fails, and the run before it stays to be looked at."""
        for k in range(5):
            (repository / f"photos/train/cat/broken{k}.png").write_bytes(b"no picture")
        code, stages = self.repro(repository)

        assert code != 0
        assert stages == ["search", "clean", "gate"]
        assert (repository / "runs/clean/report.html").exists()
