"""Who may do what: scoped keys; without any key only this machine, by its own names."""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from dedup.errors import BankError
from dedup.service.places import Places
from dedup.service.problems import Problem
from dedup.service.served import ServedBank

logger = logging.getLogger(__name__)

ALLOWS: Final = {
    "check": frozenset({"check", "submit", "review", "admin"}),
    "submit": frozenset({"submit", "admin"}),
    "review": frozenset({"review", "admin"}),
    "admin": frozenset({"admin"}),
}
"""By what is asked: the scopes of a key that allow it."""

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_NOTED_EVERY: Final = 60.0  # seconds between two notes that a key is used
_NO_KEY: Final = "local"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks."""

    name: str  # the key's, or "local" where the bank has no keys


class Access:
    """Checks every request, before its body is read."""

    def __init__(self, places: Places, names: frozenset[str]) -> None:
        self._places = places
        self._names = LOCAL_NAMES | names
        self._noted: dict[tuple[str, str], float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def granted(self, request: Request, served: ServedBank, scope: str) -> Asker:
        """Who asks; raises `Problem` where he may not."""
        if not served.is_portable and served.desk.keys.any():
            return await self._by_key(request, served, scope)
        self._refuse_strangers(request)
        return Asker(_NO_KEY)

    async def _by_key(self, request: Request, served: ServedBank, scope: str) -> Asker:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        key = shown.strip()
        found = served.desk.keys.find(key) if kind.lower() == "bearer" and key else None
        if found is None:
            detail = "Send a key of this bank as 'Authorization: Bearer dk_…'."
            raise Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})

        if not ALLOWS[scope].intersection(found.scopes):
            detail = f"This needs the scope {scope!r}; the key has {', '.join(found.scopes)}."
            raise Problem("forbidden", detail)

        self._places.count_request(f"{served.name}/{found.name}")
        self._note(served, found.name)

        return Asker(found.name)

    def _refuse_strangers(self, request: Request) -> None:
        """Without keys, a page of another site must not reach the bank through a browser here.

        Its own name may have been made to lead to this machine, so the name that was asked for must
        be one of ours; and what it sends from a page of its own carries that page's origin.
        """
        host = request.headers.get("host", "")
        if _hostname(host) not in self._names:
            detail = f"Without keys this service answers under its own names, not {host!r}."
            raise Problem("wrong-host", detail)

        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Problem("forbidden", "Pages of other sites may not use a bank without keys.")

    def _note(self, served: ServedBank, name: str) -> None:
        """Write down that a key is used, without making its request wait for it."""
        at, now = self._noted.get((served.name, name)), monotonic()
        if served.read_only or (at is not None and now - at < _NOTED_EVERY):
            return

        self._noted[served.name, name] = now
        task = asyncio.create_task(_noted(served, name))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


async def _noted(served: ServedBank, name: str) -> None:
    try:
        await served.change(lambda bank: bank.keys.note_use(name))
    except BankError as error:
        logger.warning("%s: the use of key %r was not written down: %s", served.name, name, error)


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
