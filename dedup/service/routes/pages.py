"""Two pages for people: pending submissions to be judged, and one to drop a picture on.

They hold no data: what they show they ask the API for, with the key that a person types in.
"""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_FILES: Final = ("drop.html", "drop.js", "page.css", "review.html", "review.js", "shared.js")


@router.get("/review")
async def review() -> Response:
    """Pending submissions beside their matches."""
    return _page("review.html")


@router.get("/drop")
async def drop() -> Response:
    """Drop a picture, see its verdict."""
    return _page("drop.html")


@router.get("/pages/{name}")
async def part(name: str) -> Response:
    """What the pages are made of."""
    return _page(name) if name in _FILES else Response(status_code=404)


def _page(name: str) -> Response:
    text = (files("dedup.service") / "pages" / name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    return Response(text, media_type=kind, headers=headers)
