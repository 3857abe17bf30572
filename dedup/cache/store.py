"""What the whole cache takes, and how it is made smaller."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dedup import files
from dedup.cache.room import ABOUT, ROWS, STAMPS, is_room
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
    return Usage(
        cache,
        len({path.parent for _, _, path in files}),
        len(files),
        sum(size for _, size, _ in files),
    )


def prune(cache: Path, *, max_bytes: int | None = None, max_days: float | None = None) -> int:
    """Delete the segments that were not used for so many days, and the longest unused until the
    rest fits.

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
            _close(room)

    return freed


def clear(cache: Path) -> int:
    """Delete what is kept in every room; returns the bytes that are free now. Anything else in the
    folder stays.
    """
    freed = 0
    for room in _rooms(cache):
        for path in sorted([*room.glob("*.arrow"), *room.glob(".*.partial")]):
            freed += removed(path)
        _close(room)

    return freed


@dataclass(frozen=True, slots=True)
class _About:
    """The owner of the file that says what a room is."""

    room: Path

    def owns(self, path: Path) -> bool:
        """Whether it is that file, and the room is one of ours."""
        return path == self.room / ABOUT and is_room(self.room)


def _close(room: Path) -> None:
    """Delete a room in which no segment is left; with other files in it, it stays as it is."""
    if {entry.name for entry in room.iterdir()} != {ABOUT}:
        return

    try:
        files.remove(room / ABOUT, _About(room))
    except OSError:  # it is gone, or on a disk that cannot be written
        return

    files.remove_if_empty(room)


def _rooms(cache: Path) -> list[Path]:
    """The rooms in the folder of a cache: what else is in it is none of our business."""
    return sorted(about.parent for about in cache.glob(f"*/{ABOUT}") if is_room(about.parent))


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
