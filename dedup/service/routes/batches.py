"""Many pictures in one request, one JSON document a line."""

import asyncio
import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from dedup.bank import Answer, Bank, BankPolicy, MeasuredPicture, Submission, SubmissionRequest
from dedup.errors import BankConflictError, ConfigError
from dedup.service import bodies
from dedup.service.documents import MAX_ID, BatchDocument, BatchQuestion, problems
from dedup.service.problems import Problem, of_error
from dedup.service.served import ServedBank
from dedup.service.state import Service, of, unreadable

router = APIRouter(tags=["batches"])

MAX_LINES: Final = 1_000
NDJSON: Final = "application/x-ndjson"

_SCOPE_OF: Final = {"check": "check", "submit": "submit", "add": "admin"}
_KNOWN: Final = frozenset({"id", "picture", "data", "label", "uri", "replace"})
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": (
            "A line: {id, picture: measures | data: a file in base 64, label, uri, replace}."
        ),
        "content": {NDJSON: {"schema": {"type": "string"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a batch, its picture measured."""

    picture: MeasuredPicture
    entry: str | None
    label: str | None
    uri: str | None
    replace: bool


@router.post(
    "/v1/banks/{bank}/batches",
    responses={
        200: {"model": BatchDocument},
        **problems("too-large", "unsupported-type", "no-room"),
    },
    openapi_extra=_BODY,
)
async def batch(
    request: Request, bank: str, asked: Annotated[BatchQuestion, Query()]
) -> JSONResponse:
    """Check, submit or add many pictures; changes are one transaction.

    A line that cannot be carried out gets a problem in its place; the others are carried out.
    """
    service = of(request)
    served, _ = await service.granted(request, bank, _SCOPE_OF[asked.act])
    if asked.act != "check":
        service.writable(served)

    policy = asked.policy(service.settings.policy)
    kind = bodies.media_type(request)
    if kind not in {NDJSON, "application/jsonl"}:
        raise Problem("unsupported-type", f"A batch is sent as {NDJSON}, not as {kind!r}.")

    texts = _lines(await service.body(request, submission=asked.act != "check"))
    with service.places.working(submission=asked.act != "check"):
        lines = await _measured(service, served, texts, act=asked.act)
        results = await _carried_out(service, served, lines, asked.act, policy)

    return JSONResponse({"results": results})


def _lines(body: bytes) -> list[bytes]:
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > MAX_LINES:
        raise Problem("too-large", f"A batch has at most {MAX_LINES:,} lines, not {len(lines):,}.")
    return lines


async def _measured(
    service: Service, served: ServedBank, texts: list[bytes], act: str
) -> list[Line | Problem]:
    """The lines in their order; their pictures are measured by all decoders at once."""

    async def one(text: bytes) -> Line | Problem:
        try:
            return await _line(service, served, text, act)
        except Problem as problem:
            return problem
        except ConfigError as error:
            return of_error(error)

    return await asyncio.gather(*map(one, texts))


async def _line(service: Service, served: ServedBank, text: bytes, act: str) -> Line:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem("invalid", "The line is not JSON.") from error

    if not isinstance(values, dict) or not _KNOWN.issuperset(values):
        raise Problem("invalid", f"A line is an object with {', '.join(sorted(_KNOWN))}.")

    entry, label, uri = (_text(values, name) for name in ("id", "label", "uri"))
    if act == "add" and not entry:
        raise Problem("invalid", "What is added needs an id.")
    if (values.get("picture") is None) == (values.get("data") is None):
        raise Problem("invalid", "A line has either 'picture', measures, or 'data', a file.")
    if values.get("picture") is not None and act == "submit":
        raise Problem("invalid", "Only pictures can be submitted: measures prove nothing.")

    if values.get("data") is not None:
        picture = await service.measured(_file(values["data"]), served)
    else:
        picture = MeasuredPicture.from_json(json.dumps(values["picture"]), served.bank.spec)
        if not picture.is_readable:
            raise unreadable(picture)

    return Line(picture, entry, label, uri, values.get("replace") is True)


async def _carried_out(
    service: Service,
    served: ServedBank,
    lines: list[Line | Problem],
    act: str,
    policy: BankPolicy,
) -> list[dict[str, Any]]:
    good = [line for line in lines if isinstance(line, Line)]
    if act == "check":
        said: list[dict[str, Any]] = [
            (await served.check(line.picture, policy)).to_dict() for line in good
        ]
    elif act == "submit":
        said = await _submitted(service, served, good, policy)
    else:
        said = await served.change(lambda bank: _added(bank, good))

    results = iter(said)

    return [line.document() if isinstance(line, Problem) else next(results) for line in lines]


async def _submitted(
    service: Service, served: ServedBank, lines: list[Line], policy: BankPolicy
) -> list[dict[str, Any]]:
    notify = tuple(target.url for target in service.settings.webhooks.targets)
    requests = [
        SubmissionRequest(
            line.picture, line.entry, policy, label=line.label, uri=line.uri, notify=notify
        )
        for line in lines
    ]
    said = await served.change(lambda bank: bank.submit_many(requests))
    for one in said:
        if isinstance(one, Submission):
            service.metrics.count_verdict(one.verdict)

    return [_document(one) for one in said]


def _document(said: Submission | Answer | BankConflictError) -> dict[str, Any]:
    if isinstance(said, BankConflictError):
        return of_error(said).document()
    return said.to_dict()


def _added(bank: Bank, lines: list[Line]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    with bank.writing():
        for line in lines:
            try:
                bank.add(
                    line.picture,
                    str(line.entry),
                    replace=line.replace,
                    label=line.label,
                    uri=line.uri,
                )
                results.append({"id": line.entry, "status": "added"})
            except BankConflictError as error:
                results.append(of_error(error).document())

    return results


def _text(values: dict[str, Any], name: str) -> str | None:
    """A text of a line, which a database can keep; else `Problem`."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or _has_halves(value):
        raise Problem("invalid", f"{name!r} is a text of 1 to {MAX_ID:,} characters.")

    return value


def _has_halves(text: str) -> bool:
    """Whether there are halves of surrogate pairs in it, which no database keeps."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def _file(text: Any) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise Problem("invalid", "'data' is a file in base 64.") from error

    if not data:
        raise Problem("invalid", "'data' is empty.")

    return data
