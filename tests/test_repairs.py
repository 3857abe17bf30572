"""Files that decoders refuse because of what says nothing of the picture, and files of rare
kinds.
"""

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dedup.decoding.pictures import Picture, Unreadable, file_digest, open_picture
from dedup.hashers.luma import open_luma
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from tests import pictures
from tests.test_statuses import tiff

SETUP = Setup(("dhash", "phash"), 64, "fast", "#ffffff", 1_000_000)


def opened(data: bytes, max_pixels: int = 1_000_000) -> Picture | Unreadable:
    """What becomes of the file in mode compat."""
    return open_picture(data, max_pixels=max_pixels)


def chunk(name: bytes, content: bytes, wrong: int = 0) -> bytes:
    """A PNG chunk; with `wrong` its checksum is."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content) ^ wrong)
    )


def with_chunk(png: bytes, extra: bytes, *, at_end: bool = False) -> bytes:
    """A chunk behind the header, or before the end."""
    place = len(png) - 12 if at_end else 33
    return png[:place] + extra + png[place:]


ODD_CHUNKS = {
    "long text": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"a" * 2_000_000)),
    "long international text": chunk(
        b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(b"b" * 2_000_000)
    ),
    "large profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(range(256)) * 6000)),
    "unknown compression of a profile": chunk(b"iCCP", b"x\0\x07abc"),
    "unknown compression of text": chunk(b"zTXt", b"a\0\x09abc"),
    "wrong checksum of text": chunk(b"tEXt", b"a\0b", 1),
    "wrong checksum of gamma": chunk(b"gAMA", struct.pack(">I", 45455), 1),
    "wrong checksum of an unknown chunk": chunk(b"prVt", b"secret", 1),
    "wrong checksum of a broken profile": chunk(b"iCCP", b"x\0\0junk", 1),
    "much text": b"".join(
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) for _ in range(70)
    ),
}


class TestPng:
    """Ancillary chunks say nothing of the pixels, but for transparency."""

    @pytest.mark.parametrize("at_end", [False, True])
    @pytest.mark.parametrize("what", ODD_CHUNKS)
    def test_metadata_do_not_matter(self, what: str, at_end: bool) -> None:
        """The picture and its digest are those of the file without the chunk, in both modes,
        whatever its size.
        """
        for size in ((160, 120), (400, 300)):
            plain = pictures.encoded(pictures.photo(1, size))
            odd = with_chunk(plain, ODD_CHUNKS[what], at_end=at_end)
            of_plain, of_odd = opened(plain), opened(odd)
            luma, same = (open_luma(data, SETUP, file_digest(data)) for data in (odd, plain))
            assert isinstance(of_odd, Picture)
            assert isinstance(of_plain, Picture)
            assert not isinstance(luma, Unreadable)
            assert not isinstance(same, Unreadable)

            assert of_plain.image.tobytes() == of_odd.image.tobytes()
            assert (
                of_plain.pixel_digest
                == of_odd.pixel_digest
                == luma.pixel_digest
                == same.pixel_digest
            )

    def test_what_was_left_out_is_told(self) -> None:
        """The remark names the chunks."""
        odd = with_chunk(pictures.encoded(pictures.photo(1)), ODD_CHUNKS["wrong checksum of text"])
        found = opened(odd)

        assert isinstance(found, Picture)
        assert found.remark is not None
        assert "tEXt" in found.remark

    def test_an_orientation_is_kept(self) -> None:
        """Beside a broken chunk of text the orientation still counts: it is left out only if it is
        what is broken.
        """
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = pictures.encoded(pictures.photo(2), exif=exif)
        found = opened(with_chunk(turned, ODD_CHUNKS["long text"]))

        assert isinstance(found, Picture)
        assert (120, 160) == (found.width, found.height)

    @pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"tRNS"])
    def test_a_wrong_checksum_of_pixels_is_damage(self, name: bytes) -> None:
        """What decides the pixels is not forgiven."""
        palette = pictures.photo(3).convert("P")
        png = pictures.encoded(palette, transparency=0)
        at = png.index(name)
        (length,) = struct.unpack(">I", png[at - 4 : at])
        broken = png[: at + 4 + length] + bytes(4) + png[at + 8 + length :]
        found = opened(with_chunk(broken, ODD_CHUNKS["long text"]))

        assert isinstance(found, Unreadable)
        assert found.status in {"undecodable", "truncated"}

    def test_a_cut_file_stays_one(self) -> None:
        """Pixels that are missing are not made up for by leaving metadata out."""
        png = with_chunk(pictures.encoded(pictures.photo(4)), ODD_CHUNKS["wrong checksum of text"])
        found = opened(png[: len(png) // 2])

        assert isinstance(found, Unreadable)

    def test_too_large_behind_broken_text(self) -> None:
        """What is too large is too large, however its text is."""
        png = with_chunk(pictures.encoded(pictures.photo(4)), ODD_CHUNKS["wrong checksum of text"])
        found = opened(png, max_pixels=1000)

        assert isinstance(found, Unreadable)
        assert found.status == "too_large"


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 4},
    "no subsampling": {"subsampling": 0},
    "high quality": {"quality": 98},
}


class TestJpegWithoutEnd:
    """A JPEG that lacks its end marker shows the whole picture; one that lacks more does not."""

    @pytest.mark.parametrize("cut", [1, 2])
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize("kind", JPEGS)
    def test_the_picture_is_whole(self, kind: str, mode: str, cut: int) -> None:
        """Same pixels and same digest as with the marker, so that a leak is seen as one of
        identical pictures.
        """
        whole = pictures.encoded(pictures.photo(5).convert(mode), "JPEG", **JPEGS[kind])
        full, found = opened(whole), opened(whole[:-cut])
        lumas = [open_luma(data, SETUP, file_digest(data)) for data in (whole, whole[:-cut])]
        assert isinstance(full, Picture)
        assert isinstance(found, Picture)

        assert full.image.tobytes() == found.image.tobytes()
        assert full.pixel_digest == found.pixel_digest
        assert len({luma.pixel_digest for luma in lumas if not isinstance(luma, Unreadable)}) == 1
        assert [None, "its end marker is missing"] == [
            getattr(luma, "remark", "") for luma in lumas
        ]

    @pytest.mark.parametrize("kind", JPEGS)
    def test_a_cut_picture_is_truncated(self, kind: str) -> None:
        """Wherever pixels are missing, down to the last few bytes."""
        whole = pictures.encoded(pictures.photo(6), "JPEG", **JPEGS[kind])
        for cut in (12, 40, 300, len(whole) // 2):
            found = open_luma(whole[:-cut], SETUP, bytes(32))

            assert isinstance(found, Unreadable), cut
            assert "truncated" == found.status, cut

    def test_missing_scans(self) -> None:
        """A progressive file that was cut between two scans is a picture to the decoder, and not
        the whole one.
        """
        whole = pictures.encoded(pictures.photo(7), "JPEG", progressive=True)
        scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
        tables = [
            at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xc4" and at < scans[-1]
        ]
        for stop in (scans[3], tables[-1]):
            found = opened(whole[:stop])

            assert isinstance(found, Unreadable)
            assert "truncated" == found.status


class TestLargeJpeg:
    """A JPEG above the limit is decoded at an eighth of its size."""

    @pytest.mark.parametrize("mode", ["fast", "compat"])
    def test_it_is_measured(self, mode: str) -> None:
        """Sizes are those of the file, the picture is an eighth; up to eight times the limit, and
        no further.
        """
        data = pictures.encoded(pictures.photo(8, (1603, 1207)), "JPEG")
        within, beyond = (
            measure([data], Setup(("dhash",), 64, mode, "#ffffff", max_pixels))
            for max_pixels in (300_000, 200_000)
        )
        sizes = [
            [columns[name][0].as_py() for name in ("status", "width", "height")]
            for columns in (within, beyond)
        ]
        picture = opened(data, 300_000)
        assert isinstance(picture, Picture)

        assert [["ok", 1603, 1207], ["too_large", 1603, 1207]] == sizes
        assert (201, 151) == picture.image.size

    def test_its_turn(self) -> None:
        """Width and height change places with the orientation."""
        exif = Image.Exif()
        exif[0x0112] = 6
        found = opened(pictures.encoded(pictures.photo(8, (800, 600)), "JPEG", exif=exif), 100_000)

        assert isinstance(found, Picture)
        assert (600, 800) == (found.width, found.height)
        assert (75, 100) == found.image.size

    def test_a_progressive_one_needs_memory(self) -> None:
        """It is decoded up to twice the limit only: its coefficients are in memory whole."""
        data = pictures.encoded(pictures.photo(8, (800, 600)), "JPEG", progressive=True)

        assert isinstance(opened(data, 250_000), Picture)
        assert isinstance(opened(data, 230_000), Unreadable)

    def test_not_the_digest_of_the_small_picture(self) -> None:
        """A picture of an eighth is no identical picture, though its pixels may be the same."""
        large = opened(pictures.encoded(Image.new("RGB", (800, 800), "red"), "JPEG"), 200_000)
        small = opened(pictures.encoded(Image.new("RGB", (100, 100), (254, 0, 0)), "PNG"))
        assert isinstance(large, Picture)
        assert isinstance(small, Picture)

        assert large.image.tobytes() == small.image.tobytes()
        assert large.pixel_digest != small.pixel_digest


class TestRareKinds:
    """Good files that no decoder here knows are `unsupported`, broken ones are not."""

    @pytest.mark.parametrize(
        ("data", "detail"),
        [
            (tiff(1), "13 samples per pixel are not decoded here"),
            (tiff(1, bands=7), "7 samples per pixel are not decoded here"),
            (b"\xff\x0a" + bytes(30), "JPEG XL is not decoded here"),
            (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL is not decoded here"),
            (b"\0\0\0\x18ftypheic" + bytes(30), "HEIC is not decoded here"),
            (bytes(128) + b"DICM" + bytes(30), "DICOM is not decoded here"),
            (b"<?xml version='1.0'?>\n<!-- made -->\n<svg></svg>", "SVG is not decoded here"),
            (b"\x76\x2f\x31\x01" + bytes(30), "OpenEXR is not decoded here"),
            (b"II\xbc\x01" + bytes(30), "JPEG XR is not decoded here"),
            (b"\x93NUMPY\x01\0" + bytes(30), "NumPy is not decoded here"),
        ],
    )
    def test_unsupported(self, data: bytes, detail: str) -> None:
        """The detail says what it is."""
        found = opened(data)

        assert isinstance(found, Unreadable)
        assert ("unsupported", detail) == (found.status, found.detail)

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_a_compression_that_is_unknown(self, order: str) -> None:
        """A TIFF whose compression nobody here knows is well-formed all the same."""
        sink = BytesIO()
        pictures.photo(1).convert("L").save(
            sink, "TIFF", big_endian=False
        ) if order == "little" else None
        data = bytearray(sink.getvalue() or _big_endian())
        byteorder = "<" if order == "little" else ">"
        at = data.index(struct.pack(byteorder + "HHI", 259, 3, 1)) + 8
        data[at : at + 2] = struct.pack(byteorder + "H", 34887)
        found = opened(bytes(data))

        assert isinstance(found, Unreadable)
        assert "unsupported" == found.status
        assert "34887" in found.detail

    def test_a_jpeg_of_twelve_bits(self) -> None:
        """A frame of 12 bits per sample is well-formed; one without a height is not."""
        data = bytearray(pictures.encoded(pictures.photo(1), "JPEG"))
        at = data.index(b"\xff\xc0")
        data[at + 4] = 12
        twelve = opened(bytes(data))
        data[at + 5 : at + 7] = bytes(2)
        flat = opened(bytes(data))
        assert isinstance(twelve, Unreadable)
        assert isinstance(flat, Unreadable)

        assert ("unsupported", "a JPEG with 12 bits per sample is not decoded here") == (
            twelve.status,
            twelve.detail,
        )
        assert "undecodable" == flat.status

    @pytest.mark.parametrize("cut", [9, 40, 150])
    def test_a_broken_directory(self, cut: int) -> None:
        """Where the directory itself is cut, nobody can say what it was."""
        found = opened(tiff(1)[:cut])

        assert isinstance(found, Unreadable)
        assert found.status in {"undecodable", "truncated"}

    def test_missing_strips(self) -> None:
        """Where the pixels are cut, it is truncated, of whatever kind."""
        found = opened(tiff(1)[:-100])

        assert isinstance(found, Unreadable)
        assert "truncated" == found.status

    def test_random_bytes(self) -> None:
        """Nothing is said of what is no image at all."""
        found = opened(np.random.default_rng(0).bytes(4000))

        assert isinstance(found, Unreadable)
        assert ("not_image", "it does not begin as any image does") == (found.status, found.detail)


def _big_endian() -> bytes:
    """An uncompressed 4 × 4 grey TIFF, its numbers in the other order."""
    tags = [
        (256, 3, 1, 4),
        (257, 3, 1, 4),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 122),
    ]
    tags += [(277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]
    packed = b"".join(
        struct.pack(">HHI", *tag[:3])
        + struct.pack(">HH" if tag[1] == 3 else ">I", *((tag[3], 0) if tag[1] == 3 else tag[3:]))
        for tag in tags
    )

    return b"MM\0*" + struct.pack(">IH", 8, len(tags)) + packed + bytes(4) + bytes(range(16))
