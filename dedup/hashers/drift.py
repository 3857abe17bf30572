"""How far codes made here are from those that others made of the same pictures.

Decoders differ between versions and platforms by a bit or two. A bank carries the codes of the
canary pictures where it was made, so that whoever reads it can measure how far his own decoders are
off.
"""

import logging
from base64 import b85decode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dedup.errors import BankError
from dedup.hashers.setup import Setup
from dedup.tables.entries import BankInfo, BankSpec

logger = logging.getLogger(__name__)

MAX_DRIFT: Final = 3
"""Bits of 64 by which codes of one picture may differ between two sets of decoders; in proportion
for wider codes. Measured between the lowest and the newest Pillow and simplejpeg: docs/banks.md."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far codes made here are from those of a bank's maker."""

    bits: int  # the largest distance between two codes of one canary picture
    pictures: int  # codes of canary pictures that were compared


def setup_of(spec: BankSpec) -> Setup:
    """What a worker must know to measure for a bank."""
    return Setup(spec.algorithms, spec.bits, spec.mode, spec.background, spec.max_pixels)


@lru_cache
def canary_codes_of(spec: BankSpec) -> dict[str, list[bytes]]:
    """The codes of the canary pictures here, by algorithm; empty for one that is not decoded
    here.
    """
    from dedup.hashers.canary_pictures import PICTURES
    from dedup.hashers.measure import measure

    columns = measure([b85decode(text) for text in PICTURES.values()], setup_of(spec))

    return {name: [code or b"" for code in columns[name].to_pylist()] for name in spec.algorithms}


def drift(info: BankInfo) -> Drift:
    """Measure it on the canary pictures that both sides decode."""
    here, most, compared = canary_codes_of(info.spec), 0, 0
    for name, theirs in info.canary_codes.items():
        for mine, other in zip(here[name], theirs, strict=False):
            if mine and other:
                most = max(most, (int.from_bytes(mine) ^ int.from_bytes(other)).bit_count())
                compared += 1

    return Drift(most, compared)


def widened_by(info: BankInfo, where: str) -> int:
    """Bits by which the searched distance must grow for this bank; said in a warning where it does.

    Raises `BankError` where the decoders are too far apart.
    """
    found = drift(info)
    most = MAX_DRIFT * info.spec.bits // 64
    if found.bits > most:
        message = (
            f"{where} was made by {libraries_of(info)}; codes of the same canary pictures made here"
            f" differ by up to {found.bits} bits, and at most {most} can be made up for. Use"
            " versions that are nearer."
        )
        raise BankError(message)

    if found.bits:
        logger.warning(
            "%s was made by other decoders (%s): codes of the same pictures differ by up to %d bits"
            " here, so the search goes %d bits further.",
            where,
            libraries_of(info),
            found.bits,
            found.bits,
        )

    return found.bits


def libraries_of(info: BankInfo) -> str:
    """What made a bank, for people."""
    names = ("dedup-images", "Pillow", "simplejpeg", "libjpeg")
    return ", ".join(f"{name} {info.versions[name]}" for name in names if name in info.versions)
