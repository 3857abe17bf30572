"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over id, time and body."""

import hmac
from base64 import b64encode
from collections.abc import Sequence


def headers(event: str, at: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The three headers of a delivery; one signature for each key, the new one first.

    `at`: seconds since 1970, of this attempt. The id stays the same over all attempts.

    >>> key = b"0" * 24
    >>> headers("msg_1", 1, b"{}", [key])["webhook-signature"]
    'v1,4gaLWH/Mh7tIxkICy4nSG0SOe8aKjhXy2St5RB6ztHU='
    """
    signed = f"{event}.{at}.".encode() + body
    signatures = [b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]

    return {
        "webhook-id": event,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
