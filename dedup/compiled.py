"""How compiled loops are made: without the interpreter's lock, kept between processes where a folder allows it.

numba keeps what it compiled in `__pycache__` beside the file that holds the kernel or, where that cannot be written, in
its folder below the user's cache folder (or NUMBA_CACHE_DIR). Where neither can be written, kernels are compiled again
in every process, which takes a few seconds.
"""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel."""
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder that it may write to
        kernel = njit(nogil=True)(function)
    return kernel
