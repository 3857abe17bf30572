"""Fixtures and options that all tests share."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dedup", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dedup")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the real photos are."""
    parser.addoption("--shared-data", default="../shared/data", help="folder with caltech101/ and photos/")


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder with the real photos; the test is skipped, with the reason, where it is absent."""
    folder = Path(request.config.getoption("--shared-data"))
    if not (folder / "caltech101").is_dir():
        pytest.skip(f"the real photos are not in {folder}: name their folder with --shared-data")
    return folder.resolve()
