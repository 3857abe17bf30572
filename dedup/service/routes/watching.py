"""How the service is: for load balancers, for Prometheus, and the outbox for the operator."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dedup.bank import Bank
from dedup.bank.deliveries import WAITING
from dedup.service.documents import (
    DeliveriesDocument,
    DeliveriesQuestion,
    StateDocument,
    problems,
)
from dedup.service.problems import Problem
from dedup.service.state import of

router = APIRouter()

_MOST_COUNTED = 10_000  # rows of the outbox or of what is pending; more are shown as so many


@router.get("/healthz", responses={200: {"model": StateDocument}}, tags=["state"])
async def health(request: Request) -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    responses={
        200: {"model": StateDocument},
        503: {"model": StateDocument, "description": "It is still loading"},
    },
    tags=["state"],
)
async def ready(request: Request) -> JSONResponse:
    """The first request will be answered as fast as later ones."""
    is_ready = of(request).is_ready
    return JSONResponse({"status": "ok" if is_ready else "starting"}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {}}, "description": "Metrics"}, **problems()},
    response_class=PlainTextResponse,
    tags=["state"],
)
async def metrics(request: Request) -> Response:
    """Counters of all processes, in Prometheus's text format; a key needs `admin` in any bank."""
    service = of(request)
    refused: Problem | None = None
    for served in service.banks.values():
        try:
            await service.access.granted(request, served, "admin")
            break
        except Problem as problem:
            refused = problem
    else:
        if refused is not None:
            raise refused

    gauges: dict[str, dict[str, float]] = {
        "dedup_entries": {},
        "dedup_pending": {},
        "dedup_outbox_waiting": {},
    }
    for name, served in service.banks.items():
        for gauge, value in (await served.look(_gauges)).items():
            gauges[gauge][name] = value

    text = service.metrics.text(gauges)

    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/v1/deliveries", responses={200: {"model": DeliveriesDocument}, **problems()}, tags=["outbox"]
)
async def deliveries(
    request: Request, asked: Annotated[DeliveriesQuestion, Query()]
) -> JSONResponse:
    """A page of the outbox: what was sent to whom, and what came of it."""
    service = of(request)
    name = asked.bank
    if name is None:
        if len(service.banks) != 1:
            raise Problem("invalid", "Several banks are served: name one with ?bank=…")
        (name,) = service.banks

    served, _ = await service.granted(request, name, "admin")
    page = await served.look(
        lambda bank: bank.outbox.page(state=asked.state, after=asked.after, limit=asked.limit)
    )
    following = page[-1].number if len(page) == asked.limit else None

    return JSONResponse({"deliveries": [asdict(one) for one in page], "next": following})


@router.post(
    "/v1/deliveries/{bank}/{number}/retry",
    status_code=202,
    responses={202: {"model": StateDocument}, **problems("no-room")},
    tags=["outbox"],
)
async def retry(
    request: Request, bank: str, number: Annotated[int, Path(ge=1, le=2**53)]
) -> JSONResponse:
    """Send a delivery once more, whatever came of it; its target is switched on again."""
    service = of(request)
    served, _ = await service.granted(request, bank, "admin")
    service.writable(served)
    await served.change(lambda bank: bank.outbox.retry(number))

    return JSONResponse({"status": "ok"}, 202)


def _gauges(bank: Bank) -> dict[str, float]:
    waiting = bank.outbox.page(state=WAITING, limit=_MOST_COUNTED)
    pending = bank.submissions(verdict="pending", limit=_MOST_COUNTED)

    return {
        "dedup_entries": len(bank),
        "dedup_pending": len(pending),
        "dedup_outbox_waiting": len(waiting),
    }
