"""Fresh interpreters: processes that import nothing of the user's script and do not hear Ctrl-C."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def started(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, **pipes: Any
) -> subprocess.Popen[bytes]:
    """A process that runs a module of this package.

    `environment`: for what the user's own does not set. Ctrl-C reaches the parent alone, which is
    to end it.
    """
    package_root = str(Path(__file__).parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]

    # -P keeps the working folder off sys.path: a user's datasets.py there must not shadow the
    # library.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        # what libraries print there is not for the user; results come over the pipes
        stderr=subprocess.DEVNULL,
        env={**(environment or {}), **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
        **pipes,
    )
