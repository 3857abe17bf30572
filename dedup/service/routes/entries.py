"""Entries, one by one."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from dedup.bank import Bank, Entry, MeasuredPicture
from dedup.service import bodies, pictures
from dedup.service.documents import (
    MAX_ID,
    PICTURE_BODY,
    AddQuestion,
    BankDocument,
    BanksDocument,
    EntriesDocument,
    EntriesQuestion,
    EntryDocument,
    RemoveQuestion,
    problems,
)
from dedup.service.problems import Problem
from dedup.service.state import of

router = APIRouter(tags=["entries"])

Id = Annotated[str, Path(min_length=1, max_length=MAX_ID)]


@router.get("/v1/banks", responses={200: {"model": BanksDocument}, **problems()})
async def banks(request: Request) -> JSONResponse:
    """The banks that are served here and that the key is one of."""
    service = of(request)
    names, refused = [], None
    for name, served in sorted(service.banks.items()):
        try:
            await service.access.granted(request, served, "check")
            names.append(name)
        except Problem as problem:
            refused = problem

    if not names and refused is not None:
        raise refused

    return JSONResponse({"banks": names})


@router.get("/v1/banks/{bank}", responses={200: {"model": BankDocument}, **problems()})
async def info(request: Request, bank: str) -> JSONResponse:
    """What the bank holds, what made it, and what its thresholds mean."""
    served, _ = await of(request).granted(request, bank, "check")
    held = await served.look(lambda bank: bank.info())
    return JSONResponse({"name": served.name, **held})


@router.get("/v1/banks/{bank}/entries", responses={200: {"model": EntriesDocument}, **problems()})
async def entries(
    request: Request, bank: str, asked: Annotated[EntriesQuestion, Query()]
) -> JSONResponse:
    """A page of entries, by id."""
    served, _ = await of(request).granted(request, bank, "check")
    page = await served.look(lambda bank: bank.entries(after=asked.after, limit=asked.limit))
    following = page[-1].id if len(page) == asked.limit else None
    return JSONResponse({"entries": [entry.to_dict() for entry in page], "next": following})


@router.get(
    "/v1/banks/{bank}/entries/{id:path}",
    responses={200: {"model": EntryDocument}, **problems()},
)
async def entry(request: Request, bank: str, id: Id) -> JSONResponse:  # noqa: A002  # HTTP's name
    """What is known of an entry."""
    served, _ = await of(request).granted(request, bank, "check")
    return JSONResponse(_there(await served.look(lambda bank: bank.entry(id)), id).to_dict())


@router.put(
    "/v1/banks/{bank}/entries/{id:path}",
    responses={
        200: {"model": EntryDocument, "description": "Replaced"},
        201: {"model": EntryDocument, "description": "Added"},
        **problems("conflict", "too-large", "unsupported-type", "no-room"),
    },
    openapi_extra=PICTURE_BODY,
)
async def put(
    request: Request,
    bank: str,
    id: Id,  # noqa: A002  # HTTP's name
    asked: Annotated[AddQuestion, Query()],
) -> JSONResponse:
    """Make a picture an entry, without a check."""
    service = of(request)
    served, _ = await service.granted(request, bank, "admin")
    service.writable(served)
    data = bodies.picture_in(request, await service.body(request, submission=True))
    with service.places.working(submission=True):
        picture = await service.measured(data, served)
        was_there, made = await served.change(lambda bank: _put(bank, picture, id, asked))

    return JSONResponse(made.to_dict(), 200 if was_there else 201)


@router.delete(
    "/v1/banks/{bank}/entries/{id:path}",
    status_code=204,
    response_class=Response,
    responses=problems("conflict", "no-room"),
)
async def delete(
    request: Request,
    bank: str,
    id: Id,  # noqa: A002  # HTTP's name
    asked: Annotated[RemoveQuestion, Query()],
) -> Response:
    """Remove an entry; no later answer has it."""
    service = of(request)
    served, _ = await service.granted(request, bank, "admin")
    service.writable(served)
    forget = asked.forget == "true"
    if await served.change(lambda bank: bank.remove(id, forget=forget)):
        raise Problem("not-found", f"There is no entry {id!r}.")

    if forget:
        pending = service.pending[served.name]
        await served.change(pending.sweep)

    return Response(status_code=204)


@router.get(
    "/v1/banks/{bank}/pictures/{id:path}",
    responses={200: {"content": {"image/*": {}}, "description": "The file"}, **problems()},
    response_class=Response,
)
async def picture(request: Request, bank: str, id: Id) -> Response:  # noqa: A002  # HTTP's name
    """The file of an entry, where the operator named the folder with them (review.pictures)."""
    service = of(request)
    served, _ = await service.granted(request, bank, "review")
    found = _there(await served.look(lambda bank: bank.entry(id)), id)
    folder = service.settings.review.pictures
    data = await served.look(lambda _: pictures.of_entry(folder, found.uri))
    if data is None:
        raise Problem("not-found", f"The file of entry {id!r} is not in review.pictures.")

    return pictures.response(data)


def _put(
    bank: Bank, picture: MeasuredPicture, entry: str, asked: AddQuestion
) -> tuple[bool, Entry]:
    with bank.writing():
        was_there = entry in bank
        replace = asked.replace == "true"
        bank.add(picture, entry, replace=replace, label=asked.label, uri=asked.uri)

    made = bank.entry(entry)
    if made is None:  # removed by another request before it could be shown
        raise Problem("conflict", f"Entry {entry!r} was removed at once.")

    return was_there, made


def _there(found: Entry | None, entry: str) -> Entry:
    if found is None:
        raise Problem("not-found", f"There is no entry {entry!r}.")
    return found
