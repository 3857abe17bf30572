"""Problem details (RFC 9457): every answer that is not what was asked for."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from dedup.errors import (
    BankBusyError,
    BankConflictError,
    BankDamagedError,
    BankError,
    BankFullError,
    BankKeyReusedError,
    BankMissingError,
    BankVersionError,
    ConfigError,
    DedupError,
    SourceError,
)

MEDIA_TYPE: Final = "application/problem+json"

KINDS: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request is not valid"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "The key may not do this"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This cannot be done here"),
    "too-slow": (408, "The body came too slowly"),
    "conflict": (409, "This contradicts what is there"),
    "changed": (412, "It changed since you looked at it"),
    "too-large": (413, "The body is too large"),
    "unsupported-type": (415, "Bodies of this type are not read"),
    "wrong-host": (421, "This service does not answer under that name"),
    "invalid": (422, "The request cannot be carried out as it is"),
    "unreadable": (422, "The picture cannot be read"),
    "key-reused": (422, "The idempotency key was used for something else"),
    "slow-down": (429, "This key asks too often"),
    "internal": (500, "A mistake of the service"),
    "busy": (503, "The service has too much to do"),
    "damaged": (503, "The bank cannot be read"),
    "no-room": (507, "The bank cannot be written"),
}
"""Every kind of problem: its status and its title. The type is `urn:dedup:problem:KIND`."""

_OF_ERRORS: Final[tuple[tuple[type[DedupError], str], ...]] = (
    (BankKeyReusedError, "key-reused"),
    (BankVersionError, "changed"),
    (BankConflictError, "conflict"),
    (BankMissingError, "not-found"),
    (BankBusyError, "busy"),
    (BankFullError, "no-room"),
    (BankDamagedError, "damaged"),
    (BankError, "conflict"),
    (SourceError, "unreadable"),
    (ConfigError, "invalid"),
)
"""What an error of the bank is to a client; the first that fits."""


class Problem(Exception):  # noqa: N818  # RFC 9457's word
    """An answer that ends a request."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members  # further members of the document
        super().__init__(f"{kind}: {detail}")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def document(self) -> dict[str, Any]:
        """The problem document."""
        status, title = KINDS[self.kind]
        basic = {"type": f"urn:dedup:problem:{self.kind}", "title": title, "status": status}
        return {**basic, "detail": self.detail, **self.members}

    def response(self) -> Response:
        """As it is sent."""
        headers = dict(self.headers)
        if self.kind == "busy":
            headers.setdefault("Retry-After", "1")
        return Response(json.dumps(self.document()), self.status, headers, media_type=MEDIA_TYPE)


def of_error(error: DedupError) -> Problem:
    """What an error of dedup's is to a client."""
    kind = next((kind for of, kind in _OF_ERRORS if isinstance(error, of)), "internal")
    return Problem(kind, str(error))


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem of a status that the framework answers with."""
    kind = next((kind for kind, (of, _) in KINDS.items() if of == status), "bad-request")
    return Problem(kind, detail or HTTPStatus(status).phrase, headers=headers)
