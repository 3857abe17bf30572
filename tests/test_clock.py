"""How long a stage will take is said once, and from work that was done, not from its start."""

import logging

import pytest

from dedup import clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, that the clock sees."""
    seconds = [0.0]
    monkeypatch.setattr("dedup.clock.time.perf_counter", lambda: seconds[0])

    return seconds


def test_a_slow_start_is_not_foretold_as_the_pace(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Ten seconds for the first thousandth, then a percent a second: nothing is said, as it ends
    soon.
    """
    told = clock.Foretold(lambda _: None, "Do less.")
    for second, share in [(10, 0.001), (11, 0.011), (12, 0.021), (50, 0.4)]:
        now[0] = second
        told(share)

    assert [] == caplog.messages


def test_a_slow_pace_is_said_once(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """A percent in ten seconds is a thousand seconds, besides the twenty of the start."""
    told = clock.Foretold(lambda _: None, "Do less.")
    with caplog.at_level(logging.WARNING):
        for second, share in [(20, 0.001), (25, 0.006), (30, 0.011), (40, 0.021), (50, 0.031)]:
            now[0] = second
            told(share)

    assert ["This will take about 17 minutes. Do less."] == caplog.messages
