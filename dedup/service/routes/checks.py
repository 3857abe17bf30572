"""Checks and submissions: a picture in the body, an answer in the response."""

import json
from typing import Annotated, Any, Final

from blake3 import blake3
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import JSONResponse

from dedup.bank import Answer, MeasuredPicture, Submission, SubmissionRequest
from dedup.bank.answers import PENDING
from dedup.service import bodies, state
from dedup.service.access import Asker
from dedup.service.documents import (
    PICTURE_BODY,
    AnswerDocument,
    PolicyQuestion,
    SubmissionDocument,
    SubmissionQuestion,
    problems,
)
from dedup.service.problems import Problem
from dedup.service.served import ServedBank
from dedup.service.state import Service, of, unreadable
from dedup.service.webhooks.addresses import RefusedError, place_of

router = APIRouter()

STATUS_OF: Final = {"approved": 201, "rejected": 200, "pending": 202}
"""By verdict: it joined; it did not, and that is the answer; a person has to decide."""

_BASE64: Final = {"type": "string"}
_MEASURES: Final = {
    "schema": {
        "type": "object",
        "description": "MeasuredPicture.to_json of dedup's Python package.",
        "required": ["status", "codes", "signs"],
        "properties": {"codes": {"type": "object"}, "signs": _BASE64},
    }
}
_CHECK_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        **PICTURE_BODY["requestBody"],
        "content": {**PICTURE_BODY["requestBody"]["content"], "application/json": _MEASURES},
    }
}

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key and request within 24 hours get the first answer.",
    ),
]


@router.post(
    "/v1/banks/{bank}/checks",
    responses={200: {"model": AnswerDocument}, **problems("too-large", "unsupported-type")},
    openapi_extra=_CHECK_BODY,
    tags=["check"],
)
async def check(
    request: Request, bank: str, asked: Annotated[PolicyQuestion, Query()]
) -> JSONResponse:
    """Which entries a picture matches. Changes nothing.

    As `application/json` the body holds measures that a client made of a picture that it keeps.
    """
    service = of(request)
    served, _ = await service.granted(request, bank, "check")
    policy = asked.policy(service.settings.policy)
    body = await service.body(request, submission=False)
    with service.places.working():
        picture = await _picture(service, served, request, body)
        answer = await served.check(picture, policy)

    return JSONResponse(answer.to_dict())


@router.post(
    "/v1/banks/{bank}/submissions",
    responses={
        200: {"model": SubmissionDocument, "description": "Rejected"},
        201: {"model": SubmissionDocument, "description": "Approved: it is an entry"},
        202: {"model": SubmissionDocument, "description": "Pending: a person has to decide"},
        **problems("conflict", "too-large", "unsupported-type", "key-reused", "no-room"),
    },
    openapi_extra=PICTURE_BODY,
    tags=["submit"],
)
async def submit(
    request: Request,
    bank: str,
    asked: Annotated[SubmissionQuestion, Query()],
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Check a picture and let it join if it may; all in one transaction, before the answer."""
    service = of(request)
    served, asker = await service.granted(request, bank, "submit")
    service.writable(served)
    policy = asked.policy(service.settings.policy)
    notify = _targets(service, asked.notification_url)
    body = await service.body(request, submission=True)
    data = bodies.picture_in(request, body)

    with service.places.working(submission=True):
        picture = await service.measured(data, served)
        said = await served.submit(
            SubmissionRequest(
                picture=picture,
                entry=asked.id,
                policy=policy,
                idempotency_key=_own(asker, idempotency_key),
                body_digest=_digest(data, asked),
                label=asked.label,
                uri=asked.uri,
                notify=notify,
            )
        )

    if isinstance(said, Answer):
        raise unreadable(said)

    await _note(service, served, said, data)

    return submission_response(served, said, STATUS_OF[said.verdict])


def submission_response(served: ServedBank, said: Submission, status: int = 200) -> JSONResponse:
    """A submission as it is sent, with its version as ETag."""
    headers = {
        "Location": f"/v1/banks/{served.name}/submissions/{said.name}",
        "ETag": f'"{said.version}"',
    }
    if said.replayed:
        headers["Idempotent-Replayed"] = "true"

    return JSONResponse(said.to_dict(), status, headers)


async def _picture(
    service: Service, served: ServedBank, request: Request, body: bytes
) -> MeasuredPicture:
    """The measures in a body, or those of the picture in it."""
    if bodies.media_type(request) != "application/json":
        return await service.measured(bodies.picture_in(request, body), served)

    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem("invalid", "The body is not JSON in UTF-8.") from error

    picture = MeasuredPicture.from_json(text, served.bank.spec)
    if not picture.is_readable:
        raise state.unreadable(picture)

    return picture


def _targets(service: Service, notification_url: str | None) -> tuple[str, ...]:
    """Who is told: the operator's targets, and one that the request names if it may."""
    own = tuple(target.url for target in service.settings.webhooks.targets)
    if notification_url is None:
        return own

    try:
        place_of(notification_url, service.settings.webhooks)
    except RefusedError as error:
        raise Problem("forbidden", f"notification_url: {error}.") from error

    return tuple(dict.fromkeys((*own, notification_url)))


def _own(asker: Asker, idempotency_key: str | None) -> str | None:
    """The key among those of the same asker: another one's may be the same text."""
    if idempotency_key is None:
        return None
    bare = idempotency_key.strip('"')  # the draft quotes it, and few clients do
    return f"{asker.name}/{bare}"


def _digest(data: bytes, asked: SubmissionQuestion) -> bytes:
    """What an idempotency key stands for: the picture and all that was asked with it."""
    question = json.dumps(asked.model_dump(), sort_keys=True).encode()
    return blake3(blake3(question).digest() + blake3(data).digest()).digest()


async def _note(service: Service, served: ServedBank, said: Submission, data: bytes) -> None:
    """Count it, and keep the picture of one that waits for a person."""
    if said.replayed:
        return

    service.metrics.count_verdict(said.verdict)
    if said.verdict == PENDING and service.settings.review.keep_pictures:
        pending = service.pending[served.name]
        await served.look(lambda _: pending.keep(said.name, data))
