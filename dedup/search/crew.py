"""Threads that run kernels: in parts of bounded work, so that Ctrl-C and a passed limit stop them
at once.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Self, TypeVar

from dedup.errors import ConfigError
from dedup.memory import usable_cores

Progress = Callable[[float], None]
"""Called now and then with the share of the work done, in [0, 1], never decreasing."""

Result = TypeVar("Result")


class Crew:
    """A pool of threads with one stop sign and one measure of progress.

    Leaving it drops all work not yet begun.
    """

    def __init__(self, threads: int | None = None, progress: Progress | None = None) -> None:
        if threads is not None and threads < 1:
            message = f"threads must be 1 or more, or None for all cores, not {threads!r}."
            raise ConfigError(message)

        self.threads = threads or usable_cores()
        self.expected = 0.0  # seconds of all work; zero until a plan says it
        self._progress = progress
        self._done = 0.0
        self._phase, self._phases = 0, 1
        self._reported = 0.0
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def stopped(self) -> bool:
        """Whether tasks should return as soon as they can."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Asks all tasks to return as soon as they can, for good."""
        self._stop.set()

    def run(
        self,
        function: Callable[..., Result],
        parts: Sequence[tuple[object, ...]],
        seconds: float = 0.0,
    ) -> list[Result]:
        """function(*part) for every part, in their order; `seconds`: expected for all together."""
        tasks = [self._pool.submit(function, *part) for part in parts]
        results = []
        for task in tasks:
            results.append(task.result())
            self.advance(seconds / len(tasks))

        return results

    def begin(self, phase: int, phases: int) -> None:
        """From here on the work is one of several searches, each of which counts alike for the
        progress.
        """
        self._phase, self._phases = phase, phases
        self._done = self.expected = 0.0

    def advance(self, seconds: float) -> None:
        """Counts expected seconds as done."""
        self._done += seconds
        share = min(self._done / self.expected, 1.0) if self.expected else 0.0
        share = (self._phase + share) / self._phases
        if self._progress is not None and share > self._reported:
            self._reported = share
            self._progress(share)

    def finish(self) -> None:
        """Reports the last of the progress."""
        if self._progress is not None and self._reported < 1.0:
            self._reported = 1.0
            self._progress(1.0)


def spans(n: int, parts: int) -> list[tuple[int, int]]:
    """0 .. n cut into at most `parts` half-open ranges of nearly equal length, none empty."""
    parts = max(1, min(parts, n))
    cuts = [n * part // parts for part in range(parts + 1)]
    return [(first, last) for first, last in pairwise(cuts) if first < last]
