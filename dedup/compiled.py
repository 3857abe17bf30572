"""How compiled loops are made: without the interpreter's lock, kept between processes where a folder allows it.

numba keeps what it compiled in `__pycache__` beside the file that holds the kernel or, where that cannot be written, in
its folder below the user's cache folder (or NUMBA_CACHE_DIR). Where neither can be written, kernels are compiled again
in every process, which takes a few seconds.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numba.np.linalg
from numba import njit


def _load_numba_alone() -> None:
    """Load the part of numba that asks for SciPy's linear algebra, without it.

    numba imports a quarter of a second of SciPy to note whether matrices could be multiplied, which no kernel here
    does. A kernel that does asks again, so others notice nothing.
    """
    asked = numba.np.linalg.ensure_blas
    numba.np.linalg.ensure_blas = lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        numba.np.linalg.ensure_blas = asked


if hasattr(numba.np.linalg, "ensure_blas"):
    _load_numba_alone()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel."""
    return _kernel(function)


def compiled_exact(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel whose sums are taken in any order: only for whole numbers that their type holds."""
    return _kernel(function, fastmath={"contract", "reassoc", "nsz"})


def compiled_rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a kernel whose sums are taken in any order, and divisions as products: the caller rounds."""
    return _kernel(function, fastmath={"contract", "reassoc", "nsz", "arcp", "nnan", "ninf"})


def _kernel(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy", **options)(function)
    except RuntimeError:  # numba found no folder that it may write to
        kernel = njit(nogil=True, error_model="numpy", **options)(function)
    return kernel
