"""What an OpenAPI document cannot say, for schemathesis: which bytes are pictures, and which limits
go together. Loaded by SCHEMATHESIS_HOOKS.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.bank.made import photos

PICTURES = list(photos(range(40, 44)).values())

for kind in ("image/jpeg", "image/png", "image/webp", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.sampled_from(PICTURES))
schemathesis.openapi.media_type("application/x-ndjson", st.sampled_from([b"{}", b"\n", b"{}\n1"]))


@schemathesis.serializer("application/x-ndjson")
def lines(ctx: Any, value: Any) -> Any:
    """A batch as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_query(ctx: Any, query: Any) -> Any:
    """`review` is not above `reject`: no schema says that of two numbers."""
    try:
        if float(query["review"]) > float(query["reject"]):
            return {**query, "review": query["reject"]}
    except (KeyError, TypeError, ValueError):
        pass
    return query


@schemathesis.hook
def map_body(ctx: Any, body: Any) -> Any:
    """The file of a form is a picture."""
    if isinstance(body, dict) and isinstance(body.get("picture"), str | bytes):
        return {**body, "picture": PICTURES[len(body["picture"]) % len(PICTURES)]}
    return body
