"""Inner kernels, which only kernels can call, as tests call them."""

from collections.abc import Callable
from typing import Any

from numba import njit


def callable_kernel(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the kernel."""

    def call(*arguments: Any) -> Any:
        return kernel(*arguments)

    compiled: Callable[..., Any] = njit(call)
    return compiled
