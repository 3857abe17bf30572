"""What this process may use: its memory and what can be released of it, and its cores."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

_TOTAL: ContextVar[int | None] = ContextVar("memory_total", default=None)
"""Bytes that this process may have while it searches; None: what the machine gives it."""

NOT_ENOUGH: Final = "not enough memory"
"""How the reason begins where work on a row was given up for it."""

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


def own_memory() -> int:
    """Bytes that this process holds now, mapped files left out; its peak where the system does not
    say.
    """
    text = _text("/proc/self/status")
    for line in text.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

    return peak_memory() or 0


def available_memory() -> int:
    """Bytes that this process can still get without swapping; no bound where nobody says.

    The least of what the machine has, what its control group may have, and what its address space
    may be (`ulimit -v`).
    """
    bounds = [sys.maxsize, _of_machine(), _of_group(), _of_address_space()]
    return max(0, min(bound for bound in bounds if bound is not None))


def _of_machine() -> int | None:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024

    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    return None


def _of_group() -> int | None:
    """Version 2 of Linux's control groups, as containers see their own."""
    most, now = (_text(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    return int(most) - int(now) if most.isdigit() and now.isdigit() else None


def _of_address_space() -> int | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text("/proc/self/statm").split()
    if soft == resource.RLIM_INFINITY or not pages:
        return None

    return soft - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: str) -> str:
    """The content of one of the system's files, empty where there is none."""
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


@contextmanager
def within_memory(n_bytes: int | None) -> Iterator[None]:
    """Searches inside keep the process below so many bytes, in tiles where one join would not.

    It changes how they are done, and nothing of what they find.
    """
    before = _TOTAL.set(n_bytes)
    try:
        yield
    finally:
        _TOTAL.reset(before)


def allowed_memory() -> int:
    """Bytes that a search may take now, beside what the process has already."""
    total = _TOTAL.get()
    free = available_memory()
    return free if total is None else min(free, max(0, total - own_memory()))


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))

    return os.cpu_count() or 1
