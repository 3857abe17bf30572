"""Kernels that are compiled take their time: that is said, and only then."""

import os
import subprocess
import sys
from pathlib import Path

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
    """One line for a purpose where kernels are compiled; none where an earlier process has done it."""
    told = ["Kernels for hashing are compiled first, as in any first run; later runs here find them."]

    assert told == said(tmp_path)
    assert [] == said(tmp_path)


def test_kernels_of_others_are_no_news(tmp_path: Path) -> None:
    """What a user of the package compiles for himself is not told of."""
    own = "from numba import njit\nnjit(lambda x: x + 1)(1)\n"

    assert [] == said(tmp_path, own + SCRIPT.split("for _")[0] + own)


def test_whether_a_kernel_is_kept(tmp_path: Path) -> None:
    """It is once it was called, and no more when its file is newer; what cannot be kept is not asked for."""
    script = (
        SCRIPT.split("for _")[0]
        + """
import os
from pathlib import Path
from dedup.compiled import is_kept
kernel = thumbnail._sums
print(is_kept(kernel), is_kept(len))
thumbnail.information(np.zeros((1, 32, 32), np.uint8))
print(is_kept(kernel))
for index in Path(kernel.stats.cache_path).glob("*.nbi"):
    os.utime(index, (0, 0))
print(is_kept(kernel))
"""
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "False"]
