"""Fixtures and options that all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "dedup", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("dedup")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the real photos are."""
    parser.addoption(
        "--shared-data", default="../shared/data", help="folder with caltech101/ and photos/"
    )
    parser.addoption("--ray", action="store_true", help="run the tests that start Ray clusters")


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing reads or writes the cache of whoever runs the tests: neither fixtures nor the
    commands they start.
    """
    with pytest.MonkeyPatch.context() as patch:
        _put_cache(patch, tmp_path_factory.mktemp("cache"))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test, in its default place."""
    folder = tmp_path_factory.mktemp("cache")
    _put_cache(monkeypatch, folder)
    return folder / "dedup"


def _put_cache(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        patch.setenv(name, str(folder))


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder with the real photos; the test is skipped, with the reason, where it is absent."""
    folder = Path(request.config.getoption("--shared-data"))
    if not (folder / "caltech101").is_dir():
        pytest.skip(f"the real photos are not in {folder}: name their folder with --shared-data")
    return folder.resolve()
