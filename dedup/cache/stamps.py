"""Stamps: by what a file is taken for the same as before without reading it."""

import os
import stat
import time
from hashlib import blake2b
from typing import Final

STAMP_BYTES: Final = 16

_SETTLED_NS: Final = 2_000_000_000
"""A file that was changed less than two seconds ago can change again without a new time: some file
systems count in steps of two seconds."""


def file_stamp(path: bytes) -> tuple[bytes, int]:
    """What stands for a regular file's place, size, times of change and inode, and its bytes; empty
    where it is none.

    Empty as well for a file that was just changed. The time of the last change of the inode, which
    no program can set, counts for files with one name only: links to a file that a run makes or
    deletes change it too.
    """
    try:
        status = os.stat(path)  # the name is bytes
    except (OSError, ValueError):
        return b"", 0

    if not stat.S_ISREG(status.st_mode):
        return b"", 0
    if time.time_ns() - status.st_mtime_ns < _SETTLED_NS:  # also where the clock was set back since
        return b"", status.st_size

    of_inode = status.st_ctime_ns if status.st_nlink == 1 else 0
    text = b"%d %d %d %d " % (status.st_size, status.st_mtime_ns, of_inode, status.st_ino)

    return text + _absolute(path), status.st_size


def _absolute(path: bytes) -> bytes:
    if (
        path[:1] == b"/" and b"/." not in path and b"//" not in path
    ):  # as nearly all are; asking takes longer than stat
        return path
    return os.path.abspath(path)


def stamp(file: bytes, place: bytes = b"") -> bytes:
    """The stamp of a file, or of a place inside it."""
    return blake2b(place + b"\0" + file if place else file, digest_size=STAMP_BYTES).digest()
