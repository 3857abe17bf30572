"""Canary pictures: what is measured on them tells whether two environments decode and measure
alike.

Hashes move between versions of Pillow, libjpeg and libwebp, and between platforms. The files are
constants: an encoder that differs between environments must not hide a decoder that does.
"""

from base64 import b85decode
from hashlib import sha256

from dedup.hashers.canary_pictures import PICTURES
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup


def canary(setup: Setup) -> str:
    """Digest, as hex digits, of all that is measured on the canary pictures with these settings."""
    columns = measure([b85decode(text) for text in PICTURES.values()], setup)
    sink = sha256()
    for name, column in columns.items():
        sink.update(f"{name} {column.to_pylist()!r}\n".encode())

    return sink.hexdigest()
