"""What the whole cache takes, and how it is made smaller."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dedup.cache.room import ABOUT, ROWS, STAMPS
from dedup.cache.segments import removed

_ABANDONED_SECONDS = 3600.0  # a file that is being written is younger


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds."""

    folder: Path
    rooms: int
    files: int
    n_bytes: int


def usage(cache: Path) -> Usage:
    """What the cache in a folder holds; zeros where there is none."""
    files = list(_files(cache))
    return Usage(cache, len({path.parent for _, _, path in files}), len(files), sum(size for _, size, _ in files))


def prune(cache: Path, *, max_bytes: int | None = None, max_days: float | None = None) -> int:
    """Delete the segments that were not used for so many days, and the longest unused until the rest fits.

    Returns the bytes that are free now. Runs that are reading them are not disturbed.
    """
    files = sorted(_files(cache))
    total = sum(size for _, size, _ in files)
    oldest = time.time() - 86_400 * max_days if max_days is not None else None
    freed = 0
    for used, size, path in files:
        too_old = oldest is not None and used < oldest
        if too_old or (max_bytes is not None and total > max_bytes):
            freed += removed(path)
            total -= size
    for room in _rooms(cache):
        for partial in room.glob(".*.partial"):
            if time.time() - partial.stat().st_mtime > _ABANDONED_SECONDS:
                freed += removed(partial)
        if not any(room.glob("*.arrow")) and not any(room.glob(".*.partial")):
            shutil.rmtree(room, ignore_errors=True)
    return freed


def clear(cache: Path) -> int:
    """Delete every room; returns the bytes that are free now. Anything else in the folder stays."""
    freed = sum(size for _, size, _ in _files(cache))
    for room in _rooms(cache):
        shutil.rmtree(room, ignore_errors=True)
    return freed


def _rooms(cache: Path) -> list[Path]:
    return sorted(about.parent for about in cache.glob(f"*/{ABOUT}"))


def _files(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of last use, bytes, path) of the segments."""
    for room in _rooms(cache):
        for kind in (ROWS, STAMPS):
            for path in room.glob(f"{kind}-*.arrow"):
                try:
                    status = path.stat()
                except OSError:
                    continue
                yield status.st_mtime, status.st_size, path
