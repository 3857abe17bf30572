"""What the process gives back."""

import os
import subprocess
import sys

import pytest

GLIBC = sys.platform == "linux" and "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")

PROGRAM = """
import re
from pathlib import Path
from dedup.memory import keep_no_large_arrays
keep_no_large_arrays()
import numpy as np, pyarrow as pa
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
# When it is freed, glibc takes arrays of that size for a thing to keep.
np.ones(30_000_000, np.uint8)
before = resident()
arrays = [np.ones(4_000_000, np.uint8) for _ in range(40)]
held = resident()
del arrays[::2]  # between others that stay
print(pa.default_memory_pool().backend_name, held - before > 140, resident() - before < 100)
"""


@pytest.mark.skipif(not GLIBC, reason="other libraries have no such switch")
class TestLargeArrays:
    @pytest.mark.parametrize(("chosen", "pool"), [(None, "system"), ("mimalloc", "mimalloc")])
    def test_they_are_given_back(self, chosen: str | None, pool: str) -> None:
        """What is freed between arrays that stay is gone at once; Arrow does so too unless the user
        chose otherwise.
        """
        environment = {
            key: value for key, value in os.environ.items() if key != "ARROW_DEFAULT_MEMORY_POOL"
        }
        if chosen is not None:
            environment["ARROW_DEFAULT_MEMORY_POOL"] = chosen
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout.split() == [pool, "True", "True"]
