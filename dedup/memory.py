"""What this process may use: its memory and what can be released of it, and its cores."""

import ctypes
import os
import sys
from typing import Any, Final

_M_MMAP_THRESHOLD: Final = -3  # of glibc's mallopt
# bytes of an array: at a smaller bound the system is asked for memory all the time
_LARGE: Final = 1 << 20


def peak_memory() -> int | None:
    """Largest resident size of this process so far, in bytes; None where the system does not
    say.
    """
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def keep_no_large_arrays() -> None:
    """Have every large array of this process go back to the system when it is freed; for good, so
    for commands only.

    Allocators keep what is freed, in pieces between what is still in use, and Arrow's own keeps it
    for each of its threads: over a million samples a hundred megabytes and more. Which one Arrow
    uses it asks the environment when it is imported, and only there. Nothing beside hashing and
    searching, but a fifth more processor time for `decide`, which does without.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def give_back() -> None:
    """Give freed memory back to the system.

    Allocators keep it for the next array. After a stage over a million samples that is a hundred
    megabytes and more.
    """
    import pyarrow as pa  # not above: `dedup --help` has no use for it

    pa.default_memory_pool().release_unused()
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    """One of its functions, or None where another library allocates."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))

    return os.cpu_count() or 1
