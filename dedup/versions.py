"""The versions that a result depends on: they travel with every table."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from PIL import features

__all__ = ["DEDUP_VERSION", "VERSIONS"]


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


DEDUP_VERSION: Final = _installed("dedup-images")

VERSIONS: Final[dict[str, str]] = {
    "dedup-images": DEDUP_VERSION,
    "numpy": _installed("numpy"),
    "Pillow": _installed("Pillow"),
    "ImageHash": _installed("ImageHash"),
    "pyarrow": _installed("pyarrow"),
    "simplejpeg": _installed("simplejpeg"),
    "blake3": _installed("blake3"),
    "pillow-heif": _installed("pillow-heif"),
    "libjpeg": str(features.version_codec("jpg")),
    "libwebp": str(features.version_module("webp")),
    "zlib": str(features.version_codec("zlib")),
}
