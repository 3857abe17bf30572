"""The one instruction the search stands on, for use inside numba kernels."""

from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
def popcount(typing_context: Any, word: Any) -> Any:  # the signature numba calls
    """Number of set bits of a uint64, as LLVM's `ctpop`, which the vectoriser knows."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), codegen
