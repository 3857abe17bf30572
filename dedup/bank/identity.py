"""Whether codes made here may be written into a bank: its canary pictures must come out the
same.
"""

from functools import lru_cache

from dedup.errors import BankError
from dedup.hashers.canaries import canary
from dedup.hashers.drift import libraries_of, setup_of
from dedup.tables.entries import BankInfo, BankSpec


@lru_cache
def canary_of(spec: BankSpec) -> str:
    """Digest of all that is measured on the canary pictures here."""
    return canary(setup_of(spec))


def refuse_other_canary(info: BankInfo, where: str) -> None:
    """Raise `BankError` where a bank that is to be written was made with other decoders."""
    here = canary_of(info.spec)
    if here != info.canary:
        message = (
            f"{where} was made by {libraries_of(info)}, where the canary pictures come out as"
            f" {info.canary[:12]}; here they come out as {here[:12]}. Codes of both would be mixed."
            " Make it anew with 'dedup bank rebuild BANK --from SOURCE', or use the versions it"
            " was made with."
        )
        raise BankError(message)
