"""schemathesis against a server, as its users run it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.service.made import Server

ROOT = Path(__file__).parents[2]


def run(server: Server, max_examples: int, seed: int = 1) -> subprocess.CompletedProcess[str]:
    """All of its default checks; exit code 0 where none fails."""
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis as run; run()"),
        *("run", f"{server.url}/openapi.json", "--max-examples", str(max_examples)),
        *("--seed", str(seed), "--no-color", "--generation-database", "none"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.service.schema_hooks",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
