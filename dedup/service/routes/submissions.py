"""Submissions that are kept, and what a person says of them."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response

from dedup.service import pictures
from dedup.service.documents import (
    MAX_ID,
    ReviewRequest,
    SubmissionDocument,
    SubmissionsDocument,
    SubmissionsQuestion,
    problems,
)
from dedup.service.problems import Problem
from dedup.service.routes.checks import submission_response
from dedup.service.state import of

router = APIRouter(tags=["review"])

Name = Annotated[str, Path(max_length=MAX_ID)]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        pattern=r'^(\*|"?[0-9]{1,9}"?)$',
        description="The ETag that the person saw.",
    ),
]


@router.get(
    "/v1/banks/{bank}/submissions",
    responses={200: {"model": SubmissionsDocument}, **problems()},
)
async def submissions(
    request: Request, bank: str, asked: Annotated[SubmissionsQuestion, Query()]
) -> JSONResponse:
    """A page of submissions, oldest first."""
    served, _ = await of(request).granted(request, bank, "review")
    page = await served.look(
        lambda bank: bank.submissions(verdict=asked.verdict, after=asked.after, limit=asked.limit)
    )
    following = page[-1].name if len(page) == asked.limit else None
    shown = [submission.to_dict() for submission in page]

    return JSONResponse({"submissions": shown, "next": following})


@router.get(
    "/v1/banks/{bank}/submissions/{submission}",
    responses={200: {"model": SubmissionDocument}, **problems()},
)
async def submission(request: Request, bank: str, submission: Name) -> JSONResponse:
    """One submission; whoever knows its name may see it."""
    served, _ = await of(request).granted(request, bank, "check")
    return submission_response(served, await served.look(lambda bank: bank.submission(submission)))


@router.post(
    "/v1/banks/{bank}/submissions/{submission}/review",
    responses={
        200: {"model": SubmissionDocument},
        **problems("conflict", "changed", "no-room"),
    },
)
async def review(
    request: Request,
    bank: str,
    submission: Name,
    said: ReviewRequest,
    if_match: IfMatch = None,
) -> JSONResponse:
    """A person approves a pending submission, so that it joins, or rejects it."""
    service = of(request)
    served, asker = await service.granted(request, bank, "review")
    service.writable(served)
    version = None if if_match in {None, "*"} else int(str(if_match).strip('"'))
    made = await served.change(
        lambda bank: bank.review(
            submission, said.decision, by=asker.name, note=said.note, version=version
        )
    )
    await served.look(lambda _: service.pending[served.name].drop(submission))

    return submission_response(served, made)


@router.get(
    "/v1/banks/{bank}/submissions/{submission}/picture",
    responses={
        200: {"content": {"image/*": {}}, "description": "The picture"},
        **problems("conflict"),
    },
    response_class=Response,
)
async def picture(request: Request, bank: str, submission: Name) -> Response:
    """The picture of a pending submission; only its thumbnail where no more is kept."""
    service = of(request)
    served, _ = await service.granted(request, bank, "review")
    kept = await served.look(lambda bank: bank.pending_picture(submission))
    if kept is None:
        raise Problem("conflict", f"Submission {submission!r} is decided: its picture is not kept.")

    data = await served.look(lambda _: service.pending[served.name].read(submission))
    if data is not None:
        return pictures.response(data)

    small = pictures.thumbnail(kept)
    if small is None:
        raise Problem("not-found", f"No picture is kept of submission {submission!r}.")

    return pictures.response(small)
