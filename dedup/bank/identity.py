"""Whether codes made here can be compared with those of a bank.

A bank keeps what its maker's decoders made of the canary pictures. A bank that is written must have
the same; a portable one may differ by a few bits, by which the searched distance is widened.
"""

import logging
from base64 import b85decode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dedup.bank.picture import setup_of
from dedup.errors import BankError
from dedup.hashers.canaries import PICTURES, canary
from dedup.hashers.measure import measure
from dedup.tables.entries import BankInfo, BankSpec

logger = logging.getLogger(__name__)

MAX_DRIFT: Final = 3
"""Bits of 64 by which codes of one picture may differ between two sets of decoders; in proportion for
wider codes. Measured between the lowest and the newest Pillow and simplejpeg: docs/banks.md."""


@lru_cache
def canary_of(spec: BankSpec) -> str:
    """Digest of all that is measured on the canary pictures here."""
    return canary(setup_of(spec))


@lru_cache
def canary_codes_of(spec: BankSpec) -> dict[str, list[bytes]]:
    """The codes of the canary pictures here, by algorithm; empty for one that is not decoded here."""
    columns = measure([b85decode(text) for text in PICTURES.values()], setup_of(spec))
    return {name: [code or b"" for code in columns[name].to_pylist()] for name in spec.algorithms}


@dataclass(frozen=True, slots=True)
class Drift:
    """How far codes made here are from those of a bank's maker."""

    bits: int  # the largest distance between two codes of one canary picture
    pictures: int  # canary pictures that were compared


def drift(info: BankInfo) -> Drift:
    """Measure it on the canary pictures that both sides decode."""
    here, most, compared = canary_codes_of(info.spec), 0, 0
    for name, theirs in info.canary_codes.items():
        for mine, other in zip(here[name], theirs, strict=False):
            if mine and other:
                most = max(most, (int.from_bytes(mine) ^ int.from_bytes(other)).bit_count())
                compared += 1
    return Drift(most, compared)


def refuse_other_canary(info: BankInfo, where: str) -> None:
    """Raise `BankError` where a bank that is to be written was made with other decoders."""
    here = canary_of(info.spec)
    if here != info.canary:
        message = (
            f"{where} was made by {_libraries(info)}, where the canary pictures come out as "
            f"{info.canary[:12]}; here they come out as {here[:12]}. Codes of both would be mixed. "
            f"Make it anew with 'dedup bank rebuild BANK --from SOURCE', or use the versions it was made with."
        )
        raise BankError(message)


def widened_by(info: BankInfo, where: str) -> int:
    """Bits by which the searched distance must grow for this bank; said in a warning where it does.

    Raises `BankError` where the decoders are too far apart.
    """
    found = drift(info)
    most = MAX_DRIFT * info.spec.bits // 64
    if found.bits > most:
        message = (
            f"{where} was made by {_libraries(info)}; codes of the same canary pictures made here differ "
            f"by up to {found.bits} bits, and at most {most} can be made up for. Use versions that are nearer."
        )
        raise BankError(message)
    if found.bits:
        logger.warning(
            "%s was made by other decoders (%s): codes of the same pictures differ by up to %d bits "
            "here, so the search goes %d bits further.",
            where,
            _libraries(info),
            found.bits,
            found.bits,
        )
    return found.bits


def _libraries(info: BankInfo) -> str:
    names = ("dedup-images", "Pillow", "simplejpeg", "libjpeg")
    return ", ".join(f"{name} {info.versions[name]}" for name in names if name in info.versions)
