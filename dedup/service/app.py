"""The application: its routes, and how each request is answered, timed and counted."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dedup.errors import DedupError
from dedup.service.documents import ProblemDocument
from dedup.service.problems import Problem, of_error, of_status
from dedup.service.routes import batches, checks, entries, pages, submissions, watching
from dedup.service.state import Service
from dedup.versions import DEDUP_VERSION

logger = logging.getLogger(__name__)

_ROUTES: Final = (
    ("/checks", "check"),
    ("/review", "review"),
    ("/submissions", "submission"),
    ("/entries", "entry"),
    ("/batches", "batch"),
    ("/deliveries", "delivery"),
)
"""Part of a path to what its requests are counted as; the first that fits."""


def made(service: Service) -> ASGIApp:
    """The application of one process."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.close()

    app = FastAPI(
        title="dedup",
        version=DEDUP_VERSION,
        lifespan=lifespan,
        docs_url=None,  # both pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    for module in (checks, submissions, entries, batches, watching, pages):
        app.include_router(module.router)

    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(DedupError, _dedup_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _mistake)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]

    return _Counted(app, service)


class _Counted:
    """Counts and times requests, and refuses addresses that are not text."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begin, status = perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            problem = _address_problem(scope)
            answer = self._app if problem is None else problem.response()
            await answer(scope, receive, counted)
        finally:
            route = next((of for part, of in _ROUTES if part in scope["path"]), "other")
            self._service.metrics.count_request(route, status, perf_counter() - begin)


def _address_problem(scope: Scope) -> Problem | None:
    """Ids are text: two addresses that are none must not come to mean the same entry."""
    for raw in (scope.get("raw_path") or b"", scope.get("query_string") or b""):
        try:
            text = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return Problem("bad-request", "The address is not UTF-8.")
        if "\0" in text:
            return Problem("bad-request", "The address has a NUL character in it.")
    return None


async def _problem(_: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem("internal", "")
    return problem.response()


async def _dedup_error(_: Request, error: Exception) -> Response:
    problem = of_error(error if isinstance(error, DedupError) else DedupError(str(error)))
    if problem.status == 500:
        logger.error("A mistake of the service", exc_info=error)
        problem = Problem("internal", "The log of the service has what happened.")

    return problem.response()


async def _not_valid(_: Request, error: Exception) -> Response:
    found: list[dict[str, Any]] = []
    if isinstance(error, RequestValidationError):
        found = [
            {"where": ".".join(map(str, detail["loc"])), "what": detail["msg"]}
            for detail in error.errors()
        ]

    detail = "; ".join(f"{one['where']}: {one['what']}" for one in found)

    return Problem("invalid", detail, errors=found).response()


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return of_status(500, "").response()

    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))

    return of_status(error.status_code, str(error.detail), headers).response()


def _methods_at(request: Request) -> list[str]:
    """All methods of an address: the framework names those of its first route alone."""
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


async def _gone(_: Request, error: Exception) -> Response:
    """Nobody reads this; the status is nginx's for it, so that it is counted as the client's."""
    return Response(status_code=499)


async def _mistake(_: Request, error: Exception) -> Response:
    return Problem("internal", "The log of the service has what happened.").response()


def _without_null(schema: dict[str, Any]) -> None:
    """A parameter that is not given is not there; none is the word `null`."""
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:
        del schema["anyOf"]
        schema.update(options[0])


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with keys and problems."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            if path in {"/healthz", "/readyz"}:
                continue
            for operation in operations.values():
                # Without keys on this machine; with one of the bank otherwise.
                operation["security"] = [{"key": []}, {}]
                for parameter in operation.get("parameters", ()):
                    _without_null(parameter["schema"])
        app.openapi_schema = document
    return app.openapi_schema
