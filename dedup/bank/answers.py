"""What a bank answers: matches, a verdict, and what was kept of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from dedup.errors import ConfigError
from dedup.policy.doubts import MAX_FALSE_PROBABILITY, MAX_SURE_OF_SIGNS, REVIEW_FALSE_PROBABILITY

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
PENDING: Final = "pending"
VERDICTS: Final = (APPROVED, REJECTED, PENDING)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that an asked picture is the same as, or may be."""

    id: str
    kind: str  # bytes: the same file; pixels: the same decoded picture; near
    similarity: float  # 0..1
    false_probability: float  # 0..1, that it is another picture
    verified: str  # bytes, pixels, second_look, thumbnails or signs: by what
    distances: Mapping[str, int] = field(default_factory=dict)  # bits, by algorithm
    unframed: str | None = None  # asked, entry or both were compared without their frame
    uri: str | None = None
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BankPolicy:
    """From which match on a picture is rejected, and from which on a person must look.

    `reject` and `review` are similarities in [0, 1], inclusive. None: by false probability, whose
    limits are those of a run. What signs alone say at a false probability above 0.01 is for a
    person, whatever the limits.
    """

    reject: float | None = None
    review: float | None = None
    # rejected up to it, where `reject` is None
    max_false_probability: float = MAX_FALSE_PROBABILITY
    review_false_probability: float = REVIEW_FALSE_PROBABILITY  # reviewed up to it, likewise
    always_review: bool = False  # nothing is approved without a person

    def __post_init__(self) -> None:
        """Raises `ConfigError` for limits that make no sense."""
        problems = [
            f"policy.{name} must be a number in [0, 1], not {value!r}."
            for name, value in asdict(self).items()
            if name != "always_review" and value is not None and not _is_share(value)
        ]
        if (
            not problems
            and self.reject is not None
            and self.review is not None
            and self.review > self.reject
        ):
            problems.append(
                f"policy.review {self.review!r} must not be above policy.reject {self.reject!r}: "
                f"what is reviewed is less similar than what is rejected."
            )

        if problems:
            raise ConfigError(*problems)

    def verdict_of(self, match: Match) -> str | None:
        """What this match alone asks for; None where it is no match under this policy."""
        unsure = match.verified == "signs" and match.false_probability > MAX_SURE_OF_SIGNS
        if self._reaches(match, self.reject, self.max_false_probability):
            return PENDING if unsure else REJECTED

        review = self.review if self.review is not None or self.reject is None else self.reject

        return PENDING if self._reaches(match, review, self.review_false_probability) else None

    @staticmethod
    def _reaches(match: Match, similarity: float | None, false_probability: float) -> bool:
        if match.kind != "near":
            return True
        if similarity is not None:
            return match.similarity >= similarity
        return match.false_probability <= false_probability

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found. `status` other than "ok": there is no picture, and no verdict."""

    status: str
    detail: str | None = None
    verdict: str | None = None  # approved, rejected or pending
    reason: str | None = None  # a code: unique, duplicate, similar, review, already_entry
    matches: tuple[Match, ...] = ()  # the surest first
    n_matches: int = 0  # of all, where the list was cut
    complete: bool = True  # False where a limit was hit: there may be more matches
    policy: BankPolicy = field(default_factory=BankPolicy)
    width: int | None = None  # pixels
    height: int | None = None
    format: str | None = None
    file_digest: str | None = None  # hex digits

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["matches"] = [match.to_dict() for match in self.matches]
        values["policy"] = self.policy.to_dict()
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        matches = tuple(Match(**match) for match in values["matches"])
        return cls(**{**values, "matches": matches, "policy": BankPolicy(**values["policy"])})


@dataclass(frozen=True, slots=True)
class Submission:
    """A check whose outcome is kept. An approved one is an entry."""

    name: str  # sub_…
    entry: str | None  # the id that it has, or would have, in the bank
    verdict: str
    answer: Answer
    decided_by: str  # "policy", or the person
    note: str | None
    version: int  # 1, then one more for each review
    created: float  # seconds since 1970
    reviewed: float | None = None
    replayed: bool = False  # the answer to an idempotency key that was there before

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "answer": self.answer.to_dict()}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """A row of the table `submission`."""
        return cls(
            name=row["name"],
            entry=row["entry"],
            verdict=row["verdict"],
            answer=Answer.from_dict(json.loads(row["answer"])),
            decided_by=row["decided_by"],
            note=row["note"],
            version=row["version"],
            created=row["created"],
            reviewed=row["reviewed"],
        )


def judged(answer: Answer, matches: tuple[Match, ...], n_most: int) -> Answer:
    """The answer with its verdict: the strongest that any match asks for under its policy."""
    asked = [(match, answer.policy.verdict_of(match)) for match in matches]
    counted = [match for match, verdict in asked if verdict is not None]
    verdicts = {verdict for _, verdict in asked}

    if REJECTED in verdicts:
        verdict, reason = REJECTED, "duplicate"
    elif PENDING in verdicts:
        verdict, reason = PENDING, "similar"
    elif answer.policy.always_review:
        verdict, reason = PENDING, "review"
    else:
        verdict, reason = APPROVED, "unique"

    if not answer.complete and verdict == APPROVED:
        # Not all that could match was compared: nobody can say that it is unique.
        verdict, reason = PENDING, "incomplete"

    shown = tuple(counted[:n_most])

    return replace(answer, verdict=verdict, reason=reason, matches=shown, n_matches=len(counted))


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
