"""What one process of the service holds, and what its routes have in common."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from starlette.requests import Request

from dedup.bank import Answer, MeasuredPicture
from dedup.errors import ConfigError
from dedup.memory import usable_cores
from dedup.service import bodies
from dedup.service.access import Access, Asker
from dedup.service.decoders import Decoders
from dedup.service.metrics import Metrics
from dedup.service.pending import PendingPictures
from dedup.service.places import Places
from dedup.service.problems import Problem
from dedup.service.served import ServedBank
from dedup.service.settings import ServiceSettings
from dedup.service.webhooks.sending import Sender


class Service:
    """Banks, decoders and limits of one process."""

    def __init__(
        self,
        banks: Sequence[Path],
        settings: ServiceSettings,
        metrics: Metrics,
        *,
        read_only: bool = False,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.banks = {served.name: served for served in _opened(banks, read_only=read_only)}
        self.pending = {name: PendingPictures(of.path) for name, of in self.banks.items()}
        self.places = Places(settings.limits)
        names = frozenset({*settings.server.names, settings.server.host})
        self.access = Access(self.places, names)
        limits = settings.limits
        n = limits.decoders or max(1, usable_cores() // settings.server.workers)
        self.decoders = Decoders(n, limits.decode_seconds, limits.decode_bytes)
        self.is_ready = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load all that the first request needs, then say that it is ready."""
        loop = asyncio.get_running_loop()
        for name, served in self.banks.items():
            await loop.run_in_executor(None, served.warm, self.decoders)
            if served.read_only:
                continue
            served.start()
            await loop.run_in_executor(None, self.pending[name].sweep, served.desk)
            sender = Sender(served, self.settings.webhooks, self.metrics)
            self._tasks.append(asyncio.create_task(sender.run()))

        self.is_ready = True

    async def close(self) -> None:
        """End what runs and give the files free."""
        self.is_ready = False
        for task in self._tasks:
            task.cancel()

        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.decoders.close()
        for served in self.banks.values():
            await served.close()

    def served(self, name: str) -> ServedBank:
        """The bank of this name. Raises `Problem` where there is none."""
        found = self.banks.get(name)
        if found is None:
            raise Problem("not-found", f"There is no bank {name!r} here.")
        return found

    async def granted(self, request: Request, bank: str, scope: str) -> tuple[ServedBank, Asker]:
        """The bank, and who asks; raises `Problem` where he may not."""
        served = self.served(bank)
        return served, await self.access.granted(request, served, scope)

    def writable(self, served: ServedBank) -> None:
        """Raises `Problem` for a bank that is served for checks only."""
        if served.read_only:
            raise Problem("forbidden", f"The bank {served.name!r} is served read-only.")

    async def body(self, request: Request, *, submission: bool) -> bytes:
        """The whole body, where there is a place for what will be done with it."""
        bodies.refuse_length(request, self.settings.limits)
        self.places.refuse_if_full(submission=submission)
        with self.places.buffering() as buffer:
            body = await bodies.read(request, self.settings.limits, buffer)

        self.metrics.count_bytes(len(body))

        return body

    async def measured(self, data: bytes, served: ServedBank) -> MeasuredPicture:
        """The measures of a picture. Raises `Problem` for one that cannot be read."""
        picture = await self.decoders.measured(data, served.bank.spec)
        if not picture.is_readable:
            self.metrics.count_unreadable(picture.status)
            raise unreadable(picture)

        return picture


def of(request: Request) -> Service:
    """The service that a request came to."""
    return cast("Service", request.app.state.service)


def unreadable(picture: MeasuredPicture | Answer) -> Problem:
    """What a client is told of something that is no picture."""
    members: dict[str, Any] = {"picture_status": picture.status}
    return Problem("unreadable", picture.detail or picture.status, **members)


def _opened(paths: Sequence[Path], *, read_only: bool) -> list[ServedBank]:
    served = [ServedBank(path, read_only=read_only) for path in paths]
    names = [of.name for of in served]
    for name in names:
        if names.count(name) > 1:
            message = f"Two banks are called {name!r}. Rename one: addresses need names."
            raise ConfigError(message)

    return served
