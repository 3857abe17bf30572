"""The body of a request: counted and timed while it streams, and the picture in it."""

import asyncio
from email.parser import BytesHeaderParser
from email.policy import HTTP
from typing import Final

from starlette.requests import ClientDisconnect, Request

from dedup.service.places import Buffer
from dedup.service.problems import Problem
from dedup.service.settings import LimitSettings

GRACE_SECONDS: Final = 5.0
"""Time without a byte that ends a body, and after which its rate counts."""

MULTIPART: Final = "multipart/form-data"
_MULTIPART_BYTES: Final = 10_000  # of boundaries and headers beside the picture
_MAX_PARTS: Final = 4  # one of them is the picture


def media_type(request: Request) -> str:
    """The type of the body, without its parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_length(request: Request, limits: LimitSettings) -> None:
    """Raises `Problem` for a body that is too large by what its head says of it."""
    text = request.headers.get("content-length")
    if text is None:
        return

    if not (text.isascii() and text.isdigit()):
        detail = "Content-Length is not a number."
        raise Problem("bad-request", detail)

    _refuse_above(int(text) if len(text) < 20 else 10**20, limits)


async def read(request: Request, limits: LimitSettings, buffer: Buffer) -> bytes:
    """The whole body. Raises `Problem` for one that is too large or comes too slowly."""
    refuse_length(request, limits)
    clock = asyncio.get_running_loop().time
    begin = clock()
    body = bytearray()
    more = True

    while more:
        left = begin + limits.body_seconds - clock()
        try:
            async with asyncio.timeout(max(0.0, min(GRACE_SECONDS, left))):
                message = await request.receive()
        except TimeoutError:
            raise _too_slow(limits) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        buffer.add(len(chunk))
        body += chunk
        _refuse_above(len(body), limits)
        seconds = clock() - begin
        slow = len(body) < seconds * limits.least_bytes_per_second
        if more and slow and seconds > GRACE_SECONDS:
            raise _too_slow(limits)

    return bytes(body)


def picture_in(request: Request, body: bytes) -> bytes:
    """The file in a body: the body itself, or the one file of a form.

    Raises `Problem` for other types, and for a body without anything in it.
    """
    kind = media_type(request)
    if kind == MULTIPART:
        return _file_of_form(body, _boundary(request))

    if not (kind.startswith("image/") or kind in {"application/octet-stream", ""}):
        detail = (
            f"A picture is sent as image/…, application/octet-stream or {MULTIPART}, not as"
            f" {kind!r}."
        )
        raise Problem("unsupported-type", detail)

    if not body:
        raise Problem("invalid", "The body is empty: send the picture's file in it.")

    return body


def _boundary(request: Request) -> bytes:
    head = b"Content-Type: " + request.headers["content-type"].encode("latin-1") + b"\r\n\r\n"
    boundary = BytesHeaderParser(policy=HTTP).parsebytes(head).get_boundary()
    if not boundary or len(boundary) > 70:
        raise Problem("bad-request", f"{MULTIPART} needs a boundary of at most 70 characters.")

    return boundary.encode("latin-1", "replace")


def _file_of_form(body: bytes, boundary: bytes) -> bytes:
    """The content of the one part that is a file. Splits once: a part more is not looked at."""
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary, _MAX_PARTS + 2)
    if len(parts) < 3 or not parts[-1].startswith(b"--"):
        detail = f"The form is not whole, or has more than {_MAX_PARTS} parts. Send one file."
        raise Problem("invalid", detail)

    files = [content for part in parts[1:-1] if (content := _content(part)) is not None]
    if len(files) != 1:
        detail = f"The form has {len(files)} files, not one. Everything else goes into the address."
        raise Problem("invalid", detail)

    if not files[0]:
        raise Problem("invalid", "The form's file is empty.")

    return files[0]


def _content(part: bytes) -> bytes | None:
    """What a part holds if it is a file; None for a field."""
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank or len(head) > _MULTIPART_BYTES:
        raise Problem("invalid", "A part of the form has no headers, or too long ones.")

    parsed = BytesHeaderParser(policy=HTTP).parsebytes(head.lstrip(b"\r\n") + b"\r\n\r\n")

    return None if parsed.get_filename() is None else content


def _refuse_above(n: int, limits: LimitSettings) -> None:
    if n > limits.body_bytes:
        detail = f"A body may have {limits.body_bytes:,} bytes (limits.body_bytes)."
        raise Problem("too-large", detail)


def _too_slow(limits: LimitSettings) -> Problem:
    return Problem(
        "too-slow",
        f"A body must come within {limits.body_seconds:g} s, at"
        f" {limits.least_bytes_per_second:,} bytes a second or more.",
    )
