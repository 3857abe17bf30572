"""Which tests are collected: those of the service need a minute, and are run by `make
test-service`.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

SERVICE = Path(__file__).parent / "tests" / "service"

collect_ignore = ["tests/toys"]
"""Importing a toy registers it, which `tests/test_adding.py` does in processes of its own."""

if find_spec("ray") is None:  # an extra; what runs on its nodes cannot be imported without it
    collect_ignore.append("dedup/engines/ray_node.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it, or a file in it, was named; None: as pytest decides."""
    if SERVICE not in {collection_path, *collection_path.parents}:
        return None
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(SERVICE in {path, *path.parents} for path in named) else True
