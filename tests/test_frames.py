"""Animations and documents: identical means all frames, the first ones alone make a near pair that
is marked.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dedup
from dedup.decoding.pictures import Picture, open_picture
from tests import pictures

FORMS: dict[str, dict[str, Any]] = {
    "GIF": {"disposal": 2},
    "WEBP": {"lossless": True},
    "PNG": {},
    "TIFF": {"compression": "tiff_deflate"},
}
SUFFIX = {"GIF": "gif", "WEBP": "webp", "PNG": "png", "TIFF": "tif"}


def animation(seeds: list[int], form: str, **options: Any) -> bytes:
    """A file with these photos as its frames."""
    first, *rest = (pictures.photo(seed, (96, 64)) for seed in seeds)
    sink = BytesIO()
    first.save(sink, form, save_all=True, append_images=rest, **{**FORMS[form], **options})
    return sink.getvalue()


def opened(data: bytes, max_pixels: int = 1 << 20) -> Picture:
    """The picture."""
    found = open_picture(data, max_pixels=max_pixels)
    assert isinstance(found, Picture)
    return found


@pytest.mark.parametrize("form", FORMS)
class TestDigest:
    """Of the pixels of all frames."""

    def test_another_frame(self, form: str) -> None:
        """The same first frame, another last one: the first frame is what is measured, the digests
        differ.
        """
        one, two = opened(animation([1, 2, 3], form)), opened(animation([1, 2, 4], form))

        assert one.image.tobytes() == two.image.tobytes()
        assert one.pixel_digest != two.pixel_digest
        assert 3 == one.n_frames == two.n_frames

    def test_fewer_frames(self, form: str) -> None:
        """A prefix is another picture; so is the first frame alone."""
        digests = {opened(animation([1, 2, 3][:n], form)).pixel_digest for n in (1, 2, 3)}

        assert 3 == len(digests)

    def test_the_same_frames(self, form: str) -> None:
        """Other metadata and another compression: identical."""
        changes: dict[str, dict[str, Any]] = {
            "GIF": {"comment": b"hello"},
            "WEBP": {"xmp": b"<x/>"},
            "PNG": {"compress_level": 1},
            "TIFF": {"compression": "tiff_lzw"},
        }
        one, two = animation([1, 2], form), animation([1, 2], form, **changes[form])

        assert one != two
        assert opened(one).pixel_digest == opened(two).pixel_digest

    def test_more_than_is_decoded(self, form: str) -> None:
        """Where the frames together are above the limit, only a copy of the file is identical."""
        limit = 3 * 96 * 64 - 1
        one, two = animation([1, 2, 3], form), animation([1, 2, 4], form)

        assert (
            opened(one, limit).pixel_digest
            == opened(one, limit).pixel_digest
            != opened(two, limit).pixel_digest
        )


def test_a_broken_last_frame() -> None:
    """The first frame is a picture all the same; identical to nothing but its own copy."""
    whole = animation([1, 2, 3], "GIF")
    cut = opened(whole[: len(whole) - 900])

    assert cut.image.tobytes() == opened(whole).image.tobytes()
    assert cut.pixel_digest != opened(whole).pixel_digest


def test_overviews_are_no_pages() -> None:
    """A TIFF with a smaller version of its picture, as cloud-optimised ones have it, is the same as
    one without.
    """
    large, sink = pictures.photo(5, (96, 64)), BytesIO()
    small = large.resize((48, 32))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    large.save(sink, "TIFF", save_all=True, append_images=[small])
    plain = opened(pictures.encoded(large, "TIFF"))

    assert plain.pixel_digest == opened(sink.getvalue()).pixel_digest


def test_pages_of_16_bits() -> None:
    """Pages are compared as they are stored, not as 8 bits."""

    def document(offset: int) -> bytes:
        pages = [
            Image.fromarray((np.arange(64).reshape(8, 8) + add).astype(np.uint16))
            for add in (0, offset)
        ]
        sink = BytesIO()
        pages[0].save(sink, "TIFF", save_all=True, append_images=pages[1:])
        return sink.getvalue()

    assert opened(document(300)).pixel_digest != opened(document(301)).pixel_digest


@pytest.mark.parametrize("mode", ["fast", "compat"])
@pytest.mark.parametrize("form", FORMS)
def test_a_run_marks_the_pair(tmp_path: Path, form: str, mode: str) -> None:
    """Two animations with one first frame are a near pair, marked; two copies are identical and not
    marked.
    """
    files = {"a": [1, 2], "b": [1, 3], "c": [1, 2], "still": [9]}
    for name, seeds in files.items():
        (tmp_path / f"{name}.{SUFFIX[form]}").write_bytes(animation(seeds, form))
    pairs = dedup.audit(str(tmp_path), workers=0, hash={"mode": mode}).pairs.to_pylist()
    found = {
        (row["id_a"][0], row["id_b"][0]): (row["kind"], row["first_frames_only"]) for row in pairs
    }

    assert {("a", "b"): ("near", True), ("a", "c"): ("bytes", False)} == found
