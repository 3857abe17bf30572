"""A bank as the service holds it: threads that search, one that commits, a desk for look-ups."""

import asyncio
from base64 import b85decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from dedup.bank import Answer, Bank, BankPolicy, MeasuredPicture, Submission, SubmissionRequest
from dedup.errors import BankConflictError, ConfigError
from dedup.hashers.canary_pictures import PICTURES
from dedup.service.decoders import Decoders
from dedup.tables.entries import DATABASE, PORTABLE, SUFFIX

MAX_GROUP: Final = 64
"""Submissions that share a commit: fsync takes 8 ms whether it is for one or for all of them."""

_SEARCHERS: Final = 2  # threads; searching releases Python's lock for about half of its time
_CLERKS: Final = 2  # threads for look-ups that take well below a millisecond

Said = Submission | Answer | BankConflictError
T = TypeVar("T")


def name_of(path: Path) -> str:
    """What a bank is called in addresses: `shop` for shop.bank and shop.bank.parquet."""
    return path.name.removesuffix(PORTABLE).removesuffix(SUFFIX)


class ServedBank:
    """One bank. Its methods are coroutines of the process's one event loop."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.name = name_of(path)
        self.path = path
        self.is_portable = path.name.endswith(PORTABLE)
        self.read_only = read_only or self.is_portable
        if not self.is_portable and not (path / DATABASE).is_file():
            message = f"{str(path)!r} is not a bank: there is no {DATABASE} in it."
            raise ConfigError(message)

        self.bank = Bank(path, read_only=self.read_only)
        # A connection of its own: looking up a key must not wait for a search.
        self.desk = self.bank if self.is_portable else Bank(path, read_only=True)
        self._searching = ThreadPoolExecutor(_SEARCHERS, thread_name_prefix="search")
        self._clerks = ThreadPoolExecutor(_CLERKS, thread_name_prefix="desk")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: asyncio.Queue[tuple[SubmissionRequest, asyncio.Future[Said]]]
        self._committing: asyncio.Task[None] | None = None

    def warm(self, decoders: Decoders) -> None:
        """Load search files and kernels, before the first request is answered."""
        decoders.warm(self.bank.spec)
        pictures = [self.bank.measure(b85decode(text)) for text in PICTURES.values()]
        self.bank.check_many(pictures)
        if self.read_only:
            return

        self.bank.prepare_to_write()
        # What a submission needs beyond that, in a bank of its own: this one must not change.
        with (
            TemporaryDirectory(prefix="dedup-service-") as folder,
            Bank.create(Path(folder) / "warm.bank", self.bank.spec) as other,
        ):
            for picture in pictures:
                other.submit(picture)

    def start(self) -> None:
        """Begin to commit, inside the event loop."""
        self._waiting = asyncio.Queue()
        self._committing = asyncio.create_task(self._commit())

    async def close(self) -> None:
        """Give the files free. What was not answered is not kept."""
        if self._committing is not None:
            self._committing.cancel()

        for threads in (self._searching, self._clerks, self._writer):
            threads.shutdown(wait=True, cancel_futures=True)

        self.bank.close()
        if self.desk is not self.bank:
            self.desk.close()

    async def check(self, picture: MeasuredPicture, policy: BankPolicy) -> Answer:
        """Which entries match; changes nothing."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._searching, lambda: self.bank.check(picture, policy=policy)
        )

    async def submit(self, request: SubmissionRequest) -> Submission | Answer:
        """Check and decide; what is approved is on the disk when this returns."""
        future: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((request, future))
        said = await future
        if isinstance(said, BankConflictError):
            raise said

        return said

    async def look(self, function: Callable[[Bank], T]) -> T:
        """What a quick look-up finds."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._clerks, function, self.desk)

    async def change(self, function: Callable[[Bank], T]) -> T:
        """What a change returns; one change at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, function, self.bank)

    async def _commit(self) -> None:
        """Decide what waits, all of it in one transaction; meanwhile the next group gathers."""
        while True:
            group = [await self._waiting.get()]
            while len(group) < MAX_GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            requests = [request for request, _ in group]
            submitted = partial(Bank.submit_many, requests=requests)
            try:
                said = await self.change(submitted)
            except Exception as error:  # noqa: BLE001  # each of the waiting requests raises it
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), one in zip(group, said, strict=True):
                if not future.done():
                    future.set_result(one)
