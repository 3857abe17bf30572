"""What a gate found of a run: one check for each limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dedup.config import GateConfig
from dedup.reporting import shown

WORST: Final = 5  # leaks that a closed gate names

Kind = Literal["leakage", "unreadable", "certificate"]
State = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the gate looks at."""

    name: str  # for people: "leakage of 'test'"
    kind: Kind
    split: str | None  # the held-out split of a leakage check
    state: State  # "not judged": no limit is set, or there is nothing to judge
    message: str  # what was found and what is allowed, a sentence
    over_nothing: bool = False  # a limit asks for it, and there was nothing to judge by it


@dataclass(frozen=True, slots=True)
class Findings:
    """All checks over a run, with what the documents show beside them."""

    title: str  # the dataset's name
    summary: Mapping[str, Any]
    gate: GateConfig
    checks: tuple[Check, ...]
    # rows of `leakage`: the worst of all and of each split, the worst first
    worst: Sequence[Mapping[str, Any]]
    n_leaks: int  # rows of `leakage`
    seconds: float  # that the run took

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed()

    @property
    def limitless(self) -> bool:
        """Whether the gate sets no limit at all, so that it cannot fail."""
        return self.gate == GateConfig(allow_nothing=self.gate.allow_nothing)

    @property
    def judged_nothing(self) -> tuple[Check, ...]:
        """The checks that a limit asks for, had nothing to judge and were let pass by
        `gate.allow_nothing`.
        """
        return tuple(
            check for check in self.checks if check.over_nothing and check.state == "not judged"
        )

    def _repr_html_(self) -> str:
        """For notebooks: whether the gate is open, and each check."""
        said = f"{self.title}: the gate is {'open' if self.passed else 'closed'}."
        rows = [(check.name, check.state, check.message) for check in self.checks]
        return shown.paragraph(said) + shown.table(["check", "state", "found"], rows)

    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.state == "failed")

    def worst_of(self, check: Check) -> list[Mapping[str, Any]]:
        """The worst leaks that a check is about."""
        return [leak for leak in self.worst if name_of(leak) == check.name][:WORST]


def name_of(leak: Mapping[str, Any]) -> str:
    """The check that counts a row of `leakage`."""
    return f"{'groups' if leak['kind'] == 'group' else 'leakage'} of {leak['witness_split']!r}"
