"""The cache: what was measured on a file is kept by the digest of its content, outside the run
folder.

A folder holds one room for each combination of settings and decoders, so that codes of different
making never meet. In a room are two kinds of segments: `rows`, by digest, and `stamps`, which say
the digest that a file had.
"""

from dedup.cache.places import default_folder
from dedup.cache.room import Environment, Room, known_rows
from dedup.cache.stamps import file_stamp, stamp
from dedup.cache.store import Usage, clear, prune, usage

__all__ = [
    "Environment",
    "Room",
    "Usage",
    "clear",
    "default_folder",
    "file_stamp",
    "known_rows",
    "prune",
    "stamp",
    "usage",
]
