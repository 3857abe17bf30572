"""What goes over the wire, for the OpenAPI document; questions are checked against it as well."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dedup.bank import BankPolicy
from dedup.service.problems import KINDS, MEDIA_TYPE, Problem
from dedup.service.settings import PolicySettings, Share

MAX_ID: Final = 1_000  # characters
MAX_PAGE: Final = 1_000  # rows

EntryId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
Text = Annotated[str, StringConstraints(max_length=2_000)]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE)]


class Question(BaseModel):
    """Base of what stands in the query: nothing unknown, so that a mistyped name is not lost."""

    model_config = ConfigDict(extra="forbid")


class PolicyQuestion(Question):
    """Limits in place of the service's own; see docs/banks.md."""

    reject: Share | None = Field(None, description="Similarity from which on it is rejected.")
    review: Share | None = Field(None, description="Similarity from which on a person decides.")
    max_false_probability: Share | None = Field(
        None, description="Rejected up to it, where `reject` is not given."
    )
    review_false_probability: Share | None = Field(
        None, description="Reviewed up to it, where `review` is not given."
    )
    always_review: Literal["true", "false"] | None = Field(
        None, description="Nothing is approved without a person."
    )

    def policy(self, settings: PolicySettings) -> BankPolicy:
        """The service's policy with what was asked for; raises `Problem` where that is fixed."""
        own = PolicyQuestion.model_fields
        asked = {k: v for k in own if (v := getattr(self, k)) is not None}
        if asked and settings.fixed:
            raise Problem("forbidden", "The policy of this service is fixed (policy.fixed).")
        if "always_review" in asked:
            asked["always_review"] = asked["always_review"] == "true"

        return BankPolicy(**{**settings.model_dump(exclude={"fixed"}), **asked})


class SubmissionQuestion(PolicyQuestion):
    """Where a submission would go, and who is told."""

    id: EntryId | None = Field(None, description="Its id in the bank; default: its own name.")
    label: Text | None = None
    uri: Text | None = Field(None, description="Where the picture is, for people.")
    notification_url: Text | None = Field(
        None, description="Is told of the outcome; only hosts of webhooks.hosts, https."
    )


class SubmissionsQuestion(Question):
    """A page of submissions."""

    verdict: Literal["approved", "rejected", "pending"] | None = None
    after: Annotated[str, Field(max_length=MAX_ID)] | None = Field(
        None, description="The last name of the page before."
    )
    limit: PageSize = 100


class EntriesQuestion(Question):
    """A page of entries."""

    after: Annotated[str, Field(max_length=MAX_ID)] | None = None
    limit: PageSize = 100


class AddQuestion(Question):
    """How an entry is put."""

    replace: Literal["true", "false"] = "false"
    label: Text | None = None
    uri: Text | None = None


class RemoveQuestion(Question):
    """How an entry is removed."""

    forget: Literal["true", "false"] = Field(
        "false", description="Leave nothing of it in any file of the bank."
    )


class BatchQuestion(PolicyQuestion):
    """What is done with each line."""

    act: Literal["check", "submit", "add"] = "check"


class DeliveriesQuestion(Question):
    """A page of the outbox."""

    bank: Annotated[str, Field(max_length=MAX_ID)] | None = Field(
        None, description="Needed where several banks are served."
    )
    state: Literal["waiting", "delivered", "failed"] | None = None
    after: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: PageSize = 100


class ReviewRequest(BaseModel):
    """What a person says of a pending submission."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["approve", "reject"]
    note: Text | None = None


class MatchDocument(BaseModel):
    """An entry that the picture is the same as, or may be."""

    id: str
    kind: Literal["bytes", "pixels", "near"]
    similarity: float
    false_probability: float
    verified: str
    distances: dict[str, int]
    unframed: str | None
    uri: str | None
    label: str | None


class PolicyDocument(BaseModel):
    """The limits that a verdict follows from."""

    reject: float | None
    review: float | None
    max_false_probability: float
    review_false_probability: float
    always_review: bool


class AnswerDocument(BaseModel):
    """What a check found."""

    status: Literal["ok"]
    detail: str | None
    verdict: Literal["approved", "rejected", "pending"]
    reason: str
    matches: list[MatchDocument]
    n_matches: int
    complete: bool
    policy: PolicyDocument
    width: int | None
    height: int | None
    format: str | None
    file_digest: str | None


class SubmissionDocument(BaseModel):
    """A check whose outcome is kept."""

    name: str
    entry: str | None
    verdict: Literal["approved", "rejected", "pending"]
    answer: AnswerDocument
    decided_by: str
    note: str | None
    version: int
    created: float
    reviewed: float | None
    replayed: bool


class SubmissionsDocument(BaseModel):
    """A page of submissions; `next` is the `after` of the next page."""

    submissions: list[SubmissionDocument]
    next: str | None


class EntryDocument(BaseModel):
    """What is known of an entry."""

    id: str
    label: str | None
    uri: str | None
    width: int | None
    height: int | None
    format: str | None
    file_digest: str | None
    pixel_digest: str | None
    information: float | None
    added: float


class EntriesDocument(BaseModel):
    """A page of entries."""

    entries: list[EntryDocument]
    next: str | None


class DeliveryDocument(BaseModel):
    """One event for one target."""

    number: int
    event: str
    type: str
    payload: str
    target: str
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    next: float
    said: str | None
    created: float
    settled: float | None


class DeliveriesDocument(BaseModel):
    """A page of deliveries."""

    deliveries: list[DeliveryDocument]
    next: int | None


class BatchDocument(BaseModel):
    """One result for each line, in their order."""

    results: list[dict[str, Any]]


class BanksDocument(BaseModel):
    """The banks that are served."""

    banks: list[str]


class BankDocument(BaseModel):
    """What a bank says of itself."""

    model_config = ConfigDict(extra="allow")

    name: str
    entries: int
    spec: dict[str, Any]


class StateDocument(BaseModel):
    """How the process is."""

    status: Literal["ok", "starting"]


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


def problems(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Those that a route answers with, for OpenAPI: besides, all that any route may answer with."""
    # 421 and 403: a service without keys refuses other names and other sites' pages.
    every = ("bad-request", "unauthorized", "forbidden", "not-found", "wrong-host", "invalid")
    often = ("slow-down", "busy", "internal")
    found: dict[int | str, dict[str, Any]] = {}

    for kind in (*every, *often, *kinds):
        status, title = KINDS[kind]
        schema = {"$ref": "#/components/schemas/ProblemDocument"}
        content = {MEDIA_TYPE: {"schema": schema}}
        before = found.get(status, {}).get("description")
        description = title if before in (None, title) else f"{before}; {title}"
        found[status] = {"description": description, "content": content}

    return found


BINARY: Final = {"schema": {"type": "string", "format": "binary"}}

PICTURE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The file of a picture, as it is, or as the one file of a form.",
        "content": {
            "image/jpeg": BINARY,
            "image/png": BINARY,
            "image/webp": BINARY,
            "application/octet-stream": BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["picture"],
                    "properties": {
                        "picture": {"type": "string", "format": "binary", "minLength": 1}
                    },
                    "additionalProperties": False,
                }
            },
        },
    }
}
