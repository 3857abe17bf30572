"""The names that the config knows, in tables that can be added to.

Whoever adds an algorithm, a form, a rule or an engine registers it where its function belongs
(docs/adding.md); that puts its name here, so that the config accepts it.
"""

from collections.abc import Sequence
from typing import Final

from dedup.errors import ConfigError

BITS: Final = (64, 256, 1024)

ALGORITHMS: Final[dict[str, tuple[int, ...]]] = {
    "ahash": BITS,
    "phash": BITS,
    "dhash": BITS,
    "whash": BITS,
    "pdq": (256,),
}
"""`hash.algorithms`: the widths that each has, in bits."""

SOURCES: Final[list[str]] = [
    "auto",
    "imagefolder",
    "manifest",
    "huggingface",
    "webdataset",
    "coco",
    "yolo",
    "voc",
    "bank",
]
"""`dataset.source`."""

WRITTEN: Final[list[str]] = [
    "same",
    "imagefolder",
    "manifest",
    "parquet",
    "huggingface",
    "webdataset",
    "none",
]
"""`output.splits`."""

DUPLICATES: Final[list[str]] = ["keep_best", "keep_first", "keep_by", "report_only"]
"""`policy.duplicates`."""


def refuse_taken(what: str, name: str, known: Sequence[str]) -> None:
    """Raise `ConfigError` for a name that something else has."""
    if name in known:
        message = f"{what} {name!r} is there already. Known: {', '.join(known)}. Use another name."
        raise ConfigError(message)


def width_problem(algorithm: str, bits: int) -> str | None:
    """What is wrong with a width for an algorithm, if anything.

    >>> width_problem("pdq", 64)
    'got 64; pdq has 256 bits only. Set hash.bits: 256'
    """
    widths = ALGORITHMS[algorithm]

    if bits in widths:
        return None
    if len(widths) == 1:
        return f"got {bits}; {algorithm} has {widths[0]} bits only. Set hash.bits: {widths[0]}"

    return f"got {bits}; {algorithm} has {', '.join(map(str, widths))} bits"
