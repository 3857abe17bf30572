"""Processes that decode: a picture that kills or stalls its process costs one answer."""

import asyncio
from base64 import b85decode
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from dedup.bank.picture import MeasuredPicture
from dedup.engines import Limits, Worker
from dedup.hashers.canary_pictures import PICTURES
from dedup.service.measuring import WORK, task
from dedup.tables.entries import BankSpec


class Decoders:
    """A pool of decoding processes, each spoken to by a thread of its own."""

    def __init__(self, n: int, seconds: float, n_bytes: int) -> None:
        limits = Limits(seconds, n_bytes, "limits.decode_seconds")
        self._workers = [Worker(WORK, limits) for _ in range(n)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

        self._threads = ThreadPoolExecutor(n, thread_name_prefix="decoder")

    def warm(self, spec: BankSpec) -> None:
        """Start every process, and let it measure one picture."""
        picture = b85decode(next(iter(PICTURES.values())))
        for worker in self._workers:
            worker.do(task(picture, spec))

    async def measured(self, data: bytes, spec: BankSpec) -> MeasuredPicture:
        """The measures of a picture, or a status where it cannot be read."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._measured, data, spec)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _measured(self, data: bytes, spec: BankSpec) -> MeasuredPicture:
        worker = self._idle.get()
        try:
            answer: Any = worker.do(task(data, spec))
            worker.start()  # a new one at once where it died, so that it loads before it is needed
        finally:
            self._idle.put(worker)

        return MeasuredPicture.from_json(answer["measures"][0].as_py(), spec)
