"""Memory of this process: how much there was at the peak, and what can be given back."""

import ctypes
import sys

import pyarrow as pa


def peak_memory() -> int | None:
    """Largest resident size of this process so far, in bytes; None where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def give_back() -> None:
    """Give freed memory back to the system.

    Allocators keep it for the next array. After a stage over a million samples that is a hundred megabytes and more.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)
