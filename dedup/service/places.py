"""How much is let in: pictures at work, bytes of bodies in memory, requests of a key."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from dedup.service.problems import Problem
from dedup.service.settings import LimitSettings

SHARE_OF_SUBMISSIONS: Final = 0.75
"""Of the places for pictures: what is left is for checks, which submissions must not starve."""

_MAX_BUCKETS: Final = 10_000  # keys that are remembered; a bank has far fewer


class Places:
    """The places of one process. Who finds none is told so before his body is read."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.at_work = 0  # pictures
        self.submissions = 0  # of them
        self.buffered = 0  # bytes
        self._tokens: dict[str, tuple[float, float]] = {}

    def refuse_if_full(self, *, submission: bool) -> None:
        """Raises `Problem` where there is no place for one more picture."""
        of_submissions = int(self.limits.pictures * SHARE_OF_SUBMISSIONS) or 1
        full = self.at_work >= self.limits.pictures
        if full or (submission and self.submissions >= of_submissions):
            detail = f"{self.at_work} pictures are at work. Try again in a second."
            raise Problem("busy", detail)

        if self.buffered >= self.limits.buffered_bytes:
            detail = "Bodies that are being received fill the memory set aside. Try again."
            raise Problem("busy", detail)

    @contextmanager
    def working(self, *, submission: bool = False, pictures: int = 1) -> Iterator[None]:
        """A place for pictures that are measured and checked."""
        self.refuse_if_full(submission=submission)
        self.at_work += pictures
        self.submissions += pictures * submission

        try:
            yield
        finally:
            self.at_work -= pictures
            self.submissions -= pictures * submission

    @contextmanager
    def buffering(self) -> Iterator["Buffer"]:
        """Room for one body, counted as it comes."""
        buffer = Buffer(self)
        try:
            yield buffer
        finally:
            self.buffered -= buffer.n_bytes

    def count_request(self, key: str) -> None:
        """Raises `Problem` where a key asks too often: a bucket that fills at the allowed rate."""
        rate = self.limits.requests_per_second
        if rate is None:
            return

        now = monotonic()
        most = max(1.0, rate)
        tokens, then = self._tokens.get(key, (most, now))
        tokens = min(most, tokens + (now - then) * rate)

        if tokens < 1.0:
            wait = max(1, round((1.0 - tokens) / rate))
            detail = f"This key may ask {rate:g} times a second."
            raise Problem("slow-down", detail, headers={"Retry-After": str(wait)})

        if len(self._tokens) >= _MAX_BUCKETS:
            self._tokens.clear()

        self._tokens[key] = (tokens - 1.0, now)


class Buffer:
    """The bytes of one body."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.n_bytes = 0

    def add(self, n: int) -> None:
        """Count some more. Raises `Problem` where the memory set aside is full."""
        self.n_bytes += n
        self._places.buffered += n
        if self._places.buffered > self._places.limits.buffered_bytes:
            detail = "Bodies that are being received fill the memory set aside. Try again."
            raise Problem("busy", detail)
