"""Kernels that are compiled take their time: that is said, and only then."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dedup

SCRIPT = """
import logging
import numpy as np
from dedup.hashers import thumbnail
logging.basicConfig(level=logging.INFO, format="%(message)s")
for _ in range(2):
    thumbnail.information(np.zeros((1, 32, 32), np.uint8))
"""


def said(cache: Path, script: str = SCRIPT) -> list[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_a_first_run_says_what_takes_so_long(tmp_path: Path) -> None:
    """One line for a purpose where kernels are compiled; none where an earlier process has done
    it.
    """
    told = [
        "Kernels for hashing are compiled first, as in any first run; later runs here find them."
    ]

    assert told == said(tmp_path)
    assert [] == said(tmp_path)


def test_kernels_of_others_are_no_news(tmp_path: Path) -> None:
    """What a user of the package compiles for himself is not told of."""
    own = "from numba import njit\nnjit(lambda x: x + 1)(1)\n"

    assert [] == said(tmp_path, own + SCRIPT.split("for _")[0] + own)


def test_a_kernel_that_is_kept_is_loaded_without_the_compiler(tmp_path: Path) -> None:
    """What numba imports to compile takes a tenth of a second of every process."""
    asked = SCRIPT + "import sys\nlogging.warning('numba.np.arraymath' in sys.modules)\n"

    assert said(tmp_path, asked)[-1] == "True"
    assert said(tmp_path, asked) == ["False"]


KEPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from dedup.hashers import thumbnail
from dedup.compiled import is_kept
print(thumbnail.__file__, is_kept(thumbnail._sums), is_kept(len))
thumbnail.information(np.zeros((1, 32, 32), np.uint8))
print(is_kept(thumbnail._sums), sum(thumbnail._sums.stats.cache_misses.values()))
"""


def kept(root: Path, processor: str = "generic") -> list[str]:
    """Whether a kernel of the package below `root` is there before and after it is called, and how
    often it was not.
    """
    chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-c", KEPT, str(root)]
    done = subprocess.run(
        command, env=os.environ | chosen, capture_output=True, text=True, check=True, cwd=root
    )
    file, *answers = done.stdout.split()
    assert Path(file).is_relative_to(root)
    return answers


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package of which nothing is compiled."""
    source = Path(dedup.__file__).parent
    shutil.copytree(
        source, tmp_path / "one" / "dedup", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "one"


def test_what_is_compiled_survives_a_move(package: Path) -> None:
    """A kernel is kept once it was called, also in a copy elsewhere whose files are all new; what
    cannot be, is.
    """
    assert ["False", "True", "True", "1"] == kept(package)

    moved = package.parent / "two"
    shutil.copytree(package, moved)
    for file in moved.rglob("*.py"):
        os.utime(file)

    assert ["True", "True", "True", "0"] == kept(moved)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="names processors of x86")
def test_another_processor_finds_nothing(package: Path) -> None:
    """What is compiled for one processor is none of another's."""
    kept(package)

    assert ["False", "True", "True", "1"] == kept(package, processor="x86-64-v3")


def test_what_a_changed_kernel_is_part_of_is_not_kept(package: Path) -> None:
    """numba asks for the file of a kernel alone; one that it calls can be in any file with
    kernels.
    """
    kept(package)
    other = package / "dedup" / "verify" / "features.py"
    other.write_text(other.read_text() + "\n# changed\n")

    assert ["False", "True", "True", "1"] == kept(package)
