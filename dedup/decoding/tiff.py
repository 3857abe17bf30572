"""What the first directory of a TIFF says: whether it is broken, or of a kind that is not decoded
here.
"""

import struct
from dataclasses import dataclass
from typing import Final

_ORDERS: Final = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43
_FORMATS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Field types of whole numbers, and how `struct` reads them (TIFF 6.0, section 2; BigTIFF)."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_STARTS: Final = (273, 324)  # of strips, of tiles
_LENGTHS: Final = (279, 325)

_MOST_VALUES: Final = 1 << 20
"""More strips or tiles than any real file has: a larger count is taken for damage."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What decides how the pixels are stored."""

    width: int
    height: int
    n_samples: int  # per pixel
    bits: tuple[int, ...]  # of each sample
    compression: int  # as in the tag; 1: none
    stop: int  # the first byte behind all strips or tiles

    def __str__(self) -> str:
        if self.n_samples > 4:
            return f"{self.n_samples} samples per pixel are not decoded here"

        depths = " and ".join(str(bits) for bits in sorted(set(self.bits)))

        return (
            f"{self.n_samples} sample{'s' if self.n_samples > 1 else ''} of {depths} bits per pixel"
            f" in compression {self.compression} are not decoded here"
        )


def directory(data: bytes) -> Directory | None:
    """The first directory, or None where there is none that makes sense."""
    try:
        tags = _tags(data)
    except (struct.error, KeyError, OverflowError):
        return None

    width, height = (tags.get(tag, (0,))[0] for tag in (_WIDTH, _HEIGHT))
    starts, lengths = (
        next((tags[tag] for tag in of if tag in tags), ()) for of in (_STARTS, _LENGTHS)
    )
    if not width or not height or not starts or len(starts) != len(lengths):
        return None

    n_samples = tags.get(_SAMPLES, (1,))[0]
    stop = max(start + length for start, length in zip(starts, lengths, strict=True))

    return Directory(
        width, height, n_samples, tags.get(_BITS, (1,)), tags.get(_COMPRESSION, (1,))[0], stop
    )


def _tags(data: bytes) -> dict[int, tuple[int, ...]]:
    """The tags of the first directory that hold whole numbers."""
    order = _ORDERS[data[:2]]
    (version,) = struct.unpack_from(order + "H", data, 2)
    is_big = {_CLASSIC: False, _BIG: True}[version]
    # A count, an entry and the room for its values: eight bytes wide in a BigTIFF, where a TIFF has
    # four.
    count, entry, wide = (
        (order + "Q", order + "HHQ", 8) if is_big else (order + "H", order + "HHI", 4)
    )
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (n_entries,) = struct.unpack_from(count, data, at)
    at += struct.calcsize(count)

    tags = {}
    for place in range(at, at + n_entries * (4 + 2 * wide), 4 + 2 * wide):
        tag, kind, n_values = struct.unpack_from(entry, data, place)
        if kind not in _FORMATS or n_values > _MOST_VALUES:
            continue
        values = f"{order}{n_values}{_FORMATS[kind]}"
        start = place + 4 + wide
        if struct.calcsize(values) > wide:
            (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, start)
        tags[tag] = struct.unpack_from(values, data, start)

    return {tag: values for tag, values in tags.items() if values}
