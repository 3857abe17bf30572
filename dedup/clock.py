"""How long the stages take, and who is told how far they are."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from dedup.memory import give_back

logger = logging.getLogger(__name__)

_MEASURED_SECONDS: Final = 5.0
"""Of a stage before it is foretold how long it takes: less would be the start of processes."""

_MEASURED_SHARE: Final = 0.01  # of a stage, and so much of its work
_LONG_SECONDS: Final = 120.0
"""From which on a stage is foretold."""


class Observer(Protocol):
    """Is told how far the run is."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def advance(self, share: float) -> None:
        """Share of the stage that is done, in [0, 1]."""

    def note(self, text: str) -> None:
        """Where the stage is, in words: `7 of 38`."""

    def end(self) -> None:
        """The stage is done."""


class Silent:
    """Listens to nothing."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def advance(self, share: float) -> None:
        """Share of the stage that is done."""

    def note(self, text: str) -> None:
        """Where the stage is, in words."""

    def end(self) -> None:
        """The stage is done."""


class Foretold:
    """Hands on the share of a stage that is done, and warns once where the whole will take
    minutes.
    """

    def __init__(self, progress: Callable[[float], None], advice: str) -> None:
        self._progress, self._advice = progress, advice
        self.begin()

    def begin(self) -> None:
        """What is measured begins now."""
        self._began = time.perf_counter()
        self._asked = False
        self._first: tuple[float, float] | None = None  # seconds and share, where measuring began

    def __call__(self, share: float) -> None:
        """Share of the stage that is done, in [0, 1]."""
        self._progress(share)
        seconds = time.perf_counter() - self._began
        if self._asked or share <= 0 or seconds < _MEASURED_SECONDS:
            return
        # The start of a stage is slower than the rest: only what was done since counts.
        if self._first is None:
            self._first = seconds, share

        first_seconds, first_share = self._first
        if share - first_share < _MEASURED_SHARE:
            return

        self._asked = True
        total = first_seconds + (seconds - first_seconds) / (share - first_share) * (
            1 - first_share
        )
        if total > _LONG_SECONDS:
            logger.warning("This will take about %d minutes. %s", round(total / 60), self._advice)


class Clock:
    """Times the stages, logs a line for each, and tells the observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.stages: list[Mapping[str, Any]] = []
        self.advance = observer.advance

    def count(self, done: int, total: int) -> None:
        """Of a stage that does a few large things: how many are done."""
        self._observer.advance(done / total if total else 1.0)
        self._observer.note(f"{done} of {total}")

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int], None]]:
        """Around a stage; what it yields is told the number of samples."""
        self._observer.begin(name)
        start = time.perf_counter()
        count = [0]
        yield lambda n: count.__setitem__(0, n)
        give_back()
        seconds = time.perf_counter() - start
        rate = count[0] / seconds if seconds else 0.0
        self._observer.end()
        self.stages.append(
            {
                "stage": name,
                "samples": count[0],
                "seconds": round(seconds, 3),
                "per_second": round(rate),
            }
        )

        if count[0]:
            logger.info(
                "%s: %s samples in %.2f s (%s a second)",
                name,
                f"{count[0]:,}",
                seconds,
                f"{rate:,.0f}",
            )
        else:
            logger.info("%s: %.2f s", name, seconds)
