"""The outbox of a bank, sent at least once by one process at a time.

Whoever holds the lock sends; when it is killed, the system lets the lock go and another process
takes over. A row is settled after its target answered, so what was sent and not settled is sent
again.
"""

import asyncio
import logging
import random
import time
from typing import IO, Final

from dedup.bank import Bank, Delivery
from dedup.bank.deliveries import DELIVERED, FAILED, WAITING
from dedup.errors import BankError, because
from dedup.service.metrics import Metrics
from dedup.service.served import ServedBank
from dedup.service.settings import WebhookSettings
from dedup.service.webhooks.addresses import RefusedError, place_of
from dedup.service.webhooks.posting import Connector, Reply, Resolver, connect, post, resolve
from dedup.service.webhooks.signing import headers

try:
    import fcntl
except ImportError:  # Windows: one process serves there
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

LOCK: Final = "sending.lock"
MAX_AT_ONCE: Final = 16  # deliveries under way
MAX_OF_TARGET: Final = 4  # of them to one target: one that hangs must not hold up the others

_POLL_SECONDS: Final = 0.25  # how soon a new delivery is seen
_JITTER: Final = 0.1  # of a wait, so that retries of many do not come together
_GONE: Final = 410


class Sender:
    """Sends what is due in one bank's outbox."""

    def __init__(
        self,
        served: ServedBank,
        settings: WebhookSettings,
        metrics: Metrics,
        *,
        resolver: Resolver = resolve,
        connector: Connector = connect,
    ) -> None:
        self._served = served
        self._settings = settings
        self._metrics = metrics
        self._resolver = resolver
        self._connector = connector
        self._under_way: dict[int, str] = {}  # target by number of the delivery
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        lock = await self._locked()
        try:
            while True:
                try:
                    await self._begin_due()
                except BankError as error:
                    logger.warning("%s: the outbox could not be read: %s", self._served.name, error)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            lock.close()

    async def _locked(self) -> IO[str]:
        """Wait until no other process sends. The lock lasts as long as the file is open."""
        file = (self._served.path / LOCK).open("a")
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                break

        return file

    async def _begin_due(self) -> None:
        if len(self._under_way) >= MAX_AT_ONCE:
            return

        due = await self._served.look(lambda bank: bank.outbox.due(limit=10 * MAX_AT_ONCE))
        for delivery in due:
            targets = list(self._under_way.values())
            if len(targets) >= MAX_AT_ONCE:
                return
            if delivery.number in self._under_way:
                continue
            if targets.count(delivery.target) >= MAX_OF_TARGET:
                continue
            self._under_way[delivery.number] = delivery.target
            task = asyncio.create_task(self._deliver(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            said, state, wait = await self._attempt(delivery)
            await self._served.change(lambda bank: _settle(bank, delivery, said, state, wait))
            self._metrics.count_delivery(state)
        except BankError as error:
            logger.warning("%s: a delivery was not settled: %s", self._served.name, error)
        finally:
            self._under_way.pop(delivery.number, None)

    async def _attempt(self, delivery: Delivery) -> tuple[str, str, float | None]:
        """What came of one attempt: words for people, the new state, seconds until the next."""
        if delivery.target in await self._served.look(lambda bank: bank.outbox.off()):
            return "switched off: the target answered 410 before", FAILED, None

        try:
            place = place_of(delivery.target, self._settings)
            body = delivery.payload.encode()
            signed = headers(delivery.event, int(time.time()), body, place.keys)
            reply = await post(
                place,
                signed,
                body,
                self._settings.timeout,
                resolver=self._resolver,
                connector=self._connector,
            )
        except RefusedError as error:
            return f"refused: {because(error)}", FAILED, None
        except TimeoutError:
            return self._again(delivery, f"no answer within {self._settings.timeout:g} s", None)
        except OSError as error:
            return self._again(delivery, because(error), None)

        return self._judged(delivery, reply)

    def _judged(self, delivery: Delivery, reply: Reply) -> tuple[str, str, float | None]:
        said = f"answered {reply.status}"
        if 200 <= reply.status < 300:
            return said, DELIVERED, None
        if reply.status == _GONE:
            return f"{said}: switched off", FAILED, None

        return self._again(delivery, said, reply.retry_after)

    def _again(
        self, delivery: Delivery, said: str, retry_after: float | None
    ) -> tuple[str, str, float | None]:
        back_off = self._settings.back_off
        if delivery.attempts >= len(back_off):
            return f"{said}; given up after {delivery.attempts + 1} tries", FAILED, None

        wait = back_off[delivery.attempts] * random.uniform(1 - _JITTER, 1 + _JITTER)

        return said, WAITING, max(wait, min(retry_after or 0.0, back_off[-1]))


def _settle(bank: Bank, delivery: Delivery, said: str, state: str, wait: float | None) -> None:
    next_at = None if wait is None else time.time() + wait
    with bank.writing():
        if said == f"answered {_GONE}: switched off":
            bank.outbox.switch_off(delivery.target)
        bank.outbox.settle(delivery.number, said, state=state, next_at=next_at)
