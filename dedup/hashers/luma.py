"""Stored bytes to the luma on which everything is measured in mode `fast`.

A plain JPEG is decoded to luma only, at a fraction of its size; anything else is decoded in full,
and box-averaged.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.decoding import jpeg, png
from dedup.decoding.orientation import TURN_OF_EXIF, TURNS
from dedup.decoding.pictures import (
    Unreadable,
    file_digest,
    open_picture,
    orientation_of,
    pixel_digest,
)
from dedup.decoding.repairs import repaired
from dedup.hashers.compression import compression, of_levels, of_steps
from dedup.hashers.resampling import Plane, whole
from dedup.hashers.setup import Setup


@dataclass(frozen=True, slots=True)
class Luma:
    """A picture's grey levels, and what its file says about it."""

    plane: Plane
    width: int  # pixels of the picture, upright
    height: int
    format: str
    compression: float | None
    pixel_digest: bytes
    from_stream: bool  # the digest is that of a JPEG's coded picture, not of its pixels
    n_frames: int = 1  # frames or pages; what is measured is the first
    remark: str | None = None  # what was wrong with the file, beside its picture


def open_luma(data: bytes, setup: Setup, own: bytes) -> Luma | Unreadable:
    """The luma, or why there is none; `own` is the file's digest.

    What is read here without Pillow is the picture that Pillow makes of the file; a status is
    Pillow's word, in either mode. docs/hashing.md lists the exceptions.
    """
    plain = _of_plain_jpeg(data, setup, own)
    if plain is not None:
        return plain

    small = png.pixels(data, setup.max_pixels)
    if small is not None:
        return _of_png(small)

    picture = open_picture(data, max_pixels=setup.max_pixels, background=setup.background)
    if isinstance(picture, Unreadable):
        return picture

    return Luma(
        plane=luma_of(picture.image, setup.bits),
        width=picture.width,
        height=picture.height,
        format=picture.format,
        compression=compression(picture),
        pixel_digest=picture.pixel_digest,
        from_stream=False,
        n_frames=picture.n_frames,
        remark=picture.remark,
    )


def _of_plain_jpeg(data: bytes, setup: Setup, own: bytes) -> Luma | None:
    """The luma of a plain JPEG; of one that lacks its end marker and nothing else, as if it had
    it.
    """
    found = jpeg.header(data)
    if found is None or not _fits(found, data, setup):
        return None

    orientation = orientation_of(data) if found.orientation is None else found.orientation
    if orientation is None:
        return None

    levels = jpeg.luma(data, min_side(setup.bits))
    if levels is not None:
        return _of_jpeg(
            data, found, levels, setup.bits, own, TURN_OF_EXIF.get(orientation, "identity")
        )

    for repair in repaired(data):
        luma = _of_plain_jpeg(repair.data, setup, file_digest(repair.data))
        return None if luma is None else replace(luma, remark=repair.remark)

    return None


def _fits(found: jpeg.Header, data: bytes, setup: Setup) -> bool:
    """Whether a JPEG is small enough, or will be at the scale at which it is decoded."""
    n_pixels = found.width * found.height
    is_scaled = min(found.width, found.height) >= jpeg.EIGHTH * min_side(setup.bits)

    return n_pixels <= setup.max_pixels or (
        is_scaled and n_pixels <= jpeg.most_pixels(data, setup.max_pixels)
    )


def min_side(bits: int) -> int:
    """Pixels that the shorter side of a luma keeps for codes of so many bits, if it has them: 128
    for 64.
    """
    return 16 * math.isqrt(bits)


def luma_of(image: Image.Image, bits: int) -> Plane:
    """Grey levels of a picture; each axis divided by the whole factor that leaves twice the side
    that codes need.
    """
    luma = image if image.mode == "L" else image.convert("L")
    keep = 2 * min_side(bits)
    across, down = max(luma.width // keep, 1), max(luma.height // keep, 1)
    small = luma if across == down == 1 else luma.reduce((across, down))

    return Plane(np.asarray(small), luma.height / down, luma.width / across)


def _of_jpeg(
    data: bytes, found: jpeg.Header, levels: NDArray[np.uint8], bits: int, own: bytes, turn: str
) -> Luma:
    width, height = found.width, found.height
    if TURNS[turn][0]:
        width, height = height, width

    return Luma(
        plane=_plane(levels, found, bits, turn),
        width=width,
        height=height,
        format="JPEG",
        compression=None if found.luma_steps is None else of_steps(found.luma_steps),
        pixel_digest=jpeg.stream_digest(data, found, turn, own),
        from_stream=True,
    )


def _of_png(small: png.Pixels) -> Luma:
    height, width = small.luma.shape
    digest = pixel_digest(small.values)

    return Luma(
        whole(small.luma), width, height, "PNG", of_levels(small.luma), digest, from_stream=False
    )


def _plane(levels: NDArray[np.uint8], found: jpeg.Header, bits: int, turn: str) -> Plane:
    """Scaled by n/8, a side is rounded up: its last pixel lies partly outside the picture."""
    eighths = 8
    while (-(-found.height * eighths // 8), -(-found.width * eighths // 8)) != levels.shape:
        eighths -= 1

    height, width = found.height * eighths / 8, found.width * eighths / 8
    if max(levels.shape) < 4 * min_side(bits):
        return Plane(levels, height, width, turn)

    plane = luma_of(Image.fromarray(levels), bits)

    return Plane(
        plane.levels,
        plane.height * height / levels.shape[0],
        plane.width * width / levels.shape[1],
        turn,
    )
