"""The OpenAPI document is true, and nothing that follows it or breaks it makes the service fail."""

from pathlib import Path

from tests.bank.made import bank_of, photos
from tests.service.made import serving
from tests.service.schema import run


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Its default checks over all operations; benchmarks/service.py has more examples."""
    bank_of(tmp_path / "shop.bank", photos(range(4))).close()
    with serving(tmp_path, [tmp_path / "shop.bank"]) as server:
        done = run(server, max_examples=5)

    assert 0 == done.returncode, done.stdout[-6_000:] + done.stderr[-2_000:]
