"""Every answer of a bank equals that of two loops over Python integers, whatever happened to the
bank.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dedup.bank import Bank, maintenance, store
from dedup.errors import BankConflictError
from dedup.search import index
from tests.bank.made import EVERYTHING, measures

BASES = (0, 2**64 - 1, 0x0F0F_F0F0_3333_CCCC)
DISTANCE = 16


class CrashError(Exception):
    """The process would have died here."""


@st.composite
def codes(draw: Any) -> int:
    """Codes near each other: at 15, 16, 17 bits of a few bases, or anywhere between."""
    code = draw(st.sampled_from(BASES))
    for bit in draw(st.lists(st.integers(0, 63), max_size=17, unique=True)):
        code ^= 1 << bit
    return int(code)


IDS = st.sampled_from([*"abcdefgh", "ü/1.jpg", "'; DROP TABLE entry; --", "a\nb"])


class BankMachine(RuleBasedStateMachine):
    """The model is a dict from id to its two codes."""

    @initialize()
    def create(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m.bank"
        self.bank = Bank.create(self.path)
        self.other = Bank(self.path)
        self.model: dict[str, tuple[int, int]] = {}

    def teardown(self) -> None:
        if hasattr(self, "bank"):
            self.bank.close()
            self.other.close()
            self.folder.cleanup()

    @rule(entry=IDS, dhash=codes(), phash=codes(), replace=st.booleans())
    def add(self, entry: str, dhash: int, phash: int, replace: bool) -> None:
        if entry in self.model and not replace:
            with pytest.raises(BankConflictError):
                self.bank.add(measures(dhash, phash), entry)
            return
        self.bank.add(measures(dhash, phash), entry, replace=replace)
        self.model[entry] = (dhash, phash)

    @rule(entries=st.lists(IDS, max_size=3, unique=True), forget=st.booleans())
    def remove(self, entries: list[str], forget: bool) -> None:
        unknown = self.bank.remove(entries, forget=forget)

        assert [entry for entry in entries if entry not in self.model] == unknown
        for entry in entries:
            self.model.pop(entry, None)

    @rule(dhash=codes(), phash=codes(), by_other=st.booleans())
    def check(self, dhash: int, phash: int, by_other: bool) -> None:
        expected = {
            entry: {"dhash": (dhash ^ d).bit_count(), "phash": (phash ^ p).bit_count()}
            for entry, (d, p) in self.model.items()
            if min((dhash ^ d).bit_count(), (phash ^ p).bit_count()) <= DISTANCE
        }
        bank = self.other if by_other else self.bank

        answer = bank.check(measures(dhash, phash), policy=EVERYTHING)

        assert expected == {match.id: dict(match.distances) for match in answer.matches}
        assert answer.complete

    @rule(dhash=codes(), phash=codes(), entry=IDS)
    def submit(self, dhash: int, phash: int, entry: str) -> None:
        if entry in self.model:
            with pytest.raises(BankConflictError):
                self.bank.submit(measures(dhash, phash), entry, EVERYTHING)
            return
        near = any(
            min((dhash ^ d).bit_count(), (phash ^ p).bit_count()) <= DISTANCE
            for d, p in self.model.values()
        )

        said = self.bank.submit(measures(dhash, phash), entry, EVERYTHING)

        assert near == (said.verdict != "approved")
        if said.verdict == "approved":
            self.model[entry] = (dhash, phash)

    @rule(everything=st.booleans())
    def compact(self, everything: bool) -> None:
        self.bank.compact(everything=everything)

    @rule()
    def reopen(self) -> None:
        self.bank.close()
        self.bank = Bank(self.path)

    @rule(entry=IDS, dhash=codes())
    def crash_in_a_transaction(self, entry: str, dhash: int) -> None:
        with suppress(CrashError), self.bank.writing():
            self.bank.add(measures(dhash, dhash), entry, replace=True)
            self.bank.remove(list(self.model)[:1])
            raise CrashError
        self.reopen()

    @rule()
    def crash_in_a_compaction(self) -> None:
        with patch.object(maintenance, "_register", side_effect=CrashError), suppress(CrashError):
            self.bank.compact(everything=True)
        self.reopen()

    @precondition(lambda self: any((self.path / "search").glob("*.arrow")))
    @rule(length=st.sampled_from([0, 1, 500, None]))
    def damage_a_search_file(self, length: int | None) -> None:
        """A file cut short, or gone, is read again from the rows."""
        (path, *_) = sorted((self.path / "search").glob("*.arrow"))
        data = path.read_bytes()
        path.unlink()
        if length is not None:
            path.write_bytes(data[:length])
        self.reopen()

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "bank"):
            assert len(self.model) == len(self.bank) == len(self.other)


@pytest.fixture(autouse=True)
def like_a_large_bank(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tails are put into files early, and files are searched in bands."""
    monkeypatch.setattr(store, "MAX_TAIL_ROWS", 4)
    monkeypatch.setattr("dedup.bank.bank.MAX_TAIL_ROWS", 4)
    monkeypatch.setattr(index, "_ROWS_WORTH_ORDERS", 3)
    monkeypatch.setattr(index, "_SCANNED_SECONDS", 1.0)
    index.layout.cache_clear()
    yield
    index.layout.cache_clear()


def test_a_bank_answers_as_two_loops_do_after_anything() -> None:
    """Adds, removals, checks by two handles, compactions, crashes, damaged files, in any order."""
    run_state_machine_as_test(
        BankMachine, settings=settings(max_examples=12, stateful_step_count=25, deadline=None)
    )
